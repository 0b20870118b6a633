//! Looks at the files of a folder, and takes in what they hold.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    contents::{Contents, Loaded},
    file::{Found, read},
    places::Places,
    scan::{Scan, Scanner, Stamp, is_manifest, links, name_of},
    settle::Mark,
    watch::Watches,
};
use crate::source::Batch;

/// How often a file that is being written is read at the start.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// A folder that is read: everything that touches files.
pub(super) struct Reader {
    root: PathBuf,
    without: Option<PathBuf>,
    watches: Watches,
    contents: Contents,
}

/// What a look came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Files that were read, with the path that an event about them would name.
    pub loaded: Vec<(PathBuf, Loaded)>,
    /// What has to be looked at again, because it may be the middle of a save.
    pub again: Vec<(PathBuf, Mark)>,
}

impl Reader {
    /// A reader of `root` that never enters `without`. Nothing is read yet.
    pub fn new(root: PathBuf, without: Option<PathBuf>, watches: Watches) -> Self {
        Self {
            root,
            without,
            watches,
            contents: Contents::default(),
        }
    }

    /// Whether every change comes as an event.
    pub fn is_watched(&self) -> bool {
        self.watches.is_complete()
    }

    /// Reads everything as it is now.
    pub fn first_of_all(&mut self) -> io::Result<Batch> {
        let root = self.root.clone();
        self.first(&root)
    }

    /// Reads everything at and below a path as it is now.
    pub fn first(&mut self, start: &Path) -> io::Result<Batch> {
        let scan = self.scan_from(start)?;
        let files = scan.files.into_iter();
        let loaded = files.filter_map(|(name, (path, _))| load_now(&name, &path));
        let loaded = loaded.collect();
        Ok(self.apply(loaded))
    }

    /// Where the objects in force stand.
    pub fn places(&self) -> Places {
        Places::new(self.root.clone(), self.contents.lines())
    }

    /// Looks at everything without reading any file: what differs from before is to be looked at.
    pub fn survey(&mut self) -> Vec<(PathBuf, Mark)> {
        match self.scan_from(&self.root.clone()) {
            Ok(scan) => self.differences("", &scan),
            Err(error) => {
                let message = format!("{error}; the last good objects stay in force");
                self.contents.set_folder_problems("Unreadable", [message]);
                self.watches.give_up();
                Vec::new()
            }
        }
    }

    /// Looks at paths that changed.
    pub fn look(&mut self, due: Vec<(PathBuf, Mark)>) -> Looked {
        let mut looked = Looked::default();
        for (path, mark) in due {
            if mark == Mark::Links {
                for link in links(&path) {
                    self.look_at(link, Mark::Touched, &mut looked);
                }
            } else {
                self.look_at(path, mark, &mut looked);
            }
        }
        looked
    }

    /// Takes in what was read.
    pub fn apply(&mut self, loaded: Vec<Loaded>) -> Batch {
        self.contents.apply(loaded)
    }

    /// Scans a root, and takes note of what was left out.
    fn scan_from(&mut self, start: &Path) -> io::Result<Scan> {
        self.watches.begin();
        let scan = self.scan(start)?;
        self.contents
            .set_folder_problems("TooMuch", scan.cut.clone());
        Ok(scan)
    }

    /// Scans at and below a path, and watches what it finds.
    fn scan(&mut self, start: &Path) -> io::Result<Scan> {
        let without = self.without.as_deref();
        Scanner::new(&self.root, without, &mut self.watches).scan(start)
    }

