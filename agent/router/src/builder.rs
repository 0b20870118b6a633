//! From resources to tables, one step at a time.

mod backend;
mod balancing;
mod bound;
mod filters;
mod listener;
mod listening;
mod matches;
mod regex;
mod route;
mod shelf;
mod step;
mod version;

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::Arc,
};

use novaedge_proto::v1;
use rustc_hash::{FxBuildHasher, FxHashMap};
use v1::resource::Body;

use self::{
    backend::BackendStore,
    bound::Bound,
    listening::Listening,
    route::{Known, Route, Standing, convert_route},
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
    routes: HashSet<Held, FxBuildHasher>,
    bound: Bound,
    backends: BackendStore,
    certificates: FxHashMap<Arc<str>, String>,
    trust_bundles: FxHashMap<Arc<str>, String>,
    tables: Arc<Tables>,
}

/// A route as it is served, found by the name of its resource, which it says itself.
#[derive(Debug)]
struct Held(Box<Route>);

impl Borrow<str> for Held {
    fn borrow(&self) -> &str {
        &self.0.id().resource
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        Borrow::<str>::borrow(self) == Borrow::<str>::borrow(other)
    }
}

impl Eq for Held {}

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<str>::borrow(self).hash(state);
    }
}

/// What routes need not keep again.
struct Names<'a> {
    listening: &'a Listening,
    bound: &'a mut Bound,
    backends: &'a BackendStore,
}

impl Known for Names<'_> {
    fn listener(&self, name: &str) -> Arc<str> {
        self.listening.name(name)
    }

    fn backend(&self, name: &str) -> Arc<str> {
        self.backends.name(name)
    }

    fn listeners(&mut self, names: Vec<Arc<str>>) -> Arc<[Arc<str>]> {
        self.bound.share(names)
    }
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

    /// Names of all resources held, in no meaningful order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let others = [&self.certificates, &self.trust_bundles];
        let others = others
            .into_iter()
            .flat_map(|map| map.keys().map(|name| &**name));
        let routes = self.routes.iter().map(Borrow::borrow);
        routes
            .chain(self.listening.names())
            .chain(self.backends.names())
            .chain(others)
    }

    /// Applies one step as a whole: removals, then upserts. A first step with all resources is a full snapshot.
    ///
    /// A resource with a fault is refused by itself, and the last good one of its name goes on serving. Without such a
    /// predecessor the smallest part is refused: a match with a bad expression never matches; a rule with a bad filter
    /// answers 500; of two listeners that clash on a socket the later by name stays out. All of that is reported, ordered
    /// by name, also for listeners that the step did not bring but put out.
    pub fn apply(
        &mut self,
        upserts: impl IntoIterator<Item = v1::Resource>,
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
            if let Some(Held(route)) = self.routes.get(&*name) {
                let faults = self.listening.check(route);
                if !faults.is_empty() {
                    step.reject_all(&name, &route.version.to_string(), faults);
                }
            }
        }
        if step.changed {
            self.tables = Arc::new(tables);
        }
        self.listening.fit();
        self.backends.fit();
        if self.routes.len() < self.routes.capacity() / 8 {
            self.routes.shrink_to(2 * self.routes.len());
        }
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
            Body::Route(route) => self.upsert_route(&name, &version, &route, step),
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

    fn upsert_route(&mut self, name: &Arc<str>, version: &str, wire: &v1::Route, step: &mut Step) {
        let held = self.routes.get(&**name);
        let keep = held.is_some_and(|Held(held)| held.standing == Standing::Good);
        step.routes.push(Arc::clone(name));
        if keep && held.is_some_and(|Held(held)| held.version.is(version)) {
            return;
        }
        let mut faults = Vec::new();
        let mut names = Names {
            listening: &self.listening,
            bound: &mut self.bound,
            backends: &self.backends,
        };
        let converted = convert_route(name, version, wire, &mut names, &mut faults);
        let good = faults.is_empty();
        step.reject_all(name, version, faults);
        if good || !keep {
            self.take_route(name, step);
            if let Some((route, bindings)) = converted {
                self.listening.put(&route, &bindings, step);
                self.routes.insert(Held(Box::new(route)));
            }
        } else if let Some((route, _)) = converted {
            self.bound.release(&route.listeners);
        }
    }

    fn take_route(&mut self, name: &str, step: &mut Step) {
        if let Some(Held(route)) = self.routes.take(name) {
            self.listening.take(&route, step);
            self.bound.release(&route.listeners);
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
        builder.apply((0..1_000).map(route), &[]);
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
