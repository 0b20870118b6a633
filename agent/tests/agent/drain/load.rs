//! Clients that keep their connections, and go where the fleet is when they are asked to leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use h2::client::SendRequest;
use http::Request;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// No answer takes that long.
const LIMIT: Duration = Duration::from_secs(5);

/// What came of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub answers: BTreeMap<&'static str, u64>,
    pub failures: Vec<String>,
}

struct Shared {
    port: AtomicU16,
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts clients of each protocol, some busy and some with pauses.
    pub fn start(port: u16) -> Self {
        let shared = Arc::new(Shared {
            port: AtomicU16::new(port),
            stop: AtomicBool::new(false),
            tally: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for index in 0..6 {
            let pause = Duration::from_millis(25 * index * index);
            clients.spawn(http1(Arc::clone(&shared), pause));
            clients.spawn(multiplexed(Arc::clone(&shared), pause, Kind::Http2));
            clients.spawn(multiplexed(Arc::clone(&shared), pause, Kind::Grpc));
        }
        Self { shared, clients }
    }

    /// Waits until each kind of client has that many answers.
    pub async fn answered(&self, least: u64) {
        let enough = || {
            let tally = self.shared.tally.lock().unwrap();
            tally.answers.len() == 3 && tally.answers.values().all(|answers| *answers >= least)
        };
        let waiting = async {
            while !enough() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(4 * LIMIT, waiting).await.unwrap();
    }

    /// New connections go there.
    pub fn go_to(&self, port: u16) {
        self.shared.port.store(port, Ordering::Relaxed);
    }

    pub async fn stop(mut self) -> Tally {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut self.shared.tally.lock().unwrap())
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let port = self.port.load(Ordering::Relaxed);
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let stream = stream.map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).unwrap();
        Ok(stream)
    }

    fn count(&self, kind: &'static str, result: Result<(), String>) {
        let mut tally = self.tally.lock().unwrap();
        match result {
            Ok(()) => *tally.answers.entry(kind).or_default() += 1,
            Err(error) => tally.failures.push(format!("{kind}: {error}")),
        }
    }
}

async fn http1(shared: Arc<Shared>, pause: Duration) {
    let mut kept = None;
    while shared.goes_on() {
        let asked = timeout(LIMIT, ask(&shared, &mut kept)).await;
        shared.count("http/1.1", asked.unwrap_or(Err("no answer".into())));
        sleep(pause).await;
    }
}

async fn ask(shared: &Shared, kept: &mut Option<TcpStream>) -> Result<(), String> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => shared.connect().await?,
    };
    let request = b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n";
    let sent = stream.write_all(request).await;
    sent.map_err(|error| format!("write: {error}"))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        match stream.read_buf(&mut answer).await {
            Ok(1..) => {}
            end => {
                return Err(format!(
                    "{end:?} after {}",
                    String::from_utf8_lossy(&answer)
                ));
            }
        }
    }
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    if !answer.starts_with("http/1.1 200") {
        return Err(answer);
    }
    if !answer.contains("\r\nconnection: close\r\n") {
        *kept = Some(stream);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Http2,
    Grpc,
}

type Sender = SendRequest<Bytes>;

async fn multiplexed(shared: Arc<Shared>, pause: Duration, kind: Kind) {
    let name = match kind {
        Kind::Http2 => "http/2",
        Kind::Grpc => "grpc",
    };
    let mut kept = None;
    while shared.goes_on() {
        let asked = timeout(LIMIT, ask2(&shared, &mut kept, kind)).await;
        shared.count(name, asked.unwrap_or(Err("no answer".into())));
        sleep(pause).await;
    }
}

async fn ask2(shared: &Shared, kept: &mut Option<Sender>, kind: Kind) -> Result<(), String> {
    let response = loop {
        let sender = match kept.take() {
            Some(sender) => sender,
            None => connect2(shared).await?,
        };
        // An error here says that a GOAWAY has come: nothing was sent on this connection.
        let Ok(mut sender) = sender.ready().await else {
            continue;
        };
        let message = kind == Kind::Grpc;
        let Ok((response, mut body)) = sender.send_request(request(kind), !message) else {
            continue;
        };
        if message {
            let sent = body.send_data(Bytes::from_static(b"\0\0\0\0\0"), true);
            sent.map_err(|error| format!("send: {error}"))?;
        }
        match response.await {
            Ok(response) => {
                *kept = Some(sender);
                break response;
            }
            // The request crossed the last GOAWAY, which says that it was not processed (RFC 9113
            // section 6.8); whether that is true is checked by what the origins have seen.
            Err(error) if error.is_go_away() && error.is_remote() => {}
            Err(error) => return Err(format!("head: {error}")),
        }
    };
    let status = response.status();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(part) = body.data().await {
        text.extend(part.map_err(|error| format!("body: {error}"))?);
    }
    let trailers = body.trailers().await;
    let trailers = trailers.map_err(|error| format!("trailers: {error}"))?;
    let finished = kind == Kind::Http2
        || trailers.is_some_and(|all| all.get("grpc-status").is_some_and(|ok| ok == "0"));
    if status != 200 || !finished || text != b"ok" {
        return Err(format!("{status}"));
    }
    Ok(())
}

async fn connect2(shared: &Shared) -> Result<Sender, String> {
    let shaken = h2::client::handshake(shared.connect().await?).await;
    let (sender, connection) = shaken.map_err(|error| format!("handshake: {error}"))?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(kind: Kind) -> Request<()> {
    let request = match kind {
        Kind::Http2 => Request::get("http://web.example/"),
        Kind::Grpc => Request::post("http://grpc.example/shop.Cart/Add")
            .header("content-type", "application/grpc")
            .header("te", "trailers"),
    };
    request.body(()).unwrap()
}
