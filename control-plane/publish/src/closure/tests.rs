use std::collections::BTreeMap;

use novaedge_proto::v1::{filter, weighted_backend::Target};
use proptest::prelude::*;

use super::*;
use crate::log::{LogLimits, SnapshotLog};

type Snapshot = BTreeMap<String, v1::Resource>;

const NAMESPACES: [&str; 3] = ["a", "b", "c"];

fn wrap(body: Body) -> v1::Resource {
    v1::Resource {
        body: Some(body),
        ..v1::Resource::default()
    }
}

/// A name of a type, of a few.
fn named(kind: &'static str, tail: &'static str) -> BoxedStrategy<String> {
    (prop::sample::select(&NAMESPACES[..]), 0..2u8)
        .prop_map(move |(namespace, n)| format!("{kind}/{namespace}/{n}{tail}"))
        .boxed()
}

fn some_of(name: BoxedStrategy<String>) -> BoxedStrategy<Vec<String>> {
    prop::collection::vec(name, 0..3).boxed()
}

fn certificates() -> BoxedStrategy<Vec<String>> {
    // A name of the wrong type brings nothing along.
    some_of(prop_oneof![8 => named("certificate", ""), 1 => named("trust/ConfigMap", "")].boxed())
}

fn trust() -> BoxedStrategy<Vec<String>> {
    some_of(named("trust/ConfigMap", ""))
}

fn gateway() -> BoxedStrategy<(String, v1::Resource)> {
    (named("gateway", ""), certificates(), 0..3i64)
        .prop_map(|(name, certificates, generation)| {
            let body = Body::Gateway(v1::Gateway {
                generation,
                backend_client_certificate: certificates.first().cloned().unwrap_or_default(),
                ..v1::Gateway::default()
            });
            (name, wrap(body))
        })
        .boxed()
}

fn listener() -> BoxedStrategy<(String, v1::Resource)> {
    (
        named("listener", "/http"),
        named("gateway", ""),
        certificates(),
        trust(),
    )
        .prop_map(|(name, gateway, certificates, trust_bundles)| {
            let body = Body::Listener(v1::Listener {
                gateway,
                certificates,
                client_validation: Some(v1::ClientValidation {
                    trust_bundles,
                    ..v1::ClientValidation::default()
                }),
                ..v1::Listener::default()
            });
            (name, wrap(body))
        })
        .boxed()
}

fn mirror(backend: String) -> v1::Filter {
    v1::Filter {
        kind: Some(filter::Kind::Mirror(v1::Mirror {
            backend,
            ..v1::Mirror::default()
        })),
    }
}

fn route() -> BoxedStrategy<(String, v1::Resource)> {
    let listeners = some_of(named("listener", "/http"));
    let backends = || some_of(named("backend", ""));
    (
        named("route/HTTPRoute", "/0"),
        listeners,
        backends(),
        backends(),
        backends(),
    )
        .prop_map(|(name, listeners, backends, mirrors, inner)| {
            let bindings = listeners.into_iter().map(|listener| v1::Binding {
                listener,
                ..v1::Binding::default()
            });
            let weighted = backends.into_iter().map(|backend| v1::WeightedBackend {
                target: Some(Target::Backend(backend)),
                filters: inner.iter().cloned().map(mirror).collect(),
                ..v1::WeightedBackend::default()
            });
            let body = Body::Route(v1::Route {
                bindings: bindings.collect(),
                backends: weighted.collect(),
                filters: mirrors.into_iter().map(mirror).collect(),
                ..v1::Route::default()
            });
            (name, wrap(body))
        })
        .boxed()
}

