//! Which listeners a Gateway and its ListenerSets have, judged by their specs alone: what is supported, which of them
//! conflict, and which ports they claim.

mod conflict;
mod listener;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use novaedge_api::gateway::{FromNamespaces, Gateway, Listener, ListenerSet};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use self::conflict::resolve;
use self::listener::check;
use crate::address::{self, Addresses};
use crate::config::Mode;
use crate::names;
use crate::options::ListenerOptions;
use crate::plan::{AllowedNamespaces, ListenerOwner};
use crate::read::Transport;
use crate::view::View;

/// The listeners of a Gateway of ours, and the objects that they stand in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layout {
    /// Why the Gateway is not accepted, whatever its listeners.
    pub(crate) refusal: Option<Fault>,
    /// Its addresses.
    pub(crate) addresses: Addresses,
    /// What its annotations say of its listeners.
    pub(crate) options: ListenerOptions,
    /// Listeners of the Gateway, then of its ListenerSets by precedence. A second one of the same name in an object is
    /// left out.
    pub(crate) listeners: Vec<Entry>,
    /// The ListenerSets that name the Gateway, by precedence.
    pub(crate) sets: Vec<SetEntry>,
    /// Ports claimed from other Gateways on the same machine.
    pub(crate) claims: PortClaims,
}

impl Layout {
    /// Why nothing of the Gateway may be served, whatever its listeners. One that asks for addresses of which none can
    /// be bound would be bound to every address, which nobody asked for.
    pub(crate) fn unserved(&self) -> Option<&'static str> {
        if self.refusal.is_some() {
            return Some("the Gateway is not accepted; see its condition Accepted");
        }
        let nowhere = self.addresses.nowhere();
        nowhere.then_some("no address of the Gateway can be used; see its condition Programmed")
    }
}

/// One listener in a layout.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The object that it stands in.
    pub(crate) owner: ListenerOwner,
    /// Its place in that object's `spec.listeners`.
    pub(crate) index: usize,
    /// Its name in the ProxyGateway.
    pub(crate) name: String,
    /// Why it is not accepted.
    pub(crate) fault: Option<Fault>,
    /// The other listener that it conflicts with.
    pub(crate) conflict: Option<Conflict>,
}

/// Why something is not accepted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// Reason of the condition.
    pub(crate) reason: &'static str,
    /// Path of the field below the listener, or below the object.
    pub(crate) field: String,
    /// What is wrong, and the fix.
    pub(crate) message: String,
}

impl std::fmt::Display for Fault {
    /// `field: message`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// That two listeners cannot be told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conflict {
    /// `ProtocolConflict` or `HostnameConflict`.
    pub(crate) reason: &'static str,
    /// What is wrong, and the fix.
    pub(crate) message: String,
}

/// A ListenerSet in a layout.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SetEntry {
    /// The ListenerSet.
    pub(crate) key: ObjectKey,
    /// Whether the Gateway lets it in.
    pub(crate) allowed: bool,
}

/// Claims on ports.
pub(crate) type PortClaims = BTreeSet<((u16, Transport), Claim)>;

/// A claim on a port by a Gateway or the Ingresses of a class. The order is precedence: the older first, then Gateways,
/// then by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    /// When the Gateway was made, in seconds since 1970.
    pub(crate) created: i64,
    /// The Gateway, or the IngressClass.
    pub(crate) gateway: ObjectId,
    /// The addresses that it binds; every one when empty.
    pub(crate) addresses: Vec<std::net::IpAddr>,
}

/// An object with listeners, as the layout sees it.
struct Owner<'a> {
    owner: ListenerOwner,
    listeners: &'a [Listener],
}

/// Lays out the listeners of a Gateway; none when its class is not ours.
pub(crate) fn plan_layout(view: &View<'_>, key: &ObjectKey) -> Option<Layout> {
    let gateway = view.get::<Gateway>(key)?;
    let class = &gateway.spec.gateway_class_name;
    let class_accepted = view.class(class)?;
    let addresses = address::read(&gateway.spec.addresses);
    let (options, bad_option) = match ListenerOptions::read(&gateway.metadata) {
        Ok(options) => (options, None),
        Err(fault) => (ListenerOptions::default(), Some(fault)),
    };
    let refusal = refusal(&gateway, class_accepted, &addresses).or(bad_option);
    let mut sets = view.listener_sets_of(key);
    sets.sort_by_key(|set| (created(&set.metadata), ObjectKey::of(&set.metadata)));
    let allowed = allowed_listeners(&gateway);
    let entries = sets.iter().map(|set| {
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        SetEntry {
            key: ObjectKey::of(&set.metadata),
            allowed: allowed.admits(&key.namespace, namespace, || {
                view.namespace_labels(namespace)
            }),
        }
    });
    let entries: Vec<SetEntry> = entries.collect();
    let owners = owners(&gateway, &sets, &entries);
    let mut listeners: Vec<Entry> = owners.iter().flat_map(entries_of).collect();
    let by_owner: BTreeMap<&ListenerOwner, &[Listener]> = owners
        .iter()
        .map(|owner| (&owner.owner, owner.listeners))
        .collect();
    let spec = |entry: &Entry| by_owner.get(&entry.owner)?.get(entry.index);
    for entry in &mut listeners {
        entry.fault = spec(entry).and_then(check);
    }
    resolve(&mut listeners, &spec);
    let serves = refusal.is_none() && !addresses.nowhere();
    let claims = if view.config().mode == Mode::Standalone && serves {
        claims(&gateway, &listeners, &addresses, spec)
    } else {
        BTreeSet::new()
    };
    Some(Layout {
        refusal,
        addresses,
        options,
        listeners,
        sets: entries,
        claims,
    })
}

