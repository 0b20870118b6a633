//! Typed objects, reverse references, change tracking, and who read what.
//!
//! The store is a value: it does no IO, and the same changes in any order that ends in the same objects give the same
//! store. Objects are shared (`Arc`), tables are sorted, and every index is kept with the change that touches it.

mod change;
mod reads;
mod reference;
mod store;

pub use change::{Applied, Change, Touch};
pub use novaedge_api::meta::Typed as Stored;
pub use reads::{Load, Reads};
pub use reference::references;
pub use store::Store;
