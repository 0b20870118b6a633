use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::testing::{Fault, Server};

const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/novaedge-system/leases/novaedge-control-plane";

struct Candidate {
    leads: watch::Receiver<bool>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn stand(server: &Server, identity: &str) -> Candidate {
    let config = LeaseConfig {
        namespace: "novaedge-system".to_owned(),
        name: "novaedge-control-plane".to_owned(),
        identity: identity.to_owned(),
        timings: Timings::default(),
    };
    let elector = Elector::new(server.client(), config, Arc::new(Metrics::default()));
    let leads = elector.leads();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(elector.run(shutdown.clone()));
    Candidate {
        leads,
        shutdown,
        task,
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn holder(server: &Server) -> String {
    let lease = server.get(LEASE);
    let holder = lease["spec"]["holderIdentity"].as_str();
    holder.unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_hands_over_when_it_ends() {
    let server = Server::default();
    let a = stand(&server, "a");
    seconds(1).await;
    let mut b = stand(&server, "b");
    seconds(60).await;
    assert!(*a.leads.borrow() && !*b.leads.borrow());
    assert_eq!(holder(&server), "a");
    a.shutdown.cancel();
    a.task.await.expect("it ends");
    assert!(!*a.leads.borrow());
    let took = tokio::time::timeout(Duration::from_secs(3), b.leads.wait_for(|leads| *leads));
    assert!(took.await.is_ok(), "b need not wait for the lease to end");
    assert_eq!(holder(&server), "b");
    assert_eq!(server.get(LEASE)["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_another_begins() {
    let server = Server::default();
    let a = stand(&server, "a");
    seconds(5).await;
    let b = stand(&server, "b");
    seconds(5).await;
    a.task.abort();
    seconds(12).await;
    assert!(!*b.leads.borrow());
    seconds(8).await;
    assert!(*b.leads.borrow());
    // b hears nothing more: it gives up after the renew deadline.
    let mut b_leads = b.leads.clone();
    server.fail(Fault::Silence);
    let lost = tokio::time::timeout(Duration::from_secs(13), b_leads.wait_for(|leads| !*leads));
    assert!(lost.await.is_ok());
    // And goes on when the server answers again.
    seconds(3).await;
    assert!(*b.leads.borrow());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_took_ends_the_leadership() {
    let server = Server::default();
    let a = stand(&server, "a");
    seconds(1).await;
    let mut lease = server.get(LEASE);
    lease["spec"]["holderIdentity"] = "b".into();
    server.put(LEASE, lease);
    seconds(3).await;
    assert!(!*a.leads.borrow());
    seconds(18).await;
    assert!(*a.leads.borrow(), "b never renewed");
}
