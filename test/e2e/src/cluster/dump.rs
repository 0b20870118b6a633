//! Takes an agent's stream from the control plane, and keeps every byte of it.

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use novaedge_proto::v1;
use prost::Message as _;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;

use super::{SYSTEM, kubectl, parts::ready_pods};
use crate::certificates::Identity;

/// What an agent shows.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// Nothing at all.
    Nothing,
    /// A ServiceAccount token.
    Token(&'a str),
    /// A certificate.
    Certificate(&'a Identity),
}

/// A stream as an agent has it.
pub struct Dump {
    /// Everything that came in.
    pub bytes: Vec<u8>,
    /// Names of the resources held.
    pub held: BTreeSet<String>,
    outbound: SendStream<Bytes>,
    inbound: RecvStream,
    unread: BytesMut,
    task: JoinHandle<()>,
}

impl Dump {
    /// Subscribes as the agent `node`; the code of gRPC and the bytes that came if that is refused. Without a
    /// connection there is no code.
    pub async fn open(node: &str, shown: Shown<'_>) -> Result<Self, (String, Vec<u8>)> {
        let connected = connect(shown).await;
        let (mut client, task) = connected.map_err(|_| (String::new(), Vec::new()))?;
        let request = call("StreamSnapshots", shown);
        let (response, outbound) = client.send_request(request, false).expect("a stream");
        let mut dump = Self {
            bytes: Vec::new(),
            held: BTreeSet::new(),
            outbound,
            inbound: {
                // An end that did not take our certificate says so now.
                let response = response.await;
                let response = response.map_err(|_| (String::new(), Vec::new()))?;
                let (head, mut inbound) = response.into_parts();
                if let Some(code) = code(&head.headers) {
                    let mut bytes = Vec::new();
                    while let Some(Ok(data)) = inbound.data().await {
                        bytes.extend_from_slice(&data);
                    }
                    task.abort();
                    return Err((code, bytes));
                }
                inbound
            },
            unread: BytesMut::new(),
            task,
        };
        dump.send(v1::agent_message::Message::Subscribe(v1::Subscribe {
            node: Some(v1::Node {
                id: node.to_owned(),
                ..v1::Node::default()
            }),
            ..v1::Subscribe::default()
        }));
        match dump.step().await {
            Ok(()) => Ok(dump),
            Err(code) => Err((code, std::mem::take(&mut dump.bytes))),
        }
    }

    /// Takes one step and acknowledges it; the code of gRPC when the stream ends.
    pub async fn step(&mut self) -> Result<(), String> {
        loop {
            let message = tokio::time::timeout(Duration::from_mins(1), self.message()).await;
            let step = message.expect("no step in a minute")?;
            for name in &step.removed {
                self.held.remove(name);
            }
            let names = step.upserts.iter().map(|resource| resource.name.clone());
            self.held.extend(names);
            if step.last {
                self.send(v1::agent_message::Message::Ack(v1::Ack {
                    nonce: step.nonce,
                    version: step.version,
                    ..v1::Ack::default()
                }));
                return Ok(());
            }
        }
    }

    /// Takes steps until `holds`; panics with `what` after a minute.
    pub async fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let all = async {
            while !holds(self) {
                self.step().await.expect("the stream goes on");
            }
        };
        let in_time = tokio::time::timeout(Duration::from_mins(1), all).await;
        in_time.unwrap_or_else(|_| panic!("not within a minute: {what}"));
    }

    /// Takes the steps that come while nothing else does.
    pub async fn drain(&mut self, quiet: Duration) {
        while let Ok(step) = tokio::time::timeout(quiet, self.step()).await {
            step.expect("the stream goes on");
        }
    }

    /// Whether it came by, in this form.
    pub fn heard(&self, what: &str) -> bool {
        let what = what.as_bytes();
        self.bytes.windows(what.len()).any(|window| window == what)
    }

    async fn message(&mut self) -> Result<v1::SnapshotStep, String> {
        loop {
            if let Some(head) = self.unread.first_chunk::<5>() {
                let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                assert_eq!(head[0], 0, "it is not compressed");
                if self.unread.len() >= 5 + len {
                    self.unread.advance(5);
                    let message = self.unread.split_to(len);
                    return Ok(v1::SnapshotStep::decode(message).expect("a step"));
                }
            }
            match self.inbound.data().await {
                Some(Ok(data)) => {
                    let flow = self.inbound.flow_control();
                    flow.release_capacity(data.len()).expect("it was taken");
                    self.bytes.extend_from_slice(&data);
                    self.unread.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err(error.to_string()),
                None => {
                    let trailers = self.inbound.trailers().await.ok().flatten();
                    return Err(trailers.as_ref().and_then(code).unwrap_or_default());
                }
            }
        }
    }

    fn send(&mut self, message: v1::agent_message::Message) {
        let message = v1::AgentMessage {
            message: Some(message),
        };
        // Whoever is refused may have been told already: the answer says so.
        let _ = self.outbound.send_data(frame(&message), false);
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The snapshot as people see it; the code of gRPC if that is refused.
pub async fn inspect(shown: Shown<'_>) -> Result<v1::FetchSnapshotResponse, String> {
    let (mut client, task) = connect(shown).await.expect("a connection");
    let (response, mut outbound) = client
        .send_request(call("FetchSnapshot", shown), false)
        .expect("a stream");
    let request = v1::FetchSnapshotRequest {
        page_size: 1_000,
        ..v1::FetchSnapshotRequest::default()
    };
    // Whoever is refused may have been told already: the answer says so.
    let _ = outbound.send_data(frame(&request), true);
    let (head, mut inbound) = response.await.expect("an answer").into_parts();
    let mut bytes = BytesMut::new();
    while let Some(data) = inbound.data().await {
        let data = data.expect("the rest of the answer");
        let flow = inbound.flow_control();
        flow.release_capacity(data.len()).expect("it was taken");
        bytes.extend_from_slice(&data);
    }
    let trailers = inbound.trailers().await.expect("the end of the answer");
    task.abort();
    match code(&head.headers).or_else(|| code(&trailers?)).as_deref() {
        Some("0") => Ok(v1::FetchSnapshotResponse::decode(&bytes[5..]).expect("a page")),
        other => Err(other.unwrap_or_default().to_owned()),
    }
}

fn call(method: &str, shown: Shown<'_>) -> Request<()> {
    let uri = format!("https://control-plane/novaedge.v1.SnapshotDiscovery/{method}");
    let mut request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Shown::Token(token) = shown {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).expect("a request")
}

/// A message as gRPC sends it.
fn frame(message: &impl prost::Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).expect("it is small"));
    message.encode(&mut frame).expect("it grows");
    frame.freeze()
}

fn code(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("grpc-status")?.to_str().ok()?.to_owned())
}

