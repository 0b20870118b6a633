//! Requests by Gateway, listener, route, rule and backend.

use std::sync::Arc;
use std::time::Instant;

use novaedge_meter::{Description, Exposition, Http, ResourceName, Sums};
use novaedge_proxy::metrics::{BackendMetrics, ListenerMetrics, RuleKey};
use novaedge_proxy::reason::Reason;

use super::Sources;

/// The labels of a route on a listener.
const ROUTE: &[&str] = &[
    "gateway_namespace",
    "gateway",
    "listener",
    "route_kind",
    "route_namespace",
    "route",
];

/// The name of all that has none of its own, because there are too many.
const OTHER: &str = "other";

const DURATION: Description = Description::histogram(
    "http_server_request_duration_seconds",
    ROUTE,
    "From the head of a request to the end of its answer; requests that no route took have no route",
);
const ERRORS: Description = Description::counter(
    "novaedge_http_request_errors",
    &[
        "gateway_namespace",
        "gateway",
        "listener",
        "route_kind",
        "route_namespace",
        "route",
        "class",
    ],
    "Requests answered with 4xx or 5xx",
);
const RULE_REQUESTS: Description = Description::counter(
    "novaedge_http_rule_requests",
    &[
        "gateway_namespace",
        "gateway",
        "listener",
        "route_kind",
        "route_namespace",
        "route",
        "rule",
    ],
    "Requests by the rule that took them: its name, or its position from 0",
);
const ACTIVE: Description = Description::gauge(
    "http_server_active_requests",
    &["gateway_namespace", "gateway", "listener"],
    "Requests under way",
);
const ABORTED: Description = Description::counter(
    "novaedge_http_aborted_requests",
    &["gateway_namespace", "gateway", "listener", "side"],
    "Requests without a complete answer, by who broke off: `client` or `backend`",
);
const OWN_ANSWERS: Description = Description::counter(
    "novaedge_http_own_answers",
    &["gateway_namespace", "gateway", "listener", "reason"],
    "Answers of the gateway itself, by reason: what a limit refuses is among them",
);
const CLIENT_DURATION: Description = Description::histogram(
    "http_client_request_duration_seconds",
    &["backend_namespace", "backend"],
    "From the beginning of a try to the head of the backend's answer, or to its failure",
);
const UPSTREAM_ERRORS: Description = Description::counter(
    "novaedge_http_upstream_errors",
    &["backend_namespace", "backend", "reason"],
    "Tries that failed, by reason as in own answers; `status_5xx`: the backend said so",
);
const RETRIES: Description = Description::counter(
    "novaedge_http_retries",
    &["backend_namespace", "backend"],
    "Tries to forward a request after the first",
);
const CONNECTIONS: Description = Description::gauge(
    "http_client_open_connections",
    &["backend_namespace", "backend", "state"],
    "Connections to HTTP backends at the last look, `active` or `idle`",
);
const PENDING: Description = Description::gauge(
    "novaedge_http_upstream_pending_requests",
    &["backend_namespace", "backend"],
    "Requests that waited for a connection to their backend at the last look",
);
const ENDPOINTS: Description = Description::gauge(
    "novaedge_backend_endpoints",
    &["backend_namespace", "backend", "state"],
    "Endpoints of HTTP backends in use at the last look: `healthy`, `unhealthy` by health checks, or `ejected` for a while",
);

pub(super) const ALL: [Description; 12] = [
    DURATION,
    ERRORS,
    RULE_REQUESTS,
    ACTIVE,
    ABORTED,
    OWN_ANSWERS,
    CLIENT_DURATION,
    UPSTREAM_ERRORS,
    RETRIES,
    CONNECTIONS,
    PENDING,
    ENDPOINTS,
];

/// A rule on a listener; `None`: those beyond the limit.
struct Rule {
    key: Option<Arc<RuleKey>>,
    durations: Sums<Http>,
    errors: [u64; 2],
}

/// What a listener has counted; `None`: those beyond the limit.
struct Listener {
    name: Option<Arc<ResourceName>>,
    active: u64,
    aborted: [u64; 2],
    own: [u64; Reason::ALL.len()],
}

