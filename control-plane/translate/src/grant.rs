//! ReferenceGrants: who may refer across namespaces.

use std::sync::Arc;

use novaedge_api::gateway::ReferenceGrant;

/// Who refers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referrer<'a> {
    /// API group of the referring object.
    pub group: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
}

/// What is referred to, in the namespace of the grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referent<'a> {
    /// API group; empty for the core group.
    pub group: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
}

/// Whether one of the grants, all of them from the referent's namespace, permits the reference.
///
/// `from` and `to` are each a list of alternatives; a pair counts only within one grant. Nothing is
/// matched by wildcard except the name of the referent, when a grant gives none.
pub fn permits(grants: &[Arc<ReferenceGrant>], from: &Referrer<'_>, to: &Referent<'_>) -> bool {
    grants.iter().any(|grant| {
        let trusted = |entry: &novaedge_api::gateway::ReferenceGrantFrom| {
            entry.group == from.group
                && entry.kind == from.kind
                && entry.namespace == from.namespace
        };
        let offered = |entry: &novaedge_api::gateway::ReferenceGrantTo| {
            entry.group == to.group
                && entry.kind == to.kind
                && entry
                    .name
                    .as_deref()
                    .is_none_or(|name| name.is_empty() || name == to.name)
        };
        grant.spec.from.iter().any(trusted) && grant.spec.to.iter().any(offered)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use novaedge_api::gateway::{
        GROUP, ReferenceGrant, ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo,
    };

    use super::{Referent, Referrer, permits};

    fn grant(from: [&str; 3], to: [&str; 3]) -> Arc<ReferenceGrant> {
        let name = (!to[2].is_empty()).then(|| to[2].to_owned());
        Arc::new(ReferenceGrant::new(
            "grant",
            ReferenceGrantSpec {
                from: vec![ReferenceGrantFrom {
                    group: from[0].into(),
                    kind: from[1].into(),
                    namespace: from[2].into(),
                }],
                to: vec![ReferenceGrantTo {
                    group: to[0].into(),
                    kind: to[1].into(),
                    name,
                }],
            },
        ))
    }

    #[test]
    fn every_part_of_a_grant_must_fit() {
        let from = Referrer {
            group: GROUP,
            kind: "HTTPRoute",
            namespace: "web",
        };
        let to = Referent {
            group: "",
            kind: "Service",
            name: "api",
        };
        let check = |grants: &[Arc<ReferenceGrant>], expect: bool| {
            assert_eq!(permits(grants, &from, &to), expect, "{grants:?}");
        };
        check(&[], false);
        check(
            &[grant([GROUP, "HTTPRoute", "web"], ["", "Service", ""])],
            true,
        );
        check(
            &[grant([GROUP, "HTTPRoute", "web"], ["", "Service", "api"])],
            true,
        );
        check(
            &[grant([GROUP, "HTTPRoute", "web"], ["", "Service", "other"])],
            false,
        );
        check(
            &[grant([GROUP, "HTTPRoute", "web"], ["", "Secret", ""])],
            false,
        );
        check(
            &[grant([GROUP, "HTTPRoute", "web"], ["core", "Service", ""])],
            false,
        );
        check(
            &[grant([GROUP, "HTTPRoute", "api"], ["", "Service", ""])],
            false,
        );
        check(
            &[grant([GROUP, "GRPCRoute", "web"], ["", "Service", ""])],
            false,
        );
        check(
            &[grant(["", "HTTPRoute", "web"], ["", "Service", ""])],
            false,
        );
    }

    #[test]
    fn halves_of_two_grants_make_no_whole() {
        let from = Referrer {
            group: GROUP,
            kind: "HTTPRoute",
            namespace: "web",
        };
        let to = Referent {
            group: "",
            kind: "Service",
            name: "api",
        };
        let grants = [
            grant([GROUP, "HTTPRoute", "web"], ["", "Secret", ""]),
            grant([GROUP, "HTTPRoute", "elsewhere"], ["", "Service", ""]),
        ];
        assert!(!permits(&grants, &from, &to));
    }
}
