//! What the management API keeps: each type is, as JSON, what API Gateway answers for that
//! resource, with botocore's member names, dates as seconds since the Unix epoch, and what is
//! absent left out. The store keeps the same JSON.
//!
//! ```text
//!  RestApi ─┬─ Resource ── Method ─┬─ Integration ── IntegrationResponse
//!           │                      └─ MethodResponse
//!           ├─ Model, RequestValidator, Authorizer, GatewayResponse, DocumentationPart
//!           ├─ Deployment ── the definition as it was then ([`crate::api::Api`])
//!           └─ Stage ──▶ Deployment, and another one with a canary
//! ```
//!
//! These types hold what a client may say, which is more than can be served: an integration
//! without a URI is a step on the way. [`Definition`] makes an [`crate::api::Api`] of them, which
//! is what a deployment freezes, and takes an import apart into them.

mod rest_api;
mod resource;
mod parts;
mod stage;
mod usage_plan;
mod domain_name;
mod account;
mod definition;

use serde::Serialize;
use serde_json::Value;

pub use account::{Account, ClientCertificate, VpcLink, VpcLinkStatus};
pub use definition::{Definition, FreezeError, ImportMode};
pub use domain_name::{
    BasePathMapping, DomainName, DomainNameStatus, MutualTlsAuthentication, RoutingMode,
    UploadedCertificate,
};
pub use parts::{
    Authorizer, DocumentationPart, DocumentationPartLocation, DocumentationVersion,
    GatewayResponse, Model, RequestValidator,
};
pub use resource::{Integration, IntegrationResponse, Method, MethodResponse, Resource, TlsConfig};
pub use rest_api::{EndpointConfiguration, RestApi};
pub use stage::{
    AccessLogSettings, CacheClusterStatus, CanarySettings, Deployment, MethodSetting,
    MethodSnapshot, Stage, UnauthorizedCacheControlHeaderStrategy,
};
pub use usage_plan::{
    ApiKey, ApiStage, QuotaPeriod, QuotaSettings, ThrottleSettings, UsagePlan, UsagePlanKey,
};

/// A moment as API Gateway's JSON has it: seconds since the Unix epoch.
pub type Timestamp = i64;

/// Members that are ours: kept in the store, never answered. Named one by one: a tag's name may
/// begin so as well.
const OWN: [&str; 4] = [
    "x-tollgate-certificate",
    "x-tollgate-jwt-configuration",
    "x-tollgate-private-key",
    "x-tollgate-transformers",
];

/// An entity as API Gateway's JSON: what is absent is left out.
pub fn wire(entity: &impl Serialize) -> Value {
    let mut value = record(entity);
    drop_own(&mut value);
    value
}

/// An entity as the store keeps it: [`wire`] with the members that are our own.
pub fn record(entity: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(entity).expect("entities have no keys but text");
    drop_nulls(&mut value);
    value
}

fn drop_own(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !OWN.contains(&name.as_str()));
            members.values_mut().for_each(drop_own);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_own),
        _ => {}
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// For `skip_serializing_if`.
fn is_false(value: &bool) -> bool {
    !value
}
