//! What was measured, as it is kept beside the page.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use novaedge_bench::{report::machine, timing::Distribution};
use serde::{Deserialize, Serialize};

use crate::{probe::Seen, system::System, usage::Memory};

/// Upper bounds of the classes that times are counted in, in milliseconds; one more class has what is above all.
pub const BOUNDS: [f64; 8] = [5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0];

/// All that was measured of one system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Its name.
    pub system: String,
    /// The image that its pods run.
    pub image: String,
    /// Version of Kubernetes.
    pub kubernetes: String,
    /// Where it ran.
    pub machine: String,
    /// Pods that serve.
    pub pods: usize,
    /// Median and 99th percentile of a round of questions to servers that answer at once, in milliseconds.
    pub client_ms: [f64; 2],
    /// How fast new routes are served.
    pub rows: Vec<Row>,
    /// Seconds from the last of many routes until `attachedRoutes` is right; none where it never was.
    pub attached_seconds: Option<f64>,
    /// Memory and traffic, of NovaEdge alone.
    pub scale: Option<Scale>,
}

/// A row of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// What was the case.
    pub name: String,
    /// Routes that were made.
    pub routes: usize,
    /// From the beginning of the API write to the first right answer of the last agent, in milliseconds.
    pub served_ms: Spread,
    /// What of that the API server took to answer the write.
    pub write_ms: Spread,
    /// The rest of it, which is the system's own.
    pub own_ms: Spread,
    /// Routes by the time they took, in the classes of [`BOUNDS`].
    pub histogram: Vec<u64>,
    /// Answers by status, until each agent served the route.
    pub answers: BTreeMap<u16, u64>,
    /// The same in the 200 ms after.
    pub later_answers: BTreeMap<u16, u64>,
    /// Answers other than 404, then 200.
    pub wrong: u64,
    /// How long the row took, in seconds.
    pub seconds: f64,
    /// CPU by role, in percent of a core.
    pub cpu_percent: BTreeMap<String, f64>,
    /// Statuses that were written meanwhile.
    pub status_writes: u64,
    /// Native objects that were written or deleted meanwhile.
    pub native_writes: u64,
}

/// How times are spread.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// That of `times`.
    pub fn of(times: &[f64]) -> Self {
        let [p50, p90, p99, max] = Distribution::of(times).figures();
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        Self {
            mean: rounded(mean),
            p50: rounded(p50),
            p90: rounded(p90),
            p99: rounded(p99),
            max: rounded(max),
        }
    }

    /// Its figures in order.
    pub fn figures(self) -> [f64; 5] {
        [self.mean, self.p50, self.p90, self.p99, self.max]
    }
}

/// What a cluster of many routes takes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scale {
    /// Resident MiB of the largest control plane and of the largest agent, by the time.
    pub memory_mib: Vec<(String, [f64; 2])>,
    /// Bytes per second and agent while endpoints change.
    pub egress: f64,
}

impl Scale {
    /// Notes the memory of a time.
    pub fn note(&mut self, time: &str, memory: Memory) {
        let figures = [memory.control_plane, memory.agent].map(rounded);
        self.memory_mib.push((time.to_owned(), figures));
    }
}

impl Row {
    /// A row without the figures of the system; `times` are those of serving and those of writing.
    pub fn new(name: String, times: [&[f64]; 2], seen: Seen) -> Self {
        let [served, written] = times;
        let own = served.iter().zip(written);
        let own: Vec<f64> = own.map(|(served, written)| served - written).collect();
        Self {
            name,
            routes: served.len(),
            served_ms: Spread::of(served),
            write_ms: Spread::of(written),
            own_ms: Spread::of(&own),
            histogram: histogram(served),
            wrong: seen.wrong(),
            answers: seen.first,
            later_answers: seen.later,
            seconds: 0.0,
            cpu_percent: BTreeMap::new(),
            status_writes: 0,
            native_writes: 0,
        }
    }
}

impl Results {
    /// Those of a system of which nothing is measured yet.
    pub fn new(
        system: System,
        versions: (String, String),
        pods: usize,
        client: Distribution,
    ) -> Self {
        let (image, kubernetes) = versions;
        Self {
            system: system.title().to_owned(),
            image,
            kubernetes,
            machine: machine(),
            pods,
            client_ms: [client.p50, client.p99].map(rounded),
            rows: Vec::new(),
            attached_seconds: None,
            scale: None,
        }
    }

    /// Reads those of a system that were kept in a folder; none where there are none.
    pub fn load(folder: &Path, system: System) -> anyhow::Result<Option<Self>> {
        let path = folder.join(system.file());
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)?;
        let results = serde_json::from_str(&text);
        results.with_context(|| format!("reading {}", path.display()))
    }

    /// Keeps them there.
    pub fn keep(&self, folder: &Path, system: System) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let path = folder.join(system.file());
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}

/// How many times are in each class.
fn histogram(times: &[f64]) -> Vec<u64> {
    let mut counts = vec![0; BOUNDS.len() + 1];
    for time in times {
        let class = BOUNDS.iter().position(|bound| time < bound);
        if let Some(count) = counts.get_mut(class.unwrap_or(BOUNDS.len())) {
            *count += 1;
        }
    }
    counts
}

/// Two digits after the point are more than a measurement can tell.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_one_class() {
        let counts = histogram(&[1.0, 5.0, 7.4, 49.9, 100.0, 2_000.0]);
        assert_eq!(counts, [1, 2, 0, 0, 0, 0, 1, 0, 2]);
    }
}