fn others() -> BoxedStrategy<(String, v1::Resource)> {
    let backend = (named("backend", ""), trust()).prop_map(|(name, trust_bundles)| {
        let tls = Some(v1::BackendTls {
            trust_bundles,
            ..v1::BackendTls::default()
        });
        let body = Body::Backend(v1::Backend {
            tls,
            ..v1::Backend::default()
        });
        (name, wrap(body))
    });
    let endpoints = (named("endpoints", ""), named("backend", "")).prop_map(|(name, backend)| {
        let body = Body::Endpoints(v1::Endpoints {
            backend,
            ..v1::Endpoints::default()
        });
        (name, wrap(body))
    });
    let leaf = |n: u8| {
        wrap(Body::Certificate(v1::Certificate {
            private_key_pem: vec![n].into(),
            ..v1::Certificate::default()
        }))
    };
    let certificate = (named("certificate", ""), 0..3u8).prop_map(move |(name, n)| (name, leaf(n)));
    let bundle = (named("trust/ConfigMap", ""), 0..3u8).prop_map(|(name, n)| {
        let body = Body::TrustBundle(v1::TrustBundle {
            ca_pem: vec![n].into(),
        });
        (name, wrap(body))
    });
    // Content of another type than the name says belongs to nobody.
    let strange = (named("listener", "/http"), 0..3u8).prop_map(move |(name, n)| (name, leaf(n)));
    prop_oneof![
        4 => backend,
        4 => endpoints,
        4 => certificate,
        2 => bundle,
        1 => strange,
    ]
    .boxed()
}

/// A few upserts and removals at once.
fn edit() -> BoxedStrategy<Vec<(String, Option<v1::Resource>)>> {
    let resource = prop_oneof![gateway(), listener(), route(), others()];
    let change = (resource, prop::bool::weighted(0.7))
        .prop_map(|((name, resource), stays)| (name, stays.then_some(resource)));
    prop::collection::vec(change, 1..12).boxed()
}

/// The members of a scope by the definition: nothing is kept from one time to the next.
fn oracle(scope: &Scope, all: &Snapshot) -> Snapshot {
    let mut held = Snapshot::new();
    loop {
        let more: Vec<&String> = all
            .keys()
            .filter(|name| !held.contains_key(*name) && belongs(scope, name, all, &held))
            .collect();
        if more.is_empty() {
            break;
        }
        for name in more {
            held.insert(name.clone(), all[name].clone());
        }
    }
    let names: BTreeSet<String> = held.keys().cloned().collect();
    for resource in held.values_mut() {
        if let Some(Body::Route(route)) = &mut resource.body {
            route.bindings.retain(|b| names.contains(&b.listener));
        }
    }
    held
}

fn belongs(scope: &Scope, name: &str, all: &Snapshot, held: &Snapshot) -> bool {
    let named = |wanted: &str| wanted == name;
    let bodies = || held.values().filter_map(|resource| resource.body.as_ref());
    let kind = name.split('/').next().unwrap();
    match (kind, all[name].body.as_ref().unwrap()) {
        ("gateway", Body::Gateway(_)) => scope.has(name.split('/').nth(1).unwrap()),
        ("listener", Body::Listener(listener)) => held.contains_key(&listener.gateway),
        ("route", Body::Route(route)) => {
            let mut bindings = route.bindings.iter();
            bindings.any(|binding| held.contains_key(&binding.listener))
        }
        ("backend", Body::Backend(_)) => bodies().any(|body| match body {
            Body::Route(route) => {
                let inner = route.backends.iter().flat_map(|backend| &backend.filters);
                let mut filters = route.filters.iter().chain(inner);
                filters
                    .any(|f| matches!(&f.kind, Some(filter::Kind::Mirror(m)) if named(&m.backend)))
                    || route.backends.iter().any(
                        |b| matches!(&b.target, Some(Target::Backend(backend)) if named(backend)),
                    )
            }
            _ => false,
        }),
        ("endpoints", Body::Endpoints(endpoints)) => held.contains_key(&endpoints.backend),
        ("certificate", Body::Certificate(_)) => bodies().any(|body| match body {
            Body::Gateway(gateway) => named(&gateway.backend_client_certificate),
            Body::Listener(listener) => listener.certificates.iter().any(|c| named(c)),
            _ => false,
        }),
        ("trust", Body::TrustBundle(_)) => bodies().any(|body| match body {
            Body::Listener(listener) => {
                let bundles = listener
                    .client_validation
                    .iter()
                    .flat_map(|v| &v.trust_bundles);
                bundles.into_iter().any(|bundle| named(bundle))
            }
            Body::Backend(backend) => {
                let bundles = backend.tls.iter().flat_map(|tls| &tls.trust_bundles);
                bundles.into_iter().any(|bundle| named(bundle))
            }
            _ => false,
        }),
        _ => false,
    }
}

