//! The folder of statuses: which file holds what.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use novaedge_api::meta::{Kind, ObjectId, Scope};
use novaedge_translate::names::shorten;
use serde_json::Value;

/// Longest name of a file without its ending, in bytes: file systems take 255.
const MAX_NAME: usize = 250;
/// Largest file that is read back, in bytes.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Files that are read back.
const MAX_FILES: usize = 100_000;
/// A file in the making. There is one writer, so one name will do.
const TEMPORARY: &str = ".tmp";

/// `status/` in the state folder.
#[derive(Debug)]
pub(super) struct StatusFolder {
    root: PathBuf,
}

impl StatusFolder {
    /// Opens the folder, or makes it. Fails when it cannot be written to.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let temporary = root.join(TEMPORARY);
        fs::write(&temporary, "")?;
        fs::remove_file(temporary)?;
        Ok(Self { root })
    }

    /// The statuses that are there. A file that is none of this writer's is removed.
    pub fn read(&self) -> BTreeMap<ObjectId, Value> {
        let mut found = BTreeMap::new();
        for path in self.files().into_iter().take(MAX_FILES) {
            match read(&path) {
                Some((id, status)) if self.path(&id) == path => {
                    found.insert(id, status);
                }
                _ => {
                    if let Err(error) = fs::remove_file(&path) {
                        tracing::warn!(%error, path = %path.display(), "cannot be removed");
                    }
                }
            }
        }
        found
    }

    /// Writes the status of an object.
    pub fn write(&self, id: &ObjectId, object: &Value) -> io::Result<()> {
        self.replace(&self.path(id), object)
    }

    /// Removes the status of an object, and the folders that are empty then.
    pub fn remove(&self, id: &ObjectId) -> io::Result<()> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in path.ancestors().skip(1) {
            // The first one that is not empty ends it.
            if folder == self.root || fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Writes all problems.
    pub fn write_diagnostics(&self, diagnostics: &Value) -> io::Result<()> {
        self.replace(&self.root.join("diagnostics.yaml"), diagnostics)
    }

    /// The file of an object. The store holds valid names only, so none leads out of the folder.
    fn path(&self, id: &ObjectId) -> PathBuf {
        let mut path = self.root.join(id.kind.as_str());
        if id.kind.scope() == Scope::Namespaced {
            path.push(shorten(id.key.namespace.clone(), MAX_NAME));
        }
        path.join(format!("{}.yaml", shorten(id.key.name.clone(), MAX_NAME)))
    }

    /// Replaces a file so that readers see the old or the new text.
    fn replace(&self, path: &Path, value: &Value) -> io::Result<()> {
        let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let temporary = self.root.join(TEMPORARY);
        fs::write(&temporary, text)?;
        fs::rename(&temporary, path)
    }

    /// The files below the folders of kinds.
    fn files(&self) -> Vec<PathBuf> {
        let kinds = Kind::ALL.iter().map(|kind| self.root.join(kind.as_str()));
        let mut folders: Vec<PathBuf> = kinds.collect();
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(folder).into_iter().flatten();
            for entry in entries.filter_map(Result::ok) {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    _ => files.push(entry.path()),
                }
            }
        }
        files
    }
}

/// The object and its status in a file.
fn read(path: &Path) -> Option<(ObjectId, Value)> {
    if fs::metadata(path).ok()?.len() > MAX_BYTES {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let mut object: Value = serde_saphyr::from_str(&text).ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]);
    let kind = Kind::ALL.iter().copied().find(|k| k.as_str() == kind)?;
    let metadata = &object["metadata"];
    let id = ObjectId::new(kind, text(&metadata["namespace"]), text(&metadata["name"]));
    Some((id, object.get_mut("status")?.take()))
}
