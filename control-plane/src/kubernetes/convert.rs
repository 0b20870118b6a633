//! From the words of one part to those of the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use novaedge_api::{
    meta::{Kind, ObjectKey},
    native::Transport,
};
use novaedge_fleet::{AgentWord, Agents, Served};
use novaedge_proto::v1;
use novaedge_publish::{FleetAcks, ServedGateway, Serves};
use tokio::sync::{mpsc, watch};

use super::replace;
use crate::{
    pipeline::rejections,
    problem::{Level, Problem},
    source::Batch,
};

/// Hands on what the watches tell until they end. `served` hears which version of each kind there is.
pub(super) async fn batches(
    mut watched: mpsc::Receiver<novaedge_watch::Batch>,
    batches: mpsc::Sender<Batch>,
    served: impl Fn(&BTreeMap<Kind, String>),
) {
    while let Some(batch) = watched.recv().await {
        let bundles = batch.discovered.map(|discovered| {
            served(&discovered.versions);
            discovered.bundles.clone()
        });
        let problems = batch.problems.into_iter();
        let batch = Batch {
            changes: batch.changes,
            problems: problems
                .map(|(place, found)| (place, found.iter().map(problem).collect()))
                .collect(),
            bundles,
        };
        if batches.send(batch).await.is_err() {
            return;
        }
    }
}

fn problem(finding: &novaedge_watch::Finding) -> Problem {
    Problem {
        severity: match finding.severity {
            novaedge_watch::Severity::Error => Level::Error,
            novaedge_watch::Severity::Warning => Level::Warning,
        },
        file: None,
        line: None,
        object: finding.object.clone(),
        field: finding.field.clone(),
        reason: finding.reason.to_owned(),
        message: finding.message.clone(),
    }
}

/// Hands on what the agents say until nobody tells it any more.
pub(super) async fn acks(
    mut acks: watch::Receiver<FleetAcks>,
    agents: watch::Sender<Agents>,
    rejected: watch::Sender<BTreeMap<String, String>>,
) {
    let mut known = Known::default();
    loop {
        let fleet = acks.borrow_and_update().clone();
        let before = agents.borrow().clone();
        replace(&agents, words(&fleet, &before, &mut known));
        let refused = fleet.agents.iter();
        let refused = refused.map(|(node, agent)| (&**node, agent.rejected.as_slice()));
        replace(&rejected, rejections(refused));
        if acks.changed().await.is_err() {
            return;
        }
    }
}

/// What the agents say. One that has just come back has acknowledged nothing yet, and serves what it served `before`.
fn words(fleet: &FleetAcks, before: &Agents, known: &mut Known) -> Agents {
    // Of one that has not spoken yet nothing is known: it is not to count as one that serves nothing.
    let heard = fleet.agents.iter();
    let heard = heard.filter(|(node, agent)| agent.has_spoken() || before.contains_key(&***node));
    let agents = heard.map(|(node, agent)| {
        let silent = before.get(&**node).filter(|_| !agent.has_spoken());
        let gateways = silent.map_or_else(
            || known.gateways(&agent.serves),
            |word| Arc::clone(&word.gateways),
        );
        let word = AgentWord {
            draining: agent.draining,
            gateways,
            refuses: refuses(&agent.rejected),
        };
        (node.to_string(), word)
    });
    let mut agents: Agents = agents.collect();
    // Whom a replica may have that says nothing at the moment, nobody knows to be gone.
    if fleet.silent_peers > 0 {
        for (node, word) in before {
            agents.entry(node.clone()).or_insert_with(|| word.clone());
        }
    }
    known.0.retain(|(serves, _)| Arc::strong_count(serves) > 1);
    agents
}

/// The Gateways of which an agent refuses something.
fn refuses(rejected: &[v1::RejectedResource]) -> BTreeSet<ObjectKey> {
    let names = rejected.iter().filter_map(|resource| {
        let mut parts = resource.name.split('/');
        match (parts.next()?, parts.next()?, parts.next()?) {
            ("gateway" | "listener", namespace, name) => Some(ObjectKey::new(namespace, name)),
            _ => None,
        }
    });
    names.collect()
}

type ServedGateways = Arc<BTreeMap<ObjectKey, Served>>;

/// Summaries in the fleet's form, each made once for all agents that share it.
#[derive(Default)]
struct Known(Vec<(Arc<Serves>, ServedGateways)>);

impl Known {
    fn gateways(&mut self, serves: &Arc<Serves>) -> ServedGateways {
        let mut known = self.0.iter();
        if let Some((_, gateways)) = known.find(|(one, _)| Arc::ptr_eq(one, serves)) {
            return Arc::clone(gateways);
        }
        let gateways = serves.gateways.iter().filter_map(|(name, gateway)| {
            let (namespace, name) = name.strip_prefix("gateway/")?.split_once('/')?;
            Some((ObjectKey::new(namespace, name), served(gateway)))
        });
        let gateways = Arc::new(gateways.collect());
        self.0.push((Arc::clone(serves), Arc::clone(&gateways)));
        gateways
    }
}

fn served(gateway: &ServedGateway) -> Served {
    let tcp = gateway.tcp_bind_ports.iter();
    let tcp = tcp.map(|port| (*port, Transport::Tcp));
    let udp = gateway.udp_bind_ports.iter();
    let udp = udp.map(|port| (*port, Transport::Udp));
    let sets = gateway.listener_sets.iter();
    Served {
        generation: gateway.generation,
        listener_sets: sets
            .map(|((namespace, name), generation)| (ObjectKey::new(namespace, name), *generation))
            .collect(),
        ports: tcp.chain(udp).collect(),
    }
}

#[cfg(test)]
mod tests {
    use novaedge_publish::FleetAgent;

    use super::*;

    fn fleet(agents: &[(&str, &str)], silent_peers: usize) -> FleetAcks {
        let agents = agents.iter().map(|(node, digest)| {
            let gateways = [("gateway/a/b".into(), Arc::default())].into();
            let agent = FleetAgent {
                digest: (*digest).to_owned(),
                serves: Arc::new(Serves { gateways }),
                ..FleetAgent::default()
            };
            ((*node).into(), Arc::new(agent))
        });
        FleetAcks {
            agents: agents.collect(),
            silent_peers,
        }
    }

    #[test]
    fn who_says_nothing_for_a_moment_serves_what_it_served() {
        let mut known = Known::default();
        let mut check = |fleet: &FleetAcks, before: &Agents, expect: &[&str]| {
            let words = words(fleet, before, &mut known);
            let served = |word: &AgentWord| word.gateways.contains_key(&ObjectKey::new("a", "b"));
            assert!(words.values().all(served));
            let nodes: Vec<&str> = words.keys().map(String::as_str).collect();
            assert_eq!(nodes, expect);
            words
        };
        let none = Agents::new();
        check(&fleet(&[("new", "")], 0), &none, &[]);
        let before = check(
            &fleet(&[("one", "x"), ("two", "x")], 0),
            &none,
            &["one", "two"],
        );
        check(
            &fleet(&[("one", ""), ("two", "x")], 0),
            &before,
            &["one", "two"],
        );
        check(&fleet(&[("two", "x")], 1), &before, &["one", "two"]);
        check(&fleet(&[("two", "x")], 0), &before, &["two"]);
    }
}
