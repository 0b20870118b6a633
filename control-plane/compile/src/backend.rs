//! ProxyBackends: how to talk to their endpoints.

use novaedge_api::k8s_openapi::api::core::v1::Service;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{
    ProxyBackend, ProxyBackendProtocol, ProxyBackendTls, ProxyInvalid, ProxyServiceRef,
    ProxySubjectAltName, SendProxyProtocol,
};
use novaedge_proto::v1;
use novaedge_proto::v1::resource::Body;
use novaedge_translate::Diagnostic;

use crate::gateway::{invalid, not_permitted};
use crate::unit::{Carries, Computed, Outcome};
use crate::view::{Origin, View, key_in, resolve_ca};
use crate::{balancing, endpoint, health_check, name};

/// Milliseconds until a connection attempt fails, unless the backend says otherwise.
const CONNECT_TIMEOUT_MS: u64 = 2_000;
/// Milliseconds until an idle pooled connection is closed, unless the backend says otherwise.
const IDLE_TIMEOUT_MS: u64 = 60_000;

/// Compiles a ProxyBackend without its endpoints.
pub(crate) fn compile(view: &View<'_>, key: &ObjectKey) -> Computed {
    let Some((object, origin)) = view.native::<ProxyBackend>(key) else {
        return Computed::default();
    };
    let mut compiler = BackendCompiler {
        view,
        key,
        origin,
        diagnostics: Vec::new(),
    };
    let backend = compiler.backend(object);
    Computed {
        resources: vec![(name::backend(key), Body::Backend(backend))],
        outcome: Outcome::Backend(carries(object)),
        diagnostics: compiler.diagnostics,
    }
}

struct BackendCompiler<'a> {
    view: &'a View<'a>,
    key: &'a ObjectKey,
    origin: Origin,
    diagnostics: Vec<Diagnostic>,
}

