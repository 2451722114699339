//! The account: GetAccount, UpdateAccount.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_GetAccount.html>

use http::Method;
use serde_json::Value;
use tollgate_model::control_plane::{Account, ThrottleSettings, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::keys;
use crate::patch::{Op, Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "GetAccount", method: Method::GET, uri: "/account", status: 200, run: get },
    Operation {
        name: "UpdateAccount",
        method: Method::PATCH,
        uri: "/account",
        status: 200,
        run: update,
    },
];

const PATCHABLE: Patchable = Patchable {
    replace: &["/cloudwatchRoleArn"],
    add: &["/features"],
    remove: &["/features", "/cloudwatchRoleArn"],
};

/// The one feature there is; every account has it.
const USAGE_PLANS: &str = "UsagePlans";

fn get(context: &Context, _: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(show(context, account(context, unit)?))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let mut account = account(context, unit)?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            match (patch.path.as_str(), patch.op) {
                ("/features", _) if patch.text()? != USAGE_PLANS => {
                    return Err(patch.invalid_value(patch.text()?, USAGE_PLANS));
                }
                ("/features", Op::Remove) => {
                    return Err(ApiError::bad_request(
                        "Usage Plans cannot be disabled once enabled",
                    ));
                }
                ("/features", _) => {}
                _ => account.cloudwatch_role_arn = role(patch.optional_text())?,
            }
        }
        unit.put(keys::account(), &account);
        Ok(Answer::Json(show(context, account)))
    })
}

/// An ARN; no text takes it away.
fn role(arn: Option<String>) -> Result<Option<String>, ApiError> {
    match arn.filter(|arn| !arn.is_empty()) {
        Some(arn) if !arn.starts_with("arn:") => {
            Err(ApiError::bad_request(format!("Invalid ARN specified in the request: {arn}")))
        }
        arn => Ok(arn),
    }
}

fn account(context: &Context, unit: &mut Unit) -> Result<Account, ApiError> {
    let (rate_limit, burst_limit) = context.settings.account_throttle;
    let kept = unit.get(&keys::account())?;
    Ok(kept.unwrap_or_else(|| Account {
        cloudwatch_role_arn: None,
        throttle_settings: ThrottleSettings { burst_limit, rate_limit },
        features: vec![USAGE_PLANS.to_owned()],
        api_key_version: "4".to_owned(),
    }))
}

/// The throttle is the configuration's, whatever it was when the record was written.
fn show(context: &Context, mut account: Account) -> Value {
    let (rate_limit, burst_limit) = context.settings.account_throttle;
    account.throttle_settings = ThrottleSettings { burst_limit, rate_limit };
    wire(&account)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{fixture, patch, replace};

    #[test]
    fn an_account_has_the_configurations_throttle_and_keeps_its_role() {
        let fixture = fixture();
        let mut account = json!({
            "throttleSettings": {"burstLimit": 5000, "rateLimit": 10000.0},
            "features": ["UsagePlans"],
            "apiKeyVersion": "4",
        });
        assert_eq!(fixture.ok("GET", "/account", Value::Null), account);
        account["cloudwatchRoleArn"] = json!("arn:aws:iam::123456789012:role/logs");
        let role = replace("/cloudwatchRoleArn", "arn:aws:iam::123456789012:role/logs");
        assert_eq!(fixture.ok("PATCH", "/account", role), account);
        assert_eq!(
            fixture.ok("PATCH", "/account", patch("add", "/features", "UsagePlans")),
            account
        );
        assert_eq!(fixture.ok("GET", "/account", Value::Null), account);
        let refusals = [
            ("remove", "/features", "UsagePlans", "Usage Plans cannot be disabled once enabled"),
            (
                "add",
                "/features",
                "x",
                "Invalid patch value 'x' specified for path '/features'. Must be UsagePlans",
            ),
            (
                "replace",
                "/x",
                "x",
                "Invalid patch path  '/x' specified for op 'replace'. Must be one of: [/cloudwatchRoleArn]",
            ),
            ("replace", "/cloudwatchRoleArn", "x", "Invalid ARN specified in the request: x"),
        ];
        fixture.refuses_patches("/account", &refusals);
    }
}
