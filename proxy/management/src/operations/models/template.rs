//! The sample mapping template of a model: its shape, with sample values where the user is to
//! write where they come from.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_GetModelTemplate.html> shows one of an
//! object. What is said of arrays is what the console generated for others.

use indexmap::IndexMap;
use serde_json::Value;

const SPACES: usize = 2;

/// The template of a schema whose references are resolved; one that is left, of a model that
/// contains itself, is an empty object.
pub(super) fn of(schema: &Value) -> String {
    let mut text = "#set($inputRoot = $input.path('$'))\n".to_owned();
    write(schema, 0, &mut text);
    text
}

fn write(schema: &Value, indent: usize, text: &mut String) {
    match type_of(schema) {
        "string" => text.push_str("\"foo\""),
        "integer" => text.push_str("42"),
        "number" => text.push_str("3.1415"),
        "boolean" => text.push_str("true"),
        "null" => text.push_str("null"),
        "array" => write_array(schema, indent, text),
        _ => write_object(schema, indent, text),
    }
}

/// The first that isn't null, where there are several; what has items or properties needs none.
fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            names.find(|name| *name != "null").unwrap_or("null")
        }
        _ if schema.get("items").is_some() => "array",
        _ => "object",
    }
}

fn write_object(schema: &Value, indent: usize, text: &mut String) {
    let mut properties = IndexMap::new();
    collect(schema, &mut properties);
    if properties.is_empty() {
        text.push_str("{ }");
        return;
    }
    let inner = indent + SPACES;
    for (index, (name, schema)) in properties.into_iter().enumerate() {
        text.push_str(if index == 0 { "{\n" } else { ",\n" });
        pad(inner, text);
        text.push_str(&Value::from(name).to_string());
        text.push_str(" : ");
        write(schema, inner, text);
    }
    text.push('\n');
    pad(indent, text);
    text.push('}');
}

/// The properties of a schema and of all that it is made of.
fn collect<'s>(schema: &'s Value, properties: &mut IndexMap<&'s str, &'s Value>) {
    let own = schema.get("properties").and_then(Value::as_object);
    for (name, schema) in own.into_iter().flatten() {
        properties.entry(name).or_insert(schema);
    }
    let parts = schema.get("allOf").and_then(Value::as_array);
    parts.into_iter().flatten().for_each(|part| collect(part, properties));
}

fn write_array(schema: &Value, indent: usize, text: &mut String) {
    text.push_str("[\n##TODO: Update this foreach loop to reference array from input json\n");
    text.push_str("#foreach($elem in $inputRoot.TODO)\n");
    pad(indent + 1, text);
    let items = match schema.get("items") {
        Some(Value::Array(items)) => items.first(),
        items => items,
    };
    write(items.unwrap_or(&Value::Null), indent, text);
    text.push_str(" \n#if($foreach.hasNext),#end\n#end\n");
    pad(indent, text);
    text.push(']');
}

fn pad(spaces: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', spaces));
}
