//! A file with all that a bug report needs, and without secrets: whatever goes in goes through [`redact`].

mod archive;
mod redact;

use std::{io, path::PathBuf};

pub use archive::{Archive, MAX_FILE, MAX_WHOLE};
pub use redact::{REDACTED, redact_text, redact_value};

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be written.
    #[error("{file} cannot be written ({source}): name another file with -o")]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is one already.
    #[error("{file} is there already: remove it, or name another file with -o")]
    Exists {
        /// The file.
        file: PathBuf,
    },
}
