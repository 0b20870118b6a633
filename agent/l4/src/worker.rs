//! The worker: what all connections of one thread share.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use novaedge_access_log::Sink;
use novaedge_router::SocketKey;
use novaedge_splice::Pipes;
use novaedge_turns::Turns;

use crate::balance::Balance;
use crate::buffers::Buffers;
use crate::counters::{Counters, OpenConnection};
use crate::error::Error;
use crate::flow::{Flow, Flows, Names, Traffic};
use crate::limits::Limits;
use crate::source::{Resolve, Source, View};

/// The largest UDP payload, and a byte more than IPv4 can carry.
const MAX_DATAGRAM: usize = 64 * 1024;

/// The layer 4 data path of one thread. Connections are futures on a `LocalSet`; they look the
/// snapshot up when they begin and are not touched by later ones.
pub struct Worker<S> {
    pub(crate) source: S,
    pub(crate) resolver: Rc<dyn Resolve>,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) flows: Flows,
    pub(crate) buffers: Buffers,
    pub(crate) pipes: Pipes,
    pub(crate) balance: Balance,
    /// Turns at TLS handshakes.
    pub(crate) turns: Turns,
    /// Used between two awaits only, by whichever UDP session has a datagram.
    pub(crate) datagram: RefCell<Box<[u8]>>,
    /// The access log, if there is one.
    pub(crate) log: OnceCell<Rc<Sink>>,
    /// Numbers drawn for its samples.
    drawn: Cell<u64>,
}

impl<S: Source> Worker<S> {
    /// `index` tells the workers of a process apart; `counters` and `traffic`, which all share, can be read from any
    /// thread.
    pub fn new(
        index: usize,
        source: S,
        resolver: Rc<dyn Resolve>,
        limits: Limits,
        counters: Arc<Counters>,
        traffic: Arc<Traffic>,
    ) -> Rc<Self> {
        Rc::new(Self {
            source,
            resolver,
            counters,
            flows: Flows::new(index, traffic),
            buffers: Buffers::new(limits.buffer, limits.spare_buffers),
            pipes: Pipes::new(limits.pipe, limits.pipes),
            balance: Balance::new(index, limits.workers, limits.site.clone()),
            turns: Turns::new(),
            datagram: RefCell::new(vec![0; MAX_DATAGRAM].into_boxed_slice()),
            log: OnceCell::new(),
            drawn: Cell::new(index as u64),
            limits,
        })
    }

    /// Tells this log of the connections and sessions from now on. Only the first call counts.
    pub fn observe(&self, log: Rc<Sink>) {
        let _ = self.log.set(log);
    }

    /// Forgets live state of backends that are gone, when there is much of it.
    pub(crate) fn tidy(&self, view: View<'_>) {
        if self.balance.len() > 2 * view.tables.backends.len() + 64 {
            self.balance
                .retain(|name| view.tables.backends.get(name).is_some());
        }
    }

    /// Counts an open connection until the guard goes.
    pub(crate) fn open(&self, flow: &Rc<Flow>) -> OpenConnection<'_> {
        self.counters.pipes.set(self.pipes.open() as u64);
        OpenConnection::new(&self.counters, flow)
    }

    /// The counters of what nobody serves.
    pub(crate) fn nowhere(&self) -> Rc<Flow> {
        self.flows.get(Names::default())
    }

    pub(crate) fn failed(&self, flow: &Flow, error: &Error, peer: SocketAddr, key: SocketKey) {
        self.counters.error(error.kind());
        flow.counters.error(error.kind());
        tracing::debug!(
            socket = %key,
            %peer,
            kind = error.kind().as_str(),
            error = error as &dyn std::error::Error,
            "connection failed",
        );
    }
}

impl<S> Worker<S> {
    /// The next number of a sequence that looks random (SplitMix64, Steele 2014).
    pub(crate) fn draw(&self) -> u64 {
        let state = self.drawn.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.drawn.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
