//! IngressClasses: whether they are ours, and the ports of their Ingresses.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use novaedge_api::ingress::{
    HTTP_PORT, HTTPS_PORT, INGRESS_CONTROLLER_NAME, ingress_class, is_default_class, unnamed_class,
};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use crate::diagnostic::Diagnostic;
use crate::layout::{Fault, created};
use crate::options::ListenerOptions;
use crate::view::View;

/// What an IngressClass of ours comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IngressClassPlan {
    /// When it was made, in seconds since 1970.
    pub(crate) created: i64,
    /// The port of HTTP.
    pub(crate) http_port: u16,
    /// The port of HTTPS.
    pub(crate) https_port: u16,
    /// What its annotations say of the listeners.
    pub(crate) options: ListenerOptions,
    /// Whether its Ingresses are served.
    pub(crate) accepted: bool,
    /// Findings.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Plans an IngressClass; none when it is another controller's.
pub(crate) fn plan_ingress_class(view: &View<'_>, key: &ObjectKey) -> Option<IngressClassPlan> {
    let class = view.get::<IngressClass>(key)?;
    let controller = class
        .spec
        .as_ref()
        .and_then(|spec| spec.controller.as_deref());
    if controller != Some(INGRESS_CONTROLLER_NAME) {
        return None;
    }
    let mut faults: Vec<Fault> = Vec::new();
    let mut noted = |fault: Result<u16, Fault>, otherwise| {
        fault.unwrap_or_else(|fault| {
            faults.push(fault);
            otherwise
        })
    };
    let http_port = noted(port(&class, HTTP_PORT, 80), 80);
    let https_port = noted(port(&class, HTTPS_PORT, 443), 443);
    if http_port == https_port {
        let message =
            format!("HTTP and HTTPS cannot share port {http_port}; give one another port");
        faults.push(invalid(HTTPS_PORT, message));
    }
    let options = ListenerOptions::read(&class.metadata).unwrap_or_else(|fault| {
        faults.push(fault);
        ListenerOptions::default()
    });
    let parameters = class
        .spec
        .as_ref()
        .and_then(|spec| spec.parameters.as_ref());
    if let Some(parameters) = parameters {
        let message = format!(
            "parameters name {} \"{}\", but this controller takes none; remove spec.parameters",
            parameters.kind, parameters.name
        );
        faults.push(Fault {
            reason: "InvalidParameters",
            field: "spec.parameters".to_owned(),
            message,
        });
    }
    let id = ObjectId {
        kind: Kind::IngressClass,
        key: key.clone(),
    };
    let found = faults
        .iter()
        .map(|fault| Diagnostic::error(id.clone(), &fault.field, fault.reason, &fault.message));
    Some(IngressClassPlan {
        created: created(&class.metadata),
        http_port,
        https_port,
        options,
        accepted: faults.is_empty(),
        diagnostics: found.collect(),
    })
}

fn port(class: &IngressClass, name: &'static str, usual: u16) -> Result<u16, Fault> {
    let annotations = class.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|all| all.get(name)) else {
        return Ok(usual);
    };
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| {
        invalid(
            name,
            format!("\"{text}\" is no port; write a number from 1 to 65535"),
        )
    })
}

fn invalid(annotation: &str, message: String) -> Fault {
    Fault {
        reason: "InvalidParameters",
        field: format!("metadata.annotations[{annotation}]"),
        message,
    }
}

/// The class of an Ingress, whether it exists or not: the one that it names, else the default class.
pub(super) fn class_of(view: &View<'_>, ingress: &Ingress) -> Option<String> {
    match ingress_class(ingress) {
        Some(name) => Some(name.to_owned()),
        None => default_class(view),
    }
}

/// The default class: of several the newest, then the first by name, as the API server chooses one for new Ingresses.
fn default_class(view: &View<'_>) -> Option<String> {
    let classes = view.referrers::<IngressClass>(&unnamed_class());
    let classes = classes.iter().filter(|class| is_default_class(class));
    let age = |class: &Arc<IngressClass>| {
        let time = class.metadata.creation_timestamp.as_ref();
        time.map_or(i64::MIN, |time| time.0.as_second())
    };
    let best = classes.min_by_key(|class| {
        let newest_first = std::cmp::Reverse(age(class));
        (newest_first, class.metadata.name.clone())
    });
    best?.metadata.name.clone()
}
