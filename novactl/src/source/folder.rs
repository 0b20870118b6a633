//! A folder of manifests and the statuses that `novaedge run` writes below its state folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use novaedge_api::{
    gateway::served_versions,
    meta::{Kind, Object, ObjectId},
};
use novaedge_control_plane::{folder, problem::Problem, translate::Translation};
use novaedge_store::Change;
use serde_json::{Value, json};

use super::SourceError;
use crate::{
    certificate::CertificateFacts,
    object::{Inventory, JUDGED_KINDS, Resource, number, text},
};

/// The file of problems among the status files.
const DIAGNOSTICS: &str = "diagnostics.yaml";

/// Where a standalone system keeps what users wrote and what it says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderSource {
    manifests: Option<PathBuf>,
    statuses: PathBuf,
}

impl FolderSource {
    /// A source over a state folder, and over the manifests unless they are not known.
    pub fn new(manifests: Option<&Path>, state: &Path) -> Self {
        Self {
            manifests: manifests.map(Path::to_path_buf),
            statuses: state.join("status"),
        }
    }

    /// Reads all files.
    pub fn load(&self) -> Result<Inventory, SourceError> {
        let mut inventory = Inventory::default();
        if let Some(manifests) = &self.manifests {
            read_manifests(manifests, &mut inventory)?;
        }
        if !self.statuses.is_dir() {
            return Err(SourceError::NoStatuses {
                folder: self.statuses.clone(),
            });
        }
        self.read_statuses(&mut inventory)?;
        Ok(inventory)
    }

    fn read_statuses(&self, inventory: &mut Inventory) -> Result<(), SourceError> {
        for file in yaml_files(&self.statuses) {
            let Some(text) = read(&file)? else { continue };
            let unreadable = |reason: String| SourceError::Status {
                file: file.clone(),
                reason,
            };
            if file.file_name().is_some_and(|name| name == DIAGNOSTICS) {
                let found: Diagnostics =
                    parse(&text).map_err(|error| unreadable(error.to_string()))?;
                inventory.problems = found.problems;
                inventory.omitted = found.omitted;
                continue;
            }
            let value: Value = parse(&text).map_err(|error| unreadable(error.to_string()))?;
            if let Some(id) = id_of(&value) {
                merge(inventory, id, &value);
            }
        }
        Ok(())
    }
}

/// Manifests with the statuses that they would have, and what is wrong with them.
pub fn translated(manifests: &Path, translation: &Translation) -> Result<Inventory, SourceError> {
    let mut inventory = Inventory::default();
    read_manifests(manifests, &mut inventory)?;
    for status in &translation.statuses {
        if let Some(id) = id_of(status) {
            merge(&mut inventory, id, status);
        }
    }
    inventory.problems.clone_from(&translation.problems);
    Ok(inventory)
}

/// What `novaedge run` says is wrong.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Diagnostics {
    problems: Vec<Problem>,
    /// How many more there are than the list holds.
    omitted: usize,
}

/// Parses a status file; one that is still empty is like one that is not there.
fn parse<T: serde::de::DeserializeOwned + Default>(text: &str) -> Result<T, serde_saphyr::Error> {
    if text.trim().is_empty() {
        return Ok(T::default());
    }
    serde_saphyr::from_str(text)
}

/// The text of a file; none when it went since the folder was listed.
fn read(file: &Path) -> Result<Option<String>, SourceError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SourceError::Status {
            file: file.to_path_buf(),
            reason: error.to_string(),
        }),
    }
}

fn read_manifests(manifests: &Path, inventory: &mut Inventory) -> Result<(), SourceError> {
    let batch = folder::FolderSource::read(manifests).map_err(|error| SourceError::Manifests {
        folder: manifests.to_path_buf(),
        reason: reason(&error),
    })?;
    for change in batch.changes {
        let Change::Upsert(object) = change else {
            continue;
        };
        match &object {
            Object::Secret(secret) => {
                let facts = CertificateFacts::of(secret);
                inventory.certificates.insert(object.key(), facts);
            }
            object if JUDGED_KINDS.contains(&object.kind()) => {
                let id = object.id();
                // A type of the API always has a JSON form.
                let mut value = object.to_value().unwrap_or(Value::Null);
                // What the running system says counts, not what an export of another one said.
                if let Some(fields) = value.as_object_mut() {
                    fields.remove("status");
                }
                // Only the running system has counted the changes.
                if let Some(metadata) = value["metadata"].as_object_mut() {
                    metadata.remove("generation");
                }
                let resource = Resource {
                    id: id.clone(),
                    value,
                };
                inventory.resources.insert(id, resource);
            }
            _ => {}
        }
    }
    Ok(())
}

