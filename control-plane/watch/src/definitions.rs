//! The definitions of custom resources that concern us, from their metadata alone.

use std::collections::{BTreeMap, BTreeSet};

use novaedge_api::gateway;

use crate::raw::{Identified as _, RawMeta};
use crate::served::CRD_GROUPS;
use crate::watch::Event;

/// Annotation with the version of the Gateway API that a definition belongs to.
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

/// Definitions of our groups, by name (`httproutes.gateway.networking.k8s.io`).
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    /// Bundle version of each; empty for one without.
    bundles: BTreeMap<String, String>,
    listed: Option<BTreeSet<String>>,
    state: State,
}

/// Whether the definitions are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Not yet.
    #[default]
    Unknown,
    /// They may not be read: what is served is all that can be known.
    Forbidden,
    /// All of them.
    Known,
}

impl Definitions {
    /// Takes in what the watch tells. Returns whether something may be served that was not, or the other way round.
    pub(crate) fn take(&mut self, event: &Event<RawMeta>) -> bool {
        match event {
            Event::Restarted => {
                self.listed = Some(BTreeSet::new());
                false
            }
            Event::Listed(raw) => {
                let name = raw.key().name;
                if let Some(listed) = self.listed.as_mut().filter(|_| is_ours(&name)) {
                    listed.insert(name);
                }
                self.put(raw);
                false
            }
            Event::Complete => {
                if let Some(listed) = self.listed.take() {
                    self.bundles.retain(|name, _| listed.contains(name));
                }
                self.state = State::Known;
                true
            }
            // Also when only its status changes: it says that the definition is served now.
            Event::Applied(raw) => self.put(raw),
            Event::Deleted(raw) => self.bundles.remove(&raw.key().name).is_some(),
            Event::Following => false,
            Event::Failed(failure) => {
                if failure.is_forbidden() && self.state == State::Unknown {
                    self.state = State::Forbidden;
                }
                false
            }
        }
    }

    fn put(&mut self, raw: &RawMeta) -> bool {
        let name = raw.key().name;
        if !is_ours(&name) {
            return false;
        }
        let annotation = &raw.0.value["metadata"]["annotations"][BUNDLE_VERSION];
        let bundle = annotation.as_str().unwrap_or_default();
        self.bundles.insert(name, bundle.to_owned());
        true
    }

    /// Whether all definitions are known.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Whether there is a definition of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.bundles.contains_key(name)
    }

    /// The bundle versions of the Gateway API's definitions.
    pub(crate) fn bundles(&self) -> BTreeSet<String> {
        let bundles = self.bundles.iter();
        let bundles = bundles.filter(|(name, _)| group_of(name) == gateway::GROUP);
        bundles.map(|(_, bundle)| bundle.clone()).collect()
    }
}

fn is_ours(name: &str) -> bool {
    CRD_GROUPS.contains(&group_of(name))
}

/// The group in `plural.group`.
fn group_of(name: &str) -> &str {
    name.split_once('.').map_or("", |(_, group)| group)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::raw::Raw;

    fn definition(name: &str, bundle: Option<&str>) -> RawMeta {
        let annotations = bundle.map(|bundle| json!({BUNDLE_VERSION: bundle}));
        RawMeta(Raw::of(json!({"metadata": {
            "name": name, "resourceVersion": "1", "annotations": annotations.unwrap_or_default(),
        }})))
    }

    fn bundles(definitions: &Definitions) -> Vec<String> {
        definitions.bundles().into_iter().collect()
    }

    #[test]
    fn bundle_versions_are_those_of_the_gateway_api() {
        let mut definitions = Definitions::default();
        assert_eq!(definitions.state(), State::Unknown);
        definitions.take(&Event::Restarted);
        let all = [
            definition("httproutes.gateway.networking.k8s.io", Some("v1.6.3")),
            definition("gateways.gateway.networking.k8s.io", Some("v1.6.3")),
            definition("tcproutes.gateway.networking.k8s.io", None),
            definition("proxyroutes.novaedge.io", None),
            definition("xmeshes.gateway.networking.x-k8s.io", Some("v1.5.0")),
        ];
        for one in all {
            definitions.take(&Event::Listed(one));
        }
        assert!(definitions.take(&Event::Complete));
        assert_eq!(definitions.state(), State::Known);
        assert_eq!(bundles(&definitions), ["", "v1.6.3"]);
        assert!(definitions.has("proxyroutes.novaedge.io"));
        assert!(!definitions.has("xmeshes.gateway.networking.x-k8s.io"));

        assert!(definitions.take(&Event::Deleted(definition(
            "tcproutes.gateway.networking.k8s.io",
            None
        ))));
        assert!(!definitions.take(&Event::Applied(definition("others.example.com", None))));
        assert_eq!(bundles(&definitions), ["v1.6.3"]);
        definitions.take(&Event::Restarted);
        definitions.take(&Event::Listed(definition(
            "gateways.gateway.networking.k8s.io",
            Some("v1.7.0"),
        )));
        definitions.take(&Event::Complete);
        assert_eq!(bundles(&definitions), ["v1.7.0"]);
        assert!(!definitions.has("httproutes.gateway.networking.k8s.io"));
    }
}
