//! By what requests are counted: names as users know them, made of those of resources.

use novaedge_meter::ResourceName;
use novaedge_router::{ListenerInfo, RouteId};

/// A rule of a route on a listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleKey {
    /// The listener.
    pub listener: ResourceName,
    /// The kind of what the rule comes from, such as `HTTPRoute`; empty for requests that no rule took.
    pub kind: Box<str>,
    /// The route's namespace.
    pub namespace: Box<str>,
    /// The route's name.
    pub route: Box<str>,
    /// The rule's position in the route.
    pub index: u32,
    /// The rule's name, or its position where it has none.
    pub rule: Box<str>,
    /// The name of the rule's resource.
    pub resource: Box<str>,
}

impl RuleKey {
    pub(crate) fn new(listener: Option<&ListenerInfo>, rule: Option<&RouteId>) -> Self {
        let listener = ResourceName::new(listener.map_or("", |info| &info.name));
        let Some(rule) = rule else {
            return Self {
                listener,
                kind: "".into(),
                namespace: "".into(),
                route: "".into(),
                index: 0,
                rule: "".into(),
                resource: "".into(),
            };
        };
        Self {
            listener,
            kind: rule.object_kind().into(),
            namespace: rule.namespace().into(),
            route: rule.name().into(),
            index: rule.rule_index,
            rule: rule_label(rule.rule_name(), rule.rule_index),
            resource: (&*rule.resource).into(),
        }
    }

    /// Whether both are of one route on one listener.
    #[must_use]
    pub fn is_same_route(&self, other: &Self) -> bool {
        self.route_labels() == other.route_labels()
    }

    /// The Gateway's namespace, the Gateway, the listener, and the route's kind, namespace and name.
    #[must_use]
    pub fn route_labels(&self) -> [&str; 6] {
        let [namespace, gateway, listener] = self.listener.listener_labels();
        let (kind, route) = (&*self.kind, &*self.route);
        [namespace, gateway, listener, kind, &self.namespace, route]
    }
}

/// A name that looks like a position would be taken for one.
fn rule_label(name: Option<&str>, index: u32) -> Box<str> {
    match name {
        Some(name) if name.parse::<u32>().is_err() => name.into(),
        _ => index.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_or_numbered() {
        assert_eq!(&*rule_label(Some("read"), 1), "read");
        assert_eq!(&*rule_label(Some("1"), 0), "0");
        assert_eq!(&*rule_label(None, 2), "2");
    }
}
