//! The answers the gateway gives by itself
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html>).
//!
//! A type that the definition customises uses its own status, headers and templates; one that
//! it does not falls back to `DEFAULT_4XX` or `DEFAULT_5XX`, then to the built-in answer
//! ([`BuiltIn`]). Templates are no VTL: `$context.*`, `$stageVariables.*` and
//! `$method.request.{header|path|querystring}.*` are replaced as text, anything else stays.
//!
//! | | Status and body |
//! |---|---|
//! | every type but the two below | `{"message":…}` |
//! | `ACCESS_DENIED` | `{"Message":…}`, with a capital |
//! | `REQUEST_TOO_LARGE` | plain text; refused before the API is known, so customising it has no effect |
//! | `INTEGRATION_FAILURE` | 500 until it is customised, then 504 with another message (recorded) |

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::body::{DEFAULT_MEDIA_TYPE, media_type};
use super::mapping::header_text;
use super::mapping::parse::{check_name, constant, invalid_parameter};
use crate::api::{GatewayResponse, GatewayResponseType};

/// What gateway responses read. The gateway implements it.
pub trait GatewayResponseValues {
    /// `$context.NAME`, by its name without `$context.`; `error.message`,
    /// `error.messageString` (the message in quotes) and `error.responseType` included. `None`
    /// for `error.messageString` renders `null`, for any other name nothing.
    fn context(&self, name: &str) -> Option<Cow<'_, str>>;
    /// Percent-decoded.
    fn path_parameter(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The last value, percent-decoded.
    fn querystring(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The last value of the header spelled exactly so by the client.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// The gateway responses of a stage.
#[derive(Clone, Debug)]
pub struct GatewayResponses {
    /// By type, in the order of [`GatewayResponseType::ALL`].
    customised: Box<[Option<Customised>; TYPES]>,
}

const TYPES: usize = GatewayResponseType::ALL.len();

#[derive(Clone, Debug, Default)]
struct Customised {
    status: Option<u16>,
    headers: Vec<(Box<str>, Piece)>,
    /// Media type in lower case → template.
    templates: Vec<(Box<str>, Vec<Piece>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Context(Box<str>),
    Path(Box<str>),
    Querystring(Box<str>),
    Header(Box<str>),
}

/// What API Gateway answers for a type that nobody customised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    pub status: u16,
    /// `None`: JSON `null`, or the type has no text of its own.
    pub message: Option<&'static str>,
    /// `x-amzn-ErrorType`; `None`: the header is not sent.
    pub error_type: Option<&'static str>,
}

/// A gateway response ready to be written. The body is in the buffer given to `render`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered<'g> {
    pub status: u16,
    pub content_type: Cow<'g, str>,
    /// Customised headers without control characters; never `Content-Type` nor one that frames
    /// the message. One may repeat a name the gateway sends: the customised value wins.
    pub headers: Vec<(&'g str, Cow<'g, str>)>,
}

impl GatewayResponses {
    /// The error is the type and API Gateway's message.
    pub(crate) fn compile(
        declared: &BTreeMap<GatewayResponseType, GatewayResponse>,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, (GatewayResponseType, String)> {
        let mut customised: Box<[Option<Customised>; TYPES]> = Box::new([const { None }; TYPES]);
        for (response_type, response) in declared {
            let compiled = Customised::compile(response, stage_variables);
            customised[*response_type as usize] =
                Some(compiled.map_err(|message| (*response_type, message))?);
        }
        Ok(Self { customised })
    }

    /// Whether a gateway response can be compiled.
    ///
    /// # Errors
    /// API Gateway's message.
    pub fn check(response: &GatewayResponse) -> Result<(), String> {
        Customised::compile(response, &BTreeMap::new()).map(drop)
    }

    /// Status, message and error type of a type before statuses, headers and templates are
    /// customised. The message is what `$context.error.message` is when the refusal has no text
    /// of its own.
    pub fn built_in(&self, response_type: GatewayResponseType) -> BuiltIn {
        let customised = self.customised[response_type as usize].is_some();
        if response_type == GatewayResponseType::IntegrationFailure && customised {
            return BuiltIn {
                status: 504,
                message: Some("Network error communicating with endpoint"),
                error_type: Some("InternalServerErrorException"),
            };
        }
        BuiltIn::of(response_type)
    }

    /// `status` replaces the built-in status of the type (414 or 502 of answers that have only
    /// `DEFAULT_4XX` or `DEFAULT_5XX`) unless the status is customised. `accept` picks among
    /// templates of several media types. The body replaces what `body` holds.
    pub fn render<'g>(
        &'g self,
        response_type: GatewayResponseType,
        status: Option<u16>,
        accept: Option<&[u8]>,
        values: &dyn GatewayResponseValues,
        body: &mut Vec<u8>,
    ) -> Rendered<'g> {
        body.clear();
        let built_in = self.built_in(response_type);
        let status = status.unwrap_or(built_in.status);
        if response_type == GatewayResponseType::RequestTooLarge {
            body.extend_from_slice(built_in.message.unwrap_or_default().as_bytes());
            return Rendered {
                status,
                content_type: Cow::Borrowed("text/plain"),
                headers: Vec::new(),
            };
        }
        let fallback = if status < 500 {
            GatewayResponseType::Default4xx
        } else {
            GatewayResponseType::Default5xx
        };
        let of = |response_type| self.customised[response_type as usize].as_ref();
        let Some(customised) = of(response_type).or_else(|| of(fallback)) else {
            built_in_body(response_type, values, body);
            return Rendered {
                status,
                content_type: Cow::Borrowed(DEFAULT_MEDIA_TYPE),
                headers: Vec::new(),
            };
        };
        let mut content_type = Cow::Borrowed(DEFAULT_MEDIA_TYPE);
        match customised.template(accept) {
            Some((media_type, template)) => {
                content_type = Cow::Borrowed(media_type);
                template
                    .iter()
                    .for_each(|piece| body.extend_from_slice(piece.value(values).as_bytes()));
            }
            None => built_in_body(response_type, values, body),
        }
        let mut headers = Vec::with_capacity(customised.headers.len());
        for (name, source) in &customised.headers {
            let value = match source {
                Piece::Text(text) => Cow::Borrowed(&**text),
                // The request is gone when the headers are written.
                source => Cow::Owned(header_text(source.value(values)).into_owned()),
            };
            if value.is_empty() {
                continue;
            }
            if name.eq_ignore_ascii_case("content-type") {
                content_type = value;
            } else {
                headers.push((&**name, value));
            }
        }
        Rendered { status: customised.status.unwrap_or(status), content_type, headers }
    }
}

impl BuiltIn {
    /// Of a type that isn't customised, by the table of `rest-api.md` §12.
    pub fn of(response_type: GatewayResponseType) -> Self {
        use GatewayResponseType as T;
        let (status, message, error_type) = match response_type {
            T::AccessDenied => (403, None, "AccessDeniedException"),
            T::ApiConfigurationError | T::IntegrationFailure | T::Default5xx => {
                (500, Some("Internal server error"), "InternalServerErrorException")
            }
            T::AuthorizerConfigurationError => (500, None, "AuthorizerConfigurationException"),
            T::AuthorizerFailure => (500, None, "AuthorizerFailureException"),
            T::BadRequestBody => (400, Some("Invalid request body"), "BadRequestException"),
            T::BadRequestParameters => (400, None, "BadRequestException"),
            T::Default4xx => (400, None, "BadRequestException"),
            T::ExpiredToken => (
                403,
                Some("The security token included in the request is expired"),
                "ExpiredTokenException",
            ),
            T::IntegrationTimeout => {
                (504, Some("Endpoint request timed out"), "InternalServerErrorException")
            }
            T::InvalidApiKey | T::WafFiltered => (403, Some("Forbidden"), "ForbiddenException"),
            T::InvalidSignature => (403, None, "InvalidSignatureException"),
            T::MissingAuthenticationToken => {
                (403, Some("Missing Authentication Token"), "MissingAuthenticationTokenException")
            }
            T::QuotaExceeded => (429, Some("Limit Exceeded"), "LimitExceededException"),
            T::RequestTooLarge => {
                let message = Some("HTTP content length exceeded 10485760 bytes.");
                return Self { status: 413, message, error_type: None };
            }
            T::ResourceNotFound => (404, None, "ResourceNotFoundException"),
            T::Throttled => (429, Some("Too Many Requests"), "TooManyRequestsException"),
            T::Unauthorized => (401, Some("Unauthorized"), "UnauthorizedException"),
            T::UnsupportedMediaType => (415, Some("Unsupported Media Type"), "BadRequestException"),
        };
        Self { status, message, error_type: Some(error_type) }
    }
}

impl Customised {
    fn compile(
        response: &GatewayResponse,
        stage_variables: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let mut headers = Vec::new();
        for (destination, expression) in &response.response_parameters {
            let name = destination
                .strip_prefix("gatewayresponse.header.")
                .ok_or_else(|| invalid_parameter(destination))?;
            check_name(name)?;
            let source = header_source(expression, stage_variables)
                .ok_or_else(|| invalid_parameter(expression))?;
            // What frames the message is the gateway's alone.
            if !FRAMING_HEADERS.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
                headers.push((name.into(), source));
            }
        }
        let templates = response.response_templates.iter().map(|(media_type, template)| {
            (media_type.to_ascii_lowercase().into_boxed_str(), pieces(template, stage_variables))
        });
        Ok(Self { status: response.status_code, headers, templates: templates.collect() })
    }

