//! What can go wrong with authorities and certificates.

use std::{io, path::PathBuf};

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A key or certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
    /// A key or certificate cannot be used.
    #[error("a certificate or key cannot be used")]
    Use(#[from] rustls::Error),
    /// The server's settings cannot be made.
    #[error(transparent)]
    Tls(#[from] novaedge_publish::TlsError),
    /// Something is no PEM.
    #[error("{what} is no PEM")]
    Pem {
        /// What was read.
        what: String,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Something holds no certificate.
    #[error("{0} holds no certificate")]
    Empty(String),
    /// A file cannot be read.
    #[error("{} cannot be read", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A certificate is somebody else's.
    #[error("{} is no certificate of {name}: it needs this DNS name", .file.display())]
    Name {
        /// The file.
        file: PathBuf,
        /// The name that it lacks.
        name: String,
    },
    /// The Secret of the authorities holds what nobody here wrote.
    #[error(
        "the key {0} of the Secret is not understood: delete the Secret to have new authorities made"
    )]
    Secret(String),
    /// The API server refused or was away.
    #[error("the API server did not {0}")]
    Api(&'static str, #[source] Box<kube::Error>),
}
