//! What an agent is started with. The defaults of the binary are here.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use novaedge_meter::Exposition;
use novaedge_subscribe::TlsFiles;
use novaedge_telemetry::{LogLevel, Tracer};

/// The configuration of an [`crate::Agent`].
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Name of this agent, unique in the fleet.
    pub node_id: String,
    /// `https://host:port` of the control plane, or `http://host:port` on the same host. `None`:
    /// snapshots come by [`crate::Agent::apply`].
    pub control_plane: Option<String>,
    /// The files of TLS towards the control plane, which `https` needs.
    pub control_plane_tls: Option<TlsFiles>,
    /// The token that proves who this agent is; read for each subscription.
    pub token_file: Option<PathBuf>,
    /// Where the last good snapshot is kept, keys included; mode 0700. `None`: nowhere. Used with a
    /// control plane only.
    pub state_dir: Option<PathBuf>,
    /// Threads that serve traffic.
    pub workers: usize,
    /// Where `/livez`, `/readyz`, `/version` and `/metrics` are answered. `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// Connections of one worker, lowered to what the limit of open files allows. When they are
    /// reached, new ones wait until others end.
    pub connections_per_worker: usize,
    /// The zone that this agent is in, for backends that prefer their agent's.
    pub zone: Option<Arc<str>>,
    /// Bytes of memory that the process may use. `None`: as many as its control group.
    pub memory_limit: Option<u64>,
    /// Limits of the HTTP data path; `workers`, `site` and `pressure` in it are set by the agent.
    pub http: novaedge_proxy::Config,
    /// Limits of the layer 4 data path; `workers` and `site` in it are set by the agent, and `udp_sessions`
    /// lowered to what the limit of open files allows.
    pub l4: novaedge_l4::Limits,
    /// Ports of the process, besides the admin endpoint's, that no backend may have.
    pub own_ports: Vec<u16>,
    /// What is told beside metrics.
    pub telemetry: Telemetry,
    /// Metrics of what shares the process, shown beside the agent's own.
    pub more_metrics: Option<Arc<dyn MoreMetrics>>,
}

/// What an agent tells beside metrics: by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// How the access log is kept. `None`: there is none.
    pub access_log: Option<novaedge_access_log::Settings>,
    /// Who makes the spans of traces. `None`: nobody.
    pub tracer: Option<Tracer>,
    /// The level of the process's log, for the admin endpoint. `None`: it can't be changed.
    pub log_level: Option<LogLevel>,
}

/// Metrics that somebody else keeps.
pub trait MoreMetrics: fmt::Debug + Send + Sync {
    /// Adds them, under names that the agent does not have.
    fn expose(&self, all: &mut Exposition);
}

impl AgentConfig {
    /// All cores, no control plane, no state directory, the admin endpoint on 127.0.0.1:9901.
    pub fn new(node_id: impl Into<String>) -> Self {
        Self {
            node_id: node_id.into(),
            control_plane: None,
            control_plane_tls: None,
            token_file: None,
            state_dir: None,
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9901))),
            connections_per_worker: 50_000,
            zone: None,
            memory_limit: None,
            http: novaedge_proxy::Config::default(),
            l4: novaedge_l4::Limits::default(),
            own_ports: Vec::new(),
            telemetry: Telemetry::default(),
            more_metrics: None,
        }
    }
}

/// How long open connections may go on after a drain has begun.
pub const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