/// Creation time in seconds since 1970. Objects of a folder have none, unless somebody wrote one: they all are of the
/// same age, and younger than those that have one, as with routes and policies.
pub(crate) fn created(metadata: &ObjectMeta) -> i64 {
    metadata
        .creation_timestamp
        .as_ref()
        .map_or(i64::MAX, |time| time.0.as_second())
}

fn refusal(gateway: &Gateway, class_accepted: bool, addresses: &Addresses) -> Option<Fault> {
    if !class_accepted {
        return Some(Fault {
            reason: "Invalid",
            field: "spec.gatewayClassName".to_owned(),
            message: format!(
                "GatewayClass \"{}\" is not accepted; see its status",
                gateway.spec.gateway_class_name
            ),
        });
    }
    let parameters = gateway
        .spec
        .infrastructure
        .as_ref()
        .and_then(|i| i.parameters_ref.as_ref());
    if let Some(parameters) = parameters {
        return Some(Fault {
            reason: "InvalidParameters",
            field: "spec.infrastructure.parametersRef".to_owned(),
            message: format!(
                "parametersRef names {} \"{}\", but this controller takes no parameters; remove \
                 spec.infrastructure.parametersRef",
                parameters.kind, parameters.name
            ),
        });
    }
    addresses.unsupported.clone()
}

fn allowed_listeners(gateway: &Gateway) -> AllowedNamespaces {
    let Some(allowed) = &gateway.spec.allowed_listeners else {
        return AllowedNamespaces::None;
    };
    match allowed.namespaces.from {
        FromNamespaces::None => AllowedNamespaces::None,
        FromNamespaces::Same => AllowedNamespaces::Same,
        FromNamespaces::All => AllowedNamespaces::All,
        // Without a selector nobody is meant, rather than everybody.
        FromNamespaces::Selector => {
            let selector = allowed.namespaces.selector.clone();
            selector.map_or(AllowedNamespaces::None, AllowedNamespaces::Selector)
        }
    }
}

fn owners<'a>(
    gateway: &'a Gateway,
    sets: &'a [Arc<ListenerSet>],
    entries: &[SetEntry],
) -> Vec<Owner<'a>> {
    let own = Owner {
        owner: ListenerOwner::Gateway,
        listeners: &gateway.spec.listeners,
    };
    let attached = sets.iter().zip(entries).filter(|(_, entry)| entry.allowed);
    let attached = attached.map(|(set, entry)| Owner {
        owner: ListenerOwner::ListenerSet(entry.key.clone()),
        listeners: &set.spec.listeners,
    });
    [own].into_iter().chain(attached).collect()
}

fn entries_of(owner: &Owner<'_>) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    let listeners = owner.listeners.iter().enumerate();
    let unique = listeners.filter(|(_, listener)| seen.insert(listener.name.as_str()));
    let entries = unique.map(|(index, listener)| Entry {
        owner: owner.owner.clone(),
        index,
        name: match &owner.owner {
            ListenerOwner::Gateway => names::gateway_listener(&listener.name),
            ListenerOwner::ListenerSet(set) => names::set_listener(set, &listener.name),
        },
        fault: None,
        conflict: None,
    });
    entries.collect()
}

fn claims<'a>(
    gateway: &Gateway,
    listeners: &[Entry],
    addresses: &Addresses,
    spec: impl Fn(&Entry) -> Option<&'a Listener>,
) -> PortClaims {
    let claim = Claim {
        created: created(&gateway.metadata),
        gateway: ObjectId {
            kind: Kind::Gateway,
            key: ObjectKey::of(&gateway.metadata),
        },
        addresses: addresses.bind.clone(),
    };
    let accepted = listeners
        .iter()
        .filter(|l| l.fault.is_none() && l.conflict.is_none());
    let ports = accepted
        .filter_map(spec)
        .map(|listener| (listener.port, transport(listener)));
    ports.map(|port| (port, claim.clone())).collect()
}

/// What a listener's socket is of.
pub(crate) fn transport(listener: &Listener) -> Transport {
    match listener.protocol {
        novaedge_api::gateway::ProtocolType::Udp => Transport::Udp,
        _ => Transport::Tcp,
    }
}

/// The claim that keeps `gateway` from a port, if any: in the order of precedence, a claim holds unless one that holds
/// overlaps with it.
pub(crate) fn port_owner<'a>(claims: &'a [Claim], gateway: &ObjectId) -> Option<&'a Claim> {
    let mut holding: Vec<&Claim> = Vec::new();
    for claim in claims {
        let owner = holding
            .iter()
            .find(|held| address::overlap(&held.addresses, &claim.addresses));
        match owner {
            Some(owner) if claim.gateway == *gateway => return Some(owner),
            Some(_) => {}
            None if claim.gateway == *gateway => return None,
            None => holding.push(claim),
        }
    }
    None
}
