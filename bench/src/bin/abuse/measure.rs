//! One abuse: honest clients alone, then with the attacker, then alone again.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use novaedge_bench::{process::Process, stats::percentile};

use crate::{
    attack::{Abuse, HeldTo},
    edge::{Edge, attacked_host, host},
    honest::{self, Sample},
    schedule::{Schedule, Who},
    tally::{Tally, count},
};

/// The honest clients get going: pools fill, code is touched. Not measured.
const WARM: Duration = Duration::from_secs(2);

/// The honest clients alone: 5,000 requests, of which 50 are above the 99th percentile.
pub const QUIET: Duration = Duration::from_secs(10);

/// From the end of the abuse to the last look; the honest clients are measured again in the last [`QUIET`] of it, when
/// the allocator has had time to give back what was freed.
pub const AFTER: Duration = Duration::from_secs(15);

/// Between two looks at the agent's memory.
const LOOK: Duration = Duration::from_millis(50);

/// What an attacker may take longer than it was told to.
const LATE: Duration = Duration::from_secs(10);

/// The most that the agent may grow, in MiB.
pub const GROWTH: f64 = 64.0;

/// The most that the 99th percentile of honest clients may grow by.
pub const SLOWER: f64 = 2.0;

/// What came of an abuse.
pub struct Finding {
    /// Which.
    pub abuse: &'static Abuse,
    /// What the attacker saw.
    pub tally: Tally,
    /// The agent's memory before, in MiB.
    pub before: f64,
    /// The most that was seen, under the abuse or after it.
    pub peak: f64,
    /// [`AFTER`] the abuse.
    pub after: f64,
    /// The agent's CPU under the abuse, as a share of a core.
    pub cpu: f64,
    /// Honest clients before.
    pub quiet: Phase,
    /// Honest clients under the abuse.
    pub under: Phase,
    /// Honest clients after it.
    pub recovered: Phase,
    /// Whether a new client was served in the end.
    pub serves: bool,
    /// Load of the machine before the abuse: others disturb.
    pub load: String,
}

/// What honest clients saw in a part of the time.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Median latency.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
    /// 99th percentile of the worst second.
    pub worst_ms: f64,
    /// Requests that were not answered with 200.
    pub errors: usize,
}

impl Finding {
    /// By how much the agent grew, in MiB.
    pub fn growth(&self) -> f64 {
        self.peak - self.before
    }

    /// By how much honest clients became slower.
    pub fn slower(&self) -> f64 {
        self.under.p99_ms / self.quiet.p99_ms
    }

    /// Whether honest clients are served as before: without errors, as fast in the middle, and new ones too.
    pub fn as_before(&self) -> bool {
        let as_fast = self.recovered.p50_ms <= self.quiet.p50_ms * SLOWER;
        self.serves && self.recovered.errors == 0 && as_fast
    }

    /// What is missed.
    pub fn missed(&self) -> Vec<&'static str> {
        let checks = [
            (self.growth() <= GROWTH, "memory"),
            (self.slower() <= SLOWER, "latency"),
            (self.under.errors == 0, "errors"),
            (self.as_before(), "recovery"),
        ];
        let missed = checks.iter().filter(|(met, _)| !met).map(|(_, aim)| *aim);
        missed.collect()
    }

    /// The verdict in a word or two.
    pub fn verdict(&self) -> String {
        let missed = self.missed();
        match self.abuse.held_to {
            HeldTo::Nothing => "–".to_owned(),
            HeldTo::Aims if missed.is_empty() => "met".to_owned(),
            HeldTo::Aims => format!("not met: {}", missed.join(", ")),
        }
    }

    /// Says what was found.
    #[allow(clippy::print_stderr)]
    pub fn tell(&self) {
        eprintln!(
            "{:<26} | {:5.1} → {:6.1} → {:6.1} MiB | p99 {:6.2} → {:8.2} → {:6.2} ms | {:3} errors | CPU {:3.0} % | {} sent | {} | {} | load {}",
            self.abuse.name,
            self.before,
            self.peak,
            self.after,
            self.quiet.p99_ms,
            self.under.p99_ms,
            self.recovered.p99_ms,
            self.under.errors,
            self.cpu * 100.0,
            count(self.tally.sent),
            self.tally.words(),
            self.verdict(),
            self.load,
        );
    }
}

