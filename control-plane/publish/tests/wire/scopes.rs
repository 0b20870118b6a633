//! Agents that are given the Gateways of some namespaces alone.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use novaedge_proto::v1::{
    self, agent_message::Message, resource::Body,
    snapshot_discovery_client::SnapshotDiscoveryClient, weighted_backend::Target,
};
use novaedge_publish::{
    Authenticate, AuthenticateError, Caller, Credentials, Publisher, Role, Scope, Server,
    ServerConfig,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status, transport::Channel};

use crate::harness::{Agent, Running};

/// The token `NAMESPACE` is of the agents that serve the Gateways of this namespace, `rest` of those that
/// serve all others but `a` and `b`, `all` of those that serve all.
#[derive(Debug)]
struct Tenants;

impl Authenticate for Tenants {
    fn authenticate(&self, shown: Credentials) -> BoxFuture<'_, Result<Caller, AuthenticateError>> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let token = shown.token.as_deref();
        let verdict = match token {
            Some("all") => Ok((None, Scope::All)),
            Some("rest") => Ok((None, Scope::all_but(names(&["a", "b"])))),
            Some(tenant @ ("a" | "b")) => Ok((Some(tenant.into()), Scope::only(names(&[tenant])))),
            Some("stranger") => Err(AuthenticateError::Denied("no agent".into())),
            _ => Err(AuthenticateError::Unauthenticated("no such token".into())),
        };
        let caller = verdict.map(|(realm, scope)| Caller {
            account: "some/agent".into(),
            role: Role::Agent,
            node: Some("agent-0".into()),
            realm,
            scope,
        });
        Box::pin(std::future::ready(caller))
    }
}

/// Everything that a server sent on some connections.
#[derive(Clone, Default)]
struct Wiretap(Arc<Mutex<Vec<u8>>>);

impl Wiretap {
    /// Lets connections through to a server, and writes down what it sends.
    async fn start(&self, server: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tap = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                    let _ = to_server.shutdown().await;
                });
                let tap = tap.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(len @ 1..) = from_server.read(&mut buffer).await {
                        tap.0.lock().unwrap().extend_from_slice(&buffer[..len]);
                        if to_client.write_all(&buffer[..len]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn heard(&self, what: &[u8]) -> bool {
        let heard = self.0.lock().unwrap();
        heard.windows(what.len()).any(|window| window == what)
    }
}

async fn server() -> Running {
    let publisher = Publisher::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = Server::new(publisher.clone(), ServerConfig::default());
    let server = server.authenticating(Arc::new(Tenants));
    let server: JoinHandle<_> =
        tokio::spawn(server.serve(listener, shutdown.clone().cancelled_owned()));
    Running {
        publisher,
        address,
        shutdown,
        server,
    }
}

async fn open(address: SocketAddr, token: Option<&str>) -> Result<Agent, Status> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    let mut client = SnapshotDiscoveryClient::new(channel.connect().await.unwrap());
    let (outbound, messages) = mpsc::channel(8);
    let mut request = Request::new(ReceiverStream::new(messages));
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let inbound = client.stream_snapshots(request).await?.into_inner();
    Ok(Agent { outbound, inbound })
}

/// An agent with what it holds, behind a wiretap of its own.
struct Tenant {
    token: &'static str,
    address: SocketAddr,
    tap: Wiretap,
    agent: Agent,
    held: BTreeSet<String>,
    digest: String,
}

impl Tenant {
    async fn new(running: &Running, token: &'static str) -> Self {
        let tap = Wiretap::default();
        let address = tap.start(running.address).await;
        let mut agent = open(address, Some(token)).await.unwrap();
        agent.subscribe("agent-0").await;
        let mut tenant = Self {
            token,
            address,
            tap,
            agent,
            held: BTreeSet::new(),
            digest: String::new(),
        };
        tenant.follow().await;
        tenant
    }

    /// Takes a step; how many resources it changed.
    async fn follow(&mut self) -> usize {
        let step = self.agent.step().await;
        self.agent.ack(&step[0], &[]).await;
        let mut changes = 0;
        for message in step {
            changes += message.upserts.len() + message.removed.len();
            for name in message.removed {
                assert!(self.held.remove(&name), "{name}");
            }
            let upserts = message.upserts.into_iter();
            self.held.extend(upserts.map(|resource| resource.name));
            self.digest = message.version.unwrap().digest;
        }
        changes
    }

