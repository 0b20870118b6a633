//! Everything that bounds the layer 4 data path, with the defaults in one place.

use std::time::Duration;

use novaedge_balance::Site;

/// Limits of one worker. Each value is per worker unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the accept of a TLS connection to the end of its ClientHello.
    pub client_hello_timeout: Duration,
    /// From the end of the ClientHello to the end of the TLS handshake, where TLS ends here.
    pub handshake_timeout: Duration,
    /// One attempt to connect to an endpoint, TLS included; a backend may name its own.
    pub connect_timeout: Duration,
    /// All attempts of one connection together, whatever the number of endpoints.
    pub connect_deadline: Duration,
    /// A connection without a byte in either direction is closed after this.
    pub idle_timeout: Duration,
    /// Bytes of a copy buffer. A connection holds one per direction while bytes wait in it, none
    /// while it is idle.
    pub buffer: usize,
    /// Copy buffers that are kept for reuse.
    pub spare_buffers: usize,
    /// Bytes of a pipe, through which a direction that sends much goes from socket to socket.
    pub pipe: usize,
    /// Such pipes; directions beyond are copied. Each takes two open files.
    pub pipes: usize,
    /// A UDP session without a datagram in either direction ends after this.
    pub udp_idle_timeout: Duration,
    /// UDP sessions of one listening socket; a new one beyond ends the one idle for longest.
    pub udp_sessions: usize,
    /// Workers in this process: a backend's connection limit is divided among them.
    pub workers: u32,
    /// The agent's own zone, which some backends prefer, and what its checks say of endpoints.
    pub site: Site,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_hello_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            connect_deadline: Duration::from_secs(15),
            idle_timeout: Duration::from_hours(1),
            buffer: 32 * 1024,
            spare_buffers: 64,
            pipe: 256 * 1024,
            pipes: 32,
            udp_idle_timeout: Duration::from_mins(1),
            udp_sessions: 16_384,
            workers: 1,
            site: Site::default(),
        }
    }
}
