//! `$context` variables that are known once a request was located and routed. Access logs,
//! mappings and templates read them while the request is there, plugins also later.

use std::time::Duration;

use tollgate_model::api::{ApiKeySource, EndpointType};
use tollgate_model::compile::{CompiledResource, CompiledStage};

use crate::access_log::ContextVariable;
use crate::config::Visibility;
use crate::exchange::{Client, without_port};
use crate::head::Version;
use crate::identifiers::{RequestIds, request_time};
use crate::phases::authorize::Authorized;
use crate::usage::ApiKeyId;

/// What is known of a request: borrowed from the exchange and its head, or kept for plugins that
/// outlive them.
pub trait RequestFacts {
    fn client(&self) -> &Client;
    fn ids(&self) -> &RequestIds;
    /// Since the Unix epoch.
    fn started_at(&self) -> Duration;
    fn version(&self) -> Version;
    /// The client's own method.
    fn method(&self) -> &[u8];
    /// With the port.
    fn host(&self) -> Option<&[u8]>;
    fn user_agent(&self) -> Option<&[u8]>;
    /// In canonical form, with stage or base path.
    fn path(&self) -> &str;
    fn base_path(&self) -> Option<&str>;
    fn stage(&self) -> Option<&CompiledStage>;
    fn resource(&self) -> Option<&CompiledResource>;
    fn authorized(&self) -> Option<&Authorized>;
    /// None on a stage without a canary.
    fn is_canary_request(&self) -> Option<bool>;
    /// Value and id of the API key, where the method wants one.
    fn api_key(&self) -> Option<(&str, ApiKeyId)>;
}

/// Appends the value of a variable; false when the request has none.
pub fn write_request_variable(
    request: &impl RequestFacts,
    variable: &ContextVariable,
    out: &mut Vec<u8>,
) -> bool {
    use ContextVariable as V;
    match variable {
        V::RequestId => text(out, request.ids().request_id()),
        V::ExtendedRequestId => text(out, request.ids().extended()),
        V::RequestTime => bytes(out, &request_time(request.started_at().as_secs())),
        V::RequestTimeEpoch => number(out, request.started_at().as_millis() as u64),
        V::HttpMethod => bytes(out, request.method()),
        V::Path => text(out, request.path()),
        V::Protocol => text(
            out,
            match request.version() {
                Version::Http10 => "HTTP/1.0",
                // AWS reports HTTP/1.1 for HTTP/2 clients too.
                Version::Http11 | Version::Http2 => "HTTP/1.1",
            },
        ),
        V::DomainName => request.host().is_some_and(|host| bytes(out, without_port(host))),
        V::DomainPrefix => request.host().map(without_port).is_some_and(|host| {
            bytes(out, host.split(|byte| *byte == b'.').next().unwrap_or(host))
        }),
        V::IdentitySourceIp => text(out, &request.client().source_ip),
        V::IdentityUserAgent => request.user_agent().is_some_and(|agent| bytes(out, agent)),
        V::IdentityVpcId | V::IdentityVpceId => {
            let Visibility::Private { vpc_id, vpc_endpoint_id } = &request.client().visibility
            else {
                return false;
            };
            text(out, if *variable == V::IdentityVpcId { vpc_id } else { vpc_endpoint_id })
        }
        V::IdentityApiKey => match (request.api_key(), request.stage(), request.authorized()) {
            (Some((value, _)), ..) => text(out, value),
            (None, Some(stage), Some(authorized))
                if stage.api_key_source == ApiKeySource::Authorizer =>
            {
                authorized.usage_identifier_key.as_ref().is_some_and(|key| text(out, key))
            }
            _ => false,
        },
        V::IdentityApiKeyId => request.api_key().is_some_and(|(_, id)| text(out, &id.to_string())),
        V::AuthorizerPrincipalId => {
            request.authorized().is_some_and(|authorized| text(out, &authorized.principal_id))
        }
        V::AuthorizerProperty(key) => request
            .authorized()
            .and_then(|authorized| authorized.property(key))
            .is_some_and(|value| text(out, value)),
        V::AccountId => request.stage().is_some_and(|stage| text(out, &stage.account_id)),
        V::ApiId => request.stage().is_some_and(|stage| text(out, &stage.api_id.0)),
        V::Stage => request.stage().is_some_and(|stage| text(out, &stage.stage_name)),
        V::IsCanaryRequest => request
            .is_canary_request()
            .is_some_and(|is_canary| text(out, if is_canary { "true" } else { "false" })),
        V::DeploymentId => request.stage().is_some_and(|stage| text(out, &stage.deployment_id)),
        V::ResourceId => request.resource().is_some_and(|resource| text(out, &resource.id)),
        V::ResourcePath => request.resource().is_some_and(|resource| text(out, &resource.path)),
        V::EndpointType => request.stage().is_some_and(|stage| {
            text(
                out,
                match stage.endpoint_type {
                    EndpointType::Edge => "EDGE",
                    EndpointType::Regional => "REGIONAL",
                    EndpointType::Private => "PRIVATE",
                },
            )
        }),
        V::CustomDomainBasePathMatched => {
            request.base_path().is_some_and(|base_path| text(out, base_path))
        }
        V::TlsVersion => request.client().tls.as_ref().is_some_and(|tls| text(out, tls.version)),
        V::CipherSuite => {
            request.client().tls.as_ref().is_some_and(|tls| text(out, tls.cipher_suite))
        }
        _ => false,
    }
}

pub fn text(out: &mut Vec<u8>, value: &str) -> bool {
    bytes(out, value.as_bytes())
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    true
}

pub fn number(out: &mut Vec<u8>, value: u64) -> bool {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    true
}
