//! Any file is a plugin or is refused with a line of text; what passes for a module that becomes
//! a component becomes one of the same kind or is refused as well.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_plugin_host::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::file(bytes));
