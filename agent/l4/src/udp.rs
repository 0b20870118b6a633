//! UDP: one session per client address, each with a connected socket of its own to one endpoint.
//!
//! The endpoint is chosen for a session's first datagram and kept over snapshots as long as the
//! route, the backend and the endpoint are still there. Replies leave by the listening socket, from
//! the address that the client sent to.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use novaedge_balance::Member;
use novaedge_router::{
    Backend, Endpoint, Host, L4Rule, ListenerInfo, Socket, SocketKey, Tables, Target,
};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::balance::Slot;
use crate::counters::OpenSession;
use crate::error::Error;
use crate::flow::{Account, Flow, Names};
use crate::source::{Source, View};
use crate::trail::Trail;
use crate::upstream::choose_backend;
use crate::worker::Worker;

mod link;
mod listening;
mod sessions;

use link::{Link, connect};
use listening::{Ends, Listening};
use sessions::Sessions;

/// Datagrams moved from one socket before others get their turn.
const BURST: usize = 64;
/// Datagrams that wait while a session's socket is made, names resolved included.
const MAX_WAITING: usize = BURST;

/// How many datagrams a socket had.
#[derive(PartialEq, Eq)]
enum Burst {
    /// Fewer than [`BURST`]: it is empty now.
    Part,
    /// There may be more.
    Full,
}

/// A listening socket with its sessions.
struct Server<S> {
    worker: Rc<Worker<S>>,
    socket: Listening,
    key: SocketKey,
    sessions: RefCell<Sessions<Session>>,
    /// The tables that `epoch` stands for.
    tables: RefCell<Option<Arc<Tables>>>,
    epoch: Cell<u64>,
}

struct Session {
    link: Rc<Link>,
    /// The epoch of the tables that the session is known to agree with.
    epoch: Cell<u64>,
    backend: Arc<str>,
    flow: Rc<Flow>,
    /// Told of the bytes, if somebody wants to know; it ends with the session.
    trail: Option<Rc<Trail>>,
    endpoint: Endpoint,
    /// Receives replies; ends with the session.
    _task: AbortOnDropHandle<()>,
}

/// Where a session goes.
struct Way {
    backend: Arc<str>,
    endpoint: Rc<Member>,
    slot: Slot,
    flow: Rc<Flow>,
    trail: Option<Rc<Trail>>,
}

impl<S: Source> Worker<S> {
    /// Serves a UDP socket until the future is dropped, which ends its sessions.
    ///
    /// Must run on a `LocalSet`. The socket is non-blocking and bound to the address that clients
    /// send to.
    pub async fn serve_udp(self: Rc<Self>, socket: UdpSocket, key: SocketKey) {
        let socket = match Listening::new(socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(socket = %key, %error, "socket can't be served");
                return;
            }
        };
        let server = Rc::new(Server {
            worker: self,
            socket,
            key,
            sessions: RefCell::default(),
            tables: RefCell::default(),
            epoch: Cell::new(0),
        });
        // The tasks of the sessions hold the server, so the sessions must go by hand.
        let _end = EndSessions(Rc::clone(&server));
        server.run().await;
    }
}

struct EndSessions<S>(Rc<Server<S>>);

impl<S> Drop for EndSessions<S> {
    fn drop(&mut self) {
        self.0.sessions.borrow_mut().clear();
    }
}

impl<S: Source> Server<S> {
    async fn run(self: &Rc<Self>) {
        let idle = self.worker.limits.udp_idle_timeout;
        let mut expiry = pin!(sleep_until(Instant::now() + idle));
        loop {
            tokio::select! {
                ready = self.socket.readable() => {
                    // Sessions and other sockets get their turn even in a flood.
                    if ready.is_err() || self.receive_burst() == Burst::Full {
                        tokio::task::yield_now().await;
                    }
                }
                () = expiry.as_mut() => {
                    let now = Instant::now();
                    expiry.as_mut().reset(self.expire(now));
                }
            }
        }
    }

    /// Ends idle sessions; says when to look again.
    fn expire(&self, now: Instant) -> Instant {
        let idle = self.worker.limits.udp_idle_timeout;
        let mut sessions = self.sessions.borrow_mut();
        while let Some(used) = sessions.oldest_use() {
            if used + idle > now {
                return used + idle;
            }
            sessions.remove_oldest();
        }
        now + idle
    }

