//! Findings about fields that are not honoured, so that nothing is dropped in silence.

use std::collections::BTreeSet;

use novaedge_api::gateway::{GatewayDefaultScope, Listener, ProtocolType, TlsModeType};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use super::Owners;
use crate::diagnostic::Diagnostic;
use crate::layout::Layout;

/// Findings about a Gateway and its ListenerSets that follow from their specs alone.
pub(super) fn of_gateway(owners: &Owners, layout: &Layout, diagnostics: &mut Vec<Diagnostic>) {
    let gateway = &owners.gateway;
    let id = ObjectId {
        kind: Kind::Gateway,
        key: ObjectKey::of(&gateway.metadata),
    };
    let faults = layout.refusal.iter().chain(&layout.addresses.unusable);
    for fault in faults {
        diagnostics.push(Diagnostic::error(
            id.clone(),
            &fault.field,
            fault.reason,
            &fault.message,
        ));
    }
    for field in &layout.addresses.ignored {
        let message = "routability is not supported and has no effect; remove it";
        diagnostics.push(Diagnostic::warning(
            id.clone(),
            field,
            "UnsupportedField",
            message,
        ));
    }
    if gateway.spec.default_scope == Some(GatewayDefaultScope::All) {
        let message = "default Gateways are not supported: routes that do not name this Gateway in parentRefs are not \
                       attached; name it there and remove defaultScope";
        diagnostics.push(Diagnostic::warning(
            id.clone(),
            "spec.defaultScope",
            "UnsupportedField",
            message,
        ));
    }
    of_listeners(&id, &gateway.spec.listeners, diagnostics);
    for set in &layout.sets {
        if let Some(object) = owners.sets.get(&set.key).filter(|_| set.allowed) {
            let id = ObjectId {
                kind: Kind::ListenerSet,
                key: set.key.clone(),
            };
            of_listeners(&id, &object.spec.listeners, diagnostics);
        }
    }
}

fn of_listeners(id: &ObjectId, listeners: &[Listener], diagnostics: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    for (index, listener) in listeners.iter().enumerate() {
        let field = format!("spec.listeners[{index}]");
        if !seen.insert(listener.name.as_str()) {
            let message = format!(
                "a second listener has the name \"{}\" and is not served; give it a name of its own",
                listener.name
            );
            let field = format!("{field}.name");
            diagnostics.push(Diagnostic::error(
                id.clone(),
                field,
                "DuplicateName",
                message,
            ));
            continue;
        }
        let stream = matches!(listener.protocol, ProtocolType::Tcp | ProtocolType::Udp);
        if stream
            && listener
                .hostname
                .as_deref()
                .is_some_and(|hostname| !hostname.is_empty())
        {
            let message = format!(
                "hostname has no effect on {} listeners; remove it",
                listener.protocol
            );
            let field = format!("{field}.hostname");
            diagnostics.push(Diagnostic::warning(
                id.clone(),
                field,
                "IgnoredField",
                message,
            ));
        }
        let Some(tls) = &listener.tls else { continue };
        for option in tls.options.keys() {
            let message =
                format!("TLS option \"{option}\" is not known and has no effect; remove it");
            let field = format!("{field}.tls.options[{option}]");
            diagnostics.push(Diagnostic::warning(
                id.clone(),
                field,
                "UnsupportedField",
                message,
            ));
        }
        if tls.mode == TlsModeType::Passthrough && !tls.certificate_refs.is_empty() {
            let message = "certificateRefs have no effect when TLS is passed through; remove them";
            let field = format!("{field}.tls.certificateRefs");
            diagnostics.push(Diagnostic::warning(
                id.clone(),
                field,
                "IgnoredField",
                message,
            ));
        }
    }
}
