//! ProxyRoutes: one resource per rule.

use novaedge_translate::intersect_hostnames;
use std::collections::BTreeMap;

use novaedge_api::k8s_openapi::jiff::Timestamp;
use novaedge_api::meta::{Kind, ObjectId, ObjectKey};
use novaedge_api::native::{
    NamespacedRef, ProxyBackendRef, ProxyBackendTarget, ProxyFilter, ProxyParentRef, ProxyProtocol,
    ProxyRoute, ProxyRouteProtocol, ProxyRouteRule, ProxyRuleListeners, ProxySessionPersistence,
    ProxySessionType, ProxyTlsMode, ProxyWildcard,
};
use novaedge_proto::v1;
use novaedge_proto::v1::resource::Body;
use novaedge_translate::Diagnostic;

use crate::backend::refused;
use crate::gateway::{invalid, not_permitted};
use crate::unit::{Attachable, Carries, Computed};
use crate::view::{Origin, View, key_in, resolve, source};
use crate::{filter, hostname, matching, name};

/// Compiles a ProxyRoute. Without a listener it is bound to, it comes to nothing.
pub(crate) fn compile(view: &View<'_>, key: &ObjectKey) -> Computed {
    let Some((object, origin)) = view.native::<ProxyRoute>(key) else {
        return Computed::default();
    };
    let mut compiler = RouteCompiler {
        view,
        key,
        object,
        origin,
        protocols: BTreeMap::new(),
        diagnostics: Vec::new(),
    };
    let bindings = compiler.bindings();
    let mut resources = Vec::new();
    if !bindings.is_empty() {
        let base = compiler.base(bindings);
        for (index, rule) in object.spec.rules.iter().enumerate() {
            let Some(base) = compiler.base_of_rule(&base, rule) else {
                continue;
            };
            let route = compiler.rule(base, index, rule);
            let reference = route.r#ref.clone().unwrap_or_default();
            resources.push((name::route(&reference, index), Body::Route(route)));
        }
    }
    Computed {
        resources,
        diagnostics: compiler.diagnostics,
        ..Computed::default()
    }
}

struct RouteCompiler<'a> {
    view: &'a View<'a>,
    key: &'a ObjectKey,
    object: &'a ProxyRoute,
    origin: Origin,
    /// Of the listeners that the route is bound to.
    protocols: BTreeMap<String, ProxyProtocol>,
    diagnostics: Vec<Diagnostic>,
}

