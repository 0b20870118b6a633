//! The name of a rule.

use std::{cmp::Ordering, sync::Arc};

use crate::rule::RouteKind;

/// Names a rule in logs and metrics.
///
/// There is one for each rule of a snapshot, so it keeps no text twice: the name of a resource has the names of its object
/// as parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteId {
    /// The resource that the rule comes from.
    pub resource: Arc<str>,
    /// The route's kind.
    pub kind: RouteKind,
    /// Position among the route's rules, from 0.
    pub rule_index: u32,
    /// Seconds since the epoch. A route of unknown age comes last.
    created: i64,
    /// Where "{namespace}/{name}" begins in its text.
    start: u32,
    namespace_len: u32,
    name_len: u32,
    /// None: `resource` is the text, and the rule has no name.
    own: Option<Box<Own>>,
}

/// What the name of a resource does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Own {
    /// None: the name of the resource has it as a part.
    object: Option<Box<str>>,
    rule_name: Option<Box<str>>,
}

/// The object and the rule that a [`RouteId`] names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleOf<'a> {
    pub(crate) kind: RouteKind,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) rule_index: u32,
    /// Empty: it has none.
    pub(crate) rule_name: &'a str,
    /// Seconds since the epoch, 0 if unknown.
    pub(crate) created: i64,
}

impl RouteId {
    /// The name of a rule that a resource brings.
    pub(crate) fn new(resource: Arc<str>, rule: RuleOf<'_>) -> Self {
        let object = format!("{}/{}", rule.namespace, rule.name);
        let start = part(&resource, &object);
        let own = Own {
            object: start.is_none().then(|| object.into()),
            rule_name: (!rule.rule_name.is_empty()).then(|| rule.rule_name.into()),
        };
        Self {
            resource,
            kind: rule.kind,
            rule_index: rule.rule_index,
            created: if rule.created == 0 {
                i64::MAX
            } else {
                rule.created
            },
            start: start.unwrap_or(0),
            namespace_len: length(rule.namespace),
            name_len: length(rule.name),
            own: (own != Own::default()).then(|| Box::new(own)),
        }
    }

    /// The kind of the object that a user wrote: the route's, or that of what a route was made for, such as `Ingress`.
    pub fn object_kind(&self) -> &str {
        let parts = self.resource.strip_prefix("route/");
        let kind = parts.and_then(|parts| parts.split_once('/'));
        kind.map_or(self.kind.as_str(), |(kind, _)| kind)
    }

    /// The route's namespace.
    pub fn namespace(&self) -> &str {
        let start = self.start as usize;
        let end = start + self.namespace_len as usize;
        self.text().get(start..end).unwrap_or_default()
    }

    /// The route's name.
    pub fn name(&self) -> &str {
        let start = (self.start + self.namespace_len) as usize + 1;
        let end = start + self.name_len as usize;
        self.text().get(start..end).unwrap_or_default()
    }

    /// `rules[].name`, if there is one.
    pub fn rule_name(&self) -> Option<&str> {
        self.own.as_ref()?.rule_name.as_deref()
    }

    /// The order of routes, and of rules within one: less wins.
    ///
    /// HTTPRouteRule.matches: the oldest route, then the first by "{namespace}/{name}", then the first rule. HTTPRoutes come
    /// before GRPCRoutes: the spec does not say. Names of resources are unique in a snapshot, so the order is total.
    pub(crate) fn precedence(&self, other: &Self) -> Ordering {
        let by_age = self.created.cmp(&other.created);
        by_age
            .then_with(|| self.object().cmp(other.object()))
            .then_with(|| self.kind.cmp(&other.kind))
            .then_with(|| self.rule_index.cmp(&other.rule_index))
            .then_with(|| self.resource.cmp(&other.resource))
    }

    /// "{namespace}/{name}".
    fn object(&self) -> &str {
        let start = self.start as usize;
        let end = start + (self.namespace_len + self.name_len) as usize + 1;
        self.text().get(start..end).unwrap_or_default()
    }

    fn text(&self) -> &str {
        let own = self.own.as_ref();
        own.and_then(|own| own.object.as_deref())
            .unwrap_or(&self.resource)
    }
}

/// Where the object is in the name of a resource that is laid out as "route/{kind}/{namespace}/{name}/{rule}".
fn part(resource: &str, object: &str) -> Option<u32> {
    let (kind, rest) = resource.strip_prefix("route/")?.split_once('/')?;
    rest.strip_prefix(object)?;
    u32::try_from("route/".len() + kind.len() + 1).ok()
}

/// Names come in messages that are far smaller.
fn length(name: &str) -> u32 {
    u32::try_from(name.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule<'a>(namespace: &'a str, name: &'a str, rule_name: &'a str) -> RuleOf<'a> {
        RuleOf {
            kind: RouteKind::Http,
            namespace,
            name,
            rule_index: 0,
            rule_name,
            created: 0,
        }
    }

    #[test]
    fn what_the_control_plane_names_keeps_no_text_of_its_own() {
        let id = RouteId::new("route/HTTPRoute/ns/a/0".into(), rule("ns", "a", ""));
        assert_eq!(id.own, None);
        assert_eq!(
            (id.namespace(), id.name(), id.rule_name()),
            ("ns", "a", None)
        );
    }

    fn names() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c/]{0,4}", "\\PC{0,4}"]
    }

    proptest! {
        #[test]
        fn names_are_told_back_whatever_the_resource_is_called(
            resource in prop_oneof![names(), "route/[a-c]{0,2}/[a-c/]{0,4}"],
            (namespace, name, rule_name) in (names(), names(), names()),
            laid_out in any::<bool>(),
        ) {
            let resource = if laid_out {
                format!("route/HTTPRoute/{namespace}/{name}/0")
            } else {
                resource
            };
            let id = RouteId::new(resource.as_str().into(), rule(&namespace, &name, &rule_name));
            prop_assert_eq!(&*id.resource, resource.as_str());
            prop_assert_eq!(id.namespace(), namespace.as_str());
            prop_assert_eq!(id.name(), name.as_str());
            prop_assert_eq!(id.object(), format!("{namespace}/{name}"));
            prop_assert_eq!(id.rule_name().unwrap_or_default(), rule_name.as_str());
        }
    }
}
