//! References to backends: kind, then grant, then existence, then port and protocol.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Service;
use novaedge_api::gateway::{BackendObjectReference, GROUP};
use novaedge_api::meta::{Kind, ObjectKey};
use novaedge_api::native::{self, NamespacedRef, ProxyBackend};

use super::service::{self, PortError};
use crate::clash;
use crate::grant::{Referent, Referrer, permits};
use crate::names;
use crate::plan::{BackendKey, Traffic};
use crate::route::fault::{
    BACKEND_NOT_FOUND, Fault, INVALID_KIND, REF_NOT_PERMITTED, UNSUPPORTED_PROTOCOL,
};
use crate::view::View;

/// The references of one route, resolved one after the other, and what came of them.
pub(crate) struct Refs<'a, 'v> {
    view: &'a View<'v>,
    kind: Kind,
    namespace: &'a str,
    traffic: Traffic,
    /// The Ingress whose annotations say how the backend at hand is spoken to.
    tuned_by: Option<Box<str>>,
    found: Found,
}

/// What came of a route's references.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Ports of Services that need a ProxyBackend.
    pub(crate) backends: BTreeSet<BackendKey>,
    /// Services referred to, permitted, existing or not.
    pub(crate) services: BTreeSet<ObjectKey>,
    /// References that do not resolve, in the order of the route.
    pub(crate) faults: Vec<Fault>,
    /// Entries without effect elsewhere in the rules, and why.
    pub(crate) ignored: Vec<Fault>,
}

impl<'a, 'v> Refs<'a, 'v> {
    /// References of a route of `kind` in `namespace`.
    pub(crate) fn new(
        view: &'a View<'v>,
        kind: Kind,
        namespace: &'a str,
        traffic: Traffic,
    ) -> Self {
        Self {
            view,
            kind,
            namespace,
            traffic,
            tuned_by: None,
            found: Found::default(),
        }
    }

    /// What came of all of them.
    pub(crate) fn into_found(self) -> Found {
        self.found
    }

    /// Where to tell of entries without effect.
    pub(crate) fn ignored(&mut self) -> &mut Vec<Fault> {
        &mut self.found.ignored
    }

    /// Tells of a reference that does not resolve.
    pub(crate) fn fault(&mut self, fault: Fault) {
        self.found.faults.push(fault);
    }

    /// The ProxyBackends needed so far, to return to when a rule turns out not to be served.
    pub(crate) fn needed(&mut self) -> &mut BTreeSet<BackendKey> {
        &mut self.found.backends
    }

    /// The ProxyBackend that a reference leads to. A reference that does not resolve is told of,
    /// and comes back as a fault.
    pub(crate) fn backend(
        &mut self,
        field: &str,
        reference: &BackendObjectReference,
    ) -> Result<NamespacedRef, Fault> {
        let resolved = self.resolve(field, reference);
        if let Err(fault) = &resolved {
            self.found.faults.push(fault.clone());
        }
        resolved
    }

    /// The same for an Ingress, whose annotations may say how the backend is spoken to: its name, if they do.
    pub(crate) fn tuned_backend(
        &mut self,
        field: &str,
        reference: &BackendObjectReference,
        tuned_by: Option<&str>,
    ) -> Result<NamespacedRef, Fault> {
        self.tuned_by = tuned_by.map(Box::from);
        let resolved = self.backend(field, reference);
        self.tuned_by = None;
        resolved
    }

    /// Notes a Service that is referred to.
    pub(crate) fn refer_to(&mut self, service: ObjectKey) {
        self.found.services.insert(service);
    }

    fn resolve(
        &mut self,
        field: &str,
        reference: &BackendObjectReference,
    ) -> Result<NamespacedRef, Fault> {
        let kind = Kind::find(&reference.group, &reference.kind)
            .filter(|kind| matches!(kind, Kind::Service | Kind::ProxyBackend))
            .ok_or_else(|| invalid_kind(field, reference))?;
        let namespace = reference
            .namespace
            .as_deref()
            .filter(|given| !given.is_empty());
        let key = ObjectKey::new(namespace.unwrap_or(self.namespace), &reference.name);
        self.permitted(field, kind, &key)?;
        match kind {
            Kind::ProxyBackend => self.proxy_backend(field, &key),
            _ => self.service(field, &key, reference.port),
        }
    }

    fn permitted(&self, field: &str, kind: Kind, key: &ObjectKey) -> Result<(), Fault> {
        if key.namespace == self.namespace {
            return Ok(());
        }
        let from = Referrer {
            group: GROUP,
            kind: self.kind.as_str(),
            namespace: self.namespace,
        };
        let to = Referent {
            group: kind.group(),
            kind: kind.as_str(),
            name: &key.name,
        };
        if permits(&self.view.grants_in(&key.namespace), &from, &to) {
            return Ok(());
        }
        let text = format!(
            "{kind} {key} is in another namespace, and no ReferenceGrant in {} lets {} objects of namespace {} refer to it; create one there",
            key.namespace, self.kind, self.namespace
        );
        Err(Fault::new(
            format!("{field}.namespace"),
            REF_NOT_PERMITTED,
            text,
        ))
    }

