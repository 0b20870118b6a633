//! How endpoints are chosen, from the wire.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderValue,
    uri::{Authority, PathAndQuery},
};
use novaedge_proto::v1;

use crate::{
    balancing::{Balancing, HashKey, LoadBalancing, OutlierDetection, SuccessRate, ZonePreference},
    error::Fault,
    health_check::{HealthCheck, HttpProbe, Probe},
};

/// What cannot be used is left at its default, and is a fault: the backend serves all the same.
pub(super) fn convert(wire: &v1::Backend, faults: &mut Vec<Fault>) -> Balancing {
    let percent = wire
        .panic_percent
        .unwrap_or(Balancing::PANIC_PERCENT.into());
    Balancing {
        policy: policy(wire, faults),
        hash_key: hash_key(wire.hash_key.as_ref(), faults),
        panic_percent: share("panic_percent", percent, faults).unwrap_or(Balancing::PANIC_PERCENT),
        zone: match wire.zone_preference() {
            v1::ZonePreference::Own => ZonePreference::Own,
            v1::ZonePreference::Unspecified => ZonePreference::None,
        },
        slow_start: (wire.slow_start_ms > 0).then(|| Duration::from_millis(wire.slow_start_ms)),
        outlier: wire
            .outlier_detection
            .as_ref()
            .and_then(|wire| outlier(wire, faults)),
        health_check: wire
            .health_check
            .as_ref()
            .and_then(|wire| health_check(wire).map_err(|fault| faults.push(fault)).ok()),
    }
}

fn health_check(wire: &v1::HealthCheck) -> Result<HealthCheck, Fault> {
    use v1::health_check::Probe as Wire;
    let probe = match &wire.probe {
        Some(Wire::Http(http)) => Probe::Http(http_probe(http)?),
        Some(Wire::Grpc(grpc)) => Probe::Grpc(grpc.service.as_str().into()),
        Some(Wire::Tcp(_)) => Probe::Tcp,
        None => return Err(Fault::Missing("health_check.probe")),
    };
    if wire.interval_ms == 0 || wire.timeout_ms == 0 {
        return Err(Fault::Missing("health_check.interval_ms or timeout_ms"));
    }
    let port = u16::try_from(wire.port).map_err(|_| Fault::Value {
        field: "health_check.port",
        value: wire.port.to_string(),
        expected: "expected 0 to 65535",
    })?;
    Ok(HealthCheck {
        probe,
        port: (port > 0).then_some(port),
        interval: Duration::from_millis(wire.interval_ms),
        timeout: Duration::from_millis(wire.timeout_ms),
        healthy_threshold: wire.healthy_threshold.max(1),
        unhealthy_threshold: wire.unhealthy_threshold.max(1),
    })
}

fn http_probe(wire: &v1::HttpProbe) -> Result<HttpProbe, Fault> {
    let fault = |field, value: &str, expected| Fault::Value {
        field,
        value: value.to_owned(),
        expected,
    };
    let path = Some(&wire.path)
        .filter(|path| path.starts_with('/'))
        .and_then(|path| PathAndQuery::try_from(path.as_str()).ok());
    let expected = "expected a path with an optional query";
    let path = path.ok_or_else(|| fault("health_check.http.path", &wire.path, expected))?;
    let host = (!wire.host.is_empty()).then(|| {
        let authority = Authority::try_from(wire.host.as_str()).ok();
        let host = authority.and_then(|_| HeaderValue::try_from(wire.host.as_str()).ok());
        let expected = "expected a host with an optional port";
        host.ok_or_else(|| fault("health_check.http.host", &wire.host, expected))
    });
    let statuses = wire.expected_statuses.iter().map(|status| {
        let status_code = u16::try_from(*status).ok();
        let expected = "expected status codes";
        status_code.ok_or_else(|| {
            let value = status.to_string();
            fault("health_check.http.expected_statuses", &value, expected)
        })
    });
    Ok(HttpProbe {
        path,
        host: host.transpose()?,
        expected_statuses: statuses.collect::<Result<_, _>>()?,
    })
}

fn policy(wire: &v1::Backend, faults: &mut Vec<Fault>) -> LoadBalancing {
    use v1::LoadBalancing as Wire;
    match Wire::try_from(wire.load_balancing) {
        Ok(Wire::RoundRobin | Wire::Unspecified) => LoadBalancing::RoundRobin,
        Ok(Wire::LeastRequest) => LoadBalancing::LeastRequest,
        Ok(Wire::Ewma) => LoadBalancing::Ewma,
        Ok(Wire::Random) => LoadBalancing::Random,
        Ok(Wire::SourceHash) => LoadBalancing::SourceHash,
        Ok(Wire::RingHash) => LoadBalancing::RingHash,
        Ok(Wire::Maglev) => LoadBalancing::Maglev,
        Err(_) => {
            faults.push(Fault::Value {
                field: "load_balancing",
                value: wire.load_balancing.to_string(),
                expected: "expected a known policy",
            });
            LoadBalancing::default()
        }
    }
}

fn hash_key(wire: Option<&v1::HashKey>, faults: &mut Vec<Fault>) -> HashKey {
    use v1::hash_key::Kind;
    let Some(wire) = wire else {
        return HashKey::Client;
    };
    let (name, key): (&str, fn(Arc<str>) -> HashKey) = match &wire.kind {
        Some(Kind::Header(name)) => (name, HashKey::Header),
        Some(Kind::Cookie(name)) => (name, HashKey::Cookie),
        Some(Kind::QueryParameter(name)) => (name, HashKey::Query),
        None => ("", HashKey::Header),
    };
    if name.is_empty() {
        faults.push(Fault::Missing("hash_key.kind"));
        return HashKey::Client;
    }
    match key(name.into()) {
        HashKey::Header(name) => HashKey::Header(name.to_ascii_lowercase().into()),
        other => other,
    }
}

fn outlier(wire: &v1::OutlierDetection, faults: &mut Vec<Fault>) -> Option<OutlierDetection> {
    let max_ejected_percent = share(
        "outlier_detection.max_ejected_percent",
        wire.max_ejected_percent,
        faults,
    )?;
    if wire.consecutive_failures == 0 || wire.base_ejection_ms == 0 {
        faults.push(Fault::Missing(
            "outlier_detection.consecutive_failures or base_ejection_ms",
        ));
        return None;
    }
    Some(OutlierDetection {
        consecutive_failures: wire.consecutive_failures,
        base_ejection: Duration::from_millis(wire.base_ejection_ms),
        max_ejection: Duration::from_millis(wire.max_ejection_ms.max(wire.base_ejection_ms)),
        max_ejected_percent,
        success_rate: wire.success_rate.as_ref().map(|wire| SuccessRate {
            interval: Duration::from_millis(wire.interval_ms.max(1)),
            min_requests: wire.min_requests,
            min_endpoints: wire.min_endpoints,
            deviations_thousandths: wire.deviations_thousandths,
        }),
    })
}

pub(super) fn share(field: &'static str, percent: u32, faults: &mut Vec<Fault>) -> Option<u8> {
    let share = u8::try_from(percent).ok().filter(|share| *share <= 100);
    if share.is_none() {
        faults.push(Fault::Value {
            field,
            value: percent.to_string(),
            expected: "expected 0 to 100",
        });
    }
    share
}
