//! The tables as a whole.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    backend::{Backend, Certificate, TrustBundle},
    shard_map::ShardMap,
    socket::{Socket, SocketKey},
};

/// Everything that a snapshot says, ready to serve. Immutable; the next one shares all that did not change, so what a
/// step touched shows by [`Arc::ptr_eq`].
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// What to listen on.
    pub sockets: BTreeMap<SocketKey, Arc<Socket>>,
    /// By resource name.
    pub backends: Arc<ShardMap<Arc<Backend>>>,
    /// By resource name.
    pub certificates: Arc<BTreeMap<Arc<str>, Arc<Certificate>>>,
    /// By resource name.
    pub trust_bundles: Arc<BTreeMap<Arc<str>, Arc<TrustBundle>>>,
}
