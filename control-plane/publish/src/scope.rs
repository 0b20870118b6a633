//! Which Gateways an agent is given. No IO, no clock.

use std::{collections::BTreeSet, fmt, sync::Arc};

/// The Gateways that an agent serves, by their namespaces. It gets these, and what they refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every Gateway.
    #[default]
    All,
    /// The Gateways of these namespaces.
    Only(Arc<BTreeSet<String>>),
    /// The Gateways of all namespaces but these, of which there are some.
    AllBut(Arc<BTreeSet<String>>),
}

impl Scope {
    /// The Gateways of these namespaces.
    pub fn only(namespaces: BTreeSet<String>) -> Self {
        Self::Only(Arc::new(namespaces))
    }

    /// The Gateways of all namespaces but these.
    pub fn all_but(namespaces: BTreeSet<String>) -> Self {
        if namespaces.is_empty() {
            return Self::All;
        }
        Self::AllBut(Arc::new(namespaces))
    }

    /// Whether the Gateways of a namespace belong to it.
    pub fn has(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(namespaces) => namespaces.contains(namespace),
            Self::AllBut(namespaces) => !namespaces.contains(namespace),
        }
    }

    /// As a label of metrics.
    pub(crate) fn label(&self) -> String {
        let list = |namespaces: &BTreeSet<String>| {
            let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
            names.join(",")
        };
        match self {
            Self::All => "all".to_owned(),
            Self::Only(namespaces) => list(namespaces),
            Self::AllBut(namespaces) => format!("!{}", list(namespaces)),
        }
    }

    /// Its two lists on the wire: the namespaces that it has, and those that it has not. When the first
    /// is empty, it has all but the second.
    pub(crate) fn to_wire(&self) -> (Vec<String>, Vec<String>) {
        let list = |namespaces: &BTreeSet<String>| namespaces.iter().cloned().collect();
        match self {
            Self::All => (Vec::new(), Vec::new()),
            // No namespace has an empty name: the list of a scope without any differs from that of all.
            Self::Only(namespaces) if namespaces.is_empty() => (vec![String::new()], Vec::new()),
            Self::Only(namespaces) => (list(namespaces), Vec::new()),
            Self::AllBut(namespaces) => (Vec::new(), list(namespaces)),
        }
    }

    /// The scope of two lists.
    pub(crate) fn of_wire(namespaces: Vec<String>, excluded: Vec<String>) -> Self {
        if namespaces.is_empty() {
            return Self::all_but(excluded.into_iter().collect());
        }
        Self::only(namespaces.into_iter().filter(|n| !n.is_empty()).collect())
    }
}

/// For people.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |namespaces: &BTreeSet<String>| {
            let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
            names.join(", ")
        };
        match self {
            Self::All => f.write_str("all Gateways"),
            Self::Only(namespaces) => write!(f, "the Gateways of {}", list(namespaces)),
            Self::AllBut(namespaces) => write!(f, "all Gateways but those of {}", list(namespaces)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_known_by_its_lists() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for (scope, has) in [
            (Scope::All, [true, true]),
            (Scope::all_but(names(&[])), [true, true]),
            (Scope::all_but(names(&["a"])), [false, true]),
            (Scope::only(names(&["a", "c"])), [true, false]),
            (Scope::only(names(&[])), [false, false]),
        ] {
            assert_eq!(["a", "b"].map(|name| scope.has(name)), has);
            let (only, but) = scope.to_wire();
            assert_eq!(Scope::of_wire(only, but), scope);
        }
        let text = Scope::only(names(&["a", "c"])).to_string();
        assert_eq!(text, "the Gateways of a, c");
    }
}
