//! Tells another replica of this one's agents.

use novaedge_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{fleet::FleetAcks, telling::Teller};

/// Tells until the listener goes, or `drain`. What changes while a message waits for the transport is
/// told in one.
pub(crate) async fn serve(
    mut fleet: watch::Receiver<FleetAcks>,
    outbound: mpsc::Sender<Result<v1::AgentChanges, Status>>,
    drain: CancellationToken,
) {
    let mut teller = Teller::default();
    loop {
        let now = fleet.borrow_and_update().clone();
        for message in teller.changes(&now) {
            tokio::select! {
                sent = outbound.send(Ok(message)) => if sent.is_err() { return },
                () = drain.cancelled() => break,
            }
        }
        tokio::select! {
            changed = fleet.changed() => if changed.is_err() { return },
            () = outbound.closed() => return,
            () = drain.cancelled() => {
                let status = Status::unavailable("the control plane shuts down");
                // A listener that takes nothing any more sees the end of the stream alone.
                let _ = outbound.try_send(Err(status));
                return;
            }
        }
    }
}
