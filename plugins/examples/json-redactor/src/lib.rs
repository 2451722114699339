//! A transformer that redacts values in JSON bodies.
//!
//! ```json
//! {"request": ["$.card.number"], "response": ["$..password", "items[*].email", "$.keys[0]['api key']"],
//!  "replacement": "[redacted]", "invalidJson": "refuse"}
//! ```
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | `request`, `response` | paths of values to replace, in the bodies that go to the backend and to the client | none |
//! | `replacement` | any JSON value | `"[redacted]"` |
//! | `invalidJson` | `refuse`: a body that claims to be JSON and isn't, or is encoded (`gzip`), is not let through: 400 for a request, 502 for a response. `pass`: it is, as it is | `refuse` |
//!
//! A path is `$` (which may be left out), then `.name`, `['name']`, `[2]`, `.*` or `[*]` for any
//! child, and `..name` for a name at any depth. Up to 64 steps in all paths together.
//!
//! Bodies without a JSON content type pass by unread. The others are read once, without being
//! turned into values: what isn't replaced stays byte for byte as it was. Escaped names
//! (`"p\u0061ssword"`) are compared unescaped, repeated ones are all redacted, and nesting deeper
//! than 128 is refused as invalid JSON. With paths for responses the request's `accept-encoding`
//! is removed, so that the backend doesn't compress what has to be read.

mod document;
mod paths;
mod redact;
#[cfg(test)]
mod differential;

use serde::{Deserialize, Deserializer};
use tollgate_plugin_sdk::{
    BodyAction, Configuration, Reply, Request, RequestAction, RequestEdits, Response,
    ResponseAction, ResponseEdits, Transformer, transformer, warn,
};

use crate::paths::Paths;
use crate::redact::{Redaction, Replacement};

static SETTINGS: Configuration<Settings> = Configuration::json();

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    request: Paths,
    #[serde(default)]
    response: Paths,
    #[serde(default = "redacted", deserialize_with = "json")]
    replacement: Replacement,
    #[serde(default)]
    invalid_json: InvalidJson,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum InvalidJson {
    #[default]
    Refuse,
    Pass,
}

fn redacted() -> Replacement {
    br#""[redacted]""#.to_vec().into()
}

fn json<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Replacement, D::Error> {
    serde_json::Value::deserialize(deserializer).map(|it| it.to_string().into_bytes().into())
}

struct Redactor;

transformer!(Redactor);

impl Transformer for Redactor {
    fn on_request(request: &Request) -> RequestAction {
        let mut edits = RequestEdits::new();
        if !SETTINGS.response.is_empty() {
            edits = edits.remove_header("accept-encoding");
        }
        if SETTINGS.request.is_empty() || !is_json(request.header("content-type")) {
            return edits.into();
        }
        if is_plain(request.header("content-encoding")) {
            edits.buffer_body().into()
        } else {
            match SETTINGS.invalid_json {
                InvalidJson::Pass => edits.into(),
                InvalidJson::Refuse => bad_request().into(),
            }
        }
    }

    fn on_request_body(_: &Request, body: Vec<u8>, _: bool) -> BodyAction {
        redact(&SETTINGS.request, &body, bad_request)
    }

    fn on_response(_: &Request, response: &Response) -> ResponseAction {
        if SETTINGS.response.is_empty() || !is_json(response.header("content-type")) {
            return ResponseAction::Pass;
        }
        if is_plain(response.header("content-encoding")) {
            return ResponseEdits::new().buffer_body().into();
        }
        match SETTINGS.invalid_json {
            InvalidJson::Pass => ResponseAction::Pass,
            InvalidJson::Refuse => {
                warn!("an encoded response can't be redacted, and is refused");
                bad_gateway().into()
            }
        }
    }

    fn on_response_body(_: &Request, _: &Response, body: Vec<u8>, _: bool) -> BodyAction {
        redact(&SETTINGS.response, &body, bad_gateway)
    }
}

