//! What the files hold together, and how that differs from what was given on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use novaedge_api::meta::{Object, ObjectId};
use novaedge_store::Change;
use serde_json::Value;

use super::{
    file::{Found, Parsed, Written},
    scan::{MAX_FILES, Stamp},
};
use crate::{problem::Problem, source::Batch};

/// Objects that are kept; a file that would bring more stays as it was.
const MAX_OBJECTS: usize = 100_000;
/// Bytes of all files together; a file that would bring more stays as it was.
const MAX_TOTAL_BYTES: u64 = 256 * 1024 * 1024;
/// Where problems of the folder as a whole are told.
const FOLDER: &str = ".";

/// A file that was looked at.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Relative to the folder.
    pub name: String,
    /// How it looked; absent when it is gone or must be read again at the next look.
    pub stamp: Option<Stamp>,
    /// What is in it.
    pub found: Found,
}

#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    bytes: u64,
    objects: BTreeMap<ObjectId, Written>,
    problems: Vec<Problem>,
}

/// An object as it was given on last.
#[derive(Debug)]
struct Given {
    object: Object,
    content: Arc<Value>,
    generation: i64,
}

/// The files of a folder with their objects. An edit costs as much as the file that was edited.
#[derive(Debug, Default)]
pub(super) struct Contents {
    files: BTreeMap<String, File>,
    /// Which files hold an object: the first in order of names is in force.
    claims: BTreeMap<ObjectId, BTreeSet<String>>,
    given: BTreeMap<ObjectId, Given>,
    /// Problems by file as they were told last.
    told: BTreeMap<String, Vec<Problem>>,
    bytes: u64,
    /// Problems of the folder as a whole.
    folder: Vec<Problem>,
}

impl Contents {
    /// Whether a file has objects in force that it would lose with its text.
    pub fn has_objects(&self, name: &str) -> bool {
        self.files
            .get(name)
            .is_some_and(|file| !file.objects.is_empty())
    }

    /// How a file looked when it was read; absent when that does not matter any more.
    pub fn stamp(&self, name: &str) -> Option<Stamp> {
        self.files.get(name)?.stamp
    }

    /// The files at and below a path; all of them for an empty one.
    pub fn below(&self, name: &str) -> impl Iterator<Item = &String> {
        let inside = if name.is_empty() {
            String::new()
        } else {
            format!("{name}/")
        };
        let itself = self.files.get_key_value(name).map(|(name, _)| name);
        let files = self.files.range(inside.clone()..).map(|(name, _)| name);
        itself
            .into_iter()
            .chain(files.take_while(move |file| file.starts_with(&inside)))
    }

    /// File and line of each object in force, by `Kind/namespace/name`.
    pub fn lines(&self) -> BTreeMap<String, (String, u32)> {
        let claims = self.claims.iter();
        let lines = claims.filter_map(|(id, files)| {
            let file = files.first()?;
            let written = self.files.get(file)?.objects.get(id)?;
            Some((id.to_string(), (file.clone(), written.line)))
        });
        lines.collect()
    }

    /// Sets the problems of the folder as a whole.
    pub fn set_folder_problems(
        &mut self,
        reason: &str,
        messages: impl IntoIterator<Item = String>,
    ) {
        let problem = |message| Problem::in_file(FOLDER, None, reason, message);
        self.folder = messages.into_iter().map(problem).collect();
    }

    /// Takes in what a look found, and tells what follows from it.
    pub fn apply(&mut self, loaded: Vec<Loaded>) -> Batch {
        let mut touched = BTreeSet::new();
        let mut files: BTreeSet<String> = BTreeSet::new();
        for loaded in loaded {
            files.insert(loaded.name.clone());
            self.replace(loaded, &mut touched);
        }
        let mut batch = Batch::default();
        for id in touched {
            files.extend(self.claims.get(&id).into_iter().flatten().cloned());
            batch.changes.extend(self.change(id));
        }
        for file in files {
            let problems = self.problems_of(&file);
            self.tell(file, problems, &mut batch);
        }
        self.tell(FOLDER.to_owned(), self.folder.clone(), &mut batch);
        batch
    }

    /// Puts what was found in the place of what a file held before.
    fn replace(&mut self, loaded: Loaded, touched: &mut BTreeSet<ObjectId>) {
        let Loaded { name, stamp, found } = loaded;
        let mut before = self.files.remove(&name).unwrap_or_default();
        before.stamp = stamp;
        let size = stamp.map_or(0, |stamp| stamp.size);
        let after = match self.accept(&name, &before, found, size) {
            Ok(after) => after,
            Err(problem) => {
                before.problems = vec![problem];
                self.files.insert(name, before);
                return;
            }
        };
        self.bytes = self.bytes.saturating_sub(before.bytes) + after.bytes;
        for id in before.objects.into_keys() {
            if !after.objects.contains_key(&id)
                && let Some(claims) = self.claims.get_mut(&id)
            {
                claims.remove(&name);
                touched.insert(id);
            }
        }
        for id in after.objects.keys() {
            self.claims
                .entry(id.clone())
                .or_default()
                .insert(name.clone());
            touched.insert(id.clone());
        }
        if after.stamp.is_some() || !after.objects.is_empty() || !after.problems.is_empty() {
            self.files.insert(name, after);
        }
    }

