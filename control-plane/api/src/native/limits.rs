//! ProxyBackend: how much it is given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many requests under way may be retries. It keeps retries from becoming most of the load on a backend that fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyRetryBudget {
    /// Share of the requests under way, in percent. Absent: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub percent: Option<u32>,
    /// Retries that an agent may always make at a time. Absent: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_concurrency: Option<u32>,
}
