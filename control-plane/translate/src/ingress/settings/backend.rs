//! Annotations that say how a backend is spoken to.

use novaedge_api::native::{
    ProxyBackendProtocol, ProxyBackendSpec, ProxyGrpcProbe, ProxyHashKey, ProxyHealthCheck,
    ProxyHttpProbe, ProxyLbPolicy, ProxyOutlierDetection, ProxyProbe,
};

use super::super::value::Values;
use crate::filter::is_token;

/// How the backends of an Ingress are spoken to, as far as its annotations say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BackendSettings {
    pub(crate) speaks: Option<Speaks>,
    lb_policy: Option<ProxyLbPolicy>,
    hash_key: Option<ProxyHashKey>,
    connect_timeout_ms: Option<u64>,
    health_check: Option<ProxyHealthCheck>,
    consecutive_failures: Option<u32>,
    max_connections: Option<u32>,
    max_pending_requests: Option<u32>,
    max_requests: Option<u32>,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 inside TLS.
    Https,
    /// HTTP/2 with prior knowledge.
    Grpc,
    /// HTTP/2 inside TLS.
    Grpcs,
}

impl Speaks {
    /// Whether it is inside TLS.
    pub(crate) const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }

    const fn protocol(self) -> ProxyBackendProtocol {
        match self {
            Self::Http | Self::Https => ProxyBackendProtocol::HTTP1,
            Self::Grpc | Self::Grpcs => ProxyBackendProtocol::HTTP2,
        }
    }
}

impl BackendSettings {
    pub(super) fn read(values: &mut Values<'_>) -> Self {
        let (hash_policy, hash_key) = hash(values);
        let lb_policy = load_balancing(values);
        if let (Some(policy), true) = (lb_policy, values.text("upstream-hash-by").is_some())
            && !is_hash(policy)
        {
            let text = "this policy knows no hash; remove it, or novaedge.io/upstream-hash-by";
            values.fault("load-balancing", text);
        }
        let by_hash = lb_policy.filter(|policy| is_hash(*policy));
        Self {
            speaks: speaks(values),
            lb_policy: hash_policy
                .map(|policy| by_hash.unwrap_or(policy))
                .or(lb_policy),
            hash_key,
            connect_timeout_ms: values.millis("proxy-connect-timeout"),
            health_check: health_check(values),
            consecutive_failures: at_least_one(values, "circuit-breaker-consecutive-failures"),
            max_connections: at_least_one(values, "circuit-breaker-max-connections"),
            max_pending_requests: at_least_one(values, "circuit-breaker-max-pending-requests"),
            max_requests: at_least_one(values, "circuit-breaker-max-requests"),
        }
    }

    /// Whether they say anything.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts into a backend what they say.
    pub(crate) fn apply(&self, spec: &mut ProxyBackendSpec) {
        if let Some(speaks) = self.speaks {
            spec.protocol = speaks.protocol();
        }
        if let Some(policy) = self.lb_policy {
            spec.lb_policy = policy;
        }
        spec.hash_key.clone_from(&self.hash_key);
        spec.connect_timeout_ms = self.connect_timeout_ms;
        spec.health_check.clone_from(&self.health_check);
        spec.outlier_detection = self
            .consecutive_failures
            .map(|failures| ProxyOutlierDetection {
                consecutive_failures: Some(failures),
                ..ProxyOutlierDetection::default()
            });
        spec.max_connections = self.max_connections;
        spec.max_pending_requests = self.max_pending_requests;
        spec.max_requests = self.max_requests;
    }
}

fn at_least_one(values: &mut Values<'_>, name: &str) -> Option<u32> {
    values.number(name, 1..=1_000_000)
}

const fn is_hash(policy: ProxyLbPolicy) -> bool {
    matches!(
        policy,
        ProxyLbPolicy::SourceHash | ProxyLbPolicy::RingHash | ProxyLbPolicy::Maglev
    )
}

