//! Demo origins of the quickstart: HTTP, gRPC, TLS, TCP and UDP on loopback, certificates for its
//! Gateway, and a small gRPC client for people without grpcurl.

mod certificates;
mod client;
mod datagrams;
mod origins;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::task::JoinSet;

/// Demo origins of the NovaEdge quickstart.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a CA and a Secret with a certificate for the quickstart's hosts.
    Certificates {
        /// Folder for ca.crt, and for server.crt and server.key of the TLS origin.
        #[arg(long)]
        out: PathBuf,
        /// File for the Secret.
        #[arg(long)]
        secret: PathBuf,
    },
    /// Serves the origins until it is interrupted.
    Serve(Origins),
    /// Calls grpc.health.v1.Health/Check and prints the answer.
    GrpcCall {
        /// Where to connect, for instance http://127.0.0.1:8080.
        url: String,
        /// The :authority to ask for.
        #[arg(long)]
        authority: String,
    },
}

/// Where the origins listen.
#[derive(clap::Args)]
struct Origins {
    /// HTTP origin as NAME=ADDRESS; may be repeated.
    #[arg(long, value_parser = named_address)]
    http: Vec<(String, SocketAddr)>,
    /// gRPC origin (health and reflection services).
    #[arg(long)]
    grpc: Option<SocketAddr>,
    /// TCP echo.
    #[arg(long)]
    tcp: Option<SocketAddr>,
    /// UDP echo.
    #[arg(long)]
    udp: Option<SocketAddr>,
    /// HTTPS origin for TLS passthrough; needs --certificates.
    #[arg(long, requires = "certificates")]
    tls: Option<SocketAddr>,
    /// Folder with server.crt and server.key.
    #[arg(long)]
    certificates: Option<PathBuf>,
}

fn named_address(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=ADDRESS")?;
    let address = address
        .parse()
        .map_err(|error| format!("{address}: {error}"))?;
    Ok((name.to_owned(), address))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Certificates { out, secret } => certificates::write(&out, &secret),
        Command::Serve(origins) => serve(origins).await,
        Command::GrpcCall { url, authority } => client::check(&url, &authority).await,
    }
}

async fn serve(origins: Origins) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for (name, address) in origins.http {
        tasks.spawn(origins::http(name, address));
    }
    if let Some(address) = origins.grpc {
        tasks.spawn(origins::grpc(address));
    }
    if let Some(address) = origins.tcp {
        tasks.spawn(origins::tcp(address));
    }
    if let Some(address) = origins.udp {
        tasks.spawn(datagrams::echo(address));
    }
    if let (Some(address), Some(folder)) = (origins.tls, origins.certificates) {
        tasks.spawn(async move { origins::tls(address, &folder).await });
    }
    anyhow::ensure!(
        !tasks.is_empty(),
        "nothing to serve: name at least one origin"
    );
    tokio::select! {
        // An origin never ends by itself, so the first to end has failed.
        Some(ended) = tasks.join_next() => ended.context("an origin's task")?,
        signal = tokio::signal::ctrl_c() => signal.context("waiting for an interrupt"),
    }
}
