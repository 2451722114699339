//! Every reason to answer a request without its integration's own answer.
//!
//! One type carries them all; [`crate::respond::refusal`] is the one place that turns it into a
//! response, and [`Refusal::log_message`] into text for the operator.

use std::borrow::Cow;

use tollgate_model::api::GatewayResponseType;
use tollgate_model::compile::{MappingError, PathError};
use tollgate_plugin_host::Reply;
use tollgate_xdp::Offence;

use crate::compression;
use crate::http1::body::BodyError;
use crate::http1::parse::HeadError;
use crate::metrics::{RequestRefusal, ThrottleLevel};
use crate::usage::Throttled;

#[derive(Debug)]
pub enum Refusal {
    /// The head can't be read in exactly one way: 400, or 431 and 414 for its size. Closes the
    /// connection.
    Head(HeadError),
    /// The head did not arrive in time: 408. Closes the connection.
    HeadTimeout,
    /// The path has no canonical form: 400.
    Path(PathError),
    /// No API, stage or mapping at this host and path: 403, the same for an API that this
    /// listener does not serve.
    NotLocated,
    /// Headers beyond the quota: 431.
    HeadersTooLarge,
    /// The body is beyond the payload quota: 413.
    PayloadTooLarge { maximum: u64 },
    /// The body could not be read: 400. Closes the connection.
    Body(BodyError),
    /// The body stood still or crept: 408. Closes the connection.
    BodyTooSlow,
    /// Called more often than it may be: the gateway response THROTTLED or QUOTA_EXCEEDED.
    Throttled(Throttled),
    /// A plugin answers by itself.
    Plugin(Box<Reply>),
    /// A plugin wants the client's stream closed without an answer.
    Reset,
    /// An answer of the API's gateway responses.
    Gateway {
        response_type: GatewayResponseType,
        /// Instead of the type's own status.
        status: Option<u16>,
        /// Instead of the type's own message.
        message: Option<Cow<'static, str>>,
        /// For the operator: what happened.
        cause: Option<Cow<'static, str>>,
    },
}

impl Refusal {
    /// A gateway response as the type defines it.
    pub fn of(response_type: GatewayResponseType) -> Self {
        Self::Gateway { response_type, status: None, message: None, cause: None }
    }

    /// A gateway response whose reason only the operator learns.
    pub fn caused(response_type: GatewayResponseType, cause: impl Into<Cow<'static, str>>) -> Self {
        Self::Gateway { response_type, status: None, message: None, cause: Some(cause.into()) }
    }

    /// A gateway response with its own text for the client.
    pub fn saying(
        response_type: GatewayResponseType,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Gateway { response_type, status: None, message: Some(message.into()), cause: None }
    }

    /// The API's gateway response that answers, if one does.
    pub fn response_type(&self) -> Option<GatewayResponseType> {
        match self {
            Self::Gateway { response_type, .. } => Some(*response_type),
            Self::Throttled(Throttled { level: ThrottleLevel::Quota, .. }) => {
                Some(GatewayResponseType::QuotaExceeded)
            }
            Self::Throttled(_) => Some(GatewayResponseType::Throttled),
            _ => None,
        }
    }

    /// A request whose body a plugin, named as "a transformer", has no room for.
    pub fn body_too_large_for(plugin: &'static str) -> Self {
        Self::Gateway {
            response_type: GatewayResponseType::RequestTooLarge,
            status: None,
            // The type's own message says how much the gateway takes, which is more.
            message: Some("Request body is too large".into()),
            cause: Some(format!("the request's body is larger than {plugin} takes").into()),
        }
    }

    /// Whether the connection can't carry another request.
    pub fn closes(&self) -> bool {
        matches!(
            self,
            Self::Head(_)
                | Self::HeadTimeout
                | Self::HeadersTooLarge
                | Self::PayloadTooLarge { .. }
                | Self::Body(_)
                | Self::BodyTooSlow
        )
    }

