//! After any edits, in any order, the snapshot is that of a compilation from nothing, and nothing in it leads nowhere.

use std::collections::BTreeSet;

use novaedge_api::meta::{Object, ObjectId};
use novaedge_proto::v1;
use novaedge_proto::v1::resource::Body;
use novaedge_proto::v1::weighted_backend::Target;
use novaedge_store::Change;
use novaedge_translate::TranslateConfig;

use crate::cases;
use crate::edit::{Edit, World};
use crate::pool::Pool;
use crate::rng::Rng;
use crate::seeds::for_each_seed;
use crate::system::{Snapshot, System};

fn pool() -> Pool {
    Pool::load(&cases::folders())
}

/// Half of the seeds run on one machine, half in a cluster.
fn system(seed: u64) -> System {
    System::new(if seed.is_multiple_of(2) {
        TranslateConfig::standalone()
    } else {
        TranslateConfig::cluster(BTreeSet::new())
    })
}

fn from_nothing(seed: u64, objects: impl Iterator<Item = Object>) -> Snapshot {
    let mut system = system(seed);
    system.update(objects.map(Change::Upsert).collect());
    system.snapshot
}

/// The changes of objects; what the agents say changes no snapshot.
fn changes(edit: &Edit) -> Vec<Change> {
    match edit {
        Edit::Objects(changes) => changes.clone(),
        _ => Vec::new(),
    }
}

#[test]
fn after_each_edit_the_snapshot_is_that_of_a_compilation_from_nothing() {
    for_each_seed(&pool(), |seed, edits| {
        let mut world = World::default();
        let mut system = system(seed);
        for edit in edits {
            world.apply(edit);
            system.update(changes(edit));
            let expected = from_nothing(seed, world.objects.values().cloned());
            compare(&system.snapshot, &expected)?;
            whole(&system.snapshot)?;
        }
        Ok(())
    });
}

#[test]
fn the_order_of_events_does_not_show() {
    for_each_seed(&pool(), |seed, edits| {
        let mut world = World::default();
        for edit in edits {
            world.apply(edit);
        }
        let expected = from_nothing(seed, world.objects.values().cloned());
        let mut order: Vec<&Object> = world.objects.values().collect();
        Rng::new(seed).shuffle(&mut order);
        let mut system = system(seed);
        for object in order {
            system.update(vec![Change::Upsert(object.clone())]);
        }
        compare(&system.snapshot, &expected)
    });
}

#[test]
fn when_everything_is_gone_nothing_is_left() {
    for_each_seed(&pool(), |seed, edits| {
        let mut world = World::default();
        let mut system = system(seed);
        for edit in edits {
            world.apply(edit);
            system.update(changes(edit));
        }
        for id in world.objects.keys() {
            system.update(vec![Change::Delete(id.clone())]);
        }
        compare(&system.snapshot, &Snapshot::default())?;
        let load = system.compiler.load();
        if (load.units, load.reads) == (0, 0) {
            Ok(())
        } else {
            Err(format!("still tracked: {load:?}"))
        }
    });
}

/// Names the first difference.
fn compare(found: &Snapshot, expected: &Snapshot) -> Result<(), String> {
    let names: BTreeSet<&String> = found
        .resources
        .keys()
        .chain(expected.resources.keys())
        .collect();
    for name in names {
        let (found, expected) = (found.resources.get(name), expected.resources.get(name));
        if found != expected {
            return Err(format!(
                "{name}\nfound:    {found:?}\nexpected: {expected:?}"
            ));
        }
    }
    let ids: BTreeSet<&ObjectId> = found
        .diagnostics
        .keys()
        .chain(expected.diagnostics.keys())
        .collect();
    for id in ids {
        let (found, expected) = (found.diagnostics.get(id), expected.diagnostics.get(id));
        if found != expected {
            return Err(format!("{id}\nfound:    {found:?}\nexpected: {expected:?}"));
        }
    }
    Ok(())
}

/// One step is atomic: whatever a resource names is there.
fn whole(snapshot: &Snapshot) -> Result<(), String> {
    for (name, resource) in &snapshot.resources {
        for needed in resource.body.iter().flat_map(needed_by) {
            if !snapshot.resources.contains_key(&needed) {
                return Err(format!("{name} names {needed}, which is not there"));
            }
        }
    }
    Ok(())
}

/// The names of resources in a resource.
fn needed_by(body: &Body) -> Vec<String> {
    let mut names = Vec::new();
    match body {
        Body::Gateway(gateway) => names.push(gateway.backend_client_certificate.clone()),
        Body::Listener(listener) => {
            names.push(listener.gateway.clone());
            names.extend(listener.certificates.iter().cloned());
            let validation = listener.client_validation.iter();
            names.extend(validation.flat_map(|validation| validation.trust_bundles.clone()));
        }
        Body::Route(route) => {
            names.extend(
                route
                    .bindings
                    .iter()
                    .map(|binding| binding.listener.clone()),
            );
            names.extend(route.filters.iter().filter_map(mirrored));
            for backend in &route.backends {
                names.extend(backend.filters.iter().filter_map(mirrored));
                if let Some(Target::Backend(backend)) = &backend.target {
                    names.push(backend.clone());
                }
            }
        }
        Body::Backend(backend) => {
            let tls = backend.tls.iter();
            names.extend(tls.flat_map(|tls| tls.trust_bundles.clone()));
        }
        Body::Endpoints(endpoints) => names.push(endpoints.backend.clone()),
        Body::Certificate(_) | Body::TrustBundle(_) => {}
    }
    names.retain(|name| !name.is_empty());
    names
}

fn mirrored(filter: &v1::Filter) -> Option<String> {
    match filter.kind.as_ref()? {
        v1::filter::Kind::Mirror(mirror) => Some(mirror.backend.clone()),
        _ => None,
    }
}
