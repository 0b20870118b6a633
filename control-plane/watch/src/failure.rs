//! Why a request to the API server failed, and whose fault that is.

use std::error::Error;
use std::time::Duration;

use kube::core::Status;

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// HTTP status; nothing when there was no answer.
    code: Option<u16>,
    /// For people.
    pub message: String,
}

impl Failure {
    pub(crate) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self {
                code: Some(status.code),
                message: describe(status),
            },
            error => Self {
                code: None,
                message: chain(error),
            },
        }
    }

    /// No answer in time.
    pub(crate) fn silent(limit: Duration) -> Self {
        Self {
            code: None,
            message: format!("no answer in {} s", limit.as_secs()),
        }
    }

    /// An answer that nothing can go on from.
    pub(crate) fn unversioned() -> Self {
        Self {
            code: None,
            message: "the answer names no resource version".to_owned(),
        }
    }

    /// The version asked for is not known any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.code == Some(410)
    }

    /// The control plane may not read this.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code == Some(403)
    }

    /// Nothing of that kind is served.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == Some(404)
    }

    /// The API server is well, and refuses this very request.
    pub(crate) fn is_of_request(&self) -> bool {
        // 401, 403 and 429 are about who asks. A version that the server has not reached yet gives 504.
        matches!(self.code, Some(400 | 404..=428 | 430..=499 | 504))
    }
}

fn describe(status: &Status) -> String {
    if status.message.is_empty() {
        format!("the API server answers {} {}", status.code, status.reason)
    } else {
        format!("{} ({})", status.message, status.code)
    }
}

/// An error with what it comes from, without what is said twice.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u16, message: &str) -> Failure {
        let mut status = Status::failure(message, "Reason");
        status.code = code;
        Failure::of(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn failures_are_told_apart_by_whose_fault_they_are() {
        assert!(failure(410, "too old").is_gone());
        assert!(failure(403, "no").is_forbidden() && !failure(403, "no").is_of_request());
        assert!(failure(404, "no").is_not_found());
        assert!(failure(504, "Too large resource version").is_of_request());
        for code in [401, 403, 429, 500, 503] {
            assert!(!failure(code, "x").is_of_request(), "{code}");
        }
        assert!(!Failure::silent(Duration::from_secs(1)).is_of_request());
    }

    #[test]
    fn messages_say_what_is_known() {
        assert_eq!(failure(403, "may not list").message, "may not list (403)");
        assert_eq!(
            failure(500, "").message,
            "the API server answers 500 Reason"
        );
    }
}
