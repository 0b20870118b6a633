//! Pure routing tables of the agent.
//!
//! A [`TablesBuilder`] turns the resources of a snapshot, step by step, into [`Tables`]: what to listen on, which rule a
//! request or connection belongs to, what the rule's filters do, and which backend comes next. Nothing here does IO, reads
//! a clock or takes a lock; a match allocates nothing.
//!
//! Modules, in reading order: [`tables`] and [`socket`] (what there is), [`listener`] (routes of a listener), [`network`]
//! (whom it trusts), [`host`] and [`request`] (what a request is matched by), [`rule`], [`filters`], [`weighted`], [`backend`],
//! [`balancing`], [`health_check`] and [`limits`] (what a rule says),
//! [`builder`] (how tables are made), [`client_hello`] (what TLS says before it starts), [`proxy_protocol`] (what a proxy
//! says before that).

pub mod backend;
pub mod balancing;
mod bucket;
pub mod builder;
pub mod client_hello;
mod conditions;
pub mod error;
pub mod filters;
pub mod health_check;
pub mod host;
mod host_index;
mod host_table;
mod l4_table;
pub mod limits;
pub mod listener;
pub mod network;
pub mod proxy_protocol;
mod query;
mod rank;
pub mod request;
mod route_id;
pub mod rule;
pub mod shard_map;
pub mod socket;
pub mod tables;
pub mod weighted;

pub use self::{
    backend::{
        Backend, BackendProtocol, BackendTls, Certificate, Endpoint, Host, SubjectAltName,
        TrustBundle,
    },
    balancing::{Balancing, HashKey, LoadBalancing, OutlierDetection, SuccessRate, ZonePreference},
    builder::TablesBuilder,
    error::Fault,
    filters::{
        Cors, CorsDecision, FilterSet, Filters, HeaderOps, Mirror, PathModifier, Redirect,
        RedirectContext, Rewrite, Scheme, merge_cors_headers,
    },
    health_check::{HealthCheck, HttpProbe, Probe},
    host::HostPattern,
    limits::{Limits, RetryBudget},
    listener::{
        AcceptProxyProtocol, ClientValidation, ClientValidationMode, HttpListener, ListenerInfo,
        Matched, ProxyProtocolMode, TlsListener, TlsMode,
    },
    network::Network,
    request::RequestHead,
    route_id::RouteId,
    rule::{HttpRule, Invalid, L4Rule, Retry, RouteKind, SessionCarrier, SessionPersistence},
    shard_map::ShardMap,
    socket::{
        Authority, HttpSocket, L4Socket, Socket, SocketKey, SocketNames, TlsSocket, TlsTarget,
        Transport,
    },
    tables::Tables,
    weighted::{BackendChoice, Target, WeightedBackends},
};