    /// The file as it is from now on, or why it stays as it was.
    #[expect(clippy::result_large_err, reason = "of one file, and rare")]
    fn accept(&self, name: &str, before: &File, found: Found, size: u64) -> Result<File, Problem> {
        let mut after = match found {
            Found::Nothing => File::default(),
            Found::Unreadable(problem) => return Err(problem),
            Found::Objects(parsed) => {
                if let Some(message) = self.refusal(before, &parsed, size) {
                    return Err(Problem::in_file(name, None, "TooMany", message));
                }
                File {
                    bytes: size,
                    ..File::of(name, parsed, before)
                }
            }
        };
        after.stamp = before.stamp;
        Ok(after)
    }

    /// Why a file is not taken in.
    fn refusal(&self, before: &File, parsed: &Parsed, size: u64) -> Option<String> {
        if self.files.len() >= MAX_FILES {
            return Some(format!(
                "more than {MAX_FILES} files in the folder: this file is left as it was"
            ));
        }
        let objects = self.claims.len() + parsed.objects.len();
        if objects > MAX_OBJECTS + before.objects.len() {
            return Some(format!(
                "more than {MAX_OBJECTS} objects in the folder: this file is left as it was"
            ));
        }
        (self.bytes + size > MAX_TOTAL_BYTES + before.bytes).then(|| {
            format!("more than {MAX_TOTAL_BYTES} bytes in the folder: this file is left as it was")
        })
    }

    /// How an object differs from what was given on.
    fn change(&mut self, id: ObjectId) -> Option<Change> {
        let claims = self.claims.get(&id);
        let Some(first) = claims.and_then(BTreeSet::first) else {
            self.claims.remove(&id);
            return self.given.remove(&id).map(|_| Change::Delete(id));
        };
        let written = self.files.get(first)?.objects.get(&id)?;
        let before = self.given.get(&id);
        let generation = match before {
            Some(before) if *before.content == *written.content => before.generation,
            Some(before) => before.generation + 1,
            None => 1,
        };
        let object = written.object.clone().with_generation(generation);
        let changed = before.is_none_or(|before| before.object != object);
        let given = Given {
            object: object.clone(),
            content: Arc::clone(&written.content),
            generation,
        };
        self.given.insert(id, given);
        changed.then_some(Change::Upsert(object))
    }

    /// All that is wrong with a file, its objects that another file has first included.
    fn problems_of(&self, name: &str) -> Vec<Problem> {
        let Some(file) = self.files.get(name) else {
            return Vec::new();
        };
        let mut problems = file.problems.clone();
        for (id, written) in &file.objects {
            let first = self.claims.get(id).and_then(BTreeSet::first);
            if let Some(first) = first.filter(|first| *first != name) {
                let message = format!("also in {first}, which stays in force: remove one");
                problems.push(duplicate(name, written, message));
            }
        }
        problems.sort();
        problems
    }

    fn tell(&mut self, file: String, problems: Vec<Problem>, batch: &mut Batch) {
        let before = self.told.get(&file).map_or(&[][..], Vec::as_slice);
        if before == problems.as_slice() {
            return;
        }
        if problems.is_empty() {
            self.told.remove(&file);
        } else {
            self.told.insert(file.clone(), problems.clone());
        }
        batch.problems.insert(file, problems);
    }
}

impl File {
    /// The good objects, and the last good versions of the bad ones.
    fn of(name: &str, parsed: Parsed, before: &Self) -> Self {
        let mut objects: BTreeMap<ObjectId, Written> = BTreeMap::new();
        let mut problems = parsed.problems;
        for written in parsed.objects {
            let id = written.object.id();
            if let Some(first) = objects.get(&id) {
                let message = format!(
                    "also at line {}, which stays in force: remove one",
                    first.line
                );
                problems.push(duplicate(name, &written, message));
            } else {
                objects.insert(id, written);
            }
        }
        if parsed.unknown || !parsed.bad.is_empty() {
            let bad: BTreeSet<String> = parsed.bad.into_iter().collect();
            for (id, written) in &before.objects {
                if parsed.unknown || bad.contains(&id.to_string()) {
                    objects.entry(id.clone()).or_insert_with(|| written.clone());
                }
            }
        }
        Self {
            objects,
            problems,
            ..Self::default()
        }
    }
}

fn duplicate(file: &str, written: &Written, message: String) -> Problem {
    Problem {
        object: Some(written.object.id().to_string()),
        ..Problem::in_file(file, Some(written.line), "Duplicate", message)
    }
}

#[cfg(test)]
mod tests;
