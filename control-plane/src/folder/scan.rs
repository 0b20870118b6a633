//! Which manifest files there are below a folder, and whether they changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files that are read; more are left out, and that is told.
pub(super) const MAX_FILES: usize = 10_000;
/// Folders that are entered and watched.
const MAX_FOLDERS: usize = 2_000;
/// Folders within folders.
const MAX_DEPTH: usize = 16;

/// Tells whether a file may have changed without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: (i64, i64),
    /// Bytes.
    pub size: u64,
    inode: u64,
}

impl Stamp {
    /// Whether the file was saved long enough ago for another save to get another time.
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let modified = u64::try_from(self.modified.0).unwrap_or(0);
        now.as_secs() > modified.saturating_add(1)
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.len(),
            inode: metadata.ino(),
        }
    }
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Manifest files by path relative to the root.
    pub files: BTreeMap<String, (PathBuf, Stamp)>,
    /// Limits that were met: what is not read, and why.
    pub cut: BTreeSet<String>,
}

/// Whoever wants to hear of changes. Told before a folder is listed, so that nothing falls between.
pub(super) trait Visitor {
    /// A folder is about to be listed.
    fn folder(&mut self, path: &Path);
    /// A manifest file is a link, whose target may be anywhere.
    fn link(&mut self, path: &Path);
}

/// Nobody.
impl Visitor for () {
    fn folder(&mut self, _: &Path) {}
    fn link(&mut self, _: &Path) {}
}

/// Looks through folders below a root.
pub(super) struct Scanner<'a> {
    root: &'a Path,
    visitor: &'a mut dyn Visitor,
    /// Device and inode of folders that are not entered (again).
    seen: BTreeSet<(u64, u64)>,
    found: Scan,
}

impl<'a> Scanner<'a> {
    /// A scanner below `root` that never enters `without`.
    pub fn new(root: &'a Path, without: Option<&Path>, visitor: &'a mut dyn Visitor) -> Self {
        let without = without.and_then(|path| fs::metadata(path).ok());
        Self {
            root,
            visitor,
            seen: without.iter().map(identity).collect(),
            found: Scan::default(),
        }
    }

    /// Everything at and below `start`, which is the root or below it. Hidden files and folders are
    /// left out; links are followed, each target folder once. Fails when `start` is a folder that
    /// cannot be listed.
    pub fn scan(mut self, start: &Path) -> io::Result<Scan> {
        let metadata = fs::metadata(start)?;
        if metadata.is_file() {
            if !is_manifest(start) {
                let text = "its name does not end in .yaml, .yml or .json";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            self.file(start.to_owned(), &metadata);
            return Ok(self.found);
        }
        let depth = start
            .strip_prefix(self.root)
            .map_or(0, |below| below.iter().count());
        let mut folders = Vec::new();
        if self.seen.insert(identity(&metadata)) {
            folders.push((start.to_path_buf(), depth));
        }
        while let Some((folder, depth)) = folders.pop() {
            self.visitor.folder(&folder);
            match fs::read_dir(&folder) {
                Ok(entries) => self.folder(entries, depth, &mut folders),
                Err(error) if folder == start => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let name = name_of(self.root, &folder);
                    self.found.cut.insert(format!("folder {name}: {error}"));
                }
            }
        }
        Ok(self.found)
    }

    fn folder(&mut self, entries: fs::ReadDir, depth: usize, folders: &mut Vec<(PathBuf, usize)>) {
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            // A link to nothing is nothing.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if metadata.is_file() {
                if is_link && is_manifest(&path) {
                    self.visitor.link(&path);
                }
                self.file(path, &metadata);
            } else if metadata.is_dir() {
                if depth == MAX_DEPTH {
                    let cut = format!("folders more than {MAX_DEPTH} deep are not read");
                    self.found.cut.insert(cut);
                } else if self.seen.len() > MAX_FOLDERS {
                    let cut = format!("more than {MAX_FOLDERS} folders: the rest is not read");
                    self.found.cut.insert(cut);
                } else if self.seen.insert(identity(&metadata)) {
                    folders.push((path, depth + 1));
                }
            }
        }
    }

    fn file(&mut self, path: PathBuf, metadata: &Metadata) {
        if !is_manifest(&path) {
            return;
        }
        if self.found.files.len() == MAX_FILES {
            let cut = format!("more than {MAX_FILES} files: the rest is not read");
            self.found.cut.insert(cut);
            return;
        }
        let name = name_of(self.root, &path);
        self.found.files.insert(name, (path, metadata.into()));
    }
}

/// The links directly in `folder`, hidden ones left out.
pub(super) fn links(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .map(|entry| entry.path())
        .filter(|path| !is_hidden(path))
        .collect()
}

/// A path relative to the root, the way people see it.
pub(super) fn name_of(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    relative.to_string_lossy().into_owned()
}

/// Whether the last part of a path says that it holds manifests.
pub(super) fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
}

/// Whether the last part of a path begins with a dot.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, without: Option<&Path>) -> (Vec<String>, BTreeSet<String>) {
        let scan = Scanner::new(root, without, &mut ()).scan(root).unwrap();
        (scan.files.into_keys().collect(), scan.cut)
    }

    #[test]
    fn hidden_and_excluded_folders_are_not_entered_and_others_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a", ".hidden", "state"] {
            fs::create_dir(root.join(name)).unwrap();
            fs::write(root.join(name).join("x.yaml"), "").unwrap();
        }
        fs::write(root.join("b.json"), "").unwrap();
        fs::write(root.join(".c.yaml"), "").unwrap();
        fs::write(root.join("d.txt"), "").unwrap();
        symlink(root, root.join("loop")).unwrap();
        symlink("nowhere", root.join("dangling.yaml")).unwrap();
        let (found, cut) = names(root, Some(&root.join("state")));
        assert_eq!(found, ["a/x.yaml", "b.json"]);
        assert_eq!(cut, BTreeSet::new());
    }

    #[test]
    fn what_is_too_deep_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let deep: PathBuf = (0..=MAX_DEPTH).map(|n| n.to_string()).collect();
        fs::create_dir_all(folder.path().join(&deep)).unwrap();
        fs::write(folder.path().join(deep).join("x.yaml"), "").unwrap();
        let (found, cut) = names(folder.path(), None);
        assert!(found.is_empty());
        assert_eq!(
            cut.first().unwrap(),
            "folders more than 16 deep are not read"
        );
    }
}
