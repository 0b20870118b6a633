//! The page, made of the results that are kept beside it.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
};

use crate::{
    AFTER_BURST, ATTACHED, CHANGING, CHURN, QUIET,
    edge::TENANTS,
    results::{BOUNDS, Results, Row},
    system::System,
};

/// Writes the page of all results in a folder, once there are those of NovaEdge.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let Some(ours) = Results::load(folder, System::Novaedge)? else {
        return Ok(());
    };
    let peer = Results::load(folder, System::Traefik)?;
    // Figures of another machine say nothing here.
    let peer = peer.filter(|peer| peer.machine == ours.machine);
    let mut report = Report::new(
        folder,
        "cluster",
        "A cluster of 5,000 routes",
        &finding(&ours),
    );
    report.paragraph(&how(&ours, peer.as_ref()));
    let rows: Vec<(&Results, &Row)> = [Some(&ours), peer.as_ref()]
        .into_iter()
        .flatten()
        .flat_map(|results| results.rows.iter().map(move |row| (results, row)))
        .collect();
    report.table(&times(&rows));
    let mut data = format!("Data: [{0}]({0})", System::Novaedge.file());
    if peer.is_some() {
        let _ = write!(data, ", [{0}]({0})", System::Traefik.file());
    }
    report.paragraph(&format!("{data}."));
    plot(&mut report, &ours)?;
    report.paragraph(
        "Routes by the time from the API write to the first right answer of every agent:",
    );
    report.table(&histogram(&rows));
    report.paragraph(
        "CPU in percent of a core, of all processes of a kind together, and what the control planes wrote meanwhile:",
    );
    report.table(&costs(&rows));
    report.paragraph(&attached(&ours, peer.as_ref()));
    if let Some(scale) = &ours.scale {
        let mut table = Table::new(["resident memory, MiB", "control plane", "agent"]);
        for (time, figures) in &scale.memory_mib {
            let cells = figures.map(|mib| format!("{mib:.0}"));
            table.row([time.clone()].into_iter().chain(cells));
        }
        report.table(&table);
        report.paragraph(&format!(
            "Endpoints of all {TENANTS} namespaces change every {} s, for which {:.1} kB/s go to each agent (aim: at most 100 kB/s).\n\
             Memory is that of the largest process of its kind, before: after {} s without any work (aim: at most 200 and 60 MiB, and 15 % over the start after all is deleted).",
            CHURN.as_secs(),
            scale.egress / 1e3,
            QUIET.as_secs(),
        ));
    }
    report.finish()
}

fn finding(ours: &Results) -> String {
    let routes: usize = ours.rows.iter().map(|row| row.routes).sum();
    let wrong: u64 = ours.rows.iter().map(|row| row.wrong).sum();
    let is_burst = |row: &&Row| row.name.ends_with(AFTER_BURST);
    let (bursts, rows): (Vec<&Row>, Vec<&Row>) = ours.rows.iter().partition(is_burst);
    let slowest = |rows: &[&Row]| rows.iter().map(|row| row.served_ms.p99).fold(0.0, f64::max);
    let still = rows.iter().filter(|row| !row.name.ends_with(CHANGING));
    let mean = still.map(|row| row.served_ms.mean).fold(0.0, f64::max);
    let memory = ours.scale.iter().flat_map(|scale| &scale.memory_mib);
    let most = memory.map(|(_, [control_plane, _])| *control_plane);
    format!(
        "In a cluster of up to 5,000 routes every agent serves a new one {mean:.1} ms after the API write on average while endpoints stay (aim: at most 17 ms) and {:.1} ms at the 99th percentile even while they change (aim: at most 50 ms), each of the slowest case; {:.1} ms at that percentile while the statuses of thousands of changed routes are written.\nOf the answers for {routes} new routes {wrong} were wrong; a control plane takes up to {:.0} MiB (aim: at most 200 MiB).",
        slowest(&rows),
        slowest(&bursts),
        most.fold(0.0, f64::max)
    )
}

fn how(ours: &Results, peer: Option<&Results>) -> String {
    let [median, high] = ours.client_ms;
    let mut text = format!(
        "Kubernetes {} on one node, two control planes and {} agents of the image {}; the routes are spread over {TENANTS} namespaces.\n\
         The client asks every agent over a connection of its own, and the time runs from before the API write to the first right answer of the last agent: the API server's answer to the write, and the rest.\n\
         It asks each 0.2 ms, on the same two cores as the system and the cluster; a round of questions to as many servers on loopback that answer at once takes it {median:.2} ms (p99 {high:.2} ms), which is what a time may be too long by.\n\
         Every agent is asked for the route for 200 ms more; all answers but 404, then 200 are wrong.\n\
         `bench/cluster/run.sh --routes N` sets how many new routes a row has; the one after a burst has a fifth.\n\
         A row begins when the statuses of all routes before it are written, but the one after a burst: there 2,000 routes are changed at once whenever their statuses and native objects are about to be all written.",
        ours.kubernetes, ours.pods, ours.image
    );
    if let Some(peer) = peer {
        let _ = write!(
            text,
            "\n{} is {} pod of the image {} as [bench/cluster/traefik.yaml](../../bench/cluster/traefik.yaml) runs it, with its settings as they come, on the same cluster (Kubernetes {}); NovaEdge is there then and has no routes.\n\
             It was measured by `bench/run.sh cluster-traefik`.",
            peer.system, peer.pods, peer.image, peer.kubernetes
        );
    }
    text
}

