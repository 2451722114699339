//! TestInvokeAuthorizer.

use tollgate_gateway::Gateway;
use tollgate_management::{ApiError, AuthorizerResult, Invocation};
use tollgate_model::api::Api;
use tollgate_model::compile::StageSettings;

/// Lets an authorizer decide about a request that nobody sent.
pub fn run(
    _gateway: &Gateway,
    _api: &Api,
    _settings: StageSettings,
    _authorizer: &str,
    _invocation: &Invocation,
) -> Result<AuthorizerResult, ApiError> {
    Err(ApiError::bad_request("TestInvokeAuthorizer is not supported"))
}
