#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::manifest_to_snapshot;

fuzz_target!(|bytes: &[u8]| manifest_to_snapshot::run(bytes));
