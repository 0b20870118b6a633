//! References.

use super::place::At;
use super::text::{GROUP, HOSTNAME, KIND, LABEL, SUBDOMAIN};
use crate::gateway::{
    BackendObjectReference, BackendRef, LocalObjectReference, ObjectReference, ParentReference,
    SecretObjectReference,
};

/// Group, kind and name of anything.
pub(super) fn object(at: At<'_>, group: &str, kind: &str, name: &str) {
    at.field("group").text(group, 0..=253, GROUP);
    at.field("kind").text(kind, 1..=63, KIND);
    at.field("name").length(name, 1..=253);
}

pub(super) fn namespace(at: At<'_>, namespace: Option<&String>) {
    if let Some(namespace) = namespace {
        at.field("namespace").text(namespace, 1..=63, LABEL);
    }
}

pub(super) fn section(at: At<'_>, field: &'static str, name: Option<&String>) {
    if let Some(name) = name {
        at.field(field).text(name, 1..=253, SUBDOMAIN);
    }
}

pub(super) fn local(at: At<'_>, reference: &LocalObjectReference) {
    object(at, &reference.group, &reference.kind, &reference.name);
}

pub(super) fn any(at: At<'_>, reference: &ObjectReference) {
    object(at, &reference.group, &reference.kind, &reference.name);
    namespace(at, reference.namespace.as_ref());
}

pub(super) fn secret(at: At<'_>, reference: &SecretObjectReference) {
    object(at, &reference.group, &reference.kind, &reference.name);
    namespace(at, reference.namespace.as_ref());
}

pub(super) fn backend_object(at: At<'_>, reference: &BackendObjectReference) {
    object(at, &reference.group, &reference.kind, &reference.name);
    namespace(at, reference.namespace.as_ref());
    if let Some(port) = reference.port {
        at.field("port").port(port);
    }
    match (
        reference.group.as_str(),
        reference.kind.as_str(),
        reference.port,
    ) {
        ("", "Service", None) => {
            at.field("port").error_with_fix(
                "must have port for Service reference",
                "add the Service's port number",
            );
        }
        (crate::gateway::X_GROUP, "XBackend", Some(_)) => {
            at.field("port")
                .error_with_fix("must not have port for XBackend reference", "remove it");
        }
        _ => {}
    }
}

pub(super) fn backend(at: At<'_>, reference: &BackendRef) {
    backend_object(at, &reference.object());
    if reference.weight > 1_000_000 {
        at.field("weight")
            .error(format!("must be at most 1000000, is {}", reference.weight));
    }
}

pub(super) fn hostnames(at: At<'_>, hostnames: &[String]) {
    at.field("hostnames")
        .each(hostnames, 0..=16, |at, hostname| {
            at.text(hostname, 1..=253, HOSTNAME);
        });
}

/// Parents, and that two references to one parent tell by section name or port which part each means.
pub(super) fn parents(at: At<'_>, parents: &[ParentReference]) {
    let at = at.field("parentRefs");
    at.each(parents, 0..=32, |at, parent| {
        object(at, &parent.group, &parent.kind, &parent.name);
        namespace(at, parent.namespace.as_ref());
        section(at, "sectionName", parent.section_name.as_ref());
        if let Some(port) = parent.port {
            at.field("port").port(port);
        }
    });
    if parents.len() > 32 {
        return;
    }
    for (index, parent) in parents.iter().enumerate() {
        let same = |other: &&ParentReference| {
            (&other.group, &other.kind, &other.namespace, &other.name)
                == (&parent.group, &parent.kind, &parent.namespace, &parent.name)
        };
        let shape =
            |parent: &ParentReference| (parent.section_name.is_some(), parent.port.is_some());
        let at = at.index(index);
        for other in parents.iter().take(index).filter(same) {
            if shape(other) != shape(parent) {
                at.error_with_fix(
                    "sectionName or port must be specified when parentRefs includes 2 or more references to the same \
                     parent",
                    "give every reference to this parent the same of the two fields",
                );
            } else if (&other.section_name, other.port) == (&parent.section_name, parent.port) {
                at.error_with_fix(
                    "sectionName or port must be unique when parentRefs includes 2 or more references to the same \
                     parent",
                    "remove one of the two equal references",
                );
            }
        }
    }
}
