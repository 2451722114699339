//! Definitions as text, requests, and what is said of them.

use std::borrow::Cow;

use super::{CompiledModels, CompiledValidator, NOT_JSON, ValidationFailure};
use crate::api::Api;
use crate::compile::mapping::RequestValues;
use crate::compile::unserved::Unserved;
use crate::openapi::{ImportOptions, import};

/// Name, value: `header.X-A`, `path.id`, `querystring.q`.
struct Request<'r>(&'r [(&'r str, &'r str)]);

impl Request<'_> {
    fn find(&self, place: &str, name: &str) -> Option<&str> {
        let is_it = |key: &str| key.strip_prefix(place).is_some_and(|key| key == name);
        self.0.iter().find(|(key, _)| is_it(key)).map(|(_, value)| *value)
    }
}

impl RequestValues for Request<'_> {
    fn captured_path_parameter(&self, name: &str) -> Option<&str> {
        self.find("path.", name)
    }
    fn querystring(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find("querystring.", name).map(Cow::Borrowed)
    }
    fn each_querystring(&self, _: &str, _: &mut dyn FnMut(&str)) {}
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find("header.", name).map(Cow::Borrowed)
    }
    fn each_header(&self, _: &str, _: &mut dyn FnMut(&str)) {}
    fn body(&self) -> &[u8] {
        b""
    }
    fn context(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// The validator of the only method of a definition, and what of its models is not as written.
fn try_compile(text: &str) -> Result<(Option<CompiledValidator>, Vec<String>), String> {
    compile_api(&imported(text))
}

fn imported(text: &str) -> Api {
    import(text, &ImportOptions::default()).expect("a definition").api
}

fn compile_api(api: &Api) -> Result<(Option<CompiledValidator>, Vec<String>), String> {
    let mut unserved = Unserved::default();
    let models = CompiledModels::compile(api, &mut unserved)
        .map_err(|(place, message)| format!("{place}: {message}"))?;
    let methods = api.resources.values().flat_map(|resource| resource.methods.values());
    let method = methods.last().expect("a method");
    let name = method.request_validator.as_ref().expect("a validator");
    let validator = models.validator(method, api.request_validators[name])?;
    let findings = unserved.into_constructs().iter().map(ToString::to_string).collect();
    Ok((validator, findings))
}

const VALIDATORS: &str = "x-amazon-apigateway-request-validators:
  all: {validateRequestBody: true, validateRequestParameters: true}
  body: {validateRequestBody: true, validateRequestParameters: false}
  params: {validateRequestBody: false, validateRequestParameters: true}
  none: {validateRequestBody: false, validateRequestParameters: false}
x-amazon-apigateway-request-validator: all
";

/// An OpenAPI 3 definition of `POST /{id}`: its operation, and its schemas as JSON.
fn definition(operation: &str, schemas: &str) -> String {
    format!(
        "openapi: 3.0.1
info: {{title: t, version: '1'}}
{VALIDATORS}
paths:
  /{{id}}:
    post:
      responses: {{}}
      x-amazon-apigateway-integration: {{type: mock}}
{operation}
components: {{schemas: {schemas}}}
"
    )
}

/// The validator of a method whose JSON body is `#/components/schemas/M`.
fn try_models(schemas: &str) -> Result<(CompiledValidator, Vec<String>), String> {
    let body = "      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/M'}}}}";
    let (validator, findings) = try_compile(&definition(body, schemas))?;
    Ok((validator.expect("a validator"), findings))
}

fn model(schema: &str) -> CompiledValidator {
    try_models(&format!("{{\"M\": {schema}}}"))
        .unwrap_or_else(|error| panic!("{schema}: {error}"))
        .0
}

/// `ok`, or what is wrong with a JSON body.
fn outcome(validator: &CompiledValidator, body: &str) -> String {
    match validator.validate_body(Some(b"application/json"), body.as_bytes()) {
        Ok(()) => "ok".to_owned(),
        Err(ValidationFailure::Body { detail, .. }) => detail,
        Err(other) => other.to_string(),
    }
}

#[test]
fn each_keyword_says_what_is_wrong() {
    let cases = [
        ("{\"type\": \"integer\"}", "1", "ok"),
        (
            "{\"type\": \"integer\"}",
            "1.0",
            "[instance type (number) does not match any allowed primitive type (allowed: [\"integer\"])]",
        ),
        (
            "{\"type\": \"integer\"}",
            "\"1\"",
            "[instance type (string) does not match any allowed primitive type (allowed: [\"integer\"])]",
        ),
        ("{\"type\": \"number\"}", "1", "ok"),
        (
            "{\"type\": \"number\"}",
            "null",
            "[instance type (null) does not match any allowed primitive type (allowed: [\"integer\",\"number\"])]",
        ),
        (
            "{\"type\": [\"string\", \"null\"]}",
            "{}",
            "[instance type (object) does not match any allowed primitive type (allowed: [\"null\",\"string\"])]",
        ),
        (
            "{\"required\": [\"b\", \"c\", \"a\"]}",
            "{\"c\": 1}",
            "[object has missing required properties ([\"a\",\"b\"])]",
        ),
        ("{\"required\": [\"a\"]}", "[]", "ok"),
        (
            "{\"enum\": [\"dog\", \"cat\", 1, null]}",
            "\"cow\"",
            "[instance value (\"cow\") not found in enum (possible values: [\"dog\",\"cat\",1,null])]",
        ),
        ("{\"enum\": [1, {\"a\": [2]}]}", "{\"a\": [2.0]}", "ok"),
        ("{\"enum\": [1]}", "1.0", "ok"),
        (
            "{\"enum\": [\"1\"]}",
            "1",
            "[instance value (1) not found in enum (possible values: [\"1\"])]",
        ),
        (
            "{\"minLength\": 2}",
            "\"é\"",
            "[string \"é\" is too short (length: 1, required minimum: 2)]",
        ),
        ("{\"maxLength\": 2}", "\"😀😀\"", "ok"),
        (
            "{\"maxLength\": 2}",
            "\"abc\"",
            "[string \"abc\" is too long (length: 3, maximum allowed: 2)]",
        ),
        (
            "{\"pattern\": \"^[a-z]+$\"}",
            "\"A\"",
            "[ECMA 262 regex \"^[a-z]+$\" does not match input string \"A\"]",
        ),
        ("{\"pattern\": \"b\"}", "\"abc\"", "ok"),
        (
            "{\"minimum\": 25}",
            "2",
            "[numeric instance is lower than the required minimum (minimum: 25, found: 2)]",
        ),
        ("{\"minimum\": 25}", "25", "ok"),
        (
            "{\"minimum\": 25, \"exclusiveMinimum\": true}",
            "25.0",
            "[numeric instance is not strictly greater than the required minimum 25]",
        ),
        (
            "{\"minimum\": 25, \"exclusiveMinimum\": true}",
            "24",
            "[numeric instance is lower than the required minimum (minimum: 25, found: 24)]",
        ),
        (
            "{\"maximum\": 500}",
            "500.5",
            "[numeric instance is greater than the required maximum (maximum: 500, found: 500.5)]",
        ),
        (
            "{\"maximum\": 500, \"exclusiveMaximum\": true}",
            "500",
            "[numeric instance is not strictly lower than the required maximum 500]",
        ),
        ("{\"maximum\": 500, \"exclusiveMaximum\": false}", "500", "ok"),
        ("{\"multipleOf\": 0.1}", "0.35", "[remainder of division is not zero (0.35 / 0.1)]"),
        ("{\"multipleOf\": 0.1}", "0.3", "ok"),
        (
            "{\"minItems\": 2}",
            "[1]",
            "[array is too short: must have at least 2 elements but instance has 1 elements]",
        ),
        (
            "{\"maxItems\": 1}",
            "[1, 2]",
            "[array is too long: must have at most 1 elements but instance has 2 elements]",
        ),
        (
            "{\"uniqueItems\": true}",
            "[1, {\"a\": 1}, {\"a\": 1.0}]",
            "[array must not contain duplicate elements]",
        ),
        ("{\"uniqueItems\": true}", "[1, \"1\", [1], true, {}]", "ok"),
        (
            "{\"items\": [{}], \"additionalItems\": false}",
            "[1, 2]",
            "[schema only allows 1 elements in array but instance has 2 elements]",
        ),
        ("{\"items\": {}, \"additionalItems\": false}", "[1, 2]", "ok"),
        (
            "{\"items\": [{}], \"additionalItems\": {\"type\": \"null\"}}",
            "[1, null, 2]",
            "[instance type (integer) does not match any allowed primitive type (allowed: [\"null\"])]",
        ),
        (
            "{\"properties\": {\"a\": {}}, \"patternProperties\": {\"^p\": {}}, \"additionalProperties\": false}",
            "{\"z\": 1, \"a\": 1, \"p1\": 1, \"y\": 1}",
            "[object instance has properties which are not allowed by the schema: [\"y\",\"z\"]]",
        ),
        (
            "{\"properties\": {\"a\": {}}, \"additionalProperties\": {\"type\": \"null\"}}",
            "{\"a\": 1, \"b\": 2}",
            "[instance type (integer) does not match any allowed primitive type (allowed: [\"null\"])]",
        ),
        (
            "{\"patternProperties\": {\"a\": {\"maximum\": 1}}, \"properties\": {\"aa\": {\"minimum\": 3}}}",
            "{\"aa\": 2}",
            "[numeric instance is lower than the required minimum (minimum: 3, found: 2), numeric instance is greater than the required maximum (maximum: 1, found: 2)]",
        ),
        (
            "{\"minProperties\": 1}",
            "{}",
            "[object has too few properties (found 0 but schema requires at least 1)]",
        ),
        (
            "{\"maxProperties\": 1}",
            "{\"a\": 1, \"b\": 1}",
            "[object has too many properties (found 2 but schema requires at most 1)]",
        ),
        (
            "{\"allOf\": [{\"minimum\": 1}, {\"minimum\": 5}]}",
            "3",
            "[instance failed to match all required schemas (matched only 1 out of 2)]",
        ),
        (
            "{\"anyOf\": [{\"type\": \"null\"}, {\"minimum\": 5}]}",
            "3",
            "[instance failed to match at least one required schema among 2]",
        ),
        (
            "{\"oneOf\": [{\"minimum\": 1}, {\"minimum\": 2}]}",
            "3",
            "[instance failed to match exactly one schema (matched 2 out of 2)]",
        ),
        ("{\"oneOf\": [{\"minimum\": 1}, {\"minimum\": 5}]}", "3", "ok"),
        (
            "{\"not\": {\"type\": \"integer\"}}",
            "3",
            "[instance matched a schema which it should not have]",
        ),
        (
            "{\"dependencies\": {\"a\": [\"c\", \"b\"]}}",
            "{\"a\": 1, \"c\": 1}",
            "[property \"a\" of object has missing property dependencies (schema requires [\"b\",\"c\"]; missing: [\"b\"])]",
        ),
        (
            "{\"dependencies\": {\"a\": {\"required\": [\"b\"]}}}",
            "{\"a\": 1}",
            "[object has missing required properties ([\"b\"])]",
        ),
        ("{\"dependencies\": {\"a\": [\"b\"]}}", "{\"c\": 1}", "ok"),
        ("{\"format\": \"ipv4\"}", "\"1.2.3\"", "[string \"1.2.3\" is not a valid IPv4 address]"),
        (
            "{\"format\": \"date-time\"}",
            "\"x\"",
            "[string \"x\" is invalid against requested date format(s) [\"yyyy-MM-dd'T'HH:mm:ssZ\",\"yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z\"]]",
        ),
        ("{\"format\": \"date\"}", "\"x\"", "ok"),
        ("{\"format\": \"email\"}", "5", "ok"),
    ];
    for (schema, body, expected) in cases {
        assert_eq!(outcome(&model(schema), body), expected, "{schema} {body}");
    }
}

#[test]
fn messages_come_in_the_order_of_keywords_and_then_of_members() {
    let schema = "{\"type\": \"object\", \"required\": [\"r\"], \"additionalProperties\": false, \"minProperties\": 3, \"properties\": {\"r\": {}, \"b\": {\"maximum\": 1, \"multipleOf\": 2}, \"a\": {\"pattern\": \"x\", \"format\": \"ipv4\", \"minLength\": 5}, \"o\": {\"minProperties\": 1, \"properties\": {\"deep\": {\"type\": \"null\"}}}, \"z\": {\"properties\": {\"deep\": {\"type\": \"null\"}}}}}";
    let model = model(schema);
    let cases = [
        // What is wrong with the object hides what is wrong with its members.
        (
            "{\"b\": 3, \"y\": 1}",
            "[object instance has properties which are not allowed by the schema: [\"y\"], object has too few properties (found 2 but schema requires at least 3), object has missing required properties ([\"r\"])]",
        ),
        (
            "{\"r\": 1, \"b\": 3, \"a\": \"y\"}",
            "[string \"y\" is too short (length: 1, required minimum: 5), ECMA 262 regex \"x\" does not match input string \"y\", string \"y\" is not a valid IPv4 address, numeric instance is greater than the required maximum (maximum: 1, found: 3), remainder of division is not zero (3 / 2)]",
        ),
        // Siblings are looked at, what is inside of them no more.
        (
            "{\"r\": 1, \"o\": {}, \"z\": {\"deep\": 1}}",
            "[object has too few properties (found 0 but schema requires at least 1)]",
        ),
        (
            "{\"r\": 1, \"o\": {\"deep\": 1}, \"z\": {\"deep\": 1}}",
            "[instance type (integer) does not match any allowed primitive type (allowed: [\"null\"])]",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(outcome(&model, body), expected, "{body}");
    }
}

#[test]
fn keywords_of_other_drafts_and_of_openapi_have_no_effect() {
    let schema = "{\"const\": 1, \"if\": {}, \"then\": {\"type\": \"null\"}, \"contains\": {\"type\": \"null\"}, \"propertyNames\": {\"maxLength\": 0}, \"nullable\": true, \"example\": 7, \"xml\": {}, \"readOnly\": true, \"discriminator\": {\"propertyName\": \"x\"}, \"x-mine\": 1, \"type\": \"object\"}";
    let (validator, findings) = try_models(&format!("{{\"M\": {schema}}}")).expect("compiles");
    assert_eq!(outcome(&validator, "{\"abc\": [1]}"), "ok");
    assert_ne!(outcome(&validator, "null"), "ok");
    let expected = ["const", "contains", "if", "propertyNames", "then"].map(|keyword| {
        format!("{keyword}: not a keyword of models (JSON Schema draft 4): no effect (model M)")
    });
    assert_eq!(findings, expected);
}

#[test]
fn references_lead_to_models_and_into_schemas() {
    let cases = [
        ("https://apigateway.amazonaws.com/restapis/a1b2c3d4e5/models/Pet", ""),
        ("#/components/schemas/Pet", ""),
        ("Pet", ""),
        ("#/definitions/Local", ""),
        ("https://apigateway.amazonaws.com/restapis/x/models/M#/definitions/a~1b%20c", ""),
        ("https://apigateway.amazonaws.com/restapis/x/models/Holder#/definitions/Inner", ""),
        ("#/components/schemas/Holder/definitions/Inner", ""),
        ("#/definitions/Holder/definitions/Inner", ""),
        ("#/components/schemas/Alias", ""),
        ("https://apigateway.amazonaws.com/restapis/x/models/Gone", "leads to no model"),
        ("https://example.com/schema.json", "leads to no model"),
        ("file:///etc/passwd", "leads to no model"),
        ("#/definitions/Gone", "leads to no model"),
        ("#/components/schemas/Circle", "leads only to further references"),
    ];
    for (reference, problem) in cases {
        let schemas = format!(
            "{{\"M\": {{\"properties\": {{\"p\": {{\"$ref\": \"{reference}\", \"type\": \"null\"}}}}, \"definitions\": {{\"Local\": {{\"type\": \"integer\"}}, \"a/b c\": {{\"type\": \"integer\"}}}}}},
              \"Pet\": {{\"type\": \"integer\"}},
              \"Alias\": {{\"$ref\": \"#/components/schemas/Pet\"}},
              \"Circle\": {{\"$ref\": \"#/components/schemas/Circle\"}},
              \"Holder\": {{\"definitions\": {{\"Inner\": {{\"type\": \"integer\"}}}}}}}}"
        );
        let (validator, findings) = try_models(&schemas).expect("compiles");
        assert_eq!(outcome(&validator, "{\"other\": 1}"), "ok", "{reference}");
        let outcome = outcome(&validator, "{\"p\": 1}");
        if problem.is_empty() {
            assert_eq!((&*outcome, &findings[..]), ("ok", &[][..]), "{reference}");
        } else {
            assert!(
                outcome.starts_with(
                    "Request body validation failed due to an unexpected error: model M: $ref"
                ),
                "{outcome}"
            );
            assert!(findings.len() == 1 && findings[0].contains(problem), "{findings:?}");
            assert!(findings[0].ends_with("answers 500 (model M)"), "{findings:?}");
        }
    }
}

#[test]
fn models_may_refer_to_themselves() {
    let tree = "{\"M\": {\"type\": \"object\", \"required\": [\"v\"], \"properties\": {\"v\": {\"type\": \"integer\"}, \"next\": {\"$ref\": \"#/components/schemas/M\"}, \"all\": {\"type\": \"array\", \"items\": {\"$ref\": \"#\"}}}}}";
    let (tree, _) = try_models(tree).expect("compiles");
    assert_eq!(outcome(&tree, "{\"v\": 1, \"next\": {\"v\": 2, \"all\": [{\"v\": 3}]}}"), "ok");
    assert_eq!(
        outcome(&tree, "{\"v\": 1, \"next\": {\"v\": 2, \"all\": [{\"v\": \"3\"}]}}"),
        "[instance type (string) does not match any allowed primitive type (allowed: [\"integer\"])]"
    );
    let deepest = "{\"v\": 1, \"next\": ".repeat(126) + "{\"v\": 1}" + &"}".repeat(126);
    assert_eq!(outcome(&tree, &deepest), "ok");
    let too_deep = "{\"v\": 1, \"next\": ".repeat(10_000) + "{\"v\": 1}" + &"}".repeat(10_000);
    assert_eq!(outcome(&tree, &too_deep), NOT_JSON);
}

#[test]
fn schemas_that_lead_to_themselves_or_multiply_come_to_an_end() {
    for schema in [
        "{\"allOf\": [{\"$ref\": \"#\"}]}",
        "{\"anyOf\": [{\"type\": \"null\"}, {\"$ref\": \"#\"}]}",
        "{\"not\": {\"$ref\": \"#\"}}",
        "{\"dependencies\": {\"a\": {\"$ref\": \"#\"}}}",
    ] {
        assert_eq!(
            outcome(&model(schema), "{\"a\": 1}"),
            "Request body validation failed due to an unexpected error: a schema leads to itself",
            "{schema}"
        );
    }
    let doubled = |n: usize| {
        let next = format!("{{\"$ref\": \"#/definitions/s{}\"}}", n + 1);
        format!("\"s{n}\": {{\"allOf\": [{next}, {next}]}}")
    };
    let definitions: Vec<String> = (0..40).map(doubled).collect();
    let schema = format!(
        "{{\"allOf\": [{{\"$ref\": \"#/definitions/s0\"}}], \"definitions\": {{{}, \"s40\": {{}}}}}}",
        definitions.join(", ")
    );
    assert_eq!(outcome(&model(&schema), "1"), "[Request body takes too many steps to validate]");
}

#[test]
fn large_models_compile_once_for_all_methods() {
    let properties: Vec<String> = (0..6_000)
        .map(|n| format!("\"property{n}\": {{\"type\": \"string\", \"maxLength\": {n}}}"))
        .collect();
    let deep = "{\"items\": ".repeat(60) + "{\"type\": \"null\"}" + &"}".repeat(60);
    let schema = format!(
        "{{\"type\": \"object\", \"properties\": {{{}, \"deep\": {deep}}}}}",
        properties.join(", ")
    );
    let validator = model(&schema);
    assert_eq!(validator.schemas.nodes.len(), 6_000 + 61 + 1);
    assert_eq!(outcome(&validator, "{\"property5\": \"12345\"}"), "ok");
    assert_ne!(outcome(&validator, "{\"property5\": \"123456\"}"), "ok");
    let nested = "[".repeat(60) + "null" + &"]".repeat(60);
    assert_eq!(outcome(&validator, &format!("{{\"deep\": {nested}}}")), "ok");
}

#[test]
fn a_detail_is_bounded() {
    let validator = model("{\"type\": \"array\", \"items\": {\"maxLength\": 1}}");
    let text = "é".repeat(100_000);
    let body = serde_json::to_string(&vec![text; 20]).expect("JSON");
    let detail = outcome(&validator, &body);
    assert!(detail.starts_with("[string \"éé") && detail.ends_with(']'));
    assert!(detail.len() <= 8_194, "{}", detail.len());
}

#[test]
fn models_that_are_no_schemas_of_draft_4_are_refused() {
    let cases = [
        (
            "{\"type\": \"any\"}",
            "\"type\" is \"any\"; array, boolean, integer, null, number, object or string is allowed",
        ),
        ("{\"required\": true}", "\"required\" is true; an array of names is allowed"),
        ("{\"properties\": {\"a\": true}}", "a schema is true; an object is allowed"),
        (
            "{\"minimum\": 1, \"exclusiveMinimum\": 1}",
            "\"exclusiveMinimum\" is 1; true or false (draft 4) is allowed",
        ),
        ("{\"minLength\": -1}", "\"minLength\" is -1; a whole number from 0 is allowed"),
        ("{\"multipleOf\": 0}", "\"multipleOf\" is 0; a number above 0 is allowed"),
        ("{\"pattern\": 1}", "\"pattern\" is 1; text is allowed"),
        ("{\"enum\": \"a\"}", "\"enum\" is \"a\"; an array of values is allowed"),
        ("{\"allOf\": {}}", "\"allOf\" is an object; an array of schemas is allowed"),
        ("{\"items\": true}", "\"items\" is true; a schema or an array of schemas is allowed"),
        ("{\"properties\": []}", "\"properties\" is an array; an object is allowed"),
    ];
    for (schema, message) in cases {
        let refused = try_models(&format!("{{\"M\": {schema}}}")).err();
        let expected = format!("model M: Invalid model schema specified: {message}");
        assert_eq!(refused.as_deref(), Some(&*expected), "{schema}");
    }
    // Nothing is validated against this one.
    assert!(try_models("{\"M\": {}, \"Other\": {\"type\": \"any\"}}").is_ok());
}

#[test]
fn a_pattern_that_can_not_be_compiled_is_named_and_answers_500() {
    for (schema, body) in [
        ("{\"properties\": {\"a\": {\"pattern\": \"(?<n>a)\"}}}", "{\"a\": \"a\"}"),
        ("{\"patternProperties\": {\"(?<n>a)\": {}}}", "{\"a\": \"a\"}"),
    ] {
        let (validator, findings) = try_models(&format!("{{\"M\": {schema}}}")).expect("compiles");
        let expected = "pattern: `(?<n>a)` can't be compiled, a body that is validated against it answers 500: ECMA 262 knows only (?:…), (?=…) and (?!…) (model M)";
        assert_eq!(findings, [expected]);
        assert!(outcome(&validator, body).starts_with("Request body validation failed due to"));
    }
}

#[test]
fn the_model_is_that_of_the_content_type_or_the_json_one_or_the_default() {
    let body = |contents: &str| {
        let text = definition(
            &format!("      requestBody: {{content: {{{contents}}}}}"),
            "{\"I\": {\"type\": \"integer\"}, \"S\": {\"type\": \"string\"}, \"N\": {\"type\": \"null\"}}",
        );
        try_compile(&text).expect("compiles").0.expect("a validator")
    };
    let of = |media_type: &str, model: &str| {
        format!("{media_type}: {{schema: {{$ref: '#/components/schemas/{model}'}}}}")
    };
    let (json, other) = (of("application/json", "I"), of("Text/Other", "S"));
    let default = of("$default", "N");
    let three = body(&[&*json, &other, &default].join(", "));
    let two = body(&[&*other, &default].join(", "));
    let one = body(&other);
    let cases = [
        (&three, Some("application/json"), "1"),
        (&three, Some("APPLICATION/JSON; charset=utf-8"), "1"),
        (&three, Some("text/other;a=b"), "\"a\""),
        (&three, Some("text/plain"), "1"),
        (&three, None, "1"),
        (&two, Some("text/plain"), "null"),
        (&two, None, "null"),
        (&one, Some("text/other"), "\"a\""),
    ];
    for (validator, content_type, valid) in cases {
        let content_type = content_type.map(str::as_bytes);
        assert!(validator.needs_body_of(content_type));
        for body in ["1", "\"a\"", "null"] {
            let is_valid = validator.validate_body(content_type, body.as_bytes()).is_ok();
            assert_eq!(is_valid, body == valid, "{content_type:?} {body}");
        }
    }
    assert!(!one.needs_body_of(Some(b"text/plain")) && one.needs_body());
    assert_eq!(one.validate_body(Some(b"text/plain"), b"no JSON at all"), Ok(()));
}

#[test]
fn a_body_is_not_held_against_a_model_of_another_content_type_than_json() {
    let text = definition(
        "      requestBody: {content: {application/xml: {schema: {$ref: '#/components/schemas/X'}}}}",
        "{\"X\": {\"type\": \"object\"}}",
    );
    let mut api = imported(&text);
    api.models["X"].content_type = "application/xml".to_owned();
    assert!(!compile_api(&api).expect("compiles").0.is_some_and(|it| it.needs_body()));
}

#[test]
fn an_empty_body_is_an_empty_object_and_what_is_no_json_is_refused() {
    let validator = model("{\"type\": \"object\", \"required\": [\"a\"]}");
    let failure = ValidationFailure::Body {
        media_type: "application/json".to_owned(),
        detail: "[object has missing required properties ([\"a\"])]".to_owned(),
    };
    assert_eq!(
        failure.to_string(),
        "Request body does not match model schema for content type application/json: [object has missing required properties ([\"a\"])]"
    );
    assert_eq!(validator.validate_body(None, b""), Err(failure));
    for body in ["{", "{\"a\": 1} x", " ", "{'a': 1}", "{\"a\": NaN}"] {
        assert_eq!(outcome(&validator, body), NOT_JSON, "{body}");
    }
    assert_eq!(validator.validate_body(None, b"{\"a\": \"\xff\"}"), Ok(()));
    assert_eq!(outcome(&model("{\"type\": \"object\"}"), ""), "ok");
}

#[test]
fn missing_parameters_are_listed_by_their_full_names() {
    let parameters = "      parameters:
        - {name: qs1, in: query, required: true, schema: {type: string}}
        - {name: qs2, in: query, schema: {type: string}}
        - {name: issuer, in: path, required: true, schema: {type: string}}
        - {name: x-header, in: header, required: true, schema: {type: string}}
        - {name: X-Other, in: header, required: false, schema: {type: string}}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/M'}}}}";
    let text =
        definition(parameters, "{\"M\": {\"type\": \"object\"}}").replace("/{id}", "/{issuer}");
    let validator = try_compile(&text).expect("compiles").0.expect("a validator");
    let all = [("header.x-header", "1"), ("path.issuer", "2"), ("querystring.qs1", "3")];
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&all, ""),
        (&[], "[x-header, issuer, qs1]"),
        (&all[1..], "[x-header]"),
        (&[("header.X-Header", "1"), all[1], ("querystring.qs1", " ")], "[x-header, qs1]"),
        (&[("header.x-header", ""), all[1], all[2]], "[x-header]"),
    ];
    for (values, missing) in cases {
        let message = format!("Missing required request parameters: {missing}");
        let expected = match missing {
            "" => Ok(()),
            _ => Err(ValidationFailure::Parameters { message }),
        };
        assert_eq!(validator.validate_parameters(&Request(values)), expected);
        // Parameters come first.
        let body = validator.validate(&Request(values), None, b"[]");
        assert_eq!(matches!(body, Err(ValidationFailure::Body { .. })), missing.is_empty());
    }
}

