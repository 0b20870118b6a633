//! Random edits of everything that the translation depends on. Whatever comes and goes, and in whatever order: the
//! result is that of a translation from nothing.
//!
//! `SEED=n` runs one seed alone, `RUNS=n` another number of seeds. A failure prints its seed and the fewest edits that
//! still fail.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a panic is how a test fails

mod edit;
mod pool;
mod rng;
mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use novaedge_api::decode::decode;
use novaedge_api::meta::ObjectId;
use novaedge_api::validate::validate;
use novaedge_store::Change;
use novaedge_translate::{Delta, Output, TranslateConfig, Translator};

use crate::edit::World;
use crate::pool::Pool;
use crate::rng::Rng;
use crate::seeds::for_each_seed;

fn pool() -> Pool {
    Pool::load(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")])
}

/// Half of the seeds run on one machine, half in a cluster.
fn translator(seed: u64) -> Translator {
    Translator::new(if seed.is_multiple_of(2) {
        TranslateConfig::standalone()
    } else {
        TranslateConfig::cluster(BTreeSet::new())
    })
}

/// Names the first difference.
fn compare(what: &str, found: &Output, expected: &Output) -> Result<(), String> {
    first_difference(&found.natives, &expected.natives)
        .or_else(|| first_difference(&found.statuses, &expected.statuses))
        .or_else(|| first_difference(&found.diagnostics, &expected.diagnostics))
        .map_or(Ok(()), |difference| Err(format!("{what}: {difference}")))
}

fn first_difference<V: PartialEq + std::fmt::Debug>(
    found: &BTreeMap<ObjectId, V>,
    expected: &BTreeMap<ObjectId, V>,
) -> Option<String> {
    let ids: BTreeSet<&ObjectId> = found.keys().chain(expected.keys()).collect();
    let mut ids = ids.into_iter();
    let id = ids.find(|id| found.get(*id) != expected.get(*id))?;
    let (found, expected) = (found.get(id), expected.get(id));
    Some(format!("{id}\nfound:    {found:?}\nexpected: {expected:?}"))
}

/// Follows an output by the differences alone.
fn follow(output: &mut Output, delta: Delta) {
    for change in delta.natives {
        match change {
            Change::Upsert(object) => output.natives.insert(object.id(), object),
            Change::Delete(id) => output.natives.remove(&id),
        };
    }
    for (id, status) in delta.statuses {
        match status {
            Some(status) => output.statuses.insert(id, status),
            None => output.statuses.remove(&id),
        };
    }
    for (id, found) in delta.diagnostics {
        if found.is_empty() {
            output.diagnostics.remove(&id);
        } else {
            output.diagnostics.insert(id, found);
        }
    }
}

#[test]
fn after_each_edit_the_output_is_that_of_a_translation_from_nothing() {
    for_each_seed(&pool(), |seed, edits| {
        let mut world = World::default();
        let mut incremental = translator(seed);
        let mut followed = Output::default();
        for edit in edits {
            world.apply(edit);
            follow(&mut followed, edit.apply(&mut incremental));
            let mut full = translator(seed);
            world.tell_at_once(&mut full);
            compare("incremental", incremental.output(), full.output())?;
            compare("by differences", &followed, full.output())?;
            if incremental.next_clock() != full.next_clock() {
                return Err("the next time that matters differs".to_owned());
            }
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
        let mut full = translator(seed);
        world.tell_at_once(&mut full);
        let mut order: Vec<ObjectId> = world.objects.keys().cloned().collect();
        let mut rng = Rng::new(seed);
        for _ in 0..3 {
            rng.shuffle(&mut order);
            let mut shuffled = translator(seed);
            world.tell(&mut shuffled, &order);
            compare("another order", shuffled.output(), full.output())?;
            if bytes(shuffled.output()) != bytes(full.output()) {
                return Err("the bytes of natives differ".to_owned());
            }
        }
        Ok(())
    });
}

/// An API server would take every native object that comes of objects which it took.
#[test]
fn natives_of_admitted_objects_are_admitted() {
    for_each_seed(&pool(), |seed, edits| {
        let mut translator = translator(seed);
        for edit in edits {
            edit.admitted().apply(&mut translator);
            for (id, native) in &translator.output().natives {
                let errors = validate(native);
                if !errors.is_empty() {
                    return Err(format!("{id}: {errors:?}\n{native:?}"));
                }
                let read = decode(native.to_value().unwrap());
                if read.as_ref().ok() != Some(native) {
                    return Err(format!("{id} reads as {read:?}"));
                }
            }
        }
        Ok(())
    });
}

fn bytes(output: &Output) -> Vec<String> {
    let natives = output.natives.values();
    natives
        .map(|native| native.to_value().unwrap().to_string())
        .collect()
}

#[test]
fn edits_without_effect_change_nothing() {
    for_each_seed(&pool(), |seed, edits| {
        let mut world = World::default();
        for edit in edits {
            world.apply(edit);
        }
        let mut translator = translator(seed);
        world.tell_at_once(&mut translator);
        let again = world.objects.values().cloned().map(Change::Upsert);
        let delta = translator.update(again.collect());
        if delta.is_empty() {
            Ok(())
        } else {
            Err(format!("objects told twice: {delta:?}"))
        }
    });
}

#[test]
fn when_everything_is_gone_nothing_is_left() {
    for_each_seed(&pool(), |seed, edits| {
        let mut world = World::default();
        let mut translator = translator(seed);
        for edit in edits {
            world.apply(edit);
            edit.apply(&mut translator);
        }
        for id in world.objects.keys() {
            translator.update(vec![Change::Delete(id.clone())]);
        }
        translator.set_fleet(BTreeMap::new());
        translator.set_rejected_rules(BTreeMap::new());
        compare("all deleted", translator.output(), &Output::default())?;
        let load = translator.load();
        if (load.units, load.reads) == (0, 0) {
            Ok(())
        } else {
            Err(format!("still tracked: {load:?}"))
        }
    });
}