    /// What the gateway's log and `$context.error.message` say beyond the client's message.
    pub fn log_message(&self) -> Cow<'static, str> {
        match self {
            Self::Head(error) => error.to_string().into(),
            Self::HeadTimeout => "the request head did not arrive in time".into(),
            Self::Path(error) => error.to_string().into(),
            Self::NotLocated => "no API, stage or mapping at this host and path".into(),
            Self::HeadersTooLarge => "request headers are larger than allowed".into(),
            Self::PayloadTooLarge { maximum } => {
                format!("body is larger than {maximum} bytes").into()
            }
            Self::Body(error) => error.to_string().into(),
            Self::BodyTooSlow => "the body arrived too slowly".into(),
            Self::Throttled(throttled) => {
                format!("throttled by {}", throttled.level.label()).into()
            }
            Self::Plugin(reply) if reply.details.is_empty() => "answered by a plugin".into(),
            Self::Plugin(reply) => reply.details.clone().into(),
            Self::Reset => "a plugin closed the stream".into(),
            Self::Gateway { response_type, cause, .. } => match cause {
                Some(cause) => cause.clone(),
                None => response_type.as_str().into(),
            },
        }
    }

    /// What the source throttle is told of the client, if it is to blame.
    pub fn offence(&self) -> Option<Offence> {
        use GatewayResponseType as Type;
        match self {
            // Of somebody who is in the penalty box already.
            Self::Throttled(Throttled { level: ThrottleLevel::PenaltyBox, .. }) => None,
            Self::Throttled(_) => Some(Offence::TooManyRequests),
            Self::Head(_)
            | Self::HeadTimeout
            | Self::Path(_)
            | Self::NotLocated
            | Self::HeadersTooLarge
            | Self::PayloadTooLarge { .. }
            | Self::Body(_)
            | Self::BodyTooSlow
            | Self::Gateway {
                response_type:
                    Type::AccessDenied
                    | Type::ExpiredToken
                    | Type::InvalidApiKey
                    | Type::InvalidSignature
                    | Type::MissingAuthenticationToken
                    | Type::RequestTooLarge
                    | Type::ResourceNotFound
                    | Type::Unauthorized
                    | Type::WafFiltered,
                ..
            } => Some(Offence::RefusedRequest),
            Self::Gateway { .. } | Self::Plugin(_) | Self::Reset => None,
        }
    }

    /// The metric label of refusals that belong to no stage.
    pub fn metric(&self) -> Option<RequestRefusal> {
        match self {
            Self::Head(HeadError::TooLarge | HeadError::UrlTooLong) | Self::HeadersTooLarge => {
                Some(RequestRefusal::HeadTooLarge)
            }
            Self::Head(_) | Self::Path(_) | Self::Body(_) => Some(RequestRefusal::Malformed),
            Self::HeadTimeout => Some(RequestRefusal::HeadTimeout),
            Self::NotLocated => Some(RequestRefusal::Unlocated),
            Self::PayloadTooLarge { .. } => Some(RequestRefusal::BodyTooLarge),
            Self::BodyTooSlow => Some(RequestRefusal::BodyStalled),
            Self::Gateway { .. } | Self::Throttled(_) | Self::Plugin(_) | Self::Reset => None,
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        if let Some(undecodable) = compression::is_undecodable(&error) {
            return undecodable.into();
        }
        match error {
            BodyError::Refused(refusal) => *refusal,
            error => Self::Body(error),
        }
    }
}

impl From<MappingError> for Refusal {
    fn from(error: MappingError) -> Self {
        match error {
            MappingError::InvalidJson => {
                // rest-api: 400 from DEFAULT_4XX with this text.
                Self::saying(GatewayResponseType::BadRequestBody, "Invalid JSON in request body")
            }
            MappingError::UnsafeUriValue => {
                Self::saying(GatewayResponseType::BadRequestParameters, error.to_string())
            }
            MappingError::ReservedHeader(_) => {
                Self::caused(GatewayResponseType::ApiConfigurationError, error.to_string())
            }
        }
    }
}
