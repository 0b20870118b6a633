//! How the access log is kept.

use std::path::PathBuf;

use http::HeaderName;

use crate::format::Format;
use crate::redact::Redaction;

/// How the access log is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where lines go.
    pub target: Target,
    /// How they look.
    pub format: Format,
    /// Fields of requests that are logged.
    pub request_headers: Vec<HeaderName>,
    /// Fields of answers that are logged.
    pub response_headers: Vec<HeaderName>,
    /// What must not be told.
    pub redaction: Redaction,
    /// Which of them are kept.
    pub sampling: Sampling,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// The end of this file, which is made if need be.
    File(PathBuf),
}

/// Which lines are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// From 0 (none) to 1 (all).
    pub share: f64,
    /// What becomes of errors that the share leaves out.
    pub errors: Errors,
}

/// What becomes of errors that a share leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// They are kept all the same.
    Kept,
    /// They are left out like all others.
    Sampled,
}

/// What is decided of a line before there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// It is written.
    Yes,
    /// It is written if it tells of an error.
    IfError,
    /// It is not.
    No,
}

impl Settings {
    /// All lines, as JSON, without header fields.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            format: Format::Json,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            redaction: Redaction::default(),
            sampling: Sampling {
                share: 1.0,
                errors: Errors::Kept,
            },
        }
    }

    /// The same, with all header fields that the format names.
    #[must_use]
    pub fn complete(mut self) -> Self {
        if let Format::Template(template) = &self.format {
            self.request_headers
                .extend(template.request_headers().cloned());
            self.response_headers
                .extend(template.response_headers().cloned());
        }
        for names in [&mut self.request_headers, &mut self.response_headers] {
            names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            names.dedup();
        }
        self
    }
}

impl Sampling {
    /// Decides by a random number.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a share needs no more digits
    pub fn choose(self, random: u64) -> Chosen {
        let drawn = (random >> 11) as f64 / (1_u64 << 53) as f64;
        if drawn < self.share {
            Chosen::Yes
        } else if self.errors == Errors::Kept {
            Chosen::IfError
        } else {
            Chosen::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share() {
        let draw = |share: f64, errors| {
            let sampling = Sampling { share, errors };
            let drawn = (0..1_000_u64).map(|turn| sampling.choose(turn * (u64::MAX / 1_000)));
            drawn.filter(|chosen| *chosen == Chosen::Yes).count()
        };
        assert_eq!(draw(0.0, Errors::Kept), 0);
        assert_eq!(draw(1.0, Errors::Sampled), 1_000);
        assert!((249..=251).contains(&draw(0.25, Errors::Kept)));
        let none = Sampling {
            share: 0.0,
            errors: Errors::Kept,
        };
        assert_eq!(none.choose(0), Chosen::IfError);
        assert_eq!(
            Sampling {
                errors: Errors::Sampled,
                ..none
            }
            .choose(u64::MAX),
            Chosen::No
        );
        assert_eq!(
            Sampling { share: 1.0, ..none }.choose(u64::MAX),
            Chosen::Yes
        );
    }
}