    /// A ProxyBackend that a user wrote; those made from Services come and go with their routes.
    fn proxy_backend(&self, field: &str, key: &ObjectKey) -> Result<NamespacedRef, Fault> {
        let found = self.view.get::<ProxyBackend>(key);
        let written = found.filter(|backend| !clash::is_projection(backend.as_ref()));
        let field = format!("{field}.name");
        let Some(written) = written else {
            let text = format!(
                "there is no ProxyBackend {key} that a user wrote; create it or correct the name"
            );
            return Err(Fault::new(field, BACKEND_NOT_FOUND, text));
        };
        let streams = matches!(self.kind, Kind::TcpRoute | Kind::TlsRoute);
        if written.spec.proxy_protocol.is_some() && !streams {
            let text = format!(
                "ProxyBackend {key} sends headers of the PROXY protocol, which {}s cannot; refer to one without proxyProtocol",
                self.kind
            );
            return Err(Fault::new(field, UNSUPPORTED_PROTOCOL, text));
        }
        Ok(self.local(key.clone()))
    }

    fn service(
        &mut self,
        field: &str,
        key: &ObjectKey,
        number: Option<u16>,
    ) -> Result<NamespacedRef, Fault> {
        self.found.services.insert(key.clone());
        let Some(service) = self.view.get::<Service>(key) else {
            let text = format!("Service {key} does not exist; create it or correct the name");
            return Err(Fault::new(format!("{field}.name"), BACKEND_NOT_FOUND, text));
        };
        let field = format!("{field}.port");
        let Some(number) = number.filter(|number| *number != 0) else {
            let text = format!("Service {key} is referred to without a port; add one of its ports");
            return Err(Fault::new(field, BACKEND_NOT_FOUND, text));
        };
        let port = service::port(&service, number, self.traffic);
        let port = port.map_err(|error| port_fault(&field, key, number, self.kind, &error))?;
        if self.kind == Kind::GrpcRoute && port.spoken.is_web_socket() {
            let text = format!(
                "port {number} of Service {key} speaks WebSocket by its appProtocol, which a GRPCRoute cannot; use an HTTPRoute or correct appProtocol"
            );
            return Err(Fault::new(field, UNSUPPORTED_PROTOCOL, text));
        }
        let key = BackendKey {
            service: key.clone(),
            port: number,
            traffic: self.traffic,
            tuned_by: self.tuned_by.clone(),
        };
        if let Some(fault) = super::unusable(self.view, &service, &port, &key) {
            // The ProxyBackend says so itself, whoever uses it; the route's status says it, too.
            self.found.faults.push(Fault { field, ..fault });
        }
        let reference = self.local(names::proxy_backend(&key));
        self.found.backends.insert(key);
        Ok(reference)
    }

    /// The reference as it stands in the native route, which lies in the route's namespace.
    fn local(&self, key: ObjectKey) -> NamespacedRef {
        let ObjectKey { namespace, name } = key;
        let namespace = if namespace == self.namespace {
            String::new()
        } else {
            namespace
        };
        NamespacedRef { namespace, name }
    }
}

fn invalid_kind(field: &str, reference: &BackendObjectReference) -> Fault {
    let group = if reference.group.is_empty() {
        "core"
    } else {
        &reference.group
    };
    let text = format!(
        "kind {} of group {group} is not supported as a backend; use a Service or a ProxyBackend of group {}",
        reference.kind,
        native::GROUP
    );
    Fault::new(format!("{field}.kind"), INVALID_KIND, text)
}

fn port_fault(
    field: &str,
    service: &ObjectKey,
    number: u16,
    kind: Kind,
    error: &PortError,
) -> Fault {
    match error {
        PortError::Absent(ports) if ports.is_empty() => {
            let text = format!("Service {service} has no ports; add port {number} to it");
            Fault::new(field, BACKEND_NOT_FOUND, text)
        }
        PortError::Absent(ports) => {
            let text = format!(
                "Service {service} has no port {number}; use one of {} or add it",
                ports.join(", ")
            );
            Fault::new(field, BACKEND_NOT_FOUND, text)
        }
        PortError::Transport(others) => {
            let text = format!(
                "port {number} of Service {service} is a {} port, which {}s cannot use; use another port or kind of route",
                others.join(" and "),
                match kind {
                    Kind::Ingress => "Ingresse",
                    _ => kind.as_str(),
                }
            );
            Fault::new(field, UNSUPPORTED_PROTOCOL, text)
        }
    }
}
