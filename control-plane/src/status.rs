//! Writes statuses beside the files: one YAML file per object, and one with all problems.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::ObjectId;
use novaedge_translate::DesiredStatus;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{pipeline::Findings, problem::Problem};

/// Keeps a folder of statuses as they are.
pub struct StatusWriter {
    folder: PathBuf,
    written: BTreeMap<ObjectId, Value>,
    problems: Option<Vec<Problem>>,
}

impl StatusWriter {
    /// A writer into `<state>/status`; what is there from before is removed.
    pub fn new(state: &Path) -> io::Result<Self> {
        let folder = state.join("status");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self {
            folder,
            written: BTreeMap::new(),
            problems: None,
        })
    }

    /// Writes each change until the pipeline is gone.
    pub async fn run(mut self, mut findings: watch::Receiver<Findings>) {
        while findings.changed().await.is_ok() {
            let now = findings.borrow_and_update().clone();
            let write = tokio::task::spawn_blocking(move || {
                if let Err(error) = self.write(&now, Timestamp::now()) {
                    tracing::warn!(%error, "statuses cannot be written");
                }
                self
            });
            let Ok(back) = write.await else { return };
            self = back;
        }
    }

    /// Writes what changed, with `now` as the time of transitions.
    fn write(&mut self, findings: &Findings, now: Timestamp) -> io::Result<()> {
        let gone: Vec<ObjectId> = self
            .written
            .keys()
            .filter(|id| !findings.statuses.contains_key(id))
            .cloned()
            .collect();
        for id in gone {
            fs::remove_file(self.file(&id))?;
            self.written.remove(&id);
        }
        for (id, status) in &findings.statuses {
            let mut status = to_value(status);
            stamp(&mut status, self.written.get(id), &now.to_string());
            if self.written.get(id) == Some(&status) {
                continue;
            }
            let mut metadata = json!({"name": id.key.name});
            if !id.key.namespace.is_empty() {
                metadata["namespace"] = id.key.namespace.clone().into();
            }
            let object = json!({"kind": id.kind.as_str(), "metadata": metadata, "status": status});
            replace(&self.file(id), &yaml(&object)?)?;
            self.written.insert(id.clone(), status);
        }
        if self.problems.as_ref() != Some(&findings.problems) {
            replace(
                &self.folder.join("diagnostics.yaml"),
                &yaml(&findings.problems)?,
            )?;
            self.problems = Some(findings.problems.clone());
        }
        Ok(())
    }

    fn file(&self, id: &ObjectId) -> PathBuf {
        let folder = self.folder.join(id.kind.as_str());
        let folder = if id.key.namespace.is_empty() {
            folder
        } else {
            folder.join(&id.key.namespace)
        };
        folder.join(format!("{}.yaml", id.key.name))
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
    }
}

/// Sets transition times: the one before where a condition kept its status, else `now`.
fn stamp(value: &mut Value, before: Option<&Value>, now: &str) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let same = before.and_then(Value::as_array).and_then(|old| {
                    let key = ["type", "name"]
                        .iter()
                        .find_map(|key| Some((*key, item.get(key)?)));
                    match key {
                        Some((key, name)) => old.iter().find(|o| o.get(key) == Some(name)),
                        None => old.get(index),
                    }
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

fn yaml(value: &impl serde::Serialize) -> io::Result<String> {
    serde_saphyr::to_string(value).map_err(io::Error::other)
}

/// Writes a file so that readers see the old or the new text.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let condition = |status: &str, time: &str| {
            json!({"listeners": [{"name": "a", "conditions": [
                {"type": "Accepted", "status": status, "lastTransitionTime": time}]}]})
        };
        let mut same = condition("True", "epoch");
        stamp(&mut same, Some(&condition("True", "then")), "now");
        assert_eq!(same, condition("True", "then"));
        let mut other = condition("False", "epoch");
        stamp(&mut other, Some(&condition("True", "then")), "now");
        assert_eq!(other, condition("False", "now"));
    }
}
