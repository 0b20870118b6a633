//! Where objects and their fields stand in the files of a folder.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::{locate::locate, text::documents};
use crate::problem::Problem;

/// Where the objects of a folder stand. Files are read again when a field in them is looked for.
#[derive(Debug)]
pub struct Places {
    root: PathBuf,
    /// File and line of the document, by `Kind/namespace/name`.
    objects: BTreeMap<String, (String, u32)>,
    texts: BTreeMap<String, String>,
}

impl Places {
    pub(super) fn new(root: PathBuf, objects: BTreeMap<String, (String, u32)>) -> Self {
        Self {
            root,
            objects,
            texts: BTreeMap::new(),
        }
    }

    /// The file of an object, and the line of the deepest part of a field that can be found.
    pub fn find(&mut self, object: &str, field: &str) -> Option<(String, u32)> {
        let (file, start) = self.objects.get(object)?.clone();
        let root = &self.root;
        let text = self.texts.entry(file.clone()).or_insert_with(|| {
            // What cannot be read any more has no lines.
            fs::read_to_string(root.join(&file)).unwrap_or_default()
        });
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = documents(text).into_iter().find(|(line, _)| *line == start);
        let below = document.and_then(|(_, text)| locate(text, field));
        Some((file, start + below.unwrap_or(0)))
    }

    /// Adds file and line to a problem of an object that stands in the folder.
    pub fn place(&mut self, problem: &mut Problem) {
        if problem.file.is_none()
            && let Some((file, line)) = problem
                .object
                .as_ref()
                .and_then(|object| self.find(object, &problem.field))
        {
            (problem.file, problem.line) = (Some(file), Some(line));
        }
    }
}
