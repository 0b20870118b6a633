//! The worker's end: lines wait in a piece of memory until it is full, or a moment has passed.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use crate::format;
use crate::record::Record;
use crate::settings::{Chosen, Settings};

/// Bytes of lines that go to the writer at once.
const PIECE: usize = 32 * 1024;

/// Lines on their way to the writer.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u64,
}

/// Where sinks come from, one for each worker.
#[derive(Clone, Debug)]
pub struct Lines {
    pub(crate) settings: Arc<Settings>,
    pub(crate) sender: SyncSender<Piece>,
    pub(crate) lost: Arc<AtomicU64>,
}

/// What a worker has counted. One thread alone changes it.
#[derive(Debug, Default)]
pub struct Counters {
    lines: AtomicU64,
    dropped: AtomicU64,
}

/// Takes the lines of one worker.
#[derive(Debug)]
pub struct Sink {
    lines: Lines,
    piece: RefCell<Piece>,
    /// The writer has had no room since.
    is_full: Cell<bool>,
    counters: Arc<Counters>,
}

impl Counters {
    /// Lines taken.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Lines dropped, because the writer was behind.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// There is one writer, so nothing is lost between the load and the store.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(amount),
        Ordering::Relaxed,
    );
}

impl Lines {
    /// The sink of one worker.
    #[must_use]
    pub fn sink(&self, counters: Arc<Counters>) -> Sink {
        Sink {
            lines: self.clone(),
            piece: RefCell::default(),
            is_full: Cell::new(false),
            counters,
        }
    }

    /// Lines that were taken, but could not be written.
    #[must_use]
    pub fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }
}

impl Sink {
    /// How the log is kept.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.lines.settings
    }

    /// Takes a line, if it was chosen and there is room for it.
    pub fn write(&self, chosen: Chosen, record: &Record<'_>) {
        if chosen == Chosen::No || (chosen == Chosen::IfError && !record.is_error()) {
            return;
        }
        let mut piece = self.piece.borrow_mut();
        if piece.bytes.len() >= PIECE && !self.hand_on(&mut piece) {
            add(&self.counters.dropped, 1);
            return;
        }
        format::line(&mut piece.bytes, record, &self.lines.settings);
        piece.lines += 1;
        add(&self.counters.lines, 1);
        if piece.bytes.len() >= PIECE && !self.is_full.get() {
            self.hand_on(&mut piece);
        }
    }

    /// Hands on what waits. Call it every now and then.
    pub fn flush(&self) {
        let mut piece = self.piece.borrow_mut();
        if piece.lines > 0 {
            self.hand_on(&mut piece);
        }
    }

    /// Whether the writer had room.
    fn hand_on(&self, piece: &mut Piece) -> bool {
        let sent = self.lines.sender.try_send(std::mem::take(piece));
        self.is_full.set(sent.is_err());
        match sent {
            Ok(()) => {
                // A line more than a piece may be in it.
                piece.bytes.reserve(PIECE + PIECE / 8);
                true
            }
            Err(TrySendError::Full(full) | TrySendError::Disconnected(full)) => {
                *piece = full;
                false
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
        let left = self.piece.borrow().lines;
        self.lines.lost.fetch_add(left, Ordering::Relaxed);
    }
}
