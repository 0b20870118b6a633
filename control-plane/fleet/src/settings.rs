//! What the fleet is told once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Settings of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The namespace of the system, with the agents that serve everybody.
    pub namespace: String,
    /// Further namespaces that agents run in.
    pub agent_namespaces: BTreeSet<String>,
    /// The value of the label `app.kubernetes.io/name` of agent pods.
    pub agent_app: String,
    /// The type of the Services of Gateways.
    pub service_type: ServiceType,
    /// IP families of the Services of Gateways.
    pub families: Families,
    /// Local ports to choose from.
    pub ports: RangeInclusive<u16>,
}

impl Settings {
    /// The usual settings, with agents in this namespace.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            agent_namespaces: BTreeSet::new(),
            agent_app: "novaedge-agent".to_owned(),
            service_type: ServiceType::default(),
            families: Families::default(),
            // Below the usual node ports (30000 to 32767 are free on agents all the same, as these are pods) and below
            // the ports that Linux gives to outgoing connections (32768 and up).
            ports: 10240..=32767,
        }
    }
}

/// The type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    /// With an address of a load balancer.
    #[default]
    LoadBalancer,
    /// With an address that the cluster alone reaches.
    ClusterIp,
    /// With a port of every node.
    NodePort,
}

impl ServiceType {
    /// The word in `spec.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoadBalancer => "LoadBalancer",
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
        }
    }
}

/// IP families of Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// Every family that the cluster has.
    #[default]
    All,
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
}
