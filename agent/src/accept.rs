//! The accept loop of one TCP socket on one worker.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use novaedge_l4::Client;
use novaedge_proxy::QuicListener;
use novaedge_router::{AcceptProxyProtocol, Socket, SocketKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::proxy_header;
use crate::worker::{Open, Room, Shared};

/// Connections that are accepted at once before others have their turn: each costs as much as a request, and an attacker
/// opens them faster than that.
const TURN: u32 = 4;

/// How long a worker that can't open files waits before it tries again.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until told to stop, then what is queued already; dropping the listener closes it.
pub(crate) async fn accept(
    shared: Rc<Shared>,
    listener: TcpListener,
    key: SocketKey,
    mut stop: oneshot::Receiver<()>,
) {
    let room = Room::new(key);
    let mut turn = 0;
    loop {
        let mut waited = false;
        let accepted = poll_fn(|task| {
            let polled = listener.poll_accept(task);
            waited |= polled.is_pending();
            polled
        });
        let accepted = tokio::select! {
            biased;
            _ = &mut stop => break,
            accepted = accepted => accepted,
        };
        turn = if waited { 1 } else { turn + 1 };
        if turn > TURN {
            turn = 0;
            tokio::task::yield_now().await;
        }
        match accepted {
            Ok((stream, peer)) => {
                // At the limit the connection waits here, and the others in the kernel's queue.
                tokio::select! {
                    biased;
                    _ = &mut stop => return,
                    () = serve(&shared, stream, peer, &room) => {}
                }
            }
            Err(error) => back_off(&shared, &error, key).await,
        }
    }
    // Let the driver tell of connections that came since it was asked last.
    tokio::task::yield_now().await;
    while let Some((stream, peer)) = accept_queued(&listener).await {
        serve(&shared, stream, peer, &room).await;
    }
}

/// Accepts connections of QUIC until told to stop. Those that there are may go on until the time that it is told.
pub(crate) async fn accept_quic(
    shared: Rc<Shared>,
    listener: QuicListener,
    key: SocketKey,
    mut stop: oneshot::Receiver<Instant>,
) {
    let room = Room::new(key);
    let until = loop {
        let accepted = tokio::select! {
            biased;
            until = &mut stop => break until,
            accepted = listener.accept() => accepted,
        };
        let Some(incoming) = accepted else { return };
        let open = tokio::select! {
            biased;
            until = &mut stop => break until,
            open = shared.enter(&room) => open,
        };
        let http = Rc::clone(&shared.http);
        let serving = Box::pin(http.serve_http3(incoming, key, shared.drain.clone()));
        drop(tokio::task::spawn_local(async move {
            let _open = open;
            serving.await;
        }));
    };
    // Without a word the worker is gone.
    if let Ok(until) = until {
        listener.close(until).await;
    }
}

async fn accept_queued(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|task| match listener.poll_accept(task) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Errors of one connection are its own. Others (no more files, no more memory) pass only with
/// time, so trying at once would spin.
async fn back_off(shared: &Shared, error: &io::Error, key: SocketKey) {
    let of_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    );
    if of_connection {
        return;
    }
    let before = shared
        .counters
        .accept_errors
        .fetch_add(1, Ordering::Relaxed);
    if before.is_multiple_of(100) {
        tracing::warn!(socket = %key, %error, failures = before + 1, "can't accept connections");
    }
    tokio::time::sleep(BACK_OFF).await;
}

/// Starts the connection's task, by what the socket is in the tables in force.
async fn serve(shared: &Rc<Shared>, stream: TcpStream, peer: SocketAddr, room: &Rc<Room>) {
    let open = shared.enter(room).await;
    let key = room.key();
    // A dual-stack socket shows IPv4 clients as mapped addresses.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let looked_up = shared.live.load().tables.sockets.get(&key).map(|socket| {
        let kind = match &**socket {
            Socket::Http(_) => Kind::Http,
            Socket::Tls(_) => Kind::Tls,
            Socket::Tcp(_) | Socket::Udp(_) | Socket::Quic(_) => Kind::Tcp,
        };
        (kind, socket.accept_proxy_protocol().cloned())
    });
    // Without one the socket is about to be closed.
    let Some((kind, accept)) = looked_up else {
        return;
    };
    let connection = Connection {
        open,
        shared: Rc::clone(shared),
        stream,
        client: peer.into(),
        key,
    };
    match accept {
        None => connection.start(kind),
        // A task of its own, so that connections without a header do not have its size.
        Some(accept) => drop(tokio::task::spawn_local(connection.introduce(kind, accept))),
    }
}

/// An accepted connection, counted until it ends.
struct Connection {
    open: Open,
    shared: Rc<Shared>,
    stream: TcpStream,
    client: Client,
    key: SocketKey,
}

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tls,
    Tcp,
}

impl Connection {
    /// Learns from the peer who the client is, then serves it.
    async fn introduce(mut self, kind: Kind, accept: AcceptProxyProtocol) {
        let peer = self.client.address;
        match proxy_header::client(&mut self.stream, peer, &accept).await {
            Ok(client) => {
                self.client = client;
                self.start(kind);
            }
            Err(refusal) => {
                self.shared.counters.proxy_headers_refused.count(&refusal);
                tracing::debug!(
                    socket = %self.key,
                    %peer,
                    error = &refusal as &dyn std::error::Error,
                    "connection refused",
                );
            }
        }
    }

    /// Serves the client in a task of the worker's runtime; the count of open connections is what a drain waits for.
    fn start(self, kind: Kind) {
        let Self {
            open,
            shared,
            stream,
            client,
            key,
        } = self;
        let peer = client.address;
        // Each kind is a future of its own, so that none has the size of the largest, and boxed before it is spawned, so
        // that it is not copied on its way into the task.
        let serving: Pin<Box<dyn Future<Output = ()>>> = match kind {
            Kind::Http => {
                let http = Rc::clone(&shared.http);
                Box::pin(http.serve_http(stream, peer, key, shared.drain.clone()))
            }
            Kind::Tls => Box::pin(async move {
                if let Some(https) = shared.l4.serve_tls(stream, client, key).await {
                    let http = Rc::clone(&shared.http);
                    let drain = shared.drain.clone();
                    let serving = http.serve_https(
                        https.stream,
                        https.received,
                        https.hello,
                        peer,
                        key,
                        drain,
                    );
                    https.turn.begin(pin!(serving)).await;
                }
            }),
            Kind::Tcp => Box::pin(async move { shared.l4.serve_tcp(stream, client, key).await }),
        };
        drop(tokio::task::spawn_local(async move {
            let _open = open;
            serving.await;
        }));
    }
}