    /// Breaks the connection, and comes back with what it holds, or says that it holds.
    async fn come_back(&mut self, digest: String, held: &[&str]) -> usize {
        self.agent = open(self.address, Some(self.token)).await.unwrap();
        let held = held.iter().map(|name| v1::ResourceVersion {
            name: (*name).into(),
            version: "0".repeat(32),
        });
        let subscribe = v1::Subscribe {
            node: Some(v1::Node {
                id: "agent-0".into(),
                ..v1::Node::default()
            }),
            digest,
            held: held.collect(),
            more: false,
        };
        self.agent.send(Message::Subscribe(subscribe)).await;
        self.follow().await
    }
}

fn wrap(body: Body) -> v1::Resource {
    v1::Resource {
        body: Some(body),
        ..v1::Resource::default()
    }
}

fn key() -> rcgen::KeyPair {
    rcgen::KeyPair::generate().unwrap()
}

fn certificate(key: &rcgen::KeyPair) -> v1::Resource {
    wrap(Body::Certificate(v1::Certificate {
        private_key_pem: key.serialize_pem().into_bytes().into(),
        ..v1::Certificate::default()
    }))
}

fn listener(tenant: &str, certificate: &str) -> v1::Resource {
    wrap(Body::Listener(v1::Listener {
        gateway: format!("gateway/{tenant}/edge"),
        certificates: vec![certificate.into()],
        bind_port: 10_443,
        protocol: v1::Protocol::Https.into(),
        ..v1::Listener::default()
    }))
}

fn route(tenants: &[&str], backend: &str) -> v1::Resource {
    let bindings = tenants.iter().map(|tenant| v1::Binding {
        listener: format!("listener/{tenant}/edge/https"),
        ..v1::Binding::default()
    });
    wrap(Body::Route(v1::Route {
        bindings: bindings.collect(),
        backends: vec![v1::WeightedBackend {
            weight: 1,
            target: Some(Target::Backend(format!("backend/{backend}/app"))),
            ..v1::WeightedBackend::default()
        }],
        ..v1::Route::default()
    }))
}

/// A Gateway of a tenant with a certificate, a route and a backend.
fn tenant(name: &str, key: &rcgen::KeyPair) -> Vec<(String, v1::Resource)> {
    let gateway = Body::Gateway(v1::Gateway::default());
    let endpoints = Body::Endpoints(v1::Endpoints {
        backend: format!("backend/{name}/app"),
        ..v1::Endpoints::default()
    });
    vec![
        (format!("gateway/{name}/edge"), wrap(gateway)),
        (
            format!("listener/{name}/edge/https"),
            listener(name, &format!("certificate/{name}/edge")),
        ),
        (format!("certificate/{name}/edge"), certificate(key)),
        (
            format!("route/HTTPRoute/{name}/app/0"),
            route(&[name], name),
        ),
        (
            format!("backend/{name}/app"),
            wrap(Body::Backend(v1::Backend::default())),
        ),
        (format!("endpoints/{name}/app"), wrap(endpoints)),
    ]
}