/// A snapshot's log made in one go.
fn log_of(snapshot: &Snapshot) -> SnapshotLog {
    let mut log = SnapshotLog::new(LogLimits::default());
    let resources = snapshot.iter();
    let resources = resources.map(|(name, r)| EncodedResource::encode(name, r.clone()).unwrap());
    log.apply(resources.collect(), &[]);
    log
}

type Bytes = BTreeMap<Arc<str>, Vec<u8>>;

fn bytes(log: &SnapshotLog) -> Bytes {
    let resources = log.resources().iter();
    resources
        .map(|(name, resource)| (Arc::clone(name), resource.bytes().to_vec()))
        .collect()
}

/// One scope's log, and an agent that follows it.
struct Follower {
    scope: Scope,
    members: Members,
    log: SnapshotLog,
    agent: Bytes,
    sequence: u64,
}

impl Follower {
    fn new(scope: Scope, graph: &Graph) -> Self {
        let (members, update) = Members::of(scope.clone(), graph);
        let mut log = SnapshotLog::new(LogLimits::default());
        log.apply_shared(update.upserts, &update.removed);
        Self {
            scope,
            members,
            agent: bytes(&log),
            sequence: log.version().sequence,
            log,
        }
    }

    fn follow(&mut self, graph: &Graph, moves: &Moves) {
        let update = self.members.apply(graph, moves);
        self.log.apply_shared(update.upserts, &update.removed);
        let delta = self.log.delta_since(self.sequence).unwrap();
        for name in &delta.removed {
            assert!(self.agent.remove(name).is_some(), "{name} was there");
        }
        for resource in &delta.upserts {
            let bytes = resource.bytes().to_vec();
            self.agent.insert(Arc::clone(resource.name()), bytes);
        }
        self.sequence = delta.version.sequence;
    }

    fn check(&self, all: &Snapshot) {
        let expected = log_of(&oracle(&self.scope, all));
        assert_eq!(self.agent, bytes(&expected), "{:?}", self.scope);
        assert_eq!(self.log.version().digest, expected.version().digest);
        assert_eq!(self.log.serves(), expected.serves());
    }
}

fn scopes() -> [Scope; 5] {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    [
        Scope::All,
        Scope::only(names(&["a"])),
        Scope::only(names(&["b", "c"])),
        Scope::all_but(names(&["a"])),
        Scope::only(names(&[])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is edited, a scope holds what its definition says, and its agents get that by deltas.
    #[test]
    fn a_scope_is_its_definition(edits in prop::collection::vec(edit(), 1..10), late in 0..10usize) {
        let mut graph = Graph::default();
        let mut all = Snapshot::new();
        let mut whole = SnapshotLog::new(LogLimits::default());
        let mut followers: Vec<Follower> = Vec::new();
        for (turn, edit) in edits.into_iter().enumerate() {
            if turn == late.min(3) {
                followers = scopes().map(|scope| Follower::new(scope, &graph)).into();
            }
            let (mut upserts, mut removed) = (BTreeMap::new(), Vec::new());
            for (name, resource) in edit {
                removed.push(name.clone());
                upserts.remove(&name);
                all.remove(&name);
                if let Some(resource) = resource {
                    upserts.insert(name.clone(), resource.clone());
                    all.insert(name, resource);
                }
            }
            let upserts = upserts.into_iter();
            let upserts = upserts.map(|(name, r)| EncodedResource::encode(&name, r).unwrap());
            let applied = whole.apply(upserts.collect(), &removed);
            if applied.version.is_none() {
                continue;
            }
            let moves = graph.apply(whole.newest_changes().collect());
            for follower in &mut followers {
                follower.follow(&graph, &moves);
                follower.check(&all);
            }
        }
        // All gone: nothing stays behind.
        let names: Vec<String> = all.keys().cloned().collect();
        if whole.apply(Vec::new(), &names).version.is_some() {
            let moves = graph.apply(whole.newest_changes().collect());
            for follower in &mut followers {
                follower.follow(&graph, &moves);
                prop_assert!(follower.agent.is_empty());
                prop_assert!(follower.members.held.is_empty() && follower.members.counts.is_empty());
            }
        }
        prop_assert!(graph.nodes.is_empty());
    }
}
