//! Who holds which snapshot, and what it refuses.

use k8s_openapi::jiff::Timestamp;
use novaedge_proto::v1::{AgentStatus, Version};
use serde_json::{Value, json};

use crate::{
    age::since_ms,
    server::node,
    table::{Cell, Paint, Table, Tone, harmless, painted},
};

/// Digits of a digest that tell two of them apart at a glance.
const DIGEST_DIGITS: usize = 12;

/// How an agent stands to the newest snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It serves all of it.
    Acknowledged,
    /// It serves all of it but what it refuses.
    Refuses,
    /// It has not answered the newest step yet.
    Behind,
    /// It has not acknowledged anything yet.
    New,
}

impl Standing {
    /// How `agent` stands to `newest`, or to the newest of its own, if it is not given all Gateways.
    pub fn of(agent: &AgentStatus, newest: Option<&Version>) -> Self {
        let Some(held) = &agent.acknowledged else {
            return Self::New;
        };
        let newest = agent.newest.as_ref().or(newest);
        if newest.is_some_and(|newest| newest.digest != held.digest) {
            Self::Behind
        } else if agent.rejected.is_empty() {
            Self::Acknowledged
        } else {
            Self::Refuses
        }
    }

    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "ACK",
            Self::Refuses => "NACK",
            Self::Behind => "BEHIND",
            Self::New => "NEW",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Acknowledged => Tone::Good,
            Self::Refuses => Tone::Bad,
            Self::Behind | Self::New => Tone::Doubtful,
        }
    }
}

/// The table of agents, and below it the words of those that refuse something.
pub fn text(
    agents: &[AgentStatus],
    newest: Option<&Version>,
    now: Timestamp,
    paint: Paint,
) -> String {
    let mut table = Table::new(vec![
        "NODE",
        "SNAPSHOT",
        "STATE",
        "REFUSED",
        "SINCE",
        "CONNECTED",
        "ADDRESS",
        "VERSION",
    ]);
    for agent in agents {
        let standing = Standing::of(agent, newest);
        let version = agent.node.as_ref().map_or("", |n| n.agent_version.as_str());
        table.push(vec![
            Cell::plain(node(agent)),
            Cell::plain(
                agent
                    .acknowledged
                    .as_ref()
                    .map_or_else(|| "<none>".to_owned(), short),
            ),
            Cell::toned(standing.as_str(), standing.tone()),
            Cell::plain(agent.rejected.len().to_string()),
            Cell::plain(since_ms(agent.acknowledged_at_ms, now)),
            Cell::plain(since_ms(agent.connected_at_ms, now)),
            Cell::plain(&agent.peer_address),
            Cell::plain(version),
        ]);
    }
    let mut text = table.render(0, paint);
    for agent in agents.iter().filter(|agent| !agent.rejected.is_empty()) {
        text.extend(["\n", &harmless(node(agent)), " refuses:\n"]);
        for refused in &agent.rejected {
            let name = painted(&harmless(&refused.name), Tone::Bad, paint);
            text.extend(["  ", &name, "\n    ", &harmless(&refused.error), "\n"]);
        }
    }
    text
}

/// The agents for programs.
pub fn document(agents: &[AgentStatus], newest: Option<&Version>) -> Value {
    let agents: Vec<Value> = agents
        .iter()
        .map(|agent| {
            let refused = agent.rejected.iter().map(|refused| {
                json!({"resource": refused.name, "version": refused.version, "error": refused.error})
            });
            json!({
                "node": node(agent),
                "labels": agent.node.as_ref().map(|node| node.labels.clone().into_iter().collect::<std::collections::BTreeMap<_, _>>()),
                "agentVersion": agent.node.as_ref().map(|node| node.agent_version.clone()),
                "address": agent.peer_address,
                "state": Standing::of(agent, newest).as_str(),
                "acknowledged": agent.acknowledged.as_ref().map(version),
                "sent": agent.sent.as_ref().map(version),
                "connectedAtMs": agent.connected_at_ms,
                "acknowledgedAtMs": agent.acknowledged_at_ms,
                "refused": refused.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({"newest": newest.map(version), "agents": agents})
}

/// A version as `sequence (digest)`, the digest cut.
pub fn short(version: &Version) -> String {
    let digest: String = version.digest.chars().take(DIGEST_DIGITS).collect();
    format!("{} ({digest})", version.sequence)
}

/// A version for programs.
pub fn version(version: &Version) -> Value {
    json!({"sequence": version.sequence, "digest": version.digest})
}
