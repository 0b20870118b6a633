//! What a snapshot serves: its Gateways with their local ports. No IO, no clock.
//!
//! Sequences belong to one replica, and digests say nothing about a single Gateway; this summary is
//! what all replicas judge agents by. It is read off the resources, and shared by all agents that
//! acknowledged it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use novaedge_proto::v1::{self, resource::Body};
use prost::Message as _;

use crate::encoded::EncodedResource;

/// The Gateways of a snapshot, by resource name (`gateway/<namespace>/<name>`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serves {
    /// Each Gateway.
    pub gateways: BTreeMap<Arc<str>, Arc<ServedGateway>>,
}

/// One Gateway in a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedGateway {
    /// `metadata.generation` of the Gateway.
    pub generation: i64,
    /// The generations of its ListenerSets that have a listener in the snapshot, by namespace and
    /// name.
    pub listener_sets: BTreeMap<(String, String), i64>,
    /// Local TCP ports.
    pub tcp_bind_ports: BTreeSet<u16>,
    /// Local UDP ports.
    pub udp_bind_ports: BTreeSet<u16>,
    /// What the above is made of; empty when another replica told it.
    pub(crate) listeners: BTreeMap<Arc<str>, ServedListener>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServedListener {
    bind_port: u16,
    transport: Transport,
    /// The local UDP port of HTTP/3.
    http3_bind_port: Option<u16>,
    listener_set: Option<((String, String), i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// Keeps the summary of the current snapshot.
#[derive(Debug, Default)]
pub(crate) struct ServesBook {
    current: Arc<Serves>,
    /// Generations, also of Gateways without listeners.
    generations: BTreeMap<Arc<str>, i64>,
    listeners: BTreeMap<Arc<str>, BTreeMap<Arc<str>, ServedListener>>,
    gateway_of: HashMap<Arc<str>, Arc<str>>,
}

impl Serves {
    /// What an agent serves that acknowledged this snapshot but for `rejected`, and served `before`:
    /// of what it refuses the last good one stays.
    pub(crate) fn but_for<'a>(
        self: &Arc<Self>,
        rejected: impl Iterator<Item = &'a str>,
        before: &Self,
    ) -> Arc<Self> {
        let mut patched: BTreeMap<&str, ServedGateway> = BTreeMap::new();
        for name in rejected {
            if let Some(now) = self.gateways.get(name) {
                let entry = patched.entry(name).or_insert_with(|| (**now).clone());
                // Without a former one it serves none of its generations.
                entry.generation = before.gateways.get(name).map_or(-1, |old| old.generation);
            } else if name.starts_with(LISTENER) {
                let holder = |(_, gateway): &(&Arc<str>, &Arc<ServedGateway>)| {
                    gateway.listeners.contains_key(name)
                };
                let Some((gateway, now)) = self.gateways.iter().find(holder) else {
                    continue;
                };
                let old = before.gateways.get(gateway);
                let old = old.and_then(|old| old.listeners.get_key_value(name));
                let entry = patched.entry(gateway).or_insert_with(|| (**now).clone());
                match old {
                    Some((name, old)) => entry.listeners.insert(Arc::clone(name), old.clone()),
                    None => entry.listeners.remove(name),
                };
            }
        }
        if patched.is_empty() {
            return Arc::clone(self);
        }
        let mut gateways = self.gateways.clone();
        for (name, mut gateway) in patched {
            gateway.sum_up();
            gateways.insert(name.into(), Arc::new(gateway));
        }
        Arc::new(Self { gateways })
    }
}

impl ServedGateway {
    fn sum_up(&mut self) {
        self.listener_sets.clear();
        self.tcp_bind_ports.clear();
        self.udp_bind_ports.clear();
        for listener in self.listeners.values() {
            match listener.transport {
                Transport::Tcp => self.tcp_bind_ports.insert(listener.bind_port),
                Transport::Udp => self.udp_bind_ports.insert(listener.bind_port),
            };
            self.udp_bind_ports.extend(listener.http3_bind_port);
            if let Some((set, generation)) = &listener.listener_set {
                // Listeners of one set that differ are between two snapshots: the older counts.
                let entry = self.listener_sets.entry(set.clone()).or_insert(*generation);
                *entry = (*entry).min(*generation);
            }
        }
    }
}

impl ServesBook {
    /// The summary of the current snapshot.
    pub(crate) fn current(&self) -> &Arc<Serves> {
        &self.current
    }

    /// Takes in what changed; `None` stands for a resource that is gone.
    pub(crate) fn apply<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'a Arc<str>, Option<&'a Arc<EncodedResource>>)>,
    ) {
        let mut touched = BTreeSet::new();
        for (name, resource) in changes {
            if name.starts_with(GATEWAY) {
                touched.insert(Arc::clone(name));
                match resource.and_then(|resource| gateway(resource)) {
                    Some(gateway) => self
                        .generations
                        .insert(Arc::clone(name), gateway.generation),
                    None => self.generations.remove(name),
                };
            } else if name.starts_with(LISTENER) {
                touched.extend(self.remove_listener(name));
                if let Some(listener) = resource.and_then(|resource| listener(resource)) {
                    touched.insert(self.insert_listener(name, &listener));
                }
            }
        }
        if touched.is_empty() {
            return;
        }
        let mut gateways = self.current.gateways.clone();
        for name in touched {
            let Some(generation) = self.generations.get(&name) else {
                gateways.remove(&name);
                continue;
            };
            let mut served = ServedGateway {
                generation: *generation,
                listeners: self.listeners.get(&name).cloned().unwrap_or_default(),
                ..ServedGateway::default()
            };
            served.sum_up();
            if gateways.get(&name).is_none_or(|before| **before != served) {
                gateways.insert(name, Arc::new(served));
            }
        }
        if gateways != self.current.gateways {
            self.current = Arc::new(Serves { gateways });
        }
    }

    fn remove_listener(&mut self, name: &Arc<str>) -> Option<Arc<str>> {
        let gateway = self.gateway_of.remove(name)?;
        if let Some(listeners) = self.listeners.get_mut(&gateway) {
            listeners.remove(name);
            if listeners.is_empty() {
                self.listeners.remove(&gateway);
            }
        }
        Some(gateway)
    }

    fn insert_listener(&mut self, name: &Arc<str>, listener: &v1::Listener) -> Arc<str> {
        let gateway: Arc<str> = listener.gateway.as_str().into();
        let set = listener.listener_set.as_ref();
        let set = set.map(|set| {
            let key = (set.namespace.clone(), set.name.clone());
            (key, listener.listener_set_generation)
        });
        let served = ServedListener {
            bind_port: u16::try_from(listener.bind_port).unwrap_or(0),
            transport: if listener.protocol() == v1::Protocol::Udp {
                Transport::Udp
            } else {
                Transport::Tcp
            },
            http3_bind_port: u16::try_from(listener.http3_bind_port)
                .ok()
                .filter(|port| *port > 0),
            listener_set: set,
        };
        self.gateway_of
            .insert(Arc::clone(name), Arc::clone(&gateway));
        let listeners = self.listeners.entry(Arc::clone(&gateway)).or_default();
        listeners.insert(Arc::clone(name), served);
        gateway
    }
}

