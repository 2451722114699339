//! Compiles models to [`Schemas`]: keywords of JSON Schema draft 4, references resolved.
//!
//! | In a model | Here |
//! |---|---|
//! | a keyword with a value draft 4 does not allow | [`Malformed`]: API Gateway refuses the model |
//! | a keyword of OpenAPI or of a later draft | no effect, as in draft 4 |
//! | a reference that leads to no model | broken: what is validated against it answers 500 |
//! | a pattern that can't be compiled | broken too |
//!
//! Nothing is fetched. Schemas are compiled from a list of what is still to do, not
//! recursively, and each once, so that neither depth nor self-reference matters.

use std::collections::HashMap;
use std::sync::LazyLock;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::format::Format;
use super::pattern::Patterns;
use super::schema::{
    Dependencies, Enumeration, Items, Keyword, Members, Node, SchemaId, Schemas, Types,
};
use crate::api::Model;
use crate::compile::unserved::Unserved;

/// References that lead to references.
const MAX_REFERENCES: usize = 128;

const MODELS: &str = "https://apigateway.amazonaws.com/restapis/";
/// The model that every API has.
const EMPTY: &str = "Empty";
static EMPTY_SCHEMA: LazyLock<Value> = LazyLock::new(|| serde_json::json!({"type": "object"}));

/// Keywords of later drafts that a user may take for effective. The importer names those of
/// OpenAPI.
const LATER_DRAFTS: [&str; 10] = [
    "const",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedProperties",
];

/// A schema that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) model: String,
    pub(super) message: String,
}

/// What one keyword is, and what it would have to be.
type KeywordResult<T> = Result<T, String>;

pub(super) struct Builder<'a, 'u> {
    models: &'a IndexMap<String, Model>,
    unserved: &'u mut Unserved,
    /// By address: the API's models stay where they are while they are compiled.
    known: HashMap<*const Value, SchemaId>,
    nodes: Vec<Node>,
    to_do: Vec<(SchemaId, &'a str, &'a Value)>,
    patterns: Patterns,
}

impl<'a, 'u> Builder<'a, 'u> {
    pub(super) fn new(models: &'a IndexMap<String, Model>, unserved: &'u mut Unserved) -> Self {
        Self {
            models,
            unserved,
            known: HashMap::new(),
            nodes: Vec::new(),
            to_do: Vec::new(),
            patterns: Patterns::default(),
        }
    }

    /// The schema of a model; `None` if there is no such model.
    pub(super) fn model(&mut self, name: &str) -> Option<SchemaId> {
        let (name, schema) = self.find(name)?;
        Some(self.schema(name, schema))
    }

    pub(super) fn build(mut self) -> Result<Schemas, Malformed> {
        while let Some((id, model, schema)) = self.to_do.pop() {
            let node = self
                .node(model, schema)
                .map_err(|message| Malformed { model: model.to_owned(), message })?;
            if let Some(place) = self.nodes.get_mut(id.0) {
                *place = node;
            }
        }
        Ok(Schemas { nodes: self.nodes })
    }

    fn find(&self, name: &str) -> Option<(&'a str, &'a Value)> {
        match self.models.get_key_value(name) {
            Some((name, model)) => Some((name.as_str(), &model.schema)),
            None if name == EMPTY => Some((EMPTY, &EMPTY_SCHEMA)),
            None => None,
        }
    }

    /// The compiled schema for `schema`, which stands in `model`, or for what it refers to.
    fn schema(&mut self, model: &'a str, schema: &'a Value) -> SchemaId {
        if let Some(id) = self.known.get(&std::ptr::from_ref(schema)) {
            return *id;
        }
        let mut at = (model, schema);
        for _ in 0..MAX_REFERENCES {
            let Some(Value::String(reference)) = at.1.get("$ref") else {
                let id = self.place(at.0, at.1);
                self.known.insert(std::ptr::from_ref(schema), id);
                return id;
            };
            match self.resolve(at.0, reference) {
                Some(next) => at = next,
                None => {
                    let message = format!(
                        "\"{reference}\" leads to no model of this API: a body that is validated against it answers 500"
                    );
                    return self.broken_reference(model, schema, message);
                }
            }
        }
        let message =
            "leads only to further references: a body that is validated against it answers 500";
        self.broken_reference(model, schema, message.to_owned())
    }

