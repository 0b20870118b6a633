//! What the system's processes use on this machine, and what its control planes have sent.

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use novaedge_bench::process::memory_of;

use crate::{
    api::Api,
    edge::{PATIENCE, SYSTEM, pod_addresses},
};

/// Port of the control plane's metrics.
const METRICS: u16 = 18_001;

/// What was used at a time.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Resident memory in MiB, of the control plane that has most.
    pub control_plane: f64,
    /// The same of the agents.
    pub agent: f64,
    /// Bytes that all control planes have sent to agents.
    pub sent: f64,
}

impl Usage {
    /// Reads it. The processes must run on this machine.
    pub async fn now(api: &Api) -> anyhow::Result<Self> {
        let sent = total(api, "novaedge_publish_bytes_sent_total").await?;
        Ok(Self {
            // The kernel keeps 15 characters of a name.
            control_plane: largest("novaedge-contro")?,
            agent: largest("novaedge-agent")?,
            sent,
        })
    }
}

/// Waits until all statuses are written, so that what follows is not measured together with what came before.
pub async fn settled(api: &Api) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut quiet = 0;
    while quiet < 10 {
        let queued = total(api, "novaedge_write_queued").await?;
        quiet = if queued == 0.0 { quiet + 1 } else { 0 };
        anyhow::ensure!(Instant::now() < deadline, "statuses are never all written");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// A metric summed over all control planes.
async fn total(api: &Api, name: &str) -> anyhow::Result<f64> {
    let selector = "app.kubernetes.io/name=novaedge-control-plane";
    let mut sum = 0.0;
    for address in pod_addresses(api, SYSTEM, selector, 1).await? {
        sum += counter((address, METRICS), name)?;
    }
    Ok(sum)
}

/// Resident memory in MiB of the largest process of this name.
fn largest(name: &str) -> anyhow::Result<f64> {
    let mut largest = 0;
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.trim() == name {
            largest = largest.max(memory_of(entry.file_name().to_string_lossy().parse()?));
        }
    }
    anyhow::ensure!(largest > 0, "no process {name} runs on this machine");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    Ok(largest as f64 / 1024.0 / 1024.0)
}

fn counter(address: (std::net::IpAddr, u16), name: &str) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}
