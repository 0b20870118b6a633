//! From resources to tables, one step at a time.

mod backend;
mod balancing;
mod filters;
mod listener;
mod listening;
mod matches;
mod regex;
mod route;
mod shelf;
mod step;

use std::sync::Arc;

use novaedge_proto::v1;
use rustc_hash::FxHashMap;
use v1::resource::Body;

use self::{
    backend::BackendStore,
    listening::Listening,
    route::{Route, convert_route},
    step::{Step, is_same},
};
use crate::{
    backend::{Certificate, TrustBundle},
    error::Fault,
    tables::Tables,
};

/// All resources of a snapshot, and the tables made from them.
///
/// The tables depend on the resources held, never on the order in which steps brought them. What a step does not touch
/// keeps its identity: tables before and after share it.
#[derive(Debug, Default)]
pub struct TablesBuilder {
    listening: Listening,
    routes: FxHashMap<Arc<str>, Held>,
    backends: BackendStore,
    certificates: FxHashMap<Arc<str>, String>,
    trust_bundles: FxHashMap<Arc<str>, String>,
    tables: Arc<Tables>,
}

/// A route as it is served.
#[derive(Debug)]
struct Held {
    route: Route,
    /// It has no fault, so it is the one to keep if its successor has one.
    good: bool,
}

impl TablesBuilder {
    /// A builder without resources.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tables of the last step.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Applies one step as a whole: removals, then upserts. A first step with all resources is a full snapshot.
    ///
    /// A resource with a fault is refused by itself, and the last good one of its name goes on serving. Without such a
    /// predecessor the smallest part is refused: a match with a bad expression never matches; a rule with a bad filter
    /// answers 500; of two listeners that clash on a socket the later by name stays out. All of that is reported, ordered
    /// by name, also for listeners that the step did not bring but put out.
    pub fn apply(
        &mut self,
        upserts: Vec<v1::Resource>,
        removed: &[String],
    ) -> (Arc<Tables>, Vec<v1::RejectedResource>) {
        let mut step = Step::default();
        let mut tables = Tables::clone(&self.tables);
        for name in removed {
            self.remove(name, &mut tables, &mut step);
        }
        for resource in upserts {
            self.upsert(resource, &mut tables, &mut step);
        }
        self.listening.refresh(&mut step, &mut tables.sockets);
        self.backends.refresh(&mut step, &mut tables.backends);
        for name in std::mem::take(&mut step.routes) {
            if let Some(held) = self.routes.get(&name) {
                step.reject_all(
                    &name,
                    &held.route.version,
                    self.listening.check(&held.route),
                );
            }
        }
        if step.changed {
            self.tables = Arc::new(tables);
        }
        self.listening.fit();
        self.backends.fit();
        fit(&mut self.routes);
        fit(&mut self.certificates);
        fit(&mut self.trust_bundles);
        (Arc::clone(&self.tables), step.into_rejected())
    }

    fn upsert(&mut self, resource: v1::Resource, tables: &mut Tables, step: &mut Step) {
        let v1::Resource {
            name,
            version,
            body,
        } = resource;
        let name: Arc<str> = name.into();
        let Some(body) = body else {
            step.reject(&name, &version, Fault::NoBody);
            return;
        };
        let prefix = prefix_of(&body);
        if !name.starts_with(prefix) {
            step.reject(&name, &version, Fault::Name(prefix));
            return;
        }
        match body {
            Body::Gateway(gateway) => self
                .listening
                .upsert_gateway(&name, &version, &gateway, step),
            Body::Listener(listener) => self
                .listening
                .upsert_listener(&name, &version, &listener, step),
            Body::Route(route) => self.upsert_route(name, &version, &route, step),
            Body::Backend(backend) => self
                .backends
                .upsert_backend(&name, &version, &backend, step),
            Body::Endpoints(endpoints) => self
                .backends
                .upsert_endpoints(&name, &version, &endpoints, step),
            Body::Certificate(wire) => {
                let held = self.certificates.insert(Arc::clone(&name), version.clone());
                if held.is_none_or(|held| !is_same(&held, &version)) {
                    let certificate = Arc::new(certificate(&name, wire));
                    Arc::make_mut(&mut tables.certificates).insert(name, certificate);
                    step.changed = true;
                }
            }
            Body::TrustBundle(wire) => {
                let held = self
                    .trust_bundles
                    .insert(Arc::clone(&name), version.clone());
                if held.is_none_or(|held| !is_same(&held, &version)) {
                    let bundle = TrustBundle {
                        name: Arc::clone(&name),
                        ca_pem: wire.ca_pem.into(),
                    };
                    Arc::make_mut(&mut tables.trust_bundles).insert(name, Arc::new(bundle));
                    step.changed = true;
                }
            }
        }
    }

