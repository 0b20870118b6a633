//! Ports to listen on, and files to hold connections.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
};

use anyhow::Context as _;

/// Ports below those that the system gives to clients, which would take a port while nobody listens there.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// Open files that the largest job needs: 1,650 flows with two ends here, and some to spare.
const FILES: u64 = 8_192;

/// Hands out ports that nobody uses, each once.
#[derive(Debug)]
pub struct Ports(u16);

impl Ports {
    /// Begins at a port of its own, for the sake of those who run at the same time.
    pub fn new() -> Self {
        let offset = u16::try_from(std::process::id() % 10_000).unwrap_or(0);
        Self(FIRST + offset)
    }

    /// The next free one, over TCP and over UDP.
    pub fn next(&mut self) -> anyhow::Result<SocketAddr> {
        while self.0 < LAST {
            self.0 += 1;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.0));
            if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
                return Ok(address);
            }
        }
        anyhow::bail!("no free port between {FIRST} and {LAST}")
    }
}

/// Says so where too few files may be open.
pub fn require_files() -> anyhow::Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").context("reading limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next());
    // What is no number is unlimited.
    let enough = soft
        .and_then(|soft| soft.parse::<u64>().ok())
        .is_none_or(|soft| soft >= FILES);
    anyhow::ensure!(enough, "too few files may be open: ulimit -n {FILES}");
    Ok(())
}
