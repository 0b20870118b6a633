//! What was written to the API server of the project's own cluster, by its audit log.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

use serde_json::Value;

use super::{SYSTEM, parts::state};

/// The writes from one moment on.
pub struct Audit {
    from: u64,
}

/// A write of NovaEdge to the API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// `create`, `patch`, `update`, `delete`.
    pub verb: String,
    /// Resource, with its subresource: `httproutes/status`.
    pub resource: String,
    /// Namespace and name.
    pub object: String,
}

impl Audit {
    /// Begins now.
    pub fn begin() -> Self {
        let from = log().metadata().expect("a file").len();
        Self { from }
    }

    /// What NovaEdge has written since the begin, the Lease left out, each with how often.
    pub fn writes(&self) -> BTreeMap<Write, usize> {
        let mut log = log();
        // A log that was rotated meanwhile is read from its start.
        if log.metadata().expect("a file").len() >= self.from {
            log.seek(SeekFrom::Start(self.from)).expect("a file");
        }
        let mut text = String::new();
        log.read_to_string(&mut text).expect("text");
        let mut writes = BTreeMap::new();
        for line in text.lines() {
            // The last line may be half there.
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if let Some(write) = ours(&event) {
                *writes.entry(write).or_default() += 1;
            }
        }
        writes
    }
}

fn log() -> File {
    let path = state().join("log/audit.log");
    File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn ours(event: &Value) -> Option<Write> {
    let user = event["user"]["username"].as_str()?;
    let us = format!("system:serviceaccount:{SYSTEM}:");
    let reference = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut resource = text(&reference["resource"]);
    // Reviews of tokens are questions.
    if !user.starts_with(&us) || ["leases", "tokenreviews"].contains(&resource.as_str()) {
        return None;
    }
    if let Some(part) = reference["subresource"].as_str() {
        resource = format!("{resource}/{part}");
    }
    Some(Write {
        verb: text(&event["verb"]),
        resource,
        object: format!(
            "{}/{}",
            text(&reference["namespace"]),
            text(&reference["name"])
        ),
    })
}
