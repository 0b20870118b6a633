//! The ProxyGateway of a Gateway.

use novaedge_api::gateway::Gateway;
use novaedge_api::meta::{Kind, ObjectKey};
use novaedge_api::native::{
    NamespacedRef, ProxyGateway, ProxyGatewaySpec, ProxyInfrastructure, ProxyListener,
};

use crate::layout::Layout;
use crate::names;

/// The ProxyGateway; none when there is nothing to serve.
pub(super) fn build(
    gateway: &Gateway,
    layout: &Layout,
    listeners: Vec<ProxyListener>,
    backend_client_certificate_ref: Option<NamespacedRef>,
) -> Option<ProxyGateway> {
    if layout.unserved().is_some() || listeners.is_empty() {
        return None;
    }
    let key = names::proxy_gateway(&ObjectKey::of(&gateway.metadata));
    Some(ProxyGateway {
        metadata: names::native_metadata(key, Kind::Gateway, &gateway.metadata),
        spec: ProxyGatewaySpec {
            addresses: layout
                .addresses
                .bind
                .iter()
                .map(ToString::to_string)
                .collect(),
            listeners,
            backend_client_certificate_ref,
            infrastructure: infrastructure(gateway),
        },
        status: None,
    })
}

/// What the Gateway's Service is to carry; none when nothing is asked for.
fn infrastructure(gateway: &Gateway) -> Option<ProxyInfrastructure> {
    let asked = gateway.spec.infrastructure.as_ref()?;
    let carried = ProxyInfrastructure {
        labels: asked.labels.clone(),
        annotations: asked.annotations.clone(),
    };
    (carried != ProxyInfrastructure::default()).then_some(carried)
}