/// What is counted for a backend; `None`: those beyond the limit.
struct Backend {
    name: Option<Arc<ResourceName>>,
    durations: Sums<Http>,
    server_errors: u64,
    failures: [u64; Reason::ALL.len()],
    retries: u64,
    open: u64,
    idle: u64,
    pending: u64,
    /// All, unhealthy and ejected ones.
    endpoints: [u64; 3],
}

impl Sources {
    pub(super) fn expose_http(&self, all: &mut Exposition) {
        let now = Instant::now();
        let rules = self.rules(now);
        // Rules of a route on a listener stand beside each other.
        let routes: Vec<&[Rule]> = rules.chunk_by(Rule::is_of_route).collect();
        let mut family = all.family(&DURATION);
        for route in &routes {
            let mut sums = Sums::default();
            for rule in *route {
                sums.add(&rule.durations);
            }
            family.durations(&labels(route), &sums);
        }
        let mut family = all.family(&ERRORS);
        for route in &routes {
            for (at, class) in ["4xx", "5xx"].into_iter().enumerate() {
                let errors = route.iter().filter_map(|rule| rule.errors.get(at));
                let sum: u64 = errors.sum();
                if sum > 0 {
                    family.sample(&[&labels(route)[..], &[class]].concat(), sum);
                }
            }
        }
        let mut family = all.family(&RULE_REQUESTS);
        for rule in &rules {
            // What no rule took has none.
            if let Some(key) = rule.key.as_ref().filter(|key| !key.kind.is_empty()) {
                let labels = [&key.route_labels()[..], &[&key.rule]].concat();
                family.sample(&labels, rule.durations.count());
            }
        }
        expose_listeners(all, &self.listeners(now));
        expose_backends(all, &self.backends(now));
    }

    /// Rules that have served something.
    fn rules(&self, now: Instant) -> Vec<Rule> {
        let mut rules = Vec::new();
        self.traffic.http.rules.each(now, |key, parts| {
            let mut rule = Rule {
                key: key.map(Arc::clone),
                durations: Sums::default(),
                errors: [0; 2],
            };
            for part in parts {
                rule.durations.add(&part.durations.sums());
                rule.errors[0] += part.client_errors.get();
                rule.errors[1] += part.server_errors.get();
            }
            if rule.durations.count() > 0 {
                rules.push(rule);
            }
        });
        rules
    }

    fn listeners(&self, now: Instant) -> Vec<Listener> {
        let mut listeners = Vec::new();
        self.traffic.http.listeners.each(now, |name, parts| {
            let mut listener = Listener {
                name: name.map(Arc::clone),
                active: 0,
                aborted: [0; 2],
                own: [0; Reason::ALL.len()],
            };
            for part in parts {
                listener.add(part);
            }
            listeners.push(listener);
        });
        listeners
    }

    fn backends(&self, now: Instant) -> Vec<Backend> {
        let mut backends = Vec::new();
        self.traffic.http.backends.each(now, |name, parts| {
            let mut backend = Backend {
                name: name.map(Arc::clone),
                durations: Sums::default(),
                server_errors: 0,
                failures: [0; Reason::ALL.len()],
                retries: 0,
                open: 0,
                idle: 0,
                pending: 0,
                endpoints: [0; 3],
            };
            for part in parts {
                backend.add(part);
            }
            backends.push(backend);
        });
        backends
    }
}

impl Rule {
    fn is_of_route(&self, other: &Self) -> bool {
        match (&self.key, &other.key) {
            (Some(one), Some(other)) => one.is_same_route(other),
            _ => false,
        }
    }
}

/// Of a route, which has at least one rule.
fn labels(route: &[Rule]) -> [&str; 6] {
    let key = route.first().and_then(|rule| rule.key.as_ref());
    key.map_or(["", "", "", "", "", OTHER], |key| key.route_labels())
}

