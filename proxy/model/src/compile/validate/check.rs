//! Holds a body to a schema: a fast yes or no, and when it is no, why, in the words and the
//! order of the validator that API Gateway uses (`json-schema-validator` for Java).
//!
//! That validator looks at the keywords of a schema in the order of their names, then at
//! `format`, and goes on to items and members (these by name) only while nothing has failed.
//! So a message about a member never stands beside one about the object it is in.

use std::collections::HashMap;
use std::hash::RandomState;

use serde_json::{Map, Value};

use super::message::{characters, json, message, shortened};
use super::number::{compare, equal, hash, is_multiple};
use super::pattern::{GaveUp, Pattern};
use super::schema::{Dependencies, Enumeration, Items, Keyword, Members, Node, SchemaId, Schemas};

/// Schemas within schemas, counted over all that are entered for one value. Bodies are at
/// most 128 deep, so more than this is schemas that lead to themselves.
const MAX_DEPTH: usize = 400;
/// Steps (schemas entered, names looked up) that any body may take.
const MIN_STEPS: u64 = 1_000_000;
/// Further steps for each byte of the body.
const STEPS_PER_BYTE: u64 = 16;
/// Bytes of the text that says what is wrong.
const MAX_DETAIL_BYTES: usize = 8_192;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// What is wrong with the body, in brackets.
    Invalid(String),
    /// What is wrong with the schema.
    Broken(String),
}

/// Why a check can't be completed.
#[derive(Debug)]
enum Stop<'s> {
    Broken(&'s str),
    /// A schema leads to itself.
    Loop,
    OutOfSteps,
    /// There is enough to say already.
    Full,
}

impl From<GaveUp> for Stop<'_> {
    fn from(_: GaveUp) -> Self {
        Self::OutOfSteps
    }
}

/// `length` is that of the body, in bytes.
pub(super) fn check(
    schemas: &Schemas,
    schema: SchemaId,
    body: &Value,
    length: usize,
) -> Result<(), Refusal> {
    let steps = MIN_STEPS.saturating_add((length as u64).saturating_mul(STEPS_PER_BYTE));
    let mut check = Check { schemas, steps, depth: 0 };
    if matches!(check.is_valid(schema, body), Ok(true)) {
        return Ok(());
    }
    let mut check = Check { schemas, steps, depth: 0 };
    let mut report = Report::default();
    match check.report(schema, body, &mut report) {
        Ok(()) | Err(Stop::Full) => Err(Refusal::Invalid(report.into_detail())),
        Err(Stop::Broken(reason)) => Err(Refusal::Broken(reason.to_owned())),
        Err(Stop::Loop) => Err(Refusal::Broken("a schema leads to itself".to_owned())),
        Err(Stop::OutOfSteps) if report.is_empty() => {
            Err(Refusal::Invalid("[Request body takes too many steps to validate]".to_owned()))
        }
        Err(Stop::OutOfSteps) => Err(Refusal::Invalid(report.into_detail())),
    }
}

/// What is wrong, one message after the other.
#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn add<'s>(&mut self, message: &str) -> Result<(), Stop<'s>> {
        if !self.is_empty() {
            self.text.push_str(", ");
        }
        self.text.push_str(message);
        if self.text.len() > MAX_DETAIL_BYTES { Err(Stop::Full) } else { Ok(()) }
    }

    fn into_detail(self) -> String {
        format!(
            "[{}]",
            self.text.get(..self.text.floor_char_boundary(MAX_DETAIL_BYTES)).unwrap_or_default()
        )
    }
}

/// A property, what it depends on, and what of that the object lacks.
struct MissingDependency<'s> {
    name: &'s str,
    needed: &'s [Box<str>],
    missing: Vec<&'s str>,
}

struct Check<'s> {
    schemas: &'s Schemas,
    steps: u64,
    depth: usize,
}

