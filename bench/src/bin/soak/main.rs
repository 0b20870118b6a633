//! Whether the agent keeps its promises over a long time: when origins close connections under requests, when
//! certificates turn over, when snapshots rain down on live connections, and when all of that goes on for an hour.
//!
//! Control plane and agent are the real programs, on a folder of manifests; clients and origins are in this process.
//! All share the cores of the machine, so latencies are those of a machine that does other work too.
//! Traffic stays on loopback.

mod authority;
mod certificates;
mod churn;
mod edge;
mod flow;
mod idle_race;
mod job;
mod load;
mod manifests;
mod metrics;
mod origin;
mod ports;
mod random;
mod results;
mod site;
mod slope;
mod snapshots;
mod steps;
mod wire;

use clap::Parser;
use novaedge_bench::folders::Folders;

use job::{Job, Scale, Setup};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Soaks the agent, and tells which promises it kept.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    folders: Folders,
    /// Only jobs whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Percent of the full counts: 1 tries everything a hundred times smaller.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100))]
    scale: u64,
    /// Minutes of the churn, before `--scale`.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ports::require_files()?;
    let setup = Setup {
        binaries: args.folders.binaries,
        scale: Scale::percent(args.scale),
        minutes: args.minutes,
    };
    let chosen: Vec<Job> = Job::ALL
        .into_iter()
        .filter(|job| job.name().contains(&args.only))
        .collect();
    anyhow::ensure!(!chosen.is_empty(), "no job is called {}", args.only);
    let mut findings = Vec::new();
    for job in chosen {
        // A runtime for each: nothing of one job lives on in the next.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let finding = runtime.block_on(job.run(&setup));
        finding.tell();
        findings.push(finding);
    }
    results::publish(&args.folders.out, &setup, &findings)
}
