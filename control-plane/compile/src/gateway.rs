//! ProxyGateways and their listeners.

use std::collections::BTreeSet;
use std::net::IpAddr;

use novaedge_api::gateway::{Gateway, ListenerSet};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{
    CaRef, NamespacedRef, ProxyClientValidation, ProxyClientValidationMode, ProxyGateway,
    ProxyListener, ProxyListenerTls, ProxyProtocol, ProxyTlsMode,
};
use novaedge_proto::v1;
use novaedge_proto::v1::resource::Body;
use novaedge_translate::Diagnostic;

use crate::client_address::{self, Ports};
use crate::name;
use crate::unit::{Attachable, Computed, Outcome};
use crate::view::{Origin, View, resolve, resolve_ca, source};

/// Compiles a ProxyGateway. A listener that cannot be served is left out and named.
pub(crate) fn compile(view: &View<'_>, key: &ObjectKey) -> Computed {
    let Some((object, origin)) = view.native::<ProxyGateway>(key) else {
        return Computed::default();
    };
    let mut compiler = GatewayCompiler {
        view,
        key,
        object,
        origin,
        diagnostics: Vec::new(),
    };
    let Some(addresses) = compiler.addresses() else {
        // Without addresses the agents would bind every one, which nobody asked for.
        return Computed {
            outcome: Outcome::Listeners([].into()),
            diagnostics: compiler.diagnostics,
            ..Computed::default()
        };
    };
    let mut resources = vec![(name::gateway(key), compiler.gateway(addresses))];
    let mut attachable = Vec::new();
    let mut names = BTreeSet::new();
    let mut ports = Ports::default();
    for (index, listener) in object.spec.listeners.iter().enumerate() {
        let field = format!("spec.listeners[{index}]");
        if !names.insert(&listener.name) {
            let message = format!("another listener is named {}; rename one", listener.name);
            compiler.refuse(format!("{field}.name"), "Duplicate", message);
            continue;
        }
        if let Err((below, reason, message)) = ports.check(listener) {
            compiler.refuse(format!("{field}.{below}"), reason, message);
            continue;
        }
        if let Some(compiled) = compiler.listener(&field, listener) {
            attachable.push(Attachable {
                name: listener.name.clone(),
                resource: name::listener(key, &listener.name),
                protocol: listener.protocol,
                tls_mode: tls_mode(listener),
                hostname: compiled.hostname.clone(),
            });
            resources.push((
                name::listener(key, &listener.name),
                Body::Listener(compiled),
            ));
        }
    }
    Computed {
        resources,
        outcome: Outcome::Listeners(attachable.into()),
        diagnostics: compiler.diagnostics,
    }
}

struct GatewayCompiler<'a> {
    view: &'a View<'a>,
    key: &'a ObjectKey,
    object: &'a ProxyGateway,
    origin: Origin,
    diagnostics: Vec<Diagnostic>,
}

