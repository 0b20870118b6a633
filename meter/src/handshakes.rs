//! TLS handshakes with clients.

use crate::counter::Counter;

/// TLS handshakes by how they ended. Those that failed have no version.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// TLS 1.2.
    pub tls12: Counter,
    /// TLS 1.3.
    pub tls13: Counter,
    /// They failed, or did not end in time.
    pub failed: Counter,
    /// There was no certificate to show.
    pub without_certificate: Counter,
}

impl Handshakes {
    /// Version and result of each kind, with its number.
    #[must_use]
    pub fn samples(&self) -> [(&'static str, &'static str, u64); 4] {
        [
            ("1.2", "ok", self.tls12.get()),
            ("1.3", "ok", self.tls13.get()),
            ("", "failed", self.failed.get()),
            ("", "no_certificate", self.without_certificate.get()),
        ]
    }
}