/// A connection to some control plane, certified by the authority that agents are given.
async fn connect(shown: Shown<'_>) -> io::Result<(h2::client::SendRequest<Bytes>, JoinHandle<()>)> {
    let (_, ip) = ready_pods("novaedge-control-plane")
        .pop()
        .expect("a control plane");
    let bundle = kubectl(&[
        "--namespace",
        SYSTEM,
        "get",
        "configmap/novaedge-ca-bundle",
        "-o",
        "jsonpath={.data.ca\\.crt}",
    ]);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a root");
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match shown {
        Shown::Certificate(identity) => {
            let leaf = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
            let chain = vec![leaf.expect("PEM")];
            let config = config.with_client_auth_cert(chain, key.expect("PEM"));
            config.expect("a certificate and its key")
        }
        _ => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(SocketAddr::new(ip, 18000)).await;
    let name = format!("novaedge-control-plane.{SYSTEM}.svc");
    let name = ServerName::try_from(name).expect("a name");
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream.expect("a connection"))
        .await?;
    let (client, connection) = h2::client::handshake(stream)
        .await
        .map_err(io::Error::other)?;
    let task = tokio::spawn(async move {
        let _ = connection.await;
    });
    let client = client.ready().await.map_err(io::Error::other)?;
    Ok((client, task))
}
