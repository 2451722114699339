//! Resource policies, as far as they need no evaluation.
//!
//! A policy whose only statements let everyone invoke everything is the same as none, and many
//! definitions carry it. Any other has to be evaluated for each request; until the gateway can,
//! it denies.

use serde_json::Value;

use super::StageSettings;
use super::stage::CompiledPolicy;

/// `policy` is as written: an object, or the text of one.
pub(crate) fn compile(policy: Option<&Value>, settings: &StageSettings) -> CompiledPolicy {
    let parsed;
    let policy = match policy {
        None | Some(Value::Null) => return CompiledPolicy::Absent,
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(value) => {
                parsed = value;
                &parsed
            }
            Err(_) => return CompiledPolicy::Unserved("the policy is not JSON".to_owned()),
        },
        Some(policy) => policy,
    };
    match denied_statement(policy, settings) {
        None => CompiledPolicy::AllowAll,
        Some(reason) => CompiledPolicy::Unserved(reason),
    }
}

/// Why the policy is not a plain allow-all.
fn denied_statement(policy: &Value, settings: &StageSettings) -> Option<String> {
    let statements = one_or_many(policy.get("Statement").unwrap_or(&Value::Null));
    if statements.is_empty() {
        return Some("the policy has no statement".to_owned());
    }
    statements.iter().enumerate().find_map(|(index, statement)| {
        let reason = reason(statement, settings)?;
        Some(format!("statement {} {reason}", index + 1))
    })
}

/// What in a statement needs evaluation.
fn reason(statement: &Value, settings: &StageSettings) -> Option<&'static str> {
    const KNOWN: [&str; 5] = ["Sid", "Effect", "Principal", "Action", "Resource"];
    let Some(members) = statement.as_object() else { return Some("is not an object") };
    let values = |name: &str| members.get(name).map(one_or_many).unwrap_or_default();
    if members.get("Effect").and_then(Value::as_str) != Some("Allow") {
        Some("does not allow")
    } else if members.contains_key("Condition") {
        Some("has a condition")
    } else if members.keys().any(|name| !KNOWN.contains(&&**name)) {
        Some("has elements other than Effect, Principal, Action and Resource")
    } else if !members.get("Principal").is_some_and(is_everyone) {
        Some("does not allow every principal")
    } else if !values("Action").iter().any(|action| action.as_str().is_some_and(is_invoke)) {
        Some("does not allow execute-api:Invoke")
    } else if !values("Resource")
        .iter()
        .any(|resource| resource.as_str().is_some_and(|text| covers_stage(text, settings)))
    {
        Some("does not cover every method of the stage")
    } else {
        None
    }
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(values) => values,
        value => std::slice::from_ref(value),
    }
}

/// `"*"` or `{"AWS": "*"}`.
fn is_everyone(principal: &Value) -> bool {
    let any = |value: &Value| one_or_many(value).iter().any(|name| name == "*");
    any(principal) || principal.get("AWS").is_some_and(any)
}

fn is_invoke(action: &str) -> bool {
    ["execute-api:Invoke", "execute-api:*", "*"]
        .iter()
        .any(|known| action.eq_ignore_ascii_case(known))
}

/// `*`, `execute-api:/…` or `arn:aws:execute-api:{region}:{account}:{api}/…`, where what follows
/// covers all of this stage.
fn covers_stage(resource: &str, settings: &StageSettings) -> bool {
    if resource == "*" {
        return true;
    }
    if let Some(path) = resource.strip_prefix("execute-api:/") {
        return covers(path, [&settings.stage_name]);
    }
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    let is = |pattern: &str, value: &str| pattern == "*" || pattern == value;
    match *parts {
        ["arn", _, "execute-api", "*"] => true,
        ["arn", _, "execute-api", region, "*"] => is(region, &settings.region),
        ["arn", _, "execute-api", region, account, path] => {
            is(region, &settings.region)
                && is(account, &settings.account_id)
                && covers(path, [&settings.api_id.0, &settings.stage_name])
        }
        _ => false,
    }
}

