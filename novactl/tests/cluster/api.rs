//! An API server: answers by path, and forwards ports over WebSockets.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::{
    Bytes, Message,
    handshake::server::{Request, Response},
};

/// What is answered.
#[derive(Default)]
pub struct Answers {
    /// Values by path; lists without their query.
    pub values: BTreeMap<String, Value>,
    /// Texts by path, whatever the query.
    pub texts: BTreeMap<String, String>,
    /// Paths that are refused with 403.
    pub forbidden: BTreeSet<String>,
    /// Whether credentials are refused.
    pub knows_nobody: bool,
    /// Where `POD:PORT` leads.
    pub forwards: BTreeMap<String, SocketAddr>,
}

/// A running API server.
pub struct Api {
    /// Where it is.
    pub address: SocketAddr,
    /// What it answers, which a test may change.
    pub answers: Arc<Mutex<Answers>>,
    /// Request lines with the credentials that came with them.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// Starts one; it ends with the runtime of the test.
    pub async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let api = Self {
            address: listener.local_addr().expect("an address"),
            answers: Arc::new(Mutex::new(answers)),
            asked: Arc::default(),
        };
        let (answers, asked) = (Arc::clone(&api.answers), Arc::clone(&api.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&asked)));
            }
        });
        api
    }

    /// Changes what is answered.
    pub fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.answers.lock().expect("answers"));
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let head = head(&stream).await;
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let credentials = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    asked
        .lock()
        .expect("a log")
        .push(format!("{target} {}", credentials.unwrap_or_default()));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let forward = path.strip_suffix("/portforward").and_then(|path| {
        let pod = path.rsplit('/').next()?;
        let port = query.rsplit('=').next()?;
        let answers = answers.lock().expect("answers");
        let refused = answers.forbidden.contains(path) || answers.knows_nobody;
        (!refused).then(|| {
            (
                port.parse::<u16>().ok(),
                answers.forwards.get(&format!("{pod}:{port}")).copied(),
            )
        })
    });
    if let Some((Some(port), to)) = forward {
        return port_forward(stream, port, to).await;
    }
    let (status, kind, body) = answers.lock().expect("answers").answer(path, query);
    // The head was only looked at before.
    let mut taken = vec![0; head.len()];
    let _ = stream.read_exact(&mut taken).await;
    let answer = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// The head of the request, left where it is.
async fn head(stream: &TcpStream) -> String {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let length = stream.peek(&mut bytes).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..length]);
        if length == 0 {
            return String::new();
        }
        if let Some(end) = text.find("\r\n\r\n") {
            return text[..end + 4].to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

impl Answers {
    fn answer(&self, path: &str, query: &str) -> (u16, &'static str, String) {
        let refused = |code: u16, message: String| {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": message, "code": code});
            (code, "application/json", status.to_string())
        };
        let base = path.strip_suffix("/portforward").unwrap_or(path);
        if self.knows_nobody {
            return refused(401, "Unauthorized".to_owned());
        }
        if self.forbidden.contains(base) {
            return refused(403, format!("{path} is forbidden"));
        }
        if let Some(text) = self.texts.get(path) {
            return (200, "text/plain", text.clone());
        }
        let Some(mut value) = self.values.get(path).cloned() else {
            return refused(404, format!("{path} is not there"));
        };
        if let Some(name) = query.split("app.kubernetes.io%2Fname%3D").nth(1)
            && let Some(items) = value["items"].as_array_mut()
        {
            items.retain(|item| item["metadata"]["labels"]["app.kubernetes.io/name"] == name);
        }
        (200, "application/json", paged(value, query).to_string())
    }
}

/// Two items on each page of a list, whatever was asked for.
fn paged(mut value: Value, query: &str) -> Value {
    let from = query
        .split("continue=")
        .nth(1)
        .and_then(|at| at.parse().ok());
    let from: usize = from.unwrap_or(0);
    if let Some(items) = value["items"].as_array_mut() {
        let more = items.len() > from + 2;
        *items = items.drain(..).skip(from).take(2).collect();
        if more {
            value["metadata"]["continue"] = (from + 2).to_string().into();
        }
    }
    value
}

/// Channel 0 has the bytes, channel 1 what went wrong; each begins with the port.
async fn port_forward(stream: TcpStream, port: u16, to: Option<SocketAddr>) {
    #[allow(clippy::result_large_err)] // the signature is tungstenite's
    let answer = |_: &Request, mut response: Response| {
        let protocol = "v4.channel.k8s.io".parse().expect("a value");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, answer).await else {
        return;
    };
    let (mut sink, mut source) = socket.split();
    let [low, high] = port.to_le_bytes();
    for channel in 0..2 {
        let _ = sink.send(frame(channel, &[low, high])).await;
    }
    let connected = match to {
        Some(to) => TcpStream::connect(to).await.ok(),
        None => None,
    };
    let Some(connected) = connected else {
        let _ = sink.send(frame(1, b"connection refused")).await;
        // As a kubelet does it, the connection stays until the client goes.
        while let Some(Ok(_)) = source.next().await {}
        return;
    };
    let (mut from, mut to) = connected.into_split();
    let out = async {
        while let Some(Ok(message)) = source.next().await {
            let data = message.into_data();
            if data.first() == Some(&0) && to.write_all(&data[1..]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(length) = from.read(&mut bytes).await
            && length > 0
        {
            let _ = sink.send(frame(0, &bytes[..length])).await;
        }
        let _ = sink.close().await;
    };
    tokio::join!(out, back);
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    let mut frame = vec![channel];
    frame.extend_from_slice(bytes);
    Message::Binary(Bytes::from(frame))
}
