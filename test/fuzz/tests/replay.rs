//! The seeds of the fuzzers, the seeds with some damage, and every input that once broke something.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::{fs, path::Path};

use novaedge_fuzz_targets::{TARGETS, Target};

/// Seeds that are damaged, of each target.
const DAMAGED: usize = 60;

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap()
}

fn replay(name: &str) {
    let target = target(name);
    let seeds = (target.seeds)().unwrap();
    assert!(!seeds.is_empty(), "no seeds for {name}");
    for seed in &seeds {
        (target.run)(seed);
    }
    let step = seeds.len().div_ceil(DAMAGED);
    for (number, seed) in seeds.iter().step_by(step).enumerate() {
        (target.run)(&damaged(seed, number));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions");
    for entry in fs::read_dir(folder.join(name)).into_iter().flatten() {
        (target.run)(&fs::read(entry.unwrap().path()).unwrap());
    }
}

/// A seed that is cut short, and one of whose bytes is another one.
fn damaged(seed: &[u8], number: usize) -> Vec<u8> {
    let mut damaged = seed.to_vec();
    damaged.truncate(seed.len() * (number % 7 + 3) / 9);
    let at = number * 7919 % damaged.len().max(1);
    if let Some(byte) = damaged.get_mut(at) {
        *byte ^= 1 << (number % 8);
    }
    damaged
}

#[test]
fn every_regression_belongs_to_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions");
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let name = entry.unwrap().file_name();
        let name = name.to_string_lossy();
        let known = TARGETS.iter().any(|target| target.name == name);
        assert!(known || name == "README.md", "{name} is no target");
    }
}

#[test]
fn client_hello() {
    replay("client_hello");
}

#[test]
fn http1_head() {
    replay("http1_head");
}

#[test]
fn http1_body() {
    replay("http1_body");
}

#[test]
fn proxy_protocol() {
    replay("proxy_protocol");
}

#[test]
fn certificates() {
    replay("certificates");
}

#[test]
fn manifest_to_snapshot() {
    replay("manifest_to_snapshot");
}

#[test]
fn snapshot_decode() {
    replay("snapshot_decode");
}

#[test]
fn last_good_format() {
    replay("last_good_format");
}

#[test]
fn request_match() {
    replay("request_match");
}

#[test]
fn incremental_edits() {
    replay("incremental_edits");
}