/// Whether a pattern of segments matches everything below the names it has to begin with: each
/// segment is `*`, or the name at its place; a last `*` takes all that follows.
fn covers<const N: usize>(pattern: &str, names: [&String; N]) -> bool {
    let segments: Vec<&str> = pattern.split('/').collect();
    segments.last() == Some(&"*")
        && segments.iter().enumerate().all(|(at, segment)| {
            *segment == "*" || names.get(at).is_some_and(|name| **name == **segment)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::api::ApiId;

    fn check(policy: Value) -> CompiledPolicy {
        let settings = StageSettings {
            api_id: ApiId("a1b2c3d4e5".to_owned()),
            stage_name: "prod".to_owned(),
            deployment_id: "abc123".to_owned(),
            account_id: "111122223333".to_owned(),
            region: "us-east-1".to_owned(),
            stage_variables: BTreeMap::new(),
            maximum_integration_timeout: Duration::from_secs(29),
        };
        compile(Some(&policy), &settings)
    }

    fn allow(resource: &str) -> Value {
        json!({"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": resource})
    }

    #[test]
    fn a_policy_that_allows_everyone_everything_is_recognised() {
        for resource in [
            "*",
            "execute-api:/*",
            "execute-api:/*/*/*",
            "execute-api:/prod/*",
            "arn:aws:execute-api:*:*:*",
            "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/*",
            "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/*/*",
            "arn:aws:execute-api:us-east-1:*:*/*/*/*",
        ] {
            assert_eq!(
                check(json!({"Statement": [allow(resource)]})),
                CompiledPolicy::AllowAll,
                "{resource}"
            );
        }
        for principal in [json!("*"), json!(["*"]), json!({"AWS": "*"}), json!({"AWS": ["*"]})] {
            let mut statement = allow("*");
            statement["Principal"] = principal;
            statement["Action"] = json!(["execute-api:*"]);
            statement["Resource"] = json!(["execute-api:/test/*", "execute-api:/*"]);
            assert_eq!(check(json!({"Statement": statement})), CompiledPolicy::AllowAll);
        }
        let text = json!({"Statement": [allow("*")]}).to_string();
        assert_eq!(check(Value::String(text)), CompiledPolicy::AllowAll);
        assert_eq!(check(Value::Null), CompiledPolicy::Absent);
    }

    #[test]
    fn a_resource_that_leaves_something_out_is_not_all() {
        for resource in [
            "execute-api:/test/*",
            "execute-api:/*/GET/*",
            "execute-api:/prod",
            "arn:aws:execute-api:eu-west-1:*:*",
            "arn:aws:execute-api:us-east-1:999999999999:a1b2c3d4e5/*",
            "arn:aws:execute-api:us-east-1:111122223333:other/*",
            "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/prod/GET/*",
            "arn:aws:s3:::bucket/*",
            "",
        ] {
            let expected = "statement 1 does not cover every method of the stage";
            assert_eq!(
                check(json!({"Statement": [allow(resource)]})),
                CompiledPolicy::Unserved(expected.to_owned()),
                "{resource}"
            );
        }
    }

    #[test]
    fn anything_that_needs_evaluation_says_what() {
        let with = |name: &str, value: Value| {
            let mut statement = allow("*");
            statement[name] = value;
            json!({"Statement": [allow("*"), statement]})
        };
        for (policy, reason) in [
            (with("Effect", json!("Deny")), "statement 2 does not allow"),
            (with("Condition", json!({})), "statement 2 has a condition"),
            (
                with("NotAction", json!("x")),
                "statement 2 has elements other than Effect, Principal, Action and Resource",
            ),
            (
                with("Principal", json!({"AWS": "arn:aws:iam::1:root"})),
                "statement 2 does not allow every principal",
            ),
            (
                with("Action", json!("execute-api:InvalidateCache")),
                "statement 2 does not allow execute-api:Invoke",
            ),
            (json!({"Statement": []}), "the policy has no statement"),
            (json!({}), "the policy has no statement"),
            (json!("{"), "the policy is not JSON"),
            (json!({"Statement": "x"}), "statement 1 is not an object"),
        ] {
            assert_eq!(check(policy), CompiledPolicy::Unserved(reason.to_owned()));
        }
    }
}
