//! A checker with one backend, a group that goes by it, and origins that can be told what to answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use novaedge_balance::{Group, Member, Pick, Site};
use novaedge_check::{Checks, Counters, Verdicts};
use novaedge_proto::v1::{self, resource::Body};
use novaedge_proxy::{Live, Resolve, Resolving, Runtime, TlsConfigs};
use novaedge_router::{Tables, TablesBuilder};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio_rustls::TlsAcceptor;

const NAME: &str = "backend/default/a";

/// A test gives up after this.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test on one thread, with local tasks.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(LIMIT, test).await.expect("in time");
    });
}

/// A checker at work, which asks each 50 ms and gives up after 200.
pub struct Bed {
    pub counters: Arc<Counters>,
    live: Live,
    builder: TablesBuilder,
    group: Group<Member>,
    backend: v1::Backend,
    swap: watch::Sender<()>,
    version: u64,
}

struct NoNames;

impl Resolve for NoNames {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Bed {
    pub fn new(probe: v1::health_check::Probe, ports: &[u16]) -> Self {
        Self::start(probe, ports, |_| {}, Vec::new())
    }

    pub fn with(
        probe: v1::health_check::Probe,
        ports: &[u16],
        change: impl FnOnce(&mut v1::Backend),
    ) -> Self {
        Self::start(probe, ports, change, Vec::new())
    }

    pub fn checked(
        probe: v1::health_check::Probe,
        ports: &[u16],
        change: impl FnOnce(&mut v1::HealthCheck),
    ) -> Self {
        let change = |backend: &mut v1::Backend| change(backend.health_check.as_mut().unwrap());
        Self::start(probe, ports, change, Vec::new())
    }

    /// Over TLS, with this server name.
    pub fn secure(
        probe: v1::health_check::Probe,
        ports: &[u16],
        secure: &Secure,
        name: &str,
    ) -> Self {
        let tls = v1::BackendTls {
            server_name: name.into(),
            trust_bundles: vec!["trust/default/a".into()],
            subject_alt_names: Vec::new(),
        };
        let bundle = v1::TrustBundle {
            ca_pem: secure.pem.clone().into(),
        };
        let bundle = resource("trust/default/a", Body::TrustBundle(bundle));
        let change = |backend: &mut v1::Backend| backend.tls = Some(tls);
        Self::start(probe, ports, change, vec![bundle])
    }

    fn start(
        probe: v1::health_check::Probe,
        ports: &[u16],
        change: impl FnOnce(&mut v1::Backend),
        more: Vec<v1::Resource>,
    ) -> Self {
        let mut backend = v1::Backend {
            health_check: Some(v1::HealthCheck {
                probe: Some(probe),
                interval_ms: 50,
                timeout_ms: 200,
                healthy_threshold: 2,
                unhealthy_threshold: 2,
                port: 0,
            }),
            panic_percent: Some(0),
            ..v1::Backend::default()
        };
        change(&mut backend);
        let live: Live = Arc::new(ArcSwap::from_pointee(Runtime {
            tables: Arc::new(Tables::default()),
            tls: Arc::new(TlsConfigs::default()),
        }));
        let site = Site::default();
        let (swap, swapped) = watch::channel(());
        let counters = Arc::new(Counters::default());
        let mut bed = Self {
            counters: Arc::clone(&counters),
            live: Arc::clone(&live),
            builder: TablesBuilder::new(),
            group: Group::new(NAME.into(), 0, &site),
            backend,
            swap,
            version: 0,
        };
        bed.apply(more);
        bed.apply(vec![bed.wire(), endpoints(ports)]);
        let checks = Checks {
            live,
            resolver: Rc::new(NoNames),
            verdicts: Verdicts::clone(&site.verdicts),
            counters,
        };
        tokio::task::spawn_local(novaedge_check::run(checks, swapped));
        bed
    }

    /// The backend has these endpoints from now on.
    pub fn endpoints(&mut self, ports: &[u16]) {
        self.apply(vec![endpoints(ports)]);
    }

    /// The check is another one from now on.
    pub fn check(&mut self, change: impl FnOnce(&mut v1::HealthCheck)) {
        change(self.backend.health_check.as_mut().unwrap());
        self.apply(vec![self.wire()]);
    }

    pub fn no_check(&mut self) {
        self.backend.health_check = None;
        self.apply(vec![self.wire()]);
    }

    fn wire(&self) -> v1::Resource {
        resource(NAME, Body::Backend(self.backend.clone()))
    }

    fn apply(&mut self, mut upserts: Vec<v1::Resource>) {
        for upsert in &mut upserts {
            self.version += 1;
            upsert.version = self.version.to_string();
        }
        let (tables, rejected) = self.builder.apply(upserts, &[]);
        assert_eq!(rejected, []);
        let (tls, rejected) = TlsConfigs::build(&tables, &self.live.load().tls);
        assert_eq!(rejected, []);
        self.live.store(Arc::new(Runtime { tables, tls }));
        self.swap.send_replace(());
    }

    /// Waits until each endpoint was asked a few times more, and exactly these are chosen.
    pub async fn settle(&mut self, expect: &[u16]) {
        let expect: BTreeSet<u16> = expect.iter().copied().collect();
        let asked = |counters: &Counters| counters.passed() + counters.failed();
        let enough = asked(&self.counters) + 2;
        let mut chosen = BTreeSet::new();
        while chosen != expect || (asked(&self.counters) < enough && self.counters.checked() > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            chosen = self.chosen();
        }
    }

