//! How short of memory the process is: it sheds load before the kernel ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How short of memory the process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is enough.
    #[default]
    None,
    /// No more connections are taken, and idle ones of clients are closed.
    High,
    /// Requests are refused, too.
    Critical,
}

/// The level now: set by the one who measures, read by all workers.
#[derive(Clone, Debug, Default)]
pub struct Pressure(Arc<AtomicU8>);

impl Pressure {
    /// Sets the level.
    pub fn set(&self, level: Level) {
        self.0.store(level as u8, Ordering::Relaxed);
    }

    /// The level: one atomic load.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.0.load(Ordering::Relaxed) {
            0 => Level::None,
            1 => Level::High,
            _ => Level::Critical,
        }
    }
}
