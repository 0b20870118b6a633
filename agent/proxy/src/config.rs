//! Limits and timeouts of the data path, with their defaults in one place.

use std::time::Duration;

use novaedge_balance::Site;

use crate::pressure::Pressure;

/// Everything that bounds a worker. One value is shared by all workers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Limits of client connections.
    pub downstream: DownstreamLimits,
    /// Limits of connections to backends.
    pub upstream: UpstreamLimits,
    /// Limits of mirrored requests.
    pub mirror: MirrorLimits,
    /// Bytes of a request body kept for a replay; a larger body is sent once.
    pub replay_buffer: usize,
    /// Bytes of a pipe, through which long bodies go from socket to socket.
    pub pipe: usize,
    /// Such pipes of a worker; bodies beyond are copied. Each takes two open files.
    pub pipes: usize,
    /// Idle time after which an upgraded connection is closed. There is no total limit.
    pub tunnel_idle: Duration,
    /// The pseudonym in `Via` (RFC 9110 section 7.6.3).
    pub via: &'static str,
    /// Workers in this process: a backend's connection limit is divided among them.
    pub workers: u32,
    /// The agent's own zone, which some backends prefer, and what its checks say of endpoints.
    pub site: Site,
    /// How short of memory the process is.
    pub pressure: Pressure,
}

/// Limits of client connections. The HTTP/2 values are Envoy's recommended edge settings.
#[derive(Clone, Debug)]
pub struct DownstreamLimits {
    /// From the first byte of a request head (or the accept) to its end.
    pub header_read_timeout: Duration,
    /// From the accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// Without a byte of a request body while the backend waits for it; gRPC, whose calls may rest, is not bound by it.
    pub body_read_timeout: Duration,
    /// Between requests on a connection without one in flight.
    pub keep_alive_idle: Duration,
    /// Without a byte in either direction while requests are in flight.
    pub stall_timeout: Duration,
    /// How often the timeouts above are checked: their resolution.
    pub tick: Duration,
    /// Header fields of an HTTP/1.1 request.
    pub max_headers: usize,
    /// Bytes of the head of an HTTP/1.1 request.
    pub max_head_bytes: usize,
    /// Concurrent streams of an HTTP/2 connection.
    pub http2_streams: u32,
    /// Flow-control window of an HTTP/2 stream, in bytes.
    pub http2_stream_window: u32,
    /// Flow-control window of an HTTP/2 connection, in bytes.
    pub http2_connection_window: u32,
    /// Bytes of a decoded HTTP/2 header list.
    pub http2_header_list: u32,
    /// Bytes of the header lists of all requests that are under way on a connection of HTTP/2 or HTTP/3.
    pub header_lists_under_way: usize,
}

/// Limits of connections to backends, each per worker.
#[derive(Clone, Debug)]
pub struct UpstreamLimits {
    /// Used when a backend names none.
    pub connect_timeout: Duration,
    /// Used when a backend names none: an idle connection is closed after this.
    pub idle_timeout: Duration,
    /// Idle HTTP/1.1 connections kept for one endpoint.
    pub max_idle: usize,
    /// Requests that wait for a connection of one endpoint when its limit is reached.
    pub max_waiting: usize,
    /// Streams that one HTTP/2 connection carries before another is opened, unless the peer allows fewer.
    pub http2_streams: usize,
    /// Bytes of a response head.
    pub max_head_bytes: usize,
    /// Header fields of an HTTP/1.1 response.
    pub max_headers: usize,
    /// How long the addresses of a DNS name are kept.
    pub dns_ttl: Duration,
    /// DNS names whose addresses are kept.
    pub dns_names: usize,
}

/// Limits of mirrored requests, each per worker.
#[derive(Clone, Debug)]
pub struct MirrorLimits {
    /// Mirrored requests in flight; more are dropped and counted.
    pub concurrency: usize,
    /// Bytes of a body that a slow mirror may lag behind before it is given up.
    pub lag: usize,
    /// From the start of a mirrored request to the end of its response.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            downstream: DownstreamLimits::default(),
            upstream: UpstreamLimits::default(),
            mirror: MirrorLimits::default(),
            replay_buffer: 64 * 1024,
            pipe: 256 * 1024,
            pipes: 32,
            tunnel_idle: Duration::from_hours(1),
            via: "novaedge",
            workers: 1,
            site: Site::default(),
            pressure: Pressure::default(),
        }
    }
}

impl Default for DownstreamLimits {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_mins(1),
            keep_alive_idle: Duration::from_secs(75),
            stall_timeout: Duration::from_hours(1),
            tick: Duration::from_secs(1),
            max_headers: 100,
            max_head_bytes: 60 * 1024,
            http2_streams: 100,
            http2_stream_window: 64 * 1024,
            http2_connection_window: 1024 * 1024,
            http2_header_list: 60 * 1024,
            header_lists_under_way: 1024 * 1024,
        }
    }
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_mins(1),
            max_idle: 1024,
            max_waiting: 1024,
            http2_streams: 100,
            max_head_bytes: 60 * 1024,
            max_headers: 100,
            dns_ttl: Duration::from_secs(5),
            dns_names: 1024,
        }
    }
}

impl Default for MirrorLimits {
    fn default() -> Self {
        Self {
            concurrency: 64,
            lag: 256 * 1024,
            timeout: Duration::from_secs(30),
        }
    }
}
