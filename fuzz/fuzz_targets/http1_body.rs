#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::http1_body;

fuzz_target!(|bytes: &[u8]| http1_body::run(bytes));
