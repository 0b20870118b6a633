//! Runs a check on the edits of many seeds, and finds the fewest edits that still fail.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use novaedge_store::Change;

use crate::edit::{Edit, World};
use crate::pool::Pool;
use crate::rng::Rng;

/// Seeds of a usual run.
const RUNS: u64 = 100;
/// Edits of one seed.
const EDITS: usize = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs `check` on the edits of each seed, and shows the fewest edits that fail.
pub(crate) fn for_each_seed(pool: &Pool, check: impl Fn(u64, &[Edit]) -> Result<(), String>) {
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RUNS").unwrap_or(RUNS),
    };
    let checked = |seed: u64, edits: &[Edit]| {
        catch_unwind(AssertUnwindSafe(|| check(seed, edits)))
            .unwrap_or_else(|_| Err("a panic, see above".to_owned()))
    };
    for seed in seeds {
        let edits = edits(seed, pool);
        if checked(seed, &edits).is_err() {
            let fewest = shrink(edits, |edits| checked(seed, edits).is_err());
            let error = checked(seed, &fewest).unwrap_err();
            panic!("SEED={seed}: {error}\nfewest edits:\n{}", shown(&fewest));
        }
    }
}

fn edits(seed: u64, pool: &Pool) -> Vec<Edit> {
    let mut rng = Rng::new(seed);
    let mut world = World::default();
    let mut edits = Vec::new();
    for _ in 0..EDITS {
        // The first cases are set up whole, so that there is something to break.
        let edit = if edits.len() < 3 {
            Edit::case(&mut rng, pool)
        } else {
            Edit::random(&mut rng, pool, &world)
        };
        world.apply(&edit);
        edits.push(edit);
    }
    edits
}

/// Leaves out edits, and changes within edits, as long as the rest still fails.
fn shrink(mut edits: Vec<Edit>, fails: impl Fn(&[Edit]) -> bool) -> Vec<Edit> {
    let single: Vec<Edit> = edits.iter().cloned().flat_map(split).collect();
    if fails(&single) {
        edits = single;
    }
    let mut size = edits.len() / 2;
    while size > 0 {
        let mut from = 0;
        while from < edits.len() {
            let mut fewer = edits.clone();
            fewer.drain(from..edits.len().min(from + size));
            if fails(&fewer) {
                edits = fewer;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    edits
}

/// One edit for each changed object.
fn split(edit: Edit) -> Vec<Edit> {
    match edit {
        Edit::Objects(changes) => {
            let single = changes
                .into_iter()
                .map(|change| Edit::Objects(vec![change]));
            single.collect()
        }
        edit => vec![edit],
    }
}

fn shown(edits: &[Edit]) -> String {
    let mut text = String::new();
    for edit in edits {
        match edit {
            Edit::Objects(changes) => {
                for change in changes {
                    match change {
                        Change::Upsert(object) => {
                            let value = object.to_value().unwrap();
                            writeln!(text, "upsert {} {value}", object.id()).unwrap();
                        }
                        Change::Delete(id) => writeln!(text, "delete {id}").unwrap(),
                    }
                }
            }
            other => writeln!(text, "{other:?}").unwrap(),
        }
    }
    text
}
