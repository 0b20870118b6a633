//! A control plane in a Kubernetes cluster: watches, pipeline, writers, fleet and the gRPC endpoint, with
//! one owner. Every replica does all of it, but only the one that leads writes to the API server.

mod convert;
mod replicas;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use kube::Client;
use novaedge_fleet::{Agents, Gateways, Inputs, Reconciler, Settings};
use novaedge_identity::{
    Accounts, AgentAccount, AgentAccountError, FileKeeper, Files, Keeper, KeeperConfig, KubeReview,
    Material, Names, Verifier,
};
use novaedge_publish::{
    Exposure, FleetAcks, LogLimits, PeerTransport, Peers, PeersConfig, Publisher, Server,
    ServerConfig,
};
use novaedge_telemetry::{LogLevel, Tracer};
use novaedge_watch::{ClusterSource, Health};
use novaedge_write::{Elector, Intake, LeaseConfig, Resource, Timings, WriteConfig, Writer};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, Admin},
    metrics::{ClusterMetrics, Metrics},
    pipeline::{
        self, Pipeline, QUEUE,
        cluster::{Cluster, Word},
    },
};

/// How long an end in order may take: connections have 5 s, and the lease is let go of in 2 s.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Name of the lease that makes a replica the leader.
const LEASE: &str = "novaedge-control-plane";
/// The Service by which agents find the control plane.
const SERVICE: &str = "novaedge-control-plane";

/// Settings of a control plane in a cluster.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// Where agents connect.
    pub grpc: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin: SocketAddr,
    /// Name of this replica, unique: that of its pod.
    pub identity: String,
    /// Address of this replica's pod, which other replicas connect to.
    pub pod_ip: Option<IpAddr>,
    /// Settings of the fleet of agents, among them the namespace of the system.
    pub fleet: Settings,
    /// ServiceAccounts of agents besides the usual one, and the Gateways that each owns.
    pub agents: Vec<AgentAccount>,
    /// Authorities of agents' certificates (PEM), besides the tokens of their pods.
    pub client_authorities: Option<PathBuf>,
    /// The certificate of this replica, when it is not to make one itself.
    pub certificate: Option<CertificateFiles>,
    /// Whether the stream may leave this host in plaintext.
    pub plaintext: bool,
    /// Who makes the spans of traces. `None`: nobody.
    pub tracer: Option<Tracer>,
    /// The level of the process's log, for the admin endpoint. `None`: it can't be changed.
    pub log_level: Option<LogLevel>,
}

/// A certificate that somebody else makes and renews (PEM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities of all replicas' certificates.
    pub authorities: PathBuf,
}

/// A running control plane.
pub struct KubernetesControlPlane {
    grpc: SocketAddr,
    shutdown: CancellationToken,
    tasks: JoinSet<Result<(), KubernetesError>>,
}

/// Why a control plane did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// There is no way to the API server.
    #[error("no way to the API server: run in a pod with a service account, or set KUBECONFIG")]
    Client(#[source] Box<kube::Error>),
    /// An address cannot be used.
    #[error("cannot listen on {address}: choose another address with {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The accounts of agents contradict each other.
    #[error("--agents: {0}")]
    Agents(#[from] AgentAccountError),
    /// The files of the certificate cannot be used.
    #[error("no certificate for the endpoint")]
    Certificate(#[from] novaedge_identity::IdentityError),
    /// The gRPC server ended.
    #[error(transparent)]
    Serve(#[from] novaedge_publish::ServeError),
    /// A task ended that must not.
    #[error("an essential task ended: {0}")]
    Ended(&'static str),
}

impl KubernetesControlPlane {
    /// Starts all tasks with the cluster that the environment or KUBECONFIG tells of. Returns once the
    /// endpoints listen.
    pub async fn start(mut config: KubernetesConfig) -> Result<Self, KubernetesError> {
        let accounts = Accounts::with_agents(&config.fleet.namespace, &config.agents)?;
        config.fleet.agent_namespaces = accounts.agent_namespaces();
        for (account, scope) in &accounts.agents {
            tracing::info!(account, %scope, "agents of this ServiceAccount are let in");
        }
        let client = Client::try_default().await;
        let client = client.map_err(|error| KubernetesError::Client(Box::new(error)))?;
        let grpc = bind(config.grpc, "--grpc").await?;
        let admin = bind(config.admin, "--admin").await?;
        let address = grpc.local_addr().unwrap_or(config.grpc);
        let mut starting = Starting {
            publisher: Publisher::new(LogLimits::default()),
            written: Arc::new(novaedge_write::Metrics::default()),
            shutdown: CancellationToken::new(),
            tasks: JoinSet::new(),
            client,
            config,
        };
        let (leads, intake) = starting.writers();
        let transport = starting.endpoint(grpc, accounts, leads.clone()).await?;
        let acks = starting.peers(transport, address.port());
        let (health, metrics) = starting.flow(intake, leads, acks);
        starting.admin(admin, health, metrics);
        Ok(Self {
            grpc: address,
            shutdown: starting.shutdown,
            tasks: starting.tasks,
        })
    }

    /// Where agents connect.
    pub fn address(&self) -> SocketAddr {
        self.grpc
    }

    /// Waits until a task ends by itself, which none should.
    pub async fn failed(&mut self) -> KubernetesError {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) => KubernetesError::Ended("it returned"),
            Some(Err(_)) => KubernetesError::Ended("it panicked"),
            None => KubernetesError::Ended("there is none"),
        }
    }

    /// Ends all tasks in order: agents are told to go to another replica, and the lease is let go of.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
            tracing::warn!("not all tasks of the control plane ended in time");
        }
    }
}

