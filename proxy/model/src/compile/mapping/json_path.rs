//! The definite part of JSONPath: one value by names and indices, `a.b[0]['c']`.
//!
//! API Gateway evaluates paths with Jayway's library. Wildcards, slices, filters and `..` are
//! not served yet; [`JsonPath::parse`] gives `None` for them.

use std::borrow::Cow;

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Box<[Step]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(Box<str>),
    /// Counts from the end if negative.
    Index(i64),
}

impl JsonPath {
    /// Parses a path with or without its leading `$`.
    pub fn parse(path: &str) -> Option<Self> {
        let mut rest = path.strip_prefix('$').unwrap_or(path);
        let mut steps = Vec::new();
        // A path without `$` starts with a name that no dot leads.
        let mut bare = rest.len() == path.len();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inside) => bracket(inside)?,
                None if bare => name(rest)?,
                None => name(rest.strip_prefix('.')?)?,
            };
            bare = false;
            steps.push(step);
            rest = after;
        }
        Some(Self(steps.into_boxed_slice()))
    }

    /// The value at the path.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match (step, value) {
            (Step::Name(name), Value::Object(members)) => members.get(&**name),
            (Step::Index(index), Value::Array(items)) if *index < 0 => items
                .len()
                .checked_sub(index.unsigned_abs() as usize)
                .and_then(|index| items.get(index)),
            (Step::Index(index), Value::Array(items)) => items.get(*index as usize),
            _ => None,
        })
    }
}

/// A value as text: strings bare, objects and arrays as compact JSON, `null` as missing.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// A name up to the next `.` or `[`.
fn name(text: &str) -> Option<(Step, &str)> {
    let (name, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
    let plain = !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':'));
    plain.then(|| (Step::Name(name.into()), rest))
}

/// `0]`, `-1]`, `'name']` or `"name"]`.
fn bracket(inside: &str) -> Option<(Step, &str)> {
    if let Some(quote) = inside.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (name, after) = inside[1..].split_once(quote)?;
        return Some((Step::Name(name.into()), after.strip_prefix(']')?));
    }
    let (index, after) = inside.split_once(']')?;
    Some((Step::Index(index.parse().ok()?), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn definite_paths_find_one_value() {
        let value = json!({"a": {"b": [1, {"c d": "x"}], "é": null}, "n": 1.5, "t": true});
        for (path, expected) in [
            ("a.b[0]", Some("1")),
            ("$.a.b[0]", Some("1")),
            ("a.b[1]['c d']", Some("x")),
            ("['a'].b[-1][\"c d\"]", Some("x")),
            ("a.b", Some(r#"[1,{"c d":"x"}]"#)),
            ("n", Some("1.5")),
            ("t", Some("true")),
            ("a.é", None),
            ("a.x", None),
            ("a.b[2]", None),
            ("a.b[-3]", None),
            ("n.x", None),
            ("a[0]", None),
        ] {
            let path = JsonPath::parse(path).expect(path);
            assert_eq!(path.find(&value).and_then(text).as_deref(), expected, "{path:?}");
        }
    }

    #[test]
    fn paths_that_may_find_many_are_not_parsed() {
        for path in [
            "a.*",
            "a[*]",
            "$..a",
            "a..b",
            "a[0:2]",
            "a[?(@.b > 1)]",
            "a[0,1]",
            "a.",
            ".",
            "a[",
            "a['b",
            "a.length()",
        ] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }
}
