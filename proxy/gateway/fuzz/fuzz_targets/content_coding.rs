#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollgate_gateway::fuzzing::content_coding(bytes));
