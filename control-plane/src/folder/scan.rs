//! Which files there are, and whether they changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files of one folder that are looked at; more are named and left out.
pub(super) const MAX_FILES: usize = 10_000;

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
    pub(super) fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let modified = u64::try_from(self.modified.0).unwrap_or(0);
        now.as_secs() > modified.saturating_add(1)
    }
}

/// The manifest files below `folder`, by path relative to it.
pub(super) struct Scan {
    pub files: BTreeMap<String, (PathBuf, Stamp)>,
    /// Whether there were more than [`MAX_FILES`].
    pub cut: bool,
}

/// Looks through `folder`. Hidden files and folders are left out; links are followed, each target
/// folder once.
pub(super) fn scan(folder: &Path) -> io::Result<Scan> {
    let mut scan = Scan {
        files: BTreeMap::new(),
        cut: false,
    };
    let mut seen = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        let entries = match fs::read_dir(&current) {
            Ok(entries) => entries,
            Err(error) if current == folder => return Err(error),
            // Gone since it was listed.
            Err(_) => continue,
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let path = entry.path();
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if metadata.is_dir() {
                if seen.insert((metadata.dev(), metadata.ino())) {
                    folders.push(path);
                }
            } else if is_manifest(&path) {
                let relative = path.strip_prefix(folder).unwrap_or(&path);
                let relative = relative.to_string_lossy().into_owned();
                if scan.files.len() == MAX_FILES {
                    scan.cut = true;
                    continue;
                }
                let stamp = Stamp {
                    modified: (metadata.mtime(), metadata.mtime_nsec()),
                    size: metadata.len(),
                    inode: metadata.ino(),
                };
                scan.files.insert(relative, (path, stamp));
            }
        }
    }
    Ok(scan)
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}