fn redact(paths: &Paths, body: &[u8], refusal: fn() -> Reply) -> BodyAction {
    if body.is_empty() {
        return BodyAction::Pass;
    }
    let settings: &Settings = &SETTINGS;
    match redact::redact(body, paths, &settings.replacement) {
        Redaction::Nothing => BodyAction::Pass,
        Redaction::Replaced(body) => BodyAction::Replace(body),
        Redaction::Invalid { at } => match settings.invalid_json {
            InvalidJson::Pass => BodyAction::Pass,
            InvalidJson::Refuse => {
                warn!("the body is no JSON, and is refused"; "at" => at);
                refusal().into()
            }
        },
    }
}

fn bad_request() -> Reply {
    Reply::json(400, r#"{"message":"Invalid request body"}"#)
}

fn bad_gateway() -> Reply {
    Reply::json(502, r#"{"message":"Internal server error"}"#)
}

/// `application/json`, `application/problem+json; charset=utf-8`.
fn is_json(content_type: Option<String>) -> bool {
    let Some(content_type) = content_type else { return false };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let subtype = media_type.split_once('/').map_or("", |(_, subtype)| subtype);
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    suffix.eq_ignore_ascii_case("json")
}

fn is_plain(content_encoding: Option<String>) -> bool {
    content_encoding.is_none_or(|encoding| encoding.trim().eq_ignore_ascii_case("identity"))
}

#[cfg(test)]
mod tests {
    use tollgate_plugin_sdk::testing::{Answer, Exchange, Gateway};

    use super::*;

    const BOTH: &str = r#"{"request": ["$.card.number"], "response": ["$..password"]}"#;

    #[test]
    fn requests_and_responses_have_paths_of_their_own() {
        let gateway = Gateway::new().configuration(BOTH);
        let exchange = Exchange::post("/", r#"{"card": {"number": 42}, "password": "x"}"#)
            .header("content-type", "application/json; charset=utf-8")
            .header("accept-encoding", "gzip");
        let forwarded = gateway.request::<Redactor>(&exchange).unwrap();
        assert_eq!(forwarded.body, br#"{"card": {"number": "[redacted]"}, "password": "x"}"#);
        assert_eq!(forwarded.header("accept-encoding"), None);

        let answer = Answer::new(200, r#"{"card": {"number": 42}, "password": "x"}"#)
            .with_header("content-type", "application/problem+json");
        let answer = gateway.response::<Redactor>(&exchange, answer);
        assert_eq!(answer.body, br#"{"card": {"number": 42}, "password": "[redacted]"}"#);
    }

    #[test]
    fn other_content_passes() {
        let gateway = Gateway::new().configuration(BOTH);
        let exchange = Exchange::post("/", "{not json").header("content-type", "text/plain");
        assert_eq!(gateway.request::<Redactor>(&exchange).unwrap().body, b"{not json");
    }

    #[test]
    fn invalid_json_is_refused_or_passes_as_configured() {
        let exchange = Exchange::post("/", "{not json").header("content-type", "application/json");
        let answer = Answer::new(200, "[1,").with_header("content-type", "application/json");
        let refusing = Gateway::new().configuration(BOTH);
        assert_eq!(refusing.request::<Redactor>(&exchange).unwrap_err().status, 400);
        assert_eq!(refusing.response::<Redactor>(&exchange, answer.clone()).status, 502);

        let passing = r#"{"request": ["a"], "response": ["a"], "invalidJson": "pass"}"#;
        let passing = Gateway::new().configuration(passing);
        assert_eq!(passing.request::<Redactor>(&exchange).unwrap().body, b"{not json");
        assert_eq!(passing.response::<Redactor>(&exchange, answer).body, b"[1,");
    }

    #[test]
    fn encoded_json_is_as_good_as_invalid() {
        let exchange = Exchange::post("/", [0x1f, 0x8b])
            .header("content-type", "application/json")
            .header("content-encoding", "gzip");
        let gateway = Gateway::new().configuration(BOTH);
        assert_eq!(gateway.request::<Redactor>(&exchange).unwrap_err().status, 400);
        let answer = Answer::new(200, [0x1f, 0x8b])
            .with_header("content-type", "application/json")
            .with_header("content-encoding", "br");
        assert_eq!(gateway.response::<Redactor>(&exchange, answer).status, 502);
    }
}
