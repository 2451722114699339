//! TestInvokeMethod and TestInvokeAuthorizer: the API as it is now, without a deployment.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeMethod.html>

use http::Method;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use tollgate_model::api::Api;
use tollgate_model::compile::StageSettings;
use tollgate_model::control_plane::{Authorizer, Resource};

use crate::call::{Answer, Call};
use crate::context::{AuthorizerResult, Context, Invocation, InvocationResult};
use crate::error::ApiError;
use crate::input::Input;
use crate::names::keys;
use crate::operations::import;
use crate::operations::rest_apis::api;
use crate::operations::stages;
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "TestInvokeMethod",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/resources/{resource_id}/methods/{http_method}",
        status: 200,
        run: test_invoke_method,
    },
    Operation {
        name: "TestInvokeAuthorizer",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/authorizers/{authorizer_id}",
        status: 200,
        run: test_invoke_authorizer,
    },
];

/// What AWS calls the stage of a test.
const STAGE: &str = "test-invoke-stage";

fn test_invoke_method(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let http_method = call.part("http_method");
    let ((frozen, settings), resource) = context.carry_out(|unit| {
        let tested = tested(context, unit, call, &input)?;
        let key = keys::resource(call.part("restapi_id"), call.part("resource_id"));
        let resource = unit.get::<Resource>(&key)?;
        let resource =
            resource.ok_or_else(|| ApiError::not_found("Invalid Resource identifier specified"))?;
        let method = resource.resource_methods.iter().find(|(it, _)| it.as_str() == http_method);
        let (_, method) =
            method.ok_or_else(|| ApiError::not_found("Invalid Method identifier specified"))?;
        if method.method_integration.is_none() {
            return Err(ApiError::not_found("No integration defined for method"));
        }
        Ok((tested, resource))
    })?;
    let invocation =
        Invocation { http_method: http_method.to_owned(), ..invocation(&input, resource.path)? };
    let result = context.data_plane.test_invoke(&frozen, settings, invocation)?;
    Ok(Answer::Json(method_result(&result)))
}

fn test_invoke_authorizer(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let ((frozen, settings), authorizer) = context.carry_out(|unit| {
        let tested = tested(context, unit, call, &input)?;
        let key = keys::authorizer(call.part("restapi_id"), call.part("authorizer_id"));
        let authorizer = unit.get::<Authorizer>(&key)?;
        let authorizer = authorizer
            .ok_or_else(|| ApiError::not_found("Invalid Authorizer identifier specified"))?;
        Ok((tested, authorizer))
    })?;
    let invocation = invocation(&input, "/".to_owned())?;
    let name = &authorizer.name;
    let result = context.data_plane.test_invoke_authorizer(&frozen, settings, name, invocation)?;
    Ok(Answer::Json(authorizer_result(&result)))
}

/// The API that is tested, and what it is compiled with.
fn tested(
    context: &Context,
    unit: &mut Unit,
    call: &Call,
    input: &Input,
) -> Result<(Api, StageSettings), ApiError> {
    let api = api(context, unit, call)?;
    let frozen = import::definition(unit, &api)?.api();
    let frozen = frozen.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let variables = input.sorted_text_map("stageVariables")?.unwrap_or_default();
    stages::check_variables(&variables)?;
    Ok((frozen, context.stage_settings(&api.id, STAGE, "", variables)))
}

fn invocation(input: &Input, resource_path: String) -> Result<Invocation, ApiError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let several = input.text_lists("multiValueHeaders")?.unwrap_or_default();
    for (name, value) in input.text_map("headers")?.unwrap_or_default() {
        if !several.keys().any(|it| it.eq_ignore_ascii_case(&name)) {
            headers.push((name, value));
        }
    }
    for (name, values) in several {
        headers.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    let context = input.sorted_text_map("additionalContext")?.unwrap_or_default();
    Ok(Invocation {
        http_method: "GET".to_owned(),
        resource_path,
        path_with_query_string: input.text("pathWithQueryString")?.filter(|path| !path.is_empty()),
        headers,
        body: input.text("body")?.unwrap_or_default(),
        additional_context: context,
    })
}

fn method_result(result: &InvocationResult) -> Value {
    let mut headers = Map::new();
    let mut several: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for (name, value) in &result.headers {
        headers.insert(name.clone(), json!(value));
        several.entry(name).or_default().push(value);
    }
    json!({
        "status": result.status,
        "body": result.body,
        "headers": headers,
        "multiValueHeaders": several,
        "log": result.log,
        "latency": milliseconds(result.latency),
    })
}

fn authorizer_result(result: &AuthorizerResult) -> Value {
    let mut value = json!({
        "clientStatus": result.client_status,
        "log": result.log,
        "latency": milliseconds(result.latency),
    });
    if let Some(principal_id) = &result.principal_id {
        value["principalId"] = json!(principal_id);
    }
    if let Some(policy) = &result.policy {
        value["policy"] = json!(policy);
    }
    if !result.claims.is_empty() {
        value["claims"] = json!(result.claims);
    }
    value
}

fn milliseconds(latency: std::time::Duration) -> u64 {
    u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)
}
