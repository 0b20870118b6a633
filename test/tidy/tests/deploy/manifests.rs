//! Reading `deploy/kustomize` as kustomize would, as far as it is used.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use novaedge_tidy::repository_root;
use serde_json::Value;

/// An object, and the file that it is from.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub file: String,
    pub object: Value,
}

/// All overlays.
pub const OVERLAYS: [&str; 3] = ["dev", "fleet", "ha"];

/// What an overlay comes to.
#[derive(Debug, Default)]
pub struct Set {
    pub resources: Vec<Manifest>,
    pub patches: Vec<Manifest>,
    pub renamed_images: Vec<String>,
    pub replicas: Vec<String>,
    files: BTreeSet<PathBuf>,
}

impl Manifest {
    pub fn kind(&self) -> &str {
        text(&self.object["kind"])
    }

    pub fn is(&self, kind: &str) -> bool {
        self.kind() == kind
    }

    pub fn name(&self) -> &str {
        text(&self.object["metadata"]["name"])
    }

    /// Empty: it has none.
    pub fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or("")
    }
}

/// The string that must stand here.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

pub fn pod(deployment: &Manifest) -> &Value {
    &deployment.object["spec"]["template"]["spec"]
}

pub fn containers(one: &Manifest) -> impl Iterator<Item = &Value> {
    pod(one)["containers"].as_array().into_iter().flatten()
}

pub fn images(one: &Manifest) -> impl Iterator<Item = &str> {
    containers(one).map(|container| text(&container["image"]))
}

fn folder() -> PathBuf {
    repository_root().join("deploy/kustomize")
}

/// The overlay of that name, with all that it is made of.
pub fn read(overlay: &str) -> Set {
    let mut set = Set::default();
    set.read(&folder().join("overlays").join(overlay));
    set
}

/// No manifest lies about that nobody applies.
pub fn every_file_is_listed() {
    let mut listed: BTreeSet<PathBuf> = BTreeSet::new();
    for overlay in OVERLAYS {
        listed.extend(read(overlay).files);
    }
    let mut folders = vec![folder()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.canonicalize().expect("it exists");
                assert!(
                    listed.contains(&path),
                    "{} is listed nowhere",
                    path.display()
                );
            }
        }
    }
}

impl Set {
    fn read(&mut self, folder: &Path) {
        let file = folder.join("kustomization.yaml");
        let kustomization = self.objects(&file).remove(0).object;
        let known = [
            "apiVersion",
            "kind",
            "namespace",
            "resources",
            "images",
            "replicas",
            "patches",
        ];
        for field in kustomization.as_object().expect("an object").keys() {
            assert!(
                known.contains(&field.as_str()),
                "{}: {field}: teach this test",
                file.display()
            );
        }
        for resource in list(&kustomization, "resources") {
            let path = folder.join(text(resource));
            if path.is_dir() {
                self.read(&path);
            } else {
                let objects = self.objects(&path);
                self.resources.extend(objects);
            }
        }
        for patch in list(&kustomization, "patches") {
            let objects = self.objects(&folder.join(text(&patch["path"])));
            self.patches.extend(objects);
        }
        let names = |field| {
            let all = list(&kustomization, field).iter();
            all.map(|one| text(&one["name"]).to_owned())
        };
        self.renamed_images.extend(names("images"));
        self.replicas.extend(names("replicas"));
    }

    fn objects(&mut self, path: &Path) -> Vec<Manifest> {
        let content = fs::read_to_string(path);
        let content = content.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.files.insert(path.canonicalize().expect("it exists"));
        let file = path.display().to_string();
        // A comment may stand before the first object.
        content
            .split("\n---\n")
            .map(|document| Manifest {
                object: serde_saphyr::from_str(document)
                    .unwrap_or_else(|error| panic!("{file}: {error}")),
                file: file.clone(),
            })
            .collect()
    }
}

fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}
