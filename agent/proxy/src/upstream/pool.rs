//! The connections to one endpoint with one protocol and one TLS identity.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use novaedge_router::{Endpoint as Address, Limits};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::Connector;
use super::endpoint::Active;
use super::{Link, Protocol, Wanted, http1, http2};
use crate::error::ForwardError;
use crate::metrics::Metrics;
use crate::tls::BackendClient;

/// Idle time after which a connection carries no request that must not be sent twice: few servers close one sooner, and
/// who asks so seldom pays for a new connection.
const RECENT: Duration = Duration::from_secs(1);

/// Limits of a pool, from the backend and the worker's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSettings {
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub max_connections: usize,
    pub max_idle: usize,
    pub max_waiting: usize,
    /// The worker's share of what the backend as a whole may be given.
    pub limits: Limits,
    pub http2_streams: usize,
}

/// Open and opening connections.
pub(crate) struct Pool {
    protocol: Protocol,
    tls: Option<Arc<BackendClient>>,
    settings: Cell<PoolSettings>,
    /// Idle HTTP/1.1 connections; the one used last is on top.
    idle: RefCell<Vec<Idle>>,
    multiplexed: RefCell<Vec<Multiplexed>>,
    open: Cell<usize>,
    waiting: Cell<usize>,
    /// An HTTP/2 connection is being opened; others wait for it.
    opening: Cell<bool>,
    /// Half of the shortest time after which the backend has lately closed an idle connection.
    closes_after: Cell<Duration>,
    /// Half of the longest time for which the backend has kept one.
    keeps_for: Cell<Duration>,
    /// How often opening failed, and how last.
    failures: Cell<(u64, io::ErrorKind)>,
    changed: Notify,
}

struct Idle {
    connection: http1::Connection,
    since: Instant,
}

struct Multiplexed {
    connection: Rc<http2::Connection>,
    idle_since: Cell<Option<Instant>>,
}

/// Counts an open connection. A connection in the pool must not keep the pool alive.
pub(super) struct Slot(Weak<Pool>);

/// The end of an attempt to open an HTTP/2 connection, however it comes.
struct Opening<'a>(&'a Pool);

impl Pool {
    pub(super) fn new(
        protocol: Protocol,
        tls: Option<Arc<BackendClient>>,
        settings: PoolSettings,
    ) -> Rc<Self> {
        Rc::new(Self {
            protocol,
            tls,
            settings: Cell::new(settings),
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            open: Cell::new(0),
            waiting: Cell::new(0),
            opening: Cell::new(false),
            closes_after: Cell::new(RECENT),
            keeps_for: Cell::default(),
            failures: Cell::new((0, io::ErrorKind::Other)),
            changed: Notify::new(),
        })
    }

    pub(super) fn serves(&self, protocol: Protocol, tls: Option<&Arc<BackendClient>>) -> bool {
        self.protocol == protocol
            && match (&self.tls, tls) {
                (None, None) => true,
                (Some(own), Some(other)) => Arc::ptr_eq(own, other),
                _ => false,
            }
    }

    pub(super) fn configure(&self, settings: PoolSettings) {
        self.settings.set(settings);
    }

    /// A connection for one request: an open one, or a new one.
    pub(super) async fn acquire(
        self: &Rc<Self>,
        address: &Address,
        connector: &Rc<Connector>,
        active: Active,
        wanted: Wanted,
    ) -> Result<Link, ForwardError> {
        match self.protocol {
            Protocol::Http1 => self.acquire_http1(address, connector, active, wanted).await,
            Protocol::Http2 => self.acquire_http2(address, connector, active).await,
        }
    }

    async fn acquire_http1(
        self: &Rc<Self>,
        address: &Address,
        connector: &Rc<Connector>,
        active: Active,
        wanted: Wanted,
    ) -> Result<Link, ForwardError> {
        loop {
            if let Some(connection) = self.pop_idle(wanted) {
                return Ok(Link::Http1(http1::Lease::new(
                    connection, self, connector, true, active,
                )));
            }
            if let Some(slot) = self.slot() {
                let stream = self.connect(address, connector).await?;
                let connection = http1::Connection::new(stream, slot);
                return Ok(Link::Http1(http1::Lease::new(
                    connection, self, connector, false, active,
                )));
            }
            // At the limit an idle connection that will not do makes room for a new one.
            if !self.drop_oldest() {
                self.wait(&active).await?;
            }
        }
    }