    fn upsert_route(&mut self, name: Arc<str>, version: &str, wire: &v1::Route, step: &mut Step) {
        let held = self.routes.get(&name);
        step.routes.push(Arc::clone(&name));
        if held.is_some_and(|held| held.good && is_same(&held.route.version, version)) {
            return;
        }
        let keep = held.is_some_and(|held| held.good);
        let mut faults = Vec::new();
        let route = convert_route(&name, version, wire, &mut faults);
        let good = faults.is_empty();
        step.reject_all(&name, version, faults);
        if good || !keep {
            self.take_route(&name, step);
            if let Some(route) = route {
                self.listening.put(&route, step);
                self.routes.insert(name, Held { route, good });
            }
        }
    }

    fn take_route(&mut self, name: &str, step: &mut Step) {
        if let Some(held) = self.routes.remove(name) {
            self.listening.take(&held.route, step);
        }
    }

    fn remove(&mut self, name: &str, tables: &mut Tables, step: &mut Step) {
        match name.split_once('/').map(|(kind, _)| kind) {
            Some("gateway") => self.listening.remove_gateway(name, step),
            Some("listener") => self.listening.remove_listener(name, step),
            Some("route") => self.take_route(name, step),
            Some("backend") => self.backends.remove_backend(name, step),
            Some("endpoints") => self.backends.remove_endpoints(name, step),
            Some("certificate") if self.certificates.remove(name).is_some() => {
                Arc::make_mut(&mut tables.certificates).remove(name);
                step.changed = true;
            }
            Some("trust") if self.trust_bundles.remove(name).is_some() => {
                Arc::make_mut(&mut tables.trust_bundles).remove(name);
                step.changed = true;
            }
            // What was refused is not held.
            _ => {}
        }
    }
}

/// Gives back the room of many more resources than there are now.
fn fit<V>(map: &mut FxHashMap<Arc<str>, V>) {
    if map.len() < map.capacity() / 8 {
        map.shrink_to(2 * map.len());
    }
}

/// How the name of a resource must start.
fn prefix_of(body: &Body) -> &'static str {
    match body {
        Body::Gateway(_) => "gateway/",
        Body::Listener(_) => "listener/",
        Body::Route(_) => "route/",
        Body::Backend(_) => "backend/",
        Body::Endpoints(_) => "endpoints/",
        Body::Certificate(_) => "certificate/",
        Body::TrustBundle(_) => "trust/",
    }
}

fn certificate(name: &Arc<str>, wire: v1::Certificate) -> Certificate {
    Certificate {
        name: Arc::clone(name),
        chain_pem: wire.chain_pem.into(),
        private_key_pem: wire.private_key_pem.into(),
        fingerprint: wire.fingerprint.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_many_routes_goes_with_them() {
        let route = |number| v1::Resource {
            name: format!("route/default/r{number}"),
            version: "1".to_owned(),
            body: Some(Body::Route(v1::Route {
                kind: v1::RouteKind::Http.into(),
                r#ref: Some(v1::ObjectRef {
                    name: format!("r{number}"),
                    ..v1::ObjectRef::default()
                }),
                ..v1::Route::default()
            })),
        };
        let mut builder = TablesBuilder::new();
        builder.apply((0..1_000).map(route).collect(), &[]);
        assert_eq!(builder.routes.len(), 1_000);
        let removed: Vec<String> = (1..1_000).map(|number| route(number).name).collect();
        builder.apply(Vec::new(), &removed);
        assert!(
            builder.routes.capacity() < 10,
            "{}",
            builder.routes.capacity()
        );
    }
}
