use std::collections::BTreeMap;

use super::super::test_support::{exchange, head, stage};
use super::*;
use crate::head::RequestHead;

/// The keys of two requests with the sources of this authorizer.
fn sources(scheme: &str) -> (Sources, std::sync::Arc<crate::snapshot::StageRuntime>) {
    let scheme = format!("authorizerUri: 'plugin:p', {scheme}");
    let stage = stage("{who: []}", &scheme, &BTreeMap::new());
    (Sources::new(&stage.compiled.authorizers[0].identity), stage)
}

fn key_of(scheme: &str, head: &RequestHead) -> Option<Vec<u8>> {
    let (sources, stage) = sources(scheme);
    sources.key(head, &exchange(head, &stage)).map(Cow::into_owned)
}

const BOTH: &str =
    "type: request, identitySource: 'method.request.header.A,method.request.querystring.q'";

#[test]
fn a_token_is_its_own_key() {
    let table = [
        (vec![("authorization", "t")], Some("t")),
        (vec![("X", "t"), ("AUTHORIZATION", "u")], Some("u")),
        (vec![("Authorization", "")], None),
        (vec![], None),
    ];
    for (fields, expected) in table {
        let head = head("GET", "/pets/1", &fields);
        assert_eq!(key_of("type: token", &head).as_deref(), expected.map(str::as_bytes));
    }
}

#[test]
fn a_repeated_header_is_another_key_than_its_first_or_joined_values() {
    let key = |fields: &[(&str, &str)]| {
        key_of("type: token", &head("GET", "/pets/1", fields)).expect("a key")
    };
    let both = key(&[("Authorization", "a"), ("authorization", "b")]);
    for other in [
        key(&[("Authorization", "a")]),
        key(&[("Authorization", "b")]),
        key(&[("Authorization", "ab")]),
        key(&[("Authorization", "a, b")]),
        key(&[("Authorization", "b"), ("Authorization", "a")]),
    ] {
        assert_ne!(both, other);
    }
    let half_empty = head("GET", "/pets/1", &[("Authorization", "a"), ("Authorization", "")]);
    assert_eq!(key_of("type: token", &half_empty), None);
}

#[test]
fn all_sources_are_in_the_key_and_can_not_run_into_each_other() {
    let key =
        |a: &str, query: &str| key_of(BOTH, &head("GET", &format!("/pets/1?{query}"), &[("a", a)]));
    let keys = [
        key("x", "q=y"),
        key("xy", "q=y"),
        key("x", "q=xy"),
        key("x", "q=y&q=y"),
        key("y", "q=x"),
        key("x", "q=%00y"),
    ];
    for (at, first) in keys.iter().enumerate() {
        assert!(first.is_some());
        assert!(keys[at + 1..].iter().all(|second| first != second), "{at}");
    }
    assert_eq!(key("x", "q=y&other=1"), key("x", "other=2&q=%79"));
    assert_eq!(key("x", "Q=y"), None);
    assert_eq!(key("", "q=y"), None);
    assert_eq!(key("x", "q="), None);
}

#[test]
fn stage_variables_and_context_variables_identify_too() {
    let at = |sources: &str, method: &str| {
        let scheme = format!("type: request, identitySource: '{sources}'");
        key_of(&scheme, &head(method, "/pets/1", &[]))
    };
    assert!(at("stageVariables.tenant", "GET").is_some());
    assert_eq!(at("stageVariables.other", "GET"), None);
    assert_ne!(at("context.httpMethod", "GET"), at("context.httpMethod", "PUT"));
    assert!(at("context.identity.sourceIp,context.path", "GET").is_some());
    // Not known before the response, and not known at all.
    assert_eq!(at("context.status", "GET"), None);
    assert_eq!(at("context.nothing", "GET"), None);
}

#[test]
fn a_token_has_to_match_its_pattern_as_a_whole_each_time_it_is_there() {
    let (sources, _) = sources("type: token, identityValidationExpression: 'Bearer [a-z]+'");
    let is_valid = |values: &[&str]| {
        let fields: Vec<_> = values.iter().map(|value| ("Authorization", *value)).collect();
        sources.is_valid(&head("GET", "/pets/1", &fields))
    };
    assert!(is_valid(&["Bearer abc"]));
    assert!(!is_valid(&["Bearer abc1"]));
    assert!(!is_valid(&["xBearer abc"]));
    assert!(!is_valid(&["Bearer abc", "Bearer 1"]));
}
