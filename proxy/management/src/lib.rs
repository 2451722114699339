//! API Gateway's management API (version 2015-07-09, "v1"): JSON over REST as boto3, aws-cli and
//! Terraform speak it.
//!
//! ```text
//!  http ── SigV4 ──▶ router ──▶ operations ──▶ unit of work ──▶ store
//!                      │            │ what a deployment freezes: tollgate_model::control_plane
//!                      └ one table  └ what only the running gateway knows: DataPlane
//! ```
//!
//! [`router::OPERATIONS`] lists every operation of botocore's service model: each line is one
//! operation with its URI, its status code and the function that carries it out. An operation
//! reads and writes through a [`unit::Unit`]: everything it wrote is in the store when it is
//! answered, or nothing is.
//!
//! The crate knows nothing of the gateway: the binary watches the store.

pub mod http;
mod call;
mod context;
mod error;
mod input;
mod names;
mod operations;
mod page;
mod patch;
pub mod router;
mod unit;
#[cfg(test)]
mod testing;

pub use call::{Answer, Call};
pub use context::{
    AuthorizerResult, Context, DataPlane, Invocation, InvocationResult, Settings, UsageReport,
    UsageRequest,
};
pub use error::{ApiError, ErrorKind};
pub use names::keys;
pub use operations::deployments::name_vpc_links;

use ::http::{HeaderName, HeaderValue};
use bytes::Bytes;

/// The API, ready to answer.
pub struct Management {
    pub context: Context,
}

/// Warnings that an answer carries in its headers; the log has all.
const WARNINGS_SHOWN: usize = 20;
/// What was accepted and will fail or do nothing when it is served, one header each. Ours: AWS
/// only tells when it is called.
const WARNING: HeaderName = HeaderName::from_static("x-tollgate-warning");

impl http::Handler for Management {
    fn call(&self, request: http::Request) -> http::Response {
        let path = request.path.clone();
        match router::answer(&self.context, request) {
            Ok(answered) => {
                if let Answer::WithWarnings(_, warnings) = &answered.answer {
                    for warning in warnings {
                        tracing::warn!(path, "{warning}");
                    }
                }
                response(answered)
            }
            Err(error) => {
                let body = serde_json::json!({ "message": error.message });
                let mut response = json(error.kind.status(), &body);
                let name = HeaderName::from_static("x-amzn-errortype");
                response.headers.push((name, HeaderValue::from_static(error.kind.name())));
                response
            }
        }
    }
}

fn response(answered: router::Answered) -> http::Response {
    let status = answered.status;
    match answered.answer {
        Answer::Empty => http::Response { status, headers: Vec::new(), body: Bytes::new() },
        Answer::Json(value) => json(status, &value),
        Answer::WithWarnings(value, warnings) => {
            let mut response = json(status, &value);
            let warnings = warnings.iter().take(WARNINGS_SHOWN);
            let values = warnings.filter_map(|text| HeaderValue::from_str(text).ok());
            response.headers.extend(values.map(|value| (WARNING, value)));
            response
        }
        Answer::Document { content_type, file_name, bytes } => {
            let mut headers =
                vec![(::http::header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
            let disposition = format!("attachment; filename=\"{file_name}\"");
            if let Ok(value) = HeaderValue::from_str(&disposition) {
                headers.push((::http::header::CONTENT_DISPOSITION, value));
            }
            http::Response { status, headers, body: bytes.into() }
        }
    }
}

fn json(status: u16, value: &serde_json::Value) -> http::Response {
    let content_type = HeaderValue::from_static("application/json");
    http::Response {
        status,
        headers: vec![(::http::header::CONTENT_TYPE, content_type)],
        body: value.to_string().into(),
    }
}