impl BackendCompiler<'_> {
    fn id(&self) -> ObjectId {
        ObjectId {
            kind: Kind::ProxyBackend,
            key: self.key.clone(),
        }
    }

    fn report(&mut self, field: impl Into<String>, reason: &str, message: String) {
        let diagnostic = Diagnostic::error(self.id(), field, reason, message);
        self.diagnostics.push(diagnostic);
    }

    fn backend(&mut self, object: &ProxyBackend) -> v1::Backend {
        let spec = &object.spec;
        let mut fault = spec.invalid.as_ref().map(refused);
        let tls = spec.tls.as_ref().and_then(|tls| match self.tls(tls) {
            Ok(tls) => Some(tls),
            Err(invalid) => {
                fault.get_or_insert(invalid);
                None
            }
        });
        let service = spec.service_ref.as_ref();
        if let Err(invalid) = self.target(object) {
            fault.get_or_insert(invalid);
        }
        v1::Backend {
            r#ref: Some(name::object_ref(Kind::ProxyBackend, self.key)),
            service: service.map(|service| {
                let key = service_key(service, self.key);
                name::object_ref(Kind::Service, &key)
            }),
            service_port: service.map_or(0, |service| u32::from(service.port)),
            protocol: protocol(spec.protocol).into(),
            tls,
            load_balancing: balancing::policy(spec.lb_policy).into(),
            connect_timeout_ms: spec.connect_timeout_ms.unwrap_or(CONNECT_TIMEOUT_MS),
            idle_timeout_ms: spec.idle_timeout_ms.unwrap_or(IDLE_TIMEOUT_MS),
            max_connections: spec.max_connections.unwrap_or_default(),
            invalid: fault,
            hash_key: spec.hash_key.as_ref().map(balancing::hash_key),
            outlier_detection: spec.outlier_detection.as_ref().map(balancing::outlier),
            slow_start_ms: spec.slow_start_ms.unwrap_or_default(),
            zone_preference: balancing::zone_preference(spec.zone_preference).into(),
            panic_percent: balancing::panic_percent(spec),
            health_check: spec.health_check.as_ref().map(health_check::health_check),
            max_requests: spec.max_requests.unwrap_or_default(),
            max_pending_requests: spec.max_pending_requests.unwrap_or_default(),
            retry_budget: spec.retry_budget.as_ref().map(balancing::retry_budget),
            send_proxy_protocol: send_proxy_protocol(spec.proxy_protocol).into(),
        }
    }

    /// Judges where the endpoints come from. The translation has done so for what it made.
    fn target(&mut self, object: &ProxyBackend) -> Result<(), v1::InvalidConfiguration> {
        if self.origin == Origin::Generated {
            return Ok(());
        }
        for (index, endpoint) in object.spec.endpoints.iter().enumerate() {
            if let Err(message) = endpoint::check(endpoint) {
                let field = format!("spec.endpoints[{index}]");
                self.report(field, "Invalid", message);
            }
        }
        let Some(service) = &object.spec.service_ref else {
            if object.spec.endpoints.is_empty() {
                let message = "neither serviceRef nor endpoints is set; set one";
                self.report("spec", "Required", message.to_owned());
                return Err(invalid("BackendNotFound", message));
            }
            return Ok(());
        };
        if !object.spec.endpoints.is_empty() {
            let message = "serviceRef and endpoints are both set; remove one";
            self.report("spec.endpoints", "Invalid", message.to_owned());
            return Err(invalid("UnsupportedValue", message));
        }
        self.service(service)
    }

    fn service(&mut self, reference: &ProxyServiceRef) -> Result<(), v1::InvalidConfiguration> {
        let key = service_key(reference, self.key);
        if !self.view.permits(&self.id(), Kind::Service, &key) {
            let message = not_permitted(Kind::Service, &key);
            self.report("spec.serviceRef", "RefNotPermitted", message.clone());
            return Err(invalid("RefNotPermitted", message));
        }
        let message = match self.view.get::<Service>(&key) {
            None => format!("Service {key} does not exist; create it"),
            Some(service) if !endpoint::has_port(service, reference) => {
                format!(
                    "Service {key} has no port {}; name one of its ports",
                    reference.port
                )
            }
            Some(_) => return Ok(()),
        };
        self.report("spec.serviceRef", "BackendNotFound", message.clone());
        Err(invalid("BackendNotFound", message))
    }

    /// TLS as configured, or why nothing may be sent: never cleartext instead.
    fn tls(&mut self, tls: &ProxyBackendTls) -> Result<v1::BackendTls, v1::InvalidConfiguration> {
        if tls.server_name.is_empty() {
            let message = "a server name is needed to check the certificate; set it";
            self.report("spec.tls.serverName", "Required", message.to_owned());
            return Err(invalid("UnsupportedValue", message));
        }
        let mut trust_bundles = Vec::new();
        for (index, reference) in tls.ca_certificate_refs.iter().enumerate() {
            let field = format!("spec.tls.caCertificateRefs[{index}]");
            let Some(id) = resolve_ca(reference, &self.key.namespace) else {
                let message = format!(
                    "{} holds no authorities; refer to a ConfigMap",
                    reference.kind
                );
                self.report(field, "InvalidKind", message.clone());
                return Err(invalid("InvalidKind", message));
            };
            if self.origin == Origin::Written && !self.view.permits(&self.id(), id.kind, &id.key) {
                let message = not_permitted(id.kind, &id.key);
                self.report(field, "RefNotPermitted", message.clone());
                return Err(invalid("RefNotPermitted", message));
            }
            match self.view.trust(&id) {
                Ok(name) => trust_bundles.push(name),
                Err(reason) => {
                    self.report(field, "InvalidCACertificateRef", reason.to_string());
                    return Err(invalid("InvalidCACertificateRef", &*reason));
                }
            }
        }
        Ok(v1::BackendTls {
            server_name: tls.server_name.clone(),
            trust_bundles,
            subject_alt_names: tls.subject_alt_names.iter().map(subject_alt_name).collect(),
        })
    }
}

/// A connection that begins with the address of one client can carry nothing of others.
fn carries(object: &ProxyBackend) -> Carries {
    match object.spec.proxy_protocol {
        Some(_) => Carries::Streams,
        None => Carries::Anything,
    }
}

fn send_proxy_protocol(version: Option<SendProxyProtocol>) -> v1::SendProxyProtocol {
    match version {
        None => v1::SendProxyProtocol::Unspecified,
        Some(SendProxyProtocol::V1) => v1::SendProxyProtocol::V1,
        Some(SendProxyProtocol::V2) => v1::SendProxyProtocol::V2,
    }
}

/// The Service of a ProxyBackend.
pub(crate) fn service_key(reference: &ProxyServiceRef, backend: &ObjectKey) -> ObjectKey {
    key_in(&reference.namespace, &reference.name, &backend.namespace)
}

/// A refusal that stands in a native object.
pub(crate) fn refused(native: &ProxyInvalid) -> v1::InvalidConfiguration {
    invalid(&native.reason, native.message.as_str())
}

fn subject_alt_name(name: &ProxySubjectAltName) -> v1::SubjectAltName {
    use v1::subject_alt_name::Kind;
    v1::SubjectAltName {
        kind: Some(match name {
            ProxySubjectAltName::Hostname(hostname) => Kind::Dns(hostname.clone()),
            ProxySubjectAltName::Uri(uri) => Kind::Uri(uri.clone()),
        }),
    }
}

fn protocol(protocol: ProxyBackendProtocol) -> v1::BackendProtocol {
    match protocol {
        ProxyBackendProtocol::HTTP1 => v1::BackendProtocol::Http1,
        ProxyBackendProtocol::HTTP2 => v1::BackendProtocol::Http2,
    }
}
