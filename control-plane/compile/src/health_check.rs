//! How the endpoints of a ProxyBackend are asked whether they are well, with the defaults of what it leaves open.

use novaedge_api::native::{ProxyHealthCheck, ProxyProbe};
use novaedge_proto::v1;
use novaedge_proto::v1::health_check::Probe;

pub(crate) fn health_check(check: &ProxyHealthCheck) -> v1::HealthCheck {
    v1::HealthCheck {
        probe: Some(probe(&check.probe)),
        interval_ms: check.interval_ms.unwrap_or(5_000).max(100),
        timeout_ms: check.timeout_ms.unwrap_or(1_000).clamp(1, 60_000),
        healthy_threshold: check.healthy_threshold.unwrap_or(2).max(1),
        unhealthy_threshold: check.unhealthy_threshold.unwrap_or(3).max(1),
        port: check.port.unwrap_or_default().into(),
    }
}

fn probe(probe: &ProxyProbe) -> Probe {
    match probe {
        ProxyProbe::Http(http) => Probe::Http(v1::HttpProbe {
            path: http.path.clone().unwrap_or_else(|| "/".to_owned()),
            host: http.host.clone().unwrap_or_default(),
            expected_statuses: http
                .expected_statuses
                .iter()
                .copied()
                .map(u32::from)
                .collect(),
        }),
        ProxyProbe::Grpc(grpc) => Probe::Grpc(v1::GrpcProbe {
            service: grpc.service.clone().unwrap_or_default(),
        }),
        ProxyProbe::Tcp(_) => Probe::Tcp(v1::TcpProbe {}),
    }
}