impl Listener {
    fn add(&mut self, part: &ListenerMetrics) {
        self.active = self.active.wrapping_add(part.active.get());
        self.aborted[0] += part.aborted_by_client.get();
        self.aborted[1] += part.aborted_by_backend.get();
        for (sum, counter) in self.own.iter_mut().zip(&part.own_answers) {
            *sum += counter.get();
        }
    }

    fn labels(&self) -> [&str; 3] {
        let name = self.name.as_ref();
        name.map_or(["", "", OTHER], |name| name.listener_labels())
    }

    /// Requests that no listener took are of none: they are shown when there are some.
    fn is_one(&self) -> bool {
        self.name
            .as_ref()
            .is_none_or(|name| !name.resource().is_empty())
    }
}

impl Backend {
    fn add(&mut self, part: &BackendMetrics) {
        self.durations.add(&part.durations.sums());
        self.server_errors += part.server_errors.get();
        self.retries += part.retries.get();
        for (sum, counter) in self.failures.iter_mut().zip(&part.failures) {
            *sum += counter.get();
        }
        let pool = &part.pool;
        self.open += pool.open.get();
        self.idle += pool.idle.get();
        self.pending += pool.pending.get();
        // Each worker sees the same endpoints, and ejects for itself.
        let seen = [&pool.endpoints, &pool.unhealthy, &pool.ejected];
        for (most, counter) in self.endpoints.iter_mut().zip(seen) {
            *most = counter.get().max(*most);
        }
    }

    fn labels(&self) -> [&str; 2] {
        let name = self.name.as_ref();
        name.map_or(["", OTHER], |name| name.labels())
    }

    fn with<'a>(&'a self, more: &'a str) -> [&'a str; 3] {
        let [namespace, name] = self.labels();
        [namespace, name, more]
    }
}

fn expose_listeners(all: &mut Exposition, listeners: &[Listener]) {
    let mut family = all.family(&ACTIVE);
    for listener in listeners {
        if listener.is_one() || listener.active > 0 {
            family.sample(&listener.labels(), listener.active);
        }
    }
    let mut family = all.family(&ABORTED);
    for listener in listeners {
        for (side, sum) in ["client", "backend"].into_iter().zip(listener.aborted) {
            if listener.is_one() || sum > 0 {
                family.sample(&[&listener.labels()[..], &[side]].concat(), sum);
            }
        }
    }
    let mut family = all.family(&OWN_ANSWERS);
    for listener in listeners {
        for (reason, sum) in Reason::ALL.into_iter().zip(listener.own) {
            if sum > 0 {
                family.sample(&[&listener.labels()[..], &[reason.code()]].concat(), sum);
            }
        }
    }
}

fn expose_backends(all: &mut Exposition, backends: &[Backend]) {
    let mut family = all.family(&CLIENT_DURATION);
    for backend in backends {
        if backend.durations.count() > 0 {
            family.durations(&backend.labels(), &backend.durations);
        }
    }
    let mut family = all.family(&UPSTREAM_ERRORS);
    for backend in backends {
        let reasons = Reason::ALL.into_iter().map(Reason::code);
        let failures = reasons.zip(backend.failures);
        for (reason, sum) in failures.chain([("status_5xx", backend.server_errors)]) {
            if sum > 0 {
                family.sample(&backend.with(reason), sum);
            }
        }
    }
    let mut family = all.family(&RETRIES);
    for backend in backends {
        family.sample(&backend.labels(), backend.retries);
    }
    let mut family = all.family(&CONNECTIONS);
    for backend in backends {
        let active = backend.open.saturating_sub(backend.idle);
        family.sample(&backend.with("active"), active);
        family.sample(&backend.with("idle"), backend.idle);
    }
    let mut family = all.family(&PENDING);
    for backend in backends {
        family.sample(&backend.labels(), backend.pending);
    }
    let mut family = all.family(&ENDPOINTS);
    for backend in backends {
        let [endpoints, unhealthy, ejected] = backend.endpoints;
        let healthy = endpoints.saturating_sub(unhealthy + ejected);
        family.sample(&backend.with("healthy"), healthy);
        family.sample(&backend.with("unhealthy"), unhealthy);
        family.sample(&backend.with("ejected"), ejected);
    }
}
