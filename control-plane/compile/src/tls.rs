//! Certificates and authorities to trust.

use std::sync::Arc;

use novaedge_api::k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;
use novaedge_api::k8s_openapi::api::core::v1::{ConfigMap, Secret};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_proto::v1;
use novaedge_proto::v1::resource::Body;
use novaedge_translate::certificate::{
    CertificateError, check_ca_config_map, check_ca_pem, check_ca_secret, check_tls_secret,
};

use crate::name;
use crate::unit::{Computed, Outcome};
use crate::view::View;

/// A Secret's certificate with its key.
pub(crate) fn certificate(view: &View<'_>, key: &ObjectKey) -> Computed {
    let Some(secret) = view.get::<Secret>(key) else {
        return missing(Kind::Secret, key);
    };
    match check_tls_secret(secret) {
        Ok(checked) => usable(
            name::certificate(key),
            Body::Certificate(v1::Certificate {
                chain_pem: checked.chain_pem.into(),
                private_key_pem: checked.private_key_pem.into(),
                fingerprint: checked.fingerprint,
            }),
        ),
        Err(error) => unusable(Kind::Secret, key, &error),
    }
}

/// Authorities in the `ca.crt` of a ConfigMap or Secret, or in a ClusterTrustBundle.
pub(crate) fn trust(view: &View<'_>, id: &ObjectId) -> Computed {
    let key = &id.key;
    let checked = match id.kind {
        Kind::ConfigMap => view
            .get::<ConfigMap>(key)
            .map(|map| check_ca_config_map(map)),
        Kind::Secret => view
            .get::<Secret>(key)
            .map(|secret| check_ca_secret(secret)),
        _ => view
            .get::<ClusterTrustBundle>(key)
            .map(|bundle| check_ca_pem(bundle.spec.trust_bundle.as_bytes())),
    };
    match checked {
        None => missing(id.kind, key),
        Some(Err(error)) => unusable(id.kind, key, &error),
        Some(Ok(ca_pem)) => usable(
            name::trust(id.kind, key),
            Body::TrustBundle(v1::TrustBundle {
                ca_pem: ca_pem.into(),
            }),
        ),
    }
}

fn usable(name: String, body: Body) -> Computed {
    Computed {
        resources: vec![(name, body)],
        outcome: Outcome::Usable,
        diagnostics: Vec::new(),
    }
}

fn missing(kind: Kind, key: &ObjectKey) -> Computed {
    fault(format!("{kind} {key} does not exist; create it"))
}

fn unusable(kind: Kind, key: &ObjectKey, error: &CertificateError) -> Computed {
    fault(format!("{kind} {key}: {error}"))
}

fn fault(reason: String) -> Computed {
    Computed {
        outcome: Outcome::Unusable(Arc::from(reason)),
        ..Computed::default()
    }
}
