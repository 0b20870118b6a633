//! Clients over cleartext HTTP/2: requests, and streams in both directions as gRPC has them.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{self, SendRequest},
};
use http::{Request, StatusCode};
use tokio::task::JoinSet;

use super::{Flow, Lasting, http1, http1::Answer, payload};
use crate::{origin::http1::ID, random::Random};

/// The longest message of a stream.
const LONGEST: u64 = 4_096;

/// A connection that several clients share.
pub struct Connection {
    send: SendRequest<Bytes>,
    _task: JoinSet<()>,
}

/// A client of one host.
pub struct Client {
    to: SocketAddr,
    host: String,
    connection: Option<Arc<Connection>>,
}

/// A stream that is open in both directions.
pub struct Echo {
    _connection: Arc<Connection>,
    send: SendStream<Bytes>,
    receive: RecvStream,
}

impl Connection {
    /// Connects.
    pub async fn open(to: SocketAddr) -> anyhow::Result<Arc<Self>> {
        let stream = http1::connect(to).await?;
        let (send, connection) = client::handshake(stream).await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Its streams see what went wrong.
            let _ = connection.await;
        });
        Ok(Arc::new(Self { send, _task: task }))
    }
}

impl Client {
    /// A client on a connection, which it replaces by one of its own once that breaks.
    pub fn new(to: SocketAddr, host: impl Into<String>, connection: &Arc<Connection>) -> Self {
        Self {
            to,
            host: host.into(),
            connection: Some(Arc::clone(connection)),
        }
    }

    /// Sends a request.
    pub async fn ask(&mut self, method: &str, id: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.to).await?,
        };
        let send = connection.send.clone().ready().await?;
        let answer = ask(send, &self.host, method, id, body).await?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

impl Flow for Client {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let id = random.next().to_string();
        self.ask("GET", &id, &[]).await?.must_be_to(&id)
    }

    fn lasts(&self) -> Lasting {
        Lasting::Client
    }
}

async fn ask(
    mut send: SendRequest<Bytes>,
    host: &str,
    method: &str,
    id: &str,
    body: &[u8],
) -> anyhow::Result<Answer> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{host}/"))
        .header(ID, id);
    if !body.is_empty() {
        request = request.header("content-length", body.len());
    }
    let (response, mut stream) = send.send_request(request.body(())?, body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body), true)?;
    }
    let response = response.await?;
    let status = response.status().as_u16();
    let mut receive = response.into_body();
    let mut body = Vec::new();
    while let Some(data) = receive.data().await {
        let data = data?;
        receive.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Answer { status, body })
}

impl Echo {
    /// Opens a stream.
    pub async fn open(connection: &Arc<Connection>, host: &str) -> anyhow::Result<Self> {
        let mut send = connection.send.clone().ready().await?;
        let request = Request::post(format!("http://{host}/soak.Echo/Both"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, stream) = send.send_request(request, false)?;
        let response = response.await?;
        anyhow::ensure!(response.status() == StatusCode::OK, "{}", response.status());
        Ok(Self {
            _connection: Arc::clone(connection),
            send: stream,
            receive: response.into_body(),
        })
    }
}

impl Flow for Echo {
    async fn exchange(&mut self, random: &mut Random) -> anyhow::Result<()> {
        let sent = payload(random, LONGEST);
        self.send.send_data(Bytes::copy_from_slice(&sent), false)?;
        let mut came = Vec::new();
        while came.len() < sent.len() {
            let data = self.receive.data().await.context("the stream ended")??;
            self.receive.flow_control().release_capacity(data.len())?;
            came.extend_from_slice(&data);
        }
        anyhow::ensure!(came == sent, "another message came back");
        Ok(())
    }

    fn lasts(&self) -> Lasting {
        Lasting::Connection
    }
}
