//! Backends and endpoints, from the wire.

use std::{net::IpAddr, sync::Arc};

use novaedge_proto::v1;
use rustc_hash::FxHashMap;

use super::{
    fit,
    route::{convert_invalid, duration, unsupported},
    step::{Step, is_same},
};
use crate::{
    backend::{Backend, BackendProtocol, BackendTls, Endpoint, Host, SubjectAltName},
    error::Fault,
    host::HostPattern,
    limits::{Limits, RetryBudget},
    proxy_protocol,
    rule::Invalid,
    shard_map::ShardMap,
};

/// Backends and endpoints as they came, each by resource name.
#[derive(Debug, Default)]
pub(super) struct BackendStore {
    /// Without their endpoints.
    backends: FxHashMap<Arc<str>, (String, Backend)>,
    endpoints: FxHashMap<Arc<str>, (String, Arc<[Endpoint]>)>,
}

impl BackendStore {
    /// Names of all backends and endpoints.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.backends.keys().chain(self.endpoints.keys());
        names.map(|name| &**name)
    }

    /// The name of a backend, as it is held if it is.
    pub(super) fn name(&self, backend: &str) -> Arc<str> {
        let held = self.backends.get_key_value(backend);
        held.map_or_else(|| backend.into(), |(name, _)| Arc::clone(name))
    }

    pub(super) fn upsert_backend(
        &mut self,
        name: &Arc<str>,
        version: &str,
        wire: &v1::Backend,
        step: &mut Step,
    ) {
        if self
            .backends
            .get(name)
            .is_some_and(|(held, _)| is_same(held, version))
        {
            return;
        }
        let mut faults = Vec::new();
        let backend = convert_backend(name, wire, &mut faults);
        let good = faults.is_empty();
        step.reject_all(name, version, faults);
        if good || !self.backends.contains_key(name) {
            let version = if good {
                version.to_owned()
            } else {
                String::new()
            };
            self.backends.insert(Arc::clone(name), (version, backend));
            step.backends.insert(Arc::clone(name));
        }
    }

    /// Takes the usable endpoints, even if some are not: to keep all old ones would send traffic to those that are gone.
    pub(super) fn upsert_endpoints(
        &mut self,
        name: &Arc<str>,
        version: &str,
        wire: &v1::Endpoints,
        step: &mut Step,
    ) {
        let backend = backend_of(name);
        if wire.backend != backend {
            let expected = "expected the backend of the same namespace and name";
            step.reject(
                name,
                version,
                Fault::Value {
                    field: "endpoints.backend",
                    value: wire.backend.clone(),
                    expected,
                },
            );
            return;
        }
        step.parents_to_check
            .push((Arc::clone(name), version.to_owned()));
        if self
            .endpoints
            .get(name)
            .is_some_and(|(held, _)| is_same(held, version))
        {
            return;
        }
        let mut faults = Vec::new();
        let endpoints: Arc<[Endpoint]> = wire
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                convert_endpoint(endpoint)
                    .map_err(|fault| faults.push(fault))
                    .ok()
            })
            .collect();
        let held_as = if faults.is_empty() {
            version.to_owned()
        } else {
            String::new()
        };
        step.reject_all(name, version, faults);
        self.endpoints
            .insert(Arc::clone(name), (held_as, endpoints));
        step.backends.insert(backend.as_str().into());
    }

    pub(super) fn remove_backend(&mut self, name: &str, step: &mut Step) {
        if self.backends.remove(name).is_some() {
            step.backends.insert(name.into());
        }
    }

    pub(super) fn remove_endpoints(&mut self, name: &str, step: &mut Step) {
        if self.endpoints.remove(name).is_some() {
            step.backends.insert(backend_of(name).into());
        }
    }

    /// Gives back room that is not needed any more.
    pub(super) fn fit(&mut self) {
        fit(&mut self.backends);
        fit(&mut self.endpoints);
    }

    /// Brings the backends that a step touched up to date.
    pub(super) fn refresh(&self, step: &mut Step, tables: &mut Arc<ShardMap<Arc<Backend>>>) {
        for name in std::mem::take(&mut step.backends) {
            match self.backends.get(&name) {
                Some((_, backend)) => {
                    let mut backend = backend.clone();
                    if let Some((_, endpoints)) = self.endpoints.get(&*endpoints_of(&name)) {
                        backend.endpoints = Arc::clone(endpoints);
                    }
                    Arc::make_mut(tables).insert(name, Arc::new(backend));
                }
                None if tables.contains_key(&name) => _ = Arc::make_mut(tables).remove(&name),
                None => continue,
            }
            step.changed = true;
        }
        for (name, version) in std::mem::take(&mut step.parents_to_check) {
            let backend = backend_of(&name);
            if self.endpoints.contains_key(&name) && !self.backends.contains_key(backend.as_str()) {
                step.reject(
                    &name,
                    &version,
                    Fault::Dangling {
                        kind: "backend",
                        name: backend,
                    },
                );
            }
        }
    }
}

/// `backend/ns/name` for `endpoints/ns/name`.
fn backend_of(endpoints: &str) -> String {
    format!(
        "backend/{}",
        endpoints
            .split_once('/')
            .map_or(endpoints, |(_, tail)| tail)
    )
}

