//! What the agent applies.

use novaedge_proto::v1;

use crate::upsert::Upsert;

/// Where a step comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The last good snapshot on disk.
    Disk,
    /// The control plane.
    Stream,
}

/// A whole step from the snapshot held to `version`, over all kinds at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The snapshot that it leads to.
    pub version: v1::Version,
    /// Resources that are new or have changed, each name once.
    pub upserts: Vec<Upsert>,
    /// Names of resources that are gone. One may never have been in force, when it was refused.
    pub removed: Vec<String>,
    /// Whether `upserts` is the whole snapshot: what is held besides is gone.
    pub full: bool,
    /// Where it comes from.
    pub origin: Origin,
}

/// Puts steps in force.
pub trait Applier: Send {
    /// Puts a step in force as a whole, but for resources that cannot be used: for each of these the
    /// last good one stays, if there was one, and it is returned with its name, version, and an error
    /// for people that says what is wrong and what to do.
    ///
    /// The next step is not received before this returns. It runs to its end also in a shutdown.
    ///
    /// Resources that the step did not bring may be among them: they are refused from now on, too.
    fn apply(&mut self, step: Step) -> impl Future<Output = Vec<v1::RejectedResource>> + Send;

    /// Works on what was refused for a reason outside of the snapshot, and resolves when something of
    /// it has come into force. It must be possible to drop the future at any time.
    fn recover(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}
