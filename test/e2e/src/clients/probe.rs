//! One try, told by its outcome instead of a panic.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use rustls::ClientConfig;

use super::{Http1, Tcp, within};

/// What to try.
#[derive(Clone, Debug)]
pub enum Probe {
    /// GET in cleartext.
    Http {
        /// Listener.
        address: SocketAddr,
        /// Host header.
        host: String,
        /// Path.
        path: String,
    },
    /// GET over TLS.
    Https {
        /// Listener.
        address: SocketAddr,
        /// Host header and SNI.
        host: String,
        /// Path.
        path: String,
    },
    /// The greeting of a [`crate::origins::tcp`] origin.
    Tcp(SocketAddr),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An HTTP status; 200 for a TCP greeting.
    Status(u16),
    /// Nobody listens, or the connection was closed without an answer.
    Refused,
    /// A certificate that the client does not trust.
    Untrusted,
}

impl Outcome {
    /// Reads `404`, `refused` or `untrusted`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "refused" => Some(Self::Refused),
            "untrusted" => Some(Self::Untrusted),
            code => code.parse().ok().map(Self::Status),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => code.fmt(f),
            Self::Refused => f.write_str("refused"),
            Self::Untrusted => f.write_str("untrusted"),
        }
    }
}

impl Probe {
    /// Tries once, on a new connection; `tls` is the client of HTTPS.
    pub async fn once(&self, tls: &Arc<ClientConfig>) -> Outcome {
        let client = match self {
            Self::Tcp(address) => {
                let greeting = Tcp::connect(*address).await;
                return greeting.map_or(Outcome::Refused, |_| Outcome::Status(200));
            }
            Self::Http { address, .. } => Http1::try_connect(*address).await,
            Self::Https { address, host, .. } => {
                Http1::try_connect_tls(*address, host, tls.clone()).await
            }
        };
        let (Self::Http { host, path, .. } | Self::Https { host, path, .. }) = self else {
            unreachable!("TCP has returned");
        };
        match client {
            Ok(mut client) => within("a probe", client.get(host, path))
                .await
                .map_or(Outcome::Refused, |answer| {
                    Outcome::Status(answer.status.as_u16())
                }),
            Err(error) if is_distrust(&error) => Outcome::Untrusted,
            Err(_) => Outcome::Refused,
        }
    }
}

fn is_distrust(error: &io::Error) -> bool {
    let tls = error
        .get_ref()
        .and_then(|source| source.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}
