//! Every outcome of an authorizer, and what is refused of what it gives back.

use std::time::Duration;

use super::guest::{Edit, Guest, Value, edits, optional_text, reply, text};
use super::host::{ask, authorizer};
use crate::config::PluginSettings;
use crate::{AuthorizerDecision, ContextValue, ErrorKind, HeaderEdit, PluginError, Reply, limits};

/// Alignment and size of the largest payload: an allowing one.
const ALIGNMENT: usize = 4;
const SIZE: usize = 56;

fn case(case: u8, payload: Option<Value>) -> Value {
    Value::Case(case, ALIGNMENT, SIZE, payload.map(Box::new))
}

fn deny(with: Option<Value>) -> Value {
    case(1, Some(Value::Case(with.is_some().into(), 4, 20, with.map(Box::new))))
}

#[derive(Default)]
struct Allow<'a> {
    principal: &'a str,
    policy: Option<&'a str>,
    context: Vec<(&'a str, Value)>,
    headers: Vec<Edit<'a>>,
}

impl Allow<'_> {
    fn value(&self) -> Value {
        let pair = |(key, value): &(&str, Value)| Value::Record(vec![text(key), value.clone()]);
        case(
            0,
            Some(Value::Record(vec![
                text(self.principal),
                optional_text(self.policy),
                Value::List(self.context.iter().map(pair).collect()),
                optional_text(Some("key-1")),
                edits(&self.headers),
                Value::Case(1, 4, 4, Some(Box::new(Value::Word(300)))),
            ])),
        )
    }
}

fn context_text(it: &str) -> Value {
    Value::Case(0, 8, 8, Some(Box::new(text(it))))
}

fn context_number(it: f64) -> Value {
    Value::Case(1, 8, 8, Some(Box::new(Value::Double(it))))
}

fn context_boolean(it: bool) -> Value {
    Value::Case(2, 8, 8, Some(Box::new(Value::Byte(it.into()))))
}

async fn decides(value: Value) -> Result<AuthorizerDecision, PluginError> {
    let guest = Guest::authorizer().returning("authorize", &value);
    ask(&authorizer(PluginSettings::default(), guest)).await
}

#[tokio::test]
async fn an_allowing_decision_has_everything_that_the_plugin_gave() {
    let allow = Allow {
        principal: "user-7",
        policy: Some("{}"),
        context: vec![
            ("tenant", context_text("acme")),
            ("level", context_number(3.5)),
            ("admin", context_boolean(true)),
        ],
        headers: vec![("set", "X-User", "7"), ("append", "via", "t"), ("remove", "cookie", "")],
    };
    let expected = AuthorizerDecision::Allow {
        principal_id: "user-7".to_owned(),
        policy: Some("{}".to_owned()),
        context: vec![
            ("tenant".to_owned(), ContextValue::Text("acme".to_owned())),
            ("level".to_owned(), ContextValue::Number(3.5)),
            ("admin".to_owned(), ContextValue::Boolean(true)),
        ],
        usage_identifier_key: Some("key-1".to_owned()),
        headers: vec![
            HeaderEdit::Set("X-User".into(), "7".into()),
            HeaderEdit::Append("via".into(), "t".into()),
            HeaderEdit::Remove("cookie".into()),
        ],
        time_to_live: Some(Duration::from_secs(300)),
    };
    assert_eq!(decides(allow.value()).await.unwrap(), expected);
}

#[tokio::test]
async fn it_denies_with_and_without_a_response_and_says_unauthorized() {
    assert_eq!(decides(deny(None)).await.unwrap(), AuthorizerDecision::Deny(None));
    assert_eq!(decides(case(2, None)).await.unwrap(), AuthorizerDecision::Unauthorized);
    let given = reply(402, &[("Content-Type", "text/plain")], b"pay");
    let expected = Reply {
        status: 402,
        headers: vec![("content-type".into(), b"text/plain".as_slice().into())],
        body: b"pay".to_vec(),
        grpc_status: None,
        details: "reply of plugin guest".to_owned(),
    };
    assert_eq!(decides(deny(Some(given))).await.unwrap(), AuthorizerDecision::Deny(Some(expected)));
}

#[tokio::test]
async fn what_can_not_be_used_is_refused_with_a_reason() {
    let headers = |edit| Allow { headers: vec![edit], ..Allow::default() }.value();
    let replies = |status, header| deny(Some(reply(status, &[header], b"")));
    let many = vec![("remove", "a", ""); limits::HEADER_COUNT + 1];
    let fine = ("a", "b");
    for (value, expected) in [
        (headers(("set", "a b", "")), r#"header "a b": is not a header's name"#),
        (headers(("remove", ":path", "")), r#"header ":path": is not a header's name"#),
        (headers(("append", "", "")), r#"header "": is not a header's name"#),
        (headers(("set", "a", "1\r\nb: 2")), "header a: its value has a control character"),
        (
            headers(("set", "Content-Length", "1")),
            "header Content-Length: is set by the gateway alone",
        ),
        (
            headers(("remove", "transfer-encoding", "")),
            "header transfer-encoding: is set by the gateway alone",
        ),
        (Allow { headers: many, ..Allow::default() }.value(), "1001 headers; allowed: up to 1000"),
        (replies(199, fine), "status 199; allowed: 200 to 599"),
        (replies(600, fine), "status 600; allowed: 200 to 599"),
        (replies(200, ("connection", "close")), "header connection: is set by the gateway alone"),
        (replies(200, ("a", "\0")), "header a: its value has a control character"),
        (
            Allow { context: vec![("a", context_number(f64::NAN))], ..Allow::default() }.value(),
            r#"context "a": is not a finite number"#,
        ),
    ] {
        let error = decides(value).await.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Output, expected));
    }
}

#[tokio::test]
async fn a_decision_has_a_largest_size() {
    let sized = |length: usize| {
        let mut guest = Guest::authorizer();
        let at = guest.lay_out(&Allow::default().value());
        guest.export(
            "authorize",
            // The principal is all of the heap's first page.
            &format!(
                "(i32.store (i32.const {}) (i32.const 65536))
                 (i32.store (i32.const {}) (i32.const {length})) (i32.const {at})",
                at + 4,
                at + 8
            ),
        )
    };
    let settings = PluginSettings::default;
    let maximum = limits::DECISION - "key-1".len();
    ask(&authorizer(settings(), sized(maximum))).await.unwrap();
    let error = ask(&authorizer(settings(), sized(maximum + 1))).await.unwrap_err();
    assert_eq!(error.message, "a decision of 65537 bytes; allowed: up to 65536");
}
