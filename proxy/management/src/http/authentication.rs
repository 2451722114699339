//! Who may use the management API: Signature Version 4 with configured keys, or anybody on
//! loopback.

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

use http::HeaderMap;
use http::request::Parts;
use tollgate_auth::sigv4::{
    Authorization, Headers, PayloadHash, RequestParts, Scope, SecretKey, SignatureError,
};

const SERVICE: &str = "apigateway";

/// Who may use a listener.
#[derive(Debug)]
pub enum Authentication {
    /// Requests needn't be signed, and signatures aren't looked at: only for a listener that other
    /// machines don't reach. Requests that browsers make for other sites are refused.
    AnyKey,
    /// Requests have to be signed with one of these keys.
    Keys(AccessKeys),
}

/// Access keys, and the region that requests have to be signed for.
pub struct AccessKeys {
    region: String,
    secrets: HashMap<String, SecretKey>,
}

impl AccessKeys {
    /// `keys` are access key ids and secrets.
    pub fn new(
        region: impl Into<String>,
        keys: impl IntoIterator<Item = (String, SecretKey)>,
    ) -> Self {
        Self { region: region.into(), secrets: keys.into_iter().collect() }
    }

    fn scope(&self) -> Scope<'_> {
        Scope { region: &self.region, service: SERVICE }
    }

    /// Checks all but the signature, which covers the body: so that nobody without at least the
    /// name of a key has us read one.
    pub(super) fn check_head(&self, head: &Parts, now: SystemTime) -> Result<(), Denied> {
        let fields = Fields(&head.headers);
        let request = parts(head, &fields);
        let authorization = self.parse(&request)?;
        authorization
            .check_scope(self.scope(), now)
            .map_err(|error| Denied::known(&authorization, error))
    }

    /// Checks everything.
    pub(super) fn check(&self, head: &Parts, body: &[u8], now: SystemTime) -> Result<(), Denied> {
        let fields = Fields(&head.headers);
        let request = parts(head, &fields);
        let authorization = self.parse(&request)?;
        let secret = self.secrets.get(authorization.access_key_id());
        let secret = secret.ok_or(SignatureError::UnknownAccessKey).map_err(Denied::unknown)?;
        authorization
            .verify(&request, PayloadHash::of(body), secret, self.scope(), now)
            .map_err(|error| Denied::known(&authorization, error))
    }

    fn parse<'a>(&self, request: &RequestParts<'a>) -> Result<Authorization<'a>, Denied> {
        let authorization = Authorization::parse(request)
            .and_then(|authorization| authorization.ok_or(SignatureError::Missing))
            .map_err(Denied::unknown)?;
        if !self.secrets.contains_key(authorization.access_key_id()) {
            return Err(Denied::unknown(SignatureError::UnknownAccessKey));
        }
        // No key of the configuration is a temporary one.
        if authorization.session_token().is_some() {
            return Err(Denied::known(&authorization, SignatureError::UnknownAccessKey));
        }
        Ok(authorization)
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys")
            .field("region", &self.region)
            .field("ids", &self.secrets.keys())
            .finish()
    }
}

/// Why a request isn't authenticated.
pub(super) struct Denied {
    /// None if it isn't one of ours. Then it isn't logged either: people take the secret for the
    /// id.
    pub(super) access_key_id: Option<String>,
    pub(super) error: SignatureError,
}

impl Denied {
    fn unknown(error: SignatureError) -> Self {
        Self { access_key_id: None, error }
    }

    fn known(authorization: &Authorization<'_>, error: SignatureError) -> Self {
        Self { access_key_id: Some(authorization.access_key_id().to_owned()), error }
    }
}

struct Fields<'a>(&'a HeaderMap);

impl Headers for Fields<'_> {
    fn value(&self, name: &str, at: usize) -> Option<&[u8]> {
        self.0.get_all(name).iter().nth(at).map(http::HeaderValue::as_bytes)
    }
}

fn parts<'a>(head: &'a Parts, headers: &'a Fields<'a>) -> RequestParts<'a> {
    RequestParts {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers,
    }
}