#[test]
fn a_validator_looks_at_what_it_says() {
    let operation = |validator: &str| {
        definition(
            &format!(
                "      x-amazon-apigateway-request-validator: {validator}
      parameters: [{{name: q, in: query, required: true, schema: {{type: string}}}}]
      requestBody: {{content: {{application/json: {{schema: {{type: object}}}}}}}}"
            ),
            "{}",
        )
    };
    for (name, parameters, body) in [
        ("all", true, true),
        ("params", true, false),
        ("body", false, true),
        ("none", false, false),
    ] {
        let validator = try_compile(&operation(name)).expect("compiles").0;
        assert_eq!(validator.is_some(), parameters || body, "{name}");
        let Some(validator) = validator else { continue };
        assert_eq!(validator.validate_parameters(&Request(&[])).is_err(), parameters, "{name}");
        assert_eq!(validator.validate_body(None, b"[]").is_err(), body, "{name}");
        assert_eq!(validator.needs_body(), body, "{name}");
    }
}

#[test]
fn swagger_models_and_parameters_are_the_same() {
    let text = format!(
        "swagger: '2.0'
info: {{title: t, version: '1'}}
{VALIDATORS}
paths:
  /a:
    post:
      consumes: [application/json, text/other]
      parameters:
        - {{name: q, in: query, required: true, type: string}}
        - {{name: body, in: body, required: true, schema: {{$ref: '#/definitions/M'}}}}
      responses: {{}}
      x-amazon-apigateway-integration: {{type: mock}}
definitions:
  M: {{type: array, items: {{$ref: '#/definitions/N'}}}}
  N: {{type: integer}}
"
    );
    let validator = try_compile(&text).expect("compiles").0.expect("a validator");
    assert!(validator.validate_parameters(&Request(&[])).is_err());
    for media_type in [&b"application/json"[..], b"text/other"] {
        assert_eq!(validator.validate_body(Some(media_type), b"[1]"), Ok(()));
        assert!(validator.validate_body(Some(media_type), b"[\"1\"]").is_err());
    }
}
