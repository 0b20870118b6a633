//! One file: from its bytes to objects and problems.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use novaedge_api::{
    decode::{DecodeError, decode, items},
    field::FieldError,
    meta::Object,
    validate::validate,
};
use serde_json::Value;

use super::{
    locate::locate,
    scan::Stamp,
    text::{Piece, pieces},
};
use crate::problem::Problem;

/// Largest file that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Problems of one file that are told.
const MAX_PROBLEMS: usize = 100;

/// An object as a file holds it.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub object: Object,
    /// Without metadata and status: a change of this is a new generation.
    pub content: Arc<Value>,
    /// Where it begins, from 1.
    pub line: u32,
}

/// What a look at a file found.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing: it is gone or holds no more than blanks.
    Nothing,
    /// It cannot be read as a whole: its last good objects stay in force.
    Unreadable(Problem),
    /// Objects.
    Objects(Parsed),
}

/// The objects of a file.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Good ones.
    pub objects: Vec<Written>,
    /// `Kind/namespace/name` of bad ones, whose last good version stays in force.
    pub bad: Vec<String>,
    /// Whether there are bad ones of which nobody knows what they are: any object that was here before
    /// may be one of them, and stays in force.
    pub unknown: bool,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
}

/// Reads a file. Absent when the file changed while it was read, which another event will tell.
pub(super) fn read(name: &str, path: &Path, stamp: Stamp) -> Option<Found> {
    if stamp.size > MAX_BYTES {
        let message = format!(
            "{} bytes, at most {MAX_BYTES}: split it; its last good objects stay in force",
            stamp.size
        );
        let problem = Problem::in_file(name, None, "TooLarge", message);
        return Some(Found::Unreadable(problem));
    }
    match bytes(path) {
        Ok((_, after)) if after != stamp => None,
        Ok((bytes, _)) => Some(parse(name, &bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("{error}; its last good objects stay in force");
            let problem = Problem::in_file(name, None, "Unreadable", message);
            Some(Found::Unreadable(problem))
        }
    }
}

/// The bytes of a file, and how it looked after they were read.
fn bytes(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    let after = fs::metadata(path)?;
    Ok((bytes, Stamp::from(&after)))
}

/// Decodes the bytes of a file. A file that makes the decoder panic, which none should, harms no other.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Found {
    std::panic::catch_unwind(|| decode_all(name, bytes)).unwrap_or_else(|_| {
        let message = "makes the decoder fail, so its last good objects stay in force; \
                       this is a defect of NovaEdge: please report it with the file";
        Found::Unreadable(Problem::in_file(name, None, "Internal", message))
    })
}

fn decode_all(name: &str, bytes: &[u8]) -> Found {
    if bytes.trim_ascii().is_empty() {
        return Found::Nothing;
    }
    let pieces = match pieces(name, bytes) {
        Ok(pieces) => pieces,
        Err(problem) => return Found::Unreadable(*problem),
    };
    let mut parsed = Parsed::default();
    for mut piece in pieces {
        for value in items(piece.value.take()) {
            parsed.take(name, &piece, value);
        }
    }
    if let Some(left) = parsed.problems.len().checked_sub(MAX_PROBLEMS + 1) {
        parsed.problems.truncate(MAX_PROBLEMS);
        let message = format!("{} more problems in this file: mend these first", left + 1);
        let more = Problem::in_file(name, None, "TooManyProblems", message);
        parsed.problems.push(more);
    }
    Found::Objects(parsed)
}

impl Parsed {
    /// Decodes one object.
    fn take(&mut self, file: &str, piece: &Piece<'_>, value: Value) {
        let content = content(&value);
        let object = match decode(value) {
            Ok(object) => object,
            Err(DecodeError::Foreign { .. }) => return,
            Err(error) => return self.refuse(file, piece, &error),
        };
        let errors = validate(&object);
        if errors.is_empty() {
            self.objects.push(Written {
                object,
                content: Arc::new(content),
                line: piece.line,
            });
        } else {
            self.tell(file, piece, Some(&object.id().to_string()), &errors);
            self.bad.push(object.id().to_string());
        }
    }

    /// Takes note of what cannot be decoded.
    fn refuse(&mut self, file: &str, piece: &Piece<'_>, error: &DecodeError) {
        let object = error.object();
        if let DecodeError::Invalid { errors, .. } = error {
            self.tell(file, piece, object.as_deref(), errors);
        } else {
            let errors = [FieldError::new(error.field(), error.to_string())];
            self.tell(file, piece, object.as_deref(), &errors);
        }
        match (error, object) {
            (DecodeError::Invalid { .. } | DecodeError::UnknownVersion { .. }, Some(object)) => {
                self.bad.push(object);
            }
            _ => self.unknown = true,
        }
    }

    fn tell(&mut self, file: &str, piece: &Piece<'_>, object: Option<&str>, errors: &[FieldError]) {
        let problem = |error: &FieldError| {
            let line = piece.line + locate(piece.text, &error.path).unwrap_or(0);
            let fix = error.fix.as_ref();
            let fix = fix.map(|fix| format!(" ({fix})")).unwrap_or_default();
            let message = format!("{}{fix}", error.message);
            Problem {
                object: object.map(str::to_owned),
                field: error.path.clone(),
                ..Problem::in_file(file, Some(line), "Invalid", message)
            }
        };
        self.problems.extend(errors.iter().map(problem));
    }
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
