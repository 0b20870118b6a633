//! Which objects an object refers to.

use std::collections::BTreeSet;

use novaedge_api::gateway::{
    BackendObjectReference, BackendRef, GatewaySpec, GrpcRouteFilter, HttpRouteFilter, Listener,
    ParentReference, SecretObjectReference,
};
use novaedge_api::ingress::{ingress_class, is_default_class, unnamed_class};
use novaedge_api::k8s_openapi::api::networking::v1::Ingress;
use novaedge_api::meta::{Kind, Object, ObjectId};

/// Label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The objects that `object` refers to, whether they exist or may be referred to or not. References to kinds that
/// nobody reads are left out.
pub fn references(object: &Object) -> BTreeSet<ObjectId> {
    let mut found = Found {
        namespace: object.metadata().namespace.clone().unwrap_or_default(),
        ids: BTreeSet::new(),
    };
    match object {
        Object::Gateway(gateway) => gateway_references(&mut found, &gateway.spec),
        Object::ListenerSet(set) => {
            let parent = &set.spec.parent_ref;
            found.add(
                &parent.group,
                &parent.kind,
                parent.namespace.as_deref(),
                &parent.name,
            );
            found.listeners(&set.spec.listeners);
        }
        Object::HttpRoute(route) => {
            found.parents(&route.spec.parent_refs);
            for rule in &route.spec.rules {
                found.http_filters(&rule.filters);
                for backend in &rule.backend_refs {
                    found.backend(&backend.backend_ref());
                    found.http_filters(&backend.filters);
                }
            }
        }
        Object::GrpcRoute(route) => {
            found.parents(&route.spec.parent_refs);
            for rule in &route.spec.rules {
                found.grpc_filters(&rule.filters);
                for backend in &rule.backend_refs {
                    found.backend(&backend.backend_ref());
                    found.grpc_filters(&backend.filters);
                }
            }
        }
        Object::TlsRoute(route) => {
            found.stream(
                &route.spec.parent_refs,
                route.spec.rules.iter().map(|r| &r.backend_refs),
            );
        }
        Object::TcpRoute(route) => {
            found.stream(
                &route.spec.parent_refs,
                route.spec.rules.iter().map(|r| &r.backend_refs),
            );
        }
        Object::UdpRoute(route) => {
            found.stream(
                &route.spec.parent_refs,
                route.spec.rules.iter().map(|r| &r.backend_refs),
            );
        }
        Object::BackendTlsPolicy(policy) => {
            for target in &policy.spec.target_refs {
                found.add(&target.group, &target.kind, None, &target.name);
            }
            for ca in &policy.spec.validation.ca_certificate_refs {
                found.add(&ca.group, &ca.kind, None, &ca.name);
            }
        }
        Object::Ingress(ingress) => ingress_references(&mut found, ingress),
        Object::IngressClass(class) if is_default_class(class) => {
            found.ids.insert(unnamed_class());
        }
        Object::EndpointSlice(slice) => {
            let labels = slice.metadata.labels.as_ref();
            if let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) {
                found.add("", "Service", None, service);
            }
        }
        _ => {}
    }
    found.ids
}

fn gateway_references(found: &mut Found, spec: &GatewaySpec) {
    found.ids.insert(ObjectId::new(
        Kind::GatewayClass,
        "",
        &spec.gateway_class_name,
    ));
    found.listeners(&spec.listeners);
    let Some(tls) = &spec.tls else { return };
    if let Some(client) = tls
        .backend
        .as_ref()
        .and_then(|tls| tls.client_certificate_ref.as_ref())
    {
        found.secret(client);
    }
    if let Some(frontend) = &tls.frontend {
        let ports = frontend.per_port.iter().map(|port| &port.tls);
        for validation in ports
            .chain([&frontend.default])
            .filter_map(|tls| tls.validation.as_ref())
        {
            for ca in &validation.ca_certificate_refs {
                found.add(&ca.group, &ca.kind, ca.namespace.as_deref(), &ca.name);
            }
        }
    }
}

fn ingress_references(found: &mut Found, ingress: &Ingress) {
    let class = ingress_class(ingress);
    found.ids.insert(class.map_or_else(unnamed_class, |name| {
        ObjectId::new(Kind::IngressClass, "", name)
    }));
    let Some(spec) = &ingress.spec else { return };
    let secrets = spec.tls.iter().flatten();
    for secret in secrets.filter_map(|tls| tls.secret_name.as_deref()) {
        found.add("", "Secret", None, secret);
    }
    let rules = spec.rules.iter().flatten();
    let paths = rules
        .filter_map(|rule| rule.http.as_ref())
        .flat_map(|http| &http.paths);
    let backends = paths
        .map(|path| &path.backend)
        .chain(spec.default_backend.as_ref());
    for service in backends.filter_map(|backend| backend.service.as_ref()) {
        found.add("", "Service", None, &service.name);
    }
}

struct Found {
    namespace: String,
    ids: BTreeSet<ObjectId>,
}

impl Found {
    fn add(&mut self, group: &str, kind: &str, namespace: Option<&str>, name: &str) {
        let Some(kind) = Kind::find(group, kind) else {
            return;
        };
        let namespace = match kind.scope() {
            novaedge_api::meta::Scope::Cluster => "",
            novaedge_api::meta::Scope::Namespaced => namespace.unwrap_or(&self.namespace),
        };
        self.ids.insert(ObjectId::new(kind, namespace, name));
    }

    fn parents(&mut self, parents: &[ParentReference]) {
        for parent in parents {
            self.add(
                &parent.group,
                &parent.kind,
                parent.namespace.as_deref(),
                &parent.name,
            );
        }
    }

    fn backend(&mut self, backend: &BackendRef) {
        self.add(
            &backend.group,
            &backend.kind,
            backend.namespace.as_deref(),
            &backend.name,
        );
    }

    fn secret(&mut self, secret: &SecretObjectReference) {
        self.add(
            &secret.group,
            &secret.kind,
            secret.namespace.as_deref(),
            &secret.name,
        );
    }

    fn listeners(&mut self, listeners: &[Listener]) {
        for reference in listeners
            .iter()
            .filter_map(|l| l.tls.as_ref())
            .flat_map(|t| &t.certificate_refs)
        {
            self.secret(reference);
        }
    }

    fn grpc_filters(&mut self, filters: &[GrpcRouteFilter]) {
        for mirror in filters
            .iter()
            .filter_map(|filter| filter.request_mirror.as_ref())
        {
            self.object(&mirror.backend_ref);
        }
    }

    fn object(&mut self, target: &BackendObjectReference) {
        self.add(
            &target.group,
            &target.kind,
            target.namespace.as_deref(),
            &target.name,
        );
    }

    fn http_filters(&mut self, filters: &[HttpRouteFilter]) {
        for mirror in filters
            .iter()
            .filter_map(|filter| filter.request_mirror.as_ref())
        {
            self.object(&mirror.backend_ref);
        }
    }

    fn stream<'a>(
        &mut self,
        parents: &[ParentReference],
        rules: impl Iterator<Item = &'a Vec<BackendRef>>,
    ) {
        self.parents(parents);
        for backend in rules.flatten() {
            self.backend(backend);
        }
    }
}
