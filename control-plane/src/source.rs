//! Where objects come from.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use novaedge_store::Change;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// Changes that belong together.
#[derive(Debug, Default)]
pub struct Batch {
    /// Objects that came, changed or went.
    pub changes: Vec<Change>,
    /// What the source could not read, by place (a file), with all that is wrong there now. A place
    /// that is not named is as before.
    pub problems: BTreeMap<String, Vec<Problem>>,
    /// The bundle versions of the Gateway API's CRDs; absent when they are as before, or there are no CRDs.
    pub bundles: Option<BTreeSet<String>>,
}

impl Batch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.problems.is_empty() && self.bundles.is_none()
    }

    /// Adds a later batch.
    pub fn merge(&mut self, later: Self) {
        self.changes.extend(later.changes);
        self.problems.extend(later.problems);
        self.bundles = later.bundles.or(self.bundles.take());
    }
}

/// A source of objects.
pub trait Source: Send + 'static {
    /// Sends everything there is in the first batch, even when that is nothing, then changes. Returns
    /// when there is nothing more to come, when nobody listens, or soon after `shutdown`.
    fn run(
        self,
        batches: mpsc::Sender<Batch>,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// Why a source ended.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder cannot be read at all.
    #[error("folder {folder} cannot be read")]
    Folder {
        /// The folder.
        folder: std::path::PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A thread that reads files died.
    #[error("a file reader panicked")]
    Reader,
}
