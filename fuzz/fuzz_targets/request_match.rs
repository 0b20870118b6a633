#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::request_match;

fuzz_target!(|bytes: &[u8]| request_match::run(bytes));
