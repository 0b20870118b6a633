//! ProxyBackend: how endpoints are asked whether they are well.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How each agent asks every endpoint whether it is well. An endpoint is well until it has failed often enough in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyHealthCheck {
    /// What is asked.
    pub probe: ProxyProbe,
    /// Another port to ask than the endpoint's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Milliseconds from one answer to the next question. Absent: 5000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100))]
    pub interval_ms: Option<u64>,
    /// Milliseconds until an answer is given up, connecting included. Absent: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60_000))]
    pub timeout_ms: Option<u64>,
    /// Good answers in a row after which an endpoint is well again. Absent: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub healthy_threshold: Option<u32>,
    /// Bad answers in a row, or none, after which an endpoint is left out. Absent: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub unhealthy_threshold: Option<u32>,
}

/// What an endpoint is asked: exactly one field is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProxyProbe {
    /// A GET request, by the protocol of the backend.
    Http(ProxyHttpProbe),
    /// `grpc.health.v1.Health/Check`, over HTTP/2.
    Grpc(ProxyGrpcProbe),
    /// A connection, with its TLS handshake where the backend wants one.
    Tcp(ProxyTcpProbe),
}

/// A GET request, and the answers that are good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyHttpProbe {
    /// Path and query. Absent: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// The field `Host`. Absent: the endpoint's address and port, or the server name of `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Status codes of good answers. Absent: 200 to 399.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 200, max = 599)))]
    pub expected_statuses: Vec<u16>,
}

/// A question of the gRPC health checking protocol; `SERVING` is good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyGrpcProbe {
    /// The service. Absent: the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
}

/// A connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyTcpProbe {}
