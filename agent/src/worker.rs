//! A worker: one thread, one current-thread runtime, its own sockets and its own pools.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novaedge_proxy::pressure::{Level, Pressure};
use novaedge_proxy::{Drain, Live, QuicListener, Seat};
use novaedge_router::SocketKey;
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::accept::{accept, accept_quic};
use crate::dns::Dns;
use crate::memory;
use crate::metrics::Traffic;
use crate::observing::Observing;
use crate::proxy_header;
use crate::snapshot::LiveSource;
use crate::sockets::Listening;

/// Commands that may wait for a worker.
pub(crate) const COMMANDS: usize = 256;

/// A drain takes UDP sessions for over when no datagram came for this long.
const UDP_QUIET: Duration = Duration::from_secs(1);

/// How long connections of QUIC may go on when their listeners are gone.
const QUIC_END: Duration = Duration::from_secs(10);

/// How often a worker that takes no more connections looks whether it can.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the control thread asks of a worker.
pub(crate) enum Command {
    /// Serve this socket.
    Open(SocketKey, Listening),
    /// Serve what is queued, close the socket, then say so. Open connections go on.
    Close(SocketKey, oneshot::Sender<()>),
    /// Serve on, but ask clients to go elsewhere.
    Retire,
    /// Close all TCP sockets, end connections in an orderly way, and end the thread.
    Drain(Instant),
}

/// What a worker needs, made by the starter.
pub(crate) struct WorkerConfig {
    pub(crate) index: usize,
    pub(crate) live: Live,
    pub(crate) connections: usize,
    pub(crate) http: Arc<novaedge_proxy::Config>,
    pub(crate) l4: novaedge_l4::Limits,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) traffic: Traffic,
    pub(crate) observing: Observing,
}

/// The counters of a worker, read by the metrics endpoint.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounters {
    pub(crate) http: Arc<novaedge_proxy::Metrics>,
    pub(crate) l4: Arc<novaedge_l4::Counters>,
    pub(crate) access_log: Arc<novaedge_access_log::Counters>,
    /// TCP connections accepted, of all protocols.
    pub(crate) accepted: AtomicU64,
    /// TCP connections open now, of all protocols.
    pub(crate) open: AtomicU64,
    /// Accepts that had to wait for another connection to end.
    pub(crate) limited: AtomicU64,
    /// Accepts that failed.
    pub(crate) accept_errors: AtomicU64,
    /// TCP connections that ended at the header of the PROXY protocol.
    pub(crate) proxy_headers_refused: proxy_header::Refused,
}

impl WorkerCounters {
    pub(crate) fn new(index: usize, traffic: &Traffic) -> Self {
        let http = novaedge_proxy::Metrics::new(index, Arc::clone(&traffic.http));
        Self {
            http: Arc::new(http),
            ..Self::default()
        }
    }
}

/// What the connections of a worker share.
pub(crate) struct Shared {
    pub(crate) live: Live,
    pub(crate) http: Rc<novaedge_proxy::Worker>,
    pub(crate) l4: Rc<novaedge_l4::Worker<LiveSource>>,
    pub(crate) drain: Drain,
    pub(crate) counters: Arc<WorkerCounters>,
    pressure: Pressure,
    /// This worker among all.
    seat: Seat,
    limit: usize,
    open: Cell<usize>,
    closed: Notify,
}

/// A connection in the counts of its worker and of its socket.
pub(crate) struct Open {
    shared: Rc<Shared>,
    room: Rc<Room>,
}

/// How many connections of one socket are open on this worker.
pub(crate) struct Room {
    key: SocketKey,
    open: Cell<usize>,
}

impl Room {
    pub(crate) fn new(key: SocketKey) -> Rc<Self> {
        let open = Cell::new(0);
        Rc::new(Self { key, open })
    }

    pub(crate) fn key(&self) -> SocketKey {
        self.key
    }
}