    fn broken_reference(&mut self, model: &'a str, schema: &'a Value, message: String) -> SchemaId {
        let reason = format!("model {model}: $ref {message}");
        self.unserved.add("$ref", message, &format!("model {model}"));
        let id = SchemaId(self.nodes.len());
        self.nodes.push(Node { broken: Some(reason.into()), ..Node::default() });
        self.known.insert(std::ptr::from_ref(schema), id);
        id
    }

    /// The place of a schema that refers to no other.
    fn place(&mut self, model: &'a str, schema: &'a Value) -> SchemaId {
        if let Some(id) = self.known.get(&std::ptr::from_ref(schema)) {
            return *id;
        }
        let id = SchemaId(self.nodes.len());
        self.nodes.push(Node::default());
        self.known.insert(std::ptr::from_ref(schema), id);
        self.to_do.push((id, model, schema));
        id
    }

    /// What a reference in `model` leads to.
    fn resolve(&self, model: &str, reference: &str) -> Option<(&'a str, &'a Value)> {
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let (name, root) = if base.is_empty() {
            self.find(model)?
        } else {
            let path = base.strip_prefix(MODELS).and_then(|path| path.split_once("/models/"));
            let name = path.map_or(base, |(_, name)| name);
            match self.find(name) {
                Some(found) => found,
                // The importer writes all references so, also one to a schema's own definitions.
                None => {
                    let (model, root) = self.find(model)?;
                    (model, root.get("definitions")?.get(name)?)
                }
            }
        };
        let pointer = percent_encoding::percent_decode_str(fragment).decode_utf8().ok()?;
        if let Some(schema) = root.pointer(&pointer) {
            return Some((name, schema));
        }
        // The form that definitions have, where models are schemas of one document.
        let path = pointer
            .strip_prefix("/definitions/")
            .or_else(|| pointer.strip_prefix("/components/schemas/"))?;
        let (other, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        let (name, root) = self.find(&other.replace("~1", "/").replace("~0", "~"))?;
        Some((name, root.pointer(rest)?))
    }

    fn node(&mut self, model: &'a str, schema: &'a Value) -> KeywordResult<Node> {
        let Value::Object(schema) = schema else {
            return Err(format!("a schema is {}; an object is allowed", shown(schema)));
        };
        if schema.contains_key("$ref") {
            return Err(must_be("$ref", schema.get("$ref"), "text"));
        }
        for keyword in LATER_DRAFTS {
            if schema.contains_key(keyword) {
                let message = "not a keyword of models (JSON Schema draft 4): no effect";
                self.unserved.add(keyword, message, &format!("model {model}"));
            }
        }
        let mut node = Node {
            format: match schema.get("format") {
                None => None,
                Some(Value::String(name)) => Format::named(name),
                other => return Err(must_be("format", other, "text")),
            },
            members: self.members(model, schema)?,
            items: self.items(model, schema)?,
            ..Node::default()
        };
        self.keywords(model, schema, &mut node)?;
        Ok(node)
    }

    /// In the order of their names.
    fn keywords(
        &mut self,
        model: &'a str,
        schema: &'a Map<String, Value>,
        node: &mut Node,
    ) -> KeywordResult<()> {
        let mut keywords = Vec::new();
        if let Items::Each { first, .. } = &node.items
            && schema.get("additionalItems") == Some(&Value::Bool(false))
        {
            keywords.push(Keyword::AdditionalItems(first.len()));
        }
        if node.members.as_ref().is_some_and(|members| members.closed) {
            keywords.push(Keyword::AdditionalProperties);
        }
        keywords.extend(self.schemas(model, schema, "allOf")?.map(Keyword::AllOf));
        keywords.extend(self.schemas(model, schema, "anyOf")?.map(Keyword::AnyOf));
        keywords.extend(self.dependencies(model, schema)?.map(Keyword::Dependencies));
        keywords.extend(enumeration(schema)?.map(Keyword::Enum));
        keywords.extend(count(schema, "maxItems")?.map(Keyword::MaxItems));
        keywords.extend(count(schema, "maxLength")?.map(Keyword::MaxLength));
        keywords.extend(count(schema, "maxProperties")?.map(Keyword::MaxProperties));
        keywords.extend(
            limit(schema, "maximum", "exclusiveMaximum")?
                .map(|(limit, exclusive)| Keyword::Maximum { limit, exclusive }),
        );
        keywords.extend(count(schema, "minItems")?.map(Keyword::MinItems));
        keywords.extend(count(schema, "minLength")?.map(Keyword::MinLength));
        keywords.extend(count(schema, "minProperties")?.map(Keyword::MinProperties));
        keywords.extend(
            limit(schema, "minimum", "exclusiveMinimum")?
                .map(|(limit, exclusive)| Keyword::Minimum { limit, exclusive }),
        );
        keywords.extend(divisor(schema)?.map(Keyword::MultipleOf));
        if let Some(not) = schema.get("not") {
            keywords.push(Keyword::Not(self.schema(model, not)));
        }
        keywords.extend(self.schemas(model, schema, "oneOf")?.map(Keyword::OneOf));
        match schema.get("pattern") {
            None => {}
            Some(Value::String(text)) => match self.patterns.compile(text) {
                Ok(pattern) => {
                    keywords.push(Keyword::Pattern { text: text.as_str().into(), pattern });
                }
                Err(reason) => node.broken = Some(self.broken_pattern(model, text, &reason)),
            },
            other => return Err(must_be("pattern", other, "text")),
        }
        if let Some(required) = schema.get("required") {
            keywords.push(Keyword::Required(names("required", required)?));
        }
        if let Some(types) = schema.get("type") {
            keywords.push(Keyword::Type(primitive_types(types)?));
        }
        match schema.get("uniqueItems") {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => keywords.push(Keyword::UniqueItems),
            other => return Err(must_be("uniqueItems", other, "true or false")),
        }
        node.keywords = keywords;
        if let Some(reason) = node.members.as_mut().and_then(|members| members.broken.take()) {
            node.broken.get_or_insert(reason);
        }
        Ok(())
    }

    fn broken_pattern(&mut self, model: &str, pattern: &str, reason: &str) -> Box<str> {
        let message = format!(
            "`{pattern}` can't be compiled, a body that is validated against it answers 500: {reason}"
        );
        let broken = format!("model {model}: pattern {message}").into();
        self.unserved.add("pattern", message, &format!("model {model}"));
        broken
    }

    /// A list of schemas.
    fn schemas(
        &mut self,
        model: &'a str,
        schema: &'a Map<String, Value>,
        keyword: &str,
    ) -> KeywordResult<Option<Vec<SchemaId>>> {
        match schema.get(keyword) {
            None => Ok(None),
            Some(Value::Array(schemas)) if !schemas.is_empty() => {
                Ok(Some(schemas.iter().map(|schema| self.schema(model, schema)).collect()))
            }
            other => Err(must_be(keyword, other, "an array of schemas")),
        }
    }

    fn dependencies(
        &mut self,
        model: &'a str,
        schema: &'a Map<String, Value>,
    ) -> KeywordResult<Option<Dependencies>> {
        let Some(declared) = object(schema, "dependencies")? else { return Ok(None) };
        let mut dependencies = Dependencies::default();
        for (name, value) in declared {
            let name: Box<str> = name.as_str().into();
            match value {
                Value::Object(_) => dependencies.schemas.push((name, self.schema(model, value))),
                _ => dependencies.properties.push((name, names("dependencies", value)?)),
            }
        }
        dependencies.schemas.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Some(dependencies))
    }

