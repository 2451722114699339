//! The request and the response of the running call.

use crate::{Headers, host};

pub use crate::bindings::tollgate::plugin::request::Certificate as ClientCertificate;

/// The client's request. Each function asks the gateway, which copies just what was asked for.
///
/// A value that is not UTF-8 has its bad bytes replaced by U+FFFD.
#[derive(Debug)]
pub struct Request(());

impl Request {
    #[doc(hidden)]
    pub fn current() -> Self {
        Self(())
    }

    /// The method, upper case as a rule: `GET`.
    pub fn method(&self) -> String {
        host::request::method()
    }

    /// The path as the client sent it, percent-encoded, with the stage or base path, without the
    /// query.
    pub fn path(&self) -> String {
        host::request::path()
    }

    /// What follows `?` in the request target, undecoded; empty without one.
    pub fn query_string(&self) -> String {
        host::request::query_string()
    }

    /// The path template of the method's resource: `/pets/{id}`.
    pub fn resource(&self) -> String {
        host::request::resource()
    }

    /// The stage's name.
    pub fn stage(&self) -> String {
        host::request::stage()
    }

    /// The API's id.
    pub fn api_id(&self) -> String {
        host::request::api_id()
    }

    /// `$context.requestId`.
    pub fn request_id(&self) -> String {
        host::request::request_id()
    }

    /// `arn:aws:execute-api:{region}:{account}:{api}/{stage}/{METHOD}/{path}`.
    pub fn method_arn(&self) -> String {
        host::request::method_arn()
    }

    /// The first value of a header; names are compared without case.
    pub fn header(&self, name: &str) -> Option<String> {
        host::request::header(name)
    }

    /// All values of a header, in the order received.
    pub fn header_values(&self, name: &str) -> Vec<String> {
        host::request::header_values(name)
    }

    /// All headers in the order received; names in lower case, repeated ones apart.
    pub fn headers(&self) -> Headers {
        Headers::new(host::request::packed_headers())
    }

    /// The token of `Authorization: Bearer TOKEN`; the scheme is compared without case.
    pub fn bearer_token(&self) -> Option<String> {
        let header = self.header("authorization")?;
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    }

    /// The first cookie of that name, as it was sent.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.header_values("cookie").iter().flat_map(|header| header.split(';')).find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
    }

    /// The first value of a query parameter, percent-decoded.
    pub fn query_parameter(&self, name: &str) -> Option<String> {
        host::request::query_parameter(name)
    }

    /// All query parameters in the order received, percent-decoded.
    pub fn query_parameters(&self) -> Vec<(String, String)> {
        host::request::query_parameters()
    }

    /// A variable of the resource's path, percent-decoded.
    pub fn path_parameter(&self, name: &str) -> Option<String> {
        host::request::path_parameter(name)
    }

    /// All variables of the resource's path, percent-decoded.
    pub fn path_parameters(&self) -> Vec<(String, String)> {
        host::request::path_parameters()
    }

    /// A stage variable.
    pub fn stage_variable(&self, name: &str) -> Option<String> {
        host::request::stage_variable(name)
    }

    /// All stage variables.
    pub fn stage_variables(&self) -> Vec<(String, String)> {
        host::request::stage_variables()
    }

    /// The client's address without port: `192.0.2.1`.
    pub fn source_address(&self) -> String {
        host::request::source_address()
    }

    /// Whether the client came over TLS.
    pub fn is_tls(&self) -> bool {
        host::request::is_tls()
    }

    /// The certificate that the client proved it has; none without mutual TLS.
    pub fn client_certificate(&self) -> Option<ClientCertificate> {
        host::request::client_certificate()
    }

    /// A `$context` variable by its name: `identity.sourceIp`, `authorizer.principalId`.
    pub fn context(&self, name: &str) -> Option<String> {
        host::request::context(name)
    }

    /// The body, where the plugin gets it: authorizers with `body: true` in their configuration,
    /// transformers whose edits said [`buffer_body`](crate::RequestEdits::buffer_body).
    pub fn body(&self) -> Option<Vec<u8>> {
        host::request::body()
    }
}

/// The response, in a transformer's functions for it.
#[derive(Debug)]
pub struct Response(());

impl Response {
    #[doc(hidden)]
    pub fn current() -> Self {
        Self(())
    }

    /// 100 to 599.
    pub fn status(&self) -> u16 {
        host::response::status()
    }

    /// The first value of a header; names are compared without case.
    pub fn header(&self, name: &str) -> Option<String> {
        host::response::header(name)
    }

    /// All values of a header, in order.
    pub fn header_values(&self, name: &str) -> Vec<String> {
        host::response::header_values(name)
    }

    /// All headers in order; names in lower case, repeated ones apart.
    pub fn headers(&self) -> Headers {
        Headers::new(host::response::packed_headers())
    }
}
