//! Objects from the files of a folder.
//!
//! A file that cannot be parsed changes nothing: its last good objects stay. An object that cannot be
//! decoded keeps its last good version, and the others in its file apply. A save is read when it is
//! complete: when its writer closes the file or renames it into place, or when it has come to rest.

mod contents;
mod file;
mod locate;
mod places;
mod reader;
mod scan;
mod settle;
mod text;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::source::{Batch, Source, SourceError};

pub use self::places::Places;

use self::{
    reader::{Looked, Reader},
    settle::{Mark, Settling},
    watch::{Inbox, Watches},
};

/// How often everything is looked at although each change comes as an event: file systems over a
/// network tell nothing of the changes that others make.
const SURVEY: Duration = Duration::from_secs(30);
/// The same when there are no events, or not for all folders: the system limits how many are watched.
const BLIND_SURVEY: Duration = Duration::from_secs(1);

/// Whether files are read again when they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Once, at the start.
    No,
    /// Whenever something changes.
    Yes,
}

/// The `*.yaml`, `*.yml` and `*.json` files of a folder and its subfolders, hidden ones left out.
///
/// At most 10,000 files of 8 MiB each and 256 MiB and 100,000 objects together, in at most 2,000
/// folders that are at most 16 deep; what is left out is told as a problem.
#[derive(Debug)]
pub struct FolderSource {
    folder: PathBuf,
    without: Option<PathBuf>,
    watch: Watch,
}

impl FolderSource {
    /// A source over `folder`.
    pub fn new(folder: impl Into<PathBuf>, watch: Watch) -> Self {
        Self {
            folder: folder.into(),
            without: None,
            watch,
        }
    }

    /// Never enters `folder`, which is written to by the system itself.
    #[must_use]
    pub fn without(mut self, folder: impl Into<PathBuf>) -> Self {
        self.without = Some(folder.into());
        self
    }

    /// Everything that is in a folder now, or in a single file.
    pub fn read(path: &Path) -> Result<Batch, SourceError> {
        Self::read_with_places(path).map(|(batch, _)| batch)
    }

    /// The same, and where it stands.
    pub fn read_with_places(path: &Path) -> Result<(Batch, Places), SourceError> {
        let start = absolute(path);
        let root = match start.parent() {
            Some(parent) if start.is_file() => parent.to_owned(),
            _ => start.clone(),
        };
        let mut reader = Reader::new(root, None, Watches::none());
        let batch = reader.first(&start).map_err(|source| SourceError::Folder {
            folder: path.to_owned(),
            source,
        })?;
        Ok((batch, reader.places()))
    }
}

impl Source for FolderSource {
    async fn run(
        self,
        batches: mpsc::Sender<Batch>,
        shutdown: CancellationToken,
    ) -> Result<(), SourceError> {
        let root = absolute(&self.folder);
        let inbox = Arc::new(Inbox::new(root.clone()));
        let watches = match self.watch {
            Watch::Yes => Watches::new(Arc::clone(&inbox)),
            Watch::No => Watches::none(),
        };
        let reader = Reader::new(root, self.without, watches);
        let (reader, first) = blocking(reader, Reader::first_of_all).await?;
        let first = first.map_err(|source| SourceError::Folder {
            folder: self.folder.clone(),
            source,
        })?;
        if batches.send(first).await.is_err() {
            return Ok(());
        }
        if self.watch == Watch::No {
            shutdown.cancelled().await;
            return Ok(());
        }
        let following = Following {
            inbox,
            batches,
            settling: Settling::default(),
            survey: Instant::now() + interval(&reader),
        };
        following.run(reader, shutdown).await
    }
}

/// The rest of a source's life, after everything was read once.
struct Following {
    inbox: Arc<Inbox>,
    batches: mpsc::Sender<Batch>,
    settling: Settling,
    /// When everything is looked at next.
    survey: Instant,
}

impl Following {
    async fn run(
        mut self,
        mut reader: Reader,
        shutdown: CancellationToken,
    ) -> Result<(), SourceError> {
        loop {
            let due = self.settling.next().map(Instant::from_std);
            let due = due.map_or(self.survey, |due| due.min(self.survey));
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.batches.closed() => return Ok(()),
                () = self.inbox.arrived() => {}
                () = tokio::time::sleep_until(due) => {}
            }
            self.hear();
            if Instant::now() >= self.survey || self.settling.take_everything() {
                reader = self.survey(reader).await?;
            }
            let due = self.settling.due(Instant::now().into_std());
            if due.is_empty() {
                continue;
            }
            let (back, looked) = blocking(reader, |reader| reader.look(due)).await?;
            reader = self.take(back, looked).await?;
        }
    }

    /// Takes in the events that came.
    fn hear(&mut self) {
        let waiting = self.inbox.take();
        if waiting.lost {
            tracing::warn!("file events were lost: the whole folder is looked at");
            self.settling.note_everything();
        }
        self.note(waiting.marks);
    }

    fn note(&mut self, marks: Vec<(PathBuf, Mark)>) {
        let now = Instant::now().into_std();
        for (path, mark) in marks {
            self.settling.note(path, mark, now);
        }
    }

    async fn survey(&mut self, reader: Reader) -> Result<Reader, SourceError> {
        let (reader, marks) = blocking(reader, Reader::survey).await?;
        self.survey = Instant::now() + interval(&reader);
        self.note(marks);
        // Tells of limits that the folder has met or left.
        self.give(reader, Vec::new()).await
    }

    /// Gives on what was read, unless it changed again meanwhile.
    async fn take(&mut self, reader: Reader, looked: Looked) -> Result<Reader, SourceError> {
        self.note(looked.again);
        self.hear();
        self.survey = self.survey.min(Instant::now() + interval(&reader));
        let loaded = looked.loaded.into_iter();
        let loaded = loaded.filter(|(path, _)| !self.settling.waits(path));
        let loaded = loaded.map(|(_, loaded)| loaded).collect();
        self.give(reader, loaded).await
    }

    async fn give(
        &self,
        reader: Reader,
        loaded: Vec<contents::Loaded>,
    ) -> Result<Reader, SourceError> {
        let (reader, batch) = blocking(reader, |reader| reader.apply(loaded)).await?;
        if !batch.is_empty() {
            // Nobody listens any more: the loop sees that too.
            let _ = self.batches.send(batch).await;
        }
        Ok(reader)
    }
}

fn interval(reader: &Reader) -> Duration {
    if reader.is_watched() {
        SURVEY
    } else {
        BLIND_SURVEY
    }
}

/// Works on files off the runtime.
async fn blocking<T: Send + 'static>(
    mut reader: Reader,
    work: impl FnOnce(&mut Reader) -> T + Send + 'static,
) -> Result<(Reader, T), SourceError> {
    tokio::task::spawn_blocking(move || {
        let result = work(&mut reader);
        (reader, result)
    })
    .await
    .map_err(|_| SourceError::Reader)
}

/// The form in which events name paths.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}
