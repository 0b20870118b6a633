//! The writes that make what there is into what is to be.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use novaedge_api::meta::ObjectKey;

use crate::plan::{Observed, Plan};
use crate::{service, slice};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Make a Service; it is somebody else's when there is one of that name.
    CreateService(Box<Service>),
    /// Make a Service of ours what it is to be.
    ApplyService(Box<Service>),
    /// Delete a Service of ours, if it is still the one with this uid.
    DeleteService(ObjectKey, Option<String>),
    /// Make an EndpointSlice.
    CreateSlice(Box<EndpointSlice>),
    /// Make an EndpointSlice of ours what it is to be.
    ApplySlice(Box<EndpointSlice>),
    /// Delete an EndpointSlice of ours, if it is still the one with this uid.
    DeleteSlice(ObjectKey, Option<String>),
}

impl Write {
    /// What is done, in a word.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::CreateService(_) | Self::CreateSlice(_) => "create",
            Self::ApplyService(_) | Self::ApplySlice(_) => "apply",
            Self::DeleteService(..) | Self::DeleteSlice(..) => "delete",
        }
    }

    /// Whether it may make an object that is not there.
    pub const fn is_creation(&self) -> bool {
        matches!(self, Self::CreateService(_) | Self::CreateSlice(_))
    }

    /// The object that is written: its kind, namespace and name.
    pub fn object(&self) -> (&'static str, ObjectKey) {
        match self {
            Self::CreateService(object) | Self::ApplyService(object) => {
                ("Service", ObjectKey::of(&object.metadata))
            }
            Self::CreateSlice(object) | Self::ApplySlice(object) => {
                ("EndpointSlice", ObjectKey::of(&object.metadata))
            }
            Self::DeleteService(key, _) => ("Service", key.clone()),
            Self::DeleteSlice(key, _) => ("EndpointSlice", key.clone()),
        }
    }
}

/// The writes that are due, in the order of urgency: endpoints that go or come, then Services, then what nobody wants.
/// There are none when what is to be is there.
pub fn writes(plan: &Plan, observed: &Observed<'_>) -> Vec<Write> {
    let mut writes = Vec::new();
    for (key, wanted) in &plan.slices {
        match observed.slices.get(key) {
            None => writes.push(Write::CreateSlice(Box::new(wanted.clone()))),
            Some(found) if found.metadata.deletion_timestamp.is_some() => {}
            Some(found) if slice::is_as_wanted(found, wanted) => {}
            Some(_) => writes.push(Write::ApplySlice(Box::new(wanted.clone()))),
        }
    }
    for key in &plan.stray_slices {
        if let Some(found) = observed.slices.get(key)
            && found.metadata.deletion_timestamp.is_none()
        {
            let uid = found.metadata.uid.clone();
            writes.push(Write::DeleteSlice(key.clone(), uid));
        }
    }
    for (key, wanted) in &plan.services {
        match observed.services.get(key) {
            None => writes.push(Write::CreateService(Box::new(wanted.clone()))),
            Some(found) if service::is_as_wanted(found, wanted) => {}
            Some(_) => writes.push(Write::ApplyService(Box::new(wanted.clone()))),
        }
    }
    for key in &plan.stray_services {
        let uid = observed
            .services
            .get(key)
            .and_then(|found| found.metadata.uid.clone());
        writes.push(Write::DeleteService(key.clone(), uid));
    }
    writes
}
