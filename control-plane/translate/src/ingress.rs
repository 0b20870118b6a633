//! Ingresses: translated into the same native objects as the Gateway API.
//!
//! All Ingresses of a class share one ProxyGateway, its entrance: hosts and paths of different Ingresses meet on one
//! address, and the older Ingress wins where two claim the same. Each Ingress has one ProxyRoute on it.

mod annotation;
mod canary;
mod claim;
mod class;
mod entrance;
mod entry;
pub(crate) mod index;
mod path;
mod route;
mod rules;
mod settings;
mod status;
mod tls;
mod value;

pub use annotation::{ANNOTATIONS, Annotation, Fate, PREFIX};
pub(crate) use claim::{CanaryClaim, IngressClaims, PathClaim, TlsClaim, plan_claims};
pub(crate) use class::{IngressClassPlan, plan_ingress_class};
pub(crate) use entrance::{Entrance, plan_entrance, plan_ports};
pub(crate) use entry::Place;
pub(crate) use index::{Crowd, Crowds};
pub(crate) use route::plan_ingress;
pub(crate) use settings::{Settings, Speaks};
pub(crate) use status::ingress_status;
