//! Measures rows: one new route after the other, and what the system takes for it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    api::Api,
    edge,
    probe::Probe,
    results::Row,
    usage::{Metrics, cpu},
};

/// Routes that are changed at once, so that as many statuses and native objects are to be written.
const BURST: usize = 2_000;
/// With so few writes left, the next burst is due.
const FEW: f64 = 20.0;
/// How many routes are measured between two looks at what is left to write.
const LOOK: usize = 8;

/// What is measured, and with what.
pub struct Bench {
    /// The API server.
    pub api: Api,
    /// The client of the agents.
    pub probe: Probe,
    /// The numbers of the control planes.
    pub metrics: Metrics,
    /// The number of the next route.
    next: usize,
}

/// What goes on while new routes are made.
pub enum Load {
    /// Nothing, or something that needs no help from here.
    Other,
    /// Statuses and native objects of thousands of routes, of so many, are written.
    Burst(Burst),
}

/// Changes of thousands of routes at once.
pub struct Burst {
    present: usize,
    version: usize,
}

impl Burst {
    /// Among so many routes.
    pub fn of(present: usize) -> Self {
        let version = 1;
        Self { present, version }
    }
}

impl Bench {
    /// Begins with routes of this number.
    pub fn new(api: Api, probe: Probe, metrics: Metrics, next: usize) -> Self {
        Self {
            api,
            probe,
            metrics,
            next,
        }
    }

    /// Makes one route after the other, and takes each away when every agent has served it for a while.
    pub async fn row(
        &mut self,
        name: String,
        routes: usize,
        mut load: Load,
    ) -> anyhow::Result<Row> {
        self.probe.forget();
        let (start, cpu_before) = (Instant::now(), cpu()?);
        let written_before = self.metrics.written()?;
        let (mut served, mut written) = (Vec::new(), Vec::new());
        for n in 0..routes {
            if let Load::Burst(burst) = &mut load
                && n % LOOK == 0
                && self.metrics.queued()? < FEW
            {
                self.burst(burst).await?;
            }
            let (index, path, object) = self.new_route();
            let begin = Instant::now();
            self.api.create(&path, &object).await?;
            written.push(begin.elapsed().as_secs_f64() * 1e3);
            tokio::task::block_in_place(|| self.probe.until_served(&edge::host(index)))?;
            served.push(begin.elapsed().as_secs_f64() * 1e3);
            self.probe.watch(index);
            // Routes come at no fixed beat, so that none of the system's timers is hit on purpose.
            self.rest(Duration::from_millis(5 + n as u64 * 7 % 41))
                .await?;
        }
        while self.probe.is_watching() {
            self.rest(Duration::from_millis(20)).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let mut row = Row::new(name, [&served, &written], self.probe.forget());
        row.seconds = seconds.round();
        let before = |role: &str| cpu_before.get(role).copied().unwrap_or_default();
        let cpu = cpu()?.into_iter();
        let cpu =
            cpu.map(|(role, used)| (role.to_owned(), percent((used - before(role)) / seconds)));
        row.cpu_percent = cpu.collect::<BTreeMap<_, _>>();
        let (statuses, natives) = self.metrics.written()?;
        row.status_writes = whole(statuses - written_before.0);
        row.native_writes = whole(natives - written_before.1);
        Ok(row)
    }

    fn new_route(&mut self) -> (usize, String, serde_json::Value) {
        let index = self.next;
        self.next += 1;
        let (path, object) = edge::route(index, "edge", 1);
        (index, path, object)
    }

    /// Lets time pass, and deletes the routes that were served long enough.
    async fn rest(&mut self, time: Duration) -> anyhow::Result<()> {
        let grown = tokio::task::block_in_place(|| self.probe.rest(time))?;
        for index in grown {
            self.delete(index).await?;
        }
        Ok(())
    }

    async fn delete(&self, index: usize) -> anyhow::Result<()> {
        let (collection, _) = edge::route(index, "edge", 1);
        self.api.delete(&format!("{collection}/r{index}")).await
    }

    /// Changes many routes at once, and waits until the agents have all of it; their statuses come after that.
    async fn burst(&mut self, burst: &mut Burst) -> anyhow::Result<()> {
        burst.version += 1;
        let version = burst.version;
        let changed = (0..burst.present.min(BURST)).map(|index| {
            let (collection, object) = edge::route(index, "edge", version);
            let path = format!("{collection}/r{index}");
            (path, json!({"spec": object["spec"]}))
        });
        self.api.merge_all(changed).await?;
        let (index, path, object) = self.new_route();
        self.api.create(&path, &object).await?;
        let seen = self.probe.seen.clone();
        tokio::task::block_in_place(|| self.probe.until_served(&edge::host(index)))?;
        self.probe.seen = seen;
        self.delete(index).await
    }
}

fn percent(share: f64) -> f64 {
    (share * 1e3).round() / 10.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small count"
)]
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}
