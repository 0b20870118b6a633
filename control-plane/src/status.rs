//! Writes statuses beside the files: `<state>/status/<Kind>/<namespace>/<name>.yaml` (without the
//! namespace for cluster-scoped kinds), and `<state>/status/diagnostics.yaml` with all problems.
//!
//! Each file is an object with `apiVersion`, `kind`, `metadata` and `status`, as Kubernetes shows it.
//! The folder survives a restart, so a condition keeps the time of its last transition.

mod folder;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::ObjectId;
use novaedge_translate::{DesiredStatus, names::api_version};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::folder::StatusFolder;
use crate::{findings::Findings, problem::Problem};

/// Keeps a folder of statuses as they are.
#[derive(Debug)]
pub struct StatusWriter {
    folder: StatusFolder,
    /// What the files hold.
    written: BTreeMap<ObjectId, Value>,
    /// Objects whose file could not be written.
    failed: BTreeSet<ObjectId>,
    /// The problems that were written, and how many are left out.
    told: Option<(Vec<Problem>, usize)>,
    /// Up to where the findings were followed; absent before the first.
    revision: Option<u64>,
}

/// What there is to write.
#[derive(Debug)]
struct Changes {
    /// The status of an object, or that it has none any more.
    statuses: BTreeMap<ObjectId, Option<Value>>,
    /// The problems and how many are left out; absent when they are as before.
    problems: Option<(Vec<Problem>, usize)>,
    revision: u64,
}

impl StatusWriter {
    /// A writer into `<state>/status`. What is there from before stays until it is known what to
    /// replace it with.
    pub fn new(state: &Path) -> io::Result<Self> {
        let folder = StatusFolder::open(state.join("status"))?;
        Ok(Self {
            written: folder.read(),
            folder,
            failed: BTreeSet::new(),
            told: None,
            revision: None,
        })
    }

    /// Writes each change until the pipeline is gone.
    pub async fn run(mut self, mut findings: watch::Receiver<Findings>) {
        while findings.changed().await.is_ok() {
            let changes = self.changes(&findings.borrow_and_update());
            let write = tokio::task::spawn_blocking(move || {
                self.write(changes, Timestamp::now());
                self
            });
            let Ok(back) = write.await else { return };
            self = back;
        }
    }

    /// What changed since the last time: all that the files hold and shall hold, at first.
    fn changes(&self, findings: &Findings) -> Changes {
        let followed = self.revision.and_then(|r| findings.changed_since(r));
        let ids: BTreeSet<&ObjectId> = match followed {
            Some(ids) => ids.into_iter().chain(&self.failed).collect(),
            None => self
                .written
                .keys()
                .chain(findings.statuses.keys())
                .collect(),
        };
        let status = |id: &ObjectId| (id.clone(), findings.statuses.get(id).map(to_value));
        let told = self.told.as_ref().is_some_and(|(problems, omitted)| {
            *problems == findings.problems && *omitted == findings.omitted
        });
        Changes {
            statuses: ids.into_iter().map(status).collect(),
            problems: (!told).then(|| (findings.problems.clone(), findings.omitted)),
            revision: findings.revision(),
        }
    }

    /// Writes what changed, with `now` as the time of transitions. What cannot be written is tried
    /// again with the next change.
    fn write(&mut self, changes: Changes, now: Timestamp) {
        self.revision = Some(changes.revision);
        // Kubernetes has times of whole seconds.
        let now = Timestamp::from_second(now.as_second())
            .unwrap_or(now)
            .to_string();
        for (id, status) in changes.statuses {
            match self.write_one(&id, status, &now) {
                Ok(()) => {
                    self.failed.remove(&id);
                }
                Err(error) => {
                    tracing::warn!(%error, object = %id, "a status cannot be written");
                    self.failed.insert(id);
                }
            }
        }
        if let Some((problems, omitted)) = changes.problems {
            let diagnostics = json!({"problems": problems, "omitted": omitted});
            match self.folder.write_diagnostics(&diagnostics) {
                Ok(()) => self.told = Some((problems, omitted)),
                Err(error) => tracing::warn!(%error, "the problems cannot be written"),
            }
        }
    }

    fn write_one(&mut self, id: &ObjectId, status: Option<Value>, now: &str) -> io::Result<()> {
        let before = self.written.get(id);
        let Some(mut status) = status else {
            self.folder.remove(id)?;
            self.written.remove(id);
            return Ok(());
        };
        stamp(&mut status, before, now);
        if before == Some(&status) {
            return Ok(());
        }
        self.folder.write(id, &object(id, &status))?;
        self.written.insert(id.clone(), status);
        Ok(())
    }
}

/// The `status` field as the Gateway API has it.
pub fn to_value(status: &DesiredStatus) -> Value {
    match status {
        DesiredStatus::GatewayClass(status) => json!(status),
        DesiredStatus::Gateway(status) => json!(status),
        DesiredStatus::ListenerSet(status) => json!(status),
        DesiredStatus::Route(parents) => json!({"parents": parents}),
        DesiredStatus::BackendTlsPolicy(ancestors) => json!({"ancestors": ancestors}),
        DesiredStatus::Ingress(status) => json!(status),
    }
}

/// An object that consists of its status, the way Kubernetes shows it.
pub fn object(id: &ObjectId, status: &Value) -> Value {
    let mut metadata = json!({"name": id.key.name});
    if !id.key.namespace.is_empty() {
        metadata["namespace"] = id.key.namespace.clone().into();
    }
    json!({
        "apiVersion": api_version(id.kind),
        "kind": id.kind.as_str(),
        "metadata": metadata,
        "status": status,
    })
}

/// The fields that tell items of a list apart.
const KEYS: [&str; 4] = ["type", "name", "parentRef", "ancestorRef"];

/// Sets transition times: the one before where a condition kept its status, else `now`.
fn stamp(value: &mut Value, before: Option<&Value>, now: &str) {
    match value {
        Value::Array(items) => {
            let before = before.and_then(Value::as_array);
            for item in items {
                let key = KEYS.iter().find(|key| item.get(key).is_some());
                let same = key.and_then(|key| {
                    let mut before = before.into_iter().flatten();
                    before.find(|old| old.get(key) == item.get(key))
                });
                stamp(item, same, now);
            }
        }
        Value::Object(fields) => {
            if fields.contains_key("lastTransitionTime") {
                let kept = before
                    .filter(|before| before.get("status") == fields.get("status"))
                    .and_then(|before| before.get("lastTransitionTime").cloned());
                fields.insert(
                    "lastTransitionTime".to_owned(),
                    kept.unwrap_or_else(|| now.into()),
                );
                return;
            }
            for (name, field) in fields.iter_mut() {
                stamp(field, before.and_then(|before| before.get(name)), now);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
