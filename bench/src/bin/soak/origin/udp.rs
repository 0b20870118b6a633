//! An origin that sends back datagrams, each with the port that it came from: a session keeps it.

use std::net::Ipv4Addr;

use tokio::{net::UdpSocket, task::JoinSet};

use super::Origin;

/// The longest datagram.
pub const LONGEST: usize = 8 * 1_024;

/// Starts it.
pub async fn start() -> anyhow::Result<Origin> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut buffer = vec![0; LONGEST];
        loop {
            // Errors tell of datagrams sent before.
            let Ok((count, from)) = socket.recv_from(&mut buffer).await else {
                continue;
            };
            let mut datagram = buffer.get(..count).unwrap_or_default().to_vec();
            datagram.extend(from.port().to_be_bytes());
            let _ = socket.send_to(&datagram, from).await;
        }
    });
    Ok(Origin::of(address, task))
}
