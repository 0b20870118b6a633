//! Backends of rules.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{Ingress, IngressBackend, IngressServiceBackend};
use novaedge_api::gateway::BackendObjectReference;
use novaedge_api::meta::ObjectKey;
use novaedge_api::native::{NamespacedRef, ProxyBackendRef, ProxyBackendTarget};

use super::Rules;
use crate::backend::service;
use crate::ingress::claim::CanaryClaim;
use crate::ingress::settings::{BackendSettings, Settings};
use crate::route::fault::{BACKEND_NOT_FOUND, Fault, INVALID_KIND};

impl Rules<'_, '_> {
    /// A backend of an Ingress, whose annotations say how it is spoken to. One that cannot be used answers 500.
    pub(super) fn backend(
        &mut self,
        field: &str,
        given: &IngressBackend,
        ingress: &ObjectKey,
        settings: &BackendSettings,
    ) -> ProxyBackendRef {
        let target = match &given.service {
            Some(service) => self.service(&format!("{field}.service"), service, ingress, settings),
            None => Err(self.no_service(field, given)),
        };
        ProxyBackendRef {
            weight: 1,
            target: match target {
                Ok(reference) => ProxyBackendTarget::Backend(reference),
                Err(fault) => ProxyBackendTarget::Invalid(fault.invalid()),
            },
            filters: Vec::new(),
        }
    }

    pub(super) fn canary_backend(&mut self, claim: &CanaryClaim) -> ProxyBackendRef {
        let ingress = self.view.get::<Ingress>(&claim.ingress);
        let settings = ingress.map(|ingress| Settings::read(&ingress.metadata).0.backend);
        let given = IngressBackend {
            service: Some(claim.service.clone()),
            resource: None,
        };
        let field = format!("Ingress {}: backend", claim.ingress);
        let settings = settings.unwrap_or_default();
        self.backend(&field, &given, &claim.ingress, &settings)
    }

    fn no_service(&mut self, field: &str, given: &IngressBackend) -> Fault {
        let fault = match &given.resource {
            Some(resource) => {
                let text = format!(
                    "backends of kind {} are not supported; use a Service",
                    resource.kind
                );
                Fault::new(format!("{field}.resource"), INVALID_KIND, text)
            }
            None => Fault::new(
                field,
                BACKEND_NOT_FOUND,
                "there is no backend; name a Service",
            ),
        };
        self.refs.fault(fault.clone());
        fault
    }

    fn service(
        &mut self,
        field: &str,
        given: &IngressServiceBackend,
        ingress: &ObjectKey,
        settings: &BackendSettings,
    ) -> Result<NamespacedRef, Fault> {
        let port = given.port.as_ref();
        let number = port.and_then(|port| port.number);
        let name = port.and_then(|port| port.name.as_deref());
        let port = match (number, name.filter(|name| !name.is_empty())) {
            (Some(number), _) => u16::try_from(number).ok(),
            (None, Some(name)) => self.named_port(field, &given.name, name)?,
            (None, None) => None,
        };
        let reference = BackendObjectReference {
            name: given.name.clone(),
            port,
            ..BackendObjectReference::default()
        };
        let tuned = (!settings.is_empty()).then_some(ingress.name.as_str());
        self.refs.tuned_backend(field, &reference, tuned)
    }

    /// The number of a port by its name; none where there is no such Service, as the reference itself tells.
    fn named_port(&mut self, field: &str, service: &str, name: &str) -> Result<Option<u16>, Fault> {
        let key = ObjectKey::new(&self.id.key.namespace, service);
        let Some(object) = self.view.get::<Service>(&key) else {
            return Ok(None);
        };
        match service::named(&object, name) {
            Ok(number) => Ok(Some(number)),
            Err(others) => {
                let fix = if others.is_empty() {
                    "name its ports, or use port.number".to_owned()
                } else {
                    format!("use one of {}", others.join(", "))
                };
                let text = format!("Service {key} has no port named \"{name}\"; {fix}");
                let fault = Fault::new(format!("{field}.port.name"), BACKEND_NOT_FOUND, text);
                self.refs.fault(fault.clone());
                self.refs.refer_to(key);
                Err(fault)
            }
        }
    }
}