impl Shared {
    /// Waits until another connection may be served, and counts it.
    pub(crate) async fn enter(self: &Rc<Self>, room: &Rc<Room>) -> Open {
        if self.is_full(room) {
            self.counters.limited.fetch_add(1, Ordering::Relaxed);
            while self.is_full(room) {
                // Memory comes back without a word.
                let _ = timeout(LOOK_AGAIN, self.closed.notified()).await;
            }
        }
        self.open.set(self.open.get() + 1);
        room.open.set(room.open.get() + 1);
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        Open {
            shared: Rc::clone(self),
            room: Rc::clone(room),
        }
    }

    fn is_full(&self, room: &Room) -> bool {
        let runtime = self.live.load();
        let socket = runtime.tables.sockets.get(&room.key);
        let most = socket.and_then(|socket| socket.max_connections());
        let share = most.map(|most| most.div_ceil(self.seat.workers.max(1).into()) as usize);
        self.open.get() >= self.limit
            || share.is_some_and(|share| room.open.get() >= share)
            || self.pressure.level() >= Level::High
    }

    /// Waits until no connection is open and UDP is quiet: its sessions have no end to wait for.
    async fn all_closed(&self) {
        while self.open.get() > 0 {
            self.closed.notified().await;
        }
        let l4 = &self.counters.l4;
        let moved = || l4.bytes_received_total.get() + l4.bytes_sent_total.get();
        let mut before = moved();
        while l4.udp_active_sessions.get() > 0 {
            tokio::time::sleep(UDP_QUIET).await;
            let now = moved();
            if now == before {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Self { shared, room } = self;
        shared.open.set(shared.open.get().saturating_sub(1));
        room.open.set(room.open.get().saturating_sub(1));
        shared.counters.open.fetch_sub(1, Ordering::Relaxed);
        // Each socket's task may wait for one of its own.
        shared.closed.notify_waiters();
    }
}

/// Runs a worker to the end of its drain, or until the control thread is gone.
pub(crate) fn run(config: WorkerConfig, commands: mpsc::Receiver<Command>) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(serve(config, commands));
    // What is still there after the drain's deadline goes with the runtime.
    Ok(())
}

async fn serve(mut config: WorkerConfig, mut commands: mpsc::Receiver<Command>) {
    let resolver = Rc::new(Dns::new());
    let observing = std::mem::take(&mut config.observing);
    let observers = observing.observers(&config.counters.access_log);
    let shared = Rc::new(Shared {
        http: novaedge_proxy::Worker::new(
            Arc::clone(&config.http),
            Arc::clone(&config.live),
            Arc::clone(&config.counters.http),
            Rc::clone(&resolver) as Rc<dyn novaedge_proxy::Resolve>,
            seed(config.index),
        ),
        l4: novaedge_l4::Worker::new(
            config.index,
            LiveSource(Arc::clone(&config.live)),
            resolver,
            config.l4,
            Arc::clone(&config.counters.l4),
            config.traffic.l4,
        ),
        pressure: config.http.pressure.clone(),
        seat: Seat {
            index: seat(config.index),
            workers: seat(config.http.workers as usize),
        },
        live: config.live,
        drain: Drain::new(),
        counters: config.counters,
        limit: config.connections.max(1),
        open: Cell::new(0),
        closed: Notify::new(),
    });
    if let Some(log) = &observers.log {
        shared.l4.observe(Rc::clone(log));
    }
    shared.http.observe(observers);
    let sockets = Sockets {
        shared: Rc::clone(&shared),
        open: RefCell::default(),
    };
    let giving_back = tokio::task::spawn_local(memory::give_back());
    let deadline = loop {
        match commands.recv().await {
            Some(Command::Open(key, socket)) => sockets.open(key, socket),
            Some(Command::Close(key, done)) => {
                sockets.close(key).await;
                // Nobody waits any more when the control thread has given up.
                let _ = done.send(());
            }
            Some(Command::Retire) => shared.drain.retire(),
            Some(Command::Drain(deadline)) => break deadline,
            None => break Instant::now(),
        }
    };
    giving_back.abort();
    sockets.stop_accepting(deadline).await;
    shared.drain.begin(deadline);
    let in_time = timeout_at(deadline, shared.all_closed()).await.is_ok();
    let tasks_ended = shared.http.shut_down(deadline).await;
    sockets.end().await;
    if !(in_time && tasks_ended) {
        tracing::warn!(
            worker = config.index,
            connections = shared.open.get(),
            udp_sessions = shared.counters.l4.udp_active_sessions.get(),
            "connections were cut at the drain's deadline",
        );
    }
}

/// There are fewer workers than that.
fn seat(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Each worker starts its pseudo-random choices elsewhere, also after a restart.
fn seed(index: usize) -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = clock.map_or(0, |since| since.subsec_nanos());
    (u64::from(nanoseconds) << 16) ^ index as u64
}

/// The listening sockets of a worker, each with the task that serves it.
struct Sockets {
    shared: Rc<Shared>,
    open: RefCell<BTreeMap<SocketKey, Served>>,
}

enum Served {
    Tcp {
        stop: oneshot::Sender<()>,
        task: JoinHandle<()>,
    },
    /// Its connections live on the socket.
    Quic {
        /// Told until when they may go on.
        stop: Option<oneshot::Sender<Instant>>,
        _task: JoinHandle<()>,
    },
    Udp(JoinHandle<()>),
}

impl Sockets {
    fn open(&self, key: SocketKey, socket: Listening) {
        let served = match socket {
            Listening::Tcp(socket) => TcpListener::from_std(socket).map(|listener| {
                let (stop, stopped) = oneshot::channel();
                let task = accept(Rc::clone(&self.shared), listener, key, stopped);
                Served::Tcp {
                    stop,
                    task: tokio::task::spawn_local(task),
                }
            }),
            Listening::Quic(socket) => {
                QuicListener::new(&self.shared.http, socket, key, self.shared.seat).map(
                    |listener| {
                        let (stop, stopped) = oneshot::channel();
                        let task = accept_quic(Rc::clone(&self.shared), listener, key, stopped);
                        Served::Quic {
                            stop: Some(stop),
                            _task: tokio::task::spawn_local(task),
                        }
                    },
                )
            }
            Listening::Udp(socket) => UdpSocket::from_std(socket).map(|socket| {
                let task = Rc::clone(&self.shared.l4).serve_udp(socket, key);
                Served::Udp(tokio::task::spawn_local(task))
            }),
        };
        match served {
            Ok(served) => {
                self.open.borrow_mut().insert(key, served);
            }
            // Registering with epoll fails only when the kernel is out of memory.
            Err(error) => tracing::error!(socket = %key, %error, "socket can't be served"),
        }
    }