    fn receive_burst(self: &Rc<Self>) -> Burst {
        let mut buffer = self.worker.datagram.borrow_mut();
        for _ in 0..BURST {
            match self.socket.try_receive(&mut buffer) {
                Ok((length, ends)) => {
                    let datagram = buffer.get(..length).unwrap_or_default();
                    if let Err((flow, error)) = self.forward(ends, datagram) {
                        self.worker.counters.bytes_received_total.add(length as u64);
                        self.worker.counters.udp_dropped_datagrams_total.add(1);
                        self.worker.failed(&flow, &error, ends.client, self.key);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Burst::Part,
                // An ICMP error of an earlier reply: it says nothing about the next datagram.
                Err(_) => {}
            }
        }
        Burst::Full
    }

    fn forward(self: &Rc<Self>, ends: Ends, datagram: &[u8]) -> Result<(), (Rc<Flow>, Error)> {
        let now = Instant::now();
        self.worker.source.with(|view| {
            self.notice(view);
            if let Some(session) = self.sessions.borrow_mut().touch(ends, now)
                && self.agrees(session, view)
            {
                session.send(&self.worker, datagram);
                return Ok(());
            }
            // A session that no longer fits makes room for its successor.
            self.sessions.borrow_mut().remove(ends);
            let session = self.begin(view, ends)?;
            session.send(&self.worker, datagram);
            let mut sessions = self.sessions.borrow_mut();
            if sessions.len() >= self.worker.limits.udp_sessions.max(1)
                && sessions.remove_oldest().is_some()
            {
                self.worker.counters.udp_evicted_sessions_total.add(1);
            }
            sessions.insert(ends, session, now);
            Ok(())
        })
    }

    /// Starts a new epoch when the tables have changed.
    fn notice(&self, view: View<'_>) {
        let mut tables = self.tables.borrow_mut();
        if !tables
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, view.tables))
        {
            *tables = Some(Arc::clone(view.tables));
            self.epoch.set(self.epoch.get() + 1);
            self.worker.tidy(view);
        }
    }

    /// Whether the session may go on under these tables.
    fn agrees(&self, session: &Session, view: View<'_>) -> bool {
        if session.epoch.get() == self.epoch.get() {
            return true;
        }
        let agrees = self.rule(view).is_some_and(|rule| {
            rule.invalid.is_none()
                && rule.backends.iter().any(|(_, choice)| {
                    matches!(&choice.target, Target::Backend(name) if *name == session.backend)
                })
        }) && view
            .tables
            .backends
            .get(&session.backend)
            .is_some_and(|backend| {
                backend.invalid.is_none() && backend.endpoints.contains(&session.endpoint)
            });
        session.epoch.set(self.epoch.get());
        agrees
    }