impl GatewayCompiler<'_> {
    fn id(&self) -> ObjectId {
        ObjectId {
            kind: Kind::ProxyGateway,
            key: self.key.clone(),
        }
    }

    fn refuse(&mut self, field: String, reason: &str, message: String) {
        let diagnostic = Diagnostic::error(self.id(), field, reason, message);
        self.diagnostics.push(diagnostic);
    }

    /// The addresses to bind, none for every one; nothing at all when those asked for are all unusable.
    fn addresses(&mut self) -> Option<Vec<String>> {
        let given = &self.object.spec.addresses;
        let mut usable = Vec::new();
        for (index, address) in given.iter().enumerate() {
            if address.parse::<IpAddr>().is_ok() {
                usable.push(address.clone());
                continue;
            }
            let message = format!("{address:?} is not an IP address; give one such as 192.0.2.10");
            self.refuse(format!("spec.addresses[{index}]"), "Invalid", message);
        }
        let served = given.is_empty() || !usable.is_empty();
        if !self.view.binds_addresses() {
            usable.clear();
        }
        served.then_some(usable)
    }

    fn gateway(&mut self, bind_addresses: Vec<String>) -> Body {
        let reference = self.object.spec.backend_client_certificate_ref.as_ref();
        let certificate = reference.and_then(|reference| {
            self.certificate("spec.backendClientCertificateRef".to_owned(), reference)
        });
        Body::Gateway(v1::Gateway {
            r#ref: Some(source(self.object, self.origin)),
            generation: self.generation().unwrap_or_default(),
            bind_addresses,
            backend_client_certificate: certificate.unwrap_or_default(),
        })
    }

    /// The generation of what a user wrote: the Gateway behind a generated object.
    fn generation(&self) -> Option<i64> {
        match self.origin {
            Origin::Written => self.object.metadata.generation,
            Origin::Generated => self.view.get::<Gateway>(self.key)?.metadata.generation,
        }
    }

    fn listener(&mut self, field: &str, listener: &ProxyListener) -> Option<v1::Listener> {
        if listener.name.is_empty() || listener.name.contains('/') {
            let message = "a name without slashes is needed; give one".to_owned();
            self.refuse(format!("{field}.name"), "Invalid", message);
            return None;
        }
        if listener.port == 0 {
            let message = "port 0 cannot be served; use 1 to 65535".to_owned();
            self.refuse(format!("{field}.port"), "Invalid", message);
            return None;
        }
        // Without a local port it waits for one, and its status tells.
        let bind_port = self
            .view
            .bind_port(self.key, listener.port, listener.protocol)?;
        let mut compiled = v1::Listener {
            gateway: name::gateway(self.key),
            section_name: section_name(listener),
            listener_set: self.listener_set(listener),
            port: u32::from(listener.port),
            bind_port: u32::from(bind_port),
            protocol: protocol(listener.protocol).into(),
            hostname: hostname(listener),
            listener_set_generation: self.listener_set_generation(listener),
            max_connections: listener.max_connections.unwrap_or_default(),
            ..v1::Listener::default()
        };
        if let Err((below, reason, message)) = client_address::compile(listener, &mut compiled) {
            self.refuse(format!("{field}.{below}"), reason, message);
            return None;
        }
        if matches!(listener.protocol, ProxyProtocol::HTTPS | ProxyProtocol::TLS) {
            let Some(tls) = &listener.tls else {
                let message = format!("{:?} needs TLS settings; add them", listener.protocol);
                self.refuse(format!("{field}.tls"), "Required", message);
                return None;
            };
            self.tls(field, listener.protocol, tls, &mut compiled)?;
        }
        compiled.http3_bind_port = self.http3(field, listener).into();
        Some(compiled)
    }

    /// The local port of HTTP/3; 0 for none. What stands in its way is named, and takes nothing from the listener but that.
    fn http3(&mut self, field: &str, listener: &ProxyListener) -> u16 {
        if !listener.http3 {
            return 0;
        }
        let others = self.object.spec.listeners.iter();
        let mut udp = others.filter(|other| other.protocol == ProxyProtocol::UDP);
        let taken = udp.find(|other| other.port == listener.port);
        let tls = listener.tls.as_ref();
        let why_not = if listener.protocol != ProxyProtocol::HTTPS {
            Some("it is for the protocol HTTPS only; remove it".to_owned())
        } else if listener.proxy_protocol.is_some() {
            Some("datagrams have no header of the PROXY protocol; remove one of the two".to_owned())
        } else if tls.is_some_and(|tls| tls.client_validation.is_some()) {
            Some("clients are checked over TCP only; remove one of the two".to_owned())
        } else {
            taken.map(|other| {
                format!(
                    "listener {} has the UDP port {}; give one of them another port",
                    other.name, other.port
                )
            })
        };
        if let Some(message) = why_not {
            self.refuse(format!("{field}.http3"), "UnsupportedValue", message);
            return 0;
        }
        // Without a local port it waits for one.
        let udp = ProxyProtocol::UDP;
        self.view
            .bind_port(self.key, listener.port, udp)
            .unwrap_or(0)
    }

    /// The generation of the ListenerSet that a listener comes from; 0 without one.
    fn listener_set_generation(&self, listener: &ProxyListener) -> i64 {
        let reference = listener.listener_set_ref.as_ref();
        let key = reference.map(|reference| resolve(reference, &self.key.namespace));
        let set = key.and_then(|key| self.view.get::<ListenerSet>(&key));
        set.and_then(|set| set.metadata.generation).unwrap_or(0)
    }

    fn listener_set(&self, listener: &ProxyListener) -> Option<v1::ObjectRef> {
        let reference = listener.listener_set_ref.as_ref()?;
        let key = resolve(reference, &self.key.namespace);
        Some(name::object_ref(Kind::ListenerSet, &key))
    }

    fn tls(
        &mut self,
        field: &str,
        protocol: ProxyProtocol,
        tls: &ProxyListenerTls,
        compiled: &mut v1::Listener,
    ) -> Option<()> {
        if tls.mode == ProxyTlsMode::Passthrough {
            if protocol == ProxyProtocol::HTTPS {
                let message = "HTTPS ends TLS here; use mode Terminate or protocol TLS".to_owned();
                self.refuse(format!("{field}.tls.mode"), "UnsupportedValue", message);
                return None;
            }
            compiled.tls_mode = v1::TlsMode::Passthrough.into();
            return Some(());
        }
        compiled.tls_mode = v1::TlsMode::Terminate.into();
        // First, so that the keys of a listener that is not served do not reach the agents.
        if let Some(validation) = &tls.client_validation {
            compiled.client_validation = Some(self.client_validation(field, validation)?);
        }
        for (index, reference) in tls.certificate_refs.iter().enumerate() {
            let field = format!("{field}.tls.certificateRefs[{index}]");
            compiled
                .certificates
                .extend(self.certificate(field, reference));
        }
        if compiled.certificates.is_empty() {
            let message = "no certificate can be used, so the listener is not served; \
                           refer to a Secret with tls.crt and tls.key"
                .to_owned();
            let field = format!("{field}.tls.certificateRefs");
            self.refuse(field, "InvalidCertificateRef", message);
            return None;
        }
        Some(())
    }

    fn certificate(&mut self, field: String, reference: &NamespacedRef) -> Option<String> {
        let key = resolve(reference, &self.key.namespace);
        if !self.is_permitted(Kind::Secret, &key) {
            self.refuse(field, "RefNotPermitted", not_permitted(Kind::Secret, &key));
            return None;
        }
        let certificate = self.view.certificate(&key);
        certificate
            .map_err(|reason| self.refuse(field, "InvalidCertificateRef", reason.to_string()))
            .ok()
    }

    /// Nothing when no authority is left: then nobody could be let in.
    fn client_validation(
        &mut self,
        field: &str,
        validation: &ProxyClientValidation,
    ) -> Option<v1::ClientValidation> {
        use v1::client_validation::Mode;
        let field = format!("{field}.tls.clientValidation.caCertificateRefs");
        let mut trust_bundles = Vec::new();
        for (index, reference) in validation.ca_certificate_refs.iter().enumerate() {
            trust_bundles.extend(self.trust(format!("{field}[{index}]"), reference));
        }
        if trust_bundles.is_empty() {
            let message = "no authority can be used, so the listener is not served; \
                           refer to a ConfigMap with ca.crt"
                .to_owned();
            self.refuse(field, "InvalidCACertificateRef", message);
            return None;
        }
        let mode = match validation.mode {
            ProxyClientValidationMode::AllowValidOnly => Mode::RequireValid,
            ProxyClientValidationMode::AllowInsecureFallback => Mode::InsecureFallback,
        };
        Some(v1::ClientValidation {
            mode: mode.into(),
            trust_bundles,
        })
    }

    fn trust(&mut self, field: String, reference: &CaRef) -> Option<String> {
        let Some(id) = resolve_ca(reference, &self.key.namespace) else {
            let message = format!(
                "{} holds no authorities; refer to a ConfigMap, Secret or ClusterTrustBundle",
                reference.kind
            );
            self.refuse(field, "InvalidCACertificateKind", message);
            return None;
        };
        if !self.is_permitted(id.kind, &id.key) {
            self.refuse(field, "RefNotPermitted", not_permitted(id.kind, &id.key));
            return None;
        }
        let trust = self.view.trust(&id);
        trust
            .map_err(|reason| self.refuse(field, "InvalidCACertificateRef", reason.to_string()))
            .ok()
    }

    fn is_permitted(&self, kind: Kind, key: &ObjectKey) -> bool {
        self.origin == Origin::Generated || self.view.permits(&self.id(), kind, key)
    }
}

