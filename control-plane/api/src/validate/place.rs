//! Places inside an object, and the errors found there.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use super::text::Shape;
use crate::field::FieldError;

/// Collects errors.
#[derive(Default)]
pub(super) struct Report {
    errors: RefCell<Vec<FieldError>>,
}

impl Report {
    /// The object itself.
    pub(super) fn root(&self) -> At<'_> {
        At {
            report: self,
            path: Path::Root,
        }
    }

    /// Everything found, sorted by path.
    pub(super) fn into_errors(self) -> Vec<FieldError> {
        let mut errors = self.errors.into_inner();
        errors.sort();
        errors.dedup();
        errors
    }
}

/// A place. Its path is written only when there is an error to report.
#[derive(Clone, Copy)]
pub(super) struct At<'p> {
    report: &'p Report,
    path: Path<'p>,
}

#[derive(Clone, Copy)]
enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'static str),
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, field) => f.write_str(field),
            Self::Field(parent, field) => write!(f, "{parent}.{field}"),
            Self::Key(parent, key) => write!(f, "{parent}[\"{key}\"]"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl At<'_> {
    /// A field of the object here.
    pub(super) fn field<'c>(&'c self, name: &'static str) -> At<'c> {
        At {
            report: self.report,
            path: Path::Field(&self.path, name),
        }
    }

    /// An entry of the map here.
    pub(super) fn key<'c>(&'c self, key: &'c str) -> At<'c> {
        At {
            report: self.report,
            path: Path::Key(&self.path, key),
        }
    }

    /// An element of the list here.
    pub(super) fn index(&self, index: usize) -> At<'_> {
        At {
            report: self.report,
            path: Path::Index(&self.path, index),
        }
    }

    /// Reports an error here.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.push(FieldError::new(self.path.to_string(), message));
    }

    /// Reports an error here, with what to do about it.
    pub(super) fn error_with_fix(&self, message: impl Into<String>, fix: impl Into<String>) {
        self.push(FieldError::new(self.path.to_string(), message).with_fix(fix));
    }

    /// Checks each element of a list, after its length.
    pub(super) fn each<T>(
        &self,
        list: &[T],
        count: RangeInclusive<usize>,
        check: impl Fn(At<'_>, &T),
    ) {
        self.count(list.len(), count.clone());
        // What exceeds the limit was reported; there is no sense in a list of further errors.
        for (index, item) in list.iter().take(*count.end()).enumerate() {
            check(self.index(index), item);
        }
    }

    /// Checks the number of elements.
    pub(super) fn count(&self, count: usize, allowed: RangeInclusive<usize>) {
        if count < *allowed.start() {
            self.error(format!(
                "must have at least {}, has {count}",
                elements(*allowed.start())
            ));
        } else if count > *allowed.end() {
            self.error_with_fix(
                format!(
                    "must have at most {}, has {count}",
                    elements(*allowed.end())
                ),
                "split the object",
            );
        }
    }

    /// Checks the length of a text, in characters.
    pub(super) fn length(&self, text: &str, allowed: RangeInclusive<usize>) -> bool {
        let length = text.chars().count();
        if length == 0 && *allowed.start() > 0 {
            self.error("must not be empty");
        } else if length < *allowed.start() || length > *allowed.end() {
            self.error(format!(
                "must have at most {} characters, has {length}",
                allowed.end()
            ));
        }
        allowed.contains(&length)
    }

    /// Checks the length and the shape of a text.
    pub(super) fn text(&self, text: &str, allowed: RangeInclusive<usize>, shape: Shape) {
        if self.length(text, allowed) && !(shape.fits)(text) {
            self.error(format!(
                "\"{text}\" is not {}: expected {}",
                shape.what, shape.expected
            ));
        }
    }

    /// Checks a port.
    pub(super) fn port(&self, port: u16) {
        if port == 0 {
            self.error("must be a port from 1 to 65535, not 0");
        }
    }

    /// Checks a number that may be absent.
    pub(super) fn number<N>(&self, number: Option<N>, allowed: RangeInclusive<N>)
    where
        N: PartialOrd + fmt::Display,
    {
        match number {
            Some(number) if number < *allowed.start() => {
                self.error(format!("must be at least {}, is {number}", allowed.start()));
            }
            Some(number) if number > *allowed.end() => {
                self.error(format!("must be at most {}, is {number}", allowed.end()));
            }
            _ => {}
        }
    }

    /// Reports each element that an earlier one equals.
    pub(super) fn unique<T, K: Ord>(&self, list: &[T], what: &str, key: impl Fn(&T) -> K) {
        self.unique_field(list, what, None, key);
    }

    /// Reports each element whose field an earlier one has too.
    pub(super) fn unique_field<T, K: Ord>(
        &self,
        list: &[T],
        what: &str,
        field: Option<&'static str>,
        key: impl Fn(&T) -> K,
    ) {
        let mut seen = std::collections::BTreeMap::new();
        for (index, item) in list.iter().enumerate() {
            if let Some(first) = seen.get(&key(item)) {
                let at = self.index(index);
                let at = field.map_or(at, |field| at.field(field));
                let message = format!("{what} must be unique, and [{first}] has the same");
                let fix = match field {
                    Some(field) => format!("give it another {field}"),
                    None => "change or remove one".to_owned(),
                };
                at.error_with_fix(message, fix);
            } else {
                seen.insert(key(item), index);
            }
        }
    }

    fn push(&self, error: FieldError) {
        self.report.errors.borrow_mut().push(error);
    }
}

fn elements(count: usize) -> String {
    format!("{count} element{}", if count == 1 { "" } else { "s" })
}
