//! What one object needs now.

use novaedge_api::meta::ObjectId;
use novaedge_translate::DesiredStatus;
use serde_json::{Value, json};

use super::{
    Book, Wanted, Work,
    seen::{Digest, digest, projection},
};
use crate::{
    error::WriteError,
    merge::{has_foreign, merge},
    resource::{Call, Resource},
};

/// Name under which the API server knows who manages fields.
const FIELD_MANAGER: &str = "novaedge";

/// What one object needs now.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Nothing: it is as it should be.
    Nothing,
    /// To be read first.
    Read(Call),
    /// To be written.
    Write(Write),
    /// To be deleted.
    Delete(Call),
    /// It cannot be written.
    Refuse(WriteError),
}

/// A write.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) call: Call,
    /// Of what the write asks for.
    pub(crate) digest: Digest,
    /// Whether the same was written before, so that somebody else must have undone it.
    pub(crate) repair: bool,
}

impl Book {
    /// What `work` needs, at the time of day `now`. `fresh` is the object as it was just read.
    pub(crate) fn plan(&self, work: &Work, fresh: Option<&Value>, now: &str) -> Plan {
        if self.is_ending(work.id()) {
            return Plan::Nothing;
        }
        match work {
            Work::Status(id) => self.plan_status(work, id, fresh, now),
            Work::Native(id) => self.plan_native(work, id),
        }
    }

    fn plan_status(&self, work: &Work, id: &ObjectId, fresh: Option<&Value>, now: &str) -> Plan {
        let Some(seen) = self.seen.get(id) else {
            return Plan::Nothing;
        };
        let wanted = self.statuses.get(id).map(Wanted::to_value);
        let current = match fresh {
            Some(fresh) => fresh["status"].clone(),
            None => seen.status().unwrap_or_default(),
        };
        let Some(status) = merge(id.kind, wanted.as_ref(), &current, now) else {
            return Plan::Nothing;
        };
        let Some(resource) = self.served.get(&id.kind) else {
            return Plan::Refuse(WriteError::NotServed(id.kind));
        };
        if fresh.is_none() && has_foreign(id.kind, &current) {
            return Plan::Read(resource.get(&id.key));
        }
        let version = match fresh {
            Some(fresh) => fresh["metadata"]["resourceVersion"].clone(),
            None => json!(seen.version),
        };
        let patch = json!({
            "metadata": {"resourceVersion": version},
            "status": status,
        });
        let digest = digest(&json!(wanted));
        Plan::Write(Write {
            call: resource.merge_status(&id.key, patch),
            digest,
            repair: self.written.get(work) == Some(&digest),
        })
    }

    fn plan_native(&self, work: &Work, id: &ObjectId) -> Plan {
        let seen = self.seen.get(id);
        let resource = self.served.get(&id.kind);
        let Some(object) = self.natives.get(id) else {
            return match (seen, resource) {
                (Some(seen), Some(resource)) if seen.is_translated() => {
                    Plan::Delete(resource.delete(&id.key, seen.uid.as_deref()))
                }
                _ => Plan::Nothing,
            };
        };
        let Some(resource) = resource else {
            return Plan::Refuse(WriteError::NotServed(id.kind));
        };
        if seen.is_some_and(|seen| !seen.is_translated()) {
            return Plan::Refuse(WriteError::Taken);
        }
        let value = match object.to_value() {
            Ok(value) => value,
            Err(error) => return Plan::Refuse(error.into()),
        };
        let digest = digest(&projection(&value));
        if seen.is_some_and(|seen| seen.reads_like(&digest)) {
            return Plan::Nothing;
        }
        let repair = self.written.get(work) == Some(&digest);
        let call = if repair && seen.is_some() {
            // Fields that somebody else added stay through an apply, and all of this spec is ours.
            resource.replace_spec(&id.key, FIELD_MANAGER, &value["spec"])
        } else {
            resource.apply(&id.key, FIELD_MANAGER, applied(resource, &value))
        };
        Plan::Write(Write {
            call,
            digest,
            repair,
        })
    }

    /// Where an object can be read.
    pub(crate) fn read_again(&self, id: &ObjectId) -> Option<Call> {
        Some(self.served.get(&id.kind)?.get(&id.key))
    }
}

/// The fields that the translation makes.
fn applied(resource: &Resource, object: &Value) -> Value {
    let mut metadata = json!({});
    for field in [
        "name",
        "namespace",
        "labels",
        "annotations",
        "ownerReferences",
    ] {
        let value = &object["metadata"][field];
        if !value.is_null() {
            metadata[field] = value.clone();
        }
    }
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "spec": object["spec"],
    })
}

impl Wanted {
    fn to_value(&self) -> Value {
        match self {
            Self::Native(status) => json!(status),
            Self::Gateway(DesiredStatus::GatewayClass(status)) => json!(status),
            Self::Gateway(DesiredStatus::Gateway(status)) => json!(status),
            Self::Gateway(DesiredStatus::ListenerSet(status)) => json!(status),
            Self::Gateway(DesiredStatus::Route(parents)) => json!({"parents": parents}),
            Self::Gateway(DesiredStatus::BackendTlsPolicy(ancestors)) => {
                json!({"ancestors": ancestors})
            }
            Self::Gateway(DesiredStatus::Ingress(status)) => json!(status),
        }
    }
}
