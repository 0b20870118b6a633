//! Where objects with their statuses come from.

mod folder;

use std::path::{Path, PathBuf};

pub use folder::{FolderSource, translated};

use crate::object::Inventory;

/// A source of objects with statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder that `novaedge run` serves, and its state folder.
    Folder(FolderSource),
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nobody said where to look.
    #[error(
        "no folder to look at: name the folder that 'novaedge run' serves with -f DIR, or its state folder with --state-dir DIR"
    )]
    NotNamed,
    /// The folder of manifests cannot be read.
    #[error(
        "{folder} cannot be read ({reason}): name the folder that 'novaedge run' serves with -f DIR"
    )]
    Manifests {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// There are no statuses.
    #[error(
        "no statuses in {folder}: start 'novaedge run DIR', or name its state folder with --state-dir DIR"
    )]
    NoStatuses {
        /// Where they were looked for.
        folder: PathBuf,
    },
    /// A status file cannot be read.
    #[error("status file {file} cannot be read: {reason}")]
    Status {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Source {
    /// The source that `-f` and `--state-dir` name; without them the current folder, when it is served.
    pub fn choose(manifests: Option<&Path>, state: Option<&Path>) -> Result<Self, SourceError> {
        let folder = match (manifests, state) {
            (Some(manifests), Some(state)) => FolderSource::new(Some(manifests), state),
            (Some(manifests), None) => {
                FolderSource::new(Some(manifests), &manifests.join(STATE_DIR))
            }
            (None, Some(state)) => FolderSource::new(None, state),
            (None, None) if Path::new(STATE_DIR).is_dir() => {
                FolderSource::new(Some(Path::new(".")), Path::new(STATE_DIR))
            }
            (None, None) => return Err(SourceError::NotNamed),
        };
        Ok(Self::Folder(folder))
    }

    /// Everything that the source knows now.
    pub fn load(&self) -> Result<Inventory, SourceError> {
        match self {
            Self::Folder(folder) => folder.load(),
        }
    }
}

/// The state folder that `novaedge run DIR` makes in DIR by itself.
pub const STATE_DIR: &str = ".novaedge";
