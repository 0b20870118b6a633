//! Measures the memory that the process may use and does use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novaedge_proxy::pressure::{Level, Pressure};

/// Time between two looks.
const EACH: Duration = Duration::from_millis(100);

/// Shares of the limit, in percent, from which on the levels hold.
const HIGH: u64 = 85;
const CRITICAL: u64 = 95;

/// A level ends this many percent below where it begins, so that it does not come and go all the time.
const SLACK: u64 = 3;

const CGROUPS: &str = "/sys/fs/cgroup";

/// What has been measured last.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// 0: there is no limit.
    limit: AtomicU64,
    used: AtomicU64,
    pub(crate) pressure: Pressure,
}

impl Memory {
    /// Bytes that may be used, if there is a limit.
    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// Bytes in use, as of what the limit is for.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// What a limit is for.
#[derive(Debug, PartialEq, Eq)]
enum Bound {
    /// The process.
    Process,
    /// A control group, which counts the buffers of sockets, too.
    Group(PathBuf),
}

/// Measures again and again; does nothing where there is no limit. `configured` goes before that of the control group.
pub(crate) async fn watch(memory: Arc<Memory>, configured: Option<u64>) {
    let own = configured.map(|limit| (limit, Bound::Process));
    let Some((limit, bound)) = own.or_else(|| of_group(Path::new(CGROUPS), &own_group())) else {
        tracing::info!("there is no limit of memory: load is never shed for want of it");
        return;
    };
    tracing::info!(bytes = limit, ?bound, "limit of memory");
    memory.limit.store(limit, Ordering::Relaxed);
    loop {
        if let Some(used) = bound.used() {
            memory.used.store(used, Ordering::Relaxed);
            let before = memory.pressure.level();
            let level = level(before, used, limit);
            if level != before {
                tracing::warn!(?level, used, limit, "pressure of memory has changed");
                memory.pressure.set(level);
            }
        }
        tokio::time::sleep(EACH).await;
    }
}

fn level(before: Level, used: u64, limit: u64) -> Level {
    let percent = used.saturating_mul(100) / limit.max(1);
    let holds = |level: Level, share: u64| {
        let slack = if before >= level { SLACK } else { 0 };
        percent >= share - slack
    };
    if holds(Level::Critical, CRITICAL) {
        Level::Critical
    } else if holds(Level::High, HIGH) {
        Level::High
    } else {
        Level::None
    }
}

/// The control group of this process, from the root of the hierarchy that it sees; empty where there is none.
fn own_group() -> String {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    unified.unwrap_or_default().to_owned()
}

/// The tightest limit of a control group and of those above it.
fn of_group(root: &Path, group: &str) -> Option<(u64, Bound)> {
    let own = root.join(group);
    let groups = own.ancestors().take_while(|group| group.starts_with(root));
    let limits = groups.filter_map(|group| {
        let limit = fs::read_to_string(group.join("memory.max")).ok()?;
        Some((limit.trim().parse().ok()?, group.to_owned()))
    });
    let (limit, group) = limits.min_by_key(|(limit, _)| *limit)?;
    Some((limit, Bound::Group(group)))
}

impl Bound {
    /// Bytes in use.
    fn used(&self) -> Option<u64> {
        match self {
            Self::Process => resident(&fs::read_to_string("/proc/self/status").ok()?),
            Self::Group(group) => {
                let current = fs::read_to_string(group.join("memory.current")).ok()?;
                let current: u64 = current.trim().parse().ok()?;
                let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
                Some(current.saturating_sub(reclaimable(&statistics)))
            }
        }
    }
}

/// Bytes of the process in memory.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Bytes that the kernel takes back before it ends anybody.
fn reclaimable(statistics: &str) -> u64 {
    let mut lines = statistics.lines();
    let value = lines.find_map(|line| line.strip_prefix("inactive_file "));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_and_end_at_shares_of_the_limit() {
        use Level::{Critical, High, None};
        for (before, used, expect) in [
            (None, 84, None),
            (None, 85, High),
            (High, 83, High),
            (High, 81, None),
            (High, 94, High),
            (High, 95, Critical),
            (None, 300, Critical),
            (Critical, 92, Critical),
            (Critical, 91, High),
            (Critical, 10, None),
        ] {
            assert_eq!(level(before, used, 100), expect, "{before:?} {used}");
        }
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("pods/one");
        fs::create_dir_all(&group).unwrap();
        assert_eq!(of_group(root.path(), "pods/one"), None);
        fs::write(group.join("memory.max"), "max\n").unwrap();
        assert_eq!(of_group(root.path(), "pods/one"), None);
        let pods = root.path().join("pods");
        fs::write(pods.join("memory.max"), "1000\n").unwrap();
        let found = of_group(root.path(), "pods/one");
        assert_eq!(found, Some((1000, Bound::Group(pods.clone()))));
        fs::write(pods.join("memory.current"), "900\n").unwrap();
        fs::write(pods.join("memory.stat"), "anon 1\ninactive_file 200\n").unwrap();
        assert_eq!(Bound::Group(pods).used(), Some(700));
        assert!(Bound::Process.used().unwrap() > 1 << 20);
    }
}
