//! Rules that hold in some versions of a kind only. The types forget the version, so they are checked while decoding.

use crate::field::FieldError;
use crate::meta::Object;

/// Limits of TLSRoutes, TCPRoutes and UDPRoutes that v1alpha2 did not have: one rule, and for TLSRoutes a host name.
pub(super) fn check(object: &Object, version: &str) -> Vec<FieldError> {
    let (rules, hostnames) = match object {
        Object::TlsRoute(route) => (route.spec.rules.len(), Some(route.spec.hostnames.len())),
        Object::TcpRoute(route) => (route.spec.rules.len(), None),
        Object::UdpRoute(route) => (route.spec.rules.len(), None),
        _ => return Vec::new(),
    };
    let mut errors = Vec::new();
    if version == "v1alpha2" {
        return errors;
    }
    if hostnames == Some(0) {
        let error = FieldError::new("spec.hostnames", "must have at least 1 element, has 0");
        errors.push(error.with_fix("name the servers, or use a TCPRoute for every connection"));
    }
    if rules > 1 {
        let error = FieldError::new(
            "spec.rules",
            format!("must have at most 1 element, has {rules}"),
        );
        errors.push(error.with_fix("split the route"));
    }
    errors
}
