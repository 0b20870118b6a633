//! What the folder holds, and how it differs from what it held before.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use novaedge_api::{
    decode::{DecodeError, decode, items},
    field::FieldError,
    meta::{Object, ObjectId},
    validate::validate,
};
use novaedge_store::Change;
use serde_json::Value;

use super::{
    locate::locate,
    scan::{MAX_FILES, Stamp, scan},
    text::{Piece, pieces},
};
use crate::{
    problem::Problem,
    source::{Batch, SourceError},
};

/// Largest file that is read.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// An object as a file holds it.
#[derive(Clone, Debug)]
struct Written {
    object: Object,
    /// Without metadata and status: a change of this is a new generation.
    content: Arc<Value>,
    line: u32,
}

#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    objects: Vec<Written>,
    problems: Vec<Problem>,
}

/// The files of a folder with their objects.
#[derive(Debug)]
pub(super) struct Contents {
    folder: PathBuf,
    files: BTreeMap<String, File>,
    /// What was given on last: object, content, generation.
    given: BTreeMap<ObjectId, (Object, Arc<Value>, i64)>,
    problems: Vec<Problem>,
}

impl Contents {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            files: BTreeMap::new(),
            given: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Reads the files that changed. Fails when the folder itself cannot be read.
    pub fn refresh(&mut self) -> Result<Batch, SourceError> {
        let scan = scan(&self.folder).map_err(|source| SourceError::Folder {
            folder: self.folder.clone(),
            source,
        })?;
        self.files.retain(|name, _| scan.files.contains_key(name));
        for (name, (path, stamp)) in &scan.files {
            let file = self.files.entry(name.clone()).or_default();
            if file.stamp != Some(*stamp) {
                // Two saves within one tick of the file system's clock look the same, so a file that
                // was saved just now is read again next time.
                file.stamp = stamp.is_settled().then_some(*stamp);
                file.read(name, path, stamp.size);
            }
        }
        Ok(self.difference(scan.cut))
    }

    /// Unites the files, the first in order of names winning, and compares with what was given on.
    fn difference(&mut self, cut: bool) -> Batch {
        let mut problems = Vec::new();
        if cut {
            let message = format!("more than {MAX_FILES} files: the rest is not read");
            problems.push(Problem::in_file(".", None, "TooManyFiles", message));
        }
        let mut united: BTreeMap<ObjectId, (&str, &Written)> = BTreeMap::new();
        for (name, file) in &self.files {
            problems.extend(file.problems.iter().cloned());
            for written in &file.objects {
                let id = written.object.id();
                if let Some((first, _)) = united.get(&id) {
                    let message = format!("also in {first}, which stays in force: remove one");
                    let mut problem =
                        Problem::in_file(name, Some(written.line), "Duplicate", message);
                    problem.object = Some(id.to_string());
                    problems.push(problem);
                } else {
                    united.insert(id, (name, written));
                }
            }
        }
        let mut changes = Vec::new();
        let gone: Vec<ObjectId> = self
            .given
            .keys()
            .filter(|id| !united.contains_key(id))
            .cloned()
            .collect();
        for id in gone {
            self.given.remove(&id);
            changes.push(Change::Delete(id));
        }
        for (id, (_, written)) in united {
            let before = self.given.get(&id);
            if before.is_some_and(|(_, content, _)| Arc::ptr_eq(content, &written.content)) {
                // From a file that was not read again.
                continue;
            }
            let generation = match before {
                Some((_, content, generation)) if **content == *written.content => *generation,
                Some((_, _, generation)) => generation + 1,
                None => 1,
            };
            let object = written.object.clone().with_generation(generation);
            if before.is_none_or(|(before, ..)| *before != object) {
                changes.push(Change::Upsert(object.clone()));
            }
            self.given
                .insert(id, (object, written.content.clone(), generation));
        }
        problems.sort();
        let problems = (problems != self.problems).then(|| {
            self.problems.clone_from(&problems);
            problems
        });
        Batch { changes, problems }
    }
}