fn reason(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Puts a status to its object, or makes an object that has a status alone.
fn merge(inventory: &mut Inventory, id: ObjectId, written: &Value) {
    let status = written.get("status").cloned().unwrap_or(Value::Null);
    let resource = inventory
        .resources
        .entry(id)
        .or_insert_with_key(|id| Resource {
            id: id.clone(),
            value: bare(id),
        });
    resource.value["status"] = status;
    if let Some(generation) = number(written, "/metadata/generation") {
        resource.value["metadata"]["generation"] = generation.into();
    }
}

fn bare(id: &ObjectId) -> Value {
    let group = id.kind.group();
    let version = served_versions(id.kind.as_str()).first().unwrap_or(&"v1");
    let mut metadata = json!({"name": id.key.name});
    if !id.key.namespace.is_empty() {
        metadata["namespace"] = id.key.namespace.clone().into();
    }
    json!({
        "apiVersion": format!("{group}/{version}"),
        "kind": id.kind.as_str(),
        "metadata": metadata,
    })
}

fn id_of(value: &Value) -> Option<ObjectId> {
    let kind = text(value, "/kind");
    let kind = Kind::ALL.iter().copied().find(|k| k.as_str() == kind)?;
    let name = text(value, "/metadata/name");
    Some(ObjectId::new(
        kind,
        text(value, "/metadata/namespace"),
        name,
    ))
}

/// The YAML files below a folder, sorted.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // A folder that went since it was listed has no files.
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use novaedge_api::meta::Kind;

    use super::{FolderSource, SourceError};
    use crate::certificate::CertificateFacts;

    const CLASS: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: a}\n\
        spec: {controllerName: x/y}\nstatus: {conditions: [{type: Old}]}\n---\n\
        apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {tls.key: hidden}\n";
    const STATUS: &str = "kind: GatewayClass\nmetadata: {name: a}\nstatus:\n  supportedFeatures: [{name: Gateway}]\n";

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    #[test]
    fn the_running_systems_status_replaces_the_written_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join(".novaedge");
        write(&folder.path().join("a.yaml"), CLASS);
        write(&state.join("status/GatewayClass/a.yaml"), STATUS);
        let inventory = FolderSource::new(Some(folder.path()), &state)
            .load()
            .expect("an inventory");
        let class = inventory.get(Kind::GatewayClass, "", "a").expect("a class");
        assert_eq!(class.text("/spec/controllerName"), Some("x/y"));
        assert_eq!(class.list("/status/supportedFeatures").len(), 1);
        assert!(class.list("/status/conditions").is_empty());
        assert_eq!(class.value["metadata"].get("generation"), None);
        assert_eq!(inventory.resources.len(), 1, "a Secret is no resource");
        let facts: Vec<_> = inventory.certificates.values().collect();
        assert_eq!(facts, [&CertificateFacts::Unreadable]);
    }

    #[test]
    fn without_manifests_an_object_has_its_status_alone() {
        let state = tempfile::tempdir().expect("a folder");
        write(&state.path().join("status/GatewayClass/a.yaml"), STATUS);
        write(
            &state.path().join("status/diagnostics.yaml"),
            "problems: [{severity: error, reason: R, message: m}]\nomitted: 2\n",
        );
        let inventory = FolderSource::new(None, state.path())
            .load()
            .expect("an inventory");
        let class = inventory.get(Kind::GatewayClass, "", "a").expect("a class");
        assert!(!class.has_spec());
        assert_eq!(
            class.text("/apiVersion"),
            Some("gateway.networking.k8s.io/v1")
        );
        assert_eq!((inventory.problems.len(), inventory.omitted), (1, 2));
    }

    #[test]
    fn a_folder_that_is_not_served_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = FolderSource::new(Some(folder.path()), &folder.path().join("x")).load();
        assert!(matches!(error, Err(SourceError::NoStatuses { .. })));
        let error = FolderSource::new(Some(&folder.path().join("none")), folder.path()).load();
        assert!(matches!(error, Err(SourceError::Manifests { .. })));
    }
}
