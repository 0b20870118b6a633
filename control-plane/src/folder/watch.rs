//! Events of the file system, as marks on paths.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use tokio::sync::Notify;

use super::{
    scan::{Visitor, is_hidden, is_manifest},
    settle::{MAX_PENDING, Mark},
};

/// Events that nobody has taken yet. Shared with the watcher's thread.
#[derive(Debug)]
pub(super) struct Inbox {
    root: PathBuf,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

/// What happened, in order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub marks: Vec<(PathBuf, Mark)>,
    /// Whether events were lost.
    pub lost: bool,
}

impl Inbox {
    /// An inbox for events at and below `root`.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Waits until something is there.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes what is there.
    pub fn take(&self) -> Waiting {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut waiting)
    }

    fn put(&self, event: notify::Result<Event>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) if !event.need_rescan() => marks(&self.root, &event, &mut waiting.marks),
            _ => waiting.lost = true,
        }
        // One file that is written without end fills the box as well as many files.
        if waiting.marks.len() > MAX_PENDING {
            waiting.marks.clear();
            waiting.lost = true;
        }
        if waiting.lost || !waiting.marks.is_empty() {
            self.arrived.notify_one();
        }
    }
}

/// Watches exactly the folders that are read, each by itself: hidden ones and the state folder,
/// which are written to all the time, wake nobody.
pub(super) struct Watches {
    watcher: Option<RecommendedWatcher>,
    complete: bool,
}

impl Watches {
    /// No events at all.
    pub fn none() -> Self {
        Self {
            watcher: None,
            complete: false,
        }
    }

    /// Watches that report to `inbox`.
    pub fn new(inbox: Arc<Inbox>) -> Self {
        let watcher = notify::recommended_watcher(move |event| inbox.put(event));
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "no file events: the folder is polled"))
            .ok();
        Self {
            complete: watcher.is_some(),
            watcher,
        }
    }

    /// Whether every folder and link is watched.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// To be called before everything is visited again.
    pub fn begin(&mut self) {
        self.complete = self.watcher.is_some();
    }

    /// Takes note that changes may come without an event.
    pub fn give_up(&mut self) {
        self.complete = false;
    }

    fn watch(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive)
            // What is gone by now needs no watch.
            && path.exists()
        {
            tracing::debug!(%error, path = %path.display(), "cannot be watched");
            self.complete = false;
        }
    }
}

impl Visitor for Watches {
    fn folder(&mut self, path: &Path) {
        self.watch(path);
    }

    fn link(&mut self, path: &Path) {
        // The target may be another file than before.
        if let Some(watcher) = &mut self.watcher {
            let _ = watcher.unwatch(path);
        }
        self.watch(path);
    }
}

/// Reads an event of the system.
fn marks(root: &Path, event: &Event, into: &mut Vec<(PathBuf, Mark)>) {
    let mark = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Mark::Closed,
        EventKind::Access(_) => return,
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {
            // A manifest or folder that got another name: the old name goes when the new one comes.
            // A manifest that gets its name in the end was saved so, and that is complete already.
            if let [from, to] = event.paths.as_slice()
                && (is_visible(from) || !is_manifest(to))
            {
                let visible = event.paths.iter().filter(|path| !is_hidden(path));
                into.extend(visible.map(|path| (path.clone(), Mark::Gone)));
            }
            return;
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Mark::Gone,
        EventKind::Modify(ModifyKind::Metadata(_)) => Mark::Touched,
        EventKind::Modify(ModifyKind::Data(_)) => Mark::Open,
        _ => Mark::New,
    };
    into.extend(
        event
            .paths
            .iter()
            .filter_map(|path| relevant(root, path, mark)),
    );
}

fn is_visible(path: &Path) -> bool {
    is_manifest(path) && !is_hidden(path)
}

/// What an event means for the files that are read.
fn relevant(root: &Path, path: &Path, mark: Mark) -> Option<(PathBuf, Mark)> {
    let of_content = matches!(mark, Mark::Open | Mark::Touched);
    if is_hidden(path) && path != root {
        // ConfigMaps and Secrets in a Pod are links into a hidden folder, which is swapped as a whole.
        let folder = path.parent().filter(|_| !of_content)?;
        return Some((folder.to_owned(), Mark::Links));
    }
    // Anything that comes or goes under another name may be a folder.
    (is_manifest(path) || !of_content).then(|| (path.to_owned(), mark))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, RemoveKind};

    use super::*;

    #[test]
    fn events_are_told_apart_by_what_they_prove() {
        let check = |kind: EventKind, paths: &[&str], expect: &[(&str, Mark)]| {
            let mut event = Event::new(kind);
            event.paths = paths.iter().map(PathBuf::from).collect();
            let mut found = Vec::new();
            marks(Path::new("/.d"), &event, &mut found);
            let expect: Vec<_> = expect
                .iter()
                .map(|(path, mark)| (path.into(), *mark))
                .collect();
            assert_eq!(found, expect, "{event:?}");
        };
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let opened = EventKind::Access(AccessKind::Open(AccessMode::Any));
        check(closed, &["/.d/a.yaml"], &[("/.d/a.yaml", Mark::Closed)]);
        check(written, &["/.d/a.yaml"], &[("/.d/a.yaml", Mark::Open)]);
        check(written, &["/.d/a.txt"], &[]);
        check(written, &["/.d/.a.yaml.swp"], &[]);
        check(opened, &["/.d/a.yaml"], &[]);
        let to = renamed(RenameMode::To);
        check(to, &["/.d/a.yaml"], &[("/.d/a.yaml", Mark::Closed)]);
        check(to, &["/.d/..data"], &[("/.d", Mark::Links)]);
        let both = renamed(RenameMode::Both);
        check(both, &["/.d/.a.tmp", "/.d/a.yaml"], &[]);
        check(both, &["/.d/a.yaml.tmp", "/.d/a.yaml"], &[]);
        check(
            both,
            &["/.d/a.yaml", "/.d/.a.bak"],
            &[("/.d/a.yaml", Mark::Gone)],
        );
        check(
            both,
            &["/.d/x", "/.d/y"],
            &[("/.d/x", Mark::Gone), ("/.d/y", Mark::Gone)],
        );
        check(
            both,
            &["/.d/a.yaml", "/.d/b.yaml"],
            &[("/.d/a.yaml", Mark::Gone), ("/.d/b.yaml", Mark::Gone)],
        );
        let folder = EventKind::Create(CreateKind::Folder);
        check(folder, &["/.d/sub"], &[("/.d/sub", Mark::New)]);
        let removed = EventKind::Remove(RemoveKind::Folder);
        check(removed, &["/.d"], &[("/.d", Mark::Gone)]);
        check(removed, &["/.d/sub"], &[("/.d/sub", Mark::Gone)]);
    }

    #[test]
    fn lost_events_and_floods_ask_for_a_look_at_everything() {
        let inbox = Inbox::new("/d".into());
        inbox.put(Err(notify::Error::generic("x")));
        assert!(inbox.take().lost);
        let event = || Event::new(EventKind::Any).add_path("/.d/a.yaml".into());
        for _ in 0..=MAX_PENDING {
            inbox.put(Ok(event()));
        }
        let waiting = inbox.take();
        assert!(waiting.lost && waiting.marks.is_empty());
    }
}
