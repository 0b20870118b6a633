//! TLS on both sides, made from tables: certificates of listeners, checks of clients and backends.
//!
//! A snapshot rebuilds what its change concerns. Everything else keeps its identity, so connections
//! are resumed across snapshots, and open connections keep what they were made with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use novaedge_proto::v1::RejectedResource;
use novaedge_router::{ListenerInfo, Socket, SocketKey, Tables, TlsMode, TlsSocket};
use quinn::crypto::rustls::QuicServerConfig;
use rustc_hash::FxHashMap;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig};
use smallvec::SmallVec;

mod backend;
mod identity;
mod quic;
mod server;
mod trust;
mod verify;

pub use backend::BackendClient;
pub use identity::IdentityError;
pub use trust::TrustError;

use backend::{BackendInputs, ClientEntry};
use identity::Identity;
use quic::QuicEntry;
use server::{ServerEntry, ServerInputs};
use trust::{Roots, Trust};

/// The one provider of cryptography.
static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// Fills with bytes that nobody can guess, if there are any.
pub(crate) fn fill_randomly(bytes: &mut [u8]) {
    // Without any, what was there stays.
    let _ = PROVIDER.secure_random.fill(bytes);
}

/// TLS configurations for one [`Tables`].
#[derive(Default)]
pub struct TlsConfigs {
    identities: BTreeMap<Arc<str>, Identity>,
    trusts: BTreeMap<Arc<str>, Trust>,
    servers: BTreeMap<Arc<str>, ServerEntry>,
    quics: BTreeMap<SocketKey, QuicEntry>,
    clients: FxHashMap<Arc<str>, SmallVec<[ClientEntry; 1]>>,
}

impl std::fmt::Debug for TlsConfigs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfigs")
            .field("servers", &self.servers.keys())
            .field("clients", &self.clients.len())
            .finish_non_exhaustive()
    }
}

impl TlsConfigs {
    /// The configurations for `tables`; what is as in `previous` keeps its identity.
    ///
    /// A certificate, bundle or backend that cannot be used is refused by its resource name at every
    /// build, and its last good content stays in force if there was one.
    #[must_use]
    pub fn build(tables: &Tables, previous: &Self) -> (Arc<Self>, Vec<RejectedResource>) {
        let mut rejected = Vec::new();
        let mut next = Self {
            identities: identity::convert(
                &tables.certificates,
                &previous.identities,
                &mut rejected,
            ),
            trusts: trust::convert(&tables.trust_bundles, &previous.trusts, &mut rejected),
            ..Self::default()
        };
        let mut client_certificates = BTreeSet::from([None]);
        for (key, socket) in &tables.sockets {
            match &**socket {
                Socket::Quic(socket) => next.add_quic(*key, socket, previous),
                socket => next.add_socket(socket, previous, &mut client_certificates),
            }
        }
        next.add_clients(tables, previous, &client_certificates, &mut rejected);
        (Arc::new(next), rejected)
    }

    /// The certificates in use by the names of their resources, and when they expire, in seconds since 1970.
    pub fn expiries(&self) -> impl Iterator<Item = (&str, i64)> {
        let identities = self.identities.iter();
        identities.filter_map(|(name, identity)| Some((&**name, identity.not_after()?)))
    }

    /// The configuration of an HTTPS listener (with ALPN), or of a TLS listener that ends TLS
    /// (without). `None`: there is no such listener, or none of its certificates can be used.
    #[must_use]
    pub fn server(&self, listener: &str) -> Option<Arc<ServerConfig>> {
        self.servers.get(listener)?.config.clone()
    }

    /// The configuration of a socket of QUIC, with ALPN `h3`. `None`: there is no such socket, or it cannot be used.
    #[must_use]
    pub fn quic(&self, key: SocketKey) -> Option<Arc<QuicServerConfig>> {
        self.quics.get(&key)?.config.clone()
    }

    /// How to connect to a TLS backend on behalf of a Gateway that shows `client_certificate`.
    /// `None`: the backend does not use TLS, or its configuration cannot be used.
    #[must_use]
    pub fn backend(
        &self,
        backend: &str,
        client_certificate: Option<&str>,
    ) -> Option<Arc<BackendClient>> {
        let entries = self.clients.get(backend)?;
        let entry = entries
            .iter()
            .find(|entry| entry.inputs.certificate_name() == client_certificate)?;
        entry.client.as_ref().ok().cloned()
    }

    /// How to connect to a TLS backend on behalf of no Gateway in particular: with a client certificate if any Gateway has
    /// one, since a backend may insist on it.
    #[must_use]
    pub fn backend_of_any(&self, backend: &str) -> Option<Arc<BackendClient>> {
        let clients = self.clients.get(backend)?.iter();
        let mut usable = clients.rev().filter_map(|entry| entry.client.as_ref().ok());
        usable.next().cloned()
    }

