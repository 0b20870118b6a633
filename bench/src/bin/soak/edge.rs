//! Control plane and agent, on a folder of manifests.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use novaedge_bench::{
    folders::{binary, word},
    process::{Process, all_cores},
    traffic::{Client, free_address},
};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::metrics::Metrics;

/// What the agent logs: beside what it logs by default, each request that it could not forward.
const LOG: &str = "info,novaedge_proxy::exchange=debug";
/// Attempts to be served after the start, a hundredth of a second apart.
const ATTEMPTS: u32 = 3_000;

/// What runs.
pub struct Edge {
    /// The agent.
    pub agent: Process,
    admin: SocketAddr,
    _control_plane: Process,
    folder: TempDir,
}

/// A manifest's file: its name, and what it holds; nothing where it goes.
pub type File = (String, Option<String>);

impl Edge {
    /// Starts both.
    pub fn start(binaries: &Path, files: &[File]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let (manifests, state) = (folder.path().join("manifests"), folder.path().join("state"));
        for folder in [&manifests, &state] {
            fs::create_dir_all(folder)?;
        }
        save(folder.path(), files)?;
        let (grpc, admin) = (free_address()?, free_address()?);
        let (url, grpc_text, admin_text) = (
            format!("http://{grpc}"),
            grpc.to_string(),
            admin.to_string(),
        );
        let (manifests, state) = (word(&manifests)?, word(&state)?);
        let serve = [
            "serve",
            "--folder",
            &manifests,
            "--watch",
            "--grpc",
            &grpc_text,
            "--state-dir",
            &state,
        ];
        let start = |name, arguments: &[&str]| {
            let program = binary(binaries, name)?;
            let log = folder.path().join(format!("{name}.log"));
            Process::start(name, &all_cores(), &program, arguments, &log)
        };
        let mut control_plane = start("novaedge-control-plane", &serve)?;
        control_plane.wait_for(grpc)?;
        // As in a fleet, with the snapshot on disk; workers as many as cores.
        let last_good = word(&folder.path().join("agent"))?;
        let serve = [
            "--control-plane",
            &url,
            "--node-id",
            "soak",
            "--admin",
            &admin_text,
            "--state-dir",
            &last_good,
            "--drain-timeout",
            "0",
            "--log",
            LOG,
        ];
        let mut agent = start("novaedge-agent", &serve)?;
        agent.wait_for(admin)?;
        Ok(Self {
            agent,
            admin,
            _control_plane: control_plane,
            folder,
        })
    }

    /// Waits until `host` is served.
    pub async fn settle(&self, http: SocketAddr, host: &str) -> anyhow::Result<()> {
        for _ in 0..ATTEMPTS {
            let answer = Client::connect(http).and_then(|mut client| client.get(host, "/"));
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("{http} never answered with 200: {}", self.log())
    }

    /// Saves files as editors do, or removes them.
    pub fn save(&self, files: &[File]) -> anyhow::Result<()> {
        save(self.folder.path(), files)
    }

    /// What the agent counts.
    pub async fn metrics(&self) -> anyhow::Result<Metrics> {
        Metrics::read(self.admin).await
    }

    /// Lines of the agent's log that hold `text`.
    pub fn logged(&self, text: &str) -> u64 {
        let log = self.log();
        log.lines().filter(|line| line.contains(text)).count() as u64
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("novaedge-agent.log")).unwrap_or_default()
    }
}

fn save(folder: &Path, files: &[File]) -> anyhow::Result<()> {
    for (name, content) in files {
        let path = folder.join("manifests").join(name);
        match content {
            Some(content) => {
                let temporary = folder.join("saved");
                fs::write(&temporary, content)?;
                fs::rename(temporary, path)?;
            }
            None if path.exists() => fs::remove_file(path)?,
            None => {}
        }
    }
    Ok(())
}
