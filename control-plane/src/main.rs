//! The binary `novaedge-control-plane`.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use novaedge_api::meta::Object;
use novaedge_control_plane::{Config, ControlPlane, folder::Watch, translate::translate};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Turns Gateway API objects into snapshots for agents.
#[derive(Parser)]
#[command(name = "novaedge-control-plane", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints what a folder comes to, without serving it; exits with 1 when something is wrong in it.
    Translate {
        /// Folder of manifests
        #[arg(short = 'f', long = "folder", value_name = "DIR")]
        folder: PathBuf,
        /// Only this part
        #[arg(long, value_enum)]
        only: Option<Part>,
    },
    /// Serves snapshots of a folder.
    Serve {
        /// Folder of manifests
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Read changes as they are saved
        #[arg(long)]
        watch: bool,
        /// Where agents connect; loopback only
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18000")]
        grpc: SocketAddr,
        /// Where statuses are written [default: DIR/.novaedge]
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Natives,
    Statuses,
    Snapshot,
    Diagnostics,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_env("NOVAEDGE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match Arguments::parse().command {
        Command::Translate { folder, only } => print(&folder, only),
        Command::Serve {
            folder,
            watch,
            grpc,
            state_dir,
        } => {
            let state_dir = state_dir.unwrap_or_else(|| folder.join(".novaedge"));
            let watch = if watch { Watch::Yes } else { Watch::No };
            serve(Config {
                folder,
                watch,
                grpc,
                state_dir,
            })
            .await
        }
    }
}

fn print(folder: &std::path::Path, only: Option<Part>) -> anyhow::Result<ExitCode> {
    let translation = translate(folder)?;
    let natives: Result<Vec<Value>, _> = translation.natives.iter().map(Object::to_value).collect();
    let parts = [
        (
            Part::Natives,
            "natives",
            Value::from(natives.context("writing natives")?),
        ),
        (
            Part::Statuses,
            "statuses",
            Value::from(translation.statuses.clone()),
        ),
        (
            Part::Snapshot,
            "snapshot",
            Value::from(translation.snapshot.clone()),
        ),
        (
            Part::Diagnostics,
            "diagnostics",
            serde_json::to_value(&translation.problems)?,
        ),
    ];
    let mut out = std::io::stdout().lock();
    for (part, name, value) in parts {
        if only.is_none_or(|only| only == part) {
            let document = serde_json::json!({ name: value });
            writeln!(
                out,
                "---\n{}",
                serde_saphyr::to_string(&document)?.trim_end()
            )?;
        }
    }
    Ok(if translation.has_errors() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut control_plane = ControlPlane::start(config).await?;
    tracing::info!(address = %control_plane.address(), "serving snapshots");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        error = control_plane.failed() => return Err(error.into()),
    }
    control_plane.stop().await;
    Ok(ExitCode::SUCCESS)
}
