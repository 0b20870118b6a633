//! The server side: which certificate, and what clients must show.

use std::sync::Arc;

use novaedge_router::ClientValidationMode;
use rustc_hash::FxHashMap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use smallvec::SmallVec;

use super::PROVIDER;
use super::identity::dns_names;
use super::trust::{self, Roots};
use super::verify::AcceptAnyClient;

/// What comes after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// HTTP, chosen by ALPN.
    Http,
    /// Anything.
    Bytes,
}

/// What a configuration is made from.
pub(super) struct ServerInputs {
    pub traffic: Traffic,
    /// In the order of the listener.
    pub keys: Vec<Arc<CertifiedKey>>,
    pub clients: Option<(ClientValidationMode, Vec<Arc<Roots>>)>,
}

/// The configuration of a listener.
pub(super) struct ServerEntry {
    inputs: Arc<ServerInputs>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    /// `None`: it cannot be served.
    pub config: Option<Arc<ServerConfig>>,
}

impl ServerEntry {
    /// The entry for `inputs`: the previous one if they are the same. A change of certificates keeps
    /// the keys of session tickets. A change of what clients must show does not: a session that was
    /// begun under other rules must not be resumed.
    pub(super) fn build(inputs: ServerInputs, listener: &str, previous: Option<&Self>) -> Self {
        if let Some(previous) = previous.filter(|previous| previous.inputs.same(&inputs)) {
            return Self {
                inputs: Arc::clone(&previous.inputs),
                tickets: previous.tickets.clone(),
                config: previous.config.clone(),
            };
        }
        let kept = previous.filter(|previous| previous.inputs.same_clients(&inputs));
        let tickets = kept
            .and_then(|previous| previous.tickets.clone())
            .or_else(|| Ticketer::new().ok());
        let config = inputs.config(tickets.as_ref());
        if config.is_none() {
            tracing::warn!(
                listener,
                "listener has no usable certificate or client validation: its connections are closed"
            );
        }
        Self {
            inputs: Arc::new(inputs),
            tickets,
            config: config.map(Arc::new),
        }
    }
}

impl ServerInputs {
    fn same(&self, other: &Self) -> bool {
        self.traffic == other.traffic
            && same_all(&self.keys, &other.keys)
            && self.same_clients(other)
    }

    fn same_clients(&self, other: &Self) -> bool {
        match (&self.clients, &other.clients) {
            (None, None) => true,
            (Some((mode, roots)), Some((other_mode, other_roots))) => {
                mode == other_mode && same_all(roots, other_roots)
            }
            _ => false,
        }
    }

    fn config(&self, tickets: Option<&Arc<dyn ProducesTickets>>) -> Option<ServerConfig> {
        if self.keys.is_empty() {
            return None;
        }
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_client_cert_verifier(self.verifier()?)
            .with_cert_resolver(Arc::new(Certificates::new(&self.keys)));
        if self.traffic == Traffic::Http {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        if let Some(tickets) = tickets {
            config.ticketer = Arc::clone(tickets);
        }
        Some(config)
    }

    /// `None`: clients must show a certificate, and there is nothing to check it against.
    fn verifier(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        match &self.clients {
            None => Some(Arc::new(NoClientAuth)),
            Some((ClientValidationMode::InsecureFallback, _)) => Some(Arc::new(AcceptAnyClient)),
            Some((ClientValidationMode::RequireValid, roots)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    trust::store(roots),
                    Arc::clone(&PROVIDER),
                )
                .build();
                verifier
                    .ok()
                    .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
            }
        }
    }
}

pub(super) fn same_all<T>(one: &[Arc<T>], other: &[Arc<T>]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| Arc::ptr_eq(one, other))
}

/// Chooses by server name: a certificate with exactly this name, one with a wildcard for it, the
/// listener's first. Among several the first that the client can check.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<Arc<CertifiedKey>>,
    exact: FxHashMap<Box<str>, SmallVec<[Arc<CertifiedKey>; 1]>>,
    /// By what follows `*.`.
    wildcard: FxHashMap<Box<str>, SmallVec<[Arc<CertifiedKey>; 1]>>,
}

impl Certificates {
    pub(super) fn new(keys: &[Arc<CertifiedKey>]) -> Self {
        let mut own = Self {
            all: keys.to_vec(),
            exact: FxHashMap::default(),
            wildcard: FxHashMap::default(),
        };
        for key in keys {
            let Some(leaf) = key.cert.first() else {
                continue;
            };
            for name in dns_names(leaf) {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut own.wildcard, suffix),
                    None => (&mut own.exact, name.as_str()),
                };
                names.entry(name.into()).or_default().push(Arc::clone(key));
            }
        }
        own
    }

    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let named = name.and_then(|name| {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            // A wildcard stands for one label (RFC 9525 section 6.3).
            let wildcard = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(&*name).or_else(wildcard)
        });
        named.map_or(&self.all, |named| named.as_slice())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let checkable = candidates
            .iter()
            .find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        checkable.or(candidates.first()).cloned()
    }
}
