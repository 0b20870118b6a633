//! Agents that leave a fleet under load: no client notices.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use novaedge_agent::{Agent, LeaveError, ask_to_leave};
use novaedge_ports::free_port;
use novaedge_proto::v1;
use novaedge_publish::FleetAcks;
use tokio::time::{sleep, timeout};

use crate::control_plane::{ControlPlane, subscribed};
use crate::drain::load::Load;
use crate::drain::origin::{Origin, Speaks, http_origin};
use crate::lifecycle::{admin, http};
use crate::support::{agent, backend_of, gateway, http_route, listener, step};

mod load;
mod origin;

/// Answers of each kind of client before an agent leaves.
const BUSY: u64 = 50;

/// An agent that serves `web.example` and `grpc.example`.
async fn edge(port: u16, web: SocketAddr, grpc: SocketAddr) -> Agent {
    let agent = agent();
    let mut all = vec![gateway(), listener("http", port, v1::Protocol::Http)];
    all.push(http_route(v1::RouteKind::Http, "web"));
    all.push(http_route(v1::RouteKind::Grpc, "grpc"));
    all.extend(backend_of("web", &[web], v1::BackendProtocol::Unspecified));
    all.extend(backend_of("grpc", &[grpc], v1::BackendProtocol::Http2));
    assert_eq!(agent.apply(step(1, all, &[])).await.unwrap(), []);
    agent
}

/// Two agents and clients of the first one.
struct Fleet {
    leaving: Agent,
    staying: Agent,
    other: u16,
    load: Load,
    origins: [Origin; 2],
}

impl Fleet {
    async fn start() -> Self {
        let web = http_origin(Speaks::Http1).await;
        let grpc = http_origin(Speaks::Grpc).await;
        let (first, other) = (free_port(), free_port());
        let leaving = edge(first, web.address, grpc.address).await;
        let staying = edge(other, web.address, grpc.address).await;
        let load = Load::start(first);
        load.answered(BUSY).await;
        Self {
            leaving,
            staying,
            other,
            load,
            origins: [web, grpc],
        }
    }
}

/// Ends the load: all requests were answered, and what backends have seen was.
async fn check(load: Load, origins: &[Origin; 2]) {
    let tally = load.stop().await;
    assert_eq!(tally.failures, [] as [String; 0]);
    for (kind, answers) in &tally.answers {
        assert!(*answers >= BUSY, "{kind}: {answers}");
    }
    let answers = ["http/1.1", "http/2", "grpc"].map(|kind| tally.answers[kind]);
    let seen = origins
        .each_ref()
        .map(|one| one.seen.load(Ordering::Relaxed));
    assert_eq!(seen, [answers[0] + answers[1], answers[2]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_leaves_first_and_drains_then_fails_no_request() {
    let fleet = Fleet::start().await;
    let admin_address = fleet.leaving.admin_address().unwrap();
    fleet.leaving.leave(Duration::from_secs(2));
    assert!(*fleet.leaving.leaving().borrow());
    assert!(admin(admin_address, "/readyz").ends_with("\r\n\r\ndraining\n"));
    // Until the fleet knows, clients keep coming.
    sleep(Duration::from_millis(300)).await;
    fleet.load.go_to(fleet.other);
    sleep(Duration::from_millis(1700)).await;
    let begin = Instant::now();
    fleet.leaving.drain(Duration::from_secs(20)).await;
    let took = begin.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "no client is left: {took:?}"
    );
    check(fleet.load, &fleet.origins).await;
    fleet.staying.drain(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_at_once_fails_no_request_of_kept_connections() {
    let fleet = Fleet::start().await;
    fleet.load.go_to(fleet.other);
    // A client may have read where to go just before.
    sleep(Duration::from_millis(100)).await;
    fleet.leaving.drain(Duration::from_secs(8)).await;
    check(fleet.load, &fleet.origins).await;
    fleet.staying.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn a_control_plane_knows_who_leaves() {
    let control_plane = ControlPlane::start().await;
    control_plane.publish(vec![gateway()], &[]);
    let agent = subscribed(&control_plane);
    control_plane.until_refused(&[]).await;
    let mut fleet = control_plane.publisher.fleet_acks();
    let draining = |fleet: &FleetAcks| fleet.agents.get("test").is_some_and(|one| one.draining);
    assert!(!draining(&fleet.borrow()));
    agent.leave(Duration::from_secs(1));
    let known = timeout(Duration::from_secs(10), fleet.wait_for(draining)).await;
    assert!(known.expect("known in 10 s").unwrap().agents["test"].connected);
    agent.drain(Duration::ZERO).await;
    control_plane.stop().await;
}

#[tokio::test]
async fn a_pod_asks_its_agent_to_leave() {
    let agent = agent();
    let address = agent.admin_address().unwrap();
    let refused = http(address, "GET", "/drain?delay=1", "");
    assert!(refused.starts_with("HTTP/1.1 405"), "{refused}");
    let refused = http(address, "POST", "/drain?delay=1", "Origin: http://a\r\n");
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    for wrong in ["/drain", "/drain?delay=x", "/drain?delay=86400"] {
        let refused = http(address, "POST", wrong, "");
        assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    }
    let too_long = ask_to_leave(address, Duration::from_hours(24));
    assert!(matches!(too_long, Err(LeaveError::Refused(..))));
    assert!(!*agent.leaving().borrow());

    let run = |delay: &str| {
        Command::new(env!("CARGO_BIN_EXE_novaedge-agent"))
            .args(["drain", "--admin", &address.to_string(), "--delay", delay])
            .output()
            .unwrap()
    };
    let begin = Instant::now();
    let output = run("1");
    assert!(output.status.success(), "{output:?}");
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert!(*agent.leaving().borrow());
    assert!(run("0").status.success(), "twice is as good as once");
    agent.drain(Duration::ZERO).await;
    let output = run("0");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains(&address.to_string()), "{error}");
}
