//! The control plane's gRPC endpoint, as people ask it.

use std::{collections::BTreeMap, io, time::Duration};

use futures_util::{StreamExt as _, stream::BoxStream};
use hyper_util::rt::TokioIo;
use novaedge_proto::v1::{
    AgentStatus, AgentsAnswer, AskAgentsRequest, FetchSnapshotRequest, ListAgentsRequest,
    MetricsQuestion, Resource, TraceQuestion, Version, agents_answer::Answer,
    ask_agents_request::Question, snapshot_discovery_client::SnapshotDiscoveryClient,
};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::cluster::{Cluster, ClusterError, Pod, deepest};

/// The endpoint of `novaedge run`.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:18000";
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Control planes of a cluster that are asked.
const MAX_REPLICAS: usize = 32;
/// Bytes of metrics that one replica's agents may tell together.
const MAX_METRICS: usize = 256 << 20;
/// Resources per page.
const PAGE: u32 = 1_000;
/// How often pages are fetched anew when the snapshot changes between them.
const TRIES: usize = 5;

/// Texts by node.
pub type ByNode = BTreeMap<String, String>;

/// What agents answer, each by its node.
pub type Answers = BoxStream<'static, Result<(String, Answer), ServerError>>;

/// A connection to a control plane.
#[derive(Clone, Debug)]
pub struct Server {
    /// URL, or pod and context.
    place: String,
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
        "no control plane answers at {url}: start one with 'novaedge run DIR', or name another with --server, or a cluster with --kubeconfig or --context"
    )]
    Connect {
        /// The URL.
        url: String,
    },
    /// It cannot be reached through the API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// It cannot be reached though the API server has made a connection.
    #[error("the control plane at {place} does not speak gRPC: {reason}")]
    Speak {
        /// Pod and context.
        place: String,
        /// What happened.
        reason: String,
    },
    /// It refused.
    #[error("the control plane at {place} says: {message}")]
    Refused {
        /// URL, or pod and context.
        place: String,
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
            .timeout(ANSWER_LIMIT);
        let channel = endpoint
            .connect()
            .await
            .map_err(|_| ServerError::Connect { url: full.clone() })?;
        Ok(Self {
            client: SnapshotDiscoveryClient::new(channel),
            place: full,
        })
    }

    /// Connects to a control plane in a cluster, through the API server.
    pub async fn through(cluster: &Cluster, pod: &Pod) -> Result<Self, ServerError> {
        let place = format!(
            "{}/{} (context {})",
            pod.namespace, pod.name, cluster.context
        );
        let mut connection = Some(cluster.control_plane(pod).await?);
        // One connection is made; when it ends, so does the command.
        let connector = tower::service_fn(move |_: Uri| {
            let connection = connection.take().map(TokioIo::new);
            let ended = || io::Error::other("the connection has ended");
            std::future::ready(connection.ok_or_else(ended))
        });
        let endpoint = Endpoint::from_static("http://control-plane").timeout(ANSWER_LIMIT);
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| ServerError::Speak {
            place: place.clone(),
            reason: deepest(&error),
        })?;
        Ok(Self {
            client: SnapshotDiscoveryClient::new(channel),
            place,
        })
    }

    /// Connects to every control plane of a cluster; with those that answer come the errors of those that do not.
    pub async fn of_cluster(
        cluster: &Cluster,
    ) -> Result<(Vec<Self>, Vec<ServerError>), ServerError> {
        let (mut servers, mut silent) = (Vec::new(), Vec::new());
        for pod in cluster.control_planes().await?.iter().take(MAX_REPLICAS) {
            match Self::through(cluster, pod).await {
                Ok(server) => servers.push(server),
                Err(error) => silent.push(error),
            }
        }
        match silent.pop() {
            Some(error) if servers.is_empty() => Err(error),
            last => {
                silent.extend(last);
                Ok((servers, silent))
            }
        }
    }

    /// Connects to the first control plane of a cluster that answers: all of them have the same snapshot.
    pub async fn any_of_cluster(cluster: &Cluster) -> Result<Self, ServerError> {
        let mut last = None;
        for pod in cluster.control_planes().await?.iter().take(MAX_REPLICAS) {
            match Self::through(cluster, pod).await {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            ServerError::Cluster(ClusterError::NoControlPlane {
                context: cluster.context.clone(),
                namespace: cluster.system.clone(),
            })
        }))
    }

    /// Where it is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The agents, by node.
    pub async fn agents(&mut self) -> Result<Vec<AgentStatus>, ServerError> {
        let answer = self.client.list_agents(ListAgentsRequest {}).await;
        let mut agents = answer.map_err(|s| self.refused(&s))?.into_inner().agents;
        agents.sort_by(|a, b| node(a).cmp(node(b)));
        Ok(agents)
    }

    /// What the agents have counted, each as text, and why others do not tell.
    pub async fn metrics(&mut self) -> Result<(ByNode, ByNode), ServerError> {
        let request = AskAgentsRequest {
            node_id: String::new(),
            // Less than the limit of a call.
            seconds: 5,
            question: Some(Question::Metrics(MetricsQuestion {})),
        };
        let asked = self.client.ask_agents(request).await;
        let mut answers = asked.map_err(|s| self.refused(&s))?.into_inner();
        let (mut told, mut silent) = (ByNode::new(), ByNode::new());
        let mut size = 0;
        while let Some(answer) = answers.message().await.map_err(|s| self.refused(&s))? {
            match answer.answer {
                Some(Answer::Metrics(part)) if size < MAX_METRICS => {
                    size += part.text.len();
                    told.entry(answer.node_id).or_default().push_str(&part.text);
                }
                Some(Answer::Error(why)) => {
                    silent.insert(answer.node_id, why);
                }
                _ => {
                    silent.insert(answer.node_id, "tells more than fits".to_owned());
                }
            }
        }
        Ok((told, silent))
    }

    /// What the agents, or one of them, answer as requests come; `None`: it is connected to another replica.
    pub async fn trace(
        &mut self,
        node: &str,
        question: &TraceQuestion,
        seconds: u32,
    ) -> Result<Option<Answers>, ServerError> {
        let request = AskAgentsRequest {
            node_id: node.to_owned(),
            seconds,
            question: Some(Question::Trace(question.clone())),
        };
        let answers = match self.client.ask_agents(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
            // To an older one it is no question.
            Err(status) if status.code() == tonic::Code::InvalidArgument => {
                let message = "it knows no traces, because its version is older".to_owned();
                let place = self.place.clone();
                return Err(ServerError::Refused { place, message });
            }
            Err(status) => return Err(self.refused(&status)),
        };
        let server = self.clone();
        let answers = answers.filter_map(move |answer| {
            let answer = answer.map_err(|status| server.refused(&status));
            let told = |one: AgentsAnswer| Some((one.node_id, one.answer?));
            std::future::ready(answer.map(told).transpose())
        });
        Ok(Some(answers.boxed()))
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
            place: self.place.clone(),
            message: status.message().to_owned(),
        }
    }
}

/// The newest version, and all agents by node: each replica knows those that are connected to it.
pub async fn fleet(
    servers: &mut [Server],
) -> Result<(Option<Version>, Vec<AgentStatus>), ServerError> {
    let mut newest = None;
    let mut agents: BTreeMap<String, AgentStatus> = BTreeMap::new();
    for server in servers {
        let version = server.version().await?;
        for mut agent in server.agents().await? {
            // Versions of another replica have other numbers.
            agent.newest = agent.newest.or_else(|| version.clone());
            let known = agents.get(node(&agent));
            if known.is_none_or(|known| known.connected_at_ms < agent.connected_at_ms) {
                agents.insert(node(&agent).to_owned(), agent);
            }
        }
        newest = newest.or(version);
    }
    Ok((newest, agents.into_values().collect()))
}

/// The node id of an agent.
pub fn node(agent: &AgentStatus) -> &str {
    agent.node.as_ref().map_or("", |node| node.id.as_str())
}
