//! Typed objects, reverse references and change tracking.
