//! A replica of the control plane as it serves agents in a cluster: with TLS, and to its own host without a token.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use novaedge_proto::v1::{
    self, agent_message::Message, snapshot_discovery_client::SnapshotDiscoveryClient,
};
use novaedge_publish::{
    Authenticate, AuthenticateError, Caller, Credentials, LogLimits, Publisher, Server,
    ServerConfig, server_config,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_stream::wrappers::ReceiverStream;

/// The name that certificates of control planes have.
const NAME: &str = "novaedge-control-plane.novaedge-system.svc";

/// An authority for control planes.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What the ConfigMap holds.
    pub bundle: String,
}

/// A replica.
pub struct Replica {
    /// Where it serves TLS.
    pub address: SocketAddr,
    plaintext: SocketAddr,
    _settings: watch::Sender<Option<Arc<rustls::ServerConfig>>>,
}

/// Lets nobody in who comes from elsewhere.
#[derive(Debug)]
struct Nobody;

impl Authenticate for Nobody {
    fn authenticate(&self, _: Credentials) -> BoxFuture<'_, Result<Caller, AuthenticateError>> {
        let nobody = AuthenticateError::Unauthenticated("nobody is let in".into());
        Box::pin(std::future::ready(Err(nobody)))
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let bundle = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            bundle,
        }
    }

    fn server(&self) -> Arc<rustls::ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![NAME.to_owned()]).expect("parameters");
        let leaf = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = CertificateDer::from_pem_slice(leaf.pem().as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("PEM");
        server_config(vec![chain], key, None).expect("settings")
    }
}

impl Replica {
    /// One that has published `resources`.
    pub async fn start(authority: &Authority, resources: &[v1::Resource]) -> Self {
        let publisher = Publisher::new(LogLimits::default());
        let upserts = resources
            .iter()
            .map(|one| (one.name.as_str().into(), one.clone()));
        publisher.update(upserts.collect(), Vec::new());
        let (settings, given) = watch::channel(Some(authority.server()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Server::new(publisher.clone(), ServerConfig::default());
        let server = server.authenticating(Arc::new(Nobody));
        tokio::spawn(server.serve_tls(listener, given, std::future::pending()));
        // Agents of this test show nothing, so they have an entrance of their own.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let plaintext = listener.local_addr().expect("an address");
        let server = Server::new(publisher, ServerConfig::default());
        tokio::spawn(server.serve(listener, std::future::pending()));
        Self {
            address,
            plaintext,
            _settings: settings,
        }
    }

    /// An agent that takes everything, until the test ends.
    pub async fn agent(&self, node: &str) {
        let url = format!("http://{}", self.plaintext);
        let mut client = SnapshotDiscoveryClient::connect(url)
            .await
            .expect("a client");
        let (say, said) = mpsc::channel(8);
        let message = |message| v1::AgentMessage {
            message: Some(message),
        };
        let subscribe = v1::Subscribe {
            node: Some(v1::Node {
                id: node.to_owned(),
                agent_version: "1.2.3".to_owned(),
                ..v1::Node::default()
            }),
            ..v1::Subscribe::default()
        };
        say.send(message(Message::Subscribe(subscribe)))
            .await
            .expect("a stream");
        let steps = client.stream_snapshots(ReceiverStream::new(said)).await;
        let mut steps = steps.expect("steps").into_inner();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut ready = Some(ready);
            while let Ok(Some(step)) = steps.message().await {
                if step.last {
                    let ack = v1::Ack {
                        nonce: step.nonce,
                        version: step.version,
                        ..v1::Ack::default()
                    };
                    let _ = say.send(message(Message::Ack(ack))).await;
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(());
                    }
                }
            }
        });
        is_ready.await.expect("a step");
    }
}
