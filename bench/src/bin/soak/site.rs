//! An edge with origins of all kinds behind it.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use novaedge_bench::{traffic::Client, world};
use tokio::time::sleep;
use tokio_rustls::rustls::ClientConfig;

use crate::{
    authority::{Authority, Identity, Memory, Version},
    edge::{Edge, File},
    manifests::{Transport, documents, endpoints, gateway, route, service},
    origin::{self, Origin},
    ports::Ports,
    steps::{Presence, Steps},
};

/// The host of HTTP that is always served.
pub const HOST: &str = "live.example.com";
/// The host of gRPC.
pub const GRPC: &str = "grpc.example.com";
/// The host of TLS that is passed through.
pub const SNI: &str = "sni.example.com";
/// The Service behind [`HOST`].
pub const SERVICE: &str = "live";

/// Origins over HTTP/1.1: routes go to one or several of them.
const ORIGINS: usize = 4;
/// Ports of listeners that come and go.
pub const EXTRA: usize = 12;

/// Longer than any edit takes to be served.
const SERVED: Duration = Duration::from_secs(2);

/// Where the agent listens.
#[derive(Debug)]
pub struct Listeners {
    /// HTTP/1.1 and HTTP/2.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
    /// TCP.
    pub tcp: SocketAddr,
    /// TLS that is passed through by its server name.
    pub sni: SocketAddr,
    /// UDP.
    pub udp: SocketAddr,
    /// Those that come and go.
    pub extra: Vec<SocketAddr>,
}

/// Where the origins listen.
#[derive(Debug)]
pub struct Origins {
    /// HTTP/1.1 and WebSocket.
    pub http: Vec<SocketAddr>,
    grpc: SocketAddr,
    tls: SocketAddr,
    tcp: SocketAddr,
    udp: SocketAddr,
}

/// All of it.
pub struct Site {
    /// Control plane and agent.
    pub edge: Edge,
    /// Where the agent listens.
    pub at: Arc<Listeners>,
    /// What changes.
    pub steps: Steps,
    /// Settings of clients over TLS.
    pub tls: Arc<ClientConfig>,
    _origins: Vec<Origin>,
}

impl Listeners {
    /// Free ones.
    pub fn choose() -> anyhow::Result<Self> {
        let mut ports = Ports::new();
        Ok(Self {
            http: ports.next()?,
            https: ports.next()?,
            tcp: ports.next()?,
            sni: ports.next()?,
            udp: ports.next()?,
            extra: (0..EXTRA).map(|_| ports.next()).collect::<Result<_, _>>()?,
        })
    }
}

impl Site {
    /// Starts everything, and waits until it serves.
    pub async fn start(binaries: &Path) -> anyhow::Result<Self> {
        let authority = Authority::new()?;
        let tls = authority.client(Version::Tls13, Memory::Remembers)?;
        let at = Arc::new(Listeners::choose()?);
        let (origins, running) = start_origins(&authority.issue(0)?).await?;
        let mut files = vec![("system.yaml".to_owned(), Some(system(&at, &origins)))];
        let steps = Steps::new(Arc::clone(&at), origins, authority);
        files.extend(steps.initial()?);
        let edge = Edge::start(binaries, &files)?;
        edge.settle(at.http, HOST).await?;
        Ok(Self {
            edge,
            at,
            steps,
            tls,
            _origins: running,
        })
    }

    /// Takes one step.
    pub fn step(&mut self) -> anyhow::Result<()> {
        let files: Vec<File> = self.steps.next()?;
        self.edge.save(&files)
    }

    /// Puts everything back to where it began.
    pub fn restore(&mut self) -> anyhow::Result<()> {
        self.steps.restore();
        self.edge.save(&self.steps.initial()?)
    }

    /// What is served otherwise than it is written, once there was time to serve it.
    pub async fn differences(&self) -> anyhow::Result<Vec<String>> {
        sleep(SERVED).await;
        let mut differences = Vec::new();
        for (host, version) in self.steps.hosts() {
            let mut client = Client::connect(self.at.http)?;
            let answer = client.get(&host, "/")?;
            let wanted = version.map_or(404, |_| 200);
            let shown = answer.header(world::VERSION_HEADER);
            let version = version.map(|version| version.to_string());
            if answer.status != wanted || shown != version.as_deref() {
                differences.push(format!("{host}: {} {shown:?}", answer.status));
            }
        }
        for (address, wanted) in self.steps.listeners() {
            let open = Presence::from(std::net::TcpStream::connect(address).is_ok());
            if open != wanted {
                differences.push(format!("{address}: {open:?}, wanted {wanted:?}"));
            }
        }
        Ok(differences)
    }

    /// Snapshots that the agent applied.
    pub async fn applied(&self) -> anyhow::Result<u64> {
        let metrics = self.edge.metrics().await?;
        Ok(metrics.count("novaedge_snapshot_steps_total", ""))
    }
}

async fn start_origins(identity: &Identity) -> anyhow::Result<(Origins, Vec<Origin>)> {
    let mut running = Vec::new();
    for _ in 0..ORIGINS {
        running.push(origin::http1::start().await?);
    }
    let http = running.iter().map(|origin| origin.address).collect();
    let grpc = origin::grpc::start().await?;
    let tls = origin::stream::tls(identity.server()?).await?;
    let tcp = origin::stream::tcp().await?;
    let udp = origin::udp::start().await?;
    let origins = Origins {
        http,
        grpc: grpc.address,
        tls: tls.address,
        tcp: tcp.address,
        udp: udp.address,
    };
    running.extend([grpc, tls, tcp, udp]);
    Ok((origins, running))
}

/// Everything that stays as it is.
fn system(at: &Listeners, origins: &Origins) -> String {
    let listeners = [
        format!("name: tcp, protocol: TCP, port: {}", at.tcp.port()),
        format!(
            "name: sni, protocol: TLS, port: {}, tls: {{mode: Passthrough}}",
            at.sni.port()
        ),
        format!("name: udp, protocol: UDP, port: {}", at.udp.port()),
    ];
    documents([
        world::gateway(at.http.port(), at.https.port()),
        gateway("streams", &listeners),
        route("GRPCRoute", "grpc", "gw", Some(GRPC), "grpc"),
        route("TCPRoute", "tcp", "streams/tcp", None, "tcp"),
        route("TLSRoute", "sni", "streams/sni", Some(SNI), "tls"),
        route("UDPRoute", "udp", "streams/udp", None, "udp"),
        service(SERVICE, Transport::Tcp),
        service("grpc", Transport::Http2),
        endpoints("grpc", Transport::Http2, &[origins.grpc]),
        service("tls", Transport::Tcp),
        endpoints("tls", Transport::Tcp, &[origins.tls]),
        service("tcp", Transport::Tcp),
        endpoints("tcp", Transport::Tcp, &[origins.tcp]),
        service("udp", Transport::Udp),
        endpoints("udp", Transport::Udp, &[origins.udp]),
    ])
}
