//! Choices in bulk, against what they must come to.
#![allow(clippy::unwrap_used)]

mod keys;
mod model;
mod outliers;
mod shares;
mod support;
mod zones;