impl File {
    fn read(&mut self, name: &str, path: &Path, size: u64) {
        if size > MAX_BYTES {
            let message = format!("{size} bytes, at most {MAX_BYTES}: split it");
            self.problems = vec![Problem::in_file(name, None, "TooLarge", message)];
            return;
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problems = vec![Problem::in_file(
                    name,
                    None,
                    "Unreadable",
                    error.to_string(),
                )];
                return;
            }
        };
        match pieces(name, &bytes) {
            Err(problem) => self.problems = vec![*problem],
            Ok(pieces) => self.take(name, pieces),
        }
    }

    /// Decodes object by object; one that fails keeps its last good version.
    fn take(&mut self, name: &str, pieces: Vec<Piece<'_>>) {
        let before = std::mem::take(&mut self.objects);
        self.problems.clear();
        for piece in pieces {
            for value in items(piece.value.clone()) {
                let content = Arc::new(content(&value));
                let faults = match decode(value) {
                    Ok(object) => {
                        let errors = validate(&object);
                        if errors.is_empty() {
                            self.objects.push(Written {
                                object,
                                content,
                                line: piece.line,
                            });
                            continue;
                        }
                        faults(name, &piece, &object.id().to_string(), &errors)
                    }
                    Err(DecodeError::Foreign { .. }) => continue,
                    Err(DecodeError::Invalid { kind, key, errors }) => {
                        faults(name, &piece, &format!("{kind}/{key}"), &errors)
                    }
                    Err(error) => {
                        let message = error.to_string();
                        vec![Problem::in_file(name, Some(piece.line), "Invalid", message)]
                    }
                };
                let object = faults.first().and_then(|fault| fault.object.clone());
                self.objects.extend(
                    before
                        .iter()
                        .filter(|w| Some(w.object.id().to_string()) == object)
                        .cloned(),
                );
                self.problems.extend(faults);
            }
        }
    }
}

fn faults(file: &str, piece: &Piece<'_>, object: &str, errors: &[FieldError]) -> Vec<Problem> {
    let problem = |error: &FieldError| {
        let line = piece.line + locate(piece.text, &error.path).unwrap_or(0);
        let fix = error
            .fix
            .as_ref()
            .map(|fix| format!(" ({fix})"))
            .unwrap_or_default();
        let message = format!("{}{fix}", error.message);
        let mut problem = Problem::in_file(file, Some(line), "Invalid", message);
        problem.object = Some(object.to_owned());
        problem.field.clone_from(&error.path);
        problem
    };
    errors.iter().map(problem).collect()
}

/// An object without what does not count as its content.
fn content(value: &Value) -> Value {
    let mut content = value.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.remove("metadata");
        fields.remove("status");
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: \
        {name: NAME}\nspec:\n  rules:\n  - backendRefs: [{name: a, port: 80}]\n";

    fn route(name: &str) -> String {
        ROUTE.replace("NAME", name)
    }

    #[test]
    fn a_half_written_file_changes_nothing_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, route("a")).unwrap();
        let mut contents = Contents::new(folder.path());
        assert_eq!(contents.refresh().unwrap().changes.len(), 1);
        fs::write(
            &file,
            "apiVersion: gateway.networking.k8s.io/v1\nkind: [HTTPR",
        )
        .unwrap();
        let batch = contents.refresh().unwrap();
        assert!(batch.changes.is_empty());
        assert_eq!(batch.problems.unwrap()[0].file.as_deref(), Some("a.yaml"));
        fs::write(&file, route("a")).unwrap();
        assert_eq!(contents.refresh().unwrap().problems, Some(Vec::new()));
    }

    #[test]
    fn a_bad_object_keeps_its_last_good_version_and_harms_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, format!("{}---\n{}", route("a"), route("b"))).unwrap();
        let mut contents = Contents::new(folder.path());
        contents.refresh().unwrap();
        let bad = route("a").replace("rules:", "rulez:");
        let other = route("b").replace("port: 80", "port: 81");
        fs::write(&file, format!("{bad}---\n{other}")).unwrap();
        let batch = contents.refresh().unwrap();
        assert_eq!(batch.changes.len(), 1, "only b changes");
        let problem = &batch.problems.unwrap()[0];
        assert_eq!(problem.object.as_deref(), Some("HTTPRoute/default/a"));
        assert_eq!(
            (problem.field.as_str(), problem.line),
            ("spec.rulez", Some(5))
        );
    }

    #[test]
    fn generations_count_changes_of_content_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let mut contents = Contents::new(folder.path());
        let mut generation = |text: &str| {
            fs::write(&file, text).unwrap();
            let changes = contents.refresh().unwrap().changes;
            let Some(Change::Upsert(object)) = changes.first() else {
                panic!("{changes:?}")
            };
            object.metadata().generation
        };
        assert_eq!(generation(&route("a")), Some(1));
        assert_eq!(generation(&route("a").replace(": 80", ": 81")), Some(2));
        assert_eq!(generation(&route("a").replace(": 80", ": 82")), Some(3));
    }

    #[test]
    fn the_first_of_two_equal_names_stays_and_the_other_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), route("x")).unwrap();
        fs::write(
            folder.path().join("b.yaml"),
            route("x").replace(": 80", ": 81"),
        )
        .unwrap();
        let batch = Contents::new(folder.path()).refresh().unwrap();
        assert_eq!(batch.changes.len(), 1);
        assert_eq!(batch.problems.unwrap()[0].file.as_deref(), Some("b.yaml"));
    }
}
