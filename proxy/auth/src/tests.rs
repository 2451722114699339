//! Policies against requests, and what is no policy.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::Evaluation::{self, Allow, ExplicitDeny, ImplicitDeny};
use crate::{ConditionKeys, Policy, PolicyKind, Principal, Request};

const API: &str = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3";
const RESOURCE: PolicyKind<'_> = PolicyKind::Resource { api_arn: API };

impl ConditionKeys for &[(&str, &str)] {
    fn each_value(&self, key: &str, f: &mut dyn FnMut(&str)) {
        for (_, value) in self.iter().filter(|(known, _)| known.eq_ignore_ascii_case(key)) {
            f(value);
        }
    }
}

/// `path` is what follows the API's ARN.
fn evaluate(
    policy: &Policy,
    path: &str,
    principal: Principal<'_>,
    keys: &[(&str, &str)],
) -> Evaluation {
    policy.evaluate(&Request {
        action: "execute-api:Invoke",
        resource: &format!("{API}{path}"),
        principal,
        // 2026-11-22T10:00:00Z
        time: UNIX_EPOCH + Duration::from_secs(1_795_341_600),
        keys: &keys,
    })
}

fn parse(statements: Value, kind: PolicyKind<'_>) -> Policy {
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    Policy::from_value(&policy, kind).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn check(statements: Value, path: &str, expected: Evaluation) {
    let policy = parse(statements, PolicyKind::Authorizer);
    assert_eq!(evaluate(&policy, path, Principal::Anonymous, &[]), expected);
}

fn allow(action: &str, resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

#[test]
fn actions_have_no_case_and_resources_do() {
    let pets = format!("{API}/prod/GET/pets/*");
    for (action, resource, path, expected) in [
        ("execute-api:Invoke", &*pets, "/prod/GET/pets/1", Allow),
        ("Execute-API:invoke", &pets, "/prod/GET/pets/1/toys/2", Allow),
        ("execute-api:*", &pets, "/prod/GET/pets", ImplicitDeny),
        ("execute-api:In?oke", &pets, "/prod/GET/pets/", Allow),
        ("*", "*", "/prod/GET/", Allow),
        ("execute-api:Invoke", &pets, "/prod/GET/Pets/1", ImplicitDeny),
        ("execute-api:Invoke", &pets, "/test/GET/pets/1", ImplicitDeny),
        ("execute-api:ManageConnections", &pets, "/prod/GET/pets/1", ImplicitDeny),
        ("execute-api:Invoke", "arn:aws:execute-api:*:*:*", "/prod/GET/pets/1", Allow),
        ("execute-api:Invoke", "arn:*/?ET/*", "/prod/GET/x", Allow),
    ] {
        let policy = parse(allow(action, resource), PolicyKind::Authorizer);
        let found = evaluate(&policy, path, Principal::Anonymous, &[]);
        assert_eq!(found, expected, "{action} {resource} {path}");
    }
}

#[test]
fn a_deny_wins_wherever_it_stands() {
    let deny = json!({"Effect": "Deny", "Action": "*", "Resource": format!("{API}/*/DELETE/*")});
    let allow = allow("*", "*");
    for statements in [json!([allow, deny]), json!([deny, allow])] {
        check(statements.clone(), "/prod/GET/x", Allow);
        check(statements, "/prod/DELETE/x", ExplicitDeny);
    }
    check(deny, "/prod/GET/x", ImplicitDeny);
}

#[test]
fn not_action_and_not_resource_are_all_others() {
    let statement = json!({
        "Effect": "Allow",
        "NotAction": ["s3:*", "execute-api:InvalidateCache"],
        "NotResource": [format!("{API}/prod/*"), format!("{API}/test/*")],
    });
    check(statement.clone(), "/dev/GET/x", Allow);
    check(statement, "/test/GET/x", ImplicitDeny);
    let statement = json!({"Effect": "Allow", "NotAction": "execute-api:*", "Resource": "*"});
    check(statement, "/dev/GET/x", ImplicitDeny);
}

const ANN: Principal<'_> =
    Principal::Aws { arn: "arn:aws:iam::123456789012:user/ann", account_id: "123456789012" };
const SESSION: Principal<'_> = Principal::Aws {
    arn: "arn:aws:sts::210987654321:assumed-role/reader/session-1",
    account_id: "210987654321",
};

#[test]
fn principals_are_everyone_accounts_users_roles_and_services() {
    for (principal, caller, expected) in [
        (json!("*"), Principal::Anonymous, true),
        (json!({"AWS": "*"}), Principal::Anonymous, true),
        (json!({"AWS": "123456789012"}), ANN, true),
        (json!({"AWS": ["arn:aws:iam::123456789012:root"]}), ANN, true),
        (json!({"AWS": "123456789012"}), SESSION, false),
        (json!({"AWS": "123456789012"}), Principal::Anonymous, false),
        (json!({"AWS": "arn:aws:iam::123456789012:user/ann"}), ANN, true),
        (json!({"AWS": "arn:aws:iam::123456789012:user/Ann"}), ANN, false),
        (json!({"AWS": "arn:aws:iam::210987654321:role/path/reader"}), SESSION, true),
        (json!({"AWS": "arn:aws:iam::210987654321:role/path/writer"}), SESSION, false),
        (json!({"AWS": "arn:aws:iam::123456789012:role/reader"}), SESSION, false),
        (json!({"AWS": "arn:aws:sts::210987654321:assumed-role/reader/session-1"}), SESSION, true),
        (json!({"Service": "a.amazonaws.com"}), Principal::Service("a.amazonaws.com"), true),
        (json!({"Service": "a.amazonaws.com"}), Principal::Service("b.amazonaws.com"), false),
        (json!({"Federated": "cognito-identity.amazonaws.com"}), ANN, false),
    ] {
        let text = principal.to_string();
        for (name, expected) in [("Principal", expected), ("NotPrincipal", !expected)] {
            let statement =
                json!({"Effect": "Allow", name: principal, "Action": "*", "Resource": "*"});
            let policy = parse(statement, RESOURCE);
            let found = evaluate(&policy, "/prod/GET/x", caller, &[]);
            assert_eq!(found == Allow, expected, "{name} {text} {caller:?}");
        }
    }
}

#[test]
fn the_short_form_of_a_resource_is_this_apis() {
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke",
        "Resource": "execute-api:/prod/GET/*",
    });
    let policy = parse(statement, RESOURCE);
    assert_eq!(evaluate(&policy, "/prod/GET/x", ANN, &[]), Allow);
    assert_eq!(evaluate(&policy, "/test/GET/x", ANN, &[]), ImplicitDeny);
}

