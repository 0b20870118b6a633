//! Typed objects, reverse references and change tracking.
//!
//! The store is a value: it does no IO, and the same changes in any order that ends in the same objects give the same
//! store. Objects are shared (`Arc`), tables are sorted, and every index is kept with the change that touches it.

mod change;
mod reference;
mod store;

pub use change::{Applied, Change, Touch};
pub use novaedge_api::meta::Typed as Stored;
pub use reference::references;
pub use store::Store;
