//! TestInvokeAuthorizer: an authorizer of an API as it is now, asked on its own.

use indexmap::IndexMap;
use tollgate_gateway::Gateway;
use tollgate_gateway::test_invoke::{
    AuthorizerInvocation, AuthorizerInvocationResult, TestInvocation,
};
use tollgate_management::{ApiError, AuthorizerResult, Invocation};
use tollgate_model::api::{
    Api, Authorization, Authorizer, AuthorizerType, HttpMethod, Method, Resource,
};
use tollgate_model::compile::StageSettings;

use super::data_plane::{block_on, compiled, internal};

/// What AWS gives as the client's status of an authorizer that succeeded
/// (<https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeAuthorizer.html>).
const SUCCEEDED: u16 = 0;

/// Lets an authorizer decide about a request that nobody sent.
pub fn run(
    gateway: &Gateway,
    api: &Api,
    settings: StageSettings,
    authorizer: &str,
    invocation: &Invocation,
) -> Result<AuthorizerResult, ApiError> {
    let Some(definition) = api.authorizers.get(authorizer) else {
        return Err(ApiError::not_found("Invalid Authorizer identifier specified"));
    };
    if let Some(kind) = untestable(definition.authorizer_type) {
        return Err(ApiError::bad_request(format!(
            "Authorizer {authorizer} can't be tested: {kind} authorizers are not served"
        )));
    }
    let stage = compiled(&guarded(api, authorizer, definition), &settings)?;
    let headers: Vec<(&str, &str)> =
        invocation.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let test = AuthorizerInvocation {
        authorizer,
        request: TestInvocation {
            path_with_query_string: invocation.path_with_query_string.as_deref().unwrap_or("/"),
            headers: &headers,
            body: invocation.body.as_bytes(),
        },
        context: invocation.additional_context.clone(),
    };
    let result = block_on(gateway.test_invoke_authorizer(stage, test)).map_err(internal)?;
    result
        .map(answer)
        .map_err(|error| ApiError::bad_request(format!("Invalid test invocation: {error}")))
}

fn untestable(authorizer_type: AuthorizerType) -> Option<&'static str> {
    match authorizer_type {
        AuthorizerType::Token | AuthorizerType::Request => None,
        AuthorizerType::CognitoUserPools => Some("COGNITO_USER_POOLS"),
        AuthorizerType::Jwt => Some("JWT"),
    }
}

/// The API's paths, each with nothing but a GET behind the authorizer. What else the API has need
/// not be whole for the test.
fn guarded(api: &Api, authorizer: &str, definition: &Authorizer) -> Api {
    let method = Method {
        operation_name: None,
        authorization: Authorization::Custom { authorizer: authorizer.to_owned() },
        api_key_required: false,
        request_parameters: Default::default(),
        request_models: Default::default(),
        request_validator: None,
        // The test ends before it.
        integration: None,
        responses: Default::default(),
        transformers: Vec::new(),
    };
    let methods = || IndexMap::from([(HttpMethod::Get, method.clone())]);
    let mut resources: IndexMap<String, Resource> = api
        .resources
        .iter()
        .map(|(path, it)| (path.clone(), Resource { id: it.id.clone(), methods: methods() }))
        .collect();
    resources.entry("/".to_owned()).or_insert_with(|| Resource { id: None, methods: methods() });
    Api {
        resources,
        models: Default::default(),
        request_validators: Default::default(),
        authorizers: IndexMap::from([(authorizer.to_owned(), definition.clone())]),
        policy: None,
        documentation: None,
        transformers: Vec::new(),
        ..api.clone()
    }
}

fn answer(result: AuthorizerInvocationResult) -> AuthorizerResult {
    let AuthorizerInvocationResult { status, allowed, log, latency } = result;
    let client_status = if allowed.is_some() { SUCCEEDED } else { status };
    let (principal_id, policy, claims) = match allowed {
        Some(it) => (Some(it.principal_id), Some(it.policy), it.context),
        None => Default::default(),
    };
    AuthorizerResult { client_status, principal_id, policy, claims, log, latency }
}
