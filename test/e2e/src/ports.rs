//! Free ports on loopback.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    sync::Mutex,
};

static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that is free for TCP and UDP now, and that no other call in this process got.
///
/// Panics when none is found.
pub fn free_port() -> u16 {
    for _ in 0..1000 {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free TCP port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let free_for_udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        if free_for_udp && TAKEN.lock().expect("no holder panics").insert(port) {
            return port;
        }
    }
    panic!("no free port found in 1,000 tries");
}
