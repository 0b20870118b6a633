//! The client side: how backends are checked, and what is shown to them.

use std::sync::Arc;

use novaedge_router::BackendTls;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::ServerName;

use super::trust::{self, Roots};
use super::verify::NamedBackend;
use super::{PROVIDER, Refusal};

/// How to connect to a TLS backend.
#[derive(Debug)]
pub struct BackendClient {
    /// SNI, and the name to check where no others are given.
    pub server_name: ServerName<'static>,
    /// Without ALPN.
    pub tcp: Arc<ClientConfig>,
    /// ALPN `http/1.1`.
    pub http1: Arc<ClientConfig>,
    /// ALPN `h2`.
    pub http2: Arc<ClientConfig>,
}

/// Why a backend cannot be connected by TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum BackendError {
    #[error("the server name {0:?} is not a DNS name")]
    ServerName(String),
    #[error("the trust bundle {0:?} is missing or not usable")]
    Trust(String),
    #[error("the client certificate {0:?} is missing or not usable")]
    ClientCertificate(String),
    #[error("the roots cannot be used")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    #[error("the tls versions cannot be used")]
    Versions(#[source] rustls::Error),
}

/// What a client is made from.
#[derive(Clone)]
pub(super) struct BackendInputs {
    pub tls: BackendTls,
    /// The Gateway's certificate: its name, and itself if it can be used.
    pub key: Option<(Arc<str>, Option<Arc<CertifiedKey>>)>,
    /// By position in `tls.trust_bundles`.
    pub roots: Vec<Option<Arc<Roots>>>,
}

/// The client of a backend for the Gateways that show one certificate.
#[derive(Clone)]
pub(super) struct ClientEntry {
    pub inputs: BackendInputs,
    /// What to connect with, or why it cannot be connected.
    pub client: Result<Arc<BackendClient>, Refusal>,
}

impl ClientEntry {
    pub(super) fn new(inputs: BackendInputs) -> Self {
        let client = build(&inputs).map_err(|error| Refusal::new(&error));
        Self { inputs, client }
    }
}

impl BackendInputs {
    pub(super) fn certificate_name(&self) -> Option<&str> {
        self.key.as_ref().map(|(name, _)| &**name)
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        let pointer = |key: &Option<Arc<CertifiedKey>>| key.as_ref().map(Arc::as_ptr);
        let keys = match (&self.key, &other.key) {
            (None, None) => true,
            (Some((name, key)), Some((other_name, other_key))) => {
                name == other_name && pointer(key) == pointer(other_key)
            }
            _ => false,
        };
        let roots = |roots: &[Option<Arc<Roots>>]| -> Vec<Option<*const Roots>> {
            roots
                .iter()
                .map(|roots| roots.as_ref().map(Arc::as_ptr))
                .collect()
        };
        keys && self.tls == other.tls && roots(&self.roots) == roots(&other.roots)
    }
}

/// The client for these inputs.
fn build(inputs: &BackendInputs) -> Result<Arc<BackendClient>, BackendError> {
    let tls = &inputs.tls;
    let server_name = ServerName::try_from(tls.server_name.to_string())
        .map_err(|_| BackendError::ServerName(tls.server_name.to_string()))?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(BackendError::Versions)?
        .dangerous()
        .with_custom_certificate_verifier(verifier(inputs)?);
    let mut tcp = match &inputs.key {
        None => builder.with_no_client_auth(),
        Some((_, Some(key))) => {
            let resolver = SingleCertAndKey::from(Arc::clone(key));
            builder.with_client_cert_resolver(Arc::new(resolver) as Arc<dyn ResolvesClientCert>)
        }
        Some((name, None)) => return Err(BackendError::ClientCertificate(name.to_string())),
    };
    tcp.enable_sni = true;
    let with_alpn = |protocol: &[u8]| {
        let mut config = tcp.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    };
    Ok(Arc::new(BackendClient {
        http1: with_alpn(b"http/1.1"),
        http2: with_alpn(b"h2"),
        tcp: Arc::new(tcp),
        server_name,
    }))
}

fn verifier(inputs: &BackendInputs) -> Result<Arc<dyn ServerCertVerifier>, BackendError> {
    let tls = &inputs.tls;
    let roots = if tls.trust_bundles.is_empty() {
        trust::system()
    } else {
        // A bundle that is gone makes the rest no less trustworthy, but what is configured is not in force.
        let mut usable = Vec::with_capacity(inputs.roots.len());
        for (name, roots) in tls.trust_bundles.iter().zip(&inputs.roots) {
            usable.push(
                roots
                    .as_ref()
                    .ok_or_else(|| BackendError::Trust(name.to_string()))?,
            );
        }
        trust::store(usable)
    };
    if !tls.sans.is_empty() {
        return Ok(Arc::new(NamedBackend::new(roots, tls.sans.clone())));
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&PROVIDER)).build();
    Ok(verifier.map_err(BackendError::Verifier)?)
}
