//! A cluster of 5,000 routes: how fast a new route is served by every agent, how fast attached routes are counted, and
//! what it takes. Runs against the cluster of `KUBECONFIG`, where NovaEdge is deployed on this machine.

mod api;
mod edge;
mod system;
mod usage;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Parser;
use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
    timing::Distribution,
    traffic::Client,
};

use self::{
    api::{Api, GATEWAY_API},
    edge::{HOME, PATIENCE},
    system::System,
    usage::Usage,
};

/// Routes while propagation is measured.
const SIZES: [usize; 3] = [0, 1_000, 5_000];
/// Routes on one Gateway whose attached routes are counted.
const ATTACHED: usize = 1_000;
/// Measured routes get numbers from here on, and those of the other Gateway from twice that.
const NEW: usize = 1_000_000;
/// How often endpoints change, and how long that is looked at.
const CHURN: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_mins(1);

/// Measures propagation, attached routes and scale on a cluster.
#[derive(Parser)]
struct Args {
    /// What is measured: all of NovaEdge, of a peer only how fast routes are served and counted.
    #[arg(long, value_enum, default_value_t = System::Novaedge)]
    system: System,
    /// Folder for the report and the plot.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// New routes per row.
    #[arg(long, default_value_t = 1_000)]
    routes: usize,
}

/// A row of the report.
struct Row {
    name: String,
    /// Milliseconds from the beginning of the API write to the first right answer of the last agent.
    times: Vec<f64>,
    answers: BTreeMap<u16, u64>,
}

/// What the scale came to.
struct Scale {
    before: Usage,
    full: Usage,
    churning: Usage,
    after: Usage,
    /// Bytes per second and agent under churn.
    egress: f64,
    agents: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let api = Api::connect(args.system).await?;
    edge::clear(&api).await?;
    if args.system != System::Novaedge {
        return peer(&args, &api).await;
    }
    let before = Usage::now(&api).await?;
    edge::set_up(&api).await?;
    let mut agents = edge::agents(&api, "edge").await?;
    let mut rows = growing(&api, &mut agents, &SIZES, args.routes).await?;
    let present = SIZES.into_iter().max().unwrap_or_default();
    let full = Usage::now(&api).await?;
    let churn = tokio::spawn(churn(api.clone()));
    tokio::time::sleep(CHURN).await;
    let start = (Instant::now(), Usage::now(&api).await?);
    tokio::time::sleep(WATCHED).await;
    let churning = Usage::now(&api).await?;
    let egress = (churning.sent - start.1.sent) / start.0.elapsed().as_secs_f64();
    let egress = egress / f64::from(u32::try_from(agents.len())?);
    let name = format!("{present} routes, endpoints change");
    tell(&format!("measuring {name}"));
    rows.push(propagation(&api, &mut agents, name, args.routes).await?);
    churn.abort();
    tell("measuring attached routes");
    let attached = attached(&api).await?;
    let count = agents.len();
    drop(agents);
    edge::clear(&api).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = Usage::now(&api).await?;
    let scale = Scale {
        before,
        full,
        churning,
        after,
        egress,
        agents: count,
    };
    publish(&args.out, &rows, attached, &scale)
}

/// Measures a peer, whose memory and traffic are not ours to judge.
async fn peer(args: &Args, api: &Api) -> anyhow::Result<()> {
    edge::set_up(api).await?;
    let mut agents = edge::agents(api, "edge").await?;
    let sizes = SIZES.get(..2).unwrap_or_default();
    let rows = growing(api, &mut agents, sizes, args.routes).await?;
    tell("measuring attached routes");
    let attached = attached(api).await;
    edge::clear(api).await?;
    publish_peer(args, &rows, attached, agents.len())
}

