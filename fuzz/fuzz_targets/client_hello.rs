#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::client_hello;

fuzz_target!(|bytes: &[u8]| client_hello::run(bytes));
