//! Mapping as `rest-api.md` §4 and §9.1 have it.

use std::collections::BTreeMap;

use super::parse::{Parsed, Scope, request_mapping, response_mapping};
use super::*;

/// A request with the same values in each case.
struct Request {
    body: &'static str,
    json: BodyJson,
}

impl RequestValues for Request {
    fn captured_path_parameter(&self, name: &str) -> Option<&str> {
        (name == "id").then_some("a%2Fb")
    }
    fn querystring(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "q" => Some("last".into()),
            "empty" => Some("".into()),
            "crlf" => Some("a\r\nX: b".into()),
            _ => None,
        }
    }
    fn each_querystring(&self, name: &str, f: &mut dyn FnMut(&str)) {
        if name == "q" {
            f("first");
            f("last");
        }
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "X-Id").then_some("h2".into())
    }
    fn each_header(&self, name: &str, f: &mut dyn FnMut(&str)) {
        if name == "X-Id" {
            f("h1");
            f("h2");
        }
    }
    fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }
    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "stage").then_some("prod".into())
    }
    fn body_json(&self) -> Option<&BodyJson> {
        Some(&self.json)
    }
}

impl ResponseValues for Request {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        name.eq_ignore_ascii_case("x-id").then_some("h2".into())
    }
    fn each_header(&self, name: &str, f: &mut dyn FnMut(&str)) {
        RequestValues::each_header(self, name, f);
    }
    fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }
    fn context(&self, name: &str) -> Option<Cow<'_, str>> {
        RequestValues::context(self, name)
    }
}

fn request(body: &'static str) -> Request {
    Request { body, json: BodyJson::default() }
}

fn scope_of<'a>(
    declared: &'a BTreeMap<String, bool>,
    variables: &'a BTreeMap<String, String>,
) -> Scope<'a> {
    Scope { request_parameters: declared, resource_path: "/pets/{id}", stage_variables: variables }
}

fn names(declared: &[&str]) -> BTreeMap<String, bool> {
    declared.iter().map(|name| ((*name).to_owned(), false)).collect()
}

fn parse_request(destination: &str, expression: &str) -> Result<Option<RequestMapping>, String> {
    let declared = names(&[
        "method.request.querystring.q",
        "method.request.querystring.empty",
        "method.request.querystring.crlf",
        "method.request.header.X-Id",
        "method.request.header.x-id",
    ]);
    let variables = BTreeMap::from([("color".to_owned(), "blue".to_owned())]);
    Ok(match request_mapping(destination, expression, &scope_of(&declared, &variables))? {
        Parsed::Mapping(mapping) => Some(mapping),
        Parsed::Dropped => None,
    })
}

/// What the expression sends as a query-string parameter; values of a repeated key joined by `|`.
fn evaluate(expression: &str, body: &'static str) -> Result<Option<String>, MappingError> {
    let mapping = parse_request("integration.request.querystring.x", expression).expect(expression);
    let request = request(body);
    let mapping = mapping.expect("not dropped");
    Ok(match mapping.evaluate(&request)? {
        Mapped::Skip => None,
        Mapped::One(text) => Some(text.into_owned()),
        Mapped::Many(values) => Some(values.join("|")),
    })
}

