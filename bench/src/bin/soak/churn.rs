//! Everything changes all the time under a moderate load of all protocols, for long.

use std::time::Duration;

use anyhow::Context as _;
use novaedge_bench::timing::Distribution;
use tokio::time::{Instant, interval, sleep};

use crate::{
    flow::{Pace, http1, http2, stream, tls, udp, websocket},
    job::{Finding, Job, Setup, machine_load, progress},
    load::Load,
    random::Random,
    site::{HOST, SNI, Site},
    slope::Slope,
    snapshots::mebibytes,
    steps::steady_host,
};

/// Milliseconds between two steps, about twenty a second: more than the busiest cluster, and each is still applied by itself.
const STEP: (u64, u64) = (40, 60);
/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(10);
/// Before the first sample: connections and tables come to be.
const WARM_UP: Duration = Duration::from_secs(10);
/// The share of samples, at the end, that a slope is laid through.
const LAST: (usize, usize) = (2, 3);
/// A slope this many standard errors above 0 is one: the chance of less than one in a thousand, one-sided.
const SURE: f64 = 3.3;
/// A slope below this, in MiB an hour, is none that anybody would see: a day of it is a twentieth of a GiB.
const SMALL_MIB: f64 = 2.0;
/// The same for files and threads an hour.
const SMALL_COUNT: f64 = 2.0;

/// What one sample shows.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Seconds since the load began.
    pub seconds: f64,
    /// Resident memory of the agent.
    pub mebibytes: f64,
    /// Files that it has open.
    pub files: f64,
    /// Its threads.
    pub threads: f64,
    /// Latencies of requests over HTTP/1.1 since the sample before, in ms.
    pub latency: Distribution,
    /// What the machine had to do.
    pub load: f64,
}

/// What a slope is laid through.
type Coordinate = fn(&Sample) -> f64;

/// Runs the job.
pub async fn run(setup: &Setup) -> anyhow::Result<Finding> {
    let mut finding = Finding::new(Job::Churn);
    let mut site = Site::start(&setup.binaries).await?;
    let load = open(&site).await.context("opening the flows")?;
    let whole = Duration::from_secs(setup.scale.of(setup.minutes * 60)).max(SAMPLE * 6);
    sleep(WARM_UP).await;
    let begun = site.applied().await?;
    let steps = churn(&mut site, &load, whole, &mut finding).await?;
    finding.figure("minutes", format!("{:.1}", whole.as_secs_f64() / 60.0));
    finding.figure("steps", steps);
    finding.figure("snapshots applied", site.applied().await? - begun);
    let differences = site.differences().await?;
    finding.wanted_none("served otherwise than written at the end", &differences);
    let metrics = site.edge.metrics().await?;
    let refused = metrics.count("novaedge_snapshot_rejections_total", "");
    finding.wanted_zero("snapshots refused", refused);
    load.end(&mut finding).await;
    tell_slopes(&mut finding);
    Ok(finding)
}

/// About 900 requests a second, and some of everything else.
async fn open(site: &Site) -> anyhow::Result<Load> {
    let (at, config) = (&site.at, &site.tls);
    let mut load = Load::default();
    let pace = |least, most| Pace { least, most };
    let kind = load.kind("HTTP/1.1");
    for index in 0..8 {
        load.spawn(&kind, pace(10, 30), http1::Client::new(at.http, HOST));
        let host = steady_host(index * 7);
        load.spawn(&kind, pace(10, 30), http1::Client::new(at.http, host));
    }
    let kind = load.kind("HTTP/2");
    for index in 0..2 {
        let connection = http2::Connection::open(at.http).await?;
        for stream in 0..4 {
            let host = steady_host(index * 4 + stream);
            let client = http2::Client::new(at.http, host, &connection);
            load.spawn(&kind, pace(20, 60), client);
        }
    }
    let kind = load.kind("TLS, a connection for each request");
    for _ in 0..4 {
        load.spawn(
            &kind,
            pace(100, 300),
            tls::Anew::new(at.https, HOST, config),
        );
    }
    let kind = load.kind("WebSocket");
    for _ in 0..20 {
        load.spawn(
            &kind,
            pace(500, 1_500),
            websocket::open(at.http, HOST).await?,
        );
    }
    let kind = load.kind("TCP flow");
    for _ in 0..20 {
        load.spawn(&kind, pace(500, 1_500), stream::tcp(at.tcp).await?);
    }
    let kind = load.kind("TCP, a flow for each exchange");
    load.spawn(&kind, pace(50, 150), stream::Anew::tcp(at.tcp));
    let kind = load.kind("TLS passed through, a flow for each exchange");
    load.spawn(&kind, pace(50, 150), stream::Anew::tls(at.sni, SNI, config));
    let kind = load.kind("UDP session");
    for _ in 0..10 {
        load.spawn(&kind, pace(150, 250), udp::Session::open(at.udp).await?);
    }
    Ok(load)
}

