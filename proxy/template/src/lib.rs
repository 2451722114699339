//! Mapping templates: parsed once when a deployment is made, rendered for each request.
//!
//! API Gateway's templates are Apache Velocity with the variables `$input`, `$util`, `$context`
//! and `$stageVariables`
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html>).
//! Today this crate renders the part that plain proxying and MOCK integrations need:
//!
//! | Construct | Renders |
//! |---|---|
//! | literal text | itself |
//! | `$input.body` | the payload; an empty one as `{}` |
//! | `$input.json('$')` | the payload as compact JSON; `""` if it is not JSON |
//! | `## …`, `#* … *#` | nothing |
//!
//! Everything else of the language parses to [`Template::unserved`], which names the construct
//! and where it is: the compiler warns about it, and rendering it is an error, never wrong text.
//!
//! This crate knows no HTTP and depends on no other part of Tollgate.

mod json;
mod mock;
mod parse;

use std::borrow::Cow;

pub use mock::mock_status;

use parse::Part;

/// Largest template, in bytes: 300 KB
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html>).
pub const MAX_TEMPLATE_BYTES: usize = 300 * 1024;

/// What `$input.body` and `$input.json('$')` render for an empty payload.
const EMPTY_BODY: &str = "{}";

/// A parsed mapping template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Result<Box<[Part]>, Unserved>,
}

/// The first construct of a template that is not rendered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// As written: `#set`, `$util`, `$input.path`.
    pub construct: String,
    /// Starting with 1.
    pub line: usize,
    /// In characters, starting with 1.
    pub column: usize,
}

/// What a template reads while it renders.
#[derive(Clone, Copy, Debug)]
pub struct RenderInput<'a> {
    /// The payload: the client's body in a request template, the backend's in a response
    /// template. Bytes that are not UTF-8 render as U+FFFD.
    pub body: &'a [u8],
}

/// A template failed. API Gateway answers 500 and logs
/// `Execution failed due to configuration error: Unable to transform request`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Unable to transform request: {construct} at line {line}, column {column} of the template is not rendered yet"
)]
pub struct RenderError {
    pub construct: String,
    pub line: usize,
    pub column: usize,
}

impl Template {
    /// Parses a template. Never fails: as on AWS, syntax is judged when the template runs.
    pub fn parse(text: &str) -> Self {
        Self { parts: parse::parse(text) }
    }

    /// The first construct that keeps this template from rendering.
    pub fn unserved(&self) -> Option<&Unserved> {
        self.parts.as_ref().err()
    }

    /// Renders the template; borrows from the template or the payload where it can.
    pub fn render<'a>(&'a self, input: &RenderInput<'a>) -> Result<Cow<'a, str>, RenderError> {
        match &self.parts {
            Ok(parts) => Ok(match &**parts {
                [] => Cow::Borrowed(""),
                [part] => part.render(input),
                parts => Cow::Owned(parts.iter().map(|part| part.render(input)).collect()),
            }),
            Err(unserved) => Err(RenderError {
                construct: unserved.construct.clone(),
                line: unserved.line,
                column: unserved.column,
            }),
        }
    }
}

impl Part {
    fn render<'a>(&'a self, input: &RenderInput<'a>) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Body if input.body.is_empty() => Cow::Borrowed(EMPTY_BODY),
            Self::Body => String::from_utf8_lossy(input.body),
            Self::Json if input.body.is_empty() => Cow::Borrowed(EMPTY_BODY),
            Self::Json => json::compact(input.body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, body: &str) -> String {
        let template = Template::parse(template);
        template.render(&RenderInput { body: body.as_bytes() }).expect("renders").into_owned()
    }

    #[test]
    fn served_constructs_render_as_aws_renders_them() {
        for (template, body, expected) in [
            ("", "x", ""),
            (r#"{"statusCode": 200}"#, "", r#"{"statusCode": 200}"#),
            ("Action=S&M=$input.body", "", "Action=S&M={}"),
            ("[$input.body]", "some raw data", "[some raw data]"),
            ("${input.body}$!input.body$!{input.body}", "a", "aaa"),
            (
                "$input.json('$')",
                "{ \"b\" : [1, 2.50],\n\"a\": \"x y\" }",
                r#"{"b":[1,2.50],"a":"x y"}"#,
            ),
            ("$input.json(\"$\")", "", "{}"),
            ("$input.json()", "[ 1 ]", "[1]"),
            ("$input.json('$')", "not json", r#""""#),
            ("$input.json('$')", "null", r#""""#),
            ("## why\n{}", "", "{}"),
            ("a#* b\nc *#d", "", "ad"),
            ("costs $5, 100 #1 $ # $.", "", "costs $5, 100 #1 $ # $."),
            ("$input.body.", "b", "b."),
        ] {
            assert_eq!(render(template, body), expected, "{template:?} with {body:?}");
        }
    }

    #[test]
    fn a_payload_that_is_not_utf8_renders_replacement_characters() {
        let template = Template::parse("$input.body");
        assert_eq!(template.render(&RenderInput { body: b"a\xff" }).expect("renders"), "a\u{fffd}");
    }

    #[test]
    fn plain_passthrough_borrows_the_payload() {
        let template = Template::parse("$input.body");
        assert!(matches!(template.render(&RenderInput { body: b"abc" }), Ok(Cow::Borrowed("abc"))));
    }

    #[test]
    fn other_constructs_are_named_with_their_place_and_fail_to_render() {
        for (template, construct, line, column) in [
            ("#set($x = 1)", "#set", 1, 1),
            ("{\n  \"a\": \"$util.escapeJavaScript('x')\"", "$util.escapeJavaScript", 2, 9),
            ("$input.path('$.a')", "$input.path", 1, 1),
            ("$input.json('$.a')", "$input.json('$.a')", 1, 1),
            ("$input.params('x')", "$input.params", 1, 1),
            ("$input.body.attr", "$input.body.attr", 1, 1),
            ("x ${context.stage}", "$context.stage", 1, 3),
            ("é$stageVariables['a']", "$stageVariables", 1, 2),
            ("#foreach($a in $b)", "#foreach", 1, 1),
            ("#{else}", "#else", 1, 1),
            ("#[[ $x ]]#", "#[[", 1, 1),
            ("\\$x", "\\$", 1, 1),
            ("#* never closed", "#*", 1, 1),
        ] {
            let template = Template::parse(template);
            let expected = Unserved { construct: construct.to_owned(), line, column };
            assert_eq!(template.unserved(), Some(&expected));
            let error = template.render(&RenderInput { body: b"" }).expect_err("fails");
            assert!(error.to_string().starts_with("Unable to transform request"), "{error}");
        }
    }
}
