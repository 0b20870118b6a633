//! Which Secrets and ConfigMaps an object refers to.

use std::collections::BTreeSet;

use novaedge_api::meta::{Kind, Object, ObjectId};
use novaedge_api::native::{CaRef, GROUP, NamespacedRef, OWNER, ProxyBackend, ProxyGateway};
use novaedge_store::references;

use crate::served::NARROW;

/// The Secrets and ConfigMaps that `object` refers to, whether they exist or may be referred to or not.
pub(crate) fn narrow_references(object: &Object) -> BTreeSet<ObjectId> {
    match object {
        Object::Gateway(_)
        | Object::ListenerSet(_)
        | Object::BackendTlsPolicy(_)
        | Object::Ingress(_) => {
            let mut found = references(object);
            found.retain(|id| NARROW.contains(&id.kind));
            found
        }
        // One that was made refers to what the object does that it was made for.
        object if is_made(object) => BTreeSet::new(),
        Object::ProxyGateway(gateway) => of_gateway(gateway),
        Object::ProxyBackend(backend) => of_backend(backend),
        _ => BTreeSet::new(),
    }
}

/// Whether a native object was made for another one, so that nobody reads it.
pub(crate) fn is_made(object: &Object) -> bool {
    if object.kind().group() != GROUP {
        return false;
    }
    let labels = object.metadata().labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(OWNER))
}

fn of_gateway(gateway: &ProxyGateway) -> BTreeSet<ObjectId> {
    let mut found = Found::new(gateway.metadata.namespace.as_deref());
    found.secrets(&gateway.spec.backend_client_certificate_ref);
    for tls in gateway
        .spec
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
    {
        found.secrets(&tls.certificate_refs);
        if let Some(validation) = &tls.client_validation {
            found.authorities(&validation.ca_certificate_refs);
        }
    }
    found.ids
}

fn of_backend(backend: &ProxyBackend) -> BTreeSet<ObjectId> {
    let mut found = Found::new(backend.metadata.namespace.as_deref());
    if let Some(tls) = &backend.spec.tls {
        found.authorities(&tls.ca_certificate_refs);
    }
    found.ids
}

/// References of an object in a namespace.
struct Found<'a> {
    namespace: &'a str,
    ids: BTreeSet<ObjectId>,
}

impl<'a> Found<'a> {
    fn new(namespace: Option<&'a str>) -> Self {
        Self {
            namespace: namespace.unwrap_or_default(),
            ids: BTreeSet::new(),
        }
    }

    fn secrets<'r>(&mut self, references: impl IntoIterator<Item = &'r NamespacedRef>) {
        for reference in references {
            self.add(Kind::Secret, &reference.namespace, &reference.name);
        }
    }

    fn authorities(&mut self, references: &[CaRef]) {
        for reference in references {
            let kind = NARROW
                .into_iter()
                .find(|kind| kind.as_str() == reference.kind);
            if let Some(kind) = kind {
                self.add(kind, &reference.namespace, &reference.name);
            }
        }
    }

    fn add(&mut self, kind: Kind, namespace: &str, name: &str) {
        let namespace = if namespace.is_empty() {
            self.namespace
        } else {
            namespace
        };
        self.ids.insert(ObjectId::new(kind, namespace, name));
    }
}

#[cfg(test)]
mod tests {
    use novaedge_api::decode::decode;
    use serde_json::{Value, json};

    use super::narrow_references;

    fn check(api_version: &str, kind: &str, spec: &Value, expect: &[&str]) {
        let object = decode(json!({
            "apiVersion": api_version, "kind": kind, "spec": spec,
            "metadata": {"name": "x", "namespace": "here"},
        }));
        let found = narrow_references(&object.expect("decodes"));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn gateways_refer_to_certificates_and_authorities() {
        let spec = json!({
            "gatewayClassName": "novaedge",
            "listeners": [{"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [
                {"name": "own"}, {"name": "theirs", "namespace": "there"}, {"group": "x", "kind": "Y", "name": "z"}]}}],
            "tls": {
                "backend": {"clientCertificateRef": {"name": "client"}},
                "frontend": {"default": {"validation": {"caCertificateRefs": [
                    {"group": "", "kind": "ConfigMap", "name": "ca"}]}}},
            },
        });
        let expect = [
            "Secret/here/client",
            "Secret/here/own",
            "Secret/there/theirs",
            "ConfigMap/here/ca",
        ];
        check("gateway.networking.k8s.io/v1", "Gateway", &spec, &expect);
    }

    #[test]
    fn policies_and_listener_sets_refer_to_them_too() {
        let spec = json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": "s"}],
            "validation": {"hostname": "h.example", "caCertificateRefs": [
                {"group": "", "kind": "ConfigMap", "name": "ca"}, {"group": "", "kind": "Secret", "name": "ca"}]},
        });
        let expect = ["Secret/here/ca", "ConfigMap/here/ca"];
        check(
            "gateway.networking.k8s.io/v1",
            "BackendTLSPolicy",
            &spec,
            &expect,
        );
        let spec = json!({
            "parentRef": {"name": "g"},
            "listeners": [{"name": "a", "port": 443, "protocol": "TLS",
                           "tls": {"certificateRefs": [{"name": "own"}]}}],
        });
        check(
            "gateway.networking.k8s.io/v1",
            "ListenerSet",
            &spec,
            &["Secret/here/own"],
        );
    }

    #[test]
    fn ingresses_refer_to_their_certificates() {
        let spec = json!({
            "tls": [{"hosts": ["a.example"], "secretName": "own"}, {"hosts": ["b.example"]}],
            "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}},
        });
        check(
            "networking.k8s.io/v1",
            "Ingress",
            &spec,
            &["Secret/here/own"],
        );
    }

    #[test]
    fn hand_written_natives_refer_to_them_too() {
        let spec = json!({
            "backendClientCertificateRef": {"name": "client"},
            "listeners": [{"name": "a", "port": 443, "protocol": "HTTPS", "tls": {
                "mode": "Terminate",
                "certificateRefs": [{"name": "own"}, {"name": "theirs", "namespace": "there"}],
                "clientValidation": {"mode": "AllowValidOnly", "caCertificateRefs": [
                    {"kind": "ConfigMap", "name": "ca"}, {"kind": "ClusterTrustBundle", "name": "b"}]}}}],
        });
        let expect = [
            "Secret/here/client",
            "Secret/here/own",
            "Secret/there/theirs",
            "ConfigMap/here/ca",
        ];
        check("novaedge.io/v1alpha1", "ProxyGateway", &spec, &expect);
        let spec = json!({
            "endpoints": [{"address": "10.0.0.1", "port": 443}],
            "tls": {"serverName": "h.example", "caCertificateRefs": [{"kind": "Secret", "name": "ca"}]},
        });
        check(
            "novaedge.io/v1alpha1",
            "ProxyBackend",
            &spec,
            &["Secret/here/ca"],
        );
    }
}