fn load_balancing(values: &mut Values<'_>) -> Option<ProxyLbPolicy> {
    let wanted =
        "policy; write round-robin, least-request, ewma, random, source-hash, ring-hash or maglev";
    values.read("load-balancing", wanted, |text| {
        let word = text.to_ascii_lowercase().replace(['-', '_'], "");
        Some(match word.as_str() {
            "roundrobin" => ProxyLbPolicy::RoundRobin,
            "leastrequest" | "leastconn" | "p2c" => ProxyLbPolicy::LeastRequest,
            "ewma" => ProxyLbPolicy::Ewma,
            "random" => ProxyLbPolicy::Random,
            "sourcehash" | "iphash" => ProxyLbPolicy::SourceHash,
            "ringhash" => ProxyLbPolicy::RingHash,
            "maglev" => ProxyLbPolicy::Maglev,
            _ => return None,
        })
    })
}

/// What the hash is of, in the words of nginx's variables.
fn hash(values: &mut Values<'_>) -> (Option<ProxyLbPolicy>, Option<ProxyHashKey>) {
    let wanted = "hash key here; write $remote_addr, $http_<header>, $cookie_<name> or $arg_<name>";
    let key = values.read("upstream-hash-by", wanted, |text| {
        let variable = text.strip_prefix('$')?;
        if matches!(variable, "remote_addr" | "binary_remote_addr") {
            return Some(None);
        }
        let name = |prefix: &str| {
            let name = variable.strip_prefix(prefix)?;
            is_token(name).then(|| name.to_owned())
        };
        let header = name("http_").map(|name| ProxyHashKey::Header(name.replace('_', "-")));
        let cookie = || name("cookie_").map(ProxyHashKey::Cookie);
        let parameter = || name("arg_").map(ProxyHashKey::QueryParameter);
        header.or_else(cookie).or_else(parameter).map(Some)
    });
    match key {
        Some(key) => (Some(ProxyLbPolicy::RingHash), key),
        None => (None, None),
    }
}

fn speaks(values: &mut Values<'_>) -> Option<Speaks> {
    let wanted = "protocol here; write HTTP, HTTPS, GRPC or GRPCS";
    let word = values.read("backend-protocol", wanted, |text| {
        Some(match text.to_ascii_uppercase().as_str() {
            "HTTP" => Speaks::Http,
            "HTTPS" => Speaks::Https,
            "GRPC" | "H2C" => Speaks::Grpc,
            "GRPCS" => Speaks::Grpcs,
            _ => return None,
        })
    });
    match (values.flag("grpc-backend"), word) {
        (Some(true), None | Some(Speaks::Http)) => Some(Speaks::Grpc),
        (Some(true), Some(Speaks::Https)) => Some(Speaks::Grpcs),
        (_, word) => word,
    }
}

fn health_check(values: &mut Values<'_>) -> Option<ProxyHealthCheck> {
    let path = values.read("health-check-path", "path; begin it with /", |text| {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
        (text.starts_with('/') && plain && text.len() <= 1024).then(|| text.to_owned())
    });
    let interval_ms = values.millis("health-check-interval");
    if interval_ms.is_some_and(|interval| interval < 100) {
        values.fault(
            "health-check-interval",
            "it is too short; write at least 100ms",
        );
    }
    let probe = match (values.flag("grpc-health-check"), path) {
        (Some(true), None) => ProxyProbe::Grpc(ProxyGrpcProbe::default()),
        (Some(true), Some(_)) => {
            let text = "novaedge.io/health-check-path asks over HTTP; remove one of the two";
            values.fault("grpc-health-check", text);
            return None;
        }
        (_, Some(path)) => ProxyProbe::Http(ProxyHttpProbe {
            path: Some(path),
            ..ProxyHttpProbe::default()
        }),
        (_, None) => {
            if interval_ms.is_some() {
                let text = "it says nothing without novaedge.io/health-check-path or novaedge.io/grpc-health-check; \
                            add one";
                values.fault("health-check-interval", text);
            }
            return None;
        }
    };
    Some(ProxyHealthCheck {
        probe,
        port: None,
        interval_ms: interval_ms.filter(|interval| *interval >= 100),
        timeout_ms: None,
        healthy_threshold: None,
        unhealthy_threshold: None,
    })
}
