//! The ProxyRoute of an Ingress.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use novaedge_api::ingress::INGRESS_CONTROLLER_NAME;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{
    ProxyParentRef, ProxyRoute, ProxyRouteProtocol, ProxyRouteSpec, ProxyWildcard,
};

use super::claim::IngressClaims;
use super::class::class_of;
use super::entrance::Entrance;
use super::entry::CONFLICTED;
use super::rules::Rules;
use super::settings::Settings;
use super::tls;
use crate::clash;
use crate::config::Mode;
use crate::diagnostic::Diagnostic;
use crate::names;
use crate::plan::RoutePlan;
use crate::route::fault::Fault;
use crate::view::View;

/// What an Ingress comes to; none when there is no such Ingress.
pub(crate) fn plan_ingress(view: &View<'_>, key: &ObjectKey) -> Option<RoutePlan> {
    let ingress = view.get::<Ingress>(key)?;
    let id = ObjectId {
        kind: Kind::Ingress,
        key: key.clone(),
    };
    let mut plan = RoutePlan::default();
    let claims = view.ingress_claims(key);
    let entrance = claims
        .as_ref()
        .and_then(|claims| view.entrance(&claims.class));
    let (Some(claims), Some(entrance)) = (claims, entrance) else {
        plan.diagnostics = stray(view, &id, &ingress).into_iter().collect();
        return Some(plan);
    };
    let (settings, faults) = Settings::read(&ingress.metadata);
    let told = faults.iter().map(|fault| fault.diagnostic(&id));
    plan.diagnostics.extend(told);
    let warnings = Settings::warnings(&ingress.metadata).into_iter();
    plan.diagnostics
        .extend(warnings.map(|fault| warning(&id, &fault)));
    plan.diagnostics
        .extend(certificates(view, &id, &ingress, &claims, &entrance));
    if let Some(why) = &entrance.unserved {
        let fault = Fault::new("spec.ingressClassName", "NoMatchingParent", why);
        plan.diagnostics.push(fault.diagnostic(&id));
        return Some(plan);
    }
    let rules = Rules::of(view, &id, &ingress, &settings, &claims, &entrance);
    let mut made = rules.finish();
    if let Some(rejected) = view.rejected_rules(&id) {
        made.reject(rejected);
    }
    plan.diagnostics
        .extend(made.faults.iter().map(|fault| fault.diagnostic(&id)));
    plan.services = made.found.services.into_iter().collect();
    let references = made.found.faults.iter();
    plan.diagnostics
        .extend(references.map(|fault| fault.diagnostic(&id)));
    if made.native.is_empty() {
        return Some(plan);
    }
    let name = names::proxy_route(Kind::Ingress, key);
    plan.diagnostics
        .extend(clash::check::<ProxyRoute>(view, &name, &id));
    let created = ingress.metadata.creation_timestamp.as_ref();
    plan.native = Some(Arc::new(ProxyRoute {
        metadata: names::native_metadata(name, Kind::Ingress, &ingress.metadata),
        spec: ProxyRouteSpec {
            protocol: ProxyRouteProtocol::HTTP,
            parent_refs: vec![parent(&entrance, key)],
            hostnames: Vec::new(),
            wildcard: ProxyWildcard::OneLabel,
            source_created: created.map(|time| time.0.to_string()),
            rules: made.native,
        },
        status: None,
    }));
    plan.backends = made.found.backends.into_iter().collect();
    Some(plan)
}

fn parent(entrance: &Entrance, key: &ObjectKey) -> ProxyParentRef {
    let ObjectKey { namespace, name } = entrance.key.clone();
    ProxyParentRef {
        namespace: if namespace == key.namespace {
            String::new()
        } else {
            namespace
        },
        name,
        listener: None,
        hostnames: Vec::new(),
    }
}

fn warning(id: &ObjectId, fault: &Fault) -> Diagnostic {
    Diagnostic::warning(id.clone(), &fault.field, fault.reason, &fault.message)
}

/// Why nobody serves an Ingress, where nobody else can be meant: on one machine.
fn stray(view: &View<'_>, id: &ObjectId, ingress: &Ingress) -> Option<Diagnostic> {
    if view.config().mode != Mode::Standalone {
        return None;
    }
    let field = "spec.ingressClassName";
    let Some(class) = class_of(view, ingress) else {
        let text = "it names no class, and no IngressClass is the default; name one";
        return Some(Diagnostic::warning(
            id.clone(),
            field,
            "NoMatchingParent",
            text,
        ));
    };
    let found = view.get::<IngressClass>(&ObjectKey::new("", &class));
    let text = match found.map(|found| found.spec.clone().unwrap_or_default()) {
        None => format!(
            "IngressClass {class} does not exist; create it with spec.controller {INGRESS_CONTROLLER_NAME}"
        ),
        Some(spec) => format!(
            "IngressClass {class} is of controller {}, which is not here; use a class of {INGRESS_CONTROLLER_NAME}",
            spec.controller.unwrap_or_default()
        ),
    };
    Some(Diagnostic::warning(
        id.clone(),
        field,
        "NoMatchingParent",
        text,
    ))
}

/// What is wrong with certificates, and which of them another Ingress goes before.
fn certificates(
    view: &View<'_>,
    id: &ObjectId,
    ingress: &Ingress,
    claims: &IngressClaims,
    entrance: &Entrance,
) -> Vec<Diagnostic> {
    let (secured, mut found) = tls::read(view, id, ingress);
    for one in secured {
        let Some(secret) = &one.secret else { continue };
        let shown = if one.host.is_empty() {
            "every host"
        } else {
            &one.host
        };
        let field = format!("{}.secretName", one.field);
        if entrance.left_out.contains(&one.host) {
            let text = format!(
                "there are more hosts with TLS than can be served, and {shown} is not; remove others"
            );
            found.push(Diagnostic::error(id.clone(), field, "NoResources", text));
            continue;
        }
        let rivals = view.tls_claims(&claims.class, &one.host);
        let winner = rivals.iter().find(|claim| claim.secret.is_some());
        if let Some(winner) = winner
            && winner.secret.as_ref() != Some(secret)
        {
            let text = format!(
                "{shown} is served with the certificate of Ingress {}, which goes before; name Secrets of the same \
                 certificate, or remove the host from one",
                winner.ingress
            );
            found.push(Diagnostic::warning(id.clone(), field, CONFLICTED, text));
        }
    }
    found
}
