#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::incremental_edits;

fuzz_target!(|bytes: &[u8]| incremental_edits::run(bytes));
