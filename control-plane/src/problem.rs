//! What is wrong, for people: one list over files, translation, compilation and agents.

mod book;

use std::fmt;

use novaedge_translate::{Diagnostic, Severity};
use serde::{Deserialize, Serialize};

pub use self::book::{MAX_LISTED, ProblemBook, Scope};

/// Something wrong with the input, and how to fix it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `error` or `warning`.
    pub severity: Level,
    /// File, relative to the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// `Kind/namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Path of the field. Empty: the object or file as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// One word.
    pub reason: String,
    /// What is wrong, and the fix.
    pub message: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something is not served as written.
    Error,
    /// Everything is served, yet probably not as meant.
    Warning,
}

impl Problem {
    /// An error in a file.
    pub fn in_file(
        file: &str,
        line: Option<u32>,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Level::Error,
            file: Some(file.to_owned()),
            line,
            object: None,
            field: String::new(),
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// An error of an object, by `Kind/namespace/name`.
    pub fn of_object(object: String, reason: &str, message: impl Into<String>) -> Self {
        Self {
            severity: Level::Error,
            file: None,
            line: None,
            object: Some(object),
            field: String::new(),
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

impl From<&Diagnostic> for Problem {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            severity: match diagnostic.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            },
            file: None,
            line: None,
            object: Some(diagnostic.object.to_string()),
            field: diagnostic.field.clone(),
            reason: diagnostic.reason.clone(),
            message: diagnostic.message.clone(),
        }
    }
}

impl fmt::Display for Problem {
    /// `error: file:line: object: field: message (reason)`, without what is not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.severity {
            Level::Error => "error: ",
            Level::Warning => "warning: ",
        })?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, _) => {}
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{} ({})", self.message, self.reason)
    }
}
