//! The control plane's gRPC endpoint, as people ask it.

use std::time::Duration;

use novaedge_proto::v1::{
    AgentStatus, FetchSnapshotRequest, ListAgentsRequest, Resource, Version,
    snapshot_discovery_client::SnapshotDiscoveryClient,
};
use tonic::transport::{Channel, Endpoint};

/// The endpoint of `novaedge run`.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:18000";
/// Resources per page.
const PAGE: u32 = 1_000;
/// How often pages are fetched anew when the snapshot changes between them.
const TRIES: usize = 5;

/// A connection to a control plane.
#[derive(Clone, Debug)]
pub struct Server {
    url: String,
    client: SnapshotDiscoveryClient<Channel>,
}

/// A whole snapshot, or the part of it under a name prefix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fetched {
    /// Its version.
    pub version: Version,
    /// Its resources by name, without private keys.
    pub resources: Vec<Resource>,
}

/// Why the control plane gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The URL is none.
    #[error("{url} is not a URL of the form http://host:port: correct --server")]
    Url {
        /// What was given.
        url: String,
    },
    /// Nobody is there.
    #[error(
        "no control plane answers at {url}: start one with 'novaedge run DIR', or name another with --server"
    )]
    Connect {
        /// The URL.
        url: String,
    },
    /// It refused.
    #[error("the control plane at {url} says: {message}")]
    Refused {
        /// The URL.
        url: String,
        /// Its words.
        message: String,
    },
    /// The snapshot never stood still.
    #[error("the snapshot changed {TRIES} times while it was read: try again")]
    Restless,
}

impl Server {
    /// Connects to `http://host:port`; the scheme may be left out.
    pub async fn connect(url: &str) -> Result<Self, ServerError> {
        let full = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let wrong = || ServerError::Url {
            url: url.to_owned(),
        };
        if !full.starts_with("http://") {
            return Err(wrong());
        }
        let endpoint = Endpoint::from_shared(full.clone())
            .map_err(|_| wrong())?
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(10));
        let channel = endpoint
            .connect()
            .await
            .map_err(|_| ServerError::Connect { url: full.clone() })?;
        Ok(Self {
            client: SnapshotDiscoveryClient::new(channel),
            url: full,
        })
    }

    /// The agents, by node.
    pub async fn agents(&mut self) -> Result<Vec<AgentStatus>, ServerError> {
        let answer = self.client.list_agents(ListAgentsRequest {}).await;
        let mut agents = answer.map_err(|s| self.refused(&s))?.into_inner().agents;
        agents.sort_by(|a, b| node(a).cmp(node(b)));
        Ok(agents)
    }

    /// The version of the newest snapshot; none before the first one.
    pub async fn version(&mut self) -> Result<Option<Version>, ServerError> {
        let request = FetchSnapshotRequest {
            page_size: 1,
            ..FetchSnapshotRequest::default()
        };
        match self.client.fetch_snapshot(request).await {
            Ok(answer) => Ok(answer.into_inner().version),
            Err(status) if status.code() == tonic::Code::Unavailable => Ok(None),
            Err(status) => Err(self.refused(&status)),
        }
    }

    /// The newest snapshot's resources under a name prefix, all of one version.
    pub async fn snapshot(&mut self, prefix: &str) -> Result<Fetched, ServerError> {
        for _ in 0..TRIES {
            if let Some(fetched) = self.pages(prefix).await? {
                return Ok(fetched);
            }
        }
        Err(ServerError::Restless)
    }

    /// All pages; none when the version changed between them.
    async fn pages(&mut self, prefix: &str) -> Result<Option<Fetched>, ServerError> {
        let mut fetched: Option<Fetched> = None;
        let mut page_token = String::new();
        loop {
            let request = FetchSnapshotRequest {
                name_prefix: prefix.to_owned(),
                page_size: PAGE,
                page_token,
            };
            let answer = self.client.fetch_snapshot(request).await;
            let page = answer.map_err(|s| self.refused(&s))?.into_inner();
            let version = page.version.unwrap_or_default();
            let whole = fetched.get_or_insert_with(|| Fetched {
                version: version.clone(),
                resources: Vec::new(),
            });
            if whole.version != version {
                return Ok(None);
            }
            whole.resources.extend(page.resources);
            if page.next_page_token.is_empty() {
                return Ok(fetched);
            }
            page_token = page.next_page_token;
        }
    }

    fn refused(&self, status: &tonic::Status) -> ServerError {
        ServerError::Refused {
            url: self.url.clone(),
            message: status.message().to_owned(),
        }
    }
}

/// The node id of an agent.
pub fn node(agent: &AgentStatus) -> &str {
    agent.node.as_ref().map_or("", |node| node.id.as_str())
}
