//! Whether a BackendTLSPolicy can be followed as written.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use novaedge_api::gateway::{
    BackendTlsPolicy, LocalObjectReference, SubjectAltName, SubjectAltNameType,
};
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::{CaRef, ProxyBackendTls, ProxySubjectAltName};

use crate::certificate::{check_ca_config_map, check_ca_secret};
use crate::route::fault::Fault;
use crate::route::hostname;
use crate::view::View;

/// The policy is syntactically or semantically wrong.
pub(super) const INVALID: &str = "Invalid";
/// None of the policy's CA references can be used.
pub(super) const NO_VALID_CA_CERTIFICATE: &str = "NoValidCACertificate";
/// A CA reference leads to nothing, or to no certificate.
const INVALID_CA_CERTIFICATE_REF: &str = "InvalidCACertificateRef";
/// A CA reference is of a kind that is not supported.
const INVALID_KIND: &str = "InvalidKind";

/// What came of a policy, whatever it targets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checked {
    /// TLS as the policy wants it, or why connections must fail.
    pub(crate) tls: Result<ProxyBackendTls, Fault>,
    /// CA references that cannot be used, in order.
    pub(crate) references: Vec<Fault>,
}

/// Checks a policy and what it refers to.
pub(crate) fn check(view: &View<'_>, policy: &BackendTlsPolicy) -> Checked {
    let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
    let validation = &policy.spec.validation;
    let mut references = Vec::new();
    let mut trusted = Vec::new();
    for (index, reference) in validation.ca_certificate_refs.iter().enumerate() {
        let field = format!("spec.validation.caCertificateRefs[{index}]");
        match authority(view, namespace, reference, &field) {
            Ok(authority) => trusted.push(authority),
            Err(fault) => references.push(fault),
        }
    }
    let tls = spec_fault(policy).map_or(Ok(()), Err).and_then(|()| {
        let names = subject_alt_names(&validation.subject_alt_names)?;
        if let (Some(first), true) = (references.first(), trusted.is_empty()) {
            let text = format!("no CA reference can be used: {first}");
            let field = "spec.validation.caCertificateRefs";
            return Err(Fault::new(field, NO_VALID_CA_CERTIFICATE, text));
        }
        Ok(ProxyBackendTls {
            server_name: validation.hostname.to_ascii_lowercase(),
            ca_certificate_refs: trusted,
            subject_alt_names: names,
        })
    });
    Checked { tls, references }
}

/// What the policy's own fields have wrong.
fn spec_fault(policy: &BackendTlsPolicy) -> Option<Fault> {
    let validation = &policy.spec.validation;
    let fault = |field: &str, text: String| {
        Some(Fault::new(
            format!("spec.validation.{field}"),
            INVALID,
            text,
        ))
    };
    let well_known = validation
        .well_known_ca_certificates
        .as_deref()
        .filter(|word| !word.is_empty());
    match (well_known, validation.ca_certificate_refs.is_empty()) {
        (Some(_), false) => {
            let text = "it is given beside caCertificateRefs; remove one of the two";
            return fault("wellKnownCACertificates", text.to_owned());
        }
        (None, true) => {
            let text = "nothing says which authorities to trust; give caCertificateRefs, or wellKnownCACertificates: System";
            return fault("caCertificateRefs", text.to_owned());
        }
        (Some(word), true) if word != "System" => {
            let text = format!("\"{word}\" is not supported; use System, or caCertificateRefs");
            return fault("wellKnownCACertificates", text);
        }
        _ => {}
    }
    let host = &validation.hostname;
    let wildcard = host.contains('*').then_some("it must not have a wildcard");
    let wrong = wildcard.or_else(|| hostname::fault(host))?;
    fault(
        "hostname",
        format!("\"{host}\" cannot be sent as server name: {wrong}"),
    )
}

fn authority(
    view: &View<'_>,
    namespace: &str,
    reference: &LocalObjectReference,
    field: &str,
) -> Result<CaRef, Fault> {
    let key = ObjectKey::new(namespace, &reference.name);
    let found = match (reference.group.as_str(), reference.kind.as_str()) {
        ("", "ConfigMap") => view
            .get::<ConfigMap>(&key)
            .map(|map| check_ca_config_map(&map)),
        ("", "Secret") => view
            .get::<Secret>(&key)
            .map(|secret| check_ca_secret(&secret)),
        (group, kind) => {
            let group = if group.is_empty() { "core" } else { group };
            let text = format!(
                "kind {kind} of group {group} is not supported; put the certificates into a ConfigMap or Secret under ca.crt"
            );
            return Err(Fault::new(format!("{field}.kind"), INVALID_KIND, text));
        }
    };
    let kind = &reference.kind;
    match found {
        Some(Ok(_)) => Ok(CaRef {
            kind: kind.clone(),
            namespace: String::new(),
            name: key.name,
        }),
        Some(Err(error)) => {
            let text = format!("{kind} {key}: {error}");
            Err(Fault::new(field, INVALID_CA_CERTIFICATE_REF, text))
        }
        None => {
            let text = format!("{kind} {key} does not exist; create it or correct the name");
            Err(Fault::new(field, INVALID_CA_CERTIFICATE_REF, text))
        }
    }
}

fn subject_alt_names(given: &[SubjectAltName]) -> Result<Vec<ProxySubjectAltName>, Fault> {
    let mut found = Vec::new();
    for (index, name) in given.iter().enumerate() {
        let field = format!("spec.validation.subjectAltNames[{index}]");
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let wrong = |what: String| Err(Fault::new(&field, INVALID, what));
        match (name.type_, text(&name.hostname), text(&name.uri)) {
            (SubjectAltNameType::Hostname, Some(host), None) => match hostname::fault(&host) {
                None => found.push(ProxySubjectAltName::Hostname(host.to_ascii_lowercase())),
                Some(fault) => return wrong(format!("\"{host}\" is no hostname: {fault}")),
            },
            (SubjectAltNameType::Uri, None, Some(uri)) if is_absolute(&uri) => {
                found.push(ProxySubjectAltName::Uri(uri));
            }
            (SubjectAltNameType::Uri, None, Some(uri)) => {
                return wrong(format!(
                    "\"{uri}\" is no absolute URI; begin it with its scheme"
                ));
            }
            (type_, _, _) => {
                let field = if type_ == SubjectAltNameType::Hostname {
                    "hostname"
                } else {
                    "uri"
                };
                return wrong(format!("type {type_} needs the field {field} and no other"));
            }
        }
    }
    Ok(found)
}

/// Whether a URI has a scheme and something behind it (RFC 3986 section 3.1).
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic())
}
