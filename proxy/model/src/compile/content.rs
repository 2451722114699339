//! Text or bytes: what becomes of a payload on its way to the integration and back
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html>).
//!
//! A payload is classed by its declared type, never by its bytes: a request's by `Content-Type`,
//! a response's by the integration response's `Content-Type`, and what the client can take by
//! the first type of `Accept`. A type is binary if it is among the API's `binaryMediaTypes`
//! ([`BinaryMediaTypes`]). An empty list makes everything text, so the rows of AWS's tables for
//! an empty list are those for text.
//!
//! ```text
//!  request   none               CONVERT_TO_TEXT   CONVERT_TO_BINARY
//!  text      text               text              base64-decoded
//!  binary    bytes              base64 text       bytes
//!
//!  response, Accept
//!  text,   text     text            text          base64-decoded
//!  text,   binary   base64-decoded  text          base64-decoded
//!  binary, text     base64 text     base64 text   bytes
//!  binary, binary   bytes           base64 text   bytes
//! ```
//!
//! "Text" replaces what is not UTF-8 by U+FFFD. A template reads text and writes text: where a
//! cell of the table gives bytes and a template applies, the answer is 500
//! ([`ContentError::TemplateNeedsText`]), with one exception that [`response_for_template`]
//! explains.
//!
//! # Proxy integrations
//!
//! HTTP_PROXY applies `contentHandling` to requests ([`proxy_request_conversion`]) and not to
//! responses, for a proxy has no integration responses. AWS classes its payloads all the same:
//! without `contentHandling` it replaces what is not UTF-8 in a text payload, and sends a binary
//! response to a client that asks for text as base64. Tollgate streams these bodies and passes
//! their bytes as they are.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::body::{DEFAULT_MEDIA_TYPE, media_type};
use crate::api::ContentHandling;

/// As Java's decoder reads it: no padding needed, bits left over ignored, but no white space.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// How a payload is classed, by its declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Text,
    Binary,
}

/// The classes that decide about a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseClass {
    /// Of the integration response's `Content-Type`. MOCK has no payload: its class is text.
    pub payload: Class,
    /// Of the first type in the client's `Accept`.
    pub accept: Class,
}

/// Why a payload can't be converted: 500 for the client. The texts are those of AWS's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    #[error("Execution failed due to configuration error: Unable to base64 decode the body.")]
    NotBase64,
    #[error("Execution failed due to configuration error: Unable to transform {0}")]
    TemplateNeedsText(Direction),
}

/// Which way a payload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// An API's `binaryMediaTypes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryMediaTypes {
    entries: Box<[MediaRange]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum MediaRange {
    /// `*/*`
    Any,
    /// `image/*`, kept as `image/`.
    Type(Box<str>),
    /// `image/png`. An entry that is no media type is kept as well: it matches only itself.
    Exact(Box<str>),
}

impl BinaryMediaTypes {
    /// Reads the entries `type/subtype`, `type/*` and `*/*`; parameters are left out.
    pub fn compile(entries: &[String]) -> Self {
        let range = |entry: &String| {
            let entry = entry.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match entry.strip_suffix('*') {
                Some("*/") => MediaRange::Any,
                Some(prefix) if prefix.ends_with('/') => MediaRange::Type(prefix.into()),
                _ => MediaRange::Exact(entry.into()),
            }
        };
        Self { entries: entries.iter().map(range).collect() }
    }

    /// Nothing is binary.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The class of a `Content-Type` or `Accept` header: its first media type counts. A missing
    /// or empty header stands for `application/json`.
    pub fn class(&self, header: Option<&[u8]>) -> Class {
        if self.matches(header) { Class::Binary } else { Class::Text }
    }

    /// The classes of a response.
    pub fn response_class(
        &self,
        content_type: Option<&[u8]>,
        accept: Option<&[u8]>,
    ) -> ResponseClass {
        ResponseClass { payload: self.class(content_type), accept: self.class(accept) }
    }

    fn matches(&self, header: Option<&[u8]>) -> bool {
        if self.is_empty() {
            return false;
        }
        let declared = header.map(media_type).filter(|declared| !declared.is_empty());
        let declared = declared.unwrap_or(DEFAULT_MEDIA_TYPE.as_bytes());
        self.entries.iter().any(|entry| match entry {
            MediaRange::Any => true,
            MediaRange::Type(prefix) => declared
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
            MediaRange::Exact(exact) => declared.eq_ignore_ascii_case(exact.as_bytes()),
        })
    }
}

/// A cell of the tables above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Text; what is not UTF-8 becomes U+FFFD.
    Text,
    /// Bytes as they are.
    Bytes,
    /// Text to the bytes it stands for.
    DecodeBase64,
    /// Bytes to text. Bytes that are base64 already are encoded a second time.
    EncodeBase64,
}

