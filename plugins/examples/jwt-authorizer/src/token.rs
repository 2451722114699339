//! A token, before its signature is looked at.

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::settings::{Algorithm, Settings};

/// Longer tokens are refused unread: no header line is as long.
const LONGEST: usize = 16 * 1024;

pub struct Token<'a> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    pub claims: Claims,
    /// Header and claims as they were signed.
    pub signed: &'a str,
    pub signature: Vec<u8>,
}

pub struct Claims(Map<String, Value>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    Malformed,
    Algorithm,
    /// It has critical extensions (`crit`), which none of here understands.
    Critical,
    Issuer,
    Audience,
    NoExpiry,
    Expired,
    NotYetValid,
    Signature,
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is malformed",
            Self::Algorithm => "its algorithm is not allowed",
            Self::Critical => "it has critical extensions",
            Self::Issuer => "it has another issuer",
            Self::Audience => "it is for another audience",
            Self::NoExpiry => "it never expires",
            Self::Expired => "it has expired",
            Self::NotYetValid => "it is not valid yet",
            Self::Signature => "its signature is not the issuer's",
        })
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    pub fn parse(text: &'a str, settings: &Settings) -> Result<Self, TokenError> {
        if text.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = json(header)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::Rs256,
            "ES256" => Algorithm::Es256,
            _ => return Err(TokenError::Algorithm),
        };
        if !settings.algorithms.contains(&algorithm) {
            return Err(TokenError::Algorithm);
        }
        Ok(Self {
            algorithm,
            key_id: header.kid,
            claims: Claims(json(claims)?),
            signed,
            signature: base64(signature)?,
        })
    }
}

fn base64(text: &str) -> Result<Vec<u8>, TokenError> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| TokenError::Malformed)
}

fn json<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&base64(text)?).map_err(|_| TokenError::Malformed)
}

impl Claims {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Whether the token is meant for this API, and for now (seconds since 1970).
    pub fn check(&self, settings: &Settings, now: u64) -> Result<(), TokenError> {
        if self.text("iss") != Some(&settings.issuer) {
            return Err(TokenError::Issuer);
        }
        let audiences = &settings.audiences;
        if !audiences.is_empty() && !self.has_one_of("aud", audiences, |text| vec![text]) {
            return Err(TokenError::Audience);
        }
        if self.seconds("exp").ok_or(TokenError::NoExpiry)? + settings.leeway_seconds as f64
            <= now as f64
        {
            return Err(TokenError::Expired);
        }
        match self.get("nbf") {
            None => Ok(()),
            Some(_) => {
                let begin = self.seconds("nbf").ok_or(TokenError::Malformed)?;
                let begun = begin <= (now + settings.leeway_seconds) as f64;
                if begun { Ok(()) } else { Err(TokenError::NotYetValid) }
            }
        }
    }

    /// Seconds since 1970 at which the token is refused.
    pub fn expires_at(&self, settings: &Settings) -> u64 {
        self.seconds("exp").unwrap_or_default() as u64 + settings.leeway_seconds
    }

    /// Whether `scope` (words) or `scp` (words or a list) has one of them, if any is wanted.
    pub fn has_a_scope_of(&self, wanted: &[String]) -> bool {
        fn words(text: &str) -> Vec<&str> {
            text.split_ascii_whitespace().collect()
        }
        let has = |claim| self.has_one_of(claim, wanted, words);
        wanted.is_empty() || has("scope") || has("scp")
    }

    fn seconds(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_f64).filter(|seconds| (0.0..1e15).contains(seconds))
    }

    fn has_one_of(&self, name: &str, wanted: &[String], split: fn(&str) -> Vec<&str>) -> bool {
        let is_wanted = |text: &&str| wanted.iter().any(|it| it == text);
        match self.get(name) {
            Some(Value::String(text)) => split(text).iter().any(is_wanted),
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).any(|it| is_wanted(&it))
            }
            _ => false,
        }
    }
}
