//! `spec.tls` of Ingresses.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::Ingress;
use novaedge_api::gateway::SecretObjectReference;
use novaedge_api::meta::{ObjectId, ObjectKey};

use super::entry::host;
use crate::diagnostic::Diagnostic;
use crate::gateway::certificates;
use crate::route::fault::Fault;
use crate::view::View;

/// A host that is served with TLS.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Secured {
    /// Empty for every host.
    pub(super) host: String,
    /// The Secret, where it holds a certificate that can be used.
    pub(super) secret: Option<ObjectKey>,
    /// Path of the entry in the Ingress.
    pub(super) field: String,
}

/// The hosts with TLS, and what is wrong with their certificates. An entry without hosts is for the hosts of the rules.
///
/// A host whose certificate cannot be used counts as one with TLS: it is not served in cleartext instead.
pub(super) fn read(
    view: &View<'_>,
    id: &ObjectId,
    ingress: &Ingress,
) -> (Vec<Secured>, Vec<Diagnostic>) {
    let (mut found, mut diagnostics) = (Vec::new(), Vec::new());
    let entries = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.tls.iter().flatten());
    for (index, tls) in entries.enumerate() {
        let field = format!("spec.tls[{index}]");
        let secret = match certificate(view, id, tls.secret_name.as_deref(), &field) {
            Ok(certificate) => {
                let field = format!("{field}.secretName");
                diagnostics.extend(certificate.timing(view, id, &field));
                Some(certificate.secret)
            }
            Err(fault) => {
                diagnostics.push(fault.diagnostic(id));
                None
            }
        };
        let named = tls.hosts.as_deref().unwrap_or_default();
        let mut hosts: BTreeSet<String> = BTreeSet::new();
        for (index, given) in named.iter().enumerate() {
            match host(Some(given), &format!("{field}.hosts[{index}]")) {
                Ok(host) => _ = hosts.insert(host),
                Err(fault) => diagnostics.push(fault.diagnostic(id)),
            }
        }
        if named.is_empty() {
            hosts = hosts_of_rules(ingress);
        }
        found.extend(hosts.into_iter().map(|host| Secured {
            host,
            secret: secret.clone(),
            field: field.clone(),
        }));
    }
    (found, diagnostics)
}

fn hosts_of_rules(ingress: &Ingress) -> BTreeSet<String> {
    let rules = ingress
        .spec
        .iter()
        .flat_map(|spec| spec.rules.iter().flatten());
    // What is wrong with a host is told where it stands.
    let hosts = rules.filter_map(|rule| host(rule.host.as_deref(), "").ok());
    let mut hosts: BTreeSet<String> = hosts.collect();
    let spec = ingress.spec.as_ref();
    if hosts.is_empty() && spec.is_some_and(|spec| spec.default_backend.is_some()) {
        hosts.insert(String::new());
    }
    hosts
}

/// The certificate in a Secret of the Ingress' own namespace.
fn certificate(
    view: &View<'_>,
    id: &ObjectId,
    name: Option<&str>,
    field: &str,
) -> Result<certificates::Certificate, Fault> {
    let field = format!("{field}.secretName");
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        let text =
            "there is no certificate for these hosts; name a Secret of type kubernetes.io/tls";
        return Err(Fault::new(field, INVALID_CERTIFICATE_REF, text));
    };
    let reference = SecretObjectReference {
        name: name.to_owned(),
        ..SecretObjectReference::default()
    };
    certificates::resolve(view, id, &reference)
        .map_err(|fault| Fault::new(field, INVALID_CERTIFICATE_REF, fault.message))
}

/// A reference to a Secret that gives no certificate.
const INVALID_CERTIFICATE_REF: &str = "InvalidCertificateRef";
