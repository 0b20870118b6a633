//! ReferenceGrant and BackendTLSPolicy.

use super::place::At;
use super::text::{GROUP, HOSTNAME, KIND, LABEL, SUBDOMAIN, URI, is_metadata_key};
use super::{listeners, refs};
use crate::gateway::{
    BackendTlsPolicySpec, BackendTlsPolicyValidation, LocalPolicyTargetReferenceWithSectionName,
    ReferenceGrantSpec, SubjectAltName, SubjectAltNameType,
};

pub(super) fn reference_grant(at: At<'_>, spec: &ReferenceGrantSpec) {
    at.field("from").each(&spec.from, 1..=16, |at, from| {
        at.field("group").text(&from.group, 0..=253, GROUP);
        at.field("kind").text(&from.kind, 1..=63, KIND);
        at.field("namespace").text(&from.namespace, 1..=63, LABEL);
    });
    at.field("to").each(&spec.to, 1..=16, |at, to| {
        at.field("group").text(&to.group, 0..=253, GROUP);
        at.field("kind").text(&to.kind, 1..=63, KIND);
        if let Some(name) = &to.name {
            at.field("name").length(name, 1..=253);
        }
    });
}

pub(super) fn backend_tls_policy(at: At<'_>, spec: &BackendTlsPolicySpec) {
    targets(at.field("targetRefs"), &spec.target_refs);
    validation(at.field("validation"), &spec.validation);
    listeners::options(at, &spec.options);
}

fn targets(at: At<'_>, targets: &[LocalPolicyTargetReferenceWithSectionName]) {
    at.each(targets, 1..=16, |at, target| {
        refs::object(at, &target.group, &target.kind, &target.name);
        refs::section(at, "sectionName", target.section_name.as_ref());
    });
    for (index, target) in targets.iter().enumerate().take(16) {
        let same = |other: &&LocalPolicyTargetReferenceWithSectionName| {
            (&other.group, &other.kind, &other.name) == (&target.group, &target.kind, &target.name)
        };
        let at = at.index(index);
        for other in targets.iter().take(index).filter(same) {
            if other.section_name.is_some() != target.section_name.is_some() {
                at.error(
                    "sectionName must be specified when targetRefs includes 2 or more references to the same target",
                );
            } else if other.section_name == target.section_name {
                at.error("sectionName must be unique when targetRefs includes 2 or more references to the same target");
            }
        }
    }
}

fn validation(at: At<'_>, validation: &BackendTlsPolicyValidation) {
    at.field("caCertificateRefs")
        .each(&validation.ca_certificate_refs, 0..=8, refs::local);
    at.field("hostname")
        .text(&validation.hostname, 1..=253, SUBDOMAIN);
    at.field("subjectAltNames")
        .each(&validation.subject_alt_names, 0..=5, subject_alt_name);
    if let Some(word) = &validation.well_known_ca_certificates {
        let prefixed = word.contains('/') && is_metadata_key(word);
        if word != "System" && !prefixed {
            at.field("wellKnownCACertificates")
                .error_with_fix(format!("\"{word}\" is not known"), "use System");
        }
    }
    let refs = !validation.ca_certificate_refs.is_empty();
    if refs == validation.well_known_ca_certificates.is_some() {
        at.error_with_fix(
            "exactly one of the fields in [caCertificateRefs wellKnownCACertificates] must be set",
            if refs {
                "remove one of the two"
            } else {
                "add wellKnownCACertificates: System to trust public authorities"
            },
        );
    }
}

fn subject_alt_name(at: At<'_>, name: &SubjectAltName) {
    let fields = [
        (
            "hostname",
            SubjectAltNameType::Hostname,
            &name.hostname,
            HOSTNAME,
        ),
        ("uri", SubjectAltNameType::Uri, &name.uri, URI),
    ];
    for (field, type_, value, shape) in fields {
        if let Some(value) = value {
            at.field(field).text(value, 1..=253, shape);
        }
        if name.type_ == type_ && value.is_none() {
            at.field(field)
                .error(format!("{field} must be specified if type is {type_}"));
        } else if name.type_ != type_ && value.is_some() {
            at.field(field).error(format!(
                "{field} must not be specified if type is not {type_}"
            ));
        }
    }
}
