//! Which kinds a cluster serves, and in which version each is read.

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::{decode::served_versions, meta::Kind};
use serde_json::Value;

use super::{
    Cluster, ClusterError,
    api::{Asked, Verb, escaped},
};

/// Kinds with where they are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served(BTreeMap<Kind, Endpoint>);

/// Where a kind is served.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    /// Place in the order of the versions that we read.
    rank: usize,
    version: String,
    plural: String,
}

impl Served {
    /// Enters the kinds of one version, as `/apis/GROUP/VERSION` lists them.
    fn enter(&mut self, group: &str, version: &str, list: &Value) {
        let resources = list.get("resources").and_then(Value::as_array);
        for resource in resources.into_iter().flatten() {
            let word = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or("");
            let (kind, plural) = (word("kind"), word("name"));
            // Subresources, such as `gateways/status`, stand in the same list.
            let (Some(kind), false) = (Kind::find(group, kind), plural.contains('/')) else {
                continue;
            };
            let versions = served_versions(kind);
            let Some(rank) = versions.iter().position(|known| *known == version) else {
                continue;
            };
            if self.0.get(&kind).is_none_or(|than| rank < than.rank) {
                let endpoint = Endpoint {
                    rank,
                    version: version.to_owned(),
                    plural: plural.to_owned(),
                };
                self.0.insert(kind, endpoint);
            }
        }
    }

    /// Whether a kind is there.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains_key(&kind)
    }
}

impl Cluster {
    /// Where the kinds of these groups are served.
    pub async fn served(&self, kinds: &[Kind]) -> Result<Served, ClusterError> {
        let groups: BTreeSet<&str> = kinds.iter().map(|kind| kind.group()).collect();
        let mut served = Served::default();
        for group in groups {
            let asked = Asked {
                verb: Verb::Get,
                resource: format!("the API group {group}"),
                namespace: None,
            };
            let Some(about) = self.get(&format!("/apis/{group}"), &asked).await? else {
                continue;
            };
            let versions = about.get("versions").and_then(Value::as_array);
            for version in versions.into_iter().flatten() {
                let version = version.get("version").and_then(Value::as_str);
                let version = version.unwrap_or_default();
                let path = format!("/apis/{group}/{}", escaped(version));
                if let Some(list) = self.get(&path, &asked).await? {
                    served.enter(group, version, &list);
                }
            }
        }
        Ok(served)
    }

    /// All objects of a kind, in a namespace or everywhere.
    pub async fn objects(
        &self,
        served: &Served,
        kind: Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, ClusterError> {
        let missing = || ClusterError::NotServed {
            context: self.context.clone(),
            kind: kind.as_str(),
            group: kind.group(),
        };
        let endpoint = served.0.get(&kind).ok_or_else(missing)?;
        let (group, version, plural) = (kind.group(), &endpoint.version, &endpoint.plural);
        let within = namespace.map(|name| format!("/namespaces/{}", escaped(name)));
        let path = format!(
            "/apis/{group}/{version}{}/{plural}",
            within.unwrap_or_default()
        );
        let asked = Asked {
            verb: Verb::List,
            resource: format!("{plural}.{group}"),
            namespace: namespace.map(str::to_owned),
        };
        self.list(&path, "", &asked).await?.ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_is_read_in_the_best_version_that_both_know() {
        let mut served = Served::default();
        let group = "gateway.networking.k8s.io";
        let list = |names: &[(&str, &str)]| {
            let resources = names
                .iter()
                .map(|(name, kind)| json!({"name": name, "kind": kind}));
            json!({"resources": resources.collect::<Vec<_>>()})
        };
        served.enter(group, "v1beta1", &list(&[("gateways", "Gateway")]));
        served.enter(
            group,
            "v1",
            &list(&[
                ("gateways", "Gateway"),
                ("gateways/status", "Gateway"),
                ("x", "New"),
            ]),
        );
        served.enter(group, "v1alpha2", &list(&[("tcproutes", "TCPRoute")]));
        served.enter(group, "v9", &list(&[("httproutes", "HTTPRoute")]));
        let found: Vec<String> = served
            .0
            .iter()
            .map(|(kind, at)| format!("{kind} {} {}", at.version, at.plural))
            .collect();
        assert_eq!(
            found,
            ["Gateway v1 gateways", "TCPRoute v1alpha2 tcproutes"]
        );
        assert!(!served.has(Kind::HttpRoute));
    }
}