    fn rule<'v>(&self, view: View<'v>) -> Option<&'v Arc<L4Rule>> {
        match &**view.tables.sockets.get(&self.key)? {
            Socket::Udp(socket) => socket.rule.as_ref(),
            _ => None,
        }
    }

    fn begin(self: &Rc<Self>, view: View<'_>, ends: Ends) -> Result<Session, (Rc<Flow>, Error)> {
        let chosen = choose_backend(view, self.rule(view).map(|rule| &**rule));
        let flow = self.flow(view, chosen.as_deref().ok());
        let begun = chosen.and_then(|backend| self.link(view, &backend, ends, &flow));
        begun.map_err(|error| (flow, error))
    }

    fn listener<'v>(&self, view: View<'v>) -> Option<&'v ListenerInfo> {
        match &**view.tables.sockets.get(&self.key)? {
            Socket::Udp(socket) => Some(&socket.info),
            _ => None,
        }
    }

    fn flow(&self, view: View<'_>, backend: Option<&Backend>) -> Rc<Flow> {
        self.worker.flows.get(Names {
            listener: self.listener(view),
            rule: self.rule(view).map(|rule| &**rule),
            backend,
        })
    }

    /// What the access log is told of a session with this endpoint.
    fn trail(
        &self,
        view: View<'_>,
        ends: Ends,
        endpoint: &Endpoint,
        backend: &Arc<str>,
    ) -> Option<Rc<Trail>> {
        let trail = self.worker.trail("udp", ends.client)?;
        if let Some(listener) = self.listener(view) {
            trail.found(listener, self.rule(view));
        }
        trail.tries(backend, endpoint);
        trail.connected();
        // A session has no end but that nothing comes any more.
        trail.end::<()>(&Ok(()));
        Some(trail)
    }

    fn link(
        self: &Rc<Self>,
        view: View<'_>,
        backend: &Backend,
        ends: Ends,
        flow: &Rc<Flow>,
    ) -> Result<Session, Error> {
        let name = Arc::clone(&backend.name);
        if backend.send_proxy_protocol.is_some() {
            return Err(Error::SendsHeader(name));
        }
        let slot = self.worker.balance.enter(backend)?;
        let link = Rc::new(Link::default());
        let endpoint = link.connect(backend, &slot, ends.client.ip())?;
        let address = endpoint.endpoint().clone();
        let trail = self.trail(view, ends, &address, &name);
        let way = Way {
            backend: Arc::clone(&name),
            endpoint,
            slot,
            flow: Rc::clone(flow),
            trail: trail.clone(),
        };
        let task = Rc::clone(self).session(ends, Rc::clone(&link), way);
        Ok(Session {
            link,
            epoch: Cell::new(self.epoch.get()),
            backend: name,
            flow: Rc::clone(flow),
            trail,
            endpoint: address,
            _task: AbortOnDropHandle::new(tokio::task::spawn_local(task)),
        })
    }

    /// Resolves the endpoint if need be, then passes replies on for ever.
    async fn session(self: Rc<Self>, ends: Ends, link: Rc<Link>, way: Way) {
        let Way {
            backend,
            endpoint,
            mut slot,
            flow,
            trail,
        } = way;
        let account = Account {
            flow: &flow,
            trail: trail.as_deref(),
        };
        let _open = OpenSession::new(&self.worker.counters, &flow);
        slot.settle(&endpoint);
        let socket = match self.open(endpoint.endpoint(), &link).await {
            Ok(socket) => socket,
            Err(cause) => {
                let error = Error::Connect { backend, cause };
                self.worker.failed(&flow, &error, ends.client, self.key);
                if let Some(trail) = &trail {
                    trail.end::<()>(&Err(error));
                }
                // Taking it out drops this task's handle; the next datagram begins anew.
                self.sessions.borrow_mut().remove(ends);
                return;
            }
        };
        // The driver has yet to say that a new socket can be written; until then it refuses to.
        if socket.writable().await.is_ok() {
            link.flush(&self.worker, &socket);
        }
        loop {
            let ready = socket.readable().await;
            if ready.is_err() || self.reply_burst(&socket, ends, account) == Burst::Full {
                tokio::task::yield_now().await;
            }
            self.sessions.borrow_mut().touch(ends, Instant::now());
        }
    }

    async fn open(&self, endpoint: &Endpoint, link: &Link) -> io::Result<Rc<UdpSocket>> {
        if let Some(socket) = &*link.socket.borrow() {
            return Ok(Rc::clone(socket));
        }
        let Host::Dns(name) = &endpoint.address else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let limit = self.worker.limits.connect_timeout;
        let resolved = tokio::time::timeout(limit, self.worker.resolver.resolve(name)).await;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in resolved.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
            match connect(SocketAddr::new(address, endpoint.port)) {
                Ok(socket) => return Ok(link.settle(socket)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn reply_burst(&self, socket: &UdpSocket, ends: Ends, account: Account<'_>) -> Burst {
        let counters = &self.worker.counters;
        let sent_bytes = account.sent(counters);
        let mut buffer = self.worker.datagram.borrow_mut();
        for _ in 0..BURST {
            match socket.try_recv(&mut buffer) {
                Ok(length) => {
                    let reply = buffer.get(..length).unwrap_or_default();
                    match self.socket.try_send(reply, ends) {
                        Ok(sent) => sent_bytes.add(sent as u64),
                        Err(_) => counters.udp_dropped_datagrams_total.add(1),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Burst::Part,
                // The endpoint refused an earlier datagram (ICMP); it may be back for the next.
                Err(_) => counters.udp_dropped_datagrams_total.add(1),
            }
        }
        Burst::Full
    }
}

impl Session {
    fn send<S>(&self, worker: &Worker<S>, datagram: &[u8]) {
        let account = Account {
            flow: &self.flow,
            trail: self.trail.as_deref(),
        };
        let received = account.received(&worker.counters);
        received.add(datagram.len() as u64);
        self.link.send(worker, datagram);
    }
}
