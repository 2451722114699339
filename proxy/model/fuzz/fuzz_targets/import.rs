//! Any text at all is imported or refused, never a panic; and what an import accepts, export can
//! write and import reads again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_model::openapi::{ExportFormat, ImportOptions, export, import};

fuzz_target!(|text: &str| {
    let options = ImportOptions::default();
    let Ok(first) = import(text, &options) else { return };
    for format in [ExportFormat::Swagger20, ExportFormat::Oas30] {
        let written = export(&first.api, format).to_string();
        // Export may unfold a small text to more than an import takes.
        let Ok(second) = import(&written, &options) else { continue };
        assert_eq!(second.api.resources.len(), first.api.resources.len());
    }
});
