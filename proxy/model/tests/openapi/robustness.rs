//! Whatever the bytes, import answers, soon, and without panicking.

use std::time::{Duration, Instant};

use tollgate_model::openapi::{ExportFormat, ImportOptions, export, import};

use crate::{definitions, document, error, imported};

/// Reads a text; what loads must also be writable and readable again.
fn try_import(text: &str) {
    let start = Instant::now();
    if let Ok(imported) = import(text, &ImportOptions::default()) {
        for format in [ExportFormat::Swagger20, ExportFormat::Oas30] {
            let _document = export(&imported.api, format);
        }
    }
    let taken = start.elapsed();
    assert!(taken < Duration::from_secs(10), "took {taken:?}: {}", &text[..text.len().min(200)]);
}

/// Random numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (bound.max(1) as u64)).unwrap_or_default()
    }
}

#[test]
fn a_truncated_definition_never_panics() {
    for (_, text) in definitions() {
        for step in 1..60 {
            let mut end = text.len() * step / 60;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            try_import(&text[..end]);
        }
    }
}

#[test]
fn a_mutated_definition_never_panics() {
    const PIECES: [&str; 24] = [
        "{", "}", "[", "]", ":", "\n", "  ", "- ", "\"", "'", "&a ", "*a ", "!Sub ", "${", "}",
        "$ref", "null", "true", "1e999", "\u{feff}", "é", "\\u", "<<: ", "{proxy+}",
    ];
    let mut random = Random(0x1234_5678_9abc_def1);
    for (_, text) in definitions() {
        for _ in 0..60 {
            let mut mutated = text.clone();
            for _ in 0..=random.below(4) {
                let mut at = random.below(mutated.len());
                while !mutated.is_char_boundary(at) {
                    at -= 1;
                }
                let piece = PIECES[random.below(PIECES.len())];
                match random.below(3) {
                    0 => mutated.insert_str(at, piece),
                    1 => mutated.truncate(at),
                    _ => {
                        let _removed = mutated.remove(at);
                        mutated.insert_str(at, piece);
                    }
                }
                if mutated.is_empty() {
                    break;
                }
            }
            try_import(&mutated);
        }
    }
}

#[test]
fn every_value_of_a_definition_may_be_of_any_other_type() {
    let replacements =
        ["null", "true", "7", "\"x\"", "[]", "{}", "[{}]", "{\"$ref\": \"#/paths\"}"];
    for (name, text) in definitions().iter().filter(|(name, _)| name.ends_with(".json")) {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let mut pointers = Vec::new();
        collect_pointers(&value, String::new(), &mut pointers);
        for (index, pointer) in pointers.iter().enumerate().step_by(5) {
            let mut changed = value.clone();
            let replacement = replacements[index / 5 % replacements.len()];
            let place = changed.pointer_mut(pointer).unwrap_or_else(|| panic!("{name} {pointer}"));
            *place = serde_json::from_str(replacement).expect("JSON");
            try_import(&changed.to_string());
        }
    }
}

fn collect_pointers(value: &serde_json::Value, pointer: String, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect_pointers(value, format!("{pointer}/{key}"), out);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect_pointers(value, format!("{pointer}/{index}"), out);
            }
        }
        _ => {}
    }
    out.push(pointer);
}

#[test]
fn over_six_megabytes_are_refused() {
    let text = document(&format!("paths: {{}}\n# {}", "x".repeat(6 * 1024 * 1024)));
    assert!(error(&text).contains("at most 6291456 are allowed"));
}

#[test]
fn deep_nesting_is_refused() {
    let json = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert!(error(&json).contains("nested over 128 levels"), "{}", error(&json));
    try_import(&"[".repeat(1_000_000));
    try_import(&"- ".repeat(1_000_000));
    try_import(&document(&format!("x: {}", "[".repeat(100_000))));
}

#[test]
fn aliases_that_unfold_without_bound_are_refused() {
    let mut text = document("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    assert!(error(&text).contains("unfolds to over"), "{}", error(&text));
}

#[test]
fn one_long_text_behind_many_aliases_is_refused() {
    let text = format!("x: &x {}\ny: [{}]\n", "x".repeat(1 << 20), "*x, ".repeat(100_000));
    assert!(error(&document(&text)).contains("unfolds to over"));
}

#[test]
fn aliases_cannot_nest_deeper_than_text_can() {
    let mut text = document("a0: &a0 [x]\n");
    for level in 1..2_000 {
        text.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(error(&text).contains("nested over 128 levels"), "{}", error(&text));
}

#[test]
fn functions_that_double_a_text_at_each_level_are_refused() {
    let mut text = "\"xxxxxxxxxxxxxxxx\"".to_owned();
    for _ in 0..40 {
        text = format!("{{\"Fn::Sub\": [\"${{a}}${{a}}\", {{\"a\": {text}}}]}}");
    }
    let text =
        format!("{{\"openapi\": \"3.0.1\", \"info\": {{\"title\": {text}}}, \"paths\": {{}}}}");
    assert!(error(&text).contains("intrinsic functions write over"), "{}", error(&text));
}

#[test]
fn one_large_value_behind_many_references_is_refused() {
    let integration = "x-amazon-apigateway-integration: {$ref: '#/components/x-i/big'}";
    let mut text = document("paths:\n");
    for index in 0..2_000 {
        text.push_str(&format!("  /p{index}: {{get: {{{integration}}}}}\n"));
    }
    let template = "x".repeat(1 << 20);
    text.push_str(&format!(
        "components: {{x-i: {{big: {{type: mock, requestTemplates: {{a/b: \"{template}\"}}}}}}}}\n"
    ));
    assert!(error(&text).contains("references unfold to over"), "{}", error(&text));
}

#[test]
fn references_in_a_circle_are_refused() {
    let circle = "components: {parameters: {a: {$ref: '#/components/parameters/b'}, \
                  b: {$ref: '#/components/parameters/a'}}}\n";
    let paths = "paths: {/a: {get: {parameters: [{$ref: '#/components/parameters/a'}]}}}\n";
    let error = error(&document(&format!("{circle}{paths}")));
    assert!(error.contains("references lead to references without end"), "{error}");
}

#[test]
fn a_text_of_many_open_braces_is_read_in_one_pass() {
    let text = document(&format!("paths: {{}}\nx-note: \"{}\"\n", "${".repeat(1_000_000)));
    let start = Instant::now();
    let _imported = imported(&text);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
