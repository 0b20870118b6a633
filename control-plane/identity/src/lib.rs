//! Who is who on the stream between control planes and agents.
//!
//! The leader makes authorities and keeps them in a Secret ([`Keeper`]); each replica issues its own
//! certificate from them, in memory. Or certificates come from files ([`FileKeeper`]). Agents prove
//! themselves by tokens or certificates ([`Verifier`]). Pure parts (no IO, no clock): [`rotation`],
//! [`accounts`].

pub mod accounts;
pub mod rotation;

mod authority;
mod error;
mod leaf;
mod material;

mod files;
mod keeper;

mod cache;
mod review;
mod verifier;

pub use accounts::{Accounts, AgentAccount, AgentAccountError};
pub use authority::{Authorities, Authority};
pub use error::IdentityError;
pub use files::{FileKeeper, Files};
pub use keeper::{Keeper, KeeperConfig};
pub use leaf::Names;
pub use material::{ClientSettings, Material, OwnAuthorities};
pub use review::{KubeReview, Review, ReviewError, Reviewed};
pub use rotation::Rotation;
pub use verifier::Verifier;