/// The message for a reference that no ReferenceGrant permits.
pub(crate) fn not_permitted(kind: Kind, key: &ObjectKey) -> String {
    format!(
        "{kind} {key} is in another namespace; permit it with a ReferenceGrant in namespace {}",
        key.namespace
    )
}

fn section_name(listener: &ProxyListener) -> String {
    if listener.section_name.is_empty() {
        listener.name.clone()
    } else {
        listener.section_name.clone()
    }
}

fn hostname(listener: &ProxyListener) -> String {
    let hostname = listener.hostname.as_deref().unwrap_or_default();
    hostname.to_ascii_lowercase()
}

fn tls_mode(listener: &ProxyListener) -> ProxyTlsMode {
    listener
        .tls
        .as_ref()
        .map_or(ProxyTlsMode::default(), |tls| tls.mode)
}

fn protocol(protocol: ProxyProtocol) -> v1::Protocol {
    match protocol {
        ProxyProtocol::HTTP => v1::Protocol::Http,
        ProxyProtocol::HTTPS => v1::Protocol::Https,
        ProxyProtocol::TLS => v1::Protocol::Tls,
        ProxyProtocol::TCP => v1::Protocol::Tcp,
        ProxyProtocol::UDP => v1::Protocol::Udp,
    }
}

/// The reason why a reference has no target, as data that travels to the agent.
pub(crate) fn invalid(reason: &str, message: impl Into<String>) -> v1::InvalidConfiguration {
    v1::InvalidConfiguration {
        reason: reason.to_owned(),
        message: message.into(),
    }
}
