//! The thread's end: writes what comes, and opens the file anew where somebody has moved it away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::settings::{Settings, Target};
use crate::sink::{Lines, Piece};

/// Pieces that wait for the writer: 2 MiB.
const WAITING: usize = 64;

/// How often it is looked whether the file is still where it was.
const LOOK: Duration = Duration::from_secs(1);

/// The file of the access log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("can't open the access log {path}; its folder must be there, and be writable")]
pub struct OpenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Asks for the file to be opened anew.
#[derive(Clone, Debug, Default)]
pub struct Reopen(Arc<AtomicBool>);

impl Reopen {
    /// Before the next line, or within a second.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes lines. It has a thread of its own, because files and pipes may make it wait.
#[derive(Debug)]
pub struct Writer {
    output: Output,
    pieces: Receiver<Piece>,
    reopen: Reopen,
    lost: Arc<AtomicU64>,
    looked: Instant,
    /// The last write failed, and it has been told.
    fails: bool,
}

#[derive(Debug)]
enum Output {
    Stdout,
    File { path: PathBuf, file: File },
}

/// Opens the log: where lines come from, and who writes them.
pub fn open(settings: Settings, reopen: Reopen) -> Result<(Lines, Writer), OpenError> {
    let settings = settings.complete();
    let output = match &settings.target {
        Target::Stdout => Output::Stdout,
        Target::File(path) => Output::File {
            file: open_file(path).map_err(|source| OpenError {
                path: path.clone(),
                source,
            })?,
            path: path.clone(),
        },
    };
    let (sender, pieces) = sync_channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    let lines = Lines {
        settings: Arc::new(settings),
        sender,
        lost: Arc::clone(&lost),
    };
    let writer = Writer {
        output,
        pieces,
        reopen,
        lost,
        looked: Instant::now(),
        fails: false,
    };
    Ok((lines, writer))
}

/// Others may not read who asked for what.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

impl Writer {
    /// Writes until there are no [`Lines`] and no sinks any more.
    pub fn run(mut self) {
        loop {
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => {
                    self.look();
                    self.write(&piece);
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, piece: &Piece) {
        let written = match &mut self.output {
            Output::Stdout => io::stdout().lock().write_all(&piece.bytes),
            Output::File { file, .. } => file.write_all(&piece.bytes),
        };
        if let Err(error) = written {
            self.lost.fetch_add(piece.lines, Ordering::Relaxed);
            if !self.fails {
                tracing::error!(%error, "the access log can't be written");
            }
            self.fails = true;
        } else {
            self.fails = false;
        }
    }

    /// Opens the file anew if somebody asked for it, or if it is not where it was.
    fn look(&mut self) {
        let asked = self.reopen.0.swap(false, Ordering::Relaxed);
        if !asked && self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let Output::File { path, file } = &mut self.output else {
            return;
        };
        if !asked && is_at(path, file) {
            return;
        }
        match open_file(path) {
            Ok(fresh) => *file = fresh,
            // The lines go where they went before.
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the access log can't be opened anew");
            }
        }
    }
}

fn is_at(path: &Path, file: &File) -> bool {
    let same = |there: std::fs::Metadata| {
        let open = file.metadata().ok()?;
        Some((there.dev(), there.ino()) == (open.dev(), open.ino()))
    };
    std::fs::metadata(path).ok().and_then(same).unwrap_or(false)
}

#[cfg(test)]
mod tests;