/// Each row: operator, the policy's values for `aws:k`, the request's values, whether it holds.
const CONDITIONS: &[(&str, &str, &[&str], bool)] = &[
    ("StringEquals", r#""a""#, &["a"], true),
    ("StringEquals", r#"["b", "a"]"#, &["a"], true),
    ("StringEquals", r#""a""#, &["A"], false),
    ("StringEquals", r#""a*""#, &["ab"], false),
    ("StringEquals", r#""a""#, &[], false),
    ("StringEqualsIfExists", r#""a""#, &[], true),
    ("StringEqualsIfExists", r#""a""#, &["b"], false),
    ("StringNotEquals", r#""a""#, &["b"], true),
    ("StringNotEquals", r#"["a", "b"]"#, &["b"], false),
    ("StringNotEquals", r#""a""#, &[], true),
    ("StringEqualsIgnoreCase", r#""aB""#, &["Ab"], true),
    ("StringNotEqualsIgnoreCase", r#""aB""#, &["Ab"], false),
    ("StringLike", r#""a*c?""#, &["abbcd"], true),
    ("StringLike", r#""a*c?""#, &["abbc"], false),
    ("StringNotLike", r#""a*""#, &["abc"], false),
    ("StringNotLike", r#""a*""#, &["b"], true),
    ("StringEquals", r#""${aws:k}""#, &["a"], true),
    ("StringLike", r#""${*}""#, &["a"], false),
    ("NumericEquals", "5", &["5.0"], true),
    ("NumericEquals", r#"["4", "5"]"#, &["5"], true),
    ("NumericNotEquals", r#""5""#, &["6"], true),
    ("NumericNotEquals", r#""5""#, &["5"], false),
    ("NumericLessThan", r#""5""#, &["4"], true),
    ("NumericLessThan", r#""5""#, &["5"], false),
    ("NumericLessThanEquals", r#""5""#, &["5"], true),
    ("NumericGreaterThan", r#""-5""#, &["-4.5"], true),
    ("NumericGreaterThan", r#""5""#, &["x"], false),
    ("NumericGreaterThanEquals", r#""5""#, &["5"], true),
    ("NumericGreaterThanEquals", r#""5""#, &["inf"], false),
    ("DateEquals", r#""2026-11-22T10:00:00Z""#, &["2026-11-22T11:00:00+01:00"], true),
    ("DateNotEquals", r#""2026-11-22T10:00:00Z""#, &["2026-11-22T10:00:00Z"], false),
    ("DateLessThan", r#""2026-11-22""#, &["2026-11-21T23:59:59.9Z"], true),
    ("DateLessThanEquals", r#""1795341600""#, &["2026-11-22T10:00:00Z"], true),
    ("DateGreaterThan", r#""1795341600""#, &["2026-11-22T10:00:00Z"], false),
    ("DateGreaterThanEquals", "1795341600", &["2026-11-22T10:00:00Z"], true),
    ("Bool", "true", &["TRUE"], true),
    ("Bool", r#""false""#, &["true"], false),
    ("Bool", r#""true""#, &[], false),
    ("BoolIfExists", r#""true""#, &[], true),
    ("IpAddress", r#"["192.0.2.0/24", "198.51.100.7"]"#, &["192.0.2.255"], true),
    ("IpAddress", r#"["192.0.2.0/24", "198.51.100.7"]"#, &["198.51.100.7"], true),
    ("IpAddress", r#""192.0.2.0/24""#, &["192.0.3.0"], false),
    ("IpAddress", r#""192.0.2.0/24""#, &["::ffff:192.0.2.1"], true),
    ("IpAddress", r#""2001:db8::/33""#, &["2001:db8:7fff::1"], true),
    ("IpAddress", r#""2001:db8::/33""#, &["2001:db8:8000::1"], false),
    ("IpAddress", r#""0.0.0.0/0""#, &["203.0.113.1"], true),
    ("IpAddress", r#""0.0.0.0/0""#, &["2001:db8::1"], false),
    ("IpAddress", r#""::/0""#, &["2001:db8::1"], true),
    ("IpAddress", r#""0.0.0.0/0""#, &["unknown"], false),
    ("NotIpAddress", r#""192.0.2.0/24""#, &["192.0.2.1"], false),
    ("NotIpAddress", r#""192.0.2.0/24""#, &["192.0.3.1"], true),
    ("NotIpAddress", r#""192.0.2.0/24""#, &[], true),
    ("ArnEquals", r#""arn:aws:sns:*:123456789012:t""#, &["arn:aws:sns:eu-1:123456789012:t"], true),
    ("ArnLike", r#""arn:aws:sns:*:*:t""#, &["arn:aws:sns:eu-1:123456789012:u"], false),
    ("ArnLike", r#""arn:aws:s3:::a/*""#, &["arn:aws:s3:::a/b:c"], true),
    ("ArnLike", r#""*""#, &["arn:aws:s3:::a"], true),
    ("ArnLike", r#""arn:aws:iam::1:${aws:k}""#, &["arn"], false),
    ("ArnNotEquals", r#""arn:aws:s3:::a""#, &["arn:aws:s3:::b"], true),
    ("ArnNotLike", r#""arn:aws:s3:::*""#, &["arn:aws:s3:::b"], false),
    ("Null", "true", &[], true),
    ("Null", "true", &["x"], false),
    ("Null", r#""false""#, &["x"], true),
    ("Null", r#""false""#, &[], false),
    ("ForAnyValue:StringEquals", r#"["a", "b"]"#, &["c", "b"], true),
    ("ForAnyValue:StringEquals", r#"["a", "b"]"#, &["c"], false),
    ("ForAnyValue:StringEquals", r#""a""#, &[], false),
    ("ForAnyValue:StringEqualsIfExists", r#""a""#, &[], true),
    ("ForAnyValue:StringNotEquals", r#""a""#, &["a", "b"], true),
    ("ForAnyValue:StringNotEquals", r#""a""#, &[], false),
    ("ForAllValues:StringLike", r#"["a*", "b*"]"#, &["a1", "b1"], true),
    ("ForAllValues:StringLike", r#"["a*", "b*"]"#, &["a1", "c1"], false),
    ("ForAllValues:StringEquals", r#""a""#, &[], true),
    ("ForAllValues:StringNotEquals", r#""a""#, &["b", "a"], false),
];

#[test]
fn condition_operators_hold_as_iam_says() {
    for (operator, values, request, expected) in CONDITIONS {
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "*",
                "Resource": "*", "Condition": {{"{operator}": {{"AWS:k": {values}}}}}}}}}"#
        );
        let policy = Policy::parse(&text, PolicyKind::Authorizer).unwrap();
        let keys: Vec<_> = request.iter().map(|value| ("aws:K", *value)).collect();
        let found = evaluate(&policy, "/prod/GET/x", Principal::Anonymous, &keys);
        assert_eq!(found == Allow, *expected, "{operator} {values} {request:?}");
    }
}

#[test]
fn all_keys_and_operators_of_a_condition_have_to_hold() {
    let statement = json!({
        "Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {
            "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
            "StringEquals": {"aws:UserAgent": "a", "aws:Referer": "b"},
        },
    });
    let policy = parse(statement, PolicyKind::Authorizer);
    let keys = [("aws:SourceIp", "192.0.2.1"), ("aws:UserAgent", "a"), ("aws:Referer", "b")];
    assert_eq!(evaluate(&policy, "/x", Principal::Anonymous, &keys), Allow);
    for left_out in 0..3 {
        let mut keys = keys.to_vec();
        keys.remove(left_out);
        assert_eq!(evaluate(&policy, "/x", Principal::Anonymous, &keys), ImplicitDeny);
    }
}

#[test]
fn the_time_is_a_condition_key() {
    let with = |operator: &str, key: &str, value: &str| {
        let mut statement = allow("*", "*");
        statement["Condition"] = json!({operator: {key: value}});
        statement
    };
    check(with("DateGreaterThan", "aws:CurrentTime", "2026-11-22T09:59:59Z"), "/x", Allow);
    check(with("DateLessThan", "aws:CurrentTime", "2026-11-22T10:00:00Z"), "/x", ImplicitDeny);
    check(with("NumericLessThanEquals", "aws:EpochTime", "1795341600"), "/x", Allow);
    check(with("StringLike", "aws:CurrentTime", "2026-11-22T10:00:00Z"), "/x", Allow);
}

#[test]
fn a_variable_without_a_value_never_grants() {
    let resource = format!("{API}/prod/GET/${{aws:username}}");
    let not_resource =
        |effect: &str| json!({"Effect": effect, "Action": "*", "NotResource": resource});
    check(allow("*", &resource), "/prod/GET/ann", ImplicitDeny);
    check(not_resource("Allow"), "/prod/GET/ann", ImplicitDeny);
    check(not_resource("Deny"), "/prod/GET/ann", ExplicitDeny);
    let policy = parse(allow("*", &resource), PolicyKind::Authorizer);
    let keys = [("aws:username", "ann")];
    assert_eq!(evaluate(&policy, "/prod/GET/ann", ANN, &keys), Allow);
    let keys = [("aws:username", "*")];
    assert_eq!(evaluate(&policy, "/prod/GET/ann", ANN, &keys), ImplicitDeny);
    let mut statement = allow("*", "*");
    statement["Condition"] = json!({"StringNotEquals": {"aws:a": "${aws:b}"}});
    let policy = parse(statement, PolicyKind::Authorizer);
    assert_eq!(evaluate(&policy, "/x", ANN, &[("aws:a", "1")]), ImplicitDeny);
    assert_eq!(evaluate(&policy, "/x", ANN, &[("aws:a", "1"), ("aws:b", "2")]), Allow);
}

#[test]
fn variables_are_plain_text_before_the_version_of_2012() {
    let text = json!({"Statement": allow("*", "arn:${aws:username}")}).to_string();
    let policy = Policy::parse(&text, PolicyKind::Authorizer).unwrap();
    let request = Request {
        action: "a:b",
        resource: "arn:${aws:username}",
        principal: Principal::Anonymous,
        time: UNIX_EPOCH,
        keys: &crate::NoKeys,
    };
    assert_eq!(policy.evaluate(&request), Allow);
}

#[test]
fn what_is_malformed_is_refused_with_its_place() {
    let long = format!("arn:{}", "x".repeat(509));
    let principal = |value: Value| json!({"Effect": "Allow", "Principal": value, "Action": "*", "Resource": "*"});
    let condition = |value: Value| json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": value});
    for (statement, expected) in [
        (json!("x"), "Statement: must be an object"),
        (json!([]), "Statement: must have at least one statement"),
        (json!([allow("*", "*"), 1]), "Statement[1]: must be an object"),
        (json!({"Action": "*", "Resource": "*"}), "Statement.Effect: must be \"Allow\""),
        (json!({"Effect": "allow"}), "Statement.Effect: must be \"Allow\""),
        (json!({"Effect": "Allow", "Resource": "*"}), "Statement: has neither Action nor"),
        (json!({"Effect": "Allow", "Action": "*"}), "Statement: has neither Resource nor"),
        (
            json!({"Effect": "Deny", "Action": "*", "NotAction": "*", "Resource": "*"}),
            "Statement.NotAction: can't stand beside Action",
        ),
        (json!({"Effect": "Allow", "Action": [], "Resource": "*"}), "Statement.Action: must not"),
        (json!({"Effect": "Allow", "Action": [1], "Resource": "*"}), "Statement.Action: must be"),
        (allow("Invoke", "*"), "Statement.Action: \"Invoke\" must be * or begin with a service"),
        (allow("*", "pets"), "Statement.Resource: \"pets\" must be * or an ARN"),
        (allow("*", "arn:${x"), "Statement.Resource: \"arn:${x\" has a ${ without }"),
        (allow("*", &long), "Statement.Resource: \"arn:xxx"),
        (json!({"Effect": "Allow", "Effects": 1}), "Statement.Effects: is not known"),
        (json!({"Sid": 1}), "Statement.Sid: must be a string"),
        (principal(json!("ann")), "Statement.Principal: must be"),
        (principal(json!({})), "Statement.Principal: must be"),
        (principal(json!({"AWS": "ann"})), "Statement.Principal.AWS: \"ann\" must be"),
        (
            principal(json!({"AWS": "arn:aws:iam::123456789012:user/*"})),
            "Statement.Principal.AWS: \"arn:aws:iam::123456789012:user/*\" must be",
        ),
        (principal(json!({"Aws": "*"})), "Statement.Principal.Aws: is not known"),
        (condition(json!([])), "Statement.Condition: must be an object"),
        (condition(json!({"Like": {}})), "Statement.Condition.Like: is no condition operator"),
        (condition(json!({"NullIfExists": {}})), "Statement.Condition.NullIfExists: is no"),
        (condition(json!({"Bool": []})), "Statement.Condition.Bool: must be an object"),
        (condition(json!({"Bool": {"": true}})), "Statement.Condition.Bool.: must be a condition"),
        (
            condition(json!({"Bool": {"aws:x": "yes"}})),
            "Statement.Condition.Bool.aws:x: \"yes\" must be true or false",
        ),
        (
            condition(json!({"StringEquals": {"aws:x": {}}})),
            "Statement.Condition.StringEquals.aws:x: must be a string",
        ),
        (
            condition(json!({"IpAddress": {"aws:SourceIp": ["1.2.3.4", "1.2.3.0/33"]}})),
            "Statement.Condition.IpAddress.aws:SourceIp: \"1.2.3.0/33\" must be an IP address",
        ),
        (
            condition(json!({"NumericEquals": {"aws:x": "NaN"}})),
            "Statement.Condition.NumericEquals.aws:x: \"NaN\" must be a number",
        ),
        (
            condition(json!({"DateEquals": {"aws:x": "now"}})),
            "Statement.Condition.DateEquals.aws:x: \"now\" must be an ISO 8601",
        ),
        (
            condition(json!({"ArnLike": {"aws:x": "arn:aws"}})),
            "Statement.Condition.ArnLike.aws:x: \"arn:aws\" must be an ARN",
        ),
        (
            condition(json!({"Null": {"aws:x": ["true", "false"]}})),
            "Statement.Condition.Null.aws:x: \"true\" must be one value",
        ),
    ] {
        let policy = json!({"Version": "2012-10-17", "Statement": statement});
        let error = Policy::from_value(&policy, PolicyKind::Authorizer).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn a_document_that_is_no_policy_is_refused() {
    for (text, kind, expected) in [
        ("", PolicyKind::Authorizer, "policy: is not JSON"),
        ("[]", PolicyKind::Authorizer, "policy: must be an object"),
        ("{}", PolicyKind::Authorizer, "policy: has no Statement"),
        (r#"{"Version": "2013"}"#, PolicyKind::Authorizer, "Version: must be"),
        (r#"{"Statements": []}"#, PolicyKind::Authorizer, "Statements: is not known"),
        (
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
            RESOURCE,
            "Statement: has neither Principal nor NotPrincipal",
        ),
        (&"[".repeat(60_000), PolicyKind::Authorizer, "policy: is not JSON"),
        (&" ".repeat(65_537), PolicyKind::Authorizer, "policy: is 65537 bytes"),
        (&" ".repeat(8_193), RESOURCE, "policy: is 8193 bytes"),
    ] {
        let error = Policy::parse(text, kind).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn two_policies_are_combined_by_the_tables_for_same_and_cross_account() {
    for (one, other, same, cross) in [
        (Allow, Allow, Allow, Allow),
        (Allow, ImplicitDeny, Allow, ImplicitDeny),
        (Allow, ExplicitDeny, ExplicitDeny, ExplicitDeny),
        (ImplicitDeny, ImplicitDeny, ImplicitDeny, ImplicitDeny),
        (ImplicitDeny, ExplicitDeny, ExplicitDeny, ExplicitDeny),
        (ExplicitDeny, ExplicitDeny, ExplicitDeny, ExplicitDeny),
    ] {
        assert_eq!((one.or(other), other.or(one)), (same, same));
        assert_eq!((one.and(other), other.and(one)), (cross, cross));
    }
}
