//! A control plane in the same process.

use std::net::SocketAddr;
use std::time::Duration;

use novaedge_agent::{Agent, AgentConfig};
use novaedge_proto::v1;
use novaedge_publish::{Publisher, Server, ServerConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A control plane that serves what a test publishes.
pub struct ControlPlane {
    pub publisher: Publisher,
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl ControlPlane {
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), Publisher::default()).await
    }

    pub async fn start_at(address: SocketAddr, publisher: Publisher) -> Self {
        let socket = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = Server::new(publisher.clone(), ServerConfig::default());
        let serving = server.serve(socket, stop.clone().cancelled_owned());
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            publisher,
            address,
            stop,
            task,
        }
    }

    pub fn publish(&self, resources: Vec<v1::Resource>, removed: &[&str]) {
        let named = resources.into_iter().map(|one| (one.name.clone(), one));
        let upserts = named.map(|(name, mut one)| {
            // The publisher names and versions what it publishes.
            one.name.clear();
            one.version.clear();
            (name, one)
        });
        let removed = removed.iter().map(|name| (*name).into()).collect();
        self.publisher.update(upserts.collect(), removed);
    }

    /// Waits until the agent's refusals are these, and returns the errors.
    pub async fn until_refused(&self, names: &[&str]) -> Vec<String> {
        let mut acks = self.publisher.acks();
        let known = acks.wait_for(|acks| {
            acks.agents.get("test").is_some_and(|agent| {
                let mut refused: Vec<_> = agent.rejected.iter().map(|one| &*one.name).collect();
                refused.sort_unstable();
                agent.version.is_some() && refused == names
            })
        });
        let known = tokio::time::timeout(Duration::from_secs(10), known).await;
        let known = known.expect("known in 10 s").unwrap();
        let errors = known.agents["test"].rejected.iter();
        errors.map(|one| one.error.clone()).collect()
    }

    /// Ends and starts again on the same address with the same content.
    pub async fn restart(self) -> Self {
        let (address, publisher) = (self.address, self.publisher.clone());
        self.stop().await;
        Self::start_at(address, publisher).await
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub fn subscribed(control_plane: &ControlPlane) -> Agent {
    let mut config = AgentConfig::new("test");
    config.workers = 2;
    config.admin = None;
    config.control_plane = Some(format!("http://{}", control_plane.address));
    Agent::start(config).unwrap()
}