    fn look_at(&mut self, path: PathBuf, mark: Mark, looked: &mut Looked) {
        let name = name_of(&self.root, &path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                if let Ok(scan) = self.scan(&path) {
                    self.look_at_folder(self.differences(&name, &scan), mark, looked);
                }
            }
            // Whoever opens a pipe waits for its other end, perhaps for ever.
            Ok(metadata) if metadata.is_file() && is_manifest(&path) => {
                let stamp = Stamp::from(&metadata);
                self.look_at_file(name, path, stamp, mark, looked);
            }
            Ok(_) => self.look_at_nothing(&name, path, mark, looked),
            Err(error) if is_gone(&error) && path != self.root => {
                self.look_at_nothing(&name, path, mark, looked);
            }
            // A folder that is not there as a whole was unmounted or is being replaced, and nobody
            // meant to delete all that is in it. Surveys wait for its return.
            Err(_) => self.watches.give_up(),
        }
    }

    /// A folder that was moved here is complete, the files of a new one are still being written.
    fn look_at_folder(&mut self, found: Vec<(PathBuf, Mark)>, mark: Mark, looked: &mut Looked) {
        for (path, found) in found {
            match (mark, found) {
                (Mark::Closed | Mark::Gone, Mark::Seen(stamp)) => {
                    let name = name_of(&self.root, &path);
                    self.look_at_file(name, path, stamp, mark, looked);
                }
                _ => looked.again.push((path, found)),
            }
        }
    }

    fn look_at_file(
        &mut self,
        name: String,
        path: PathBuf,
        stamp: Stamp,
        mark: Mark,
        looked: &mut Looked,
    ) {
        match mark {
            Mark::Touched if self.contents.stamp(&name) == Some(stamp) => return,
            // Somebody is still writing, and no event says when that ends.
            Mark::Seen(before) if before != stamp => {
                looked.again.push((path, Mark::Seen(stamp)));
                return;
            }
            _ => {}
        }
        self.watch_link(&path);
        let Some(loaded) = load(name, &path, stamp) else {
            looked.again.push((path, Mark::Seen(stamp)));
            return;
        };
        let emptied =
            matches!(loaded.found, Found::Nothing) && self.contents.has_objects(&loaded.name);
        match mark {
            Mark::New if emptied => looked.again.push((path, Mark::Open)),
            Mark::Closed | Mark::Touched | Mark::Seen(_) if emptied => {
                looked.again.push((path, Mark::Gone));
            }
            _ => looked.loaded.push((path, loaded)),
        }
    }

    /// A path that is gone takes along what was below it, after a while.
    fn look_at_nothing(&self, name: &str, path: PathBuf, mark: Mark, looked: &mut Looked) {
        let mut files = self.contents.below(name).peekable();
        if files.peek().is_none() {
            return;
        }
        if mark != Mark::Gone {
            looked.again.push((path, Mark::Gone));
            return;
        }
        let gone = files.map(|file| (self.root.join(file), gone(file.clone())));
        looked.loaded.extend(gone);
    }

    /// What differs between a scan at and below `name` and what was read before.
    fn differences(&self, name: &str, scan: &Scan) -> Vec<(PathBuf, Mark)> {
        let files = scan.files.iter();
        let changed = files.filter_map(|(name, (path, stamp))| {
            let same = self.contents.stamp(name) == Some(*stamp);
            (!same).then(|| (path.clone(), Mark::Seen(*stamp)))
        });
        let gone = self.contents.below(name);
        let gone = gone.filter(|name| !scan.files.contains_key(*name));
        changed
            .chain(gone.map(|name| (self.root.join(name), Mark::Gone)))
            .collect()
    }

    /// A link may lead to another file than before, which wants a watch of its own.
    fn watch_link(&mut self, path: &Path) {
        use super::scan::Visitor as _;
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
            self.watches.link(path);
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

/// Reads a file; absent when it changed meanwhile.
fn load(name: String, path: &Path, stamp: Stamp) -> Option<Loaded> {
    let found = read(&name, path, stamp)?;
    Some(Loaded {
        name,
        // Two saves within one tick of the file system's clock look the same, so a file that was
        // saved just now is read again when a survey comes by.
        stamp: stamp.is_settled().then_some(stamp),
        found,
    })
}

/// Reads a file as it is, once it holds still for as long as that takes. Absent when it is gone.
fn load_now(name: &str, path: &Path) -> Option<Loaded> {
    for _ in 0..TRIES {
        let stamp = Stamp::from(&fs::metadata(path).ok()?);
        let loaded = load(name.to_owned(), path, stamp);
        if loaded.is_some() {
            return loaded;
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    None
}

fn gone(name: String) -> Loaded {
    Loaded {
        name,
        stamp: None,
        found: Found::Nothing,
    }
}