    async fn acquire_http2(
        self: &Rc<Self>,
        address: &Address,
        connector: &Rc<Connector>,
        active: Active,
    ) -> Result<Link, ForwardError> {
        loop {
            if let Some(connection) = self.multiplexed_with_room() {
                return Ok(Link::Http2(http2::Lease::new(&connection, self, active)));
            }
            if !self.opening.get()
                && let Some(slot) = self.slot()
            {
                let connection = self.open_http2(address, connector, slot).await?;
                return Ok(Link::Http2(http2::Lease::new(&connection, self, active)));
            }
            let (failures, _) = self.failures.get();
            self.wait(&active).await?;
            let (now, kind) = self.failures.get();
            if now != failures && self.multiplexed_with_room().is_none() {
                return Err(ForwardError::Connect(kind.into()));
            }
        }
    }

    async fn open_http2(
        self: &Rc<Self>,
        address: &Address,
        connector: &Rc<Connector>,
        slot: Slot,
    ) -> Result<Rc<http2::Connection>, ForwardError> {
        self.opening.set(true);
        let opening = Opening(self);
        let settings = self.settings.get();
        let (streams, limit) = (settings.http2_streams, settings.connect_timeout);
        let opened = async {
            let stream = self.connect(address, connector).await?;
            http2::Connection::open(stream, slot, streams, limit, connector).await
        };
        let opened = opened.await;
        match &opened {
            Ok(connection) => self.multiplexed.borrow_mut().push(Multiplexed {
                connection: Rc::clone(connection),
                idle_since: Cell::new(None),
            }),
            Err(error) => {
                let kind = match error {
                    ForwardError::Connect(error)
                    | ForwardError::Tls(error)
                    | ForwardError::Dns(error) => error.kind(),
                    ForwardError::ConnectTimeout => io::ErrorKind::TimedOut,
                    _ => io::ErrorKind::Other,
                };
                self.failures
                    .set((self.failures.get().0.wrapping_add(1), kind));
            }
        }
        drop(opening);
        opened
    }

    async fn connect(
        &self,
        address: &Address,
        connector: &Connector,
    ) -> Result<super::connect::Stream, ForwardError> {
        let limit = self.settings.get().connect_timeout;
        connector
            .connect(address, self.tls.as_ref(), self.protocol, limit)
            .await
    }

