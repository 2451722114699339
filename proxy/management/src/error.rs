//! Why an operation is refused: a kind, which decides status and `x-amzn-ErrorType`, and a text.

use tollgate_model::compile::CompileError;
use tollgate_store::{Key, StoreError};

/// An error as the client gets it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub kind: ErrorKind,
    pub message: String,
}

/// The errors of API Gateway's service model, and those of the layers before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    BadRequest,
    /// A member's value is not one of those the service model allows.
    Validation,
    /// A member's value has the wrong JSON type.
    Serialization,
    NotFound,
    Conflict,
    /// More of something than there may be.
    LimitExceeded,
    /// No operation has this method and URI: AWS looks for credentials of a browser then.
    MissingAuthenticationToken,
    /// The store can't be read or written.
    ServiceUnavailable,
}

impl ErrorKind {
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::Validation | Self::Serialization => 400,
            Self::MissingAuthenticationToken => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::LimitExceeded => 429,
            Self::ServiceUnavailable => 503,
        }
    }

    /// The `x-amzn-ErrorType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequestException",
            Self::Validation => "ValidationException",
            Self::Serialization => "SerializationException",
            Self::NotFound => "NotFoundException",
            Self::Conflict => "ConflictException",
            Self::LimitExceeded => "LimitExceededException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::ServiceUnavailable => "ServiceUnavailableException",
        }
    }
}

impl ApiError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// Something of AWS's that isn't here: an operation or a member, and why.
    pub fn unsupported(what: &str, reason: &str) -> Self {
        Self::bad_request(format!("{what} is not supported by Tollgate: {reason}"))
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// One or more members that break a constraint of the service model, each as in `Value 'x' at
    /// 'createStageInput.y' failed to satisfy constraint: …`.
    pub fn validation(violations: &[String]) -> Self {
        let count = violations.len();
        let noun = if count == 1 { "error" } else { "errors" };
        Self::new(
            ErrorKind::Validation,
            format!("{count} validation {noun} detected: {}", violations.join("; ")),
        )
    }

    /// Someone else changed the same thing, again and again.
    pub fn concurrent() -> Self {
        Self::conflict(
            "Unable to complete operation due to concurrent modification. Please try again later.",
        )
    }

    /// A record that can't be read as what its key says.
    pub fn unreadable(key: &Key, error: &serde_json::Error) -> Self {
        tracing::error!(%key, %error, "a record of the store can't be read");
        Self::new(ErrorKind::ServiceUnavailable, format!("The record {key} can't be read."))
    }
}

/// API Gateway's own text where it has one, and where it is.
impl From<CompileError> for ApiError {
    fn from(error: CompileError) -> Self {
        Self::bad_request(format!("{} ({})", error.message, error.location))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::TooLarge { what, bytes, allowed } = error {
            return Self::bad_request(format!(
                "This is more than can be kept: {what} has {bytes} bytes; allowed: up to {allowed}"
            ));
        }
        if matches!(error, StoreError::Busy) {
            tracing::warn!(%error, "a change is refused");
            return Self::new(
                ErrorKind::ServiceUnavailable,
                "Something else has held the store for too long. Please try again later.",
            );
        }
        tracing::error!(%error, "the store fails");
        Self::new(ErrorKind::ServiceUnavailable, "The store can't be used; the log says why.")
    }
}
