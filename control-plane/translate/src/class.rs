//! GatewayClasses: whether they are ours, and their statuses.

use novaedge_api::gateway::{Condition, GatewayClass, GatewayClassStatus, SupportedFeature};
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};

use crate::condition::{ConditionStatus, condition};
use crate::diagnostic::Diagnostic;
use crate::view::View;

/// What a class of ours comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClassPlan {
    /// Whether Gateways of it are served.
    pub(crate) accepted: bool,
    /// Its status.
    pub(crate) status: GatewayClassStatus,
    /// Findings.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Plans a GatewayClass; none when it is another controller's.
pub(crate) fn plan_class(view: &View<'_>, key: &ObjectKey) -> Option<ClassPlan> {
    let class = view.get::<GatewayClass>(key)?;
    let config = view.config();
    if class.spec.controller_name != config.controller_name {
        return None;
    }
    let generation = class.metadata.generation;
    let mut diagnostics = Vec::new();
    let accepted = match &class.spec.parameters_ref {
        None => condition(
            "Accepted",
            ConditionStatus::True,
            "Accepted",
            format!(
                "Gateways of this class are managed by {}",
                config.controller_name
            ),
            generation,
        ),
        Some(reference) => {
            let message = format!(
                "parametersRef names {} \"{}\", but this controller takes no parameters; remove spec.parametersRef",
                reference.kind, reference.name
            );
            let id = ObjectId {
                kind: Kind::GatewayClass,
                key: key.clone(),
            };
            diagnostics.push(Diagnostic::error(
                id,
                "spec.parametersRef",
                "InvalidParameters",
                &message,
            ));
            condition(
                "Accepted",
                ConditionStatus::False,
                "InvalidParameters",
                message,
                generation,
            )
        }
    };
    let features = config.supported_features.iter();
    Some(ClassPlan {
        accepted: accepted.status == ConditionStatus::True.as_str(),
        status: GatewayClassStatus {
            conditions: vec![accepted, supported_version(view, generation)],
            supported_features: features
                .map(|name| SupportedFeature { name: name.clone() })
                .collect(),
        },
        diagnostics,
    })
}

fn supported_version(view: &View<'_>, generation: Option<i64>) -> Condition {
    let versions = &view.config().bundle_versions;
    let unsupported = versions.unsupported();
    if unsupported.is_empty() {
        let message = if versions.detected.is_empty() {
            "the Gateway API is built in".to_owned()
        } else {
            let found: Vec<&str> = versions.detected.iter().map(String::as_str).collect();
            format!("the Gateway API CRDs are of {}", found.join(", "))
        };
        return condition(
            "SupportedVersion",
            ConditionStatus::True,
            "SupportedVersion",
            message,
            generation,
        );
    }
    let found: Vec<&str> = unsupported
        .iter()
        .map(|version| {
            if version.is_empty() {
                "an unknown version"
            } else {
                version
            }
        })
        .collect();
    let supported: Vec<&str> = versions.supported.iter().map(String::as_str).collect();
    let message = format!(
        "found Gateway API CRDs of {}, which is not supported but served as well as possible; install one of {}",
        found.join(", "),
        supported.join(", ")
    );
    condition(
        "SupportedVersion",
        ConditionStatus::False,
        "UnsupportedVersion",
        message,
        generation,
    )
}
