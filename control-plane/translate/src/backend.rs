//! ProxyBackends: ports of Services, and how they are spoken to.

pub(crate) mod reference;
pub(crate) mod service;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use novaedge_api::meta::{Kind, ObjectId};
use novaedge_api::native::{
    ProxyBackend, ProxyBackendProtocol, ProxyBackendSpec, ProxyBackendTls, ProxyEndpoint,
    ProxyServiceProtocol, ProxyServiceRef,
};

use crate::clash;
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
    let name = names::proxy_backend(key);
    let metadata = names::native_metadata(name.clone(), Kind::Service, &service.metadata);
    let native = ProxyBackend {
        metadata,
        spec,
        status: None,
    };
    let owner = ObjectId {
        kind: Kind::Service,
        key: key.service.clone(),
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
        if port.spoken.is_tls() {
            return Err(no_policy(service, key));
        }
        return Ok(None);
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
