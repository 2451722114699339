//! Why a signature isn't accepted, in AWS's words.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{ALGORITHM, AmzDate, MAXIMUM_EXPIRES, TERMINATOR, sha256};

/// The message is AWS's, for the client; [`reason`](Self::reason) is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No credentials where there must be some.
    #[error("Missing Authentication Token")]
    Missing,
    /// Credentials that aren't those of Signature Version 4, or not all of them.
    #[error("{0}")]
    Incomplete(String),
    #[error("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")]
    HostNotSigned,
    #[error(
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )]
    Ambiguous,
    /// Made too long ago, or in the future.
    #[error("{0}")]
    Time(String),
    /// Made for another region or service, or on another day.
    #[error("{0}")]
    Scope(String),
    /// An access key that nobody has, or not this session token.
    #[error("The security token included in the request is invalid.")]
    UnknownAccessKey,
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details.\n\nThe Canonical String for this request should have been\n\
         '{canonical_request}'\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
    )]
    Mismatch { canonical_request: String, string_to_sign: String },
}

impl SignatureError {
    /// The value of `x-amzn-ErrorType`. The status is 403 for all.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::HostNotSigned
            | Self::Ambiguous
            | Self::Time(_)
            | Self::Scope(_)
            | Self::Mismatch { .. } => "InvalidSignatureException",
            Self::UnknownAccessKey => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
        }
    }

    /// What may stand in a log: nothing of what the client sent. It could be a secret that was
    /// given in place of an access key id.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "no credentials",
            Self::Incomplete(_) => "incomplete or malformed credentials",
            Self::HostNotSigned => "the host is not signed",
            Self::Ambiguous => "credentials in the header and in the query",
            Self::Time(_) => "expired, or made in the future",
            Self::Scope(_) => "made for another region, service or day",
            Self::UnknownAccessKey => "unknown access key",
            Self::ExpiredToken => "expired session token",
            Self::Mismatch { .. } => "the signature does not match",
        }
    }
}

pub(super) fn not_key_value(header: &str) -> SignatureError {
    SignatureError::Incomplete(format!(
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 \
         and encoded with Base64): '{}'.",
        hashed(header)
    ))
}

/// `missing` are the header's parameters.
pub(super) fn missing_parameters(missing: &[&str], has_date: bool, header: &str) -> SignatureError {
    let mut message = String::new();
    for name in missing {
        message += &format!("Authorization header requires '{name}' parameter. ");
    }
    if !has_date {
        message += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                    header. ";
    }
    let header = hashed(header);
    message += &format!("(Hashed with SHA-256 and encoded with Base64) Authorization={header}");
    SignatureError::Incomplete(message)
}

pub(super) fn missing_query_parameters(missing: &[&str]) -> SignatureError {
    let mut message = String::new();
    for name in missing {
        message += &format!("AWS query-string parameters must include '{name}'. ");
    }
    SignatureError::Incomplete(message + "Re-examine the query-string parameters.")
}

pub(super) fn no_algorithm() -> SignatureError {
    SignatureError::Incomplete(
        "Authorization header must begin with the algorithm name, which cannot include an \
         equal-sign"
            .to_owned(),
    )
}

pub(super) fn wrong_algorithm(algorithm: &str) -> SignatureError {
    SignatureError::Incomplete(format!(
        "Unsupported AWS 'algorithm': '{algorithm}' (only {ALGORITHM} for now). "
    ))
}

pub(super) fn wrong_credential(credential: &str) -> SignatureError {
    SignatureError::Incomplete(format!(
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got '{credential}'"
    ))
}

pub(super) fn wrong_date(date: &str) -> SignatureError {
    SignatureError::Incomplete(format!(
        "Date must be in ISO-8601 'basic format'. Got '{date}'. See \
         http://en.wikipedia.org/wiki/ISO_8601"
    ))
}

pub(super) fn wrong_expires() -> SignatureError {
    SignatureError::Incomplete(format!(
        "X-Amz-Expires must be a number of seconds from 1 to {MAXIMUM_EXPIRES}"
    ))
}

pub(super) fn too_long(what: &str, maximum: usize) -> SignatureError {
    SignatureError::Incomplete(format!("{what} at most {maximum}"))
}

// The following four may be put together: each ends in a space, as on AWS.

pub(super) fn wrong_region(region: &str) -> String {
    format!("Credential should be scoped to a valid region, not '{region}'. ")
}

pub(super) fn wrong_service(expected: &str) -> String {
    format!("Credential should be scoped to correct service: '{expected}'. ")
}

pub(super) fn wrong_terminator(terminator: &str) -> String {
    format!(
        "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'. "
    )
}

pub(super) fn wrong_day(day: &str, date: &AmzDate) -> String {
    format!(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
         HTTP: '{day}' != '{}', from '{}'. ",
        date.day(),
        date.text()
    )
}

pub(super) fn not_yet_current(date: &AmzDate, now: i64, skew: i64) -> String {
    format!(
        "Signature not yet current: {} is still later than {} ({} + {} min.)",
        date.text(),
        AmzDate::from_seconds(now + skew).text(),
        AmzDate::from_seconds(now).text(),
        skew / 60
    )
}

/// `valid` in seconds. AWS's text is known for the header form, where this is five minutes.
pub(super) fn expired(date: &AmzDate, now: i64, valid: i64) -> String {
    let period = match valid % 60 {
        0 => format!("{} min.", valid / 60),
        _ => format!("{valid} sec."),
    };
    format!(
        "Signature expired: {} is now earlier than {} ({} - {period})",
        date.text(),
        AmzDate::from_seconds(now - valid).text(),
        AmzDate::from_seconds(now).text(),
    )
}

/// What was sent as a credential doesn't come back in an answer.
fn hashed(header: &str) -> String {
    BASE64_STANDARD.encode(sha256(header.as_bytes()))
}
