//! Any bytes of a module's memory are a header map within bounds or are refused; a map that was
//! read and written is read the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_plugin_host::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::header_map(bytes));
