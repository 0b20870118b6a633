//! ProxyBackend: which endpoint is chosen, and which is left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyLbPolicy {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// The less busy of two.
    LeastRequest,
    /// The faster and less busy of two.
    Ewma,
    /// At random, by weight.
    Random,
    /// By the hash key: the highest hash of key and endpoint.
    SourceHash,
    /// By the hash key, on a ring.
    RingHash,
    /// By the hash key, in Maglev's table.
    Maglev,
}

/// What policies by hash go by: exactly one field is set. A request without it goes by the client's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProxyHashKey {
    /// The first value of this header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The first value of this parameter of the query.
    QueryParameter(String),
}

/// When endpoints that fail are left out, and for how long. A failure is a response of 500 to 599, none in time, or a
/// connection that could not be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyOutlierDetection {
    /// Failures in a row after which an endpoint is left out. Absent: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub consecutive_failures: Option<u32>,
    /// Milliseconds that it is left out the first time; the n-th time in a row is n times as long. Absent: 30000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub base_ejection_ms: Option<u64>,
    /// Most milliseconds that an endpoint is left out. Absent: 300000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_ejection_ms: Option<u64>,
    /// Most endpoints that are left out at a time, in percent. One may always be, all never. Absent: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub max_ejected_percent: Option<u32>,
    /// Leaves endpoints out that fail far more often than the others, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<ProxySuccessRate>,
}

/// When an endpoint's share of successes is too far below the mean of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySuccessRate {
    /// Milliseconds between two looks. Absent: 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub interval_ms: Option<u64>,
    /// Requests in this time below which an endpoint is not judged, by each worker of an agent. Absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_requests: Option<u32>,
    /// Endpoints to judge below which none is. Absent: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub min_endpoints: Option<u32>,
    /// Distance below the mean, in thousandths of the standard deviation. Absent: 1900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviations_thousandths: Option<u32>,
}

/// Whether endpoints of the agent's own zone come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProxyZonePreference {
    /// All zones are alike.
    #[default]
    None,
    /// The own zone comes first, as far as its endpoints go.
    Own,
}

impl ProxyZonePreference {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out a reference
    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }
}
