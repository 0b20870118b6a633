//! What is compiled, what it reads, and what comes of it.

use std::sync::Arc;

use novaedge_api::meta::{ObjectId, ObjectKey};
use novaedge_api::native::{ProxyProtocol, ProxyTlsMode};
use novaedge_proto::v1::resource::Body;
use novaedge_translate::Diagnostic;

/// A piece of work whose result is a pure function of what it reads. The order of the variants is the
/// order of the work: a unit reads only units of variants before its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Unit {
    /// A Secret's certificate. Exists while somebody reads it.
    Certificate(ObjectKey),
    /// Authorities in a ConfigMap, Secret or ClusterTrustBundle. Exists while somebody reads it.
    Trust(ObjectId),
    /// A ProxyGateway and its listeners.
    Gateway(ObjectKey),
    /// A ProxyBackend without its endpoints.
    Backend(ObjectKey),
    /// Endpoints of a ProxyBackend.
    Endpoints(ObjectKey),
    /// A ProxyRoute and its rules.
    Route(ObjectKey),
}

/// Something that a unit reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Input {
    /// An object, there or not.
    Object(ObjectId),
    /// Which EndpointSlices a Service has.
    Slices(ObjectKey),
    /// The ReferenceGrants of a namespace.
    Grants(String),
    /// The local ports of a ProxyGateway.
    Ports(ObjectKey),
    /// The outcome of a unit.
    Unit(Unit),
}

/// The result of a unit.
#[derive(Debug, Default)]
pub(crate) struct Computed {
    /// Resources by name.
    pub resources: Vec<(String, Body)>,
    /// What other units see.
    pub outcome: Outcome,
    /// What is wrong with the unit's object.
    pub diagnostics: Vec<Diagnostic>,
}

/// What other units see of a unit. Equal outcomes stop the recomputation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Outcome {
    /// There is nothing.
    #[default]
    Absent,
    /// A certificate or trust bundle that can be used.
    Usable,
    /// One that cannot, and why.
    Unusable(Arc<str>),
    /// The listeners that routes may be bound to.
    Listeners(Arc<[Attachable]>),
    /// A backend that routes may name.
    Backend(Carries),
}

/// What the connections of a backend may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Whatever its routes bring.
    Anything,
    /// One client's bytes each: TCP, or TLS as it comes.
    Streams,
}

/// A compiled listener, as routes see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attachable {
    /// `ProxyListener.name`.
    pub name: String,
    /// Name of its resource.
    pub resource: String,
    pub protocol: ProxyProtocol,
    pub tls_mode: ProxyTlsMode,
    /// Lower case. Empty: any.
    pub hostname: String,
}
