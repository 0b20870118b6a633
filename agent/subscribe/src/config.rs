//! Settings of a subscriber.

use std::{path::PathBuf, sync::Arc, time::Duration};

use novaedge_proto::v1;
use tonic::transport::{Channel, Endpoint};

use crate::{
    backoff::BackoffConfig,
    connector::{Resolve, SystemResolver, TlsFiles},
};

/// The bytes of a stream's flow-control window: some messages come while one is read.
const WINDOW_BYTES: u32 = 256 << 10;

/// Numbers from 0 to 1, evenly spread, for the waits between two connections.
pub type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// Why a subscriber cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The node has no name.
    #[error("the node id is empty: give the name of the pod or host")]
    NoNode,
    /// TLS without authorities.
    #[error("endpoint {0:?} needs a file of authorities (--ca-file)")]
    NoAuthorities(String),
    /// The endpoint is no URL.
    #[error("endpoint {endpoint:?} is no URL of the form http://host:port or https://host:port")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Settings of a [`crate::Subscriber`].
#[derive(Debug, Clone)]
pub struct SubscriberConfig {
    /// The control plane, as `https://host:port`, or `http://host:port` on the same host.
    pub endpoint: String,
    /// The files of TLS, which `https` needs.
    pub tls: Option<TlsFiles>,
    /// The file of the token that proves who this agent is. It is read for each subscription, and sent
    /// over `https` alone.
    pub token_file: Option<PathBuf>,
    /// Finds the addresses of the endpoint's host. Default: the system.
    pub resolve: Arc<dyn Resolve>,
    /// This agent.
    pub node: v1::Node,
    /// Encoded bytes of a step that is not complete yet. Default 256 MiB.
    pub max_staged_bytes: u64,
    /// Waits between two connections. Default 100 ms to 5 s.
    pub backoff: BackoffConfig,
    /// How long a stream lives before its end counts as a first failure. Default 5 s.
    pub stable_after: Duration,
    /// How often a silent connection is probed. Default 10 s.
    pub keepalive_interval: Duration,
    /// How long the answer to a probe may take. Default 10 s.
    pub keepalive_timeout: Duration,
    /// How long connecting and opening the stream may take. Default 5 s each.
    pub connect_timeout: Duration,
}

impl SubscriberConfig {
    /// The defaults for an endpoint and a node.
    pub fn new(endpoint: impl Into<String>, node: v1::Node) -> Self {
        Self {
            endpoint: endpoint.into(),
            tls: None,
            token_file: None,
            resolve: Arc::new(SystemResolver),
            node,
            max_staged_bytes: 256 << 20,
            backoff: BackoffConfig::default(),
            stable_after: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
        }
    }

    /// The endpoint with the transport's settings.
    pub(crate) fn transport(&self) -> Result<Endpoint, SubscribeError> {
        if self.node.id.is_empty() {
            return Err(SubscribeError::NoNode);
        }
        let endpoint = Endpoint::from_shared(self.endpoint.clone());
        let endpoint = endpoint.map_err(|source| SubscribeError::Endpoint {
            endpoint: self.endpoint.clone(),
            source,
        })?;
        if endpoint.uri().scheme_str() == Some("https") && self.tls.is_none() {
            return Err(SubscribeError::NoAuthorities(self.endpoint.clone()));
        }
        Ok(endpoint
            .connect_timeout(self.connect_timeout)
            .http2_keep_alive_interval(self.keepalive_interval)
            .keep_alive_timeout(self.keepalive_timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true))
    }
}

/// Makes a channel for one try; it connects when it is used. The seam for TLS and for tests.
pub type Dial = Box<dyn Fn(&Endpoint) -> Channel + Send>;
