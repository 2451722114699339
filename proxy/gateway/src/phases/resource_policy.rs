//! The API's resource policy (auth §3). Policies that allow everyone everything pass; others
//! can't be evaluated yet and deny, as loading them warns.

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::CompiledPolicy;

use super::route::method;
use crate::exchange::Exchange;
use crate::head::RequestHead;
use crate::refusal::Refusal;

pub fn check(head: &RequestHead, exchange: &Exchange) -> Result<(), Refusal> {
    let Some(stage) = exchange.stage.as_ref().map(|stage| &stage.compiled) else {
        return Ok(());
    };
    let cause = match &stage.resource_policy {
        CompiledPolicy::AllowAll => return Ok(()),
        // A private API without a policy denies all on AWS. Here the listener already says
        // which VPC endpoint it stands for, and a definition without a policy is common.
        CompiledPolicy::Absent => return Ok(()),
        CompiledPolicy::Unserved(reason) => reason.clone(),
    };
    let account = &stage.account_id;
    let hidden = account.get(account.len().saturating_sub(4)..).unwrap_or_default();
    let message = format!(
        "User: anonymous is not authorized to perform: execute-api:Invoke on resource: \
         arn:aws:execute-api:{}:********{hidden}:{}/{}/{}{}",
        stage.region,
        stage.api_id,
        stage.stage_name,
        String::from_utf8_lossy(method(head)),
        exchange.resource_path,
    );
    Err(Refusal::Gateway {
        response_type: GatewayResponseType::AccessDenied,
        status: None,
        message: Some(message.into()),
        cause: Some(cause.into()),
    })
}
