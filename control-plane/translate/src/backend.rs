//! ProxyBackends: ports of Services, and how they are spoken to.

pub(crate) mod reference;
pub(crate) mod service;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{
    ProxyBackend, ProxyBackendProtocol, ProxyBackendSpec, ProxyBackendTls, ProxyEndpoint,
    ProxyServiceProtocol, ProxyServiceRef,
};

use crate::clash;
use crate::ingress::{Settings, Speaks};
use crate::names;
use crate::plan::{BackendKey, BackendPlan, Traffic};
use crate::policy;
use crate::route::fault::{Fault, INVALID_BACKEND_TLS, UNSUPPORTED_PROTOCOL};
use crate::view::View;
use service::Port;

/// What a port of a Service comes to. None when there is no such Service or port.
pub fn plan_backend(view: &View<'_>, key: &BackendKey) -> Option<BackendPlan> {
    let service = view.get::<Service>(&key.service)?;
    let port = service::port(&service, key.port, key.traffic).ok()?;
    let ingress = match key.ingress() {
        Some(ingress) => Some(view.get::<Ingress>(&ingress)?),
        None => None,
    };
    let mut spec = ProxyBackendSpec {
        protocol: port.spoken.protocol(),
        ..Default::default()
    };
    if key.traffic != Traffic::Http {
        spec.protocol = ProxyBackendProtocol::default();
    }
    match service::external_name(&service) {
        Some(name) => {
            let address = name.trim_end_matches('.').to_ascii_lowercase();
            spec.endpoints = vec![ProxyEndpoint {
                address,
                port: key.port,
                weight: None,
            }];
        }
        None => spec.service_ref = Some(service_ref(key)),
    }
    match tls(view, &service, &port, key) {
        Ok(tls) => spec.tls = tls,
        Err(fault) => spec.invalid = Some(fault.invalid()),
    }
    if let Some(ingress) = &ingress {
        Settings::read(&ingress.metadata).0.backend.apply(&mut spec);
    }
    let name = names::proxy_backend(key);
    let (owner, metadata) = match &ingress {
        Some(ingress) => (Kind::Ingress, &ingress.metadata),
        None => (Kind::Service, &service.metadata),
    };
    let owner = ObjectId {
        kind: owner,
        key: ObjectKey::of(metadata),
    };
    let metadata = names::native_metadata(name.clone(), owner.kind, metadata);
    let native = ProxyBackend {
        metadata,
        spec,
        status: None,
    };
    let clash = clash::check::<ProxyBackend>(view, &name, &owner);
    Some(BackendPlan {
        native: Arc::new(native),
        diagnostics: clash.into_iter().collect(),
    })
}

/// Why nothing may be sent to a port as its Service and policies say, if so.
pub(crate) fn unusable(
    view: &View<'_>,
    service: &Service,
    port: &Port,
    key: &BackendKey,
) -> Option<Fault> {
    tls(view, service, port, key).err()
}

/// TLS towards a port: by the BackendTLSPolicy that is in force there. A port that needs TLS, and a
/// policy that cannot be followed, never end in cleartext.
fn tls(
    view: &View<'_>,
    service: &Service,
    port: &Port,
    key: &BackendKey,
) -> Result<Option<ProxyBackendTls>, Fault> {
    if key.traffic != Traffic::Http {
        return Ok(None);
    }
    let Some(policy) = policy::in_force(view, &key.service, &port.name) else {
        let speaks = speaks(view, key);
        let needs_tls = speaks.map_or(port.spoken.is_tls(), Speaks::is_tls);
        return match speaks.filter(|_| needs_tls) {
            Some(_) => Err(no_policy_for_annotation(key)),
            None if needs_tls => Err(no_policy(service, key)),
            None => Ok(None),
        };
    };
    let checked = policy::check(view, &policy);
    checked.tls.map(Some).map_err(|fault| {
        let text = format!(
            "BackendTLSPolicy {}/{} for Service {} cannot be followed: {fault}",
            policy.metadata.namespace.as_deref().unwrap_or_default(),
            policy.metadata.name.as_deref().unwrap_or_default(),
            key.service
        );
        Fault::new("spec.validation", INVALID_BACKEND_TLS, text)
    })
}

/// What the annotations of an Ingress say that a port speaks.
fn speaks(view: &View<'_>, key: &BackendKey) -> Option<Speaks> {
    let ingress = view.get::<Ingress>(&key.ingress()?)?;
    Settings::read(&ingress.metadata).0.backend.speaks
}

fn no_policy_for_annotation(key: &BackendKey) -> Fault {
    let text = format!(
        "annotation novaedge.io/backend-protocol says that Service {} speaks TLS, and no BackendTLSPolicy for it says how \
         to verify that; create one",
        key.service
    );
    Fault::new("spec.tls", UNSUPPORTED_PROTOCOL, text)
}

fn no_policy(service: &Service, key: &BackendKey) -> Fault {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let port = ports
        .into_iter()
        .flatten()
        .find(|port| port.port == i32::from(key.port));
    let word = port
        .and_then(|port| port.app_protocol.as_deref())
        .unwrap_or_default();
    let text = format!(
        "port {} of Service {} speaks TLS by its appProtocol {word}, and no BackendTLSPolicy says how to verify it; create one, or correct appProtocol",
        key.port, key.service
    );
    Fault::new("spec.ports", UNSUPPORTED_PROTOCOL, text)
}

fn service_ref(key: &BackendKey) -> ProxyServiceRef {
    ProxyServiceRef {
        namespace: String::new(),
        name: key.service.name.clone(),
        port: key.port,
        protocol: match key.traffic {
            Traffic::Http | Traffic::Tcp => ProxyServiceProtocol::TCP,
            Traffic::Udp => ProxyServiceProtocol::UDP,
        },
    }
}
