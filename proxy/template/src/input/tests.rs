use std::borrow::Cow;

use super::Input;
use crate::limits::Budget;
use crate::methods::{MethodError, write_text};
use crate::value::{Text, Value};
use crate::{ContextValue, ParameterLocation, TemplateValues};

struct Request(&'static str);

const PARAMETERS: [(ParameterLocation, &str, &str); 5] = [
    (ParameterLocation::Path, "id", "7"),
    (ParameterLocation::Querystring, "id", "8"),
    (ParameterLocation::Querystring, "q", "a b"),
    (ParameterLocation::Header, "q", "h"),
    (ParameterLocation::Header, "X-Y", "z"),
];

impl TemplateValues for Request {
    fn body(&self) -> &str {
        self.0
    }
    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>> {
        let found = PARAMETERS.iter().find(|each| each.0 == location && each.1 == name)?;
        Some(if location == ParameterLocation::Path {
            Cow::Owned(found.2.to_owned())
        } else {
            Cow::Borrowed(found.2)
        })
    }
    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    ) {
        PARAMETERS
            .iter()
            .filter(|each| each.0 == location)
            .for_each(|each| f(each.1.into(), each.2.into()));
    }
    fn context(&self, _: &[&str]) -> Option<ContextValue<'_>> {
        None
    }
    fn context_keys(&self, _: &[&str]) -> Vec<Cow<'_, str>> {
        Vec::new()
    }
    fn stage_variable(&self, _: &str) -> Option<&str> {
        None
    }
    fn each_stage_variable<'v>(&'v self, _: &mut dyn FnMut(&'v str, &'v str)) {}
}

fn string<'t>(text: &str) -> Value<'t> {
    Value::String(Text::Shared(text.into()))
}

/// The text of a call's result; `null` for null, `-` where there is no such method.
fn call(body: &'static str, method: &str, argument: Option<&str>) -> String {
    let request = Request(body);
    let mut budget = Budget::default();
    let arguments: Vec<_> = argument.map(string).into_iter().collect();
    let result = Input::new(&request).call(method, &arguments, &mut budget);
    match result.expect("a value") {
        None => "-".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(value) => {
            let mut text = String::new();
            write_text(&value, &mut text, &mut budget).expect("a text");
            text
        }
    }
}

#[test]
fn json_and_path_find_the_values_of_a_path() {
    const BODY: &str =
        r#"{"a": "x/y", "n": 1.50, "z": null, "e": [], "o": {"k": [1, {"é": "\u00e9"}]}}"#;
    for (path, json, value) in [
        (Some("$.a"), r#""x/y""#, "x/y"),
        (Some("a"), r#""x/y""#, "x/y"),
        (Some("$.n"), "1.5", "1.5"),
        (Some("$.z"), r#""""#, "null"),
        (Some("$.none"), r#""""#, "null"),
        (Some("$.none.deeper[3]"), r#""""#, "null"),
        (Some("$.e"), "[]", "[]"),
        (Some("$.o"), r#"{"k":[1,{"é":"é"}]}"#, r#"{k=[1,{"é":"é"}]}"#),
        (Some("$..none"), "[]", "[]"),
        (Some("$.o.*"), r#"[[1,{"é":"é"}]]"#, r#"[[1,{"é":"é"}]]"#),
    ] {
        assert_eq!(call(BODY, "json", path), json, "{path:?}");
        assert_eq!(call(BODY, "path", path), value, "{path:?}");
    }
    assert_eq!(
        call(BODY, "json", None),
        r#"{"a":"x/y","n":1.5,"z":null,"e":[],"o":{"k":[1,{"é":"é"}]}}"#
    );
    assert_eq!(call(BODY, "json", Some("$")), call(BODY, "json", None));
}

#[test]
fn an_empty_payload_is_an_empty_object() {
    assert_eq!(call("", "json", None), "{}");
    assert_eq!(call("", "json", Some("$.a")), r#""""#);
    assert_eq!(call("", "path", Some("$")), "{}");
    let request = Request("");
    let body = Input::new(&request).property("body");
    assert!(matches!(body, Value::String(Text::Borrowed("{}"))));
}

#[test]
fn a_payload_that_is_not_json_has_nothing_at_any_path() {
    for body in ["some raw data", "{", "{'a': 1}", "<a/>", " "] {
        assert_eq!(call(body, "json", Some("$")), r#""""#, "{body}");
        assert_eq!(call(body, "json", Some("$..a")), r#""""#, "{body}");
        assert_eq!(call(body, "path", Some("$.a")), "null", "{body}");
        let request = Request(body);
        let text = Input::new(&request).property("body");
        assert_eq!(text.as_str(), Some(body));
    }
}

#[test]
fn a_payload_may_be_any_json() {
    for (body, path, expected) in [
        ("\"text\"", "$", "\"text\""),
        ("12", "$", "12"),
        ("null", "$", "\"\""),
        ("[1,2]", "$[1]", "2"),
        ("[1,2]", "[-1]", "2"),
        ("12", "$.a", "\"\""),
    ] {
        assert_eq!(call(body, "json", Some(path)), expected, "{body} {path}");
    }
}

#[test]
fn params_looks_into_path_querystring_and_header() {
    for (name, expected) in [("id", "7"), ("q", "a b"), ("X-Y", "z"), ("x-y", ""), ("none", "")] {
        assert_eq!(call("", "params", Some(name)), expected, "{name}");
    }
    assert_eq!(
        call("", "params", None),
        "{path={id=7}, querystring={id=8, q=a b}, header={q=h, X-Y=z}}"
    );
}

#[test]
fn what_input_does_not_have_is_null_and_wrong_arguments_fail() {
    assert_eq!(call("", "xml", None), "-");
    let request = Request("{}");
    let mut input = Input::new(&request);
    let mut budget = Budget::default();
    let two = [string("$"), string("$")];
    for arguments in [&two[..], &[Value::Boolean(true)]] {
        let result = input.call("json", arguments, &mut budget);
        assert!(matches!(result, Err(MethodError::Thrown(_))));
        assert!(matches!(input.call("xml", arguments, &mut budget), Ok(None)));
    }
    assert!(matches!(input.property("path"), Value::Null));
}

#[test]
fn a_path_that_cant_be_parsed_fails_the_template() {
    let request = Request("not JSON");
    let mut input = Input::new(&request);
    for path in ["", "$.", "$[", "$.a b", "$..", "$[?(@.a >)]"] {
        let result = input.call("path", &[string(path)], &mut Budget::default());
        assert!(matches!(result, Err(MethodError::Thrown(_))), "{path}");
    }
    let null = input.call("json", &[Value::Null], &mut Budget::default());
    assert!(matches!(null, Err(MethodError::Thrown(_))));
}

#[test]
fn the_payload_is_parsed_once_and_shared() {
    let request = Request(r#"{"a": {"b": [1]}}"#);
    let mut input = Input::new(&request);
    let mut budget = Budget::default();
    let mut find = |path| match input.call("path", &[string(path)], &mut budget) {
        Ok(Some(Value::List(list))) => list,
        other => panic!("{other:?}"),
    };
    let first = find("$.a.b");
    first.items.borrow_mut().push(Value::Null);
    assert_eq!(find("$['a'].b").items.borrow().len(), 2);
}

#[test]
fn many_paths_are_compiled_without_keeping_all() {
    for n in 0..2_000 {
        assert_eq!(call(r#"{"a": 1}"#, "json", Some(&format!("$.a{n}"))), "\"\"");
    }
    super::PATHS.with_borrow(|paths| assert!(paths.len() <= super::MAX_KEPT_PATHS));
}