/// Measures at each of the sizes, which grow.
async fn growing(
    api: &Api,
    agents: &mut [Client],
    sizes: &[usize],
    routes: usize,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut present = 0;
    for &size in sizes {
        api.create_all((present..size).map(|n| edge::route(n, "edge", 1)))
            .await?;
        if let Some(last) = size.checked_sub(1) {
            edge::until(agents, &edge::host(last), 200, &mut BTreeMap::new())?;
        }
        present = size;
        if api.system == System::Novaedge {
            usage::settled(api).await?;
        }
        let name = format!("{size} routes");
        tell(&format!("measuring {name}"));
        rows.push(propagation(api, agents, name, routes).await?);
    }
    Ok(rows)
}

/// Says what goes on.
#[allow(clippy::print_stderr)]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// Makes one route after the other, and takes each away when every agent has served it.
async fn propagation(
    api: &Api,
    agents: &mut [Client],
    name: String,
    routes: usize,
) -> anyhow::Result<Row> {
    let mut row = Row {
        name,
        times: Vec::new(),
        answers: BTreeMap::new(),
    };
    for n in 0..routes {
        let index = NEW + n;
        let (collection, object) = edge::route(index, "edge", 1);
        let start = Instant::now();
        api.create(&collection, &object).await?;
        let served = tokio::task::block_in_place(|| {
            edge::until(agents, &edge::host(index), 200, &mut row.answers)
        });
        served?;
        row.times.push(start.elapsed().as_secs_f64() * 1e3);
        api.delete(&format!("{collection}/r{index}")).await?;
        // Routes come at no fixed beat, so that none of the system's timers is hit on purpose.
        tokio::time::sleep(Duration::from_millis(5 + n as u64 * 7 % 41)).await;
    }
    Ok(row)
}

/// Moves endpoints for ever.
async fn churn(api: Api) {
    for round in 0.. {
        let next = Instant::now() + CHURN;
        if let Err(error) = edge::move_endpoints(&api, round).await {
            tell(&format!("endpoints did not change: {error:#}"));
        }
        tokio::time::sleep_until(next.into()).await;
    }
}

