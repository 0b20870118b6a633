//! Listeners that cannot be told apart.
//!
//! Precedence is Gateway, older ListenerSet, newer ListenerSet: the listener with less of it is refused. Within one
//! object nobody has precedence, and the specification forbids to pick a winner: all of them are refused.

use std::collections::BTreeMap;

use novaedge_api::gateway::{Listener, ProtocolType};

use super::{Conflict, Entry, transport};
use crate::plan::ListenerOwner;
use crate::read::Transport;

/// A listener that holds its place on a port.
#[derive(Clone)]
struct Holder {
    owner: ListenerOwner,
    place: usize,
    class: Class,
    host: String,
    section: String,
}

/// Protocols that can share a port are of one class.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Told apart by Host.
    Http,
    /// Told apart by SNI.
    Tls,
    /// Not told apart at all.
    Stream,
}

/// Marks the listeners that conflict with others.
pub(super) fn resolve<'a>(entries: &mut [Entry], spec: &impl Fn(&Entry) -> Option<&'a Listener>) {
    let mut ports: BTreeMap<(u16, Transport), Vec<Holder>> = BTreeMap::new();
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
        let holders = ports
            .entry((listener.port, transport(listener)))
            .or_default();
        // Refused by an object with precedence, a listener is no rival for its siblings.
        let elder = holders.iter().find_map(|held| {
            (held.owner != new.owner)
                .then(|| clash(held, &new))
                .flatten()
                .map(|reason| (held, reason))
        });
        if let Some((held, reason)) = elder {
            found.push((place, conflict(reason, held, &new, listener)));
            continue;
        }
        for held in holders.iter().filter(|held| held.owner == new.owner) {
            if let Some(reason) = clash(held, &new) {
                found.push((place, conflict(reason, held, &new, listener)));
                found.push((held.place, conflict(reason, &new, held, listener)));
            }
        }
        holders.push(new);
    }
    for (place, conflict) in found {
        if let Some(entry) = entries.get_mut(place) {
            entry.conflict.get_or_insert(conflict);
        }
    }
}

/// Why two listeners on one port cannot be told apart.
fn clash(a: &Holder, b: &Holder) -> Option<&'static str> {
    if a.class != b.class || a.class == Class::Stream {
        return Some("ProtocolConflict");
    }
    (a.host == b.host).then_some("HostnameConflict")
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
    listener
        .hostname
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

fn conflict(reason: &'static str, other: &Holder, own: &Holder, listener: &Listener) -> Conflict {
    let port = listener.port;
    // A ListenerSet's user may not be allowed to see the Gateway or the other sets: only own names are told.
    let rival = match (&other.owner, other.owner == own.owner) {
        (_, true) => format!("listener \"{}\"", other.section),
        (ListenerOwner::Gateway, false) => {
            "a listener of the Gateway, which has precedence".to_owned()
        }
        (ListenerOwner::ListenerSet(_), false) => {
            "a listener of an older ListenerSet, which has precedence".to_owned()
        }
    };
    let message = match (reason, own.class, own.host.as_str()) {
        ("HostnameConflict", _, "") => {
            format!(
                "{rival} on port {port} has no hostname either; give one of them a hostname or another port"
            )
        }
        ("HostnameConflict", _, host) => {
            format!(
                "{rival} on port {port} has the hostname \"{host}\" too; change the hostname or the port"
            )
        }
        (_, Class::Stream, _) if other.class == Class::Stream => {
            format!(
                "{rival} has port {port} too, and {} listeners cannot share a port; use another port",
                listener.protocol
            )
        }
        _ => format!(
            "{rival} has port {port} with a protocol that cannot share it; use another port"
        ),
    };
    Conflict { reason, message }
}

/// Whether a host could belong to both listeners; an empty name is every host.
pub(crate) fn hostnames_overlap(a: &str, b: &str) -> bool {
    let covers = |wild: &str, name: &str| {
        wild.is_empty()
            || wild == name
            || wild.strip_prefix('*').is_some_and(|suffix| {
                let name = name.strip_prefix('*').unwrap_or(name);
                name.ends_with(suffix)
            })
    };
    covers(a, b) || covers(b, a)
}
