//! Client connections: what they may take, and how they end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use novaedge_access_log::Termination;
use tokio::time::Instant;

use crate::body::Body;
use crate::client::Client;
use crate::config::DownstreamLimits;
use crate::drain::{WakerState, Wish};
use crate::headers;
use crate::metrics::Metrics;
use crate::pressure::Level;
use crate::reason;
use crate::trail::Trail;
use crate::worker::Worker;

mod frames;
mod http1;
mod http3;
mod http3_body;
mod quic_id;
mod serve;
mod stream;
mod streams;
mod transport;
mod wire;

pub use http3::{QuicIncoming, QuicListener};
pub use quic_id::Seat;
pub(crate) use stream::Rewound;
pub(crate) use wire::ClientBody;

/// Bytes of answers that are read ahead for all requests under way on a connection, which its client may never take.
const READ_AHEAD: usize = 1024 * 1024;

/// The requests under way on a connection have as many bytes of heads as they may have.
#[derive(Debug)]
struct Crowded;

impl Crowded {
    /// Answers one more request.
    fn refuse<B>(worker: &Worker, client: &Client, request: &Request<B>) -> Response<Body> {
        worker.metrics.heads_refused.increment();
        let response = Self::response();
        let Some(trail) = Trail::begin(worker, client, request, Instant::now()) else {
            return response;
        };
        trail.answers_itself(reason::HEADS_UNDER_WAY, Termination::Gateway);
        *trail.answered(Box::new(response))
    }

    fn response() -> Response<Body> {
        let mut response = Response::new(Body::full("too many header fields are under way\n"));
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        response
    }
}

/// All client connections of a worker. One look per tick replaces timers of their own, which would
/// have to be set anew for each request.
#[derive(Default)]
pub(crate) struct Connections {
    open: RefCell<Vec<Rc<Connection>>>,
}

/// A client connection.
pub(crate) struct Connection {
    traffic: Arc<Traffic>,
    protocol: Cell<Protocol>,
    in_flight: Cell<u32>,
    /// Bytes of the heads of requests in flight, where they are counted.
    heads: Cell<usize>,
    /// Whether a request has come.
    used: Cell<bool>,
    /// Ticks since the state that a timeout measures began.
    ticks: Cell<u32>,
    state: Cell<State>,
    end: Cell<Option<End>>,
    waker: RefCell<Option<Waker>>,
    position: Cell<usize>,
}

/// What moved on a connection since the last look. Shared with the stream, which must be able to
/// leave this core's types when the connection is upgraded.
#[derive(Debug)]
pub(crate) struct Traffic {
    moved: AtomicBool,
    /// Bytes came that belong to no request yet.
    partial: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    Http3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ReadingHead,
    Idle,
    Busy,
}

/// How a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After what is in flight.
    Graceful,
    /// At once.
    Abort,
    /// At once, because the worker ends.
    Cut,
}

/// A connection in the list, until it is dropped.
pub(crate) struct Registered<'a> {
    connections: &'a Connections,
    connection: Rc<Connection>,
}

/// Counts a request in flight.
pub(crate) struct InFlight {
    connection: Rc<Connection>,
    /// Bytes of its head, where they are counted.
    head: usize,
}

impl Connections {
    pub(crate) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    pub(crate) fn register(&self, protocol: Protocol) -> Registered<'_> {
        let mut open = self.open.borrow_mut();
        let connection = Rc::new(Connection {
            traffic: Arc::new(Traffic {
                moved: AtomicBool::new(false),
                partial: AtomicBool::new(true),
            }),
            protocol: Cell::new(protocol),
            in_flight: Cell::new(0),
            heads: Cell::new(0),
            used: Cell::new(false),
            ticks: Cell::new(0),
            state: Cell::new(State::ReadingHead),
            end: Cell::new(None),
            waker: RefCell::default(),
            position: Cell::new(open.len()),
        });
        open.push(Rc::clone(&connection));
        drop(open);
        Registered {
            connections: self,
            connection,
        }
    }

    /// Looks at every connection once, and ends those that took too long; under pressure, those that are idle.
    pub(crate) fn check(&self, limits: &DownstreamLimits, pressure: Level, metrics: &Metrics) {
        for connection in self.open.borrow().iter() {
            connection.check(limits, pressure, metrics);
        }
    }
}

impl Registered<'_> {
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut open = self.connections.open.borrow_mut();
        let position = self.connection.position.get();
        if position < open.len() {
            open.swap_remove(position);
            if let Some(moved) = open.get(position) {
                moved.position.set(position);
            }
        }
    }
}

