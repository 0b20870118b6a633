//! Gateways, listeners, and the sockets that they share.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use novaedge_proto::v1;
use rustc_hash::FxHashMap;

use super::{
    fit,
    listener::{Gateway, Listener, Protocol, SocketClass, convert_gateway, convert_listener},
    route::{Binding, Route},
    shelf::Shelf,
    step::{Step, is_same},
};
use crate::{
    error::Fault,
    host::HostPattern,
    host_index::HostIndex,
    listener::{HttpListener, ListenerInfo, TlsListener},
    rule::L4Rule,
    socket::{
        HttpSocket, L4Socket, Position, SecureListener, Socket, SocketKey, TlsSocket, index_hosts,
    },
};

/// All that decides what is listened on. Every part is a function of the resources held, never of the steps that brought
/// them.
#[derive(Debug, Default)]
pub(super) struct Listening {
    gateways: FxHashMap<Arc<str>, Gateway>,
    listeners: BTreeMap<Arc<str>, Listener>,
    /// Listeners by the Gateway that they name.
    children: FxHashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Routes by the listener that they name.
    shelves: FxHashMap<Arc<str>, Shelf>,
    /// The sockets that a listener wants. Absent: its Gateway is missing.
    wanted: FxHashMap<Arc<str>, BTreeSet<SocketKey>>,
    /// The finished listeners.
    finished: FxHashMap<Arc<str>, Finished>,
    plans: BTreeMap<SocketKey, Plan>,
}

/// A listener with its routes.
#[derive(Clone, Debug)]
enum Finished {
    Http(Arc<HttpListener>),
    Tls(Arc<TlsListener>),
    L4(Box<ListenerInfo>, Option<Arc<L4Rule>>),
}

/// Who shares a socket.
#[derive(Debug, Default)]
struct Plan {
    /// All listeners that want the socket.
    candidates: BTreeSet<Arc<str>>,
    /// Those that have it, by name.
    winners: Vec<Arc<str>>,
    by_host: Arc<HostIndex<Position>>,
    losers: BTreeMap<Arc<str>, Fault>,
}

impl Listening {
    pub(super) fn upsert_gateway(
        &mut self,
        name: &Arc<str>,
        version: &str,
        wire: &v1::Gateway,
        step: &mut Step,
    ) {
        let held = self.gateways.get(name);
        if held.is_some_and(|held| is_same(&held.version, version)) {
            return;
        }
        let mut faults = Vec::new();
        let gateway = convert_gateway(version, wire, &mut faults);
        let install = faults.is_empty() || held.is_none();
        let held_as = if faults.is_empty() { version } else { "" };
        step.reject_all(name, version, faults);
        if let Some(gateway) = gateway.filter(|_| install) {
            self.gateways.insert(
                Arc::clone(name),
                Gateway {
                    version: held_as.to_owned(),
                    ..gateway
                },
            );
            self.touch_children(name, step);
        }
    }

    pub(super) fn remove_gateway(&mut self, name: &str, step: &mut Step) {
        if self.gateways.remove(name).is_some() {
            self.touch_children(name, step);
        }
    }

    pub(super) fn upsert_listener(
        &mut self,
        name: &Arc<str>,
        version: &str,
        wire: &v1::Listener,
        step: &mut Step,
    ) {
        step.upserted_listeners.insert(Arc::clone(name));
        if self
            .listeners
            .get(name)
            .is_some_and(|held| is_same(&held.version, version))
        {
            return;
        }
        match convert_listener(version, wire) {
            Ok(listener) => {
                self.forget_child(name);
                self.children
                    .entry(Arc::clone(&listener.gateway))
                    .or_default()
                    .insert(Arc::clone(name));
                self.listeners.insert(Arc::clone(name), listener);
                step.listeners.insert(Arc::clone(name));
            }
            Err(fault) => step.reject(name, version, fault),
        }
    }

    pub(super) fn remove_listener(&mut self, name: &str, step: &mut Step) {
        self.forget_child(name);
        if let Some((name, _)) = self.listeners.remove_entry(name) {
            step.listeners.insert(name);
        }
    }

