#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::snapshot_decode;

fuzz_target!(|bytes: &[u8]| snapshot_decode::run(bytes));
