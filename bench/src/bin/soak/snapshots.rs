//! Snapshots rain down while connections of all kinds are live.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use crate::{
    flow::{Pace, http2, stream, udp, websocket},
    job::{Finding, Job, Setup, progress},
    load::Load,
    site::{GRPC, HOST, SNI, Site},
};

/// As many as a busy cluster makes in a day or two.
const SNAPSHOTS: u64 = 10_000;
/// Between two steps: longer than a snapshot takes, so that few steps are merged into one.
const STEP: Duration = Duration::from_millis(20);
/// Steps that are taken at most for each snapshot that is wanted: some are merged, and some come to nothing.
const STEPS: u64 = 3;
/// Steps between two looks at how many snapshots were applied.
const LOOK: u64 = 100;

/// WebSockets, half of them over TLS.
const WEBSOCKETS: u64 = 1_000;
/// Streams of gRPC, and connections that they share.
const STREAMS: u64 = 200;
const STREAMS_PER_CONNECTION: u64 = 20;
/// Flows over TCP.
const TCP: u64 = 200;
/// Flows over TLS that is passed through.
const PASSED_THROUGH: u64 = 200;
/// Sessions over UDP.
const UDP: u64 = 50;
/// Every few seconds, as clients do that mostly wait.
const PACE: Pace = Pace {
    least: 2_000,
    most: 4_000,
};

/// Quiet before memory is measured: the allocator gives back after a second what is free, and old tables are freed when
/// the last worker lets go of them.
const QUIET_BEFORE: Duration = Duration::from_secs(30);
const QUIET_AFTER: Duration = Duration::from_mins(1);
/// The share by which memory may differ.
const SHARE: f64 = 0.05;

/// Runs the job.
pub async fn run(setup: &Setup) -> anyhow::Result<Finding> {
    let mut finding = Finding::new(Job::Snapshots);
    let mut site = Site::start(&setup.binaries).await?;
    let load = open(&site, setup).await.context("opening the flows")?;
    progress(Job::Snapshots.name(), "all flows are open");
    sleep(QUIET_BEFORE).await;
    let before = site.edge.agent.memory()?;
    let begun = site.applied().await?;
    let wanted = setup.scale.of(SNAPSHOTS);
    let begin = Instant::now();
    let steps = storm(&mut site, &load, begun, wanted).await?;
    let took = begin.elapsed();
    let applied = site.applied().await? - begun;
    let during = site.edge.agent.memory()?;
    let differences = site.differences().await?;
    finding.wanted_none("served otherwise than written at the end", &differences);
    site.restore()?;
    sleep(QUIET_AFTER).await;
    let differences = site.differences().await?;
    finding.wanted_none(
        "served otherwise than written when all is as before",
        &differences,
    );
    let after = site.edge.agent.memory()?;
    tell_applied(&site, &mut finding, applied, wanted).await?;
    finding.figure("steps", steps);
    finding.figure("seconds of the steps", took.as_secs());
    load.end(&mut finding).await;
    tell_memory(&mut finding, [before, during, after]);
    Ok(finding)
}

/// Opens all flows.
async fn open(site: &Site, setup: &Setup) -> anyhow::Result<Load> {
    let (at, tls) = (&site.at, &site.tls);
    let mut load = Load::default();
    let plain = load.kind("WebSocket");
    let secure = load.kind("WebSocket over TLS");
    for index in 0..setup.scale.of(WEBSOCKETS) {
        if index % 2 == 0 {
            load.spawn(&plain, PACE, websocket::open(at.http, HOST).await?);
        } else {
            load.spawn(
                &secure,
                PACE,
                websocket::open_tls(at.https, HOST, tls).await?,
            );
        }
    }
    let kind = load.kind("gRPC stream");
    let mut connection = None;
    for index in 0..setup.scale.of(STREAMS) {
        let shared = match connection.take() {
            Some(shared) if index % STREAMS_PER_CONNECTION != 0 => shared,
            _ => http2::Connection::open(at.http).await?,
        };
        load.spawn(&kind, PACE, http2::Echo::open(&shared, GRPC).await?);
        connection = Some(Arc::clone(&shared));
    }
    let kind = load.kind("TCP flow");
    for _ in 0..setup.scale.of(TCP) {
        load.spawn(&kind, PACE, stream::tcp(at.tcp).await?);
    }
    let kind = load.kind("TLS flow passed through");
    for _ in 0..setup.scale.of(PASSED_THROUGH) {
        load.spawn(&kind, PACE, stream::tls(at.sni, SNI, tls).await?);
    }
    let kind = load.kind("UDP session");
    for _ in 0..setup.scale.of(UDP) {
        load.spawn(&kind, PACE, udp::Session::open(at.udp).await?);
    }
    Ok(load)
}

/// Takes steps until as many snapshots were applied as wanted.
async fn storm(site: &mut Site, load: &Load, begun: u64, wanted: u64) -> anyhow::Result<u64> {
    let mut next = Instant::now();
    for step in 1..=wanted * STEPS {
        site.step()?;
        next += STEP;
        tokio::time::sleep_until(next).await;
        if step % LOOK == 0 || step >= wanted {
            let applied = site.applied().await? - begun;
            if step % (LOOK * 10) == 0 {
                let memory = mebibytes(site.edge.agent.memory()?);
                let text = format!(
                    "{step} steps, {applied} snapshots, {} exchanges, {} failures, {memory:.1} MiB",
                    load.done(),
                    load.failed()
                );
                progress(Job::Snapshots.name(), &text);
            }
            if applied >= wanted {
                return Ok(step);
            }
        }
    }
    Ok(wanted * STEPS)
}

async fn tell_applied(
    site: &Site,
    finding: &mut Finding,
    applied: u64,
    wanted: u64,
) -> anyhow::Result<()> {
    let enough = (applied >= wanted).into();
    finding.wanted("snapshots applied", applied, &format!("{wanted}"), enough);
    let metrics = site.edge.metrics().await?;
    for (name, series) in [
        ("snapshots refused", "novaedge_snapshot_rejections_total"),
        ("resources refused", "novaedge_snapshot_rejected_resources"),
        (
            "errors of the snapshot stream",
            "novaedge_snapshot_protocol_errors_total",
        ),
    ] {
        finding.wanted_zero(name, metrics.count(series, ""));
    }
    Ok(())
}

fn tell_memory(finding: &mut Finding, [before, during, after]: [u64; 3]) {
    let (before, during, after) = (mebibytes(before), mebibytes(during), mebibytes(after));
    let quiet = |name, quiet: Duration| format!("MiB {name}, after {} s of quiet", quiet.as_secs());
    finding.figure(quiet("before", QUIET_BEFORE), format!("{before:.1}"));
    finding.figure("MiB at the last snapshot", format!("{during:.1}"));
    finding.figure(quiet("afterwards", QUIET_AFTER), format!("{after:.1}"));
    let share = after / before - 1.0;
    let text = format!("{:+.1} %", share * 100.0);
    finding.wanted(
        "change of memory",
        text,
        "at most 5 %",
        (share <= SHARE).into(),
    );
}

/// Bytes in MiB.
#[allow(clippy::cast_precision_loss)]
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
