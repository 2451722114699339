//! An authorizer for JSON Web Tokens (RFC 7519) signed with RS256 or ES256.
//!
//! ```json
//! {"issuer": "https://id.example.com/",
//!  "audiences": ["pets"],
//!  "jwks": {"upstream": "identity", "path": "/.well-known/jwks.json"},
//!  "scopes": ["pets:read"],
//!  "claims": {"email": "email", "tenant": "https://example.com/tenant"}}
//! ```
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | `issuer` | what `iss` must be, to the letter | wanted |
//! | `audiences` | one of them must be in `aud` | `aud` is not looked at |
//! | `jwks` | where the issuer's keys are: an upstream of the gateway, and the path there | this or `keys` is wanted |
//! | `keys` | the keys themselves, as JWKs: nothing is fetched | |
//! | `algorithms` | of `RS256` and `ES256`, those allowed | both |
//! | `scopes` | one of them must be in `scope` or `scp` | none is wanted |
//! | `claims` | context key → claim; lists become JSON text | none |
//! | `principalClaim` | the principal | `sub` |
//! | `header` | where the token is, after `Bearer ` or alone | `authorization` |
//! | `leewaySeconds` | how far clocks may differ, for `exp` and `nbf` | 60 |
//! | `cacheSeconds` | how long fetched keys are used before they are fetched again | 3600 |
//! | `staleSeconds` | how much longer while the issuer doesn't answer | 3600 |
//! | `refetchSeconds` | a token with an unknown key has the keys fetched again, at most this often | 30 |
//! | `timeoutMilliseconds` | deadline of a fetch | 2000 |
//!
//! 401 for a token that is missing, malformed, expired, for others or forged; 403 without a wanted
//! scope; 503 if the issuer's keys can't be had. A decision is kept no longer than the token lives.

mod keys;
mod settings;
mod token;
#[cfg(test)]
mod tests;

use serde_json::Value;
use tollgate_plugin_sdk::{
    Allow, Configuration, Decision, Refusal, Reply, Request, authorizer, clock, debug, error,
};

use crate::keys::KeysError;
use crate::settings::Settings;
use crate::token::{Claims, Token, TokenError};

static SETTINGS: Configuration<Settings> = Configuration::json();

authorizer!(authorize);

fn authorize(request: &Request) -> Result<Allow, Refusal> {
    let settings: &Settings = &SETTINGS;
    let header = request.header(&settings.header).ok_or(Refusal::Unauthorized)?;
    let text = bearer(&header);
    let claims = verified(settings, text).map_err(|problem| match problem {
        Problem::Token(problem) => {
            debug!("the token can't be used: {problem}");
            Refusal::Unauthorized
        }
        Problem::Keys(problem) => {
            error!("the issuer's keys can't be had: {problem}");
            Reply::json(503, r#"{"message":"Service Unavailable"}"#).into()
        }
    })?;
    if !claims.has_a_scope_of(&settings.scopes) {
        debug!("the token has none of the scopes wanted");
        return Err(Refusal::Deny);
    }
    let mut allow = Decision::allow(claims.text(&settings.principal_claim).unwrap_or_default());
    for (key, claim) in &settings.claims {
        allow = match claims.get(claim) {
            None | Some(Value::Null) => allow,
            Some(Value::String(text)) => allow.context(key, text.as_str()),
            Some(Value::Bool(boolean)) => allow.context(key, *boolean),
            Some(Value::Number(number)) => allow.context(key, number.as_f64().unwrap_or_default()),
            Some(other) => allow.context(key, other.to_string()),
        };
    }
    let left = claims.expires_at(settings).saturating_sub(clock::now().as_secs());
    Ok(allow.time_to_live(u32::try_from(left).unwrap_or(u32::MAX)))
}

enum Problem {
    Token(TokenError),
    Keys(KeysError),
}

/// The claims of a token with a good signature, meant for this API and for now.
fn verified(settings: &Settings, text: &str) -> Result<Claims, Problem> {
    let token = Token::parse(text, settings).map_err(Problem::Token)?;
    // Cheap checks first: a token that expired is no reason to fetch keys.
    token.claims.check(settings, clock::now().as_secs()).map_err(Problem::Token)?;
    let signed_by_one =
        keys::with_keys(settings, token.key_id.as_deref(), |key| key.verifies(&token));
    if signed_by_one.map_err(Problem::Keys)? {
        Ok(token.claims)
    } else {
        Err(Problem::Token(TokenError::Signature))
    }
}

fn bearer(header: &str) -> &str {
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => header.trim(),
    }
}
