//! Authorizers: CreateAuthorizer, GetAuthorizer, GetAuthorizers, UpdateAuthorizer,
//! DeleteAuthorizer.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html>. Here the URI of a
//! TOKEN or REQUEST authorizer may also be `plugin:NAME`.

use http::Method;
use tollgate_model::api::AuthorizerType;
use tollgate_model::compile::Identity;
use tollgate_model::compile::authorizer::{DEFAULT_TIME_TO_LIVE, PLUGIN_URI};
use tollgate_model::control_plane::{Authorizer, RestApi, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::{ID, keys};
use crate::operations::rest_apis::api;
use crate::operations::uses;
use crate::page;
use crate::patch::{Op, Patch, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateAuthorizer",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/authorizers",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetAuthorizers",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/authorizers",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetAuthorizer",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/authorizers/{authorizer_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateAuthorizer",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/authorizers/{authorizer_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteAuthorizer",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/authorizers/{authorizer_id}",
        status: 202,
        run: delete,
    },
];

const TYPES: [(&str, AuthorizerType); 3] = [
    ("TOKEN", AuthorizerType::Token),
    ("REQUEST", AuthorizerType::Request),
    ("COGNITO_USER_POOLS", AuthorizerType::CognitoUserPools),
];

/// Seconds.
const MAXIMUM_TIME_TO_LIVE: u32 = 3_600;

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let name = input.required_text("name")?;
    let Some(type_name) = input.one_of("type", &TYPES.map(|(name, _)| name))? else {
        return Err(input.missing("type"));
    };
    let authorizer_type = parse_type(type_name).ok_or_else(|| input.missing("type"))?;
    let given = |member| Ok::<_, ApiError>(input.text(member)?.filter(|text| !text.is_empty()));
    let time_to_live = input.integer("authorizerResultTtlInSeconds")?;
    let authorizer = Authorizer {
        id: String::new(),
        name,
        authorizer_type,
        provider_arns: input.texts("providerARNs")?.unwrap_or_default(),
        auth_type: Some(given("authType")?.unwrap_or_else(|| label(authorizer_type).to_owned())),
        authorizer_uri: given("authorizerUri")?,
        authorizer_credentials: given("authorizerCredentials")?,
        identity_source: given("identitySource")?,
        identity_validation_expression: given("identityValidationExpression")?,
        authorizer_result_ttl_in_seconds: time_to_live.map(self::time_to_live).transpose()?,
        jwt_configuration: None,
    };
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let id = unit.new_id(ID, |id| keys::authorizer(&api.id, id))?;
        let authorizer = Authorizer { id, ..authorizer.clone() };
        put(unit, &api, &authorizer)?;
        Ok(Answer::Json(wire(&authorizer)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let under = keys::of_api(&api.id, "authorizers");
        page::list(call, unit, &under, |_: &Authorizer| true, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        Ok(Answer::Json(wire(&authorizer(unit, &api, call)?)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let mut authorizer = authorizer(unit, &api, call)?;
        for patch in &patches {
            apply(&mut authorizer, patch)?;
        }
        put(unit, &api, &authorizer)?;
        Ok(Answer::Json(wire(&authorizer)))
    })
}

fn apply(authorizer: &mut Authorizer, patch: &Patch) -> Result<(), ApiError> {
    let value = || patch.optional_text().filter(|text| !text.is_empty());
    match (patch.op, patch.path.as_str()) {
        (Op::Replace, "/name") => patch.text()?.clone_into(&mut authorizer.name),
        (Op::Replace, "/type") => {
            let name = patch.one_of(&TYPES.map(|(name, _)| name))?;
            authorizer.authorizer_type = parse_type(name).ok_or_else(|| patch.invalid_path())?;
        }
        (Op::Replace, "/authType") => authorizer.auth_type = value(),
        (Op::Replace, "/authorizerUri") => authorizer.authorizer_uri = value(),
        (Op::Replace, "/authorizerCredentials") => authorizer.authorizer_credentials = value(),
        (Op::Replace, "/authorizerResultTtlInSeconds") => {
            let seconds = time_to_live(patch.number("a number of seconds")?)?;
            authorizer.authorizer_result_ttl_in_seconds = Some(seconds);
        }
        (Op::Replace, "/identityValidationExpression") => {
            authorizer.identity_validation_expression = value();
        }
        (Op::Replace, "/identitySource") => authorizer.identity_source = value(),
        (Op::Add | Op::Remove, "/identitySource") => change_sources(authorizer, patch),
        (Op::Add | Op::Remove, "/providerARNs") => {
            change(&mut authorizer.provider_arns, patch.op, patch.text()?);
        }
        _ => return Err(patch.invalid_path()),
    }
    Ok(())
}

/// Adds to or takes from the sources; without a value takes all.
fn change_sources(authorizer: &mut Authorizer, patch: &Patch) {
    let declared = authorizer.identity_source.as_deref().unwrap_or_default();
    let mut sources: Vec<String> = split(declared).map(str::to_owned).collect();
    match &patch.value {
        Some(value) => split(value).for_each(|source| change(&mut sources, patch.op, source)),
        None => sources.clear(),
    }
    authorizer.identity_source = (!sources.is_empty()).then(|| sources.join(","));
}

fn split(sources: &str) -> impl Iterator<Item = &str> {
    sources.split(',').map(str::trim).filter(|source| !source.is_empty())
}

fn change(list: &mut Vec<String>, op: Op, item: &str) {
    match op {
        Op::Remove => list.retain(|known| known != item),
        _ if list.iter().any(|known| known == item) => {}
        _ => list.push(item.to_owned()),
    }
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let authorizer = authorizer(unit, &api, call)?;
        let user = uses::of_methods(unit, &api.id, |path, method| {
            let used = method.authorizer_id.as_ref() == Some(&authorizer.id);
            used.then(|| format!("{}/{path}", method.http_method))
        })?;
        if let Some(user) = user {
            return Err(ApiError::conflict(format!(
                "Cannot delete authorizer '{}', is referenced in method: {user}",
                authorizer.name
            )));
        }
        unit.delete(keys::authorizer(&api.id, &authorizer.id));
        Ok(Answer::Empty)
    })
}

fn authorizer(unit: &mut Unit, api: &RestApi, call: &Call) -> Result<Authorizer, ApiError> {
    let found = unit.get(&keys::authorizer(&api.id, call.part("authorizer_id")))?;
    found.ok_or_else(|| ApiError::not_found("Invalid Authorizer identifier specified"))
}

/// Puts an authorizer that is as its type has to be, and whose name no other has: a definition
/// knows authorizers by name.
fn put(unit: &mut Unit, api: &RestApi, authorizer: &Authorizer) -> Result<(), ApiError> {
    check(authorizer)?;
    let others: Vec<Authorizer> = unit.list(&keys::of_api(&api.id, "authorizers"))?;
    if others.iter().any(|other| other.id != authorizer.id && other.name == authorizer.name) {
        return Err(ApiError::bad_request(format!(
            "Authorizer name must be unique. Authorizer {} already exists in this RestApi.",
            authorizer.name
        )));
    }
    unit.put(keys::authorizer(&api.id, &authorizer.id), authorizer);
    Ok(())
}

fn check(authorizer: &Authorizer) -> Result<(), ApiError> {
    if authorizer.name.trim().is_empty() {
        return Err(ApiError::bad_request("Authorizer name cannot be blank"));
    }
    match authorizer.authorizer_type {
        AuthorizerType::Token | AuthorizerType::Request => check_function(authorizer)?,
        AuthorizerType::CognitoUserPools => check_pools(&authorizer.provider_arns)?,
        // Only an import makes one.
        AuthorizerType::Jwt => return Ok(()),
    }
    check_identity_source(authorizer)?;
    Identity::compile(
        authorizer.authorizer_type,
        authorizer.identity_source.as_deref(),
        authorizer.identity_validation_expression.as_deref(),
    )
    .map(drop)
    .map_err(ApiError::bad_request)
}

fn check_function(authorizer: &Authorizer) -> Result<(), ApiError> {
    let uri = authorizer.authorizer_uri.as_deref().unwrap_or_default();
    let is_plugin = uri.strip_prefix(PLUGIN_URI).is_some_and(|name| !name.is_empty());
    if !is_plugin && !is_function_invocation(uri) {
        return Err(ApiError::bad_request(format!(
            "Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API Gateway ARN that represents a Lambda function invocation."
        )));
    }
    match authorizer.authorizer_credentials.as_deref() {
        Some(arn) if !is_arn_of(arn, "iam") => {
            Err(ApiError::bad_request("Invalid ARN specified in the request"))
        }
        _ => Ok(()),
    }
}

/// `arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function ARN}/invocations`
fn is_function_invocation(uri: &str) -> bool {
    let path = uri.splitn(6, ':').nth(5);
    let is_lambda = uri.split(':').nth(4) == Some("lambda") && is_arn_of(uri, "apigateway");
    let function = path
        .and_then(|path| path.strip_prefix("path/2015-03-31/functions/"))
        .and_then(|rest| rest.strip_suffix("/invocations"));
    is_lambda && function.is_some_and(|function| !function.is_empty())
}

fn check_pools(arns: &[String]) -> Result<(), ApiError> {
    if arns.is_empty() {
        return Err(ApiError::bad_request(
            "A COGNITO_USER_POOLS authorizer requires at least one provider ARN",
        ));
    }
    let is_pool = |arn: &&String| {
        let pool = arn.splitn(6, ':').nth(5).and_then(|it| it.strip_prefix("userpool/"));
        is_arn_of(arn, "cognito-idp") && pool.is_some_and(|pool| !pool.is_empty())
    };
    match arns.iter().find(|arn| !is_pool(arn)) {
        Some(arn) => Err(ApiError::bad_request(format!(
            "Invalid provider ARN: {arn}. Must be arn:aws:cognito-idp:{{region}}:{{account_id}}:userpool/{{user_pool_id}}"
        ))),
        None => Ok(()),
    }
}

fn check_identity_source(authorizer: &Authorizer) -> Result<(), ApiError> {
    if authorizer.identity_source.is_some() {
        return Ok(());
    }
    let time_to_live = authorizer
        .authorizer_result_ttl_in_seconds
        .map_or(DEFAULT_TIME_TO_LIVE, |seconds| std::time::Duration::from_secs(seconds.into()));
    match authorizer.authorizer_type {
        AuthorizerType::Request if time_to_live.is_zero() => Ok(()),
        AuthorizerType::Request => Err(ApiError::bad_request(
            "Identity source must be set if authorizer caching is enabled (TTL is greater than 0)",
        )),
        _ => Err(ApiError::bad_request(
            "Identity source must be set: method.request.header.{name} of the header that has the token",
        )),
    }
}

/// `arn:{partition}:{service}:…`
fn is_arn_of(arn: &str, service: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let is_arn = parts.next() == Some("arn");
    let has_partition = parts.next().is_some_and(|partition| !partition.is_empty());
    is_arn && has_partition && parts.next() == Some(service) && parts.count() == 3
}

fn parse_type(name: &str) -> Option<AuthorizerType> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, authorizer_type)| *authorizer_type)
}

/// The `authType` that AWS gives an authorizer.
fn label(authorizer_type: AuthorizerType) -> &'static str {
    match authorizer_type {
        AuthorizerType::Token | AuthorizerType::Request => "custom",
        AuthorizerType::CognitoUserPools => "cognito_user_pools",
        AuthorizerType::Jwt => "jwt",
    }
}

fn time_to_live(seconds: i64) -> Result<u32, ApiError> {
    let allowed = u32::try_from(seconds).ok().filter(|seconds| *seconds <= MAXIMUM_TIME_TO_LIVE);
    allowed.ok_or_else(|| {
        ApiError::bad_request(format!(
            "Authorizer result TTL must be between 0 and {MAXIMUM_TIME_TO_LIVE} seconds"
        ))
    })
}

#[cfg(test)]
mod tests;
