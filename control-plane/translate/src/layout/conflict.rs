//! Listeners that cannot be told apart.
//!
//! Precedence is Gateway, older ListenerSet, newer ListenerSet: the listener with less of it is
//! refused. Within one object nobody has precedence, and the specification forbids to pick a winner:
//! all of them are refused.

use std::collections::BTreeMap;

use novaedge_api::gateway::{Listener, ProtocolType};

use super::{Conflict, Entry, transport};
use crate::plan::ListenerOwner;
use crate::read::Transport;

/// A listener that holds its place on a port.
#[derive(Clone)]
struct Holder {
    owner: ListenerOwner,
    /// Its place among the entries: the lower, the more precedence.
    place: usize,
    class: Class,
    host: String,
    section: String,
}

/// Protocols that can share a port are of one class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Told apart by Host.
    Http,
    /// Told apart by SNI.
    Tls,
    /// Not told apart at all.
    Stream,
}

/// The listeners of one port, indexed so that a port with thousands of hosts costs a look-up each.
#[derive(Default)]
struct Port {
    /// By class, the one with the most precedence first.
    classes: BTreeMap<Class, BTreeMap<usize, Holder>>,
    /// Places of the listeners with a host, by class.
    hosts: BTreeMap<(Class, String), Vec<usize>>,
}

/// Marks the listeners that conflict with others.
pub(super) fn resolve<'a>(entries: &mut [Entry], spec: &impl Fn(&Entry) -> Option<&'a Listener>) {
    let mut ports: BTreeMap<(u16, Transport), Port> = BTreeMap::new();
    let mut found: Vec<(usize, Conflict)> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let Some(listener) = spec(entry).filter(|_| entry.fault.is_none()) else {
            continue;
        };
        let Some(class) = class(&listener.protocol) else {
            continue;
        };
        let new = Holder {
            owner: entry.owner.clone(),
            place,
            class,
            host: host(listener),
            section: listener.name.clone(),
        };
        let port = ports
            .entry((listener.port, transport(listener)))
            .or_default();
        // Refused by an object with precedence, a listener is no rival for its siblings.
        if let Some((held, reason)) = port.elder(&new) {
            found.push((place, conflict(reason, held, &new, listener)));
            continue;
        }
        for (held, reason) in port.siblings(&new) {
            found.push((place, conflict(reason, held, &new, listener)));
            found.push((held.place, conflict(reason, &new, held, listener)));
        }
        port.insert(new);
    }
    for (place, conflict) in found {
        if let Some(entry) = entries.get_mut(place) {
            entry.conflict.get_or_insert(conflict);
        }
    }
}

impl Port {
    fn insert(&mut self, new: Holder) {
        let hosts = self.hosts.entry((new.class, new.host.clone())).or_default();
        hosts.push(new.place);
        self.classes
            .entry(new.class)
            .or_default()
            .insert(new.place, new);
    }

    /// The listener of another object that `new` loses to.
    fn elder<'a>(&'a self, new: &Holder) -> Option<(&'a Holder, &'static str)> {
        let of_others =
            |holders: &&BTreeMap<usize, Holder>| holders.values().any(|h| h.owner != new.owner);
        let classes = self.classes.iter();
        let other_class = classes
            .filter(|(class, _)| **class != new.class || new.class == Class::Stream)
            .map(|(_, holders)| holders)
            .find(of_others)
            .and_then(|holders| holders.values().find(|held| held.owner != new.owner));
        if let Some(held) = other_class {
            return Some((held, "ProtocolConflict"));
        }
        let held = self.same_host(new).find(|held| held.owner != new.owner)?;
        Some((held, "HostnameConflict"))
    }

    /// The listeners of the same object, at most 64, that cannot be told apart from `new`.
    fn siblings<'a>(&'a self, new: &Holder) -> Vec<(&'a Holder, &'static str)> {
        // The object's listeners have been added last.
        let own = |held: &&'a Holder| held.owner == new.owner;
        let mut found = Vec::new();
        for (class, holders) in &self.classes {
            if *class != new.class || *class == Class::Stream {
                let latest = holders.values().rev().take_while(own);
                found.extend(latest.map(|held| (held, "ProtocolConflict")));
            }
        }
        if new.class != Class::Stream {
            let same = self.same_host(new).filter(own);
            found.extend(same.map(|held| (held, "HostnameConflict")));
        }
        found.sort_by_key(|(held, _)| held.place);
        found
    }

    fn same_host<'a>(&'a self, new: &Holder) -> impl Iterator<Item = &'a Holder> + use<'a> {
        let places = self.hosts.get(&(new.class, new.host.clone()));
        let holders = self.classes.get(&new.class);
        places
            .into_iter()
            .flatten()
            .filter_map(move |place| holders?.get(place))
    }
}

fn class(protocol: &ProtocolType) -> Option<Class> {
    match protocol {
        ProtocolType::Http => Some(Class::Http),
        ProtocolType::Https | ProtocolType::Tls => Some(Class::Tls),
        ProtocolType::Tcp | ProtocolType::Udp => Some(Class::Stream),
        ProtocolType::Other(_) => None,
    }
}

fn host(listener: &Listener) -> String {
    let host = listener.hostname.as_deref().unwrap_or_default();
    host.to_ascii_lowercase()
}

fn conflict(reason: &'static str, other: &Holder, own: &Holder, listener: &Listener) -> Conflict {
    let port = listener.port;
    // A ListenerSet's user may not be allowed to see the Gateway or the other sets: only own names are told.
    let rival = match (&other.owner, other.owner == own.owner) {
        (_, true) => format!("listener \"{}\"", other.section),
        (ListenerOwner::Gateway, false) => {
            "a listener of the Gateway, which has precedence,".to_owned()
        }
        (ListenerOwner::ListenerSet(_), false) => {
            "a listener of an older ListenerSet, which has precedence,".to_owned()
        }
    };
    let message = match (reason, own.class, own.host.as_str()) {
        ("HostnameConflict", _, "") => format!(
            "{rival} on port {port} has no hostname either; give one of them a hostname or another port"
        ),
        ("HostnameConflict", _, host) => format!(
            "{rival} on port {port} has the hostname \"{host}\" too; change the hostname or the port"
        ),
        (_, Class::Stream, _) if other.class == Class::Stream => format!(
            "{rival} has port {port} too, and {} listeners cannot share a port; use another port",
            listener.protocol
        ),
        _ => format!(
            "{rival} has port {port} with a protocol that cannot share it; use another port"
        ),
    };
    Conflict { reason, message }
}
