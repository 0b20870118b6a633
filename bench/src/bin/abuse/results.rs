//! The report.

use std::path::Path;

use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
};

use crate::{
    attack::HeldTo,
    honest,
    measure::{AFTER, Finding, GROWTH, QUIET, SLOWER},
    schedule::Schedule,
    tally::count,
};

/// Writes the report.
pub fn publish(
    out: &Path,
    findings: &[Finding],
    schedule: Schedule,
    seconds: u32,
) -> anyhow::Result<()> {
    let title = "What abuse costs the agent and its other clients";
    let mut report = Report::new(out, "abuse", title, &finding(findings));
    report.paragraph(&format!(
        "Each abuse lasts {seconds} s (`--seconds`) on a fresh agent, which {} connections of HTTP/1.1 and {} of HTTP/2 ask honestly {} times a second in all, before, meanwhile and after.\n\
         Their latency counts from when a request was due, so an answer that is late makes the next ones late.\n\
         The agent has core 0 and one worker; honest clients, attacker, an origin for each and the control plane share core 1, where {}.\n\
         Aims: the agent grows by at most {GROWTH} MiB, the 99th percentile of honest clients by at most {SLOWER} × and none of them fails, and afterwards, without a restart, all is as before: no errors, a median within {SLOWER} × and new clients served.\n\
         Quiet and afterwards are {} s each, the latter the end of {} s; memory is resident memory, and its peak is looked for every 50 ms.\n\
         Many abuses begin with a burst, of which the worst second tells: the 99th percentile of 500 requests.\n\
         The controls are no abuse: they show what the machine and full honest load do to the same figures.",
        honest::HTTP1,
        honest::HTTP2,
        honest::RATE,
        schedule.sentence(),
        QUIET.as_secs(),
        AFTER.as_secs(),
    ));
    report.table(&aims(findings));
    let labels: Vec<String> = (1..=findings.len())
        .map(|number| number.to_string())
        .collect();
    let series = |name: &str, of: fn(&Finding) -> f64| Series {
        name: name.to_owned(),
        values: findings.iter().map(of).collect(),
    };
    let svg = bars(
        "Growth of the agent under each abuse, by its number",
        "MiB",
        &labels,
        &[series("most", Finding::growth)],
    );
    report.plot("", "Growth of the agent", &svg)?;
    report.paragraph("What each does, and what the agent did.");
    report.table(&deeds(findings));
    report.data("", &details(findings))?;
    report.finish()
}

/// What stands first in the summary.
fn finding(findings: &[Finding]) -> String {
    let held = || {
        let held = findings
            .iter()
            .filter(|one| one.abuse.held_to == HeldTo::Aims);
        held.filter(|one| !one.growth().is_nan())
    };
    let of = |aim: &str| held().filter(|one| !one.missed().contains(&aim)).count();
    let most = held().map(Finding::growth).fold(0.0, f64::max);
    format!(
        "Of {} kinds of abuse {} leave the agent's memory within {GROWTH} MiB of growth (the most is {most:.0} MiB), {} leave the 99th percentile of other clients within {SLOWER} ×, {} make no request of theirs fail, and after {} all is as before without a restart.",
        held().count(),
        of("memory"),
        of("latency"),
        of("errors"),
        of("recovery"),
    )
}

fn aims(findings: &[Finding]) -> Table {
    let mut table = Table::new([
        "#",
        "abuse",
        "MiB before, most, after",
        "growth",
        "honest p50 ms quiet, under, after",
        "honest p99 ms quiet, under, after",
        "p99 ×",
        "worst second's p99 ms quiet, under, after",
        "errors",
        "agent's CPU",
        "as before",
        "aims",
    ]);
    for (at, one) in findings.iter().enumerate() {
        let (quiet, under, after) = (one.quiet, one.under, one.recovered);
        table.row([
            (at + 1).to_string(),
            one.abuse.name.to_owned(),
            format!("{:.0}, {:.0}, {:.0}", one.before, one.peak, one.after),
            format!("{:.0}", one.growth()),
            format!(
                "{:.2}, {:.2}, {:.2}",
                quiet.p50_ms, under.p50_ms, after.p50_ms
            ),
            format!(
                "{:.2}, {:.2}, {:.2}",
                quiet.p99_ms, under.p99_ms, after.p99_ms
            ),
            format!("{:.1}", one.slower()),
            format!(
                "{:.2}, {:.2}, {:.2}",
                quiet.worst_ms, under.worst_ms, after.worst_ms
            ),
            one.under.errors.to_string(),
            format!("{:.0} %", one.cpu * 100.0),
            if one.as_before() { "yes" } else { "no" }.to_owned(),
            one.verdict(),
        ]);
    }
    table
}

fn deeds(findings: &[Finding]) -> Table {
    let mut table = Table::new(["#", "what the attacker does", "sent", "what it saw"]);
    for (at, one) in findings.iter().enumerate() {
        table.row([
            (at + 1).to_string(),
            one.abuse.what.to_owned(),
            count(one.tally.sent),
            one.tally.words(),
        ]);
    }
    table
}

fn details(findings: &[Finding]) -> Table {
    let mut table = Table::new([
        "abuse",
        "MiB before",
        "MiB most",
        "MiB after",
        "quiet p50 ms",
        "quiet p99 ms",
        "quiet max ms",
        "quiet worst second ms",
        "quiet errors",
        "under p50 ms",
        "under p99 ms",
        "under max ms",
        "under worst second ms",
        "under errors",
        "after p50 ms",
        "after p99 ms",
        "after max ms",
        "after worst second ms",
        "after errors",
        "agent's CPU",
        "sent",
        "bytes sent",
        "connections",
        "ended by the agent",
        "not accepted",
        "as before",
        "load average before",
    ]);
    for one in findings {
        let mut cells = vec![one.abuse.name.to_owned()];
        cells.extend([one.before, one.peak, one.after].map(|mib| format!("{mib:.1}")));
        for phase in [one.quiet, one.under, one.recovered] {
            let times = [phase.p50_ms, phase.p99_ms, phase.max_ms, phase.worst_ms];
            cells.extend(times.map(|ms| format!("{ms:.3}")));
            cells.push(phase.errors.to_string());
        }
        cells.push(format!("{:.3}", one.cpu));
        let tally = &one.tally;
        let counts = [
            tally.sent,
            tally.bytes,
            tally.opened,
            tally.ended,
            tally.refused,
        ];
        cells.extend(counts.map(|count| count.to_string()));
        cells.extend([one.as_before().to_string(), one.load.clone()]);
        table.row(cells);
    }
    table
}
