//! Processes under measurement: pinned to a core, with the CPU time of all their children, ended by
//! their pid.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// A running program.
pub struct Process {
    /// What it is, for messages.
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments` on `cores` (as in `0` or `0,1`), its output going to `log`.
    pub fn start(
        name: &str,
        cores: &str,
        program: &str,
        arguments: &[&str],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output =
            fs::File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let child = Command::new("taskset")
            .args(["-c", cores, program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name} ({program})"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Waits until `address` accepts connections, at most half a minute.
    pub fn wait_for(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} ended early: {status}\n{log}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} does not listen on {address}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until it has had next to nothing to do for half a second, at most half a minute.
    pub fn rest(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut before = self.cpu()?;
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = self.cpu()?;
            if now.saturating_sub(before) < Duration::from_millis(5) {
                return Ok(());
            }
            before = now;
            if Instant::now() > deadline {
                bail!("{} does not come to rest", self.name);
            }
        }
    }

    /// CPU time that it and its children have used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let family = family(self.child.id())?;
        Ok(family.into_iter().map(cpu_of).sum())
    }

    /// Resident memory of it and its children, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let family = family(self.child.id())?;
        Ok(family.into_iter().map(memory_of).sum())
    }

    /// Files that it and its children have open.
    pub fn files(&self) -> anyhow::Result<usize> {
        self.entries("fd")
    }

    /// Threads of it and its children.
    pub fn threads(&self) -> anyhow::Result<usize> {
        self.entries("task")
    }

    /// Entries of a folder in `/proc/<pid>`, over the whole family.
    fn entries(&self, folder: &str) -> anyhow::Result<usize> {
        let family = family(self.child.id())?;
        let entries = family
            .into_iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/{folder}")).ok());
        Ok(entries.map(Iterator::count).sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // SIGTERM lets a master end its workers; kill(1) is used since std can only SIGKILL.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All cores, as [`Process::start`] takes them.
pub fn all_cores() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("0-{}", cores - 1)
}

/// A pid and the pids of all its descendants. Asks for nothing else: a look at every process of the machine would take
/// time from those under measurement.
fn family(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut family = vec![root];
    let mut at = 0;
    while let Some(&pid) = family.get(at) {
        family.extend(children(pid)?);
        at += 1;
    }
    Ok(family)
}

/// The children of all threads of a process; none where it is gone.
fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut children = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Ok(children);
    };
    for thread in threads {
        let Ok(text) = fs::read_to_string(thread?.path().join("children")) else {
            continue;
        };
        for child in text.split_whitespace() {
            children.push(child.parse()?);
        }
    }
    Ok(children)
}

/// Time that one process had a CPU, over all threads, finer than the ticks in `stat`; none where it is gone.
pub fn cpu_of(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Duration::ZERO;
    };
    let nanoseconds = tasks
        .filter_map(Result::ok)
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanoseconds)
}

/// Resident memory of one process, in bytes; 0 where it is gone.
pub fn memory_of(pid: u32) -> u64 {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return 0;
    };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
