//! Objects from the files of a folder.
//!
//! A file that cannot be parsed changes nothing: its last good objects stay. An object that cannot be
//! decoded keeps its last good version, and the others in its file apply.

mod contents;
mod locate;
mod scan;
mod text;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::Watcher as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::source::{Batch, Source, SourceError};

use contents::Contents;

/// Saves come as several events; this long after the first of them the folder is read.
const SETTLE: Duration = Duration::from_millis(3);
/// How often the folder is read when the system sends no events.
const POLL: Duration = Duration::from_secs(1);

/// Whether files are read again when they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Once, at the start.
    No,
    /// Whenever something changes.
    Yes,
}

/// The `*.yaml`, `*.yml` and `*.json` files of a folder and its subfolders.
#[derive(Debug)]
pub struct FolderSource {
    folder: PathBuf,
    watch: Watch,
}

impl FolderSource {
    /// A source over `folder`.
    pub fn new(folder: impl Into<PathBuf>, watch: Watch) -> Self {
        Self {
            folder: folder.into(),
            watch,
        }
    }

    /// Everything that is in the folder now.
    pub fn read(folder: &Path) -> Result<Batch, SourceError> {
        Contents::new(folder).refresh()
    }
}

impl Source for FolderSource {
    async fn run(
        self,
        batches: mpsc::Sender<Batch>,
        shutdown: CancellationToken,
    ) -> Result<(), SourceError> {
        // One event is enough to know that something changed: the folder is read as a whole.
        let (wake, mut woken) = mpsc::channel(1);
        let watcher = match self.watch {
            Watch::Yes => watcher(&self.folder, wake),
            Watch::No => None,
        };
        let mut contents = Contents::new(&self.folder);
        let mut first = true;
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let batch = contents.refresh();
                (contents, batch)
            });
            let (back, batch) = read.await.map_err(|_| SourceError::Reader)?;
            contents = back;
            match batch {
                Ok(batch) if first || !batch.is_empty() => {
                    first = false;
                    if batches.send(batch).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(_) => {}
                Err(error) if first => return Err(error),
                Err(error) => tracing::warn!(%error, "the last good objects stay in force"),
            }
            if self.watch == Watch::No {
                shutdown.cancelled().await;
                return Ok(());
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                event = woken.recv(), if watcher.is_some() => {
                    if event.is_none() {
                        return Ok(());
                    }
                    tokio::time::sleep(SETTLE).await;
                    // What came meanwhile is read now.
                    let _ = woken.try_recv();
                }
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}

/// Watches `folder`; without events of the system the folder is polled.
fn watcher(folder: &Path, wake: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full channel means that a wake-up is on its way.
            let _ = wake.try_send(());
        }
    };
    let watching = notify::recommended_watcher(handler).and_then(|mut watcher| {
        watcher.watch(folder, notify::RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| tracing::warn!(%error, "no file events: the folder is polled"))
        .ok()
}
