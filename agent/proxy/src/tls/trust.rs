//! Roots that peers are checked against.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use novaedge_proto::v1::RejectedResource;
use novaedge_router::TrustBundle;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};

use super::Refusal;

/// Certificates of authorities.
pub(super) type Roots = Vec<CertificateDer<'static>>;

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is not PEM.
    #[error("the bundle is not valid PEM")]
    Pem(#[source] pem::Error),
    /// It holds no certificate that can be a root.
    #[error("the bundle has no usable certificate")]
    Empty,
}

/// A bundle as it is, and as it is used.
#[derive(Clone)]
pub(super) struct Trust {
    source: Arc<TrustBundle>,
    /// Perhaps from an earlier source, if this one is broken.
    pub roots: Option<Arc<Roots>>,
    /// Why the source is not in force.
    refusal: Option<Refusal>,
}

/// Parses the bundles that changed. Those that stay broken are refused each time.
pub(super) fn convert(
    bundles: &BTreeMap<Arc<str>, Arc<TrustBundle>>,
    previous: &BTreeMap<Arc<str>, Trust>,
    rejected: &mut Vec<RejectedResource>,
) -> BTreeMap<Arc<str>, Trust> {
    let convert = |(name, source): (&Arc<str>, &Arc<TrustBundle>)| {
        let before = previous.get(name);
        let trust = match before.filter(|before| Arc::ptr_eq(&before.source, source)) {
            Some(same) => same.clone(),
            None => Trust::new(source, before),
        };
        rejected.extend(trust.refusal.as_ref().map(|why| why.of(name)));
        (Arc::clone(name), trust)
    };
    bundles.iter().map(convert).collect()
}

impl Trust {
    fn new(source: &Arc<TrustBundle>, before: Option<&Self>) -> Self {
        let (roots, refusal) = match parse(source) {
            Ok(roots) => (Some(Arc::new(roots)), None),
            Err(error) => (
                before.and_then(|before| before.roots.clone()),
                Some(Refusal::new(&error)),
            ),
        };
        Self {
            source: Arc::clone(source),
            roots,
            refusal,
        }
    }
}

fn parse(source: &TrustBundle) -> Result<Roots, TrustError> {
    let roots: Roots = CertificateDer::pem_slice_iter(&source.ca_pem)
        .collect::<Result<_, _>>()
        .map_err(TrustError::Pem)?;
    let (usable, ignored) = RootCertStore::empty().add_parsable_certificates(roots.iter().cloned());
    if usable == 0 {
        return Err(TrustError::Empty);
    }
    if ignored > 0 {
        tracing::warn!(bundle = %source.name, ignored, "bundle has certificates that cannot be roots");
    }
    Ok(roots)
}

/// One store of several bundles.
pub(super) fn store<'a>(bundles: impl IntoIterator<Item = &'a Arc<Roots>>) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    for roots in bundles {
        store.add_parsable_certificates(roots.iter().cloned());
    }
    Arc::new(store)
}

/// The roots of the operating system, read once.
pub(super) fn system() -> Arc<RootCertStore> {
    static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(%error, "system roots are not complete");
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(loaded.certs);
        Arc::new(store)
    });
    Arc::clone(&SYSTEM)
}
