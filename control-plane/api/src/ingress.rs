//! What Ingresses and IngressClasses say beside their specs.

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use crate::meta::{Kind, ObjectId};

/// `spec.controller` of the IngressClasses that NovaEdge manages.
pub const INGRESS_CONTROLLER_NAME: &str = "novaedge.io/ingress-controller";
/// Annotation of Ingresses that names their class, from before there was a field for it.
pub const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Annotation of the IngressClass of Ingresses that name none.
pub const DEFAULT_CLASS_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";
/// Annotation of IngressClasses: the port of HTTP, else 80.
pub const HTTP_PORT: &str = "novaedge.io/http-port";
/// Annotation of IngressClasses: the port of HTTPS, else 443.
pub const HTTPS_PORT: &str = "novaedge.io/https-port";

/// The class that an Ingress names. The annotation goes before the field, as the API wants it.
pub fn ingress_class(ingress: &Ingress) -> Option<&str> {
    let annotations = ingress.metadata.annotations.as_ref();
    let annotation = annotations.and_then(|all| all.get(CLASS_ANNOTATION));
    let field = || ingress.spec.as_ref()?.ingress_class_name.as_ref();
    let name = annotation.or_else(field).map(String::as_str);
    name.filter(|name| !name.is_empty())
}

/// Whether Ingresses without a class are of this one.
pub fn is_default_class(class: &IngressClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(DEFAULT_CLASS_ANNOTATION))
        .is_some_and(|value| value == "true")
}

/// What Ingresses without a class and default IngressClasses refer to, so that they are found.
pub fn unnamed_class() -> ObjectId {
    ObjectId::new(Kind::IngressClass, "", "")
}
