//! `spec.tls.frontend`: what clients must show, by port.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::certificates::v1beta1::ClusterTrustBundle;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use novaedge_api::gateway::{
    FrontendTlsValidation, FrontendValidationModeType, Gateway, GatewaySpec, ObjectReference,
    TlsConfig,
};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{CaRef, ProxyClientValidation, ProxyClientValidationMode};

use super::certificates::{Permitted, check_grant, elsewhere, qualified};
use crate::certificate::{CertificateError, check_ca_config_map, check_ca_pem, check_ca_secret};
use crate::diagnostic::Diagnostic;
use crate::view::View;

/// Client validation of a Gateway: of every port, and of single ports.
#[derive(Debug, Default)]
pub(super) struct Validation {
    default: Option<PortValidation>,
    ports: BTreeMap<u16, Option<PortValidation>>,
}

/// Client validation of a port.
#[derive(Clone, Debug)]
pub(super) struct PortValidation {
    /// What the agents check; none when no reference gives an authority.
    pub(super) native: Option<ProxyClientValidation>,
    /// What is wrong with a reference: reason and message.
    pub(super) fault: Option<(&'static str, String)>,
}

impl Validation {
    /// What applies to a port.
    pub(super) fn of_port(&self, port: u16) -> Option<&PortValidation> {
        self.ports.get(&port).unwrap_or(&self.default).as_ref()
    }
}

/// Whether clients without a valid certificate are let in on some port.
pub(super) fn is_insecure(spec: &GatewaySpec) -> bool {
    let frontend = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
    frontend.is_some_and(|frontend| {
        let ports = frontend.per_port.iter().map(|port| &port.tls);
        ports.chain([&frontend.default]).any(|tls| {
            let mode = tls.validation.as_ref().map(|validation| validation.mode);
            mode == Some(FrontendValidationModeType::AllowInsecureFallback)
        })
    })
}

/// Reads the frontend configuration of a Gateway.
pub(super) fn read(
    view: &View<'_>,
    gateway: &Gateway,
    diagnostics: &mut Vec<Diagnostic>,
) -> Validation {
    let Some(frontend) = gateway
        .spec
        .tls
        .as_ref()
        .and_then(|tls| tls.frontend.as_ref())
    else {
        return Validation::default();
    };
    let holder = ObjectId {
        kind: Kind::Gateway,
        key: ObjectKey::of(&gateway.metadata),
    };
    let mut port = |tls: &TlsConfig, field: String| {
        let validation = tls.validation.as_ref()?;
        Some(port_validation(
            view,
            &holder,
            validation,
            &field,
            diagnostics,
        ))
    };
    let default = port(
        &frontend.default,
        "spec.tls.frontend.default.validation".to_owned(),
    );
    let ports = frontend.per_port.iter().enumerate().map(|(index, entry)| {
        let field = format!("spec.tls.frontend.perPort[{index}].tls.validation");
        (entry.port, port(&entry.tls, field))
    });
    let ports = ports.collect();
    Validation { default, ports }
}

fn port_validation(
    view: &View<'_>,
    holder: &ObjectId,
    validation: &FrontendTlsValidation,
    field: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> PortValidation {
    let mut refs = Vec::new();
    let mut fault = None;
    for (index, reference) in validation.ca_certificate_refs.iter().enumerate() {
        match authority(view, holder, reference) {
            Ok(ca) => refs.push(ca),
            Err((reason, message)) => {
                let field = format!("{field}.caCertificateRefs[{index}]");
                fault.get_or_insert((reason, format!("{field}: {message}")));
                diagnostics.push(Diagnostic::error(holder.clone(), field, reason, message));
            }
        }
    }
    let mode = match validation.mode {
        FrontendValidationModeType::AllowValidOnly => ProxyClientValidationMode::AllowValidOnly,
        FrontendValidationModeType::AllowInsecureFallback => {
            ProxyClientValidationMode::AllowInsecureFallback
        }
    };
    let native = (!refs.is_empty()).then_some(ProxyClientValidation {
        mode,
        ca_certificate_refs: refs,
    });
    if native.is_none() && fault.is_none() {
        let message = "there is no reference to a CA certificate; add one to caCertificateRefs";
        let (field, reason) = (
            format!("{field}.caCertificateRefs"),
            "InvalidCACertificateRef",
        );
        fault = Some((reason, format!("{field}: {message}")));
        diagnostics.push(Diagnostic::error(holder.clone(), field, reason, message));
    }
    PortValidation { native, fault }
}

/// One source of authorities, or reason and message.
fn authority(
    view: &View<'_>,
    holder: &ObjectId,
    reference: &ObjectReference,
) -> Result<CaRef, (&'static str, String)> {
    let kind = match (reference.group.as_str(), reference.kind.as_str()) {
        ("", "ConfigMap") => Kind::ConfigMap,
        ("", "Secret") => Kind::Secret,
        ("certificates.k8s.io", "ClusterTrustBundle") => Kind::ClusterTrustBundle,
        (group, kind) => {
            let message = format!(
                "{} \"{}\" cannot hold CA certificates here; refer to a ConfigMap with the key ca.crt",
                qualified(group, kind),
                reference.name
            );
            return Err(("InvalidCACertificateKind", message));
        }
    };
    let own = holder.key.namespace.as_str();
    let key = if kind == Kind::ClusterTrustBundle {
        ObjectKey::new("", &reference.name)
    } else {
        let namespace = reference
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty());
        let key = ObjectKey::new(namespace.unwrap_or(own), &reference.name);
        check_grant(view, holder, "", kind.as_str(), &key).map_err(|fault| {
            debug_assert_eq!(fault.permitted, Permitted::No);
            ("RefNotPermitted", fault.message)
        })?;
        key
    };
    let verdict = match kind {
        Kind::ConfigMap => view
            .get::<ConfigMap>(&key)
            .map(|map| check_ca_config_map(&map)),
        Kind::Secret => view
            .get::<Secret>(&key)
            .map(|secret| check_ca_secret(&secret)),
        _ => view
            .get::<ClusterTrustBundle>(&key)
            .as_ref()
            .map(check_bundle),
    };
    match verdict {
        Some(Ok(_)) => Ok(CaRef {
            kind: kind.as_str().to_owned(),
            namespace: elsewhere(&key.namespace, own),
            name: key.name,
        }),
        Some(Err(error)) => Err(("InvalidCACertificateRef", format!("{kind} {key}: {error}"))),
        None => {
            let message = format!("{kind} {key} does not exist; create it or fix the name");
            Err(("InvalidCACertificateRef", message))
        }
    }
}

fn check_bundle(bundle: &Arc<ClusterTrustBundle>) -> Result<Vec<u8>, CertificateError> {
    check_ca_pem(bundle.spec.trust_bundle.as_bytes())
}