/// A control plane in the making.
struct Starting {
    client: Client,
    config: KubernetesConfig,
    publisher: Publisher,
    written: Arc<novaedge_write::Metrics>,
    shutdown: CancellationToken,
    tasks: JoinSet<Result<(), KubernetesError>>,
}

impl Starting {
    /// Runs a task until it ends by itself, as it should at shutdown alone.
    fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            work.await;
            Ok(())
        });
    }

    /// Runs a task until the shutdown.
    fn run_until_shutdown(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let token = self.shutdown.clone();
        self.run(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// The election and the writers of statuses and native objects.
    fn writers(&mut self) -> (watch::Receiver<bool>, Intake) {
        let write = WriteConfig {
            identity: self.config.identity.clone(),
            ..WriteConfig::default()
        };
        let metrics = Arc::clone(&self.written);
        let (intake, writer) = Writer::new(self.client.clone(), write, Arc::clone(&metrics));
        let lease = LeaseConfig {
            namespace: self.config.fleet.namespace.clone(),
            name: LEASE.to_owned(),
            identity: self.config.identity.clone(),
            timings: Timings::default(),
        };
        let elector = Elector::new(self.client.clone(), lease, metrics);
        let leads = elector.leads();
        self.run(elector.run(self.shutdown.clone()));
        self.run(writer.run(leads.clone(), self.shutdown.clone()));
        (leads, intake)
    }

    /// Watches, pipeline and fleet, and what comes back from the agents.
    fn flow(
        &mut self,
        intake: Intake,
        leads: watch::Receiver<bool>,
        acks: watch::Receiver<FleetAcks>,
    ) -> (watch::Receiver<Health>, Metrics) {
        let gateways = watch::Sender::new(Gateways::new());
        let agents = watch::Sender::new(Agents::new());
        let rejected = watch::Sender::new(BTreeMap::new());
        let inputs = Inputs {
            gateways: gateways.subscribe(),
            agents: agents.subscribe(),
            leads,
        };
        let fleet = self.config.fleet.clone();
        let (reconciler, fleet) = Reconciler::new(self.client.clone(), fleet, inputs);
        let word = Word {
            fleet,
            rejected: rejected.subscribe(),
            troubles: intake.troubles(),
        };
        let cluster = Cluster::new(intake.clone(), gateways);
        let namespace = &self.config.fleet.namespace;
        let (pipeline, findings) = Pipeline::in_cluster(self.publisher.clone(), cluster, namespace);
        let pipeline = pipeline.traced(self.config.tracer.clone());
        let settings = novaedge_watch::Settings::default();
        let source = ClusterSource::new(self.client.clone(), settings);
        let health = source.health();
        let metrics = Metrics {
            publisher: self.publisher.clone(),
            findings,
            pipeline: pipeline.metrics(),
            cluster: Some(ClusterMetrics {
                write: Arc::clone(&self.written),
                health: health.clone(),
                watches: source.metrics(),
            }),
        };
        let (watched, from_watches) = mpsc::channel(QUEUE);
        let (batches, queue) = mpsc::channel(QUEUE);
        self.run(source.run(watched, self.shutdown.clone()));
        self.run(convert::batches(from_watches, batches, move |versions| {
            intake.serve(Resource::served(versions));
        }));
        self.run(pipeline.run_in_cluster(queue, word));
        self.run(reconciler.run(self.shutdown.clone()));
        self.run_until_shutdown(convert::acks(acks, agents, rejected));
        (health, metrics)
    }

    /// The gRPC endpoint: TLS, and agents that prove who they are. Returns how other replicas are reached.
    async fn endpoint(
        &mut self,
        listener: TcpListener,
        accounts: Accounts,
        leads: watch::Receiver<bool>,
    ) -> Result<PeerTransport, KubernetesError> {
        let publisher = self.publisher.clone();
        let token = self.shutdown.clone();
        if self.config.plaintext {
            let config = ServerConfig {
                exposure: Exposure::AnyAddress,
                ..ServerConfig::default()
            };
            let server = Server::new(publisher, config);
            self.tasks.spawn(async move {
                let served = server.serve(listener, token.cancelled_owned()).await;
                Ok(served?)
            });
            return Ok(PeerTransport::Plaintext);
        }
        let server_name = format!("{SERVICE}.{}.svc", self.config.fleet.namespace);
        let material = self.certificate(&server_name, &accounts, leads).await?;
        let review = Arc::new(KubeReview::new(self.client.clone()));
        let verifier = Verifier::new(accounts, review, material.own);
        let server = Server::new(publisher, ServerConfig::default());
        let server = server.authenticating(Arc::new(verifier));
        self.tasks.spawn(async move {
            let shutdown = token.cancelled_owned();
            Ok(server
                .serve_tls(listener, material.server, shutdown)
                .await?)
        });
        Ok(PeerTransport::Tls {
            settings: material.client,
            server_name,
        })
    }

    /// The certificate of this replica: from files, or else of our own authority.
    async fn certificate(
        &mut self,
        server_name: &str,
        accounts: &Accounts,
        leads: watch::Receiver<bool>,
    ) -> Result<Material, KubernetesError> {
        let client_authorities = self.config.client_authorities.take();
        if let Some(files) = self.config.certificate.take() {
            let files = Files {
                certificate: files.certificate,
                key: files.key,
                authorities: files.authorities,
                client_authorities,
                name: server_name.to_owned(),
            };
            let (keeper, material) = FileKeeper::start(files).await?;
            self.run(keeper.run(self.shutdown.clone()));
            return Ok(material);
        }
        let namespace = &self.config.fleet.namespace;
        let names = Names::of_service(SERVICE, namespace, self.config.pod_ip);
        let mut keep = KeeperConfig::new(namespace, names);
        keep.bundle_namespaces = accounts.agent_namespaces();
        keep.client_authorities = client_authorities;
        let (keeper, material) = Keeper::new(self.client.clone(), keep, unix_seconds);
        self.run(keeper.run(leads, self.shutdown.clone()));
        Ok(material)
    }

    /// Listens to the other replicas, so that each knows what all agents say.
    fn peers(&mut self, transport: PeerTransport, port: u16) -> watch::Receiver<FleetAcks> {
        let peers = Peers::new(self.publisher.clone(), PeersConfig::new(transport));
        let acks = peers.fleet_acks();
        let (found, addresses) = watch::channel(BTreeSet::new());
        let token = self.shutdown.clone();
        self.run(peers.run(addresses, token.cancelled_owned()));
        let namespace = self.config.fleet.namespace.clone();
        let own = self.config.identity.clone();
        let follow = replicas::follow(self.client.clone(), namespace, own, port, found);
        self.run_until_shutdown(follow);
        acks
    }

    /// The admin endpoint.
    fn admin(&mut self, listener: TcpListener, health: watch::Receiver<Health>, metrics: Metrics) {
        let publisher = self.publisher.clone();
        let admin = Admin {
            unready: Box::new(move || unready(&publisher, &health.borrow())),
            metrics: Box::new(move || metrics.render()),
            log_level: self.config.log_level.clone(),
        };
        self.run_until_shutdown(admin::serve(listener, admin));
    }
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, KubernetesError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| KubernetesError::Listen {
        address,
        flag,
        source,
    })
}

/// Tells a value to those who watch, if it is another one.
fn replace<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|before| {
        let changed = *before != value;
        if changed {
            *before = value;
        }
        changed
    });
}

fn unix_seconds() -> i64 {
    pipeline::unix_seconds(SystemTime::now())
}

/// Why agents should not come here.
fn unready(publisher: &Publisher, health: &Health) -> Option<String> {
    if !health.in_sync {
        let waiting: Vec<&str> = health.waiting.iter().map(String::as_str).collect();
        return Some(format!("not in sync: waits for {}", waiting.join(", ")));
    }
    (publisher.current().sequence == 0).then(|| "no snapshot yet".to_owned())
}
