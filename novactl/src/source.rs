//! Where objects with their statuses come from.

mod cluster;
mod folder;
mod ours;

use std::path::{Path, PathBuf};

use novaedge_api::meta::{Kind, ObjectKey};

pub use cluster::ClusterSource;
pub use folder::{FolderSource, translated};

use crate::{
    cluster::ClusterError,
    object::{Inventory, JUDGED_KINDS},
    place::Standalone,
};

/// A source of objects with statuses.
#[derive(Clone, Debug)]
pub enum Source {
    /// A folder that `novaedge run` serves, and its state folder.
    Folder(FolderSource),
    /// The API server of a cluster.
    Cluster(ClusterSource),
}

/// What is wanted of a source. One that has all at hand may give more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// These kinds.
    pub kinds: Vec<Kind>,
    /// Of which namespaces.
    pub reach: Reach,
    /// What of it.
    pub part: Share,
}

/// Of which namespaces objects are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All.
    Everywhere,
    /// This one.
    Namespace(String),
    /// All, or this one where a right for all is lacking.
    EverywhereOr(String),
}

/// Which of the objects are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// All, as they are.
    All,
    /// What NovaEdge serves, with what NovaEdge says of it.
    Ours,
    /// All, with the certificates of this Gateway and its ListenerSets.
    Gateway(ObjectKey),
}

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nobody said where to look.
    #[error(
        "no folder to look at: name the folder that 'novaedge run' serves with -f DIR, or its state folder with --state-dir DIR, or a cluster with --kubeconfig FILE"
    )]
    NotNamed,
    /// Nobody said which manifests.
    #[error("no manifests to look at: name a folder or a file with -f")]
    NoManifests,
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
    /// The cluster cannot be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Wanted {
    /// All that a source knows of the kinds that NovaEdge judges.
    pub fn everything(part: Share) -> Self {
        Self {
            kinds: JUDGED_KINDS.to_vec(),
            reach: Reach::Everywhere,
            part,
        }
    }
}

impl Source {
    /// The source that `-f` and `--state-dir` name; without them the current folder, when it is served.
    pub fn of_standalone(place: &Standalone) -> Result<Self, SourceError> {
        Self::choose(place.folder.as_deref(), place.state_dir.as_deref())
    }

    /// The same, from both flags.
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

    /// What is wanted of all that the source knows now.
    pub async fn load(&self, wanted: &Wanted) -> Result<Inventory, SourceError> {
        match self {
            Self::Folder(folder) => folder.load(),
            Self::Cluster(cluster) => Ok(cluster.load(wanted).await?),
        }
    }

    /// The namespace of names that come without one.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Folder(_) => "default",
            Self::Cluster(source) => &source.cluster().namespace,
        }
    }
}

/// The state folder that `novaedge run DIR` makes in DIR by itself.
pub const STATE_DIR: &str = ".novaedge";