    async fn close(&self, key: SocketKey) {
        let served = self.open.borrow_mut().remove(&key);
        if let Some(served) = served {
            served.close().await;
        }
    }

    /// Closes the TCP sockets, and takes no more connections of QUIC; UDP has none to tell old from new by.
    async fn stop_accepting(&self, deadline: Instant) {
        for served in self.open.borrow_mut().values_mut() {
            if let Served::Quic { stop, .. } = served {
                // A task that ended by itself needs no word.
                let _ = stop.take().map(|stop| stop.send(deadline));
            }
        }
        self.close_all(|served| matches!(served, Served::Tcp { .. }))
            .await;
    }

    async fn end(&self) {
        self.close_all(|_| true).await;
    }

    async fn close_all(&self, choose: impl Fn(&Served) -> bool) {
        let mut chosen = Vec::new();
        {
            let mut open = self.open.borrow_mut();
            let keys: Vec<_> = open
                .iter()
                .filter(|(_, served)| choose(served))
                .map(|(key, _)| *key)
                .collect();
            chosen.extend(keys.iter().filter_map(|key| open.remove(key)));
        }
        for served in chosen {
            served.close().await;
        }
    }
}

impl Served {
    async fn close(self) {
        let task = match self {
            Self::Tcp { stop, task } => {
                // An accept task that ended by itself needs no word.
                let _ = stop.send(());
                task
            }
            Self::Udp(task) => {
                task.abort();
                task
            }
            // Nobody waits for the connections that there are.
            Self::Quic { stop, .. } => {
                let until = Instant::now() + QUIC_END;
                let _ = stop.map(|stop| stop.send(until));
                return;
            }
        };
        // Aborted, ended or panicked: the socket is closed in any case.
        let _ = task.await;
    }
}
