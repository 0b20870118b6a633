//! A cluster of 5,000 routes: how fast a new route is served by every agent, how fast attached routes are counted, and
//! what it takes. Runs against the cluster of `KUBECONFIG`, where NovaEdge is deployed on this machine.

mod api;
mod case;
mod edge;
mod page;
mod probe;
mod results;
mod system;
mod usage;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Parser;

use self::{
    api::{Api, GATEWAY_API},
    case::{Bench, Burst, Load},
    edge::{HOME, PATIENCE},
    probe::{Probe, own_time},
    results::{Results, Scale},
    system::System,
    usage::{Memory, Metrics},
};

/// The row after a burst has so many times fewer routes, as the writers need half a minute for each burst.
const BURST_SHARE: usize = 5;
/// What its name ends with.
const AFTER_BURST: &str = "after a burst";
/// What the name of the row ends with while which endpoints change.
const CHANGING: &str = "endpoints change";
/// Routes on one Gateway whose attached routes are counted.
const ATTACHED: usize = 1_000;
/// Measured routes get numbers from here on, and those of the other Gateway from twice that.
const NEW: usize = 1_000_000;
/// How long nothing happens before memory is looked at for the first time: programs that were just started take more
/// in their first seconds.
const QUIET: Duration = Duration::from_mins(1);
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
    #[arg(long, default_value_t = 3_000)]
    routes: usize,
    /// Routes while propagation is measured, growing.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1_000, 5_000])]
    sizes: Vec<usize>,
    /// Only writes the page anew, of the results that are in the folder.
    #[arg(long)]
    page: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.page {
        return page::write(&args.out);
    }
    let api = Api::connect(args.system).await?;
    edge::clear(&api).await?;
    if args.system == System::Novaedge {
        ours(&args, api).await?;
    } else {
        peer(&args, api).await?;
    }
    page::write(&args.out)
}

/// Measures all of NovaEdge.
async fn ours(args: &Args, api: Api) -> anyhow::Result<()> {
    let mut scale = Scale::default();
    tell("waiting until all is quiet");
    tokio::time::sleep(QUIET).await;
    scale.note("before", Memory::now()?);
    let (mut bench, mut results) = begin(api).await?;
    growing(args, &mut bench, &mut results).await?;
    let present = args.sizes.iter().copied().max().unwrap_or_default();
    scale.note(&format!("{present} routes"), Memory::now()?);

    let churn = tokio::spawn(churn(bench.api.clone()));
    tokio::time::sleep(CHURN).await;
    scale.egress = egress(&bench).await?;
    let name = format!("{present}, {CHANGING}");
    scale.note(&name, Memory::now()?);
    tell(&format!("measuring {name}"));
    let row = bench.row(name, args.routes, Load::Other).await?;
    churn.abort();
    results.rows.push(row);
    results.keep(&args.out, args.system)?;

    bench.metrics.settled().await?;
    let name = format!("{present}, {AFTER_BURST}");
    tell(&format!("measuring {name}"));
    let burst = Load::Burst(Burst::of(present));
    let routes = args.routes.div_ceil(BURST_SHARE);
    let row = bench.row(name.clone(), routes, burst).await?;
    results.rows.push(row);
    results.keep(&args.out, args.system)?;
    scale.note(&name, Memory::now()?);
    bench.metrics.settled().await?;

    results.attached_seconds = Some(attached(&bench.api).await?.as_secs_f64());
    edge::clear(&bench.api).await?;
    for (seconds, name) in [(10, "10 s after all is deleted"), (110, "2 minutes after")] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        scale.note(name, Memory::now()?);
    }
    results.scale = Some(scale);
    results.keep(&args.out, args.system)
}

/// Measures a peer, whose memory and traffic are not ours to judge.
async fn peer(args: &Args, api: Api) -> anyhow::Result<()> {
    let (mut bench, mut results) = begin(api).await?;
    growing(args, &mut bench, &mut results).await?;
    match attached(&bench.api).await {
        Ok(time) => results.attached_seconds = Some(time.as_secs_f64()),
        Err(error) => tell(&format!("{error:#}")),
    }
    edge::clear(&bench.api).await?;
    results.keep(&args.out, args.system)
}

/// Makes what all rows share.
async fn begin(api: Api) -> anyhow::Result<(Bench, Results)> {
    edge::set_up(&api).await?;
    let agents = edge::agents(&api, "edge").await?;
    let client = tokio::task::block_in_place(|| own_time(agents.len()))?;
    let probe = Probe::connect(agents)?;
    let versions = edge::versions(&api).await?;
    let results = Results::new(api.system, versions, probe.len(), client);
    let metrics = Metrics::find(&api).await?;
    Ok((Bench::new(api, probe, metrics, NEW), results))
}

/// Measures at each of the sizes, and keeps each row, as what follows may never come to an end.
async fn growing(args: &Args, bench: &mut Bench, results: &mut Results) -> anyhow::Result<()> {
    let mut present = 0;
    for &size in &args.sizes {
        let routes = (present..size).map(|n| edge::route(n, "edge", 1));
        bench.api.create_all(routes).await?;
        if let Some(last) = size.checked_sub(1) {
            tokio::task::block_in_place(|| bench.probe.until_served(&edge::host(last)))?;
        }
        present = size;
        bench.metrics.settled().await?;
        let name = format!("{size} routes");
        tell(&format!("measuring {name}"));
        let row = bench.row(name, args.routes, Load::Other).await?;
        results.rows.push(row);
        results.keep(&args.out, args.system)?;
    }
    Ok(())
}

/// Says what goes on.
#[allow(clippy::print_stderr)]
fn tell(text: &str) {
    eprintln!("{text}");
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

/// Bytes per second that go to each agent for a while.
async fn egress(bench: &Bench) -> anyhow::Result<f64> {
    let (start, before) = (Instant::now(), bench.metrics.sent()?);
    tokio::time::sleep(WATCHED).await;
    let rate = (bench.metrics.sent()? - before) / start.elapsed().as_secs_f64();
    Ok(rate / f64::from(u32::try_from(bench.probe.len())?))
}

/// How long after the last of many routes their number is right in the status of the Gateway.
async fn attached(api: &Api) -> anyhow::Result<Duration> {
    tell("measuring attached routes");
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
