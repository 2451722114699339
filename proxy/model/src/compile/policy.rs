//! Resource policies.
//!
//! A policy whose only statements let everyone invoke everything is the same as none, and many
//! definitions carry it. Any other is evaluated for each request.

use serde_json::Value;
use tollgate_auth::{Policy, PolicyKind};

use super::stage::CompiledPolicy;
use super::{CompileError, StageSettings};

/// `policy` is as written: an object, or the text of one.
pub(crate) fn compile(
    policy: Option<&Value>,
    settings: &StageSettings,
) -> Result<CompiledPolicy, CompileError> {
    let policy = match policy {
        None | Some(Value::Null) => return Ok(CompiledPolicy::Absent),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(CompiledPolicy::Absent),
        Some(policy) => policy,
    };
    let StageSettings { region, account_id, api_id, .. } = settings;
    let api_arn = &format!("arn:{}:execute-api:{region}:{account_id}:{api_id}", partition(region));
    let compiled = Policy::from_value(policy, PolicyKind::Resource { api_arn });
    let compiled = compiled.map_err(|error| CompileError {
        location: "x-amazon-apigateway-policy".to_owned(),
        message: format!(
            "Invalid policy document. Please check the policy syntax and ensure that Principals \
             are valid. ({error})"
        ),
    })?;
    let text;
    let policy = match policy {
        // It is JSON, or it would not have been compiled.
        Value::String(policy) => {
            text = serde_json::from_str(policy).unwrap_or_default();
            &text
        }
        policy => policy,
    };
    let statements = policy.get("Statement").map(one_or_many).unwrap_or_default();
    Ok(match statements.iter().all(|statement| allows_all(statement, settings)) {
        true => CompiledPolicy::AllowAll,
        false => CompiledPolicy::Evaluated(compiled),
    })
}

/// The partition a region belongs to.
pub fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

fn allows_all(statement: &Value, settings: &StageSettings) -> bool {
    const KNOWN: [&str; 5] = ["Sid", "Effect", "Principal", "Action", "Resource"];
    let Some(members) = statement.as_object() else { return false };
    let any = |name: &str, f: &dyn Fn(&str) -> bool| {
        let values = members.get(name).map(one_or_many).unwrap_or_default();
        values.iter().any(|value| value.as_str().is_some_and(f))
    };
    members.keys().all(|name| KNOWN.contains(&&**name))
        && members.get("Effect").and_then(Value::as_str) == Some("Allow")
        && members.get("Principal").is_some_and(is_everyone)
        && any("Action", &is_invoke)
        && any("Resource", &|resource| covers_stage(resource, settings))
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
    principal == "*" || principal.get("AWS").is_some_and(any)
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
    use serde_json::json;

    use super::*;
    use crate::api::ApiId;

    fn try_check(policy: Value) -> Result<CompiledPolicy, CompileError> {
        let settings = StageSettings {
            api_id: ApiId("a1b2c3d4e5".to_owned()),
            stage_name: "prod".to_owned(),
            account_id: "111122223333".to_owned(),
            ..StageSettings::default()
        };
        compile(Some(&policy), &settings)
    }

    /// `absent`, `all`, or `evaluated`.
    fn check(policy: Value) -> &'static str {
        match try_check(policy).expect("a policy") {
            CompiledPolicy::Absent => "absent",
            CompiledPolicy::AllowAll => "all",
            CompiledPolicy::Evaluated(_) => "evaluated",
        }
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
            assert_eq!(check(json!({"Statement": [allow(resource)]})), "all", "{resource}");
        }
        for principal in [json!("*"), json!({"AWS": "*"}), json!({"AWS": ["*"]})] {
            let mut statement = allow("*");
            statement["Principal"] = principal;
            statement["Action"] = json!(["execute-api:*"]);
            statement["Resource"] = json!(["execute-api:/test/*", "execute-api:/*"]);
            assert_eq!(check(json!({"Statement": statement})), "all");
        }
        let text = json!({"Statement": [allow("*")]}).to_string();
        assert_eq!(check(Value::String(text)), "all");
        assert_eq!(check(Value::Null), "absent");
        assert_eq!(check(json!("")), "absent");
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
        ] {
            assert_eq!(check(json!({"Statement": [allow(resource)]})), "evaluated", "{resource}");
        }
    }

    #[test]
    fn what_is_more_than_an_allow_for_everyone_is_evaluated() {
        let with = |name: &str, value: Value| {
            let mut statement = allow("*");
            statement[name] = value;
            json!({"Version": "2012-10-17", "Statement": [allow("*"), statement]})
        };
        for policy in [
            with("Effect", json!("Deny")),
            with("Condition", json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})),
            with("Principal", json!({"AWS": "arn:aws:iam::111122223333:root"})),
            with("Action", json!("execute-api:InvalidateCache")),
        ] {
            assert_eq!(check(policy.clone()), "evaluated", "{policy}");
        }
    }

    #[test]
    fn a_malformed_policy_is_refused() {
        for policy in [json!({"Statement": []}), json!({}), json!("{"), json!({"Statement": "x"})] {
            let error = try_check(policy).expect_err("refused");
            assert_eq!(error.location, "x-amazon-apigateway-policy");
            assert!(error.message.starts_with("Invalid policy document. Please"), "{error}");
        }
    }
}
