//! What clients that mean harm cost the agent and its other clients: one abuse after the other, each on a fresh agent that
//! honest clients use all the time.
//!
//! The agent has core 0 and one worker. Honest clients, attacker, an origin for each and the control plane share core 1,
//! where the attacker gets what the others leave, so what the honest clients feel is the agent's doing.
//! Needs at least 2 cores. Traffic stays on loopback.

mod attack;
mod edge;
mod family;
mod frames;
mod honest;
mod link;
mod measure;
mod origin;
mod results;
mod schedule;
mod tally;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use novaedge_bench::folders::Folders;

use schedule::Schedule;

/// Abuses the agent, and tells what came of it.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    folders: Folders,
    /// Seconds of each abuse.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Only abuses whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// How the cores are shared.
    #[arg(long, value_enum, default_value_t)]
    schedule: Schedule,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the program runs itself as.
#[derive(Subcommand)]
enum Role {
    /// Answers requests.
    Origin(origin::Origin),
    /// Sends honest requests at a fixed rate.
    Honest(honest::Honest),
    /// Abuses.
    Attack(attack::Attack),
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.role {
        Some(Role::Origin(origin)) => return origin.run(),
        Some(Role::Honest(honest)) => return honest.run(),
        Some(Role::Attack(attack)) => return attack.run(),
        None => {}
    }
    let chosen: Vec<_> = family::all()
        .filter(|abuse| abuse.name.contains(&args.only))
        .collect();
    anyhow::ensure!(!chosen.is_empty(), "no abuse is called {}", args.only);
    let mut findings = Vec::new();
    for abuse in chosen {
        let finding = measure::measure(abuse, &args.folders.binaries, args.schedule, args.seconds)
            .with_context(|| abuse.name.to_owned())?;
        finding.tell();
        findings.push(finding);
    }
    results::publish(&args.folders.out, &findings, args.schedule, args.seconds)
}
