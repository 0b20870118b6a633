//! Free ports on loopback, for the tests of all crates.

use std::{
    env,
    fs::File,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    ops::Range,
    sync::Mutex,
};

/// Below the ports that the kernel gives to outgoing connections, which would take one between its choice and its use.
const PORTS: Range<u16> = 20_000..32_000;
/// A process takes ports in blocks of this size.
const BLOCK: u16 = 200;

static TAKEN: Mutex<Taken> = Mutex::new(Taken {
    left: 0..0,
    locks: Vec::new(),
});

/// What this process has for itself.
struct Taken {
    /// Ports of the newest block that nobody got yet.
    left: Range<u16>,
    /// Locks of all blocks, until the process ends. Agents share ports (`SO_REUSEPORT`), so without them two tests at
    /// once could serve on one port and never notice.
    locks: Vec<File>,
}

/// A port that is free for TCP and UDP now, and that nobody else got: no other call, no other process of these tests.
///
/// # Panics
///
/// When none is left.
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().expect("no holder panics");
    loop {
        let Some(port) = taken.left.next() else {
            taken.lock_block();
            continue;
        };
        let address = (Ipv4Addr::UNSPECIFIED, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}

impl Taken {
    fn lock_block(&mut self) {
        for first in PORTS.step_by(usize::from(BLOCK)) {
            let path = env::temp_dir().join(format!("novaedge-test-ports-{first}"));
            // A lock file of another user counts as locked.
            let Ok(file) = File::create(path) else {
                continue;
            };
            if file.try_lock().is_ok() {
                self.locks.push(file);
                self.left = first..first + BLOCK;
                return;
            }
        }
        panic!("no ports are left from {PORTS:?}");
    }
}
