//! Which local port an agent opens for a listener.

use novaedge_api::meta::ObjectKey;
use novaedge_api::native::ProxyProtocol;

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