/// Starts an edge, and abuses it.
pub fn measure(
    abuse: &'static Abuse,
    binaries: &Path,
    schedule: Schedule,
    seconds: u32,
) -> anyhow::Result<Finding> {
    let mut edge = Edge::start(binaries, schedule)?;
    let lasts = Duration::from_secs(u64::from(seconds));
    // A little longer than all phases; what is sent in the end is not measured.
    let total = WARM + QUIET + lasts + AFTER + Duration::from_secs(3);
    let honest = Honest::start(&edge, schedule, total)?;
    thread::sleep(WARM);
    let quiet = honest::now();
    // What is looked at costs the same in each phase.
    watch(&edge.agent, QUIET, || Ok(false))?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let before = memory(&edge.agent)?;
    let cpu_before = edge.agent.cpu()?;
    let begin = honest::now();
    let (tally, peak_under) = attack(abuse, &edge, schedule, seconds)?;
    let end = honest::now();
    let cpu = edge.agent.cpu()?.saturating_sub(cpu_before);
    let peak_after = watch(&edge.agent, AFTER, || Ok(false))?;
    let recovered = honest::now();
    let after = memory(&edge.agent)?;
    edge.agent
        .wait_for(edge.http)
        .context("the agent is gone")?;
    let samples = honest.finish()?;
    let phase = |from, to| Phase::of(&samples, from, to);
    Ok(Finding {
        abuse,
        tally,
        before,
        peak: peak_under.max(peak_after),
        after,
        cpu: cpu.as_secs_f64() / end.saturating_sub(begin).as_secs_f64(),
        quiet: phase(quiet, begin),
        under: phase(begin, end),
        recovered: phase(recovered.saturating_sub(QUIET), recovered),
        serves: edge.serves(),
        load: load.split(' ').next().unwrap_or_default().to_owned(),
    })
}

impl Phase {
    fn of(samples: &[Sample], from: Duration, to: Duration) -> Self {
        let within = samples.iter().filter(|s| s.due >= from && s.due < to);
        // A request that failed has taken as long as it took to fail: it is not left out, and counted besides.
        let took: Vec<f64> = within.clone().map(|sample| sample.took_ms).collect();
        let at = |share| percentile(&took, share).unwrap_or(f64::NAN);
        let mut seconds: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for sample in within.clone() {
            let second = sample.due.saturating_sub(from).as_secs();
            seconds.entry(second).or_default().push(sample.took_ms);
        }
        let worst = seconds.values().filter_map(|took| percentile(took, 0.99));
        Self {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            worst_ms: worst.fold(0.0, f64::max),
            errors: within.filter(|sample| !sample.answered).count(),
        }
    }
}

/// Abuses, and tells the most memory that the agent had meanwhile.
fn attack(
    abuse: &Abuse,
    edge: &Edge,
    schedule: Schedule,
    seconds: u32,
) -> anyhow::Result<(Tally, f64)> {
    let mut command = own(schedule, Who::Attacker)?;
    command.args(["attack", "--abuse", abuse.name, "--host", &attacked_host()]);
    command.args(["--http", &edge.http.to_string()]);
    command.args(["--https", &edge.https.to_string()]);
    command.args(["--seconds", &seconds.to_string()]);
    let told = edge.folder.path().join("told");
    let child = command
        .stdin(Stdio::null())
        .stdout(fs::File::create(&told)?)
        .spawn()
        .context("starting the attacker")?;
    let mut attacker = Running(child);
    let most = Duration::from_secs(u64::from(seconds)) + LATE;
    let peak = watch(&edge.agent, most, || Ok(attacker.0.try_wait()?.is_some()))?;
    if !attacker
        .0
        .try_wait()?
        .is_some_and(|status| status.success())
    {
        bail!("the attacker failed or did not end");
    }
    let told = fs::read_to_string(told)?;
    Ok((serde_json::from_str(&told)?, peak))
}

/// The most memory that the agent has, in MiB, until `done` or for as long as `most`.
fn watch(
    agent: &Process,
    most: Duration,
    mut done: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<f64> {
    let until = Instant::now() + most;
    let mut peak = 0.0_f64;
    while Instant::now() < until && !done()? {
        peak = peak.max(memory(agent)?);
        thread::sleep(LOOK);
    }
    Ok(peak)
}

/// In MiB.
#[allow(clippy::cast_precision_loss)]
fn memory(agent: &Process) -> anyhow::Result<f64> {
    Ok(agent.memory()? as f64 / 1024.0 / 1024.0)
}

/// This program, in another role.
fn own(schedule: Schedule, who: Who) -> anyhow::Result<Command> {
    let mut command = Command::new("taskset");
    command.args(["-c", Schedule::cores(who)]);
    command.args(schedule.command(who, &std::env::current_exe()?, &[])?);
    Ok(command)
}

/// The honest clients at work.
struct Honest {
    child: Running,
    samples: std::path::PathBuf,
}

impl Honest {
    fn start(edge: &Edge, schedule: Schedule, lasts: Duration) -> anyhow::Result<Self> {
        let samples = edge.folder.path().join("samples");
        let child = own(schedule, Who::Other)?
            .args(["honest", "--to", &edge.http.to_string(), "--host", &host()])
            .args(["--seconds", &lasts.as_secs().to_string()])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&samples)?)
            .spawn()
            .context("starting the honest clients")?;
        Ok(Self {
            child: Running(child),
            samples,
        })
    }

    fn finish(mut self) -> anyhow::Result<Vec<Sample>> {
        let status = self.child.0.wait()?;
        anyhow::ensure!(status.success(), "the honest clients failed: {status}");
        let text = fs::read_to_string(&self.samples)?;
        Ok(text.lines().filter_map(Sample::read).collect())
    }
}

/// A process that does not outlive what it was started for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
