//! What agents refuse, by the object that a person has to change.

use std::collections::BTreeMap;

use novaedge_api::meta::{Kind, Object, ObjectId, ObjectKey};
use novaedge_api::native::OWNER;
use novaedge_proto::v1;

use crate::problem::Problem;

/// The object behind a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Culprit {
    /// A listener of a Gateway, by native name.
    Listener(ObjectKey, String),
    /// A rule of a route.
    Rule(ObjectId, usize),
    /// Any other object as a whole.
    Object(ObjectId),
}

/// Reads the name of a resource, as the wire contract lays it out.
pub(super) fn culprit(resource: &str) -> Option<Culprit> {
    let (kind, rest) = resource.split_once('/')?;
    let mut parts = rest.split('/');
    let mut part = || parts.next();
    Some(match kind {
        "gateway" => Culprit::Object(ObjectId::new(Kind::Gateway, part()?, part()?)),
        "listener" => {
            let gateway = ObjectKey::new(part()?, part()?);
            Culprit::Listener(gateway, part()?.to_owned())
        }
        "route" => {
            let id = ObjectId::new(kind_of(part()?)?, part()?, part()?);
            Culprit::Rule(id, part()?.parse().ok()?)
        }
        "backend" | "endpoints" => {
            Culprit::Object(ObjectId::new(Kind::ProxyBackend, part()?, part()?))
        }
        "certificate" => Culprit::Object(ObjectId::new(Kind::Secret, part()?, part()?)),
        "trust" => Culprit::Object(ObjectId::new(kind_of(part()?)?, part()?, part()?)),
        _ => return None,
    })
}

fn kind_of(word: &str) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.as_str() == word)
}

/// What the agents say about each resource that they refuse: the first of them, and how many more.
pub(crate) fn rejections<'a>(
    agents: impl Iterator<Item = (&'a str, &'a [v1::RejectedResource])>,
) -> BTreeMap<String, String> {
    let mut found: BTreeMap<&str, (&str, &str, usize)> = BTreeMap::new();
    for (agent, rejected) in agents {
        for resource in rejected {
            found
                .entry(&resource.name)
                .and_modify(|(.., others)| *others += 1)
                .or_insert((agent, &resource.error, 0));
        }
    }
    let text = |(agent, error, others): (&str, &str, usize)| match others {
        0 => format!("agent {agent}: {error}"),
        others => format!("agent {agent} and {others} more: {error}"),
    };
    found
        .into_iter()
        .map(|(name, what)| (name.to_owned(), text(what)))
        .collect()
}

/// The object that a ProxyGateway is made for, as `Kind/namespace/name`: a Gateway, if nothing says otherwise.
pub(super) fn owner_of_gateway<'a>(
    key: &ObjectKey,
    native: impl Fn(&ObjectId) -> Option<&'a Object>,
) -> String {
    let made = ObjectId {
        kind: Kind::ProxyGateway,
        key: key.clone(),
    };
    let owner = native(&made).and_then(owner_of);
    owner.unwrap_or_else(|| {
        let id = ObjectId {
            kind: Kind::Gateway,
            key: key.clone(),
        };
        id.to_string()
    })
}

fn owner_of(object: &Object) -> Option<String> {
    let annotations = object.metadata().annotations.as_ref()?;
    annotations.get(OWNER).cloned()
}

/// A problem of the object behind a resource. `native` finds native objects, whose owner is named in
/// their place.
pub(super) fn problem<'a>(
    resource: &str,
    reason: &str,
    error: &str,
    native: impl Fn(&ObjectId) -> Option<&'a Object>,
) -> Problem {
    let (object, field) = match culprit(resource) {
        Some(Culprit::Listener(gateway, listener)) => {
            return Problem::of_object(
                owner_of_gateway(&gateway, native),
                reason,
                format!("listener {listener}: {error}"),
            );
        }
        Some(Culprit::Rule(id, rule)) => (id, format!("spec.rules[{rule}]")),
        Some(Culprit::Object(id)) => (id, String::new()),
        None => return Problem::of_object(resource.to_owned(), reason, error),
    };
    let owner = native(&object).and_then(owner_of);
    let mut problem =
        Problem::of_object(owner.unwrap_or_else(|| object.to_string()), reason, error);
    problem.field = field;
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_lead_to_the_objects_that_people_write() {
        let check = |resource: &str, object: &str, field: &str| {
            let problem = problem(resource, "Rejected", "x", |_| None);
            assert_eq!(problem.object.as_deref(), Some(object), "{resource}");
            assert_eq!(problem.field, field, "{resource}");
        };
        check("gateway/a/b", "Gateway/a/b", "");
        check("listener/a/b/http", "Gateway/a/b", "");
        check("route/HTTPRoute/a/b/3", "HTTPRoute/a/b", "spec.rules[3]");
        check("backend/a/b", "ProxyBackend/a/b", "");
        check("endpoints/a/b", "ProxyBackend/a/b", "");
        check("certificate/a/b", "Secret/a/b", "");
        check("trust/ClusterTrustBundle//b", "ClusterTrustBundle/b", "");
        check("else", "else", "");
        check("route/Nothing/a/b/3", "route/Nothing/a/b/3", "");
    }

    #[test]
    fn agents_that_refuse_the_same_are_told_once() {
        let refused = |error: &str| {
            [v1::RejectedResource {
                name: "backend/a/b".into(),
                error: error.into(),
                ..v1::RejectedResource::default()
            }]
        };
        let (first, second) = (refused("no"), refused("never"));
        let told = rejections([("a", &first[..]), ("b", &second[..])].into_iter());
        assert_eq!(told["backend/a/b"], "agent a and 1 more: no");
    }
}
