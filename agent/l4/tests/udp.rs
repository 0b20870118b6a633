//! UDP sessions over real sockets: their ends, their limits, their end.
#![allow(clippy::unwrap_used)] // a harness may panic

use std::cell::RefCell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use novaedge_l4::{
    Counters, ErrorKind, Limits, Resolve, Resolving, Source, TlsLookup, View, Worker,
};
use novaedge_proto::v1::{self, resource::Body};
use novaedge_router::{SocketKey, Tables, TablesBuilder, Transport};
use rustls::{ClientConfig, ServerConfig};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

struct NoTls;

impl TlsLookup for NoTls {
    fn server(&self, _: &str) -> Option<Arc<ServerConfig>> {
        None
    }

    fn client(&self, _: &str, _: Option<&str>) -> Option<Arc<ClientConfig>> {
        None
    }
}

#[derive(Clone, Default)]
struct Snapshot(Rc<RefCell<Arc<Tables>>>);

impl Source for Snapshot {
    fn with<R>(&self, look: impl FnOnce(View<'_>) -> R) -> R {
        look(View {
            tables: &self.0.borrow(),
            tls: &NoTls,
        })
    }
}

struct NoNames;

impl Resolve for NoNames {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        Box::pin(async { Err(std::io::ErrorKind::NotFound.into()) })
    }
}

/// A worker that serves one UDP port.
struct Bed {
    port: u16,
    counters: Arc<Counters>,
    snapshot: Snapshot,
    builder: RefCell<TablesBuilder>,
}

impl Bed {
    async fn new(address: &str, limits: Limits, origins: &[u16]) -> Self {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let counters = Arc::new(Counters::default());
        let bed = Self {
            port,
            counters: Arc::clone(&counters),
            snapshot: Snapshot::default(),
            builder: RefCell::default(),
        };
        let listener = v1::Listener {
            gateway: "gateway/d/g".into(),
            port: port.into(),
            bind_port: port.into(),
            protocol: v1::Protocol::Udp.into(),
            ..Default::default()
        };
        let gateway = resource("gateway/d/g", Body::Gateway(v1::Gateway::default()));
        let listener = resource("listener/d/g/udp", Body::Listener(listener));
        let backend = resource("backend/d/a", Body::Backend(v1::Backend::default()));
        bed.apply(vec![
            gateway,
            listener,
            route(1),
            backend,
            endpoints(origins),
        ]);
        let names = Rc::new(NoNames);
        let worker = Worker::new(
            0,
            bed.snapshot.clone(),
            names,
            limits,
            counters,
            Arc::default(),
        );
        let key = SocketKey {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port,
            transport: Transport::Udp,
        };
        tokio::task::spawn_local(worker.serve_udp(socket, key));
        bed
    }

    fn apply(&self, upserts: Vec<v1::Resource>) {
        let (tables, rejected) = self.builder.borrow_mut().apply(upserts, &[]);
        assert_eq!(rejected, []);
        self.snapshot.0.replace(tables);
    }

    async fn client(&self, host: &str) -> UdpSocket {
        let any = if host.contains(':') { "::" } else { "0.0.0.0" };
        let client = UdpSocket::bind((any, 0)).await.unwrap();
        client.connect((host, self.port)).await.unwrap();
        client
    }

    fn active(&self) -> u64 {
        self.counters.udp_active_sessions.get()
    }
}

fn resource(name: &str, body: Body) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        version: String::new(),
        body: Some(body),
    }
}

fn route(weight: u32) -> v1::Resource {
    let backend = v1::WeightedBackend {
        weight,
        target: Some(v1::weighted_backend::Target::Backend("backend/d/a".into())),
        filters: vec![],
    };
    let body = v1::Route {
        r#ref: Some(v1::ObjectRef {
            kind: "UDPRoute".into(),
            namespace: "d".into(),
            name: "r".into(),
        }),
        kind: v1::RouteKind::Udp.into(),
        bindings: vec![v1::Binding {
            listener: "listener/d/g/udp".into(),
            hostnames: vec![],
        }],
        backends: vec![backend],
        ..Default::default()
    };
    resource("route/UDPRoute/d/r/0", Body::Route(body))
}

fn endpoints(ports: &[u16]) -> v1::Resource {
    let endpoints = ports.iter().map(|port| v1::Endpoint {
        address: "127.0.0.1".into(),
        port: (*port).into(),
        ..Default::default()
    });
    let body = v1::Endpoints {
        backend: "backend/d/a".into(),
        endpoints: endpoints.collect(),
    };
    resource("endpoints/d/a", Body::Endpoints(body))
}

/// Sends datagrams back, each with the port of the peer in front.
async fn origin() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let text = format!("{} ", peer.port());
            let answer = [text.as_bytes(), &buffer[..length]].concat();
            socket.send_to(&answer, peer).await.unwrap();
        }
    });
    port
}