const GATEWAY: &str = "gateway/";
const LISTENER: &str = "listener/";

fn gateway(resource: &EncodedResource) -> Option<v1::Gateway> {
    match body(resource)? {
        Body::Gateway(gateway) => Some(gateway),
        _ => None,
    }
}

fn listener(resource: &EncodedResource) -> Option<v1::Listener> {
    match body(resource)? {
        Body::Listener(listener) => Some(listener),
        _ => None,
    }
}

/// The content of a resource that this process encoded.
pub(crate) fn body(resource: &EncodedResource) -> Option<Body> {
    v1::Resource::decode(resource.bytes().clone()).ok()?.body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gateway_resource, listener_resource};

    fn apply(book: &mut ServesBook, resources: &[(&str, v1::Resource)]) {
        let encoded = resources.iter().map(|(name, resource)| {
            let encoded = EncodedResource::encode(name, resource.clone()).unwrap();
            (Arc::from(*name), Arc::new(encoded))
        });
        let encoded: Vec<(Arc<str>, Arc<EncodedResource>)> = encoded.collect();
        book.apply(
            encoded
                .iter()
                .map(|(name, resource)| (name, Some(resource))),
        );
    }

    #[test]
    fn gateways_are_summed_up_with_their_ports() {
        let mut book = ServesBook::default();
        apply(
            &mut book,
            &[
                (
                    "listener/a/g/http",
                    listener_resource("gateway/a/g", 10_080),
                ),
                (
                    "listener/a/g/more",
                    listener_resource("gateway/a/g", 10_081),
                ),
                ("gateway/a/g", gateway_resource(3)),
                ("gateway/b/g", gateway_resource(1)),
            ],
        );
        let first = Arc::clone(book.current());
        let served = &first.gateways["gateway/a/g"];
        assert_eq!(served.generation, 3);
        assert_eq!(served.tcp_bind_ports, [10_080, 10_081].into());
        assert!(first.gateways["gateway/b/g"].tcp_bind_ports.is_empty());
        let name = Arc::from("listener/a/g/more");
        book.apply([(&name, None)].into_iter());
        assert_eq!(
            book.current().gateways["gateway/a/g"].tcp_bind_ports,
            [10_080].into()
        );
        let unchanged = &book.current().gateways["gateway/b/g"];
        assert!(Arc::ptr_eq(unchanged, &first.gateways["gateway/b/g"]));
        let name = Arc::from("gateway/a/g");
        book.apply([(&name, None)].into_iter());
        assert_eq!(book.current().gateways.len(), 1);
    }

    #[test]
    fn of_what_is_refused_the_last_good_one_stays() {
        let mut book = ServesBook::default();
        let listener = |port| listener_resource("gateway/a/g", port);
        apply(
            &mut book,
            &[
                ("gateway/a/g", gateway_resource(1)),
                ("listener/a/g/old", listener(1)),
            ],
        );
        let before = Arc::clone(book.current());
        apply(
            &mut book,
            &[
                ("gateway/a/g", gateway_resource(2)),
                ("listener/a/g/old", listener(2)),
                ("listener/a/g/new", listener(3)),
            ],
        );
        let now = Arc::clone(book.current());
        let but_for = |names: &[&'static str]| now.but_for(names.iter().copied(), &before);
        assert!(Arc::ptr_eq(&but_for(&["route/x"]), &now));
        let ports = |serves: &Serves| serves.gateways["gateway/a/g"].tcp_bind_ports.clone();
        assert_eq!(ports(&but_for(&[])), [2, 3].into());
        assert_eq!(ports(&but_for(&["listener/a/g/old"])), [1, 3].into());
        assert_eq!(ports(&but_for(&["listener/a/g/new"])), [2].into());
        let old = but_for(&["gateway/a/g"]);
        assert_eq!(old.gateways["gateway/a/g"].generation, 1);
    }
}
