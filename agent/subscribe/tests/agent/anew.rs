//! Resources that are judged otherwise later on, without a step that brings them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use novaedge_proto::v1;
use novaedge_subscribe::{Applier, Phase, Step, Subscriber};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::harness::{ControlPlane, config};

/// Refuses what it is told to, at every step.
#[derive(Clone, Default)]
struct Judge {
    refused: Arc<Mutex<BTreeSet<String>>>,
    recovered: Arc<Notify>,
    held: BTreeMap<String, String>,
}

impl Judge {
    fn refuse(&self, names: &[&str]) {
        *self.refused.lock().unwrap() = names.iter().map(|name| (*name).to_owned()).collect();
    }
}

impl Applier for Judge {
    async fn apply(&mut self, step: Step) -> Vec<v1::RejectedResource> {
        let upserts = step.upserts.iter();
        let upserts = upserts.map(|one| (one.name().to_owned(), one.version().to_owned()));
        self.held.extend(upserts);
        self.held.retain(|name, _| !step.removed.contains(name));
        let refused = self.refused.lock().unwrap();
        let rejected = self.held.iter().filter(|(name, _)| refused.contains(*name));
        let rejected = rejected.map(|(name, version)| v1::RejectedResource {
            name: name.clone(),
            version: version.clone(),
            error: "told so".into(),
        });
        rejected.collect()
    }

    async fn recover(&mut self) {
        self.recovered.notified().await;
    }
}

struct Bed {
    control_plane: ControlPlane,
    judge: Judge,
    stop: CancellationToken,
    task: JoinHandle<()>,
    metrics: Arc<novaedge_subscribe::Metrics>,
}

impl Bed {
    async fn start(upserts: &[(&str, u64)], refused: &[&str]) -> Self {
        let control_plane = ControlPlane::start().await;
        control_plane.publish(upserts);
        let judge = Judge::default();
        judge.refuse(refused);
        let config = config(control_plane.address);
        let subscriber = Subscriber::new(config, None, Box::new(|| 0.5)).unwrap();
        let metrics = subscriber.metrics();
        let mut status = subscriber.status();
        let stop = CancellationToken::new();
        let mut applier = judge.clone();
        let shutdown = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move { subscriber.run(&mut applier, shutdown).await });
        let synced = status.wait_for(|status| status.phase == Phase::Synced);
        synced.await.unwrap();
        let bed = Self {
            control_plane,
            judge,
            stop,
            task,
            metrics,
        };
        bed.until_refused(refused).await;
        bed
    }

    /// Waits until the control plane knows of these refusals, and of no others.
    async fn until_refused(&self, names: &[&str]) {
        let mut acks = self.control_plane.publisher.acks();
        let known = acks.wait_for(|acks| {
            acks.agents.get("agent-0").is_some_and(|agent| {
                let mut refused: Vec<_> = agent.rejected.iter().map(|one| &*one.name).collect();
                refused.sort_unstable();
                agent.version.is_some() && refused == names
            })
        });
        let known = tokio::time::timeout(Duration::from_secs(10), known).await;
        drop(known.expect("known in 10 s").unwrap());
    }

    /// Ends the agent; it must have come to rest.
    async fn stop(self) {
        let streams = self.metrics.connections();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(self.metrics.connections(), streams);
        self.stop.cancel();
        self.task.await.unwrap();
        self.control_plane.stop().await;
    }
}

#[tokio::test]
async fn what_recovers_without_a_step_is_acknowledged() {
    let bed = Bed::start(&[("a", 1), ("b", 1)], &["b"]).await;
    bed.judge.refuse(&[]);
    bed.judge.recovered.notify_one();
    bed.until_refused(&[]).await;
    bed.stop().await;
}

#[tokio::test]
async fn what_a_step_puts_out_without_bringing_it_is_refused() {
    let bed = Bed::start(&[("a", 1), ("b", 1)], &[]).await;
    bed.judge.refuse(&["b"]);
    bed.control_plane.publish(&[("a", 2)]);
    bed.until_refused(&["b"]).await;
    bed.stop().await;
}

#[tokio::test]
async fn what_was_refused_for_another_is_judged_again_when_that_heals() {
    let bed = Bed::start(&[("a", 1), ("b", 1), ("c", 1)], &["a", "b", "c"]).await;
    bed.judge.refuse(&["c"]);
    bed.control_plane.publish(&[("a", 2)]);
    bed.until_refused(&["c"]).await;
    bed.stop().await;
}

#[tokio::test]
async fn a_listener_that_goes_lets_a_refused_one_in() {
    let listeners = [("listener/d/g/a", 1), ("listener/d/g/b", 1)];
    let bed = Bed::start(&listeners, &["listener/d/g/b"]).await;
    bed.judge.refuse(&[]);
    let gone = vec!["listener/d/g/a".into()];
    bed.control_plane.publisher.update(Vec::new(), gone);
    bed.until_refused(&[]).await;
    bed.stop().await;
}

#[tokio::test]
async fn other_changes_leave_the_stream_and_the_refusals_alone() {
    let bed = Bed::start(&[("a", 1), ("b", 1)], &["b"]).await;
    let streams = bed.metrics.connections();
    for content in 2..10 {
        let sequence = bed.control_plane.publish(&[("a", content)]);
        let publisher = &bed.control_plane.publisher;
        publisher.wait_acknowledged(sequence).await;
    }
    bed.until_refused(&["b"]).await;
    assert_eq!(bed.metrics.connections(), streams);
    bed.stop().await;
}