    fn chosen(&self) -> BTreeSet<u16> {
        let runtime = self.live.load();
        let backend = runtime.tables.backends.get(NAME).unwrap();
        let now = Instant::now();
        let make = |endpoint: &_| Member::new(Clone::clone(endpoint));
        let (endpoints, balancing) = (&backend.endpoints, &backend.balancing);
        self.group.update(endpoints, balancing, || now, make);
        let pick = Pick {
            now,
            key: 0,
            random: 0,
        };
        let chosen = (0..16).filter_map(|_| self.group.choose(pick, |_| false));
        chosen.map(|member| member.endpoint().port).collect()
    }
}

fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        version: String::new(),
        body: Some(body),
    }
}

fn endpoints(ports: &[u16]) -> v1::Resource {
    let endpoints = ports.iter().map(|port| v1::Endpoint {
        address: "127.0.0.1".into(),
        port: (*port).into(),
        ..v1::Endpoint::default()
    });
    let body = v1::Endpoints {
        backend: NAME.into(),
        endpoints: endpoints.collect(),
    };
    resource("endpoints/default/a", Body::Endpoints(body))
}

/// A request that an origin got.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub host: String,
    pub body: Vec<u8>,
}

/// A server that answers as it is told.
pub struct Origin {
    pub port: u16,
    status: Cell<StatusCode>,
    grpc: Cell<Option<u8>>,
    seen: RefCell<Vec<Seen>>,
    came: Notify,
}

impl Origin {
    pub async fn http1() -> Rc<Self> {
        Self::start(false, None).await
    }

    pub async fn http2() -> Rc<Self> {
        Self::start(true, None).await
    }

    async fn start(http2: bool, tls: Option<TlsAcceptor>) -> Rc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Rc::new(Self {
            port: listener.local_addr().unwrap().port(),
            status: Cell::new(StatusCode::OK),
            grpc: Cell::new(None),
            seen: RefCell::default(),
            came: Notify::new(),
        });
        let serving = Rc::clone(&origin);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (origin, tls) = (Rc::clone(&serving), tls.clone());
                tokio::task::spawn_local(async move {
                    match tls {
                        None => origin.serve(stream, http2).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                origin.serve(stream, http2).await;
                            }
                        }
                    }
                });
            }
        });
        origin
    }

    async fn serve(
        self: Rc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        http2: bool,
    ) {
        let service = service_fn(|request| {
            let origin = Rc::clone(&self);
            async move { Ok::<_, Infallible>(origin.take(request).await) }
        });
        let stream = TokioIo::new(stream);
        if http2 {
            let builder = http2::Builder::new(Local);
            let _ = builder.serve_connection(stream, service).await;
        } else {
            let _ = http1::Builder::new()
                .serve_connection(stream, service)
                .await;
        }
    }

    async fn take(&self, request: Request<Incoming>) -> Response<Answer> {
        let (head, body) = request.into_parts();
        let field = head
            .headers
            .get(header::HOST)
            .map(|host| host.to_str().unwrap());
        let host = field.or(head.uri.authority().map(Authority::as_str));
        let seen = Seen {
            method: head.method.to_string(),
            target: head.uri.path_and_query().unwrap().to_string(),
            host: host.unwrap().to_owned(),
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        };
        self.seen.borrow_mut().push(seen);
        self.came.notify_waiters();
        let Some(serving) = self.grpc.get() else {
            let mut response = Response::new(Full::default().boxed());
            *response.status_mut() = self.status.get();
            return response;
        };
        let message = Bytes::from(vec![0, 0, 0, 0, 2, 8, serving]);
        let trailers = async {
            let status = HeaderValue::from_static("0");
            Some(Ok(HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                status,
            )])))
        };
        Response::new(Full::new(message).with_trailers(trailers).boxed())
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: StatusCode) {
        self.status.set(status);
    }

    /// Answers as a gRPC server in this serving status from now on.
    pub fn answer_grpc(&self, serving: u8) {
        self.grpc.set(Some(serving));
    }

    pub fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// A request that came.
    pub async fn next(&self) -> Seen {
        self.until(|_| true).await
    }

    /// The first request of this kind.
    pub async fn until(&self, is_wanted: impl Fn(&Seen) -> bool) -> Seen {
        loop {
            let came = self.came.notified();
            let found = self
                .seen
                .borrow()
                .iter()
                .find(|seen| is_wanted(seen))
                .cloned();
            if let Some(seen) = found {
                return seen;
            }
            came.await;
        }
    }
}

type Answer = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// Runs tasks of connections on this thread.
#[derive(Clone)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async {
            future.await;
        });
    }
}

/// An authority for certificates of origins.
pub struct Secure {
    pub pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Secure {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            pem: params.self_signed(&key).unwrap().pem().into_bytes(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An origin of HTTP/1.1 over TLS whose certificate has this name.
    pub async fn origin(&self, name: &str) -> Rc<Origin> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        Origin::start(false, Some(TlsAcceptor::from(Arc::new(config)))).await
    }
}

/// A port where nobody listens.
pub async fn refusing() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// A port where connections are accepted and nothing is said.
pub async fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        let mut held: Vec<TcpStream> = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap().0);
        }
    });
    port
}

/// A port, and all that the first connection to it says.
pub async fn listening() -> (u16, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (say, heard) = oneshot::channel();
    tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        let _ = say.send(text);
    });
    (port, heard)
}
