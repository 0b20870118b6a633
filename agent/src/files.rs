//! Open files: the limit of the process, and what the agent may do within it.

use std::fs::File;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Files that are neither a connection nor a UDP session: listening sockets, the control plane's
/// stream, the admin endpoint, logs, name lookups.
const RESERVED: u64 = 512;

/// Open files for which room is made ahead of need: half a MiB of the kernel's memory.
const MOST_ROOM: u64 = 65_536;

/// Raises the limit of open files to what the system allows. Returns the limit in force; `None`: there
/// is none.
pub(crate) fn raise_limit() -> Option<u64> {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    let limit = raised.or_else(|error| {
        tracing::warn!(%error, "limit of open files can't be raised");
        getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft)
    });
    limit.ok().filter(|limit| *limit != RLIM_INFINITY)
}

/// Has the kernel make room in the process's table of open files, before there are many. The kernel doubles the table as
/// it fills, and in a process with several threads each time keeps whoever opens a file waiting for some 20 ms, until all
/// cores have looked away from the old table: a worker with all of its connections.
pub(crate) fn make_room(files: u64) {
    let Ok(last) = i32::try_from(files.min(MOST_ROOM).saturating_sub(1)) else {
        return;
    };
    let made = File::open("/dev/null").map_err(|_| nix::Error::last());
    let made = made.and_then(|file| fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(last)));
    if let Err(error) = made.and_then(nix::unistd::close) {
        tracing::debug!(%error, files, "no room for open files ahead of need");
    }
}

/// What one worker may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Client connections.
    pub(crate) connections: usize,
    /// Sessions of one UDP socket.
    pub(crate) udp_sessions: usize,
}

impl Share {
    /// The files that so many workers use at most.
    pub(crate) fn files(self, workers: usize) -> u64 {
        let each = 2 * self.connections + self.udp_sessions;
        (each.saturating_mul(workers) as u64).saturating_add(RESERVED)
    }

    /// What is left of `wanted` when `workers` share `files`. A connection takes a file for the client
    /// and one for the backend, a UDP session one; a quarter of the files is for UDP.
    pub(crate) fn fit(wanted: Self, files: Option<u64>, workers: usize) -> Self {
        let Some(files) = files else { return wanted };
        let each = files.saturating_sub(RESERVED) / workers.max(1) as u64;
        let each = usize::try_from(each).unwrap_or(usize::MAX);
        Self {
            connections: wanted.connections.min(each / 8 * 3).max(1),
            udp_sessions: wanted.udp_sessions.min(each / 4).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(files: Option<u64>, workers: usize) -> (usize, usize) {
        let wanted = Share {
            connections: 50_000,
            udp_sessions: 16_384,
        };
        let share = Share::fit(wanted, files, workers);
        (share.connections, share.udp_sessions)
    }

    #[test]
    fn the_workers_together_stay_within_the_open_files() {
        assert_eq!(fit(None, 8), (50_000, 16_384));
        assert_eq!(fit(Some(1 << 20), 2), (50_000, 16_384));
        assert_eq!(fit(Some(20_000), 2), (3_654, 2_436));
        assert_eq!(fit(Some(100), 4), (1, 1));
        for (files, workers) in [(1_024, 1), (4_096, 3), (65_536, 8)] {
            let (connections, udp) = fit(Some(files), workers);
            let share = Share {
                connections,
                udp_sessions: udp,
            };
            let used = share.files(workers);
            assert!(used <= files, "{files} {workers}");
        }
    }

    #[test]
    fn there_is_room_for_many_files_without_growing_the_table() {
        make_room(raise_limit().unwrap_or(MOST_ROOM).min(3_000));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        let size: u64 = size.unwrap().trim().parse().unwrap();
        assert!(size >= 3_000, "{size}");
    }

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        let limit = raise_limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(limit.unwrap_or(RLIM_INFINITY), hard);
    }
}
