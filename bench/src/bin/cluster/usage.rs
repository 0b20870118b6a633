//! What the system's processes use on this machine, and what its control planes say of themselves.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    net::{IpAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use novaedge_bench::process::{cpu_of, memory_of};

use crate::{
    api::Api,
    edge::{PATIENCE, SYSTEM, pod_addresses},
    system::System,
};

/// Port of the control plane's metrics.
const METRICS: u16 = 18_001;
/// Names of processes, of which the kernel keeps 15 characters, and what they are to readers.
const ROLES: [(&str, &str); 5] = [
    ("novaedge-contro", "control planes"),
    ("novaedge-agent", "agents"),
    ("traefik", "Traefik"),
    ("kube-apiserver", "API server"),
    ("etcd", "etcd"),
];

/// Resident memory at a time, in MiB, of the process that has most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Of a control plane.
    pub control_plane: f64,
    /// Of an agent.
    pub agent: f64,
}

impl Memory {
    /// Reads it. The processes must run on this machine.
    pub fn now() -> anyhow::Result<Self> {
        Ok(Self {
            control_plane: largest("novaedge-contro")?,
            agent: largest("novaedge-agent")?,
        })
    }
}

/// Where the control planes tell their numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Vec<IpAddr>);

impl Metrics {
    /// Finds the control planes; a peer has none that are asked.
    pub async fn find(api: &Api) -> anyhow::Result<Self> {
        if api.system != System::Novaedge {
            return Ok(Self::default());
        }
        let selector = "app.kubernetes.io/name=novaedge-control-plane";
        Ok(Self(pod_addresses(api, SYSTEM, selector, 1).await?))
    }

    /// Bytes that all control planes have sent to agents.
    pub fn sent(&self) -> anyhow::Result<f64> {
        self.total("novaedge_publish_bytes_sent_total")
    }

    /// Objects whose status or whose native form waits to be written.
    pub fn queued(&self) -> anyhow::Result<f64> {
        self.total("novaedge_write_queued")
    }

    /// Statuses, and native objects, that were written so far.
    pub fn written(&self) -> anyhow::Result<(f64, f64)> {
        let natives = self
            .total(r#"novaedge_write_objects_total{kind="native",result="applied"}"#)?
            + self.total(r#"novaedge_write_objects_total{kind="native",result="deleted"}"#)?;
        Ok((
            self.total(r#"novaedge_write_objects_total{kind="status",result="written"}"#)?,
            natives,
        ))
    }

    /// Waits until all statuses are written, so that what follows is not measured together with what came before.
    pub async fn settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut quiet = 0;
        while quiet < 10 {
            quiet = if self.queued()? == 0.0 { quiet + 1 } else { 0 };
            anyhow::ensure!(Instant::now() < deadline, "statuses are never all written");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// A metric summed over all control planes.
    fn total(&self, name: &str) -> anyhow::Result<f64> {
        let values = self.0.iter().map(|address| counter(*address, name));
        values.sum()
    }
}

/// CPU time that was used so far, in seconds by role. Only processes on this machine are seen.
pub fn cpu() -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let mut used = BTreeMap::new();
    for (pid, name) in processes()? {
        if let Some((_, role)) = ROLES.iter().find(|(known, _)| *known == name) {
            *used.entry(*role).or_default() += cpu_of(pid).as_secs_f64();
        }
    }
    Ok(used)
}

/// Resident memory in MiB of the largest process of this name.
fn largest(name: &str) -> anyhow::Result<f64> {
    let named = processes()?.into_iter().filter(|(_, known)| known == name);
    let largest = named.map(|(pid, _)| memory_of(pid)).max().unwrap_or(0);
    anyhow::ensure!(largest > 0, "no process {name} runs on this machine");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    Ok(largest as f64 / 1024.0 / 1024.0)
}

/// All processes of this machine with their names. The project's own cluster is one program, whose parts are told apart
/// by their first argument.
fn processes() -> anyhow::Result<Vec<(u32, String)>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let name = match read("comm").trim() {
            "cluster" => read("cmdline").split('\0').nth(1).map(str::to_owned),
            name => Some(name.to_owned()),
        };
        processes.push((pid, name.unwrap_or_default()));
    }
    Ok(processes)
}

fn counter(address: IpAddr, name: &str) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect((address, METRICS))?;
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
