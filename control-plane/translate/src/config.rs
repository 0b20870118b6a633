//! What the translation is told about its surroundings.

use std::collections::BTreeSet;

/// Settings of a translation; constant for the life of a [`Translator`](crate::Translator), but for the bundles found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranslateConfig {
    /// GatewayClasses with this `controllerName` are ours.
    pub controller_name: String,
    /// Where the agents run.
    pub mode: Mode,
    /// Names of the Gateway API features that every class of ours reports.
    pub supported_features: BTreeSet<String>,
    /// Versions of the Gateway API's CRDs that are known to work.
    pub bundle_versions: BundleVersions,
    /// The namespace of objects that belong to none of the user's: the ProxyGateways of IngressClasses.
    pub namespace: String,
}

/// Where the agents run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On one machine whose ports and addresses all Gateways share: listener ports are bound as written,
    /// `spec.addresses` are the addresses to bind, and two Gateways may not claim the same port.
    Standalone,
    /// In a cluster where each Gateway has a Service of its own.
    Cluster,
}

/// Which CRD bundles are supported, and which are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleVersions {
    /// Supported minor versions: `v1.6` stands for every `v1.6.x`.
    pub supported: BTreeSet<String>,
    /// The bundle-version annotations of the Gateway API CRDs found, an empty string for a CRD without one.
    /// Empty when there are no CRDs, as in standalone mode: the version is supported by construction.
    pub detected: BTreeSet<String>,
}

impl BundleVersions {
    /// The versions found that are not supported, in order.
    pub fn unsupported(&self) -> Vec<&str> {
        self.detected
            .iter()
            .map(String::as_str)
            .filter(|found| !self.supports(found))
            .collect()
    }

    fn supports(&self, found: &str) -> bool {
        self.supported.iter().any(|minor| {
            found
                .strip_prefix(minor.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }
}

/// The namespace of the system in a cluster, unless it is told another one.
pub const SYSTEM_NAMESPACE: &str = "novaedge-system";

impl TranslateConfig {
    /// Settings for one machine.
    pub fn standalone() -> Self {
        Self {
            controller_name: novaedge_api::native::CONTROLLER_NAME.to_owned(),
            mode: Mode::Standalone,
            supported_features: supported_features(),
            bundle_versions: BundleVersions::default(),
            namespace: novaedge_api::decode::DEFAULT_NAMESPACE.to_owned(),
        }
    }

    /// The same with another namespace of the system.
    #[must_use]
    pub fn in_namespace(self, namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            ..self
        }
    }

    /// Settings for a cluster in which CRDs with these bundle-version annotations were found.
    pub fn cluster(detected: BTreeSet<String>) -> Self {
        let mut supported_features = supported_features();
        supported_features.extend(CLUSTER_FEATURES.iter().map(|name| (*name).to_owned()));
        Self {
            mode: Mode::Cluster,
            bundle_versions: BundleVersions {
                supported: SUPPORTED_BUNDLES
                    .iter()
                    .map(|minor| (*minor).to_owned())
                    .collect(),
                detected,
            },
            supported_features,
            namespace: SYSTEM_NAMESPACE.to_owned(),
            ..Self::standalone()
        }
    }
}

/// Minor versions of the Gateway API that are supported.
pub const SUPPORTED_BUNDLES: [&str; 4] = ["v1.4", "v1.5", "v1.6", "v1.7"];

/// Names of the features that are implemented, the core ones included: those of Gateway API v1.7, and of v1.6 where it
/// has other names for what v1.7 calls `HTTPRouteRetryCodes`.
pub const SUPPORTED_FEATURES: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

/// Names of the features that are implemented in a cluster only, where each Gateway has objects of its own to label.
pub const CLUSTER_FEATURES: &[&str] = &["GatewayInfrastructure"];

fn supported_features() -> BTreeSet<String> {
    SUPPORTED_FEATURES
        .iter()
        .map(|name| (*name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{BundleVersions, SUPPORTED_FEATURES, TranslateConfig};

    #[test]
    fn a_bundle_is_supported_by_its_minor_version() {
        let check = |detected: &[&str], expect: &[&str]| {
            let detected = detected.iter().map(|text| (*text).to_owned()).collect();
            let versions: BundleVersions = TranslateConfig::cluster(detected).bundle_versions;
            assert_eq!(versions.unsupported(), expect);
        };
        check(&[], &[]);
        check(&["v1.6.3"], &[]);
        check(&["v1.7.0", "v1.4.1"], &[]);
        check(&["v1.6.3", "v1.70.0"], &["v1.70.0"]);
        check(&["v1.3.0"], &["v1.3.0"]);
        check(&["", "v1.6.0-rc.1"], &[""]);
    }

    #[test]
    fn features_stand_once_and_in_order() {
        assert!(SUPPORTED_FEATURES.is_sorted_by(|a, b| a < b));
    }
}
