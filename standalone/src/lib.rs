//! NovaEdge without a cluster: a control plane on a folder and one agent, in one process, through the
//! same protocol.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use novaedge_agent::Telemetry;
use novaedge_agent::{Agent, AgentConfig, AgentError, MoreMetrics};
use novaedge_control_plane::{
    ControlPlane, ControlPlaneError, Findings, folder::Watch, metrics::Metrics,
};
use novaedge_meter::Exposition;
use tokio::sync::watch;

/// Settings of a standalone system.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the manifests are.
    pub folder: PathBuf,
    /// Whether changes are read.
    pub watch: Watch,
    /// gRPC endpoint; loopback only, port 0 picks a free one.
    pub grpc: SocketAddr,
    /// Admin endpoint of the agent.
    pub admin: SocketAddr,
    /// Statuses and the last good snapshot.
    pub state_dir: PathBuf,
    /// Threads that serve. Absent: one per core.
    pub workers: Option<usize>,
    /// What is told beside metrics.
    pub telemetry: Telemetry,
}

/// A running system.
pub struct Standalone {
    control_plane: ControlPlane,
    agent: Agent,
}

/// Why a system did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// The control plane.
    #[error(transparent)]
    ControlPlane(#[from] ControlPlaneError),
    /// The agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

impl Standalone {
    /// Starts both halves.
    pub async fn start(config: Config) -> Result<Self, StandaloneError> {
        let control_plane = ControlPlane::start(novaedge_control_plane::Config {
            folder: config.folder,
            watch: config.watch,
            grpc: config.grpc,
            state_dir: config.state_dir.clone(),
            tracer: config.telemetry.tracer.clone(),
        })
        .await?;
        let mut agent = AgentConfig::new("standalone");
        agent.control_plane = Some(format!("http://{}", control_plane.address()));
        agent.state_dir = Some(config.state_dir.join("agent"));
        agent.admin = Some(config.admin);
        agent.own_ports = vec![control_plane.address().port()];
        agent.telemetry = config.telemetry;
        agent.more_metrics = Some(Arc::new(Shared(control_plane.metrics().clone())));
        if let Some(workers) = config.workers {
            agent.workers = workers;
        }
        Ok(Self {
            agent: Agent::start(agent)?,
            control_plane,
        })
    }

    /// Where the gRPC endpoint listens.
    pub fn grpc(&self) -> SocketAddr {
        self.control_plane.address()
    }

    /// Where the admin endpoint listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.agent.admin_address()
    }

    /// Opens the file of the access log anew, because it has been moved away.
    pub fn reopen_access_log(&self) {
        self.agent.reopen_access_log();
    }

    /// Statuses and problems, as they change.
    pub fn findings(&self) -> watch::Receiver<Findings> {
        self.control_plane.findings()
    }

    /// Waits until one half ends by itself, which neither should.
    pub async fn failed(&mut self) -> StandaloneError {
        tokio::select! {
            error = self.control_plane.failed() => error.into(),
            error = self.agent.failed() => error.into(),
        }
    }

    /// Lets open connections go on for at most `limit`, then ends.
    pub async fn stop(self, limit: Duration) {
        self.agent.drain(limit).await;
        self.control_plane.stop().await;
    }
}

/// The metrics of the control plane, for the agent's admin endpoint.
#[derive(Debug)]
struct Shared(Metrics);

impl MoreMetrics for Shared {
    fn expose(&self, all: &mut Exposition) {
        self.0.expose(all);
    }
}
