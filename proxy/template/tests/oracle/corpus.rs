//! Templates of real use: those of the API definitions that the end-to-end tests import, and the
//! files in `corpus/` and `bench/template/shapes`, in the style of AWS's documentation.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn templates() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut templates = Vec::new();
    for file in files(&here.join("../../tests/definitions")) {
        let text = read(&file);
        let definition: Value = match file.extension().and_then(|name| name.to_str()) {
            Some("json") => serde_json::from_str(&text).expect("the definition is JSON"),
            Some("yaml") => match serde_saphyr::from_str(&text) {
                Ok(definition) => definition,
                // Some of them hold tags of CloudFormation's.
                Err(_) => continue,
            },
            _ => continue,
        };
        collect(&definition, &mut templates);
    }
    for folder in ["tests/oracle/corpus", "../../bench/template/shapes"] {
        let templates_of = files(&here.join(folder)).into_iter();
        let is_template = |file: &PathBuf| file.extension().is_some_and(|name| name == "vtl");
        templates.extend(templates_of.filter(is_template).map(|file| read(&file)));
    }
    templates.sort();
    templates.dedup();
    assert!(templates.len() > 30, "only {} templates were found", templates.len());
    templates
}

fn collect(value: &Value, templates: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if let ("requestTemplates" | "responseTemplates", Value::Object(by_type)) =
                    (key.as_str(), value)
                {
                    templates.extend(by_type.values().filter_map(Value::as_str).map(String::from));
                } else {
                    collect(value, templates);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, templates)),
        _ => {}
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
