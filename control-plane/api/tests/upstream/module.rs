//! The upstream module in Go's module cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use novaedge_api::gateway;
use novaedge_api::meta::Kind;
use serde_json::Value;

/// Releases that the tests read, the newest last.
pub const VERSIONS: [&str; 3] = ["v1.4.1", "v1.6.3", "v1.7.0"];

/// The folder of a release.
pub fn folder(version: &str) -> PathBuf {
    in_cache(&format!("sigs.k8s.io/gateway-api@{version}"))
}

/// The examples and the conformance suite's manifests of a release.
pub fn manifests(version: &str) -> Vec<PathBuf> {
    // The suite became a module of its own after v1.4.
    let suite = match version {
        "v1.4.1" => folder(version).join("conformance"),
        _ => in_cache(&format!("sigs.k8s.io/gateway-api/conformance@{version}")),
    };
    let folders = [
        folder(version).join("examples"),
        suite.join("base"),
        suite.join("tests"),
    ];
    folders
        .iter()
        .flat_map(|folder| yaml_files(folder))
        .collect()
}

/// # Panics
///
/// If the folder is not there: these tests must not be skipped.
fn in_cache(module: &str) -> PathBuf {
    let output = Command::new("go")
        .args(["env", "GOMODCACHE"])
        .output()
        .expect("Go must be installed: its module cache holds the upstream module");
    let cache = String::from_utf8(output.stdout).expect("a path in UTF-8");
    let folder = PathBuf::from(cache.trim()).join(module);
    assert!(
        folder.is_dir(),
        "{} is missing; run ./test/upstream/fetch.sh at the repository's root",
        folder.display()
    );
    folder
}

/// One served version of a kind and its schema.
pub struct Schema {
    /// Release, such as `v1.7.0`.
    pub release: &'static str,
    /// Kind as it stands in the CRD.
    pub name: String,
    /// `group/version`.
    pub api_version: String,
    /// The schema of the whole object.
    pub object: Value,
}

impl Schema {
    /// Release, version and kind.
    pub fn label(&self) -> String {
        format!("{} {} {}", self.release, self.api_version, self.name)
    }
}

/// The schemas of every served version of our kinds in a release's experimental channel.
pub fn schemas(release: &'static str) -> Vec<Schema> {
    let mut schemas = Vec::new();
    for crd in yaml_files(&folder(release).join("config/crd/experimental"))
        .iter()
        .flat_map(documents)
    {
        let (group, name) = (&crd["spec"]["group"], &crd["spec"]["names"]["kind"]);
        let (Some(group), Some(name)) = (group.as_str(), name.as_str()) else {
            continue;
        };
        if Kind::find(group, name).is_none() {
            continue;
        }
        for version in crd["spec"]["versions"].as_array().expect("versions") {
            if version["served"] != true {
                continue;
            }
            let version_name = version["name"].as_str().expect("a version's name");
            assert!(
                gateway::served_versions(name).contains(&version_name),
                "{release} serves {name} {version_name}"
            );
            schemas.push(Schema {
                release,
                name: name.to_owned(),
                api_version: format!("{group}/{version_name}"),
                object: version["schema"]["openAPIV3Schema"].clone(),
            });
        }
    }
    schemas
}

/// Every YAML file below a folder, sorted.
pub fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                pending.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The documents of a YAML file that hold something.
pub fn documents(file: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("the file can be read");
    // The suite fills these in before it applies a manifest.
    let text = text
        .replace("{GATEWAY_CONTROLLER_NAME}", "example.com/controller")
        .replace("PLACEHOLDER_USABLE_ADDRS", "192.0.2.1")
        .replace("PLACEHOLDER_UNUSABLE_ADDRS", "192.0.2.2");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect()
}
