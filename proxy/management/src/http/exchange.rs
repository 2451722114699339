//! What a client asks and what it gets, whole, without the connection they came over.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// One request, read whole and authenticated.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    /// As it was sent: still percent-encoded.
    pub path: String,
    /// As it was sent, without `?`.
    pub query: Option<String>,
    /// With a `host`, also over HTTP/2.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One response. Every response also gets `x-amzn-RequestId`, `x-amz-apigw-id` and `Date`, and
/// one with a body that has no `Content-Type` is `application/json`.
#[derive(Clone, Debug)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Response {
    /// An error as AWS's clients read it: `{"message": …}` and its kind in a header.
    pub fn error(status: u16, error_type: &'static str, message: &str) -> Self {
        let error_type = HeaderValue::from_static(error_type);
        Self {
            status,
            headers: vec![(HeaderName::from_static("x-amzn-errortype"), error_type)],
            body: serde_json::json!({"message": message}).to_string().into(),
        }
    }
}

/// What carries requests out.
pub trait Handler: Send + Sync {
    /// Called for each request that is authenticated, on a thread of low priority that may be
    /// blocked; several calls run at once. A panic is logged and answered with 500. The client
    /// may be gone, or have been told that it took too long, before this returns.
    fn call(&self, request: Request) -> Response;
}
