//! How the endpoints of a ProxyBackend are chosen, with the defaults of what it leaves open.

use novaedge_api::native::{
    ProxyBackendSpec, ProxyHashKey, ProxyLbPolicy, ProxyOutlierDetection, ProxyRetryBudget,
    ProxySuccessRate, ProxyZonePreference,
};
use novaedge_proto::v1;

pub(crate) fn policy(policy: ProxyLbPolicy) -> v1::LoadBalancing {
    match policy {
        ProxyLbPolicy::RoundRobin => v1::LoadBalancing::RoundRobin,
        ProxyLbPolicy::LeastRequest => v1::LoadBalancing::LeastRequest,
        ProxyLbPolicy::Ewma => v1::LoadBalancing::Ewma,
        ProxyLbPolicy::Random => v1::LoadBalancing::Random,
        ProxyLbPolicy::SourceHash => v1::LoadBalancing::SourceHash,
        ProxyLbPolicy::RingHash => v1::LoadBalancing::RingHash,
        ProxyLbPolicy::Maglev => v1::LoadBalancing::Maglev,
    }
}

pub(crate) fn hash_key(key: &ProxyHashKey) -> v1::HashKey {
    use v1::hash_key::Kind;
    v1::HashKey {
        kind: Some(match key {
            ProxyHashKey::Header(name) => Kind::Header(name.to_ascii_lowercase()),
            ProxyHashKey::Cookie(name) => Kind::Cookie(name.clone()),
            ProxyHashKey::QueryParameter(name) => Kind::QueryParameter(name.clone()),
        }),
    }
}

pub(crate) fn outlier(outlier: &ProxyOutlierDetection) -> v1::OutlierDetection {
    let base = outlier.base_ejection_ms.unwrap_or(30_000).max(1);
    v1::OutlierDetection {
        consecutive_failures: outlier.consecutive_failures.unwrap_or(5).max(1),
        base_ejection_ms: base,
        max_ejection_ms: outlier.max_ejection_ms.unwrap_or(300_000).max(base),
        max_ejected_percent: outlier.max_ejected_percent.unwrap_or(10).min(100),
        success_rate: outlier.success_rate.as_ref().map(success_rate),
    }
}

fn success_rate(rate: &ProxySuccessRate) -> v1::SuccessRate {
    v1::SuccessRate {
        interval_ms: rate.interval_ms.unwrap_or(10_000).max(1),
        min_requests: rate.min_requests.unwrap_or(100).max(1),
        min_endpoints: rate.min_endpoints.unwrap_or(5).max(2),
        deviations_thousandths: rate.deviations_thousandths.unwrap_or(1_900),
    }
}

pub(crate) fn zone_preference(preference: ProxyZonePreference) -> v1::ZonePreference {
    match preference {
        ProxyZonePreference::None => v1::ZonePreference::Unspecified,
        ProxyZonePreference::Own => v1::ZonePreference::Own,
    }
}

pub(crate) fn retry_budget(budget: &ProxyRetryBudget) -> v1::RetryBudget {
    v1::RetryBudget {
        percent: budget.percent.unwrap_or(20).min(100),
        min_concurrency: budget.min_concurrency.unwrap_or(3),
    }
}

/// The share below which all endpoints are used. Absent: the agent's default.
pub(crate) fn panic_percent(spec: &ProxyBackendSpec) -> Option<u32> {
    spec.panic_percent.map(|percent| percent.min(100))
}
