//! TLS of QUIC: one configuration for all listeners of a socket, for the server name is not known before the handshake.

use std::sync::Arc;

use novaedge_router::{SocketNames, TlsSocket};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;

use super::PROVIDER;
use super::server::{Certificates, same_all};

/// The configuration of a socket.
#[derive(Clone)]
pub(super) struct QuicEntry {
    names: SocketNames,
    /// The certificates of each listener.
    keys: Arc<[Vec<Arc<CertifiedKey>>]>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    /// `None`: it cannot be served.
    pub config: Option<Arc<QuicServerConfig>>,
}

impl QuicEntry {
    /// The entry for a socket whose listeners have these certificates: the previous one if nothing has changed.
    pub(super) fn build(
        socket: &TlsSocket,
        keys: Vec<Vec<Arc<CertifiedKey>>>,
        previous: Option<&Self>,
    ) -> Self {
        let names = socket.positions();
        let is_same = |previous: &&Self| {
            let keys = previous.keys.iter().zip(&keys);
            previous.names.is_same(&names)
                && previous.keys.len() == keys.len()
                && keys.into_iter().all(|(one, other)| same_all(one, other))
        };
        if let Some(previous) = previous.filter(is_same) {
            return previous.clone();
        }
        let tickets = previous
            .and_then(|previous| previous.tickets.clone())
            .or_else(|| Ticketer::new().ok());
        let config = config(&names, &keys, tickets.as_ref());
        Self {
            names,
            keys: keys.into(),
            tickets,
            config: config.map(Arc::new),
        }
    }
}

fn config(
    names: &SocketNames,
    keys: &[Vec<Arc<CertifiedKey>>],
    tickets: Option<&Arc<dyn ProducesTickets>>,
) -> Option<QuicServerConfig> {
    let certificates = ByListener {
        names: names.clone(),
        certificates: keys.iter().map(|keys| Certificates::new(keys)).collect(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&TLS13])
        .ok()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"h3".to_vec()];
    if let Some(tickets) = tickets {
        config.ticketer = Arc::clone(tickets);
    }
    QuicServerConfig::try_from(config).ok()
}

/// The certificates of the listener that the server name selects. There are none where it selects nothing: then the
/// handshake fails.
#[derive(Debug)]
struct ByListener {
    names: SocketNames,
    certificates: Vec<Certificates>,
}

impl ResolvesServerCert for ByListener {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let listener = self.names.select(name.as_deref())?;
        self.certificates.get(listener)?.resolve(hello)
    }
}
