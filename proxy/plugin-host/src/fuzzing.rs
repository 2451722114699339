//! What the fuzz targets in `fuzz/` check of parsers that are not public. A panic is a finding.

use crate::proxy_wasm::maps;
use crate::{LoadError, inspect, limits};

/// A plugin's file.
pub fn file(bytes: &[u8]) {
    let inspection = match inspect("fuzzed", bytes) {
        Ok(inspection) => inspection,
        Err(refusal) => {
            let text = refusal.to_string();
            return assert!(!text.contains('\n') && text.len() < 2_000, "{text}");
        }
    };
    assert!(inspection.imports.len() <= limits::NAMES && inspection.exports.len() <= limits::NAMES);
    if inspection.is_core_module {
        match crate::inspect::component_of("fuzzed", bytes, &inspection) {
            Ok(component) => {
                let of_component = inspect("fuzzed", &component).map(|it| it.kind);
                assert!(of_component.is_ok_and(|kind| kind == inspection.kind));
            }
            Err(refusal) => assert!(matches!(refusal, LoadError::Unfit { .. })),
        }
    }
}

/// A header map in a proxy-wasm module's memory.
pub fn header_map(bytes: &[u8]) {
    let Ok(pairs) = maps::decode(bytes) else { return };
    let size: usize = pairs.clone().map(|(name, value)| name.len() + value.len()).sum();
    assert!(pairs.len() <= limits::HEADER_COUNT && size <= limits::HEADERS);
    let pairs: Vec<(&[u8], &[u8])> = pairs.collect();
    let mut written = Vec::new();
    maps::encode(pairs.iter().copied(), &mut written);
    let again = maps::decode(&written).expect("it was written here");
    let lower: Vec<_> = pairs.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let expected = lower.iter().zip(&pairs).map(|(name, (_, value))| (&name[..], *value));
    assert!(again.eq(expected), "it is read as it was written, names in lower case");
}