#[test]
fn each_source_gives_what_aws_gives() {
    let body = r#"{"a":{"b":[1,{"c":"x"}]},"n":null,"e":""}"#;
    for (expression, expected) in [
        ("method.request.path.id", Some("a/b")),
        ("method.request.querystring.q", Some("last")),
        ("method.request.querystring.empty", None),
        ("method.request.multivaluequerystring.q", Some("first|last")),
        ("method.request.multivaluequerystring.empty", None),
        ("method.request.header.X-Id", Some("h2")),
        ("method.request.header.x-id", None),
        ("method.request.multivalueheader.X-Id", Some("h1,h2")),
        ("method.request.body", Some(body)),
        ("method.request.body.a.b[0]", Some("1")),
        ("method.request.body.a.b[1]['c']", Some("x")),
        ("method.request.body.a", Some(r#"{"b":[1,{"c":"x"}]}"#)),
        ("method.request.body.n", None),
        ("method.request.body.e", None),
        ("method.request.body.a.*", Some(r#"[[1,{"c":"x"}]]"#)),
        ("method.request.body..c", Some(r#"["x"]"#)),
        ("method.request.body.a.b[?(@.c == 'x')].c", Some(r#"["x"]"#)),
        ("method.request.body.a.b.length()", Some("2")),
        ("method.request.body.none[*]", Some("[]")),
        ("method.request.body.a[", None),
        ("stageVariables.color", Some("blue")),
        ("stageVariables.none", None),
        ("context.stage", Some("prod")),
        ("context.none", None),
        ("'a literal'", Some("a literal")),
        ("''", None),
    ] {
        assert_eq!(evaluate(expression, body), Ok(expected.map(str::to_owned)), "{expression}");
    }
}

#[test]
fn a_body_is_json_only_if_it_starts_like_json() {
    for (body, expected) in [
        ("", Ok(None)),
        ("plain", Ok(None)),
        ("1", Ok(None)),
        ("[]", Ok(None)),
        ("\"text\"", Ok(None)),
        ("{", Err(MappingError::InvalidJson)),
        ("[1", Err(MappingError::InvalidJson)),
        ("\"", Err(MappingError::InvalidJson)),
        ("'a'", Err(MappingError::InvalidJson)),
    ] {
        assert_eq!(evaluate("method.request.body.a", body), expected, "{body}");
    }
    assert_eq!(MappingError::InvalidJson.to_string(), "Invalid JSON in request body");
}

#[test]
fn a_source_must_be_declared() {
    for expression in [
        "method.request.querystring.other",
        "method.request.header.x-ID",
        "method.request.path.other",
        "method.request.cookie.q",
        "method.request.querystring",
    ] {
        let message =
            parse_request("integration.request.header.x", expression).expect_err(expression);
        assert_eq!(
            message,
            format!(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: {expression}]"
            )
        );
    }
}

#[test]
fn what_is_no_expression_is_refused_as_such() {
    for expression in ["$request.header.x", "literal without quotes", "true", ""] {
        let message =
            parse_request("integration.request.header.x", expression).expect_err(expression);
        assert_eq!(
            message,
            format!(
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: {expression}]"
            )
        );
    }
}

#[test]
fn a_destination_has_a_location_and_a_plain_name() {
    for destination in [
        "integration.request.header.a b",
        "integration.request.header.",
        "integration.request.querystring.a[b]",
        "integration.request.cookie.a",
        "integration.request.header",
        "append:header.x",
    ] {
        assert!(parse_request(destination, "'x'").is_err(), "{destination}");
    }
}

#[test]
fn headers_the_gateway_owns_are_refused_dropped_or_passed_as_recorded() {
    for (name, expected) in [
        ("Content-Length", "500"),
        ("transfer-encoding", "500"),
        ("X-Amzn-Trace-Id", "500"),
        ("X-Amzn-Apigateway-Api-Id", "500"),
        ("Expect", "dropped"),
        ("Proxy-Authenticate", "dropped"),
        ("te", "dropped"),
        ("Via", "dropped"),
        ("Authorization", "passes"),
        ("Connection", "passes"),
        ("Referer", "passes"),
        ("Host", "passes"),
        ("User-Agent", "passes"),
    ] {
        let mapping =
            parse_request(&format!("integration.request.header.{name}"), "'v'").expect(name);
        let request = request("");
        let outcome = match mapping.as_ref().map(|mapping| mapping.evaluate(&request)) {
            None => "dropped",
            Some(Err(MappingError::ReservedHeader(_))) => "500",
            Some(Ok(Mapped::One(_))) => "passes",
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(outcome, expected, "{name}");
    }
}

#[test]
fn a_missing_value_for_a_reserved_header_sends_nothing() {
    let mapping = parse_request("integration.request.header.Content-Length", "''")
        .expect("parses")
        .expect("kept");
    assert_eq!(mapping.evaluate(&request("")), Ok(Mapped::Skip));
}

#[test]
fn line_ends_in_a_value_do_not_end_a_header() {
    let mapping = parse_request("integration.request.header.x", "method.request.querystring.crlf")
        .expect("parses");
    assert_eq!(mapping.expect("kept").evaluate(&request("")), Ok(Mapped::One("a  X: b".into())));
}

fn parse_response(destination: &str, expression: &str) -> Result<Option<ResponseMapping>, String> {
    let declared = names(&[
        "method.response.header.X-Out",
        "method.response.header.Date",
        "method.response.header.Transfer-Encoding",
    ]);
    let variables = BTreeMap::from([("color".to_owned(), "blue".to_owned())]);
    Ok(match response_mapping(destination, expression, Some(&declared), &variables)? {
        Parsed::Mapping(mapping) => Some(mapping),
        Parsed::Dropped => None,
    })
}

#[test]
fn response_sources_give_what_aws_gives() {
    for (expression, expected) in [
        ("integration.response.header.x-ID", Ok(Some("h2"))),
        ("integration.response.multivalueheader.X-Id", Ok(Some("h1,h2"))),
        ("integration.response.body", Ok(Some("{\"a\": \"one two\"}"))),
        ("integration.response.body.a", Ok(Some("one two"))),
        ("integration.response.body.b", Ok(None)),
        ("integration.response.body..a", Ok(Some(r#"["one two"]"#))),
        ("stageVariables.color", Ok(Some("blue"))),
        ("context.stage", Ok(Some("prod"))),
        ("'*'", Ok(Some("*"))),
        ("method.request.header.X-Id", Err(())),
        ("*", Err(())),
    ] {
        let mapping = parse_response("method.response.header.X-Out", expression);
        let request = request("{\"a\": \"one two\"}");
        let outcome = mapping.as_ref().map_err(|_| ()).map(|mapping| {
            match mapping.as_ref().expect("kept").evaluate(&request).expect("evaluates") {
                Mapped::One(text) => Some(text),
                _ => None,
            }
        });
        let outcome = outcome.as_ref().map(|text| text.as_deref()).map_err(|error| *error);
        assert_eq!(outcome, expected, "{expression}");
    }
}

#[test]
fn a_response_body_that_is_not_json_is_an_error() {
    let mapping = parse_response("method.response.header.X-Out", "integration.response.body.a")
        .expect("parses");
    let invalid = request("{");
    assert_eq!(mapping.expect("kept").evaluate(&invalid), Err(MappingError::InvalidJson));
}

#[test]
fn response_headers_must_be_declared_and_some_are_remapped() {
    let name = |destination: &str| {
        parse_response(destination, "'x'")
            .map(|mapping| mapping.map(|mapping| mapping.header.into_string()))
    };
    assert_eq!(name("method.response.header.X-Out"), Ok(Some("X-Out".to_owned())));
    assert_eq!(name("method.response.header.Date"), Ok(Some("x-amzn-Remapped-Date".to_owned())));
    assert_eq!(name("method.response.header.Transfer-Encoding"), Ok(None));
    assert!(name("method.response.header.X-Other").is_err());
    assert!(name("method.response.body").is_err());
}
