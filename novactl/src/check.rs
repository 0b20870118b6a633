//! What is wrong with a folder of manifests, without serving it: what cannot be read, what the statuses would say, and rules
//! that no request reaches.

mod sarif;
mod unreachable;

use std::{fmt::Write as _, path::Path};

use novaedge_control_plane::{
    problem::{Level, Problem},
    translate::{Translation, translate},
};
use serde_json::{Value, json};

use crate::{
    findings::{Finding, Fleet, report},
    source::{SourceError, translated},
    table::{Paint, Tone, counted, harmless, painted},
};

/// Words of conditions that only a running system can make true.
const RUNNING: &str = "Programmed=";

/// What is wrong, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Checks a folder or a file, at a time in seconds since 1970.
pub fn check(path: &Path, now: i64) -> Result<Checked, SourceError> {
    let mut translation = translate(path, now).map_err(|error| SourceError::Manifests {
        folder: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    let unreached = unreachable::rules(&translation.snapshot);
    let inventory = translated(path, &translation)?;
    let found = report(&inventory, Fleet::Unknown(String::new())).findings;
    let mut problems: Vec<Problem> = found
        .into_iter()
        .filter(|(subject, _)| subject != "agents")
        .flat_map(|(subject, findings)| findings.into_iter().map(move |f| (subject.clone(), f)))
        .filter(|(_, finding)| !finding.message.starts_with(RUNNING))
        .map(|(subject, finding)| problem(subject, finding))
        .chain(unreached)
        .collect();
    place(&mut problems, &mut translation);
    problems.sort_by(|a, b| (&a.file, a.line, a).cmp(&(&b.file, b.line, b)));
    problems.dedup();
    Ok(Checked { problems })
}

fn problem(subject: String, finding: Finding) -> Problem {
    let place = finding.place.as_deref();
    let (file, line) = match place.and_then(|place| place.rsplit_once(':')) {
        Some((file, line)) if line.parse::<u32>().is_ok() => (Some(file), line.parse().ok()),
        _ => (place, None),
    };
    Problem {
        severity: finding.level,
        file: file.map(str::to_owned),
        line,
        // The subject of what cannot be read is its file.
        object: (file != Some(subject.as_str())).then_some(subject),
        field: finding.part,
        reason: finding.reason,
        message: finding.message,
    }
}

/// What is wrong, after the object and the field that it is about.
fn sentence(problem: &Problem) -> String {
    let about = [
        problem.object.as_deref(),
        Some(&problem.field),
        Some(&problem.message),
    ];
    let parts: Vec<&str> = about
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(": ")
}

/// Adds file and line where an object is known.
fn place(problems: &mut [Problem], translation: &mut Translation) {
    for problem in problems {
        translation.places.place(problem);
    }
}

impl Checked {
    /// Whether something would not be served as written.
    pub fn has_errors(&self) -> bool {
        self.count(Level::Error) > 0
    }

    fn count(&self, level: Level) -> usize {
        let problems = self.problems.iter();
        problems.filter(|one| one.severity == level).count()
    }

    /// A line for each, as compilers write them, and a line that sums them up.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let (word, tone) = match problem.severity {
                Level::Error => ("error", Tone::Bad),
                Level::Warning => ("warning", Tone::Doubtful),
            };
            let place = match (&problem.file, problem.line) {
                (Some(file), Some(line)) => format!("{file}:{line}: "),
                (Some(file), None) => format!("{file}: "),
                (None, _) => String::new(),
            };
            let rest = format!("{} ({})", sentence(problem), problem.reason);
            let (place, rest) = (harmless(&place), harmless(&rest));
            let word = painted(word, tone, paint);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{place}{word}: {rest}");
        }
        let (errors, warnings) = (self.count(Level::Error), self.count(Level::Warning));
        let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
        text + &format!("{errors}, {warnings}\n")
    }

    /// The same for programs.
    pub fn document(&self) -> Value {
        json!({
            "problems": self.problems,
            "errors": self.count(Level::Error),
            "warnings": self.count(Level::Warning),
        })
    }

    /// The same for code scanning: SARIF 2.1.0.
    pub fn sarif(&self) -> Value {
        sarif::log(&self.problems)
    }
}