/// How long after the last of many routes their number is right in the status of the Gateway.
async fn attached(api: &Api) -> anyhow::Result<Duration> {
    let gateways = format!("{GATEWAY_API}/{HOME}/gateways");
    api.create(&gateways, &edge::gateway(api.system, "many"))
        .await?;
    edge::agents(api, "many").await?;
    api.create_all((0..ATTACHED).map(|n| edge::route(2 * NEW + n, "many", 1)))
        .await?;
    let last = Instant::now();
    loop {
        let gateway = api.get(&format!("{gateways}/many")).await?;
        if gateway["status"]["listeners"][0]["attachedRoutes"] == ATTACHED {
            return Ok(last.elapsed());
        }
        if last.elapsed() > PATIENCE {
            bail!("attachedRoutes is never right: {}", gateway["status"]);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn publish(out: &Path, rows: &[Row], attached: Duration, scale: &Scale) -> anyhow::Result<()> {
    let spreads: Vec<Distribution> = rows
        .iter()
        .map(|row| Distribution::of(&row.times))
        .collect();
    let full = spreads.get(2).context("the row of 5,000 routes")?;
    let finding = format!(
        "In a cluster of 5,000 routes every agent serves a new one {:.1} ms after the API write at the 99th percentile (aim: at most 50 ms); a control plane takes {:.0} MiB (aim: at most 200 MiB).",
        full.p99, scale.full.control_plane
    );
    let mut report = Report::new(out, "cluster", "A cluster of 5,000 routes", &finding);
    report.paragraph(&format!(
        "One node with two control planes and {} agents; the routes are spread over {} namespaces.\n\
         The client asks every agent over a connection of its own, and the time runs from before the API write to the first right answer of the last agent.\n\
         It asks each 0.2 ms, on the same two cores as the system and the cluster.\n\
         Each new route is deleted before the next one; the answers should be 404, then 200.\n\
         A row begins when the statuses of all routes before it are written; right after thousands of routes were made it takes longer, which this page does not show.",
        scale.agents,
        edge::TENANTS
    ));
    publish_rows(&mut report, rows, &spreads)?;
    report.paragraph(&format!(
        "`attachedRoutes` of a Gateway is right {:.2} s after the last of {ATTACHED} routes (aim: at most 2 s).",
        attached.as_secs_f64()
    ));
    let mut table = Table::new(["resident memory, MiB", "control plane", "agent"]);
    let times = [
        ("before", &scale.before),
        ("5,000 routes", &scale.full),
        ("5,000 routes, endpoints change", &scale.churning),
        ("after all is deleted", &scale.after),
    ];
    for (name, usage) in times {
        let cells = [usage.control_plane, usage.agent].map(|mib| format!("{mib:.0}"));
        table.row([name.to_owned()].into_iter().chain(cells));
    }
    report.table(&table);
    report.paragraph(&format!(
        "Endpoints of all {} namespaces change every {} s, for which {:.1} kB/s go to each agent (aim: at most 100 kB/s).\n\
         Memory is that of the largest process of its kind (aim: at most 200 and 60 MiB, and 15 % over the start after all is deleted).",
        edge::TENANTS,
        CHURN.as_secs(),
        scale.egress / 1e3
    ));
    report.finish()
}

/// Table, data and plot of how fast routes are served.
fn publish_rows(
    report: &mut Report<'_>,
    rows: &[Row],
    spreads: &[Distribution],
) -> anyhow::Result<()> {
    let head = [
        "case",
        "new routes",
        "mean ms",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "max ms",
        "answers",
    ];
    let mut table = Table::new(head);
    for (row, spread) in rows.iter().zip(spreads) {
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let mean = row.times.iter().sum::<f64>() / row.times.len() as f64;
        let mut cells = vec![row.name.clone(), row.times.len().to_string()];
        cells.push(format!("{mean:.1}"));
        cells.extend(spread.figures().map(|figure| format!("{figure:.1}")));
        let answers = row
            .answers
            .iter()
            .map(|(status, n)| format!("{n} × {status}"));
        cells.push(answers.collect::<Vec<_>>().join(", "));
        table.row(cells);
    }
    report.table(&table);
    report.data("", &table)?;
    let labels = ["p50", "p90", "p99", "max"].map(str::to_owned);
    let series = rows.iter().zip(spreads).map(|(row, spread)| Series {
        name: row.name.clone(),
        values: spread.figures().to_vec(),
    });
    let title = "API write to the first right answer of every agent";
    report.plot(
        "",
        title,
        &bars(title, "ms", &labels, &series.collect::<Vec<_>>()),
    )
}

fn publish_peer(
    args: &Args,
    rows: &[Row],
    attached: anyhow::Result<Duration>,
    pods: usize,
) -> anyhow::Result<()> {
    let title = args.system.title();
    let spreads: Vec<Distribution> = rows
        .iter()
        .map(|row| Distribution::of(&row.times))
        .collect();
    let full = spreads.last().context("the last row")?;
    let finding = format!(
        "{title} serves a new route among 1,000 {:.1} ms after the API write at the 99th percentile.",
        full.p99
    );
    let name = format!("cluster-{}", args.system.class());
    let mut report = Report::new(
        &args.out,
        &name,
        &format!("{title} on the same cluster"),
        &finding,
    );
    report.paragraph(&format!(
        "Measured as [NovaEdge](cluster.md) is, with {pods} pod(s) of {title} as `bench/cluster/{}` runs it.",
        args.system.class()
    ));
    publish_rows(&mut report, rows, &spreads)?;
    report.paragraph(&match attached {
        Ok(time) => format!(
            "`attachedRoutes` of a Gateway is right {:.2} s after the last of {ATTACHED} routes.",
            time.as_secs_f64()
        ),
        Err(error) => format!("{error:#}."),
    });
    report.finish()
}
