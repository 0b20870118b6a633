//! The text of each view, from a system with something of everything: `tests/golden/*.txt`.
//!
//! `UPDATE_GOLDEN=1` rewrites the files.

use std::{fs, path::PathBuf};

use k8s_openapi::jiff::Timestamp;
use novactl::{
    agents, describe,
    findings::{Fleet, report},
    listing::{self, Namespaces, Width},
    object::{Inventory, JUDGED_KINDS, Resource},
    source::FolderSource,
    table::Paint,
};
use novaedge_api::meta::Kind;
use novaedge_proto::v1::{AgentStatus, Node, RejectedResource, Version};

/// The time of all views.
const NOW: &str = "2026-11-25T00:00:00Z";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn inventory() -> Inventory {
    let (manifests, state) = (folder().join("manifests"), folder().join("state"));
    let source = FolderSource::new(Some(&manifests), &state);
    source.load().expect("an inventory")
}

fn check(name: &str, found: &str) {
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, found).expect("the file can be written");
    }
    let expect = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expect,
        "{name}.txt differs; see with UPDATE_GOLDEN=1 cargo test -p novactl --test golden\n{found}"
    );
}

fn version(sequence: u64) -> Version {
    Version {
        sequence,
        digest: format!("{sequence:02}").repeat(32),
    }
}

/// An agent that has `held`, connected for two hours and acknowledged for a minute.
fn agent(id: &str, held: Option<Version>, rejected: Vec<RejectedResource>) -> AgentStatus {
    let ago = |seconds: i64| (now().as_second() - seconds) * 1_000;
    AgentStatus {
        node: Some(Node {
            id: id.into(),
            agent_version: "0.1.0".into(),
            ..Node::default()
        }),
        peer_address: "10.0.0.7:40000".into(),
        acknowledged_at_ms: held.as_ref().map_or(0, |_| ago(60)),
        acknowledged: held,
        sent: None,
        connected_at_ms: ago(7_200),
        rejected,
        ..AgentStatus::default()
    }
}

fn fleet() -> Vec<AgentStatus> {
    let rejected = RejectedResource {
        name: "listener/default/edge/http".into(),
        version: "0123".into(),
        error: "cannot listen on 127.0.0.1:18180: address in use".into(),
    };
    vec![
        agent("edge-a", Some(version(42)), Vec::new()),
        agent("edge-b", Some(version(42)), vec![rejected]),
        agent("edge-c", Some(version(41)), Vec::new()),
        agent("edge-d", None, Vec::new()),
    ]
}

#[test]
fn objects_are_listed() {
    let inventory = inventory();
    let mut narrow = String::new();
    let mut wide = String::new();
    for kind in JUDGED_KINDS {
        let resources: Vec<&Resource> = inventory.of_kind(kind).collect();
        if resources.is_empty() {
            continue;
        }
        let render = |namespaces, width| {
            listing::table(kind, &resources, namespaces, width, now()).render(0, Paint::Plain)
        };
        let kind = kind.as_str();
        narrow.extend([kind, "\n", &render(Namespaces::One, Width::Narrow), "\n"]);
        wide.extend([kind, "\n", &render(Namespaces::All, Width::Wide), "\n"]);
    }
    check("lists", &narrow);
    check("lists-wide", &wide);
}

#[test]
fn a_gateway_is_described() {
    let inventory = inventory();
    let gateway = inventory.get(Kind::Gateway, "default", "edge");
    let gateway = gateway.expect("a Gateway");
    let text = describe::gateway(&inventory, gateway, now(), Paint::Plain);
    check("describe-gateway", &text);
}

#[test]
fn a_foreign_gateway_is_described_by_what_is_known() {
    let inventory = inventory();
    let gateway = inventory.get(Kind::Gateway, "default", "foreign");
    let gateway = gateway.expect("a Gateway");
    let text = describe::gateway(&inventory, gateway, now(), Paint::Plain);
    check("describe-foreign-gateway", &text);
}

#[test]
fn everything_that_needs_a_fix_is_told() {
    let known = Fleet::Known {
        agents: fleet(),
        newest: Some(version(42)),
    };
    let report_of = |fleet| report(&inventory(), fleet);
    check("status", &report_of(known.clone()).text(Paint::Plain));
    check("status-in-colours", &report_of(known).text(Paint::Colours));
    let silent = Fleet::Unknown("no control plane answers".into());
    check(
        "status-without-an-answer",
        &report_of(silent).text(Paint::Plain),
    );
    let none = Fleet::Known {
        agents: Vec::new(),
        newest: Some(version(42)),
    };
    assert!(report_of(none).findings.contains_key("agents"));
}

#[test]
fn agents_are_told_by_what_they_hold_and_refuse() {
    let text = agents::text(&fleet(), Some(&version(42)), now(), Paint::Plain);
    check("agents", &text);
    let document = agents::document(&fleet(), Some(&version(42)));
    let states: Vec<&str> = document["agents"]
        .as_array()
        .expect("agents")
        .iter()
        .filter_map(|agent| agent["state"].as_str())
        .collect();
    assert_eq!(states, ["ACK", "NACK", "BEHIND", "NEW"]);
}
