//! The issuer's keys: parsed, kept by each instance, and fetched for all of them.
//!
//! An instance looks at the keys it has, then at those that another one fetched (in the key-value
//! store), and only then fetches them: when they are older than `cacheSeconds`, or when a token
//! names a key that isn't there, which is how an issuer's new key is noticed. A marker in the
//! store lets one instance fetch at a time and bounds how often tokens with invented key ids can
//! make it happen. While the issuer doesn't answer, the keys that are there serve on.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::signature::Verifier as _;
use rsa::pkcs1v15;
use serde::Deserialize;
use sha2::Sha256;
use tollgate_plugin_sdk::{clock, fetch, info, key_value, warn};

use crate::settings::{Algorithm, Jwks, KeySource, Settings};
use crate::token::Token;

/// Keys of an issuer that are looked at.
const MOST_KEYS: usize = 64;
/// Bits of RSA moduli; larger ones would take too long.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const STORED: &str = "jwks";
const FETCHING: &str = "jwks fetching";
const FAILED: &str = "jwks failed";
/// After a failure without any keys to serve on with.
const RETRY: Duration = Duration::from_secs(1);

/// A key as RFC 7517 has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

pub struct Key {
    id: Option<String>,
    public: PublicKey,
}

enum PublicKey {
    Rsa(pkcs1v15::VerifyingKey<Sha256>),
    P256(p256::ecdsa::VerifyingKey),
}

struct KeySet {
    keys: Vec<Key>,
    /// Of the entry in the key-value store.
    version: u64,
    /// Seconds since 1970.
    fetched: u64,
}

/// Why there are no keys at all.
#[derive(Debug)]
pub struct KeysError(String);

impl std::fmt::Display for KeysError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

thread_local! {
    static INSTANCE: RefCell<Option<Rc<KeySet>>> = const { RefCell::new(None) };
}

impl Key {
    /// `None` for keys of other kinds or uses, which an issuer may have too.
    fn of(jwk: &Jwk) -> Option<Self> {
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let algorithm_is = |name| jwk.alg.as_deref().is_none_or(|it| it == name);
        let bytes = |text: &Option<String>| Base64UrlUnpadded::decode_vec(text.as_deref()?).ok();
        let public = match jwk.kty.as_str() {
            "RSA" if algorithm_is("RS256") => {
                let modulus = rsa::BigUint::from_bytes_be(&bytes(&jwk.n)?);
                let exponent = rsa::BigUint::from_bytes_be(&bytes(&jwk.e)?);
                if !MODULUS_BITS.contains(&modulus.bits()) {
                    return None;
                }
                let largest = *MODULUS_BITS.end();
                let key = rsa::RsaPublicKey::new_with_max_size(modulus, exponent, largest).ok()?;
                PublicKey::Rsa(pkcs1v15::VerifyingKey::new(key))
            }
            "EC" if algorithm_is("ES256") && jwk.crv.as_deref() == Some("P-256") => {
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                let (x, y): ([u8; 32], [u8; 32]) = (x.try_into().ok()?, y.try_into().ok()?);
                let point =
                    p256::EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
                PublicKey::P256(p256::ecdsa::VerifyingKey::from_encoded_point(&point).ok()?)
            }
            _ => return None,
        };
        Some(Self { id: jwk.kid.clone(), public })
    }

    /// The key decides the algorithm; a token that names another one is not verified.
    pub fn verifies(&self, token: &Token<'_>) -> bool {
        let signed = token.signed.as_bytes();
        match (&self.public, token.algorithm) {
            (PublicKey::Rsa(key), Algorithm::Rs256) => {
                pkcs1v15::Signature::try_from(token.signature.as_slice())
                    .is_ok_and(|signature| key.verify(signed, &signature).is_ok())
            }
            (PublicKey::P256(key), Algorithm::Es256) => {
                p256::ecdsa::Signature::from_slice(&token.signature)
                    .is_ok_and(|signature| key.verify(signed, &signature).is_ok())
            }
            _ => false,
        }
    }

    /// A token without a key id may be of any key.
    fn may_be(&self, id: Option<&str>) -> bool {
        id.is_none() || self.id.as_deref() == id
    }
}

/// Whether one of the keys that a token may be signed with passes the test.
pub fn with_keys(
    settings: &Settings,
    id: Option<&str>,
    test: impl Fn(&Key) -> bool,
) -> Result<bool, KeysError> {
    let set = match &settings.source {
        KeySource::Given(keys) => given(keys)?,
        KeySource::Fetched(jwks) => fetched(jwks, id)?,
    };
    Ok(set.keys.iter().filter(|key| key.may_be(id)).any(test))
}

