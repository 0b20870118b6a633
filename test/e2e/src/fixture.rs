//! Broken objects as files: what is wrong, what must be said of it, and how it is mended.
//!
//! ```text
//! # expect: Kind/namespace/name field | words of the message
//! # probe: http|https|tcp PORT host path
//! # while: what the probe may give as long as it is broken
//! broken documents
//! ### mended
//! mended documents
//! ```
//! `${NAME}` in a document stands for a port or a PEM text of the test.

mod base;

use std::{collections::BTreeMap, fs, path::Path};

use novaedge_control_plane::{
    pipeline::Findings,
    problem::{Level, Problem},
    status::to_value,
};
use serde_json::Value;

pub use base::{HOST, base, values};

use crate::{
    clients::{Outcome, Probe},
    system::System,
};

/// What stands for `${NAME}`.
pub type Values = BTreeMap<&'static str, String>;

/// A broken object, and the same mended.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Name of its file.
    pub name: String,
    /// What must be said of it.
    pub expect: Vec<Expectation>,
    /// What is answered with 200 when it is mended.
    pub probes: Vec<Probe>,
    /// What is answered while it is broken.
    pub outcomes: Vec<Outcome>,
    /// Broken documents.
    pub broken: String,
    /// Mended documents.
    pub mended: String,
}

/// A finding that must be there.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// `Kind/namespace/name`, or `file` for the file of the fixture.
    object: String,
    field: String,
    words: String,
}

impl Fixture {
    /// Every fixture in `folder`, by name. Panics when one is not in the format above.
    pub fn all(folder: &Path, values: &Values) -> Vec<Self> {
        let entries = fs::read_dir(folder).expect("the folder is there");
        let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(path).expect("text");
            Self::parse(&name, &text, values).unwrap_or_else(|| panic!("{name}: not a fixture"))
        };
        paths.iter().map(read).collect()
    }

    fn parse(name: &str, text: &str, values: &Values) -> Option<Self> {
        let mut fixture = Self {
            name: name.to_owned(),
            expect: Vec::new(),
            probes: Vec::new(),
            outcomes: Vec::new(),
            broken: String::new(),
            mended: String::new(),
        };
        let (broken, mended) = text.split_once("### mended\n")?;
        let (head, body) = broken.split_at(broken.find("\n# while: ")? + 1);
        let (last, body) = body.split_once('\n')?;
        for line in head.lines().chain([last]) {
            let (what, rest) = line.strip_prefix("# ")?.split_once(": ")?;
            match what {
                "expect" => fixture.expect.push(Expectation::parse(rest)?),
                "probe" => fixture.probes.push(probe(rest, values)?),
                "while" => {
                    fixture.outcomes =
                        rest.split(' ').map(Outcome::parse).collect::<Option<_>>()?;
                }
                _ => return None,
            }
        }
        fixture.broken = fill(body, values);
        fixture.mended = fill(mended, values);
        (!fixture.expect.is_empty() && !fixture.probes.is_empty()).then_some(fixture)
    }
}

impl Expectation {
    fn parse(text: &str) -> Option<Self> {
        let (what, words) = text.split_once('|')?;
        let (object, field) = what.trim().split_once(' ').unwrap_or((what.trim(), ""));
        Some(Self {
            object: object.to_owned(),
            field: field.to_owned(),
            words: words.trim().to_owned(),
        })
    }

    /// Whether `findings` say so, of an object or of the file `name`. An error of an object that is in force must be
    /// in a condition of its status too.
    pub fn is_met(&self, name: &str, findings: &Findings) -> bool {
        findings.problems.iter().any(|problem| {
            let right_object = if self.object == "file" {
                problem.file.as_deref() == Some(name)
            } else {
                problem.object.as_ref() == Some(&self.object)
            };
            let has_status = problem.severity == Level::Error && problem.file.is_none();
            right_object
                && problem.field.starts_with(&self.field)
                && self.says(&problem.message)
                && (!has_status || self.is_in_status(findings))
        })
    }

    /// What a check of the manifests says of it, without having served them.
    pub fn found<'a>(&self, name: &str, problems: &'a [Problem]) -> Option<&'a Problem> {
        problems.iter().find(|problem| {
            let right_object =
                self.object == "file" || problem.object.as_ref() == Some(&self.object);
            let names_field =
                problem.field.starts_with(&self.field) || problem.message.contains(&self.field);
            right_object
                && problem.file.as_deref() == Some(name)
                && names_field
                && self.says(&problem.message)
        })
    }

    /// The keys that the field is below, the last one first.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let parts = self.field.rsplit('.');
        parts.map(|part| part.split('[').next().unwrap_or(part))
    }

    /// Whether a condition of the object is bad and names field and fix.
    fn is_in_status(&self, findings: &Findings) -> bool {
        let mut statuses = findings.statuses.iter();
        let Some((_, status)) = statuses.find(|(id, _)| id.to_string() == self.object) else {
            return false;
        };
        let mut messages = Vec::new();
        bad_messages(&to_value(status), &mut messages);
        let mut messages = messages.iter();
        messages.any(|message| message.contains(&self.field) && self.says(message))
    }

    fn says(&self, message: &str) -> bool {
        !message.is_empty() && message.contains(&self.words)
    }
}

impl std::fmt::Display for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} | {}", self.object, self.field, self.words)
    }
}

/// Whether a status says that anything is wrong.
pub fn is_anything_wrong(findings: &Findings) -> bool {
    let mut messages = Vec::new();
    for status in findings.statuses.values() {
        bad_messages(&to_value(status), &mut messages);
    }
    !messages.is_empty()
}

/// Messages of all conditions that tell of something bad.
fn bad_messages(value: &Value, messages: &mut Vec<String>) {
    let bad = match value["type"].as_str() {
        Some("Conflicted" | "PartiallyInvalid" | "OverlappingTLSConfig") => "True",
        _ => "False",
    };
    if value["status"] == bad {
        messages.extend(value["message"].as_str().map(ToOwned::to_owned));
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| bad_messages(item, messages)),
        Value::Object(fields) => fields
            .values()
            .for_each(|field| bad_messages(field, messages)),
        _ => {}
    }
}

fn probe(text: &str, values: &Values) -> Option<Probe> {
    let mut words = text.split(' ');
    let kind = words.next()?;
    let address = System::local(values.get(words.next()?)?.parse().ok()?);
    let mut word = || words.next().map(ToOwned::to_owned);
    Some(match kind {
        "http" => Probe::Http {
            address,
            host: word()?,
            path: word()?,
        },
        "https" => Probe::Https {
            address,
            host: word()?,
            path: word()?,
        },
        "tcp" => Probe::Tcp(address),
        _ => return None,
    })
}

/// Puts values in; each line of a value is indented like the line that asks for it.
pub fn fill(text: &str, values: &Values) -> String {
    let mut filled = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let mut line = line.to_owned();
        for (name, value) in values {
            let place = format!("${{{name}}}");
            if line.contains(&place) {
                let separator = format!("\n{}", " ".repeat(indent));
                let value = value
                    .trim_end()
                    .lines()
                    .collect::<Vec<_>>()
                    .join(&separator);
                line = line.replace(&place, &value);
            }
        }
        filled += &line;
        filled.push('\n');
    }
    filled
}
