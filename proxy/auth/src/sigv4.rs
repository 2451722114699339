//! Signature Version 4: who signed a request, and whether the signature is right.
//!
//! Checking takes two steps, since the secret is found by what the first one reads:
//!
//! ```
//! # use std::time::{Duration, UNIX_EPOCH};
//! use tollgate_auth::sigv4::{
//!     Authorization, Headers, PayloadHash, RequestParts, Scope, SecretKey, SignatureError,
//! };
//!
//! struct Fields;
//!
//! impl Headers for Fields {
//!     fn value(&self, name: &str, at: usize) -> Option<&[u8]> {
//!         match (name, at) {
//!             ("host", 0) => Some(b"example.amazonaws.com"),
//!             ("x-amz-date", 0) => Some(b"20150830T123600Z"),
//!             ("authorization", 0) => Some(
//!                 b"AWS4-HMAC-SHA256 \
//!                   Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
//!                   SignedHeaders=host;x-amz-date, \
//!                   Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
//!             ),
//!             _ => None,
//!         }
//!     }
//! }
//!
//! let request = RequestParts { method: "GET", path: "/", query: "", headers: &Fields };
//! let authorization = Authorization::parse(&request)?.ok_or(SignatureError::Missing)?;
//! assert_eq!(authorization.access_key_id(), "AKIDEXAMPLE");
//! let secret = SecretKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
//! let scope = Scope { region: "us-east-1", service: "service" };
//! let now = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
//! authorization.verify(&request, PayloadHash::of(b""), &secret, scope, now)?;
//! # Ok::<(), SignatureError>(())
//! ```
//!
//! The algorithm is AWS's ([reference](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html))
//! for services other than S3: the path is normalized and encoded once more. What a request has
//! beyond the signed headers isn't covered by its signature. AWS asks for `host` alone to be
//! signed, since proxies add headers (CloudFront `x-amz-cf-id`); so does this.

mod parse;
mod canonical;
mod sign;
mod error;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

pub use error::SignatureError;
pub use sign::Signer;

use crate::date;

/// Bytes of an `Authorization` header.
pub const MAXIMUM_AUTHORIZATION: usize = 8 * 1024;
/// Names in a list of signed headers.
pub const MAXIMUM_SIGNED_HEADERS: usize = 128;
/// Seconds that a presigned request may be valid: a week, as on AWS.
pub const MAXIMUM_EXPIRES: u32 = 604_800;
/// How far the client's clock may be from ours, as on AWS.
pub const MAXIMUM_SKEW: Duration = Duration::from_secs(5 * 60);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// A request's header fields.
pub trait Headers {
    /// The value of the field of this name that comes `at` places after the first. `name` is in
    /// lower case.
    fn value(&self, name: &str, at: usize) -> Option<&[u8]>;
}

/// What a signature covers, except for the body.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    pub method: &'a str,
    /// As it was sent, from the first `/`: still percent-encoded.
    pub path: &'a str,
    /// As it was sent, without `?`.
    pub query: &'a str,
    pub headers: &'a dyn Headers,
}

/// What stands for the body in a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    Sha256([u8; 32]),
    /// The body isn't known. A request passes only if it says itself, in a signed
    /// `x-amz-content-sha256`, that its body isn't signed.
    Unsigned,
}

impl PayloadHash {
    pub fn of(body: &[u8]) -> Self {
        Self::Sha256(sha256(body))
    }

    fn text(self) -> Cow<'static, str> {
        match self {
            Self::Sha256(hash) => hex(&hash).into(),
            Self::Unsigned => UNSIGNED_PAYLOAD.into(),
        }
    }
}

/// Where a signature is valid. The day is the request's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    pub region: &'a str,
    /// `apigateway` for the management API, `execute-api` for APIs.
    pub service: &'a str,
}

/// The secret of an access key. It never prints itself.
#[derive(Clone)]
pub struct SecretKey {
    /// With the prefix that the first key of the chain has.
    prefixed: Box<[u8]>,
}

impl SecretKey {
    pub fn new(secret: &str) -> Self {
        Self { prefixed: format!("AWS4{secret}").into_bytes().into() }
    }

    fn signing_key(&self, day: &str, scope: Scope<'_>) -> hmac::Key {
        [day, scope.region, scope.service, TERMINATOR].iter().fold(
            hmac::Key::new(hmac::HMAC_SHA256, &self.prefixed),
            |key, part| {
                let derived = hmac::sign(&key, part.as_bytes());
                hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
            },
        )
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// What a request says about its signature, in well-formed shape; nothing of it is checked yet.
#[derive(Debug)]
pub struct Authorization<'a> {
    form: Form,
    /// Five parts: access key id, day, region, service, terminator.
    credential: Cow<'a, str>,
    /// In lower case and order, each once.
    signed_headers: Vec<String>,
    /// Unless it isn't the hexadecimal form of 32 bytes, which no signature matches.
    signature: Option<[u8; 32]>,
    date: AmzDate,
    session_token: Option<Cow<'a, str>>,
}

/// Where a request keeps its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Header,
    /// A presigned URL.
    Query {
        /// Seconds after the date, at most [`MAXIMUM_EXPIRES`].
        expires: u32,
    },
}

