//! Local ports: which ones the Services hold, and which ones are free.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::Transport;

use crate::name;
use crate::settings::Settings;

/// Ports below are not for programs without privileges.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// Local port by the port that clients see.
pub(crate) type Ports = BTreeMap<(u16, Transport), u16>;

/// The local ports that are in use.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    taken: BTreeMap<(Transport, u16), ObjectKey>,
}

impl Claims {
    /// Takes the local ports that a Service holds, and gives those that no Service before it held. The older Service
    /// comes first.
    pub fn claim(&mut self, key: &ObjectKey, service: &Service) -> Ports {
        let mut ports = Ports::new();
        for ((port, transport), local) in ports_of(service) {
            let holder = self.taken.entry((transport, local));
            if holder.or_insert_with(|| key.clone()) == key
                && !ports
                    .iter()
                    .any(|((_, other), held)| (*other, *held) == (transport, local))
            {
                ports.insert((port, transport), local);
            }
        }
        ports
    }

    /// Finds a free local port for a listener of a Gateway, the same one whenever it is free.
    pub fn allocate(
        &mut self,
        settings: &Settings,
        gateway: &ObjectKey,
        service: &ObjectKey,
        (port, transport): (u16, Transport),
    ) -> Option<u16> {
        let (first, last) = (*settings.ports.start(), *settings.ports.end());
        let count = u64::from(last.checked_sub(first)?) + 1;
        let text = port.to_string();
        let parts = [
            &gateway.namespace,
            &gateway.name,
            text.as_str(),
            transport.as_str(),
        ];
        let start = name::number(&parts) % count;
        let candidates = (0..count).map(|step| u64::from(first) + (start + step) % count);
        let mut candidates = candidates.filter_map(|port| u16::try_from(port).ok());
        let free = candidates.find(|local| !self.taken.contains_key(&(transport, *local)))?;
        self.taken.insert((transport, free), service.clone());
        Some(free)
    }
}

/// The ports of a Service with their local ports, as far as these are numbers that agents can open.
fn ports_of(service: &Service) -> impl Iterator<Item = ((u16, Transport), u16)> + '_ {
    let spec = service.spec.iter();
    let ports = spec.flat_map(|spec| spec.ports.iter().flatten());
    ports.filter_map(|port| {
        let transport = match port.protocol.as_deref() {
            None | Some("TCP") => Transport::Tcp,
            Some("UDP") => Transport::Udp,
            Some(_) => return None,
        };
        let Some(IntOrString::Int(local)) = port.target_port else {
            return None;
        };
        let local = u16::try_from(local).ok()?;
        let port = u16::try_from(port.port).ok()?;
        (local >= FIRST_UNPRIVILEGED).then_some(((port, transport), local))
    })
}