impl Connection {
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// A request head is complete.
    pub(crate) fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.used.set(true);
        InFlight {
            connection: Rc::clone(self),
            head: 0,
        }
    }

    /// The same, if there is room for its head beside those of others.
    fn begin_with<B>(
        self: &Rc<Self>,
        request: &Request<B>,
        limits: &DownstreamLimits,
    ) -> Result<InFlight, Crowded> {
        let head = headers::size(request.headers());
        let heads = self.heads.get() + head;
        if heads > limits.header_lists_under_way {
            return Err(Crowded);
        }
        self.heads.set(heads);
        let mut in_flight = self.begin();
        in_flight.head = head;
        Ok(in_flight)
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.end.get()
    }

    /// The worker ends, and the connection with it.
    fn cut(&self) {
        self.end.set(Some(End::Cut));
    }

    /// Whether the codec is to finish by itself what a drain wishes.
    ///
    /// HTTP/2 and HTTP/3 tell the client first and answer what was on its way (RFC 9113 section 6.8), but a
    /// client that has just come to a retiring worker gets its first answer before. In HTTP/1.1
    /// answers tell the client, and an idle connection can't be closed without the risk that a
    /// request crosses the end, so that comes last.
    pub(crate) fn is_to_finish(&self, wish: Wish) -> bool {
        match (wish, self.protocol.get()) {
            (Wish::Serve, _) | (Wish::Retire | Wish::End, Protocol::Http1) => false,
            (Wish::Retire, Protocol::Http2 | Protocol::Http3) => self.used.get(),
            (Wish::End, Protocol::Http2 | Protocol::Http3) | (Wish::CloseIdle | Wish::Cut, _) => {
                true
            }
        }
    }

    /// Notes whom to wake for an end.
    pub(crate) fn register_waker(&self, waker: &Waker) -> WakerState {
        let mut known = self.waker.borrow_mut();
        if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return WakerState::Known;
        }
        *known = Some(waker.clone());
        WakerState::New
    }

    fn check(&self, limits: &DownstreamLimits, pressure: Level, metrics: &Metrics) {
        let moved = self.traffic.moved.swap(false, Ordering::Relaxed);
        let partial =
            self.traffic.partial.load(Ordering::Relaxed) && self.protocol.get() == Protocol::Http1;
        let state = match (self.in_flight.get(), partial) {
            (0, true) => State::ReadingHead,
            (0, false) => State::Idle,
            _ => State::Busy,
        };
        // A head is bounded from its first byte; the other states from the last byte.
        if state != self.state.replace(state) || (moved && state != State::ReadingHead) {
            self.ticks.set(0);
            return;
        }
        let ticks = self.ticks.get().saturating_add(1);
        self.ticks.set(ticks);
        let (limit, end) = match state {
            State::ReadingHead => (limits.header_read_timeout, End::Abort),
            State::Idle if pressure >= Level::High => (limits.tick, End::Graceful),
            State::Idle => (limits.keep_alive_idle, End::Graceful),
            State::Busy => (limits.stall_timeout, End::Abort),
        };
        if limits.tick.saturating_mul(ticks) >= limit.max(Duration::from_nanos(1))
            && self.end.get() != Some(End::Abort)
        {
            if self.end.replace(Some(end)).is_none() {
                metrics.connections_timed_out.increment();
            }
            if let Some(waker) = &*self.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }
}

impl InFlight {
    /// The bytes of its answer that may be read at once, as one of those under way on the connection.
    pub(crate) fn share(&self) -> usize {
        READ_AHEAD / self.connection.in_flight.get().max(1) as usize
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection
            .heads
            .set(connection.heads.get().saturating_sub(self.head));
        let left = connection.in_flight.get().saturating_sub(1);
        connection.in_flight.set(left);
        if left == 0 {
            connection.traffic.partial.store(false, Ordering::Relaxed);
        }
    }
}

impl Traffic {
    fn read(&self) {
        self.moved.store(true, Ordering::Relaxed);
        self.partial.store(true, Ordering::Relaxed);
    }

    fn written(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// The next request has begun to come before the one under way was over.
    fn begun(&self) {
        self.partial.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_under_way_share_what_is_read_ahead() {
        let connections = Connections::default();
        let registered = connections.register(Protocol::Http2);
        let mut under_way: Vec<InFlight> =
            (0..100).map(|_| registered.connection().begin()).collect();
        let shares = |under_way: &[InFlight]| under_way.iter().map(InFlight::share).sum::<usize>();
        assert!(shares(&under_way) <= READ_AHEAD);
        under_way.truncate(1);
        assert_eq!(shares(&under_way), READ_AHEAD);
    }
}
