//! Statuses of Ingresses: where they can be reached.

use k8s_openapi::api::networking::v1::{
    Ingress, IngressLoadBalancerIngress, IngressLoadBalancerStatus, IngressStatus,
};
use novaedge_api::gateway::AddressType;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use super::entrance::https_listener;
use super::tls;
use crate::diagnostic::Diagnostic;
use crate::gateway::StatusPlan;
use crate::view::View;

/// The status of an Ingress; none when it is not ours.
pub(crate) fn ingress_status(view: &View<'_>, key: &ObjectKey) -> StatusPlan<IngressStatus> {
    let nobodys = StatusPlan {
        status: None,
        diagnostics: Vec::new(),
    };
    let Some(claims) = view.ingress_claims(key) else {
        return nobodys;
    };
    let (Some(entrance), Some(ingress)) = (view.entrance(&claims.class), view.get::<Ingress>(key))
    else {
        return nobodys;
    };
    let fleet = view
        .fleet(&entrance.key)
        .filter(|_| entrance.native.is_some());
    let addresses = fleet.iter().flat_map(|fleet| &fleet.addresses);
    let points = addresses.map(|address| match address.type_ {
        AddressType::IpAddress => IngressLoadBalancerIngress {
            ip: Some(address.value.clone()),
            ..IngressLoadBalancerIngress::default()
        },
        _ => IngressLoadBalancerIngress {
            hostname: Some(address.value.clone()),
            ..IngressLoadBalancerIngress::default()
        },
    });
    let points: Vec<IngressLoadBalancerIngress> = points.collect();
    let id = ObjectId {
        kind: Kind::Ingress,
        key: key.clone(),
    };
    let mut diagnostics = Vec::new();
    for secured in tls::read(view, &id, &ingress).0 {
        let Some(fleet) = fleet else { continue };
        let name = https_listener(&secured.host);
        let found = [
            ("Rejected", &fleet.rejected_listeners),
            ("NoResources", &fleet.exhausted_listeners),
        ];
        for (reason, listeners) in found {
            if let Some(why) = listeners.get(&name) {
                let finding = Diagnostic::error(id.clone(), &secured.field, reason, why);
                diagnostics.push(finding);
            }
        }
    }
    StatusPlan {
        status: Some(IngressStatus {
            load_balancer: Some(IngressLoadBalancerStatus {
                ingress: (!points.is_empty()).then_some(points),
            }),
        }),
        diagnostics,
    }
}
