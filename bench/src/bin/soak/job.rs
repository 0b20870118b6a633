//! The jobs, and what comes of them.

use std::{fs, path::PathBuf, time::Instant};

use crate::{certificates, churn, churn::Sample, idle_race, snapshots};

/// What all jobs are given.
pub struct Setup {
    /// The folder of our binaries.
    pub binaries: PathBuf,
    /// How much of the full counts.
    pub scale: Scale,
    /// Minutes of the churn at full scale.
    pub minutes: u64,
}

/// A share of the full counts.
#[derive(Clone, Copy, Debug)]
pub struct Scale(u64);

/// A promise to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Origins close idle connections just as requests go out.
    IdleRace,
    /// Certificates turn over under handshakes.
    Certificates,
    /// Snapshots come while connections live.
    Snapshots,
    /// All of it, for long.
    Churn,
}

/// What came of a job.
pub struct Finding {
    /// The job.
    pub name: &'static str,
    /// What was promised.
    pub promise: &'static str,
    /// What broke the promise, a sentence each; kept if empty.
    pub broken: Vec<String>,
    /// Figures by name.
    pub figures: Vec<(String, String)>,
    /// What was sampled over time.
    pub samples: Vec<Sample>,
}

impl Scale {
    /// So many percent of the full counts.
    pub fn percent(percent: u64) -> Self {
        Self(percent)
    }

    /// This share of `full`, at least one.
    pub fn of(self, full: u64) -> u64 {
        (full * self.0 / 100).max(1)
    }

    /// In words.
    pub fn words(self) -> String {
        match self.0 {
            100 => "full counts".to_owned(),
            percent => format!("{percent} % of the full counts"),
        }
    }
}

impl Job {
    /// All jobs, the longest last.
    pub const ALL: [Self; 4] = [
        Self::IdleRace,
        Self::Certificates,
        Self::Snapshots,
        Self::Churn,
    ];

    /// Its name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::IdleRace => "idle-race",
            Self::Certificates => "certificates",
            Self::Snapshots => "snapshots",
            Self::Churn => "churn",
        }
    }

    /// What is promised.
    pub fn promise(self) -> &'static str {
        match self {
            Self::IdleRace => {
                "An origin that closes idle connections costs no client an idempotent request, and no POST that is safe to send again."
            }
            Self::Certificates => {
                "A listener's certificate is replaced without a failed handshake, and the new one is served within a second."
            }
            Self::Snapshots => {
                "No connection breaks and no echo is wrong while snapshots are applied, and memory is back within 5 % afterwards."
            }
            Self::Churn => {
                "Under churn nothing fails, and neither memory nor files nor threads grow."
            }
        }
    }

    /// Runs it. A job that cannot be run to its end keeps no promise, and the others still tell what they found.
    pub async fn run(self, setup: &Setup) -> Finding {
        progress(self.name(), "begins");
        let begin = Instant::now();
        let found = match self {
            Self::IdleRace => idle_race::run(setup).await,
            Self::Certificates => certificates::run(setup).await,
            Self::Snapshots => snapshots::run(setup).await,
            Self::Churn => churn::run(setup).await,
        };
        let mut finding = found.unwrap_or_else(|error| {
            let mut finding = Finding::new(self);
            finding.broken.push(format!("The job failed: {error:#}."));
            finding
        });
        finding.figure("seconds of the job", begin.elapsed().as_secs());
        finding.figure("load of the machine in its last minute", machine_load());
        finding
    }
}

impl Finding {
    /// Nothing found yet.
    pub fn new(job: Job) -> Self {
        Self {
            name: job.name(),
            promise: job.promise(),
            broken: Vec::new(),
            figures: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Adds a figure.
    #[allow(clippy::needless_pass_by_value)] // it is made for this call
    pub fn figure(&mut self, name: impl Into<String>, value: impl ToString) {
        self.figures.push((name.into(), value.to_string()));
    }

    /// Adds a count that breaks the promise unless it is 0.
    pub fn wanted_zero(&mut self, name: &str, count: u64) {
        self.figure(name, count);
        if count > 0 {
            self.broken.push(format!("{name}: {count}, wanted 0."));
        }
    }

    /// Adds the count of what must not be, which is told too.
    pub fn wanted_none(&mut self, name: &str, found: &[String]) {
        self.wanted_zero(name, found.len() as u64);
        let some = found.iter().take(8).map(|one| format!("{name}: {one}."));
        self.broken.extend(some);
    }

    /// Adds a figure that breaks the promise unless `kept`.
    #[allow(clippy::needless_pass_by_value)] // it is made for this call
    pub fn wanted(&mut self, name: &str, value: impl ToString, wanted: &str, kept: Kept) {
        let value = value.to_string();
        if kept == Kept::No {
            self.broken
                .push(format!("{name}: {value}, wanted {wanted}."));
        }
        self.figures.push((name.to_owned(), value));
    }

    /// Whether the promise was kept, in a word.
    pub fn verdict(&self) -> &'static str {
        if self.broken.is_empty() { "yes" } else { "no" }
    }

    /// Says what was found.
    #[allow(clippy::print_stderr)]
    pub fn tell(&self) {
        eprintln!("{} | kept: {}", self.name, self.verdict());
        for (name, value) in &self.figures {
            eprintln!("{} | {name:<60} | {value}", self.name);
        }
        for sentence in &self.broken {
            eprintln!("{} | BROKEN | {sentence}", self.name);
        }
    }
}

/// Whether a figure is as promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl From<bool> for Kept {
    fn from(kept: bool) -> Self {
        if kept { Self::Yes } else { Self::No }
    }
}

/// Threads that ran or wanted to in the last minute, on average: more than there are cores means that others were in the way.
pub fn machine_load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().map(str::parse);
    first.and_then(Result::ok).unwrap_or(f64::NAN)
}

/// Says how far a job is.
#[allow(clippy::print_stderr)]
pub fn progress(job: &str, text: &str) {
    eprintln!("{job} | {text}");
}