    /// By the first media type of `Accept`, else JSON, else the first.
    fn template(&self, accept: Option<&[u8]>) -> Option<(&str, &[Piece])> {
        let of = |wanted: &[u8]| {
            self.templates.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(wanted))
        };
        let (media_type, pieces) = accept
            .and_then(|accept| of(media_type(accept)))
            .or_else(|| of(DEFAULT_MEDIA_TYPE.as_bytes()))
            .or_else(|| self.templates.first())?;
        Some((media_type, pieces))
    }
}

const FRAMING_HEADERS: [&str; 7] =
    ["Connection", "Content-Length", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade"];

impl Piece {
    fn value<'v>(&'v self, values: &'v dyn GatewayResponseValues) -> Cow<'v, str> {
        let value = match self {
            Self::Text(text) => Some(Cow::Borrowed(&**text)),
            Self::Context(name) if **name == *"error.messageString" => {
                Some(values.context(name).unwrap_or(Cow::Borrowed("null")))
            }
            Self::Context(name) => values.context(name),
            Self::Path(name) => values.path_parameter(name),
            Self::Querystring(name) => values.querystring(name),
            Self::Header(name) => values.header(name),
        };
        value.unwrap_or_default()
    }
}

fn built_in_body(
    response_type: GatewayResponseType,
    values: &dyn GatewayResponseValues,
    body: &mut Vec<u8>,
) {
    let key =
        if response_type == GatewayResponseType::AccessDenied { "Message" } else { "message" };
    let message = values.context("error.messageString").unwrap_or(Cow::Borrowed("null"));
    for text in ["{\"", key, "\":", &message, "}"] {
        body.extend_from_slice(text.as_bytes());
    }
}

fn header_source(expression: &str, stage_variables: &BTreeMap<String, String>) -> Option<Piece> {
    if let Some(constant) = constant(expression, stage_variables) {
        let text = header_text(Cow::Borrowed(&*constant));
        return Some(Piece::Text(text.into()));
    }
    if let Some(name) = expression.strip_prefix("context.") {
        return Some(Piece::Context(name.into()));
    }
    let (location, name) = expression.strip_prefix("method.request.")?.split_once('.')?;
    request_piece(location, name)
}

fn request_piece(location: &str, name: &str) -> Option<Piece> {
    let piece = match location {
        "path" => Piece::Path,
        "querystring" => Piece::Querystring,
        "header" => Piece::Header,
        _ => return None,
    };
    (!name.is_empty()).then(|| piece(name.into()))
}

/// Splits a template at its variables.
fn pieces(template: &str, stage_variables: &BTreeMap<String, String>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        text.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        match variable(rest, stage_variables) {
            Some((Piece::Text(value), after)) => {
                text.push_str(&value);
                rest = after;
            }
            Some((piece, after)) => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text).into()));
                }
                pieces.push(piece);
                rest = after;
            }
            None => {
                text.push('$');
                rest = &rest[1..];
            }
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    pieces
}

/// At a `$`: the variable and what follows it.
fn variable<'t>(
    text: &'t str,
    stage_variables: &BTreeMap<String, String>,
) -> Option<(Piece, &'t str)> {
    if let Some(rest) = text.strip_prefix("$context.") {
        let (name, after) = name(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))?;
        return Some((Piece::Context(name.into()), after));
    }
    if let Some(rest) = text.strip_prefix("$stageVariables.") {
        let (name, after) = name(rest, |c| c.is_ascii_alphanumeric() || c == '_')?;
        return Some((
            Piece::Text(stage_variables.get(name).map_or("", String::as_str).into()),
            after,
        ));
    }
    let (location, rest) = text.strip_prefix("$method.request.")?.split_once('.')?;
    let (name, after) = name(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))?;
    Some((request_piece(location, name)?, after))
}

/// The longest name that starts the text; a dot at its end is text again.
fn name(text: &str, allowed: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !allowed(c)).unwrap_or(text.len());
    let name = text[..end].trim_end_matches('.');
    (!name.is_empty()).then(|| (name, &text[name.len()..]))
}

#[cfg(test)]
mod tests;