impl RouteCompiler<'_> {
    fn id(&self) -> ObjectId {
        ObjectId {
            kind: Kind::ProxyRoute,
            key: self.key.clone(),
        }
    }

    fn report(&mut self, field: impl Into<String>, reason: &str, message: String) {
        let diagnostic = Diagnostic::error(self.id(), field, reason, message);
        self.diagnostics.push(diagnostic);
    }

    /// What all rules of the route have in common.
    fn base(&mut self, bindings: Vec<v1::Binding>) -> v1::Route {
        let spec = &self.object.spec;
        let created = if let Some(text) = &spec.source_created {
            text.parse::<Timestamp>().map_or_else(
                |_| {
                    let message =
                        format!("{text:?} is no RFC 3339 time; write one or leave it out");
                    self.report("spec.sourceCreated", "Invalid", message);
                    0
                },
                Timestamp::as_second,
            )
        } else {
            let created = self.object.metadata.creation_timestamp.as_ref();
            created.map_or(0, |time| time.0.as_second())
        };
        v1::Route {
            r#ref: Some(source(self.object, self.origin)),
            kind: kind(spec.protocol).into(),
            created,
            hostnames: own_hostnames(self.object),
            bindings,
            single_label_wildcards: spec.wildcard == ProxyWildcard::OneLabel,
            ..v1::Route::default()
        }
    }

    /// The same for a rule, which may have hosts and listeners of its own. None: no listener of the route serves it.
    fn base_of_rule(&self, base: &v1::Route, rule: &ProxyRouteRule) -> Option<v1::Route> {
        if rule.hostnames.is_empty() && rule.listeners.is_none() {
            return Some(base.clone());
        }
        let hostnames = if rule.hostnames.is_empty() {
            own_hostnames(self.object)
        } else {
            lower(&rule.hostnames)
        };
        let wanted = rule.listeners.map(|listeners| match listeners {
            ProxyRuleListeners::HTTP => ProxyProtocol::HTTP,
            ProxyRuleListeners::HTTPS => ProxyProtocol::HTTPS,
        });
        let serves = |binding: &&v1::Binding| {
            let protocol = self.protocols.get(&binding.listener);
            wanted.is_none_or(|wanted| protocol == Some(&wanted))
        };
        let within = |binding: &v1::Binding| {
            let met = binding
                .hostnames
                .iter()
                .filter_map(|of_route| intersect_hostnames(Some(of_route), &hostnames));
            let mut met: Vec<String> = met.flatten().collect();
            met.sort();
            met.dedup();
            if binding.hostnames.is_empty() {
                met.clone_from(&hostnames);
            } else if met.is_empty() {
                return None;
            }
            Some(v1::Binding {
                listener: binding.listener.clone(),
                hostnames: met,
            })
        };
        let bindings = base.bindings.iter().filter(serves);
        let bindings: Vec<v1::Binding> = bindings.filter_map(within).collect();
        (!bindings.is_empty()).then(|| v1::Route {
            hostnames,
            bindings,
            ..base.clone()
        })
    }

    /// The listeners that the route is bound to, each once.
    fn bindings(&mut self) -> Vec<v1::Binding> {
        let mut bindings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (index, parent) in self.object.spec.parent_refs.iter().enumerate() {
            let field = format!("spec.parentRefs[{index}]");
            for (listener, hostnames) in self.parent(&field, parent) {
                match bindings.entry(listener) {
                    std::collections::btree_map::Entry::Vacant(slot) => {
                        slot.insert(hostnames);
                    }
                    std::collections::btree_map::Entry::Occupied(mut slot) => {
                        hostname::unite(slot.get_mut(), hostnames);
                    }
                }
            }
        }
        let bindings = bindings.into_iter();
        let bindings = bindings.map(|(listener, hostnames)| v1::Binding {
            listener,
            hostnames,
        });
        bindings.collect()
    }

    fn parent(&mut self, field: &str, parent: &ProxyParentRef) -> Vec<(String, Vec<String>)> {
        let key = key_in(&parent.namespace, &parent.name, &self.key.namespace);
        if self.origin == Origin::Written
            && !self.view.permits(&self.id(), Kind::ProxyGateway, &key)
        {
            let message = not_permitted(Kind::ProxyGateway, &key);
            self.report(field, "RefNotPermitted", message);
            return Vec::new();
        }
        let Some(listeners) = self.view.listeners(&key) else {
            let message = format!("ProxyGateway {key} does not exist; create it");
            self.report(field, "NoMatchingParent", message);
            return Vec::new();
        };
        let named: Vec<&Attachable> = listeners
            .iter()
            .filter(|listener| is_named(parent, listener))
            .filter(|listener| fits(self.object.spec.protocol, listener, parent))
            .collect();
        if named.is_empty() {
            let wanted = parent
                .listener
                .as_deref()
                .unwrap_or("that takes its protocol");
            let message = format!("ProxyGateway {key} serves no listener {wanted}; name another");
            self.report(field, "NoMatchingParent", message);
        }
        let mut bound = Vec::new();
        for listener in named {
            let hostnames = if parent.hostnames.is_empty() {
                intersect_hostnames(Some(&listener.hostname), &own_hostnames(self.object))
            } else {
                Some(lower(&parent.hostnames))
            };
            if let Some(hostnames) = hostnames {
                let resource = listener.resource.clone();
                self.protocols.insert(resource.clone(), listener.protocol);
                bound.push((resource, hostnames));
            } else {
                let message = format!(
                    "no hostname of the route fits {} of listener {}; name one that does",
                    listener.hostname, listener.name
                );
                self.report(field, "NoMatchingListenerHostname", message);
            }
        }
        bound
    }

    fn rule(&mut self, base: v1::Route, index: usize, rule: &ProxyRouteRule) -> v1::Route {
        let field = format!("spec.rules[{index}]");
        let (http_matches, grpc_matches) = match self.object.spec.protocol {
            ProxyRouteProtocol::HTTP => (rule.matches.iter().map(matching::http).collect(), vec![]),
            ProxyRouteProtocol::GRPC => (vec![], rule.matches.iter().map(matching::grpc).collect()),
            _ => (vec![], vec![]),
        };
        let timeouts = rule.timeouts.clone().unwrap_or_default();
        v1::Route {
            rule_index: u32::try_from(index).unwrap_or(u32::MAX),
            rule_name: rule.name.clone().unwrap_or_default(),
            http_matches,
            grpc_matches,
            filters: self.filters(&format!("{field}.filters"), &rule.filters),
            backends: self.backends(&format!("{field}.backendRefs"), &rule.backend_refs),
            request_timeout_ms: timeouts.request_ms,
            backend_request_timeout_ms: timeouts.backend_request_ms,
            retry: rule.retry.as_ref().map(|retry| v1::Retry {
                codes: retry.codes.iter().copied().map(u32::from).collect(),
                attempts: retry.attempts,
                backoff_ms: retry.backoff_ms.unwrap_or_default(),
            }),
            session_persistence: rule.session_persistence.as_ref().map(session),
            invalid: rule.invalid.as_ref().map(refused),
            max_request_body_bytes: rule.max_request_body_size,
            ..base
        }
    }

    fn filters(&mut self, field: &str, filters: &[ProxyFilter]) -> Vec<v1::Filter> {
        let mut compiled = Vec::new();
        for (index, native) in filters.iter().enumerate() {
            compiled.extend(filter::compile(native, |mirror| {
                let field = format!("{field}[{index}].requestMirror.backendRef");
                self.backend(&field, &mirror.backend_ref).ok()
            }));
        }
        compiled
    }

    fn backends(&mut self, field: &str, refs: &[ProxyBackendRef]) -> Vec<v1::WeightedBackend> {
        use v1::weighted_backend::Target;
        let mut backends = Vec::new();
        for (index, reference) in refs.iter().enumerate() {
            let field = format!("{field}[{index}]");
            let target = match &reference.target {
                ProxyBackendTarget::Backend(backend) => {
                    match self.backend(&format!("{field}.backend"), backend) {
                        Ok(name) => Target::Backend(name),
                        Err(invalid) => Target::Invalid(invalid),
                    }
                }
                ProxyBackendTarget::Invalid(native) => Target::Invalid(refused(native)),
            };
            backends.push(v1::WeightedBackend {
                weight: reference.weight,
                target: Some(target),
                filters: self.filters(&format!("{field}.filters"), &reference.filters),
            });
        }
        backends
    }

    fn backend(
        &mut self,
        field: &str,
        reference: &NamespacedRef,
    ) -> Result<String, v1::InvalidConfiguration> {
        let key = resolve(reference, &self.key.namespace);
        if self.origin == Origin::Written
            && !self.view.permits(&self.id(), Kind::ProxyBackend, &key)
        {
            let message = not_permitted(Kind::ProxyBackend, &key);
            self.report(field, "RefNotPermitted", message.clone());
            return Err(invalid("RefNotPermitted", message));
        }
        let protocol = self.object.spec.protocol;
        let streams = matches!(protocol, ProxyRouteProtocol::TCP | ProxyRouteProtocol::TLS);
        let (reason, message) = match self.view.backend(&key) {
            Some(Carries::Anything) => return Ok(name::backend(&key)),
            Some(Carries::Streams) if streams => return Ok(name::backend(&key)),
            Some(Carries::Streams) => {
                let message = format!(
                    "ProxyBackend {key} sends headers of the PROXY protocol, which {protocol:?} routes cannot; \
                     refer to one without proxyProtocol"
                );
                ("UnsupportedProtocol", message)
            }
            None => {
                let message = format!("ProxyBackend {key} does not exist; create it");
                ("BackendNotFound", message)
            }
        };
        self.report(field, reason, message.clone());
        Err(invalid(reason, message))
    }
}

