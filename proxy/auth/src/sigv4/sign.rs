//! Signing: for our own commands and for tests.

use std::time::SystemTime;

use ring::hmac;

use super::{ALGORITHM, AmzDate, PayloadHash, RequestParts, Scope, SecretKey, TERMINATOR};
use super::{canonical, hex};

/// Who signs, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    pub access_key_id: &'a str,
    pub secret: &'a SecretKey,
    pub scope: Scope<'a>,
}

impl Signer<'_> {
    /// The value of `Authorization`. The request has to have its other headers already:
    /// `X-Amz-Date` with the text of [`AmzDate`] for `time`, a session token if there is one.
    /// `names` are those to sign, in any order and case; `host` must be among them.
    pub fn authorization(
        &self,
        request: &RequestParts<'_>,
        names: &[&str],
        payload: PayloadHash,
        time: SystemTime,
    ) -> String {
        let mut names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        let date = AmzDate::new(time);
        let canonical = canonical::request(request, &names, payload, false);
        let text = canonical::string_to_sign(&canonical, date.text(), self.scope);
        let key = self.secret.signing_key(date.day(), self.scope);
        let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
        let Scope { region, service } = self.scope;
        format!(
            "{ALGORITHM} Credential={}/{}/{region}/{service}/{TERMINATOR}, SignedHeaders={}, \
             Signature={signature}",
            self.access_key_id,
            date.day(),
            names.join(";"),
        )
    }
}
