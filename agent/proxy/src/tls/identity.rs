//! Certificates with their keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use novaedge_proto::v1::RejectedResource;
use novaedge_router::Certificate;
use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::Refusal;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The chain is not PEM.
    #[error("the certificate chain is not valid PEM")]
    ChainPem(#[source] pem::Error),
    /// The chain has no certificates.
    #[error("the certificate chain has no certificate")]
    NoCertificate,
    /// The leaf is not X.509.
    #[error("the first certificate is not valid X.509: {0}")]
    Leaf(String),
    /// The key is not PEM, or of an unknown kind.
    #[error("the private key is not valid PEM")]
    KeyPem(#[source] pem::Error),
    /// The key is of a kind that cannot be used.
    #[error("the private key cannot be used")]
    Key(#[source] rustls::Error),
    /// The key belongs to another certificate.
    #[error("the private key does not match the certificate")]
    Mismatch,
}

/// A certificate as it is, and as it is used.
#[derive(Clone)]
pub(super) struct Identity {
    source: Arc<Certificate>,
    /// Perhaps from an earlier source, if this one is broken.
    pub key: Option<Arc<CertifiedKey>>,
    /// Why the source is not in force.
    refusal: Option<Refusal>,
}

/// Parses the certificates that changed. Those that stay broken are refused each time: whether the
/// control plane knows it already is not known here.
pub(super) fn convert(
    certificates: &BTreeMap<Arc<str>, Arc<Certificate>>,
    previous: &BTreeMap<Arc<str>, Identity>,
    rejected: &mut Vec<RejectedResource>,
) -> BTreeMap<Arc<str>, Identity> {
    let convert = |(name, source): (&Arc<str>, &Arc<Certificate>)| {
        let before = previous.get(name);
        let identity = match before.filter(|before| Arc::ptr_eq(&before.source, source)) {
            Some(same) => same.clone(),
            None => Identity::new(source, before),
        };
        rejected.extend(identity.refusal.as_ref().map(|why| why.of(name)));
        (Arc::clone(name), identity)
    };
    certificates.iter().map(convert).collect()
}

impl Identity {
    /// When the leaf in use ends to be valid, in seconds since 1970.
    pub(super) fn not_after(&self) -> Option<i64> {
        let leaf = self.key.as_ref()?.cert.first()?;
        let (_, leaf) = parse_x509_certificate(leaf).ok()?;
        Some(leaf.validity().not_after.timestamp())
    }

    fn new(source: &Arc<Certificate>, before: Option<&Self>) -> Self {
        let (key, refusal) = match parse(source) {
            Ok(key) => (Some(Arc::new(key)), None),
            Err(error) => (
                before.and_then(|before| before.key.clone()),
                Some(Refusal::new(&error)),
            ),
        };
        Self {
            source: Arc::clone(source),
            key,
            refusal,
        }
    }
}

fn parse(source: &Certificate) -> Result<CertifiedKey, IdentityError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&source.chain_pem)
        .collect::<Result<_, _>>()
        .map_err(IdentityError::ChainPem)?;
    let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
    check_leaf(leaf, &source.name)?;
    let key =
        PrivateKeyDer::from_pem_slice(&source.private_key_pem).map_err(IdentityError::KeyPem)?;
    let key = any_supported_type(&key).map_err(IdentityError::Key)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(IdentityError::Mismatch)
        }
        // Some keys cannot tell their public half; then there is nothing to compare.
        _ => Ok(certified),
    }
}

/// An expired certificate is served all the same: some clients do not check, and a refusal helps none.
fn check_leaf(leaf: &CertificateDer<'_>, name: &str) -> Result<(), IdentityError> {
    let (_, leaf) =
        parse_x509_certificate(leaf).map_err(|error| IdentityError::Leaf(error.to_string()))?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = ASN1Time::from_timestamp(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if now.is_ok_and(|now| !leaf.validity().is_valid_at(now)) {
        tracing::warn!(certificate = name, not_after = %leaf.validity().not_after, "certificate is expired or not yet valid");
    }
    Ok(())
}

/// The DNS names of a certificate, lower case.
pub(super) fn dns_names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, leaf)) = parse_x509_certificate(leaf) else {
        return Vec::new();
    };
    let Ok(Some(names)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    let dns = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
    dns.collect()
}