impl KeySet {
    fn has(&self, id: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.may_be(id))
    }

    fn is_fresh(&self, jwks: &Jwks) -> bool {
        clock::now().as_secs() < self.fetched.saturating_add(jwks.cache_seconds)
    }
}

fn given(jwks: &[Jwk]) -> Result<Rc<KeySet>, KeysError> {
    // Unit tests have many configurations on one thread.
    let kept = INSTANCE.with_borrow(Clone::clone).filter(|_| cfg!(target_arch = "wasm32"));
    if let Some(set) = kept {
        return Ok(set);
    }
    let keys: Vec<_> = jwks.iter().take(MOST_KEYS).filter_map(Key::of).collect();
    if keys.is_empty() {
        return Err(KeysError("none of the configured keys can be used".to_owned()));
    }
    let set = Rc::new(KeySet { keys, version: 0, fetched: 0 });
    INSTANCE.set(Some(set.clone()));
    Ok(set)
}

/// The keys to verify with: the newest there are.
fn fetched(jwks: &Jwks, id: Option<&str>) -> Result<Rc<KeySet>, KeysError> {
    let kept = INSTANCE.with_borrow(Clone::clone).filter(|_| cfg!(target_arch = "wasm32"));
    if let Some(set) = kept.filter(|set| set.is_fresh(jwks) && set.has(id)) {
        return Ok(set);
    }
    let stored = stored();
    if let Some(set) = stored.as_ref().filter(|set| set.is_fresh(jwks) && set.has(id)) {
        return Ok(set.clone());
    }
    let refetch = Duration::from_secs(jwks.refetch_seconds);
    if key_value::compare_and_swap(FETCHING, 0, b"", Some(refetch)).is_err() {
        // Another instance fetches now, or did a moment ago. Without any keys this one does too.
        if let Some(set) = stored {
            return Ok(set);
        }
        if key_value::get(FAILED).is_some() {
            return Err(KeysError("the last try failed a moment ago".to_owned()));
        }
    }
    match (fetch(jwks), stored) {
        (Ok(set), _) => Ok(set),
        (Err(problem), Some(set)) => {
            warn!("the issuer's keys can't be fetched, the old ones serve on: {problem}");
            Ok(set)
        }
        (Err(problem), None) => {
            // Where the store is full, requests try more often; nothing else depends on it.
            let _ = key_value::set(FAILED, b"", Some(RETRY));
            Err(KeysError(problem))
        }
    }
}

/// The keys in the store; parsed anew only when they are others than this instance knows.
fn stored() -> Option<Rc<KeySet>> {
    let entry = key_value::get(STORED)?;
    let kept = INSTANCE.with_borrow(Clone::clone).filter(|set| set.version == entry.version);
    if kept.is_some() {
        return kept;
    }
    let (fetched, body) = entry.value.split_first_chunk::<8>()?;
    let keys = parse(body).ok()?;
    let set = KeySet { keys, version: entry.version, fetched: u64::from_le_bytes(*fetched) };
    let set = Rc::new(set);
    INSTANCE.set(Some(set.clone()));
    Some(set)
}

fn fetch(jwks: &Jwks) -> Result<Rc<KeySet>, String> {
    let timeout = Duration::from_millis(jwks.timeout_milliseconds);
    let request =
        fetch::get(&jwks.upstream, jwks.path.as_str()).header("accept", "application/json");
    let response = request.timeout(timeout).send().map_err(|error| error.message().to_owned())?;
    if response.status != 200 {
        return Err(format!("the issuer answered with status {}", response.status));
    }
    let keys = parse(&response.body)?;
    let now = clock::now().as_secs();
    let value = [&now.to_le_bytes(), response.body.as_slice()].concat();
    let keep = Duration::from_secs(jwks.cache_seconds.saturating_add(jwks.stale_seconds));
    let stored = key_value::set(STORED, &value, Some(keep));
    let version = stored.map_err(|_| "the key-value store has no room for them".to_owned())?;
    info!("fetched {} keys", keys.len(); "upstream" => &jwks.upstream);
    let set = Rc::new(KeySet { keys, version, fetched: now });
    INSTANCE.set(Some(set.clone()));
    Ok(set)
}

fn parse(body: &[u8]) -> Result<Vec<Key>, String> {
    let set: JwkSet = serde_json::from_slice(body).map_err(|error| format!("no JWKS: {error}"))?;
    // One key of a kind that isn't known doesn't spoil the others.
    let jwks =
        set.keys.into_iter().take(MOST_KEYS).filter_map(|key| serde_json::from_value(key).ok());
    let keys: Vec<_> = jwks.filter_map(|jwk: Jwk| Key::of(&jwk)).collect();
    if keys.is_empty() { Err("none of the keys can be used".to_owned()) } else { Ok(keys) }
}
