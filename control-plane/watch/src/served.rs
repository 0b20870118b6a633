//! Which kinds are served, and in which version each is watched.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList};
use kube::core::ApiResource;
use novaedge_api::decode::served_versions;
use novaedge_api::meta::Kind;
use novaedge_api::{gateway, native};

/// Groups whose kinds come as CRDs, so that they may be missing.
pub(crate) const CRD_GROUPS: [&str; 2] = [gateway::GROUP, native::GROUP];

/// Kinds that every cluster serves.
const BUILT_IN: [(Kind, &str, &str); 5] = [
    (Kind::Service, "v1", "services"),
    (Kind::EndpointSlice, "discovery.k8s.io/v1", "endpointslices"),
    (Kind::Namespace, "v1", "namespaces"),
    (Kind::Ingress, "networking.k8s.io/v1", "ingresses"),
    (Kind::IngressClass, "networking.k8s.io/v1", "ingressclasses"),
];

/// Kinds of which only the objects are read that others refer to.
pub(crate) const NARROW: [Kind; 2] = [Kind::Secret, Kind::ConfigMap];

/// Kinds with where they are served.
pub(crate) type Served = BTreeMap<Kind, ApiResource>;

/// The kinds that need no CRDs.
pub(crate) fn built_in() -> Served {
    BUILT_IN
        .into_iter()
        .map(|(kind, api_version, plural)| (kind, resource(kind, api_version, plural)))
        .collect()
}

/// Name of the definition of a kind, as the Gateway API's and our own have it.
pub(crate) fn definition_of(kind: Kind) -> String {
    let name = kind.as_str().to_lowercase();
    let plural = match name.strip_suffix('y') {
        Some(stem) if name.ends_with("policy") => format!("{stem}ies"),
        _ if name.ends_with('s') => format!("{name}es"),
        _ => format!("{name}s"),
    };
    format!("{plural}.{}", kind.group())
}

/// Where Secrets or ConfigMaps are served.
pub(crate) fn narrow(kind: Kind) -> ApiResource {
    let plural = if kind == Kind::Secret {
        "secrets"
    } else {
        "configmaps"
    };
    resource(kind, "v1", plural)
}

/// Where definitions of custom resources are served.
pub(crate) fn definitions() -> ApiResource {
    ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    }
}

fn resource(kind: Kind, api_version: &str, plural: &str) -> ApiResource {
    let version = api_version.rsplit('/').next().unwrap_or(api_version);
    ApiResource {
        group: kind.group().to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.as_str().to_owned(),
        plural: plural.to_owned(),
    }
}

/// The `group/version`s of our groups that are served and that we can read.
pub(crate) fn wanted(groups: &APIGroupList) -> BTreeSet<String> {
    let ours = groups.groups.iter();
    let ours = ours.filter(|group| CRD_GROUPS.contains(&group.name.as_str()));
    let versions = ours.flat_map(|group| &group.versions);
    let readable = versions.filter(|served| {
        Kind::ALL.iter().any(|kind| {
            served
                .group_version
                .split_once('/')
                .is_some_and(|(group, version)| {
                    kind.group() == group && served_versions(*kind).contains(&version)
                })
        })
    });
    readable
        .map(|served| served.group_version.clone())
        .collect()
}

