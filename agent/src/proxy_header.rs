//! The header of the PROXY protocol at the start of a connection: who the client is, before its first byte.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novaedge_l4::Client;
use novaedge_router::proxy_protocol::{Header, Progress, ProxyProtocolError, parse};
use novaedge_router::{AcceptProxyProtocol, ProxyProtocolMode};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// From the accept to the end of the header. The specification asks for 3 seconds at least, so that a
/// segment may get lost.
const LIMIT: Duration = Duration::from_secs(5);

/// How long to wait before looking anew at first bytes that may yet become a header. Only clients that
/// speak something else, where headers are optional, ever send so few.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Bytes looked at in one go: nearly all headers fit.
const WINDOW: usize = 256;

/// Why a connection ends before it is served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The peer is outside of the trusted networks, and headers are required.
    #[error("the peer is not trusted to speak the PROXY protocol")]
    Untrusted,
    /// What came is no header.
    #[error("no header of the PROXY protocol")]
    Malformed(#[source] ProxyProtocolError),
    /// The header did not come in time.
    #[error("no header of the PROXY protocol within {LIMIT:?}")]
    TimedOut,
    /// The connection ended inside of the header.
    #[error("the connection ended before the header of the PROXY protocol")]
    Ended(#[source] io::Error),
    /// The connection ended before the first byte, as checks of the port do.
    #[error("the connection ended before its first byte")]
    Silent,
}

/// Connections that ended before they were served, by reason.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    untrusted: AtomicU64,
    malformed: AtomicU64,
    timed_out: AtomicU64,
    ended: AtomicU64,
}

impl Refused {
    /// Label values and numbers.
    pub(crate) fn samples(&self) -> [(&'static str, u64); 4] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("untrusted", read(&self.untrusted)),
            ("malformed", read(&self.malformed)),
            ("timed_out", read(&self.timed_out)),
            ("ended", read(&self.ended)),
        ]
    }

    pub(crate) fn count(&self, refusal: &Refusal) {
        let counter = match refusal {
            Refusal::Untrusted => &self.untrusted,
            Refusal::Malformed(_) => &self.malformed,
            Refusal::TimedOut => &self.timed_out,
            Refusal::Ended(_) => &self.ended,
            Refusal::Silent => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes the header off the connection, byte for byte, and gives the client: what the header says, or the
/// peer itself where it says nothing.
pub(crate) async fn client(
    stream: &mut TcpStream,
    peer: SocketAddr,
    accept: &AcceptProxyProtocol,
) -> Result<Client, Refusal> {
    let trusted = accept.trusted.iter().any(|one| one.contains(peer.ip()));
    match (trusted, accept.mode) {
        (true, _) => {}
        (false, ProxyProtocolMode::Optional) => return Ok(peer.into()),
        (false, ProxyProtocolMode::Required) => return Err(Refusal::Untrusted),
    }
    let header = Reader {
        stream,
        mode: accept.mode,
        received: Vec::new(),
        deadline: Instant::now() + LIMIT,
    };
    let inet = match header.read().await? {
        Some(Header::Inet(inet)) => inet,
        Some(Header::Local | Header::Unknown | Header::Unix(_)) | None => return Ok(peer.into()),
    };
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Ok(Client {
        address: canonical(inet.source),
        destination: Some(canonical(inet.destination)),
    })
}

/// A connection whose header is being read.
struct Reader<'a> {
    stream: &'a mut TcpStream,
    mode: ProxyProtocolMode,
    /// What was taken off the connection: all of it belongs to the header.
    received: Vec<u8>,
    deadline: Instant,
}

impl Reader<'_> {
    /// None: there is no header, and need be none. Then nothing was taken off the connection.
    async fn read(mut self) -> Result<Option<Header>, Refusal> {
        let optional = self.mode == ProxyProtocolMode::Optional;
        loop {
            let mut window = [0; WINDOW];
            let looked = timeout_at(self.deadline, self.stream.peek(&mut window)).await;
            let Ok(looked) = looked else {
                return self.late();
            };
            let seen = looked.map_err(Refusal::Ended)?;
            let bytes = window.get(..seen).unwrap_or_default();
            if bytes.is_empty() {
                return Err(if self.received.is_empty() {
                    Refusal::Silent
                } else {
                    Refusal::Ended(io::ErrorKind::UnexpectedEof.into())
                });
            }
            let taken = self.received.len();
            self.received.extend_from_slice(bytes);
            match parse(&self.received) {
                Progress::Complete(header, length) => {
                    self.take(length.saturating_sub(taken)).await?;
                    return Ok(Some(header));
                }
                Progress::Undecided if optional => {
                    self.received.truncate(taken);
                    if Instant::now() + LOOK_AGAIN >= self.deadline {
                        return self.late();
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Progress::Undecided | Progress::Incomplete => self.take(seen).await?,
                Progress::Invalid(ProxyProtocolError::NoHeader) if optional && taken == 0 => {
                    return Ok(None);
                }
                Progress::Invalid(error) => return Err(Refusal::Malformed(error)),
            }
        }
    }

    /// Takes bytes that were seen off the connection.
    async fn take(&mut self, mut count: usize) -> Result<(), Refusal> {
        let mut window = [0; WINDOW];
        while count > 0 {
            let size = count.min(WINDOW);
            let part = window.get_mut(..size).unwrap_or_default();
            let read = self.stream.read_exact(part).await;
            read.map_err(Refusal::Ended)?;
            count -= size;
        }
        Ok(())
    }

    /// The time is over. Where headers are optional a peer may wait for the server's first word.
    fn late(&self) -> Result<Option<Header>, Refusal> {
        let may_be_plain = self.mode == ProxyProtocolMode::Optional && self.received.is_empty();
        if may_be_plain {
            Ok(None)
        } else {
            Err(Refusal::TimedOut)
        }
    }
}
