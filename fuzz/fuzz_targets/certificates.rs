#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::certificates;

fuzz_target!(|bytes: &[u8]| certificates::run(bytes));
