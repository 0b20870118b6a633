//! Files of the conformance suite, as they are written.

use serde::{Deserialize, Serialize};

/// A report, in the suite's own fields (`apis/v1/conformancereport.go`); those that nothing here reads are left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the suite ended, in RFC 3339.
    pub date: String,
    /// Of the suite and the CRDs.
    #[serde(rename = "gatewayAPIVersion")]
    pub gateway_api_version: String,
    /// `standard` or `experimental`.
    #[serde(rename = "gatewayAPIChannel")]
    pub gateway_api_channel: String,
    /// How the implementation was set up.
    pub mode: String,
    /// What was tested.
    pub implementation: Implementation,
    /// Results of each profile.
    pub profiles: Vec<Profile>,
}

/// What was tested.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Implementation {
    /// Who makes it.
    pub organization: String,
    /// What it is.
    pub project: String,
    /// Where it is.
    pub url: String,
    /// Which one it was.
    pub version: String,
    /// Whom to ask.
    pub contact: Vec<String>,
}

/// Results of one profile.
#[derive(Clone, Debug, Deserialize)]
pub struct Profile {
    /// For instance GATEWAY-HTTP.
    pub name: String,
    /// In the suite's words.
    pub summary: String,
    /// Of tests that need core features alone.
    pub core: Results,
    /// Of all others; absent if no extended feature is claimed.
    #[serde(default)]
    pub extended: Option<Results>,
}

/// Results of the tests of one level.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// `success`, `partial` or `failure`.
    pub result: String,
    /// Numbers of tests.
    pub statistics: Statistics,
    /// Extended features that are claimed.
    #[serde(default)]
    pub supported_features: Vec<String>,
    /// Extended features that are not.
    #[serde(default)]
    pub unsupported_features: Vec<String>,
    /// Tests that were left out.
    #[serde(default)]
    pub skipped_tests: Vec<String>,
    /// Tests that failed.
    #[serde(default)]
    pub failed_tests: Vec<String>,
}

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statistics {
    /// Passed.
    pub passed: u32,
    /// Failed.
    pub failed: u32,
    /// Left out.
    pub skipped: u32,
}

/// What is claimed beyond the report.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beyond {
    /// Tests that the suite runs and no profile counts.
    pub uncounted: Vec<Uncounted>,
    /// Tests of a later version of the suite.
    pub next: Next,
}

/// A test that no profile counts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Uncounted {
    /// In the suite.
    pub name: String,
    /// The claim that it needs beyond core ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
}

/// Tests of a later version of the suite, and who stands in for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Next {
    /// Of that suite.
    #[serde(rename = "gatewayAPIVersion")]
    pub gateway_api_version: String,
    /// By name.
    pub tests: Vec<StandIn>,
}

/// A test of the suite, and the one of the repository that stands in for it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StandIn {
    /// In the suite.
    pub name: String,
    /// The claim that it needs beyond core ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// What it shows.
    pub behaviour: String,
    /// The part of the API that demands it.
    pub specification: String,
    /// Test binary and test.
    pub shown_by: String,
}

impl Report {
    /// Reads one; the reason why it is none.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }
}

impl Beyond {
    /// Reads it; the reason why it cannot be.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }
}

impl Profile {
    /// The results of each level, with its name.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, &Results)> {
        let extended = self.extended.iter().map(|results| ("extended", results));
        std::iter::once(("core", &self.core)).chain(extended)
    }
}

impl Results {
    /// Whether nothing failed and nothing was left out.
    pub fn is_success(&self) -> bool {
        self.result == "success" && self.statistics.failed == 0 && self.statistics.skipped == 0
    }

    /// Whether tests failed.
    pub fn is_failure(&self) -> bool {
        self.result == "failure" || self.statistics.failed > 0
    }
}