impl<'a> Authorization<'a> {
    /// None if the request has no `Authorization` and isn't presigned: [`SignatureError::Missing`]
    /// where it has to be signed.
    pub fn parse(request: &RequestParts<'a>) -> Result<Option<Self>, SignatureError> {
        parse::authorization(request)
    }

    /// Whose secret signed, by its own account.
    pub fn access_key_id(&self) -> &str {
        self.part(0)
    }

    /// Where the client believes to be.
    pub fn region(&self) -> &str {
        self.part(2)
    }

    pub fn service(&self) -> &str {
        self.part(3)
    }

    /// What belongs to a temporary access key. It's for the caller to compare.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// The signature doesn't cover the body, and says so: there is no need to read it first.
    pub fn is_payload_unsigned(&self, request: &RequestParts<'_>) -> bool {
        const HEADER: &str = "x-amz-content-sha256";
        self.signed_headers.iter().any(|name| name == HEADER)
            && request.headers.value(HEADER, 0) == Some(UNSIGNED_PAYLOAD.as_bytes())
            && request.headers.value(HEADER, 1).is_none()
    }

    /// Checks, in AWS's order: time, scope, signature. `request` is the one that was parsed.
    pub fn verify(
        &self,
        request: &RequestParts<'_>,
        payload: PayloadHash,
        secret: &SecretKey,
        scope: Scope<'_>,
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        self.check_scope(scope, now)?;
        let payload =
            if self.is_payload_unsigned(request) { PayloadHash::Unsigned } else { payload };
        let is_presigned = self.form != Form::Header;
        let canonical = canonical::request(request, &self.signed_headers, payload, is_presigned);
        let text = canonical::string_to_sign(&canonical, self.date.text(), scope);
        let key = secret.signing_key(self.date.day(), scope);
        // In constant time.
        match self.signature.map(|signature| hmac::verify(&key, text.as_bytes(), &signature)) {
            Some(Ok(())) => Ok(()),
            _ => Err(SignatureError::Mismatch {
                canonical_request: String::from_utf8_lossy(&canonical).into_owned(),
                string_to_sign: text,
            }),
        }
    }

    /// Checks what needs no secret: time, region, service. For callers that look secrets up where
    /// it costs something; [`verify`](Self::verify) does so too.
    pub fn check_scope(&self, scope: Scope<'_>, now: SystemTime) -> Result<(), SignatureError> {
        self.check_time(seconds(now))?;
        let mut message = String::new();
        if self.region() != scope.region {
            message += &error::wrong_region(self.region());
        }
        if self.service() != scope.service {
            message += &error::wrong_service(scope.service);
        }
        if self.part(4) != TERMINATOR {
            message += &error::wrong_terminator(self.part(4));
        }
        if self.part(1) != self.date.day() {
            message += &error::wrong_day(self.part(1), &self.date);
        }
        if message.is_empty() { Ok(()) } else { Err(SignatureError::Scope(message)) }
    }

    fn check_time(&self, now: i64) -> Result<(), SignatureError> {
        let skew = MAXIMUM_SKEW.as_secs() as i64;
        let valid = match self.form {
            Form::Header => skew,
            Form::Query { expires } => i64::from(expires),
        };
        let date = &self.date;
        if date.seconds > now + skew {
            return Err(SignatureError::Time(error::not_yet_current(date, now, skew)));
        }
        if date.seconds < now - valid {
            return Err(SignatureError::Time(error::expired(date, now, valid)));
        }
        Ok(())
    }

    fn part(&self, at: usize) -> &str {
        self.credential.split('/').nth(at).unwrap_or_default()
    }
}

/// The time of `X-Amz-Date`: `20150830T123600Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmzDate {
    text: String,
    /// Since 1970.
    seconds: i64,
}

impl AmzDate {
    /// Years of more than four digits have no such text; the end of the last year that has one
    /// stands for them.
    pub fn new(time: SystemTime) -> Self {
        Self::from_seconds(seconds(time))
    }

    fn from_seconds(seconds: i64) -> Self {
        let seconds = seconds.clamp(0, 253_402_300_799);
        let mut buffer = [0; 32];
        let text = date::write(seconds, &mut buffer);
        Self { text: text.chars().filter(|letter| !matches!(letter, '-' | ':')).collect(), seconds }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn day(&self) -> &str {
        self.text.split('T').next().unwrap_or_default()
    }
}

/// Since 1970; a clock before that isn't set.
fn seconds(time: SystemTime) -> i64 {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX / 2).min(i64::MAX / 2)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