/// Takes steps and samples until the time is over.
async fn churn(
    site: &mut Site,
    load: &Load,
    whole: Duration,
    finding: &mut Finding,
) -> anyhow::Result<u64> {
    let begin = Instant::now();
    let mut random = Random::new(2);
    let mut sampling = interval(SAMPLE);
    let mut steps = 0;
    while begin.elapsed() < whole {
        tokio::select! {
            _ = sampling.tick() => {
                let sample = sample(site, load, begin)?;
                tell(&sample, load);
                finding.samples.push(sample);
            }
            // Not at a fixed beat, so that none of the system's timers is hit on purpose.
            () = sleep(random.milliseconds(STEP.0, STEP.1)) => {
                site.step()?;
                steps += 1;
            }
        }
    }
    Ok(steps)
}

#[allow(clippy::cast_precision_loss)]
fn sample(site: &Site, load: &Load, begin: Instant) -> anyhow::Result<Sample> {
    let agent = &site.edge.agent;
    let latency = Distribution::of(&load.take_latencies("HTTP/1.1"));
    // Nobody looks at the others, and they must not add up.
    drop(load.take_latencies(""));
    Ok(Sample {
        seconds: begin.elapsed().as_secs_f64(),
        mebibytes: mebibytes(agent.memory()?),
        files: agent.files()? as f64,
        threads: agent.threads()? as f64,
        latency,
        load: machine_load(),
    })
}

fn tell(sample: &Sample, load: &Load) {
    let text = format!(
        "{:5.0} s | {:6.1} MiB | {:4} files | {:3} threads | p50 {:5.2} ms | p99 {:6.2} ms | load {:5.2} | {} exchanges | {} failures",
        sample.seconds,
        sample.mebibytes,
        sample.files,
        sample.threads,
        sample.latency.p50,
        sample.latency.p99,
        sample.load,
        load.done(),
        load.failed()
    );
    progress(Job::Churn.name(), &text);
}

fn tell_slopes(finding: &mut Finding) {
    let skipped = finding.samples.len() * (LAST.1 - LAST.0) / LAST.1;
    let last: Vec<Sample> = finding.samples.iter().skip(skipped).copied().collect();
    finding.figure("samples behind the slopes", last.len());
    let what: [(&str, Coordinate, f64); 3] = [
        ("MiB", |sample| sample.mebibytes, SMALL_MIB),
        ("files", |sample| sample.files, SMALL_COUNT),
        ("threads", |sample| sample.threads, SMALL_COUNT),
    ];
    for (name, value, small) in what {
        let points: Vec<(f64, f64)> = last
            .iter()
            .map(|sample| (sample.seconds / 3_600.0, value(sample)))
            .collect();
        let Some(slope) = Slope::through(&points) else {
            finding.figure(format!("slope, {name} an hour"), "too few samples");
            continue;
        };
        let grows = slope.rise > small && slope.t() > SURE;
        let text = format!(
            "{:+.2} ± {:.2} (t = {:.1})",
            slope.rise,
            slope.error,
            slope.t()
        );
        let wanted = format!("at most {small}, or no more than {SURE} standard errors");
        let name = format!("slope, {name} an hour");
        finding.wanted(&name, text, &wanted, (!grows).into());
    }
    let ends = [finding.samples.first(), finding.samples.last()];
    let ends = ends.map(|sample| sample.map_or(f64::NAN, |sample| sample.mebibytes));
    finding.figure(
        "MiB at first and at last",
        format!("{:.1}, {:.1}", ends[0], ends[1]),
    );
    let p99: Vec<f64> = last.iter().map(|sample| sample.latency.p99).collect();
    let worst = Distribution::of(&p99);
    finding.figure(
        "p99 of HTTP/1.1 in ms, median and largest of the samples",
        format!("{:.2}, {:.2}", worst.p50, worst.max),
    );
}