impl<'s> Check<'s> {
    fn spend(&mut self, steps: u64) -> Result<(), Stop<'s>> {
        self.steps = self.steps.checked_sub(steps).ok_or(Stop::OutOfSteps)?;
        Ok(())
    }

    fn matches(&mut self, pattern: &Pattern, text: &str) -> Result<bool, Stop<'s>> {
        self.spend(pattern.cost(text))?;
        Ok(pattern.is_match(text)?)
    }

    fn enter(&mut self, schema: SchemaId) -> Result<&'s Node, Stop<'s>> {
        self.spend(1)?;
        if self.depth >= MAX_DEPTH {
            return Err(Stop::Loop);
        }
        let schemas = self.schemas;
        let node = schemas.nodes.get(schema.0).ok_or(Stop::Broken("no such schema"))?;
        match &node.broken {
            Some(reason) => Err(Stop::Broken(reason)),
            None => Ok(node),
        }
    }

    fn is_valid(&mut self, schema: SchemaId, value: &Value) -> Result<bool, Stop<'s>> {
        let node = self.enter(schema)?;
        self.depth += 1;
        let valid = self.is_valid_node(node, value);
        self.depth -= 1;
        valid
    }

    fn is_valid_node(&mut self, node: &'s Node, value: &Value) -> Result<bool, Stop<'s>> {
        for keyword in &node.keywords {
            // Members are looked up once, below.
            let later = matches!(keyword, Keyword::AdditionalProperties);
            if !later && !self.holds(node, keyword, value)? {
                return Ok(false);
            }
        }
        match value {
            Value::String(text) => Ok(node.format.is_none_or(|format| format.matches(text))),
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    if let Some(schema) = node.items.schema(at)
                        && !self.is_valid(schema, item)?
                    {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Object(object) => match &node.members {
                Some(members) => self.are_valid_members(members, object),
                None => Ok(true),
            },
            _ => Ok(true),
        }
    }

    fn are_valid_members(
        &mut self,
        members: &'s Members,
        object: &Map<String, Value>,
    ) -> Result<bool, Stop<'s>> {
        for (name, value) in object {
            if !self.is_valid_member(members, name, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_valid_member(
        &mut self,
        members: &'s Members,
        name: &str,
        value: &Value,
    ) -> Result<bool, Stop<'s>> {
        self.spend(1)?;
        let named = members.named.get(name);
        if let Some(schema) = named
            && !self.is_valid(*schema, value)?
        {
            return Ok(false);
        }
        let mut is_known = named.is_some();
        for (pattern, schema) in &members.patterns {
            if self.matches(pattern, name)? {
                is_known = true;
                if !self.is_valid(*schema, value)? {
                    return Ok(false);
                }
            }
        }
        match members.additional {
            _ if is_known => Ok(true),
            Some(additional) => self.is_valid(additional, value),
            None => Ok(!members.closed),
        }
    }

    /// The schemas that a member has to match.
    fn schemas_for(&mut self, members: &'s Members, name: &str) -> Result<Vec<SchemaId>, Stop<'s>> {
        self.spend(1)?;
        let mut schemas: Vec<SchemaId> = members.named.get(name).copied().into_iter().collect();
        for (pattern, schema) in &members.patterns {
            if self.matches(pattern, name)? {
                schemas.push(*schema);
            }
        }
        if schemas.is_empty() {
            schemas.extend(members.additional);
        }
        Ok(schemas)
    }

    /// Whether a keyword holds; one that is for other types of value does.
    fn holds(
        &mut self,
        node: &'s Node,
        keyword: &'s Keyword,
        value: &Value,
    ) -> Result<bool, Stop<'s>> {
        Ok(match (keyword, value) {
            (Keyword::Type(types), value) => types.allows(value),
            (Keyword::Enum(enumeration), value) => self.is_listed(enumeration, value)?,
            (Keyword::AllOf(schemas), value) => {
                for schema in schemas {
                    if !self.is_valid(*schema, value)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Keyword::AnyOf(schemas), value) => {
                for schema in schemas {
                    if self.is_valid(*schema, value)? {
                        return Ok(true);
                    }
                }
                false
            }
            (Keyword::OneOf(schemas), value) => self.matching(schemas, value)? == 1,
            (Keyword::Not(schema), value) => !self.is_valid(*schema, value)?,
            (_, Value::Object(object)) => self.holds_for_object(node, keyword, value, object)?,
            (_, Value::Array(items)) => match keyword {
                Keyword::AdditionalItems(most) | Keyword::MaxItems(most) => items.len() <= *most,
                Keyword::MinItems(least) => items.len() >= *least,
                Keyword::UniqueItems => self.are_unique(items)?,
                _ => true,
            },
            (_, Value::String(text)) => match keyword {
                Keyword::MaxLength(most) => text.len() <= *most || characters(text) <= *most,
                Keyword::MinLength(least) => characters(text) >= *least,
                Keyword::Pattern { pattern, .. } => self.matches(pattern, text)?,
                _ => true,
            },
            (_, Value::Number(number)) => match keyword {
                Keyword::Maximum { limit, exclusive } => match compare(number, limit) {
                    std::cmp::Ordering::Equal => !exclusive,
                    ordering => ordering.is_lt(),
                },
                Keyword::Minimum { limit, exclusive } => match compare(number, limit) {
                    std::cmp::Ordering::Equal => !exclusive,
                    ordering => ordering.is_gt(),
                },
                Keyword::MultipleOf(divisor) => is_multiple(number, divisor),
                _ => true,
            },
            _ => true,
        })
    }

    fn holds_for_object(
        &mut self,
        node: &'s Node,
        keyword: &'s Keyword,
        value: &Value,
        object: &Map<String, Value>,
    ) -> Result<bool, Stop<'s>> {
        Ok(match keyword {
            Keyword::AdditionalProperties => self.unwanted(node, object, 1)?.is_empty(),
            Keyword::MaxProperties(most) => object.len() <= *most,
            Keyword::MinProperties(least) => object.len() >= *least,
            Keyword::Required(names) => {
                self.spend(names.len() as u64)?;
                names.iter().all(|name| object.contains_key(&**name))
            }
            Keyword::Dependencies(dependencies) => {
                if !self.missing_dependencies(dependencies, object)?.is_empty() {
                    return Ok(false);
                }
                for (name, schema) in &dependencies.schemas {
                    if object.contains_key(&**name) && !self.is_valid(*schema, value)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => true,
        })
    }

    /// How many of the schemas match.
    fn matching(&mut self, schemas: &'s [SchemaId], value: &Value) -> Result<usize, Stop<'s>> {
        let mut matching = 0;
        for schema in schemas {
            matching += usize::from(self.is_valid(*schema, value)?);
        }
        Ok(matching)
    }

    fn is_listed(&mut self, enumeration: &Enumeration, value: &Value) -> Result<bool, Stop<'s>> {
        match value {
            Value::String(text) => Ok(enumeration.strings.contains(&**text)),
            _ => {
                self.spend(enumeration.others.len() as u64)?;
                Ok(enumeration.others.iter().any(|other| equal(other, value)))
            }
        }
    }

    fn are_unique(&mut self, items: &[Value]) -> Result<bool, Stop<'s>> {
        self.spend(items.len() as u64)?;
        let random = RandomState::new();
        let mut seen: HashMap<u64, usize> = HashMap::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            if let Some(other) = seen.insert(hash(item, &random), at)
                // Two different items with one hash do not happen with a random key.
                && equal(&items[other], item)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Members that `additionalProperties: false` does not allow, sorted, at most so many.
    fn unwanted<'o>(
        &mut self,
        node: &'s Node,
        object: &'o Map<String, Value>,
        most: usize,
    ) -> Result<Vec<&'o str>, Stop<'s>> {
        let mut unwanted = Vec::new();
        let Some(members) = &node.members else { return Ok(unwanted) };
        'names: for name in object.keys() {
            self.spend(1)?;
            if members.named.contains_key(&**name) {
                continue;
            }
            for (pattern, _) in &members.patterns {
                if self.matches(pattern, name)? {
                    continue 'names;
                }
            }
            unwanted.push(&**name);
            if unwanted.len() >= most {
                break;
            }
        }
        unwanted.sort_unstable();
        Ok(unwanted)
    }

    /// What properties of the object depend on and it hasn't.
    fn missing_dependencies(
        &mut self,
        dependencies: &'s Dependencies,
        object: &Map<String, Value>,
    ) -> Result<Vec<MissingDependency<'s>>, Stop<'s>> {
        let mut all = Vec::new();
        for (name, needed) in &dependencies.properties {
            self.spend(1 + needed.len() as u64)?;
            if !object.contains_key(&**name) {
                continue;
            }
            let missing = needed.iter().map(|name| &**name);
            let missing: Vec<&str> = missing.filter(|name| !object.contains_key(*name)).collect();
            if !missing.is_empty() {
                all.push(MissingDependency { name, needed, missing });
            }
        }
        Ok(all)
    }

    fn report(
        &mut self,
        schema: SchemaId,
        value: &Value,
        report: &mut Report,
    ) -> Result<(), Stop<'s>> {
        let node = self.enter(schema)?;
        self.depth += 1;
        let result = self.report_node(node, value, report);
        self.depth -= 1;
        result
    }

    fn report_node(
        &mut self,
        node: &'s Node,
        value: &Value,
        report: &mut Report,
    ) -> Result<(), Stop<'s>> {
        for keyword in &node.keywords {
            self.report_keyword(node, keyword, value, report)?;
        }
        if let (Some(format), Value::String(text)) = (node.format, value)
            && !format.matches(text)
        {
            report.add(&format.message(text, shortened(text)))?;
        }
        if !report.is_empty() {
            return Ok(());
        }
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    if let Some(schema) = node.items.schema(at) {
                        self.report(schema, item, report)?;
                    }
                }
            }
            Value::Object(object) => {
                let Some(members) = &node.members else { return Ok(()) };
                let mut sorted: Vec<(&String, &Value)> = object.iter().collect();
                sorted.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in sorted {
                    for schema in self.schemas_for(members, name)? {
                        self.report(schema, value, report)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn report_keyword(
        &mut self,
        node: &'s Node,
        keyword: &'s Keyword,
        value: &Value,
        report: &mut Report,
    ) -> Result<(), Stop<'s>> {
        // These may say several things.
        if let (Keyword::Dependencies(dependencies), Value::Object(object)) = (keyword, value) {
            for MissingDependency { name, needed, missing } in
                self.missing_dependencies(dependencies, object)?
            {
                report.add(&format!(
                    "property \"{name}\" of object has missing property dependencies (schema requires {}; missing: {})",
                    json(&needed),
                    json(&missing)
                ))?;
            }
            for (name, schema) in &dependencies.schemas {
                if object.contains_key(&**name) {
                    self.report(*schema, value, report)?;
                }
            }
            return Ok(());
        }
        // API Gateway's validator looks at all of them, and so finds what is broken in any.
        let matching = match keyword {
            Keyword::AllOf(schemas) | Keyword::AnyOf(schemas) | Keyword::OneOf(schemas) => {
                self.matching(schemas, value)?
            }
            _ => 0,
        };
        if self.holds(node, keyword, value)? {
            return Ok(());
        }
        let message = match (keyword, value) {
            (Keyword::AllOf(schemas), _) => format!(
                "instance failed to match all required schemas (matched only {matching} out of {})",
                schemas.len()
            ),
            (Keyword::AnyOf(schemas), _) => format!(
                "instance failed to match at least one required schema among {}",
                schemas.len()
            ),
            (Keyword::OneOf(schemas), _) => format!(
                "instance failed to match exactly one schema (matched {matching} out of {})",
                schemas.len()
            ),
            (Keyword::AdditionalProperties, Value::Object(object)) => format!(
                "object instance has properties which are not allowed by the schema: {}",
                json(&self.unwanted(node, object, usize::MAX)?)
            ),
            (Keyword::Required(names), Value::Object(object)) => {
                let missing = names.iter().map(|name| &**name);
                let missing: Vec<&str> =
                    missing.filter(|name| !object.contains_key(*name)).collect();
                format!("object has missing required properties ({})", json(&missing))
            }
            _ => message(keyword, value),
        };
        report.add(&message)
    }
}

impl Items {
    fn schema(&self, at: usize) -> Option<SchemaId> {
        match self {
            Self::Any => None,
            Self::All(schema) => Some(*schema),
            Self::Each { first, additional } => first.get(at).copied().or(*additional),
        }
    }
}