    /// Names of all Gateways and listeners.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.gateways.keys().chain(self.listeners.keys());
        names.map(|name| &**name)
    }

    /// The name of a listener, as it is held if it is.
    pub(super) fn name(&self, listener: &str) -> Arc<str> {
        let shelves = self.shelves.get_key_value(listener).map(|(name, _)| name);
        let listeners = || self.listeners.get_key_value(listener);
        let held = shelves.or_else(|| listeners().map(|(name, _)| name));
        held.map_or_else(|| listener.into(), Arc::clone)
    }

    pub(super) fn put(&mut self, route: &Route, bindings: &[Binding], step: &mut Step) {
        for binding in bindings {
            self.shelves
                .entry(Arc::clone(&binding.listener))
                .or_default()
                .insert(route, binding);
            step.shelves.insert(Arc::clone(&binding.listener));
        }
    }

    pub(super) fn take(&mut self, route: &Route, step: &mut Step) {
        for listener in &*route.listeners {
            if let Some(shelf) = self.shelves.get_mut(listener) {
                shelf.remove(route);
                if shelf.is_empty() {
                    self.shelves.remove(listener);
                }
            }
            step.shelves.insert(Arc::clone(listener));
        }
    }

    /// Faults of a route's bindings, which stay without effect: listeners that are not there or of another protocol.
    pub(super) fn check(&self, route: &Route) -> Vec<Fault> {
        let fault = |listener: &Arc<str>| match self.listeners.get(listener) {
            None => Some(Fault::Dangling {
                kind: "listener",
                name: listener.to_string(),
            }),
            Some(held) if held.protocol.carries(route.id().kind) => None,
            Some(held) => Some(Fault::WrongListener {
                listener: listener.to_string(),
                protocol: held.protocol.as_str(),
                kind: route.id().kind.as_str(),
            }),
        };
        route.listeners.iter().filter_map(fault).collect()
    }

    /// Brings the sockets that a step touched up to date.
    pub(super) fn refresh(
        &mut self,
        step: &mut Step,
        sockets: &mut BTreeMap<SocketKey, Arc<Socket>>,
    ) {
        let mut to_plan = BTreeSet::new();
        let mut to_assemble = BTreeSet::new();
        for name in std::mem::take(&mut step.listeners) {
            to_plan.extend(self.place(&name, step));
            self.finish(&name);
        }
        for name in std::mem::take(&mut step.shelves) {
            if let Some(keys) = self.wanted.get(&name) {
                to_assemble.extend(keys.iter().copied());
                self.finish(&name);
            }
        }
        for key in &to_plan {
            self.plan(*key, step);
        }
        for key in to_plan.into_iter().chain(to_assemble) {
            let socket = self
                .plans
                .get(&key)
                .and_then(|plan| self.assemble(key, plan));
            match socket {
                Some(socket) => _ = sockets.insert(key, Arc::new(socket)),
                None => _ = sockets.remove(&key),
            }
            step.changed = true;
        }
        self.repeat_faults(step);
    }

    /// Gives back room that is not needed any more.
    pub(super) fn fit(&mut self) {
        fit(&mut self.gateways);
        fit(&mut self.children);
        fit(&mut self.shelves);
        fit(&mut self.wanted);
        fit(&mut self.finished);
    }

    /// A listener that comes again as it is held is as refused as it was: its plans were not made anew.
    fn repeat_faults(&self, step: &mut Step) {
        for name in std::mem::take(&mut step.upserted_listeners) {
            let Some(listener) = self.listeners.get(&name) else {
                continue;
            };
            if step.has_rejected(&name) {
                continue;
            }
            let Some(wanted) = self.wanted.get(&name) else {
                step.reject(&name, &listener.version, listener.without_gateway());
                continue;
            };
            let lost = |key| self.plans.get(key)?.losers.get(&name).cloned();
            step.reject_all(
                &name,
                &listener.version,
                wanted.iter().filter_map(lost).collect(),
            );
        }
    }

    fn touch_children(&self, gateway: &str, step: &mut Step) {
        step.listeners
            .extend(self.children.get(gateway).into_iter().flatten().cloned());
    }

    fn forget_child(&mut self, listener: &str) {
        let Some(held) = self.listeners.get(listener) else {
            return;
        };
        if let Some(children) = self.children.get_mut(&held.gateway) {
            children.remove(listener);
            if children.is_empty() {
                self.children.remove(&held.gateway);
            }
        }
    }

    /// Registers a listener with the sockets that it wants. Returns those to plan: old ones and new ones.
    fn place(&mut self, name: &Arc<str>, step: &mut Step) -> BTreeSet<SocketKey> {
        let before = self.wanted.remove(name);
        let listener = self.listeners.get(name);
        let wanted = listener
            .and_then(|listener| Some(listener.sockets(self.gateways.get(&listener.gateway)?)));
        if let (Some(listener), None) = (listener, &wanted)
            && (before.is_some() || step.upserted_listeners.contains(name))
        {
            step.reject(name, &listener.version, listener.without_gateway());
        }
        let mut touched = before.unwrap_or_default();
        for key in &touched {
            if let Some(plan) = self.plans.get_mut(key) {
                plan.candidates.remove(name);
            }
        }
        if let Some(wanted) = wanted {
            for key in &wanted {
                self.plans
                    .entry(*key)
                    .or_default()
                    .candidates
                    .insert(Arc::clone(name));
            }
            touched.extend(wanted.iter().copied());
            self.wanted.insert(Arc::clone(name), wanted);
        }
        touched
    }

    /// Makes a listener out of its parts.
    fn finish(&mut self, name: &Arc<str>) {
        let parts = self
            .listeners
            .get(name)
            .and_then(|listener| Some((listener, self.gateways.get(&listener.gateway)?)));
        let Some((listener, gateway)) = parts else {
            self.finished.remove(name);
            return;
        };
        let info = listener.info(name, gateway);
        let shelf = self.shelves.get(name);
        let finished = match listener.protocol {
            Protocol::Http | Protocol::Https => {
                let hosts = shelf.map(|shelf| shelf.http.clone()).unwrap_or_default();
                Finished::Http(Arc::new(HttpListener { info, hosts }))
            }
            Protocol::Tls(mode) => {
                let hosts = shelf.map(|shelf| shelf.tls.clone()).unwrap_or_default();
                Finished::Tls(Arc::new(TlsListener { info, mode, hosts }))
            }
            Protocol::Tcp => Finished::L4(Box::new(info), shelf.and_then(Shelf::tcp_rule).cloned()),
            Protocol::Udp => Finished::L4(Box::new(info), shelf.and_then(Shelf::udp_rule).cloned()),
        };
        self.finished.insert(Arc::clone(name), finished);
    }

    /// Decides who has a socket: by name, the first sets the class and whether the PROXY protocol is spoken, and each
    /// hostname goes to the first that asks.
    fn plan(&mut self, key: SocketKey, step: &mut Step) {
        let Some(plan) = self.plans.get_mut(&key) else {
            return;
        };
        let losers_before = std::mem::take(&mut plan.losers);
        plan.winners.clear();
        let mut class = None;
        let mut hostnames: Vec<&HostPattern> = Vec::new();
        let mut owners: BTreeMap<&HostPattern, &Arc<str>> = BTreeMap::new();
        for name in &plan.candidates {
            let Some(listener) = self.listeners.get(name) else {
                continue;
            };
            let own_class = listener.class(key);
            let own_headers = &listener.accept_proxy_protocol;
            let (first, headers) = *class.get_or_insert((own_class, own_headers));
            let clash =
                if first != own_class || matches!(first, SocketClass::Tcp | SocketClass::Udp) {
                    plan.winners
                        .first()
                        .map(|owner| ("the socket".to_owned(), owner))
                } else if headers != own_headers {
                    plan.winners
                        .first()
                        .map(|owner| ("the choice of accept_proxy_protocol".to_owned(), owner))
                } else {
                    owners.get(&listener.hostname).map(|owner| {
                        (
                            format!("hostname {:?}", listener.hostname.to_string()),
                            *owner,
                        )
                    })
                };
            if let Some((what, owner)) = clash {
                let fault = Fault::Clash {
                    what,
                    socket: key.to_string(),
                    owner: owner.to_string(),
                };
                if step.upserted_listeners.contains(name) || !losers_before.contains_key(name) {
                    step.reject(name, &listener.version, fault.clone());
                }
                plan.losers.insert(Arc::clone(name), fault);
            } else {
                owners.insert(&listener.hostname, name);
                hostnames.push(&listener.hostname);
                plan.winners.push(Arc::clone(name));
            }
        }
        plan.by_host = Arc::new(index_hosts(hostnames.into_iter()));
        if plan.candidates.is_empty() {
            self.plans.remove(&key);
        }
    }

    fn assemble(&self, key: SocketKey, plan: &Plan) -> Option<Socket> {
        let winners = || {
            plan.winners
                .iter()
                .filter_map(|name| Some((name, self.finished.get(name)?)))
        };
        let (first, finished) = winners().next()?;
        let by_host = Arc::clone(&plan.by_host);
        Some(match (self.listeners.get(first)?.class(key), finished) {
            (SocketClass::Http, _) => {
                let http = |(_, finished): (_, &Finished)| match finished {
                    Finished::Http(listener) => Some(Arc::clone(listener)),
                    Finished::Tls(_) | Finished::L4(..) => None,
                };
                Socket::Http(HttpSocket {
                    listeners: winners().filter_map(http).collect(),
                    by_host,
                })
            }
            (class @ (SocketClass::Tls | SocketClass::Quic), _) => {
                let secure = |(_, finished): (_, &Finished)| match finished {
                    Finished::Http(listener) => Some(SecureListener::Https(Arc::clone(listener))),
                    Finished::Tls(listener) => Some(SecureListener::Tls(Arc::clone(listener))),
                    Finished::L4(..) => None,
                };
                let socket = TlsSocket {
                    listeners: winners().filter_map(secure).collect(),
                    by_host,
                };
                if class == SocketClass::Quic {
                    Socket::Quic(socket)
                } else {
                    Socket::Tls(socket)
                }
            }
            (SocketClass::Tcp, Finished::L4(info, rule)) => Socket::Tcp(L4Socket {
                info: (**info).clone(),
                rule: rule.clone(),
            }),
            (SocketClass::Udp, Finished::L4(info, rule)) => Socket::Udp(L4Socket {
                info: (**info).clone(),
                rule: rule.clone(),
            }),
            (SocketClass::Tcp | SocketClass::Udp, _) => return None,
        })
    }
}