fn named(results: &Results, row: &Row) -> String {
    if results.system == System::Novaedge.title() {
        row.name.clone()
    } else {
        format!("{}, {}", results.system, row.name)
    }
}

fn times(rows: &[(&Results, &Row)]) -> Table {
    let mut table = Table::new([
        "case",
        "new routes",
        "mean ms",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "of it the write, mean ms",
        "p99 ms",
        "of it the rest, mean ms",
        "p99 ms",
        "answers",
        "later answers",
        "wrong",
    ]);
    for (results, row) in rows {
        let mut cells = vec![named(results, row), row.routes.to_string()];
        let figures = row.served_ms.figures();
        cells.extend(figures.map(|figure| format!("{figure:.1}")));
        let parts = [row.write_ms, row.own_ms].map(|part| [part.mean, part.p99]);
        cells.extend(
            parts
                .into_iter()
                .flatten()
                .map(|figure| format!("{figure:.1}")),
        );
        cells.extend([answers(&row.answers), answers(&row.later_answers)]);
        cells.push(row.wrong.to_string());
        table.row(cells);
    }
    table
}

fn answers(answers: &BTreeMap<u16, u64>) -> String {
    let answers = answers.iter();
    let answers = answers.map(|(status, count)| format!("{count} × {status}"));
    answers.collect::<Vec<_>>().join(", ")
}

fn histogram(rows: &[(&Results, &Row)]) -> Table {
    let below = BOUNDS.map(|bound| format!("< {bound} ms"));
    let above = BOUNDS.last().map(|bound| format!("{bound} ms or more"));
    let head = ["case".to_owned()].into_iter().chain(below).chain(above);
    let mut table = Table::new(head);
    for (results, row) in rows {
        let counts = row.histogram.iter().map(u64::to_string);
        table.row([named(results, row)].into_iter().chain(counts));
    }
    table
}

fn costs(rows: &[(&Results, &Row)]) -> Table {
    let roles = ["control planes", "agents", "Traefik", "API server", "etcd"];
    let known = |role: &&str| {
        rows.iter()
            .any(|(_, row)| row.cpu_percent.contains_key(*role))
    };
    let roles: Vec<&str> = roles.into_iter().filter(known).collect();
    let head = ["case", "seconds"].into_iter().chain(roles.iter().copied());
    let mut table = Table::new(head.chain(["status writes", "native writes"]));
    for (results, row) in rows {
        let mut cells = vec![named(results, row), format!("{:.0}", row.seconds)];
        cells.extend(roles.iter().map(|role| match row.cpu_percent.get(*role) {
            Some(percent) => format!("{percent:.1}"),
            None => "–".to_owned(),
        }));
        let writes = [row.status_writes, row.native_writes];
        cells.extend(writes.map(|writes| match results.scale {
            Some(_) => writes.to_string(),
            None => "–".to_owned(),
        }));
        table.row(cells);
    }
    table
}

fn attached(ours: &Results, peer: Option<&Results>) -> String {
    let tell = |results: &Results| match results.attached_seconds {
        Some(seconds) => format!("{seconds:.2} s after the last of {ATTACHED} routes"),
        None => format!("at no time within 5 minutes after {ATTACHED} routes"),
    };
    let mut text = format!(
        "`attachedRoutes` of a Gateway is right {} (aim: at most 2 s).",
        tell(ours)
    );
    if let Some(peer) = peer {
        let _ = write!(text, "\nThat of {} is right {}.", peer.system, tell(peer));
    }
    text
}

fn plot(report: &mut Report<'_>, ours: &Results) -> anyhow::Result<()> {
    let labels = ["p50", "p90", "p99", "max"].map(str::to_owned);
    let series = ours.rows.iter().map(|row| Series {
        name: row.name.clone(),
        values: row.served_ms.figures().into_iter().skip(1).collect(),
    });
    let title = "API write to the first right answer of every agent";
    let series: Vec<Series> = series.collect();
    report.plot("", title, &bars(title, "ms", &labels, &series))
}
