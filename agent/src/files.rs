//! Open files: the limit of the process, and what the agent may do within it.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Files that are neither a connection nor a UDP session: listening sockets, the control plane's
/// stream, the admin endpoint, logs, name lookups.
const RESERVED: u64 = 512;

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

/// What one worker may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Client connections.
    pub(crate) connections: usize,
    /// Sessions of one UDP socket.
    pub(crate) udp_sessions: usize,
}

impl Share {
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
            let used = (2 * connections + udp) * workers;
            assert!(used as u64 + RESERVED <= files, "{files} {workers}");
        }
    }

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        let limit = raise_limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(limit.unwrap_or(RLIM_INFINITY), hard);
    }
}
