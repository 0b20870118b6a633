//! What an API server checks beyond types: the limits, patterns and CEL rules of the CRD schemas.
//!
//! The rules are those of the Gateway API v1.7 (experimental channel), with their messages, and those of the native
//! kinds. Each error names the
//! field, down to the element of a list.

mod filters;
mod gateways;
mod listeners;
mod native;
mod place;
mod policies;
mod refs;
mod routes;
mod text;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::field::FieldError;
use crate::meta::{Object, Scope};
use place::{At, Report};
use text::{LABEL, SUBDOMAIN};

/// Checks an object; the errors are sorted by path. Kinds of Kubernetes itself are not checked.
pub fn validate(object: &Object) -> Vec<FieldError> {
    let report = Report::default();
    let root = report.root();
    let spec = root.field("spec");
    match object {
        Object::GatewayClass(class) => gateways::gateway_class(spec, &class.spec),
        Object::Gateway(gateway) => gateways::gateway(spec, &gateway.spec),
        Object::ListenerSet(set) => gateways::listener_set(spec, &set.spec),
        Object::HttpRoute(route) => routes::http(spec, &route.spec),
        Object::GrpcRoute(route) => routes::grpc(spec, &route.spec),
        Object::TlsRoute(route) => routes::tls(spec, &route.spec),
        Object::TcpRoute(route) => routes::tcp(spec, &route.spec),
        Object::UdpRoute(route) => routes::udp(spec, &route.spec),
        Object::ReferenceGrant(grant) => policies::reference_grant(spec, &grant.spec),
        Object::BackendTlsPolicy(policy) => policies::backend_tls_policy(spec, &policy.spec),
        Object::ProxyGateway(gateway) => native::gateway(spec, &gateway.spec),
        Object::ProxyRoute(route) => native::route(spec, &route.spec),
        Object::ProxyBackend(backend) => native::backend(spec, &backend.spec),
        Object::Service(_)
        | Object::EndpointSlice(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::ClusterTrustBundle(_)
        | Object::Namespace(_)
        | Object::Ingress(_)
        | Object::IngressClass(_) => return Vec::new(),
    }
    metadata(
        root.field("metadata"),
        object.kind().scope(),
        object.metadata(),
    );
    report.into_errors()
}

fn metadata(at: At<'_>, scope: Scope, metadata: &ObjectMeta) {
    at.field("name").text(
        metadata.name.as_deref().unwrap_or_default(),
        1..=253,
        SUBDOMAIN,
    );
    if scope == Scope::Namespaced {
        at.field("namespace").text(
            metadata.namespace.as_deref().unwrap_or_default(),
            1..=63,
            LABEL,
        );
    }
}

#[cfg(test)]
mod tests;
