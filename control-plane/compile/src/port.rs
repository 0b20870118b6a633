//! Which local port an agent opens for a listener.

use std::collections::BTreeMap;

use novaedge_api::meta::ObjectKey;
use novaedge_api::native::{ProxyProtocol, Transport};

/// Maps the port that clients see to the port that agents open.
///
/// The map is an input that stays as it is for the life of a [`Compiler`](crate::Compiler).
pub trait BindPorts: Send {
    /// The local port, or nothing while none is assigned: the listener waits.
    fn bind_port(&self, gateway: &ObjectKey, port: u16, protocol: ProxyProtocol) -> Option<u16>;
}

/// Agents open the ports that clients see, as on a machine of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListenerPorts;

impl BindPorts for ListenerPorts {
    fn bind_port(&self, _: &ObjectKey, port: u16, _: ProxyProtocol) -> Option<u16> {
        Some(port)
    }
}

/// The local ports of one ProxyGateway, by the port that clients see.
pub type GatewayPorts = BTreeMap<(u16, Transport), u16>;

/// Where local ports come from.
pub(crate) enum PortSource {
    /// A rule that stays as it is: agents bind the addresses of the gateways, too.
    Fixed(Box<dyn BindPorts>),
    /// What is told, gateway by gateway, as it changes: agents bind every address, for the gateways' own addresses are
    /// those of Services.
    Told(BTreeMap<ObjectKey, GatewayPorts>),
}

impl PortSource {
    /// The local port of a listener, or nothing while none is assigned.
    pub fn bind_port(
        &self,
        gateway: &ObjectKey,
        port: u16,
        protocol: ProxyProtocol,
    ) -> Option<u16> {
        match self {
            Self::Fixed(ports) => ports.bind_port(gateway, port, protocol),
            Self::Told(ports) => {
                let ports = ports.get(gateway)?;
                ports.get(&(port, protocol.transport())).copied()
            }
        }
    }
}
