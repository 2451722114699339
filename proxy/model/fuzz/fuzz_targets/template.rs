//! Any text is a template that renders or says why not, and any rendering gives a MOCK status or
//! none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_template::{RenderInput, Template, mock_status};

fuzz_target!(|input: (&str, &[u8])| {
    let (text, body) = input;
    if let Ok(rendered) = Template::parse(text).render(&RenderInput { body }) {
        let _ = mock_status(&rendered);
    }
});
