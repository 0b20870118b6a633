//! Pure, incremental translation of Gateway API objects into native objects and statuses.

pub mod config;
pub mod diagnostic;

pub mod certificate;
pub mod condition;
pub mod grant;
pub mod names;
pub mod selector;

mod address;
mod class;
mod layout;
mod options;

mod gateway;

mod backend;
mod clash;
mod filter;
mod ingress;
mod policy;
mod route;

mod engine;
mod output;
mod plan;
mod plans;
mod read;
mod view;

pub use backend::plan_backend;
pub use config::{BundleVersions, Mode, TranslateConfig};
pub use diagnostic::{Diagnostic, Severity};
pub use engine::{RejectedRules, Translator};
pub use ingress::{ANNOTATIONS, Annotation, Fate, PREFIX as ANNOTATION_PREFIX};
pub use output::{Delta, DesiredStatus, GatewayFleet, Generations, Output};
pub use plan::{
    AllowedNamespaces, BackendKey, BackendPlan, ListenerOwner, ListenerPlan, ParentPlan,
    PolicyPlan, RoutePlan, Traffic,
};
pub use policy::plan_policy;
pub use route::{intersect_hostnames, plan_route};
pub use view::View;