fn heard(tap: &Wiretap, key: &rcgen::KeyPair) -> bool {
    let pem = key.serialize_pem();
    let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let lines = body.iter().any(|line| tap.heard(line.as_bytes()));
    lines || tap.heard(key.serialized_der())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_agent_hears_the_key_of_another_tenant() {
    let running = server().await;
    let (key_a, key_b, key_c) = (key(), key(), key());
    let all = [
        tenant("a", &key_a),
        tenant("b", &key_b),
        tenant("c", &key_c),
    ]
    .concat();
    running.publisher.update(all, Vec::new());
    let mut a = Tenant::new(&running, "a").await;
    let mut b = Tenant::new(&running, "b").await;
    let rest = Tenant::new(&running, "rest").await;
    let whole = Tenant::new(&running, "all").await;
    let names = |name| {
        let resources = tenant(name, &key_a).into_iter();
        resources.map(|(name, _)| name).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        (&a.held, &b.held, &rest.held),
        (&names("a"), &names("b"), &names("c"))
    );
    assert_eq!(whole.held.len(), 18);

    // A certificate is renewed, and only those who serve it hear of that.
    let renewed = key();
    let update = vec![("certificate/b/edge".into(), certificate(&renewed))];
    running.publisher.update(update, Vec::new());
    assert_eq!(b.follow().await, 1);
    // A route moves from one to the other, with what it leads to, and back to both.
    let app = "route/HTTPRoute/a/app/0";
    let update = vec![(app.into(), route(&["b"], "a"))];
    running.publisher.update(update, Vec::new());
    assert_eq!((a.follow().await, b.follow().await), (3, 3));
    assert!(!a.held.contains(app) && b.held.contains("endpoints/a/app"));
    let update = vec![(app.into(), route(&["a", "b"], "a"))];
    running.publisher.update(update, Vec::new());
    // To b it is what it was: it sees its own listener alone.
    assert_eq!(a.follow().await, 3);
    // They come back: with the digest of what they hold nothing comes again.
    let digest = b.digest.clone();
    assert_eq!(b.come_back(digest, &[]).await, 0);
    // One that has held everything before gives up what is not its own.
    a.held.insert("certificate/b/edge".into());
    let before = whole.digest.clone();
    assert_eq!(
        a.come_back(before, &["certificate/a/edge", "certificate/b/edge"])
            .await,
        7
    );
    assert_eq!(a.held, names("a"));
    // A Gateway goes, and with it all that nobody else needs.
    running
        .publisher
        .update(Vec::new(), vec!["gateway/b/edge".into()]);
    b.follow().await;
    assert_eq!(b.held, BTreeSet::new());

    for (tap, own, others) in [
        (&a.tap, vec![&key_a], vec![&key_b, &renewed, &key_c]),
        (&b.tap, vec![&key_b, &renewed], vec![&key_a, &key_c]),
        (&rest.tap, vec![&key_c], vec![&key_a, &key_b, &renewed]),
        (&whole.tap, vec![&key_a, &key_b, &key_c], vec![]),
    ] {
        assert!(own.into_iter().all(|key| heard(tap, key)));
        assert!(!others.into_iter().any(|key| heard(tap, key)));
    }
    assert!(!a.tap.heard(b"listener/b/edge"), "not even names");
    assert_eq!(running.publisher.scopes_served(), 3);
    drop((a, b, rest, whole));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_token_nothing_comes() {
    let running = server().await;
    running.publisher.update(tenant("a", &key()), Vec::new());
    for (token, code) in [
        (None, Code::Unauthenticated),
        (Some("wrong"), Code::Unauthenticated),
        (Some("stranger"), Code::PermissionDenied),
    ] {
        let tap = Wiretap::default();
        let address = tap.start(running.address).await;
        let error = open(address, token).await.err().unwrap();
        assert_eq!(error.code(), code);
        for what in [
            &b"PRIVATE KEY"[..],
            b"certificate/",
            b"gateway/",
            b"listener/",
        ] {
            assert!(!tap.heard(what));
        }
    }
    assert_eq!(running.publisher.metrics().callers_refused(), 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_the_same_name_are_told_apart_by_their_namespaces() {
    let running = server().await;
    running.publisher.update(tenant("a", &key()), Vec::new());
    let mut all = Tenant::new(&running, "all").await;
    let a = Tenant::new(&running, "a").await;
    let b = Tenant::new(&running, "b").await;
    running.publisher.update(
        vec![("certificate/a/edge".into(), certificate(&key()))],
        vec![],
    );
    assert_eq!(all.follow().await, 1, "nobody took over");
    let fleet = running.publisher.fleet_acks();
    let fleet = fleet.borrow().clone();
    let served = |node: &str| {
        let agent = &fleet.agents[node];
        (agent.scope.has("b"), agent.serves.gateways.len())
    };
    assert_eq!(fleet.agents.len(), 3);
    assert_eq!(served("agent-0"), (true, 1));
    assert_eq!(served("a/agent-0"), (false, 1));
    assert_eq!(served("b/agent-0"), (true, 0));
    // Nobody gives himself the name of another.
    let mut agent = open(running.address, Some("rest")).await.unwrap();
    agent.subscribe("a/agent-0").await;
    assert_eq!(
        agent.message().await.unwrap_err().code(),
        Code::PermissionDenied
    );
    drop((all, a, b, agent));
    running.stop().await;
}
