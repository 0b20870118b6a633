#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::last_good_format;

fuzz_target!(|bytes: &[u8]| last_good_format::run(bytes));
