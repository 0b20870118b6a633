//! Snapshots for people: what the agents are sent, without private keys.

mod diff;
mod part;
mod summary;

use novaedge_control_plane::inspect::resource;
use novaedge_proto::v1::Version;
use serde_json::{Value, json};

pub use diff::{Difference, diff};
pub use part::part_of;

use crate::{
    agents::version,
    object::text,
    server::Fetched,
    table::{Cell, Table},
};

/// Digits of a resource's version that a table shows.
const VERSION_DIGITS: usize = 12;

/// A snapshot, or a part of one, as JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Its version; none in a file without one.
    pub version: Option<Version>,
    /// `{name, version, <type>: {...}}`, sorted by name.
    pub resources: Vec<Value>,
}

/// Why a text is not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Neither JSON nor YAML.
    #[error("neither JSON nor YAML: {0}")]
    Syntax(String),
    /// Something else than a snapshot.
    #[error(
        "no snapshot: the list 'resources' is missing; save one with 'novactl snapshot get -o yaml'"
    )]
    NoSnapshot,
}

impl Snapshot {
    /// A fetched snapshot as JSON.
    pub fn of(fetched: &Fetched) -> Self {
        Self {
            version: Some(fetched.version.clone()),
            resources: fetched.resources.iter().map(resource).collect(),
        }
    }

    /// A snapshot that was saved with `-o json` or `-o yaml`.
    pub fn parse(saved: &str) -> Result<Self, SnapshotError> {
        let value: Value = serde_saphyr::from_str(saved)
            .map_err(|error| SnapshotError::Syntax(error.to_string()))?;
        let resources = value
            .get("resources")
            .and_then(Value::as_array)
            .ok_or(SnapshotError::NoSnapshot)?;
        let mut resources = resources.clone();
        resources.sort_by(|a, b| text(a, "/name").cmp(text(b, "/name")));
        let version = value.get("version").map(|version| Version {
            sequence: version
                .pointer("/sequence")
                .and_then(Value::as_u64)
                .unwrap_or(0),
            digest: text(version, "/digest").to_owned(),
        });
        Ok(Self { version, resources })
    }

    /// The snapshot for programs, and for [`Snapshot::parse`].
    pub fn document(&self) -> Value {
        json!({"version": self.version.as_ref().map(version), "resources": self.resources})
    }

    /// One line per resource.
    pub fn table(&self) -> Table {
        let mut table = Table::new(vec!["NAME", "VERSION", "WHAT"]);
        for resource in &self.resources {
            let digits: String = text(resource, "/version")
                .chars()
                .take(VERSION_DIGITS)
                .collect();
            table.push(vec![
                Cell::plain(text(resource, "/name")),
                Cell::plain(digits),
                Cell::plain(summary::of(resource)),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use novaedge_proto::v1::{Certificate, Resource, Version, resource::Body};

    use super::Snapshot;
    use crate::{output, server::Fetched};

    fn fetched() -> Fetched {
        let certificate = Certificate {
            chain_pem: b"a chain".as_slice().into(),
            private_key_pem: b"a secret".as_slice().into(),
            fingerprint: "ab12".into(),
        };
        Fetched {
            version: Version {
                sequence: 3,
                digest: "d1".into(),
            },
            resources: vec![Resource {
                name: "certificate/default/tls".into(),
                version: "v1".into(),
                body: Some(Body::Certificate(certificate)),
            }],
        }
    }

    #[test]
    fn a_private_key_is_shown_nowhere_even_if_a_control_plane_sends_it() {
        let snapshot = Snapshot::of(&fetched());
        let shown = snapshot.document().to_string();
        assert!(shown.contains("a chain"), "{shown}");
        assert!(!shown.contains("a secret"), "{shown}");
        assert!(!shown.contains("privateKey"), "{shown}");
    }

    #[test]
    fn what_is_saved_reads_back_as_the_same() {
        let snapshot = Snapshot::of(&fetched());
        let yaml = output::yaml(&snapshot.document()).expect("YAML");
        assert_eq!(Snapshot::parse(&yaml).expect("a snapshot"), snapshot);
        let json = output::json(&snapshot.document()).expect("JSON");
        assert_eq!(Snapshot::parse(&json).expect("a snapshot"), snapshot);
    }

    #[test]
    fn another_file_is_told_from_a_snapshot() {
        let error = Snapshot::parse("kind: HTTPRoute").expect_err("no snapshot");
        assert!(error.to_string().contains("snapshot get -o yaml"));
        assert!(Snapshot::parse("a: [").is_err());
    }
}