/// The kinds of our groups, each in the best version that is served.
pub(crate) fn choose(lists: &[APIResourceList]) -> Served {
    let mut best: BTreeMap<Kind, (usize, ApiResource)> = BTreeMap::new();
    for list in lists {
        let Some((group, version)) = list.group_version.split_once('/') else {
            continue;
        };
        for found in &list.resources {
            // Subresources, such as `gateways/status`, stand in the same list.
            let watched = ["list", "watch"]
                .iter()
                .all(|verb| found.verbs.iter().any(|has| has == verb));
            let (Some(kind), false, true) = (
                Kind::find(group, &found.kind),
                found.name.contains('/'),
                watched,
            ) else {
                continue;
            };
            let Some(rank) = served_versions(kind)
                .iter()
                .position(|known| *known == version)
            else {
                continue;
            };
            if best.get(&kind).is_none_or(|(than, _)| rank < *than) {
                best.insert(
                    kind,
                    (rank, resource(kind, &list.group_version, &found.name)),
                );
            }
        }
    }
    best.into_iter()
        .map(|(kind, (_, resource))| (kind, resource))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn list(group_version: &str, resources: &[(&str, &str)]) -> APIResourceList {
        let resource = |(name, kind): &(&str, &str)| {
            json!({"name": name, "singularName": "", "namespaced": true, "kind": kind,
                   "verbs": ["delete", "get", "list", "watch"]})
        };
        let resources: Vec<Value> = resources.iter().map(resource).collect();
        serde_json::from_value(json!({"groupVersion": group_version, "resources": resources}))
            .expect("a resource list")
    }

    fn versions(lists: &[APIResourceList]) -> Vec<String> {
        let chosen = choose(lists).into_iter();
        chosen
            .map(|(kind, resource)| format!("{kind} {} {}", resource.version, resource.plural))
            .collect()
    }

    #[test]
    fn each_kind_is_watched_in_the_best_version_served() {
        let found = versions(&[
            list(
                "gateway.networking.k8s.io/v1alpha2",
                &[("tcproutes", "TCPRoute"), ("tlsroutes", "TLSRoute")],
            ),
            list(
                "gateway.networking.k8s.io/v1alpha3",
                &[
                    ("tlsroutes", "TLSRoute"),
                    ("backendtlspolicies", "BackendTLSPolicy"),
                ],
            ),
            list(
                "gateway.networking.k8s.io/v1beta1",
                &[
                    ("gateways", "Gateway"),
                    ("referencegrants", "ReferenceGrant"),
                ],
            ),
            list(
                "gateway.networking.k8s.io/v1",
                &[
                    ("gateways", "Gateway"),
                    ("gateways/status", "Gateway"),
                    ("new", "NewKind"),
                ],
            ),
            list("novaedge.io/v1alpha1", &[("proxyroutes", "ProxyRoute")]),
        ]);
        let expect = [
            "Gateway v1 gateways",
            "TLSRoute v1alpha3 tlsroutes",
            "TCPRoute v1alpha2 tcproutes",
            "ReferenceGrant v1beta1 referencegrants",
            "BackendTLSPolicy v1alpha3 backendtlspolicies",
            "ProxyRoute v1alpha1 proxyroutes",
        ];
        assert_eq!(found, expect);
    }

    #[test]
    fn definitions_are_named_after_the_plural() {
        let check = |kind, expect: &str| assert_eq!(definition_of(kind), expect);
        check(
            Kind::GatewayClass,
            "gatewayclasses.gateway.networking.k8s.io",
        );
        check(
            Kind::BackendTlsPolicy,
            "backendtlspolicies.gateway.networking.k8s.io",
        );
        check(Kind::HttpRoute, "httproutes.gateway.networking.k8s.io");
        check(Kind::ProxyGateway, "proxygateways.novaedge.io");
    }

    #[test]
    fn what_cannot_be_watched_or_read_is_not_served() {
        let mut silent = list("gateway.networking.k8s.io/v1", &[("gateways", "Gateway")]);
        silent.resources[0].verbs = vec!["get".to_owned(), "list".to_owned()];
        let newer = list("gateway.networking.k8s.io/v2", &[("gateways", "Gateway")]);
        assert!(versions(&[silent, newer]).is_empty());
    }

    #[test]
    fn only_versions_that_can_be_read_are_looked_at() {
        let groups = serde_json::from_value(json!({"groups": [
            {"name": "gateway.networking.k8s.io", "versions": [
                {"groupVersion": "gateway.networking.k8s.io/v1", "version": "v1"},
                {"groupVersion": "gateway.networking.k8s.io/v9", "version": "v9"}]},
            {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]},
        ]}));
        let wanted = wanted(&groups.expect("a group list"));
        assert_eq!(
            wanted.into_iter().collect::<Vec<_>>(),
            ["gateway.networking.k8s.io/v1"]
        );
    }
}