    fn members(
        &mut self,
        model: &'a str,
        schema: &'a Map<String, Value>,
    ) -> KeywordResult<Option<Box<Members>>> {
        const KEYWORDS: [&str; 3] = ["properties", "patternProperties", "additionalProperties"];
        if !KEYWORDS.iter().any(|keyword| schema.contains_key(*keyword)) {
            return Ok(None);
        }
        let mut members = Members::default();
        for (name, schema) in object(schema, "properties")?.into_iter().flatten() {
            members.named.insert(name.as_str().into(), self.schema(model, schema));
        }
        for (text, schema) in object(schema, "patternProperties")?.into_iter().flatten() {
            let schema = self.schema(model, schema);
            match self.patterns.compile(text) {
                Ok(pattern) => members.patterns.push((pattern, schema)),
                Err(reason) => members.broken = Some(self.broken_pattern(model, text, &reason)),
            }
        }
        members.additional = self.additional(model, schema, "additionalProperties")?;
        members.closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        Ok(Some(Box::new(members)))
    }

    /// A schema, or `true` or `false`.
    fn additional(
        &mut self,
        model: &'a str,
        schema: &'a Map<String, Value>,
        keyword: &str,
    ) -> KeywordResult<Option<SchemaId>> {
        match schema.get(keyword) {
            None | Some(Value::Bool(_)) => Ok(None),
            Some(additional @ Value::Object(_)) => Ok(Some(self.schema(model, additional))),
            other => Err(must_be(keyword, other, "a schema, true or false")),
        }
    }

