#![no_main]

use libfuzzer_sys::fuzz_target;
use novaedge_fuzz_targets::proxy_protocol;

fuzz_target!(|bytes: &[u8]| proxy_protocol::run(bytes));