/// The other way round.
fn endpoints_of(backend: &str) -> String {
    format!(
        "endpoints/{}",
        backend.split_once('/').map_or(backend, |(_, tail)| tail)
    )
}

fn convert_backend(name: &Arc<str>, wire: &v1::Backend, faults: &mut Vec<Fault>) -> Backend {
    let mut invalid = wire.invalid.as_ref().map(convert_invalid);
    let protocol = match v1::BackendProtocol::try_from(wire.protocol) {
        Ok(v1::BackendProtocol::Http1 | v1::BackendProtocol::Unspecified) => BackendProtocol::Http1,
        Ok(v1::BackendProtocol::Http2) => BackendProtocol::Http2,
        Err(_) => {
            let expected = "expected a known protocol";
            note(
                Fault::Value {
                    field: "protocol",
                    value: wire.protocol.to_string(),
                    expected,
                },
                &mut invalid,
                faults,
            );
            BackendProtocol::Http1
        }
    };
    let tls = wire.tls.as_ref().and_then(|tls| {
        // Without its TLS settings a backend gets nothing; it never gets cleartext.
        convert_tls(tls)
            .map_err(|fault| note(fault, &mut invalid, faults))
            .ok()
    });
    let send_proxy_protocol = convert_send_proxy_protocol(wire).unwrap_or_else(|fault| {
        note(fault, &mut invalid, faults);
        None
    });
    Backend {
        name: Arc::clone(name),
        protocol,
        tls,
        balancing: Arc::new(super::balancing::convert(wire, faults)),
        connect_timeout: duration(wire.connect_timeout_ms),
        idle_timeout: duration(wire.idle_timeout_ms),
        max_connections: limit(wire.max_connections),
        limits: convert_limits(wire, faults),
        invalid,
        send_proxy_protocol,
        endpoints: Arc::from([]),
    }
}

fn limit(wire: u32) -> Option<u32> {
    (wire > 0).then_some(wire)
}

fn convert_limits(wire: &v1::Backend, faults: &mut Vec<Fault>) -> Limits {
    let retries = wire.retry_budget.and_then(|budget| {
        let percent = super::balancing::share("retry_budget.percent", budget.percent, faults)?;
        Some(RetryBudget {
            percent,
            min: budget.min_concurrency,
        })
    });
    Limits {
        requests: limit(wire.max_requests),
        pending: limit(wire.max_pending_requests),
        retries: retries.unwrap_or_default(),
    }
}

/// A header that this agent does not know is a fault: without it the backend would take the agent for its client.
fn convert_send_proxy_protocol(
    wire: &v1::Backend,
) -> Result<Option<proxy_protocol::Version>, Fault> {
    match v1::SendProxyProtocol::try_from(wire.send_proxy_protocol) {
        Ok(v1::SendProxyProtocol::Unspecified) => Ok(None),
        Ok(v1::SendProxyProtocol::V1) => Ok(Some(proxy_protocol::Version::V1)),
        Ok(v1::SendProxyProtocol::V2) => Ok(Some(proxy_protocol::Version::V2)),
        Err(_) => Err(Fault::Value {
            field: "send_proxy_protocol",
            value: wire.send_proxy_protocol.to_string(),
            expected: "expected version 1 or 2",
        }),
    }
}

fn note(fault: Fault, invalid: &mut Option<Invalid>, faults: &mut Vec<Fault>) {
    invalid.get_or_insert_with(|| unsupported(&fault));
    faults.push(fault);
}

fn convert_tls(wire: &v1::BackendTls) -> Result<BackendTls, Fault> {
    use v1::subject_alt_name::Kind;
    let HostPattern::Exact(server_name) = HostPattern::parse(&wire.server_name)? else {
        return Err(Fault::Missing("tls.server_name"));
    };
    let sans = wire.subject_alt_names.iter().map(|name| match &name.kind {
        Some(Kind::Dns(name)) => Ok(SubjectAltName::Dns(name.to_ascii_lowercase().into())),
        Some(Kind::Uri(uri)) => Ok(SubjectAltName::Uri(uri.as_str().into())),
        None => Err(Fault::Missing("tls.subject_alt_names.kind")),
    });
    Ok(BackendTls {
        server_name,
        trust_bundles: wire
            .trust_bundles
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        sans: sans.collect::<Result<_, _>>()?,
    })
}

fn convert_endpoint(wire: &v1::Endpoint) -> Result<Endpoint, Fault> {
    let optional = |text: &str| -> Option<Arc<str>> { (!text.is_empty()).then(|| text.into()) };
    let address = match wire.address.parse::<IpAddr>() {
        Ok(address) => Host::Ip(address),
        Err(_) => match HostPattern::parse(&wire.address)? {
            HostPattern::Exact(name) => Host::Dns(name),
            HostPattern::Wildcard(_) | HostPattern::Any => {
                return Err(Fault::Hostname(wire.address.clone()));
            }
        },
    };
    let port = u16::try_from(wire.port)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Fault::Value {
            field: "endpoints.port",
            value: wire.port.to_string(),
            expected: "expected 1 to 65535",
        })?;
    Ok(Endpoint {
        address,
        port,
        zone: optional(&wire.zone),
        node: optional(&wire.node),
        weight: wire.weight.max(1),
    })
}
