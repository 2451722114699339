//! What the cases' templates read: a few fixed requests, the same for Velocity and for us.

use std::borrow::Cow;

use serde_json::{Value, json};
use tollgate_template::{ContextValue, ParameterLocation, TemplateValues};

/// One request as JSON: `body`, `parameters`, `context`, `stageVariables`, and plain `variables`.
#[derive(Debug)]
pub struct Values(pub Value);

impl Values {
    /// With these plain variables and this payload.
    pub fn new(body: &str, variables: Value) -> Self {
        Self(json!({
            "body": body,
            "variables": variables,
            "parameters": {
                "path": {"id": "42", "proxy": "a/b c"},
                "querystring": {"q": "x=1&y", "id": "from the query", "empty": ""},
                "header": {"Accept": "*/*", "X-Trace-Id": "Root=1-5e1b4151", "quote": "say \"hi\""},
            },
            "context": {
                "stage": "prod",
                "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                "identity": {"sourceIp": "192.0.2.1", "userAgent": "curl/8.0"},
                "authorizer": {"principalId": "user|a1b2", "claims": {"email": "a@example.com"}},
            },
            "stageVariables": {"version": "v1", "url": "https://example.com/?a=1"},
        }))
    }

    /// The same with another `$path`.
    pub fn with_path(&self, path: &str) -> Self {
        let mut values = self.0.clone();
        values["variables"]["path"] = Value::from(path);
        Self(values)
    }

    fn text<'v>(&'v self, pointer: &[&str]) -> Option<&'v str> {
        self.get(pointer)?.as_str()
    }

    fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, key| value.get(key))
    }

    fn each<'v>(&'v self, path: &[&str], f: &mut dyn FnMut(&'v str, &'v str)) {
        for (name, value) in self.get(path).and_then(Value::as_object).into_iter().flatten() {
            f(name, value.as_str().unwrap_or_default());
        }
    }
}

impl TemplateValues for Values {
    fn body(&self) -> &str {
        self.text(&["body"]).unwrap_or_default()
    }

    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>> {
        self.text(&["parameters", key(location), name]).map(Cow::Borrowed)
    }

    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    ) {
        let each = &mut |name, value| f(Cow::Borrowed(name), Cow::Borrowed(value));
        self.each(&["parameters", key(location)], each);
    }

    fn context(&self, path: &[&str]) -> Option<ContextValue<'_>> {
        let value = self.get(&[&["context"], path].concat())?;
        Some(match value {
            Value::String(text) => ContextValue::Text(Cow::Borrowed(text)),
            Value::Object(_) => ContextValue::Object,
            other => ContextValue::Json(other),
        })
    }

    fn context_keys(&self, path: &[&str]) -> Vec<Cow<'_, str>> {
        let entries = self.get(&[&["context"], path].concat()).and_then(Value::as_object);
        entries.into_iter().flatten().map(|(key, _)| Cow::Borrowed(key.as_str())).collect()
    }

    fn stage_variable(&self, name: &str) -> Option<&str> {
        self.text(&["stageVariables", name])
    }

    fn each_stage_variable<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str)) {
        self.each(&["stageVariables"], f);
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.get(&["variables", name])
    }
}

fn key(location: ParameterLocation) -> &'static str {
    match location {
        ParameterLocation::Path => "path",
        ParameterLocation::Querystring => "querystring",
        ParameterLocation::Header => "header",
    }
}

/// Payloads that templates meet: objects, arrays, scalars, none, and what isn't JSON.
pub const BODIES: [&str; 8] = [
    r#"{"name":"Ann","age":42,"tags":["a","b"],"address":{"city":"Bonn","zip":null},"ok":true,"price":9.5}"#,
    r#"{"Items":[{"id":{"S":"1"},"n":{"N":"10"}},{"id":{"S":"2"},"n":{"N":"20"}}],"Count":2,"LastEvaluatedKey":{}}"#,
    r#"{"text":"it's \"quoted\" \\ and / with\nnew line, é and 😀","list":[[1,[2]],{"x":[{"y":"z"}]}],"empty":{},"none":[]}"#,
    r#"[{"id":1,"name":"A"},{"id":2,"name":null},{"id":3000000000,"name":"C"}]"#,
    "",
    r#""a string""#,
    "some raw data & more=1",
    r#"{"errorMessage":"{\"k\":{\"arr\":[1,2]}}","big":12345678901234567890,"exp":1e3,"deep":{"a":{"b":{"c":[]}}}}"#,
];

/// The plain variables of every case.
pub fn variables() -> Value {
    json!({
        "s": "Hello, World",
        "e": "",
        "u": "Grüße 😀 x",
        "num": "42",
        "js": "{\"a\":[1,{\"b\":\"c\"}]}",
        "vtl": "$s #if($t)yes#end",
        "n": 7,
        "neg": -3,
        "big": 3_000_000_000_u64,
        "d": 2.5,
        "t": true,
        "f": false,
        "nul": null,
        "list": [3, 1, 2],
        "names": ["ann", "bob", "", "Carl"],
        "mixed": [1, "two", 3.5, true, null, [4], {"k": "v"}],
        "none": [],
        "map": {"k": "v", "n": 1, "nested": {"deep": [1, {"x": null}]}, "a-b": "dash", "size": 9},
        "objs": [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}],
        "void": {},
    })
}