impl Conversion {
    fn of_request(class: Class, handling: Option<ContentHandling>) -> Self {
        use ContentHandling::{ConvertToBinary, ConvertToText};
        match (class, handling) {
            (Class::Text, None | Some(ConvertToText)) => Self::Text,
            (Class::Text, Some(ConvertToBinary)) => Self::DecodeBase64,
            (Class::Binary, None | Some(ConvertToBinary)) => Self::Bytes,
            (Class::Binary, Some(ConvertToText)) => Self::EncodeBase64,
        }
    }

    fn of_response(class: ResponseClass, handling: Option<ContentHandling>) -> Self {
        use ContentHandling::{ConvertToBinary, ConvertToText};
        // Without contentHandling the client's Accept decides what it gets.
        let handling = handling.unwrap_or(match class.accept {
            Class::Text => ConvertToText,
            Class::Binary => ConvertToBinary,
        });
        Self::of_request(class.payload, Some(handling))
    }

    /// Converts a payload; only a text payload that has to be bytes can fail.
    pub fn apply(self, payload: &[u8]) -> Result<Cow<'_, [u8]>, ContentError> {
        match self {
            Self::Bytes => Ok(Cow::Borrowed(payload)),
            Self::Text => Ok(match String::from_utf8_lossy(payload) {
                Cow::Borrowed(_) => Cow::Borrowed(payload),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            Self::EncodeBase64 => Ok(Cow::Owned(STANDARD.encode(payload).into_bytes())),
            Self::DecodeBase64 => {
                LENIENT.decode(payload).map(Cow::Owned).map_err(|_| ContentError::NotBase64)
            }
        }
    }

    fn text(self, payload: &[u8], direction: Direction) -> Result<Cow<'_, str>, ContentError> {
        match self {
            Self::Text => Ok(String::from_utf8_lossy(payload)),
            Self::EncodeBase64 => Ok(Cow::Owned(STANDARD.encode(payload))),
            Self::Bytes | Self::DecodeBase64 => Err(ContentError::TemplateNeedsText(direction)),
        }
    }
}

/// What the backend gets of a body that no request template matches.
pub fn request_passed(
    body: &[u8],
    class: Class,
    handling: Option<ContentHandling>,
) -> Result<Cow<'_, [u8]>, ContentError> {
    Conversion::of_request(class, handling).apply(body)
}

/// What a request template sees of the body. Its output goes to the backend as it is.
///
/// An empty body is classed like any other: with the binary type `*/*`, a preflight's MOCK needs
/// `CONVERT_TO_TEXT` or answers 500, as on AWS.
pub fn request_for_template(
    body: &[u8],
    class: Class,
    handling: Option<ContentHandling>,
) -> Result<Cow<'_, str>, ContentError> {
    Conversion::of_request(class, handling).text(body, Direction::Request)
}

/// What the client gets of a backend's body where no response template applies.
pub fn response_passed(
    body: &[u8],
    class: ResponseClass,
    handling: Option<ContentHandling>,
) -> Result<Cow<'_, [u8]>, ContentError> {
    Conversion::of_response(class, handling).apply(body)
}

/// What a response template sees of a backend's body. Its output goes to the client as it is,
/// whatever `Accept` says.
///
/// Without `contentHandling`, text stays text for a template although a client that accepts
/// binary would get it base64-decoded otherwise. AWS's tables assume no template and leave this
/// open. What settles it is the preflight that SAM generates for an API with the binary type
/// `*/*`: a MOCK whose response has a template and no `contentHandling`, and which works for
/// every `Accept`.
pub fn response_for_template(
    body: &[u8],
    class: ResponseClass,
    handling: Option<ContentHandling>,
) -> Result<Cow<'_, str>, ContentError> {
    let conversion = match (class.payload, handling) {
        (Class::Text, None) => Conversion::Text,
        _ => Conversion::of_response(class, handling),
    };
    conversion.text(body, Direction::Response)
}

/// How an HTTP_PROXY integration converts a request's body; `None` streams it as it is.
pub fn proxy_request_conversion(
    class: Class,
    handling: Option<ContentHandling>,
) -> Option<Conversion> {
    match Conversion::of_request(class, handling) {
        // What is not UTF-8 passes too: see the module's documentation.
        Conversion::Text | Conversion::Bytes => None,
        conversion => Some(conversion),
    }
}

/// Whether [`proxy_request_conversion`] may convert a request of any type: if not, nobody needs
/// to class one.
pub fn proxy_may_convert(types: &BinaryMediaTypes, handling: Option<ContentHandling>) -> bool {
    match handling {
        None => false,
        Some(ContentHandling::ConvertToText) => !types.is_empty(),
        Some(ContentHandling::ConvertToBinary) => true,
    }
}

#[cfg(test)]
mod tests;