    fn items(&mut self, model: &'a str, schema: &'a Map<String, Value>) -> KeywordResult<Items> {
        let additional = self.additional(model, schema, "additionalItems")?;
        Ok(match schema.get("items") {
            Some(Value::Array(first)) => {
                let first = first.iter().map(|schema| self.schema(model, schema)).collect();
                Items::Each { first, additional }
            }
            Some(every @ Value::Object(_)) => Items::All(self.schema(model, every)),
            None => additional.map_or(Items::Any, Items::All),
            other => return Err(must_be("items", other, "a schema or an array of schemas")),
        })
    }
}

fn must_be(keyword: &str, value: Option<&Value>, allowed: &str) -> String {
    format!("\"{keyword}\" is {}; {allowed} is allowed", shown(value.unwrap_or(&Value::Null)))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

fn object<'a>(
    schema: &'a Map<String, Value>,
    keyword: &str,
) -> KeywordResult<Option<&'a Map<String, Value>>> {
    match schema.get(keyword) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        other => Err(must_be(keyword, other, "an object")),
    }
}

/// A whole number from 0; one beyond what memory holds is as good as the largest.
fn count(schema: &Map<String, Value>, keyword: &str) -> KeywordResult<Option<usize>> {
    let Some(value) = schema.get(keyword) else { return Ok(None) };
    let whole = |float: &f64| *float >= 0.0 && *float == float.trunc();
    let count = value
        .as_u64()
        .map(|count| usize::try_from(count).unwrap_or(usize::MAX))
        .or_else(|| value.as_f64().filter(whole).map(|float| float as usize));
    count.map(Some).ok_or_else(|| must_be(keyword, Some(value), "a whole number from 0"))
}

fn limit(
    schema: &Map<String, Value>,
    keyword: &str,
    exclusive: &str,
) -> KeywordResult<Option<(serde_json::Number, bool)>> {
    let is_exclusive = match schema.get(exclusive) {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        other => return Err(must_be(exclusive, other, "true or false (draft 4)")),
    };
    match schema.get(keyword) {
        None => Ok(None),
        Some(Value::Number(limit)) => Ok(Some((limit.clone(), is_exclusive))),
        other => Err(must_be(keyword, other, "a number")),
    }
}

fn divisor(schema: &Map<String, Value>) -> KeywordResult<Option<serde_json::Number>> {
    match schema.get("multipleOf") {
        None => Ok(None),
        Some(Value::Number(divisor)) if divisor.as_f64().is_some_and(|divisor| divisor > 0.0) => {
            Ok(Some(divisor.clone()))
        }
        other => Err(must_be("multipleOf", other, "a number above 0")),
    }
}

fn enumeration(schema: &Map<String, Value>) -> KeywordResult<Option<Enumeration>> {
    match schema.get("enum") {
        None => Ok(None),
        Some(all @ Value::Array(values)) if !values.is_empty() => {
            let strings = values.iter().filter_map(Value::as_str).map(Box::from).collect();
            let others = values.iter().filter(|value| !value.is_string()).cloned().collect();
            Ok(Some(Enumeration { strings, others, text: all.to_string().into() }))
        }
        other => Err(must_be("enum", other, "an array of values")),
    }
}

/// A sorted list of names.
fn names(keyword: &str, value: &Value) -> KeywordResult<Vec<Box<str>>> {
    let refuse = || must_be(keyword, Some(value), "an array of names");
    let Value::Array(names) = value else { return Err(refuse()) };
    let mut sorted: Vec<Box<str>> = Vec::with_capacity(names.len());
    for name in names {
        sorted.push(name.as_str().ok_or_else(refuse)?.into());
    }
    sorted.sort();
    sorted.dedup();
    Ok(sorted)
}

fn primitive_types(value: &Value) -> KeywordResult<Types> {
    let mut types = Types::default();
    let listed = match value {
        Value::Array(names) if !names.is_empty() => names.as_slice(),
        single => std::slice::from_ref(single),
    };
    for name in listed {
        if !name.as_str().is_some_and(|name| types.add(name)) {
            return Err(must_be(
                "type",
                Some(name),
                "array, boolean, integer, null, number, object or string",
            ));
        }
    }
    Ok(types)
}