    /// Waits for a change of the pool. Bounded in waiters, and in time like connecting.
    async fn wait(&self, active: &Active) -> Result<(), ForwardError> {
        let settings = self.settings.get();
        let _permit = active.wait(settings.limits)?;
        if self.waiting.get() >= settings.max_waiting {
            return Err(ForwardError::Overflow);
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(self);
        tokio::time::timeout(settings.connect_timeout, self.changed.notified())
            .await
            .map_err(|_| ForwardError::Overflow)
    }

    fn pop_idle(&self, wanted: Wanted) -> Option<http1::Connection> {
        if wanted == Wanted::New {
            return None;
        }
        let mut idle = self.idle.borrow_mut();
        while let Some(top) = idle.last() {
            // Those below have been idle for longer.
            if wanted == Wanted::Recent && !self.is_recent(top, &idle) {
                return None;
            }
            let mut top = idle.pop()?;
            // A request that must not be sent twice is worth another question.
            let ended = wanted == Wanted::Recent && top.connection.has_ended();
            if !ended && top.connection.is_quiet() {
                return Some(top.connection);
            }
            self.closed_after(top.since.elapsed());
        }
        None
    }

    /// Whether a connection may carry a request that must not be sent twice: the backend keeps connections, and has
    /// lately closed none, that were idle for twice as long. Nothing is believed of a backend before it is seen.
    fn is_recent(&self, connection: &Idle, all: &[Idle]) -> bool {
        let idle = connection.since.elapsed();
        if idle > self.keeps_for.get()
            && let Some(oldest) = all.first().filter(|one| !one.connection.has_ended())
        {
            let kept = oldest.since.elapsed() / 2;
            self.keeps_for.set(self.keeps_for.get().max(kept));
        }
        idle <= self.keeps_for.get().min(self.closes_after.get())
    }

    /// Closes the connection that has been idle for longest. Returns whether there was one.
    fn drop_oldest(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        let oldest = (!idle.is_empty()).then(|| idle.remove(0));
        // Its end looks at this pool again.
        drop(idle);
        oldest.is_some()
    }

    /// The backend has closed a connection that was idle for so long.
    fn closed_after(&self, idle: Duration) {
        let shortest = self.closes_after.get().min(idle / 2);
        self.closes_after.set(shortest);
    }

    fn multiplexed_with_room(&self) -> Option<Rc<http2::Connection>> {
        let mut connections = self.multiplexed.borrow_mut();
        connections.retain(|open| !open.connection.is_closed());
        let open = connections.iter().find(|open| open.connection.has_room())?;
        open.idle_since.set(None);
        Some(Rc::clone(&open.connection))
    }

    fn slot(self: &Rc<Self>) -> Option<Slot> {
        let open = self.open.get();
        (open < self.settings.get().max_connections).then(|| {
            self.open.set(open + 1);
            Slot(Rc::downgrade(self))
        })
    }

    /// Takes back a connection that is ready for another request.
    pub(super) fn put(&self, connection: http1::Connection, metrics: &Metrics) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.settings.get().max_idle {
            let since = Instant::now();
            idle.push(Idle { connection, since });
        } else {
            metrics.upstream_surplus.increment();
        }
        drop(idle);
        self.notify();
    }

    pub(super) fn stream_ended(&self) {
        self.notify();
    }

    fn notify(&self) {
        if self.waiting.get() > 0 {
            self.changed.notify_one();
        }
    }

    /// Closes what is dead or has been idle too long.
    pub(super) fn sweep(&self, now: Instant) {
        let timeout = self.settings.get().idle_timeout;
        // A backend that closed all it had, because it restarted, is believed again after a while.
        let longer = 2 * self.closes_after.get() + Duration::from_millis(1);
        self.closes_after.set(longer.min(RECENT));
        // Dropping a connection gives its slot back, which looks at this pool again: drop outside the borrow.
        let mut expired = Vec::new();
        let mut idle = self.idle.borrow_mut();
        for index in (0..idle.len()).rev() {
            let stale = idle.get_mut(index).is_some_and(|idle| {
                let closed = !idle.connection.is_quiet();
                if closed {
                    self.closed_after(now - idle.since);
                }
                closed || now - idle.since >= timeout
            });
            if stale {
                expired.push(idle.remove(index));
            }
        }
        drop(idle);
        drop(expired);
        let mut closed = Vec::new();
        self.multiplexed.borrow_mut().retain(|open| {
            if !open.connection.is_idle() {
                open.idle_since.set(None);
                return !open.connection.is_closed();
            }
            let since = open.idle_since.get().unwrap_or(now);
            open.idle_since.set(Some(since));
            let keep = now - since < timeout && !open.connection.is_closed();
            if !keep {
                closed.push(Rc::clone(&open.connection));
            }
            keep
        });
        drop(closed);
    }

    /// Connections open now, those of them without a request, and requests that wait for one.
    pub(super) fn load(&self) -> [usize; 3] {
        let multiplexed = self.multiplexed.borrow();
        let quiet = multiplexed.iter().filter(|open| open.connection.is_idle());
        let idle = self.idle.borrow().len() + quiet.count();
        [self.open.get(), idle, self.waiting.get()]
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.open.get()
    }
}

struct Waiting<'a>(&'a Pool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.set(false);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.open.set(pool.open.get().saturating_sub(1));
            pool.notify();
        }
    }
}
