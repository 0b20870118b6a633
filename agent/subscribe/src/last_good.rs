//! The last good snapshot on disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use novaedge_proto::v1;

use crate::{
    format::{self, FormatError, Snapshot},
    upsert::Upsert,
};

/// Settings of a [`LastGood`].
#[derive(Debug, Clone)]
pub struct LastGoodConfig {
    /// The directory; made with mode 0700 when it is not there.
    pub directory: PathBuf,
    /// The largest file. What is larger is neither written nor read. Default 256 MiB.
    pub max_bytes: u64,
    /// The time between two writes. A write that takes long stretches it, so that writing takes no
    /// more than a twentieth of the time. Default 1 s.
    pub min_interval: Duration,
}

impl LastGoodConfig {
    /// The defaults for a directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_bytes: 256 << 20,
            min_interval: Duration::from_secs(1),
        }
    }
}

/// Why the last good snapshot was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    /// The file system refused.
    #[error("{action} {path} failed: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The snapshot is too large.
    #[error("the snapshot has {size} bytes, more than the limit of {limit} (max_bytes)")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is damaged or of another kind.
    #[error("{path} cannot be used and is set aside as *.bad: {source}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
}

/// The last good snapshot in a directory: the file `snapshot`, of mode 0600, because it holds private
/// keys.
#[derive(Debug, Clone)]
pub struct LastGood {
    config: LastGoodConfig,
}

impl LastGood {
    /// The last good snapshot of a directory. Nothing is read or written yet.
    pub fn new(config: LastGoodConfig) -> Self {
        Self { config }
    }

    /// The settings.
    pub fn config(&self) -> &LastGoodConfig {
        &self.config
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.config.directory.join("snapshot")
    }

    /// Reads the snapshot; `None` when there is none. A file that cannot be used is set aside as
    /// `snapshot.bad`. Blocks on the disk.
    pub fn load(&self) -> Result<Option<(v1::Version, Vec<Upsert>)>, LastGoodError> {
        let path = self.path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("opening", &path)(source)),
        };
        let limit = self.config.max_bytes;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed("reading", &path))?;
        let size = bytes.len() as u64;
        if size > limit {
            self.set_aside();
            return Err(LastGoodError::TooLarge { size, limit });
        }
        format::read(&bytes.into()).map(Some).map_err(|source| {
            self.set_aside();
            LastGoodError::Bad { path, source }
        })
    }

    /// Writes the snapshot in one go: a crash leaves the old file or the new one. Blocks on the disk.
    pub fn store(&self, snapshot: &Snapshot) -> Result<(), LastGoodError> {
        let size = snapshot.file_bytes();
        let limit = self.config.max_bytes;
        if size > limit {
            return Err(LastGoodError::TooLarge { size, limit });
        }
        let directory = &self.config.directory;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("making", directory))?;
        let temporary = directory.join("snapshot.tmp");
        // A left-over may have another mode, so it is not written over.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("removing", &temporary)(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed("making", &temporary))?;
        let mut file = BufWriter::with_capacity(1 << 16, file);
        snapshot
            .write(&mut file)
            .and_then(|()| file.flush())
            .and_then(|()| file.get_ref().sync_all())
            .map_err(failed("writing", &temporary))?;
        let path = self.path();
        fs::rename(&temporary, &path).map_err(failed("renaming", &temporary))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("syncing", directory))
    }

    fn set_aside(&self) {
        let path = self.path();
        let bad = self.config.directory.join("snapshot.bad");
        if let Err(error) = fs::rename(&path, &bad) {
            tracing::warn!(path = %path.display(), %error, "a bad snapshot cannot be set aside");
        }
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> LastGoodError + 'a {
    move |source| LastGoodError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use prost::Message as _;

    use super::*;

    fn snapshot(resources: usize) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for n in 0..resources {
            let resource = v1::Resource {
                name: format!("route/{n}"),
                ..v1::Resource::default()
            };
            let bytes = resource.encode_to_vec().into();
            snapshot.resources.insert(resource.name, bytes);
        }
        snapshot
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_stored_is_loaded_and_nobody_else_reads_it() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("state/agent");
        let last_good = LastGood::new(LastGoodConfig::new(&directory));
        assert!(last_good.load().unwrap().is_none());
        last_good.store(&snapshot(2)).unwrap();
        fs::write(directory.join("snapshot.tmp"), b"left over").unwrap();
        last_good.store(&snapshot(3)).unwrap();
        assert_eq!(last_good.load().unwrap().unwrap().1.len(), 3);
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&last_good.path()), 0o600);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_bad_file_is_set_aside() {
        let root = tempfile::tempdir().unwrap();
        let last_good = LastGood::new(LastGoodConfig::new(root.path()));
        fs::write(last_good.path(), b"NOVASNAPjunk").unwrap();
        let error = last_good.load().unwrap_err();
        assert!(matches!(error, LastGoodError::Bad { .. }));
        assert!(last_good.load().unwrap().is_none());
        assert!(root.path().join("snapshot.bad").exists());
        last_good.store(&snapshot(1)).unwrap();
        assert_eq!(last_good.load().unwrap().unwrap().1.len(), 1);
    }

    #[test]
    fn a_large_snapshot_is_neither_written_nor_read() {
        let root = tempfile::tempdir().unwrap();
        let mut config = LastGoodConfig::new(root.path());
        let generous = LastGood::new(config.clone());
        generous.store(&snapshot(100)).unwrap();
        config.max_bytes = 200;
        let strict = LastGood::new(config);
        let error = strict.store(&snapshot(100)).unwrap_err();
        assert!(error.to_string().contains("limit of 200 (max_bytes)"));
        assert!(matches!(strict.load(), Err(LastGoodError::TooLarge { .. })));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        let last_good = LastGood::new(LastGoodConfig::new(file.join("state")));
        let error = last_good.store(&snapshot(1)).unwrap_err();
        assert!(error.to_string().contains("file/state"), "{error}");
    }
}
