//! A worker behind a listening socket, and what a test says to it.

use std::cell::RefCell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use novaedge_proto::v1;
use novaedge_proxy::{
    Config, Drain, Live, Metrics, Resolve, Resolving, Runtime, TlsConfigs, Worker,
};
use novaedge_router::client_hello::{ClientHelloReader, Progress};
use novaedge_router::{SocketKey, TablesBuilder, Transport};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

pub mod client;
pub mod origin;
pub mod resources;
pub mod tls;

/// Runs a test on one core, as a worker does.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(30), test)
            .await
            .expect("the test takes too long");
    });
}

/// Names `one.test` and `two.test`: loopback. Everything else does not exist.
struct Names;

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        let found = match name {
            "one.test" | "two.test" => Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        Box::pin(std::future::ready(found))
    }
}

/// A worker that serves one socket.
pub struct Bed {
    pub worker: Rc<Worker>,
    pub metrics: Arc<Metrics>,
    pub address: SocketAddr,
    pub drain: Drain,
    live: Live,
    builder: RefCell<TablesBuilder>,
}

impl Bed {
    /// Serves the resources that `resources` makes for the port.
    pub async fn new(resources: impl FnOnce(u16) -> Vec<v1::Resource>) -> Rc<Self> {
        Self::with(Config::default(), resources).await
    }

    pub async fn with(
        config: Config,
        resources: impl FnOnce(u16) -> Vec<v1::Resource>,
    ) -> Rc<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let live = Live::new(ArcSwap::from_pointee(Runtime {
            tables: Arc::default(),
            tls: Arc::new(TlsConfigs::default()),
        }));
        let metrics = Arc::new(Metrics::default());
        let worker = Worker::new(
            Arc::new(config),
            Arc::clone(&live),
            Arc::clone(&metrics),
            Rc::new(Names),
            7,
        );
        let bed = Rc::new(Self {
            worker,
            metrics,
            address,
            drain: Drain::new(),
            live,
            builder: RefCell::default(),
        });
        let rejected = bed.apply(resources(address.port()), &[]);
        assert!(rejected.is_empty(), "{rejected:?}");
        tokio::task::spawn_local(Rc::clone(&bed).accept(socket));
        bed
    }

    /// One step of a snapshot; the answer is what was refused.
    pub fn apply(&self, upserts: Vec<v1::Resource>, removed: &[&str]) -> Vec<v1::RejectedResource> {
        let removed: Vec<String> = removed.iter().map(|name| (*name).to_owned()).collect();
        let (tables, mut rejected) = self.builder.borrow_mut().apply(upserts, &removed);
        let (tls, more) = TlsConfigs::build(&tables, &self.live.load().tls);
        rejected.extend(more);
        self.live.store(Arc::new(Runtime { tables, tls }));
        rejected
    }

    fn key(&self) -> SocketKey {
        SocketKey {
            address: Ipv4Addr::UNSPECIFIED.into(),
            port: self.address.port(),
            transport: Transport::Tcp,
        }
    }

    async fn accept(self: Rc<Self>, socket: TcpListener) {
        loop {
            let (stream, peer) = socket.accept().await.unwrap();
            let bed = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                let tables = Arc::clone(&bed.live.load().tables);
                let secure = matches!(
                    tables.sockets.get(&bed.key()).map(|socket| &**socket),
                    Some(novaedge_router::Socket::Tls(_))
                );
                if secure {
                    bed.accept_tls(stream, peer).await;
                } else {
                    Rc::clone(&bed.worker)
                        .serve_http(stream, peer, bed.key(), bed.drain.clone())
                        .await;
                }
            });
        }
    }

    /// What the layer 4 data path does for the agent.
    async fn accept_tls(&self, mut stream: TcpStream, peer: SocketAddr) {
        let mut received = Vec::new();
        let mut reader = ClientHelloReader::new();
        let hello = loop {
            if stream.read_buf(&mut received).await.unwrap() == 0 {
                return;
            }
            match reader.advance(&received) {
                Progress::Incomplete => {}
                Progress::Complete(hello) => break hello,
                Progress::Invalid(_) => return,
            }
        };
        Rc::clone(&self.worker)
            .serve_https(
                stream,
                received,
                hello,
                peer,
                self.key(),
                self.drain.clone(),
            )
            .await;
    }
}
