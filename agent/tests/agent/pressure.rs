//! An agent that runs out of memory refuses what is new, and serves again when there is enough.

use std::net::SocketAddr;
use std::time::Duration;

use novaedge_agent::{Agent, AgentConfig};
use novaedge_ports::free_port;
use novaedge_proto::v1;

use crate::lifecycle::admin;
use crate::support::{ask, backend, gateway, http_origin, http_route, listener, step};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";

const MIB: u64 = 1024 * 1024;

async fn until(agent: &Agent, line: &str) {
    let address = agent.admin_address().unwrap();
    let line = format!("\n{line}\n");
    tokio::time::timeout(Duration::from_secs(10), async {
        while !admin(address, "/metrics").contains(&line) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn load_is_shed_before_memory_is_used_up() {
    let port = free_port();
    let mut config = AgentConfig::new("test");
    config.workers = 1;
    config.admin = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    // More than the tests beside this one take, less than what it takes itself.
    config.memory_limit = Some(1024 * MIB);
    let agent = Agent::start(config).unwrap();
    let mut resources = backend("a", &[http_origin()]);
    resources.push(gateway());
    resources.push(listener("http", port, v1::Protocol::Http));
    resources.push(http_route(v1::RouteKind::Http, "a"));
    assert_eq!(agent.apply(step(1, resources, &[])).await.unwrap(), []);
    assert!(ask(port, REQUEST).contains("x-origin: "));

    let taken = vec![1_u8; usize::try_from(1100 * MIB).unwrap()];
    until(&agent, "novaedge_memory_pressure 2").await;
    let waiting = tokio::task::spawn_blocking(move || ask(port, REQUEST));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "its connection is not taken");
    drop(std::hint::black_box(taken));
    assert!(waiting.await.unwrap().contains("x-origin: "));
    until(&agent, "novaedge_memory_pressure 0").await;
    agent.drain(Duration::from_secs(2)).await;
}
