//! HTTPS listeners on one port whose hosts overlap.
//!
//! A client may reuse a connection to one of them for a host of the other (RFC 9113, section 9.1.1),
//! so the specification wants it said in a condition of both.

use std::collections::{BTreeMap, BTreeSet};

use super::ListenerDetail;

/// Names of other listeners in a message; the rest is counted.
const NAMED: usize = 3;

/// Marks the listeners. Costs a look-up for each label of each host, however many listeners there are.
pub(super) fn mark(listeners: &mut [ListenerDetail]) {
    let mut ports: BTreeMap<u16, BTreeMap<&str, usize>> = BTreeMap::new();
    for (place, listener) in listeners.iter().enumerate() {
        if let Some(host) = host(listener) {
            ports
                .entry(listener.plan.port)
                .or_default()
                .insert(host, place);
        }
    }
    let mut rivals: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for hosts in ports.values() {
        for (host, place) in hosts {
            for cover in covers(host).filter_map(|cover| hosts.get(cover)) {
                rivals.entry(*place).or_default().insert(*cover);
                rivals.entry(*cover).or_default().insert(*place);
            }
        }
    }
    let said: Vec<(usize, String)> = rivals
        .into_iter()
        .map(|(place, others)| {
            let names = others.iter().take(NAMED).filter_map(|other| {
                let plan = &listeners.get(*other)?.plan;
                Some(format!("\"{}\"", plan.section_name))
            });
            let names: Vec<String> = names.collect();
            let more = match others.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            (place, format!("{}{more}", names.join(", ")))
        })
        .collect();
    for (place, names) in said {
        if let Some(listener) = listeners.get_mut(place) {
            listener.overlapping = Some(names);
        }
    }
}

/// Host of an HTTPS listener that is served, `.a.b` for `*.a.b`, and empty for every host.
fn host(listener: &ListenerDetail) -> Option<&str> {
    let plan = &listener.plan;
    let https = plan.usable && plan.protocol == "HTTPS";
    let host = plan.hostname.as_deref().unwrap_or_default();
    https.then(|| host.strip_prefix('*').unwrap_or(host))
}

/// What covers a host: every wildcard above it, and the empty one.
fn covers(host: &str) -> impl Iterator<Item = &str> {
    let dots = host.match_indices('.').map(|(at, _)| at);
    let above = dots.filter(|at| *at > 0).filter_map(|at| host.get(at..));
    above.chain((!host.is_empty()).then_some(""))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn wildcards_cover_what_is_below_them() {
        let check = |host: &str, expect: &[&str]| {
            assert_eq!(covers(host).collect::<Vec<_>>(), expect, "{host}");
        };
        check("x.a.b", &[".a.b", ".b", ""]);
        check(".a.b", &[".b", ""]);
        check("", &[]);
    }
}
