//! IAM policies: what an authorizer returns and what an API's resource policy says.
//!
//! A [`Policy`] is parsed once, when a definition is loaded or an authorizer answers, and then
//! evaluated for requests. Evaluating does not allocate, except for patterns with policy variables
//! (`${aws:username}`). Who signed a request is for [`sigv4`] to say.
//!
//! ```
//! use std::time::SystemTime;
//! use tollgate_auth::{Evaluation, NoKeys, Policy, PolicyKind, Principal, Request};
//!
//! let policy = Policy::parse(
//!     r#"{"Version": "2012-10-17", "Statement": {
//!         "Effect": "Allow", "Action": "execute-api:Invoke",
//!         "Resource": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/pets/*"}}"#,
//!     PolicyKind::Authorizer,
//! )?;
//! let request = Request {
//!     action: "execute-api:Invoke",
//!     resource: "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3/prod/GET/pets/1",
//!     principal: Principal::Anonymous,
//!     time: SystemTime::now(),
//!     keys: &NoKeys,
//! };
//! assert_eq!(policy.evaluate(&request), Evaluation::Allow);
//! # Ok::<(), tollgate_auth::PolicyError>(())
//! ```
//!
//! The language is IAM's ([elements](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html),
//! [operators](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html)).
//! Actions are compared without case, resources with. What AWS leaves open is decided so that it
//! never grants: a variable without a value matches nothing, and what excludes by it
//! (`NotResource`, `StringNotEquals`) doesn't hold in a statement that allows.

mod policy;
mod principal;
mod condition;
mod pattern;
mod date;
mod network;
mod parse;
pub mod sigv4;
#[cfg(test)]
mod tests;

pub use parse::{PolicyError, PolicyKind};
pub use policy::{ConditionKeys, Evaluation, NoKeys, Policy, Request};
pub use principal::Principal;

/// Bytes of a resource policy, as on AWS.
pub const RESOURCE_POLICY: usize = 8_192;
/// Bytes of a policy that an authorizer returns.
pub const AUTHORIZER_POLICY: usize = 64 * 1024;
/// Characters of a resource in a policy that an authorizer returns, as on AWS.
pub const AUTHORIZER_RESOURCE: usize = 512;
/// Bytes of any other value.
pub const VALUE: usize = 2_048;
