//! Any bytes of a request target's path are refused or made canonical; the canonical form of a
//! canonical path is itself, and no dot segment hides in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_model::compile::CanonicalPath;

fuzz_target!(|bytes: &[u8]| {
    let (mut first, mut second) = (String::new(), String::new());
    let Ok(path) = CanonicalPath::parse(bytes, &mut first) else { return };
    let path = path.as_str();
    assert!(path.starts_with('/'));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    let again = CanonicalPath::parse(path.as_bytes(), &mut second);
    assert_eq!(again.map(CanonicalPath::as_str), Ok(path));
});
