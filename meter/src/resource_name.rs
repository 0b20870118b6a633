//! Names of resources as labels.

/// The name of a resource, "{kind}/{namespace}/{name}", kept once. The order is that of namespaces, then of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceName {
    resource: Box<str>,
    /// Where the namespace begins and ends.
    namespace: (usize, usize),
}

impl ResourceName {
    /// Any text will do; what has no parts has no namespace.
    #[must_use]
    pub fn new(resource: &str) -> Self {
        let begin = resource.find('/').map_or(0, |slash| slash + 1);
        let rest = resource.get(begin..).unwrap_or_default();
        let end = rest.find('/').map_or(begin, |slash| begin + slash);
        Self {
            resource: resource.into(),
            namespace: (begin, end),
        }
    }

    /// The name of the resource.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The namespace, and what comes after it.
    #[must_use]
    pub fn labels(&self) -> [&str; 2] {
        let (begin, end) = self.namespace;
        let namespace = self.resource.get(begin..end).unwrap_or_default();
        let rest = if end > begin { end + 1 } else { begin };
        let rest = self.resource.get(rest..).unwrap_or_default();
        [namespace, rest.strip_prefix('/').unwrap_or(rest)]
    }

    /// Of a listener, "listener/{namespace}/{gateway}/{listener}": the Gateway's namespace, the Gateway, and the listener.
    #[must_use]
    pub fn listener_labels(&self) -> [&str; 3] {
        let [namespace, rest] = self.labels();
        let (gateway, listener) = rest.split_once('/').unwrap_or((rest, ""));
        [namespace, gateway, listener]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_a_namespace_and_a_name() {
        let check = |resource: &str, expected: [&str; 2]| {
            assert_eq!(ResourceName::new(resource).labels(), expected, "{resource}");
        };
        check("backend/ns/a", ["ns", "a"]);
        check("listener/ns/gw/http", ["ns", "gw/http"]);
        check("trust//a", ["", "a"]);
        check("a", ["", "a"]);
        check("a/b", ["", "b"]);
        check("", ["", ""]);
    }

    #[test]
    fn a_listener_has_a_gateway() {
        let check = |resource: &str, expected: [&str; 3]| {
            let name = ResourceName::new(resource);
            assert_eq!(name.listener_labels(), expected, "{resource}");
        };
        check("listener/ns/gw/http", ["ns", "gw", "http"]);
        // Listeners of ListenerSets have more parts.
        check(
            "listener/ns/gw/team/set/http",
            ["ns", "gw", "team/set/http"],
        );
        check("", ["", "", ""]);
    }
}