/// Asks, and returns the port that the backend saw; `None`: no answer.
async fn ask(client: &UdpSocket) -> Option<u16> {
    client.send(b"hello").await.unwrap();
    let mut buffer = [0; 64];
    let received = timeout(Duration::from_millis(500), client.recv(&mut buffer)).await;
    let length = received.ok()?.unwrap();
    let answer = std::str::from_utf8(&buffer[..length]).unwrap();
    answer.strip_suffix(" hello").unwrap().parse().ok()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    run(async {
        let origin = origin().await;
        for address in ["0.0.0.0", "::", "127.0.0.2"] {
            if UdpSocket::bind((address, 0)).await.is_err() {
                continue; // IPv6 is off.
            }
            let bed = Bed::new(address, Limits::default(), &[origin]).await;
            let hosts: &[&str] = match address {
                "0.0.0.0" => &["127.0.0.1", "127.0.0.2", "127.1.2.3"],
                "::" => &["127.0.0.1", "127.0.0.2", "::1"],
                _ => &["127.0.0.2"],
            };
            for host in hosts {
                // A connected socket takes datagrams from the address that it sends to only.
                let client = bed.client(host).await;
                assert!(ask(&client).await.is_some(), "{address} {host}");
            }
        }
    });
}

#[test]
fn one_client_may_ask_two_addresses_at_once() {
    run(async {
        let bed = Bed::new("0.0.0.0", Limits::default(), &[origin().await]).await;
        let client = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let mut buffer = [0; 64];
        for _ in 0..2 {
            for host in [[127, 0, 0, 1], [127, 0, 0, 2]] {
                let asked = SocketAddr::from((host, bed.port));
                client.send_to(b"hello", asked).await.unwrap();
                let answer = timeout(Duration::from_secs(5), client.recv_from(&mut buffer));
                assert_eq!(answer.await.unwrap().unwrap().1, asked);
            }
        }
        assert_eq!(bed.counters.udp_sessions_total.get(), 2);
    });
}

#[test]
fn beyond_the_limit_the_session_unused_for_longest_goes() {
    run(async {
        let limits = Limits {
            udp_sessions: 2,
            ..Limits::default()
        };
        let bed = Bed::new("127.0.0.1", limits, &[origin().await]).await;
        let [a, b, c] = [
            bed.client("127.0.0.1").await,
            bed.client("127.0.0.1").await,
            bed.client("127.0.0.1").await,
        ];
        let port_a = ask(&a).await.unwrap();
        let port_b = ask(&b).await.unwrap();
        assert_eq!(ask(&a).await, Some(port_a), "a session keeps its socket");
        assert_eq!(bed.counters.udp_evicted_sessions_total.get(), 0);
        ask(&c).await.unwrap();
        assert_eq!(bed.counters.udp_evicted_sessions_total.get(), 1);
        assert_eq!(bed.active(), 2);
        assert_eq!(ask(&a).await, Some(port_a), "it was used after the other");
        assert_ne!(ask(&b).await, Some(port_b), "it begins anew");
        assert_eq!(bed.counters.udp_evicted_sessions_total.get(), 2);
        assert_eq!(bed.counters.udp_sessions_total.get(), 4);
        assert_eq!(bed.active(), 2);
    });
}

#[test]
fn an_idle_session_ends_and_a_used_one_stays() {
    run(async {
        let limits = Limits {
            udp_idle_timeout: Duration::from_millis(300),
            ..Limits::default()
        };
        let bed = Bed::new("127.0.0.1", limits, &[origin().await]).await;
        let (used, idle) = (bed.client("127.0.0.1").await, bed.client("127.0.0.1").await);
        let (port_used, port_idle) = (ask(&used).await.unwrap(), ask(&idle).await.unwrap());
        for _ in 0..8 {
            sleep(Duration::from_millis(100)).await;
            assert_eq!(ask(&used).await, Some(port_used));
        }
        assert_eq!(bed.active(), 1);
        assert_ne!(ask(&idle).await, Some(port_idle));
        sleep(Duration::from_millis(800)).await;
        assert_eq!(bed.active(), 0);
        assert_eq!(bed.counters.udp_evicted_sessions_total.get(), 0);
    });
}

#[test]
fn a_datagram_without_a_place_to_go_is_dropped_and_counted() {
    run(async {
        let origin = origin().await;
        let bed = Bed::new("127.0.0.1", Limits::default(), &[]).await;
        let client = bed.client("127.0.0.1").await;
        assert_eq!(ask(&client).await, None);
        assert_eq!(bed.counters.errors(ErrorKind::NoEndpoint), 1);
        bed.apply(vec![endpoints(&[origin])]);
        assert!(ask(&client).await.is_some());
        bed.apply(vec![route(0)]);
        assert_eq!(ask(&client).await, None, "a weight of 0 gets no traffic");
        bed.apply(vec![route(1)]);
        assert!(ask(&client).await.is_some());
        assert_eq!(bed.counters.udp_dropped_datagrams_total.get(), 2);
    });
}

#[test]
fn a_session_moves_when_its_endpoint_goes_and_only_then() {
    run(async {
        let (one, other) = (origin().await, origin().await);
        let bed = Bed::new("127.0.0.1", Limits::default(), &[one]).await;
        let client = bed.client("127.0.0.1").await;
        let port = ask(&client).await;
        bed.apply(vec![endpoints(&[one, other])]);
        assert_eq!(ask(&client).await, port);
        bed.apply(vec![endpoints(&[other])]);
        assert_ne!(ask(&client).await.unwrap(), port.unwrap());
        assert_eq!(bed.active(), 1);
    });
}
