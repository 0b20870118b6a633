//! A control plane on a folder: source, pipeline, statuses and the gRPC endpoint, with one owner.

use std::{
    fs::{File, TryLockError},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use novaedge_publish::{LogLimits, Publisher, Server, ServerConfig};
use novaedge_telemetry::Tracer;
use novaedge_translate::TranslateConfig;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    findings::Findings,
    folder::{FolderSource, Watch},
    local::machine_addresses,
    metrics::Metrics,
    pipeline::{Pipeline, QUEUE},
    source::{Source as _, SourceError},
    status::StatusWriter,
};

/// How long an end in order may take: connections have 5 s, and a file system may hang for ever.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Settings of a control plane on a folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the manifests are.
    pub folder: PathBuf,
    /// Whether changes are read.
    pub watch: Watch,
    /// Where agents and people connect; loopback only.
    pub grpc: SocketAddr,
    /// Where statuses are written, below `status/`.
    pub state_dir: PathBuf,
    /// Who makes the spans of traces. `None`: nobody.
    pub tracer: Option<Tracer>,
}

/// A running control plane.
pub struct ControlPlane {
    address: SocketAddr,
    metrics: Metrics,
    findings: watch::Receiver<Findings>,
    shutdown: CancellationToken,
    tasks: JoinSet<Result<(), ControlPlaneError>>,
    /// Keeps the state folder ours; the system lets go of it however this process ends.
    _lock: File,
}

/// Why a control plane did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ControlPlaneError {
    /// The gRPC address cannot be used.
    #[error("cannot listen on {address}: choose another address with --grpc")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The state folder cannot be used.
    #[error("cannot write to {folder}: choose another folder with --state-dir")]
    State {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process writes its statuses there.
    #[error(
        "{folder} is the state of another process: stop that one, or choose another folder with --state-dir"
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The source ended.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The gRPC server ended.
    #[error(transparent)]
    Serve(#[from] novaedge_publish::ServeError),
    /// A task ended that must not.
    #[error("an essential task ended")]
    Ended,
}

impl ControlPlane {
    /// Starts all tasks. Returns once the endpoint listens.
    pub async fn start(config: Config) -> Result<Self, ControlPlaneError> {
        // The state folder is mostly inside, and making it must not make a folder that was misspelt.
        if let Err(source) = std::fs::read_dir(&config.folder) {
            let folder = config.folder;
            return Err(SourceError::Folder { folder, source }.into());
        }
        let listen = |source| ControlPlaneError::Listen {
            address: config.grpc,
            source,
        };
        let listener = TcpListener::bind(config.grpc).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let writer =
            StatusWriter::new(&config.state_dir).map_err(|source| ControlPlaneError::State {
                folder: config.state_dir.clone(),
                source,
            })?;
        let lock = lock(&config.state_dir)?;
        let publisher = Publisher::new(LogLimits::default());
        let (pipeline, findings) = Pipeline::new(
            TranslateConfig::standalone(),
            publisher.clone(),
            machine_addresses,
        );
        let pipeline = pipeline.traced(config.tracer);
        let (batches, queue) = mpsc::channel(QUEUE);
        let metrics = Metrics {
            publisher: publisher.clone(),
            findings: findings.clone(),
            pipeline: pipeline.metrics(),
            cluster: None,
        };
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let source = FolderSource::new(config.folder, config.watch).without(config.state_dir);
        let token = shutdown.clone();
        tasks.spawn(async move { Ok(source.run(batches, token).await?) });
        tasks.spawn(async move {
            pipeline.run(queue).await;
            Ok(())
        });
        let written = findings.clone();
        tasks.spawn(async move {
            writer.run(written).await;
            Ok(())
        });
        let server = Server::new(publisher.clone(), ServerConfig::default());
        let token = shutdown.clone();
        tasks.spawn(async move { Ok(server.serve(listener, token.cancelled_owned()).await?) });
        Ok(Self {
            address,
            metrics,
            findings,
            shutdown,
            tasks,
            _lock: lock,
        })
    }

    /// Where the gRPC endpoint listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The snapshots that are published.
    pub fn publisher(&self) -> &Publisher {
        &self.metrics.publisher
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Statuses and problems, as they change.
    pub fn findings(&self) -> watch::Receiver<Findings> {
        self.findings.clone()
    }

    /// Waits until a task ends by itself, which none should.
    pub async fn failed(&mut self) -> ControlPlaneError {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            _ => ControlPlaneError::Ended,
        }
    }

    /// Ends all tasks in order: the source, then the pipeline and the writer behind it.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
            tracing::warn!("not all tasks of the control plane ended in time");
        }
    }
}

/// Makes a state folder ours: two processes that write their statuses into one would each undo what the
/// other one says. File systems that know no locks are taken as they are.
fn lock(state_dir: &Path) -> Result<File, ControlPlaneError> {
    let failed = |source| ControlPlaneError::State {
        folder: state_dir.to_owned(),
        source,
    };
    let file = File::create(state_dir.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(ControlPlaneError::InUse {
            folder: state_dir.to_owned(),
        }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}