/// Whether a reference is to this listener, among others perhaps.
fn is_named(parent: &ProxyParentRef, listener: &Attachable) -> bool {
    let name = parent.listener.as_ref();
    name.is_none_or(|name| *name == listener.name)
}

/// Whether a route of a protocol can be served by a listener. A TCP route goes to a listener that ends
/// TLS only when it names it.
fn fits(route: ProxyRouteProtocol, listener: &Attachable, parent: &ProxyParentRef) -> bool {
    match (route, listener.protocol) {
        (
            ProxyRouteProtocol::HTTP | ProxyRouteProtocol::GRPC,
            ProxyProtocol::HTTP | ProxyProtocol::HTTPS,
        )
        | (ProxyRouteProtocol::TLS, ProxyProtocol::TLS)
        | (ProxyRouteProtocol::TCP, ProxyProtocol::TCP)
        | (ProxyRouteProtocol::UDP, ProxyProtocol::UDP) => true,
        (ProxyRouteProtocol::TCP, ProxyProtocol::TLS) => {
            listener.tls_mode == ProxyTlsMode::Terminate && parent.listener.is_some()
        }
        _ => false,
    }
}

fn own_hostnames(route: &ProxyRoute) -> Vec<String> {
    lower(&route.spec.hostnames)
}

fn lower(hostnames: &[String]) -> Vec<String> {
    hostnames
        .iter()
        .map(|hostname| hostname.to_ascii_lowercase())
        .collect()
}

fn kind(protocol: ProxyRouteProtocol) -> v1::RouteKind {
    match protocol {
        ProxyRouteProtocol::HTTP => v1::RouteKind::Http,
        ProxyRouteProtocol::GRPC => v1::RouteKind::Grpc,
        ProxyRouteProtocol::TLS => v1::RouteKind::Tls,
        ProxyRouteProtocol::TCP => v1::RouteKind::Tcp,
        ProxyRouteProtocol::UDP => v1::RouteKind::Udp,
    }
}

fn session(native: &ProxySessionPersistence) -> v1::SessionPersistence {
    use v1::session_persistence::Type;
    let kind = match native.type_ {
        ProxySessionType::Cookie => Type::Cookie,
        ProxySessionType::Header => Type::Header,
    };
    v1::SessionPersistence {
        r#type: kind.into(),
        session_name: native.session_name.clone(),
        absolute_timeout_ms: native.absolute_timeout_ms.unwrap_or_default(),
        idle_timeout_ms: native.idle_timeout_ms.unwrap_or_default(),
        permanent_cookie: native.permanent_cookie,
    }
}
