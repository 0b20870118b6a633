//! What would become of a request: the judgement of the agents' own code over the tables of a snapshot, in words.

mod asked;
mod judged;
mod missed;
mod near;
mod shares;
mod view;

use std::net::IpAddr;

use novaedge_proto::v1::Resource;
use novaedge_router::TablesBuilder;
use serde::Serialize;

pub use asked::{Asked, AskedError, Words};

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// What was asked.
    pub request: Request,
    /// The listener that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Listener>,
    /// The rule that wins it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// What the client gets.
    pub answer: Answer,
    /// The rules that might have taken it, where none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Candidates>,
}

/// Rules of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidates {
    /// Those for the host first.
    pub rules: Vec<Candidate>,
    /// Those that are not told.
    pub more: usize,
}

/// A rule, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The rule.
    pub rule: String,
    /// Hostnames of its route; none stands for all.
    pub hostnames: Vec<String>,
    /// What it takes: any of these.
    pub matches: Vec<String>,
    /// The fewest parts of the request that must be others for it; empty where that is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misses: Vec<&'static str>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its URL.
    pub url: String,
    /// Its `Host`, where it is not that of the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The server name of its TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The address of its client, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its Gateway: `namespace/name`.
    pub gateway: String,
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Its hostname.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Its name in the snapshot.
    pub resource: String,
}

/// A rule of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The route's kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The rule's position in the route, from 0.
    pub index: u32,
    /// The rule's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<String>,
    /// The path that it matches by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it does to requests and answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "from")]
pub enum Answer {
    /// No answer: there is no connection, or it ends.
    Nobody {
        /// Why.
        why: String,
    },
    /// The gateway's own.
    Gateway(Own),
    /// That of a backend.
    Backends {
        /// In the order of the rule.
        shares: Vec<Share>,
    },
}

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// Its status.
    pub status: u16,
    /// The word for it in metrics, where it is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Why.
    pub why: String,
    /// Where it sends the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A backend with its share of the rule's requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Its weight.
    pub weight: u32,
    /// Its name; none where the reference is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// What is done to its requests and answers alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// Its ready endpoints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The endpoint that has the requests of the client that was asked about, while all are well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_client: Option<String>,
    /// What the gateway answers in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Own>,
    /// Why connections are closed in its place: they have no answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
}

/// Several Gateways listen where the request goes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("several Gateways listen on port {port} ({}): choose one with --gateway", gateways.join(", "))]
pub struct Ambiguous {
    /// The port.
    pub port: u16,
    /// `namespace/name`.
    pub gateways: Vec<String>,
}

/// Explains what would become of a request, by the resources of a snapshot.
pub fn explain(resources: &[Resource], asked: &Asked) -> Result<Told, Ambiguous> {
    let mut builder = TablesBuilder::new();
    // What cannot be used is not served, and so not found.
    let (tables, _rejected) = builder.apply(resources.iter().cloned(), &[]);
    judged::judge(resources, &tables, asked)
}

impl Told {
    /// Whether the client gets no error.
    pub fn is_well(&self) -> bool {
        let good = |own: &Own| own.status < 400;
        match &self.answer {
            Answer::Nobody { .. } => false,
            Answer::Gateway(own) => good(own),
            Answer::Backends { shares } => shares
                .iter()
                .all(|share| share.closed.is_none() && share.instead.as_ref().is_none_or(good)),
        }
    }
}
