//! What a unit of the translation is, and what it may read.

use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use crate::ingress::Place;
use crate::plan::BackendKey;

/// A pure function of what it reads. The order of the variants is the order of work: a unit reads the results of units
/// before it, never of those behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Unit {
    /// A GatewayClass and its status.
    Class(ObjectKey),
    /// An IngressClass.
    IngressClass(ObjectKey),
    /// What an Ingress claims of what all of its class share.
    IngressClaims(ObjectKey),
    /// The ports that the Ingresses of a class claim.
    IngressPorts(ObjectKey),
    /// Which listeners a Gateway and its ListenerSets have, and which of them conflict.
    Layout(ObjectKey),
    /// A Gateway with everything that its listeners refer to.
    Gateway(ObjectKey),
    /// The ProxyGateway of the Ingresses of a class.
    Entrance(ObjectKey),
    /// A route, or an Ingress.
    Route(Kind, ObjectKey),
    /// A port of a Service.
    Backend(BackendKey),
    /// A BackendTLSPolicy.
    Policy(ObjectKey),
    /// Status of a Gateway.
    GatewayStatus(ObjectKey),
    /// Status of a ListenerSet.
    ListenerSetStatus(ObjectKey),
    /// Status of an Ingress.
    IngressStatus(ObjectKey),
}

/// Something that a unit reads. When it changes, the units that read it are computed again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Read {
    /// An object, or that there is none.
    Object(ObjectId),
    /// Whether an object exists, whatever it says.
    Exists(ObjectId),
    /// Which objects of a kind refer to an object.
    Referrers(ObjectId, Kind),
    /// Which ReferenceGrants a namespace has, and what they say.
    Grants(String),
    /// Whether a class is ours.
    Class(ObjectKey),
    /// The layout of a Gateway.
    Layout(ObjectKey),
    /// Who claims a port.
    Port(u16, Transport),
    /// What routes see of a Gateway or a ListenerSet.
    Parent(ObjectId),
    /// What the statuses of a Gateway are made of.
    GatewayDetail(ObjectKey),
    /// What the status of a ListenerSet is made of.
    SetDetail(ObjectKey),
    /// The number of routes that a listener counts.
    Attached(ObjectKey, String),
    /// The Gateways whose routes use a Service.
    ServiceGateways(ObjectKey),
    /// What an IngressClass comes to.
    IngressClass(ObjectKey),
    /// What an Ingress claims.
    IngressClaims(ObjectKey),
    /// Whether a class has Ingresses, and what they claim of certificates.
    Crowd(ObjectKey),
    /// Who claims the certificate of a host.
    IngressTls(ObjectKey, String),
    /// Who claims a host with a path.
    IngressPlace(ObjectKey, Place),
    /// The entrance of a class.
    Entrance(ObjectKey),
    /// What the agents say about a Gateway.
    Fleet(ObjectKey),
    /// Which rules of a route the agents cannot serve.
    RejectedRules(ObjectId),
    /// Whether a time, in seconds since 1970, is past.
    Past(i64),
}

/// What a socket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    /// Byte streams.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    /// The word for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}