    /// [`TlsConfigs::backend`] for plain TCP: without ALPN.
    #[must_use]
    pub fn client(
        &self,
        backend: &str,
        client_certificate: Option<&str>,
    ) -> Option<Arc<ClientConfig>> {
        self.backend(backend, client_certificate)
            .map(|client| Arc::clone(&client.tcp))
    }

    fn add_socket(
        &mut self,
        socket: &Socket,
        previous: &Self,
        client_certificates: &mut BTreeSet<Option<Arc<str>>>,
    ) {
        let mut note = |info: &ListenerInfo| {
            if info.backend_client_certificate.is_some() {
                client_certificates.insert(info.backend_client_certificate.clone());
            }
        };
        match socket {
            Socket::Http(socket) => socket
                .listeners()
                .iter()
                .for_each(|listener| note(&listener.info)),
            Socket::Tcp(socket) | Socket::Udp(socket) => note(&socket.info),
            // Its listeners are those of another socket, too.
            Socket::Quic(_) => {}
            Socket::Tls(socket) => {
                for listener in socket.https_listeners() {
                    note(&listener.info);
                    self.add_server(&listener.info, server::Traffic::Http, previous);
                }
                for listener in socket.tls_listeners() {
                    note(&listener.info);
                    if listener.mode == TlsMode::Terminate {
                        self.add_server(&listener.info, server::Traffic::Bytes, previous);
                    }
                }
            }
        }
    }

    fn add_quic(&mut self, key: SocketKey, socket: &TlsSocket, previous: &Self) {
        let listeners = socket.https_listeners();
        let keys = listeners.map(|listener| self.keys(&listener.info));
        let entry = QuicEntry::build(socket, keys.collect(), previous.quics.get(&key));
        self.quics.insert(key, entry);
    }

    fn keys(&self, info: &ListenerInfo) -> Vec<Arc<CertifiedKey>> {
        let names = info.certificates.iter();
        names.filter_map(|name| self.key(name)).collect()
    }

    fn add_server(&mut self, info: &ListenerInfo, traffic: server::Traffic, previous: &Self) {
        let inputs = ServerInputs {
            traffic,
            keys: self.keys(info),
            clients: info.client_validation.as_ref().map(|validation| {
                let roots = validation
                    .trust_bundles
                    .iter()
                    .filter_map(|name| self.roots(name));
                (validation.mode, roots.collect())
            }),
        };
        let entry = ServerEntry::build(inputs, &info.name, previous.servers.get(&info.name));
        self.servers.insert(Arc::clone(&info.name), entry);
    }

    fn add_clients(
        &mut self,
        tables: &Tables,
        previous: &Self,
        certificates: &BTreeSet<Option<Arc<str>>>,
        rejected: &mut Vec<RejectedResource>,
    ) {
        for backend in tables.backends.values() {
            let Some(tls) = &backend.tls else { continue };
            // Sorted, the one without a certificate first.
            let before = previous.clients.get(&backend.name);
            let mut entries: SmallVec<[ClientEntry; 1]> = SmallVec::new();
            for certificate in certificates {
                let key = certificate
                    .as_ref()
                    .map(|name| (Arc::clone(name), self.key(name)));
                let roots = tls
                    .trust_bundles
                    .iter()
                    .map(|name| self.roots(name))
                    .collect();
                let inputs = BackendInputs {
                    tls: tls.clone(),
                    key,
                    roots,
                };
                let known = before
                    .and_then(|entries| entries.iter().find(|entry| entry.inputs.same(&inputs)));
                let entry = known.cloned().unwrap_or_else(|| ClientEntry::new(inputs));
                entries.push(entry);
            }
            let refusal = entries.iter().find_map(|entry| entry.client.as_ref().err());
            rejected.extend(refusal.map(|why| why.of(&backend.name)));
            self.clients.insert(Arc::clone(&backend.name), entries);
        }
    }

    fn key(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.identities.get(name)?.key.clone()
    }

    fn roots(&self, name: &str) -> Option<Arc<Roots>> {
        self.trusts.get(name)?.roots.clone()
    }
}

/// Why a resource cannot be used, in words.
#[derive(Clone)]
struct Refusal(Arc<str>);

impl Refusal {
    /// An error with its sources.
    fn new(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        Self(text.into())
    }

    /// The refusal of a resource. Its version is not known here.
    fn of(&self, name: &str) -> RejectedResource {
        RejectedResource {
            name: name.to_owned(),
            version: String::new(),
            error: self.0.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
