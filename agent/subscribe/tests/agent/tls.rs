//! TLS, tokens and client certificates, over real sockets.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use futures_util::future::BoxFuture;
use novaedge_publish::{
    Authenticate, AuthenticateError, Caller, Credentials, Publisher, Role, Scope, Server,
    ServerConfig, server_config,
};
use novaedge_subscribe::{ClientFiles, Phase, Status, SubscriberConfig, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::harness::{Agent, config, publish};

/// An authority, and its certificate as PEM.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Authority {
        pem: certificate.pem(),
        der: certificate.der().clone(),
        issuer: Issuer::new(params, key),
    }
}

impl Authority {
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn settings(&self) -> Arc<rustls::ServerConfig> {
        let (certificate, key) = self.issue("127.0.0.1");
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        server_config(vec![certificate.der().clone()], key, Some(roots)).unwrap()
    }
}

/// Knows the tokens `good` (of pod agent-0) and `other`, and any certificate.
#[derive(Debug)]
struct Known;

impl Authenticate for Known {
    fn authenticate(&self, shown: Credentials) -> BoxFuture<'_, Result<Caller, AuthenticateError>> {
        let agent = |node: Option<&str>| Caller {
            account: "system/agent".into(),
            role: Role::Agent,
            node: node.map(Into::into),
            realm: None,
            scope: Scope::All,
        };
        let caller = match shown.token.as_deref() {
            Some("good") => Ok(agent(Some("agent-0"))),
            Some("pod") => Ok(agent(Some("agent-1"))),
            Some("other") => Err(AuthenticateError::Denied("not an agent".into())),
            Some("later") => Err(AuthenticateError::Unavailable("the API is away".into())),
            Some(_) => Err(AuthenticateError::Unauthenticated("no such token".into())),
            None if shown.certificate.is_some() => Ok(agent(None)),
            None => Err(AuthenticateError::Unauthenticated("no credentials".into())),
        };
        Box::pin(std::future::ready(caller))
    }
}

struct Bed {
    publisher: Publisher,
    address: SocketAddr,
    settings: watch::Sender<Option<Arc<rustls::ServerConfig>>>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    directory: TempDir,
}

impl Bed {
    async fn start(authority: &Authority) -> Self {
        let publisher = Publisher::default();
        publish(&publisher, &[("route/a", 1)]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (settings, watched) = watch::channel(Some(authority.settings()));
        let server = Server::new(publisher.clone(), ServerConfig::default());
        let server = server.authenticating(Arc::new(Known));
        let served = server.serve_tls(listener, watched, shutdown.clone().cancelled_owned());
        let server = tokio::spawn(async { served.await.unwrap() });
        let bed = Self {
            publisher,
            address,
            settings,
            shutdown,
            server,
            directory: TempDir::new().unwrap(),
        };
        bed.write("ca.crt", &authority.pem);
        bed
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn config(&self, token: Option<&str>) -> SubscriberConfig {
        let mut config = config(self.address);
        config.endpoint = format!("https://{}", self.address);
        config.tls = Some(TlsFiles {
            authorities: self.directory.path().join("ca.crt"),
            client: None,
        });
        config.token_file = token.map(|token| self.write("token", token));
        config
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap();
    }
}

fn says(status: &Status, text: &str) -> bool {
    status
        .last_error
        .as_ref()
        .is_some_and(|error| error.contains(text))
}

#[tokio::test]
async fn without_a_valid_token_an_agent_gets_nothing() {
    let bed = Bed::start(&authority()).await;
    for (token, answer) in [
        (None, "no credentials"),
        (Some("bad"), "no such token"),
        (Some("other"), "not an agent"),
        (Some("pod"), "the token is of pod agent-1, not of agent-0"),
        (Some("later"), "the API is away"),
    ] {
        let mut agent = Agent::start(bed.config(token), None);
        agent.until(answer, |status| says(status, answer)).await;
        assert_eq!(agent.steps(), [], "{token:?}");
        agent.stop().await;
    }
    assert_eq!(bed.publisher.metrics().steps_sent(), 0);
    assert!(bed.publisher.metrics().callers_refused() >= 5);
    bed.stop().await;
}

#[tokio::test]
async fn a_token_is_read_again_for_each_subscription() {
    let bed = Bed::start(&authority()).await;
    let mut agent = Agent::start(bed.config(Some("bad")), None);
    agent.until("refused", |s| says(s, "no such token")).await;
    bed.write("token", "good\n");
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    assert_eq!(agent.steps().len(), 1);
    agent.stop().await;
    bed.stop().await;
}

#[tokio::test]
async fn a_client_certificate_does_as_well() {
    let authority = authority();
    let bed = Bed::start(&authority).await;
    let (certificate, key) = authority.issue("agent");
    let mut with = bed.config(None);
    with.tls.as_mut().unwrap().client = Some(ClientFiles {
        certificate: bed.write("tls.crt", &certificate.pem()),
        key: bed.write("tls.key", &key.serialize_pem()),
    });
    let mut agent = Agent::start(with, None);
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    agent.stop().await;
    bed.stop().await;
}

#[tokio::test]
async fn certificates_change_under_an_agent_that_streams() {
    let (old, new) = (authority(), authority());
    let bed = Bed::start(&old).await;
    let mut agent = Agent::start(bed.config(Some("good")), None);
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    bed.settings.send_replace(Some(new.settings()));
    let sequence = publish(&bed.publisher, &[("route/a", 2)]);
    bed.publisher.wait_acknowledged(sequence).await;
    agent.stop().await;
    // Another agent trusts nobody who comes with the new certificate until it has read the new bundle.
    let mut agent = Agent::start(bed.config(Some("good")), None);
    agent.until("failed", |s| s.last_error.is_some()).await;
    assert_eq!(agent.steps(), []);
    bed.write("ca.crt", &format!("{}{}", old.pem, new.pem));
    agent.until("synced", |s| s.phase == Phase::Synced).await;
    agent.stop().await;
    assert!(bed.publisher.metrics().handshakes_failed() > 0);
    bed.stop().await;
}

#[tokio::test]
async fn plaintext_gets_nowhere() {
    let bed = Bed::start(&authority()).await;
    let mut agent = Agent::start(config(bed.address), None);
    agent.until("failed", |s| s.last_error.is_some()).await;
    assert_eq!(agent.steps(), []);
    agent.stop().await;
    bed.stop().await;
}
