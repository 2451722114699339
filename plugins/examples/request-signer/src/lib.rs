//! A transformer that signs requests to the backend, so that it can tell them from requests that
//! didn't come through the gateway.
//!
//! ```json
//! {"keyId": "gateway-1", "secret": "…", "signBody": true, "signedHeaders": ["content-type"]}
//! ```
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | `keyId` | sent along, so that the backend knows which secret to use | wanted |
//! | `secret`, or `secretBase64` | of 16 bytes or more | wanted |
//! | `signBody` | the body's SHA-256 is signed too; the body is then held until it is complete | `false` |
//! | `signedHeaders` | names of request headers that are signed too | none |
//! | `dateHeader`, `digestHeader`, `signatureHeader` | names of the headers that are set; the client's own of these names go | `x-signature-date`, `x-signature-digest`, `x-signature` |
//! | `stripPrefix` | what the paths that the backend sees lack | the stage: `/prod` |
//!
//! The signature is `keyId="gateway-1",headers="content-type",signature="…"`: HMAC-SHA256, in
//! base64, over these lines, joined by a line feed:
//!
//! ```text
//! POST
//! /pets?limit=3
//! 20260101T000000Z
//! e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
//! content-type:application/json
//! ```
//!
//! The fourth is the body's SHA-256 in hexadecimal, or `UNSIGNED` without `signBody`. Values of
//! signed headers are trimmed, several of one name joined by a comma; an absent one is an empty
//! value. The backend computes the same and refuses dates that are minutes away from its own.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tollgate_plugin_sdk::{
    BodyAction, Configuration, HeaderEdit, Request, RequestAction, RequestEdits, Transformer,
    clock, transformer,
};

static SETTINGS: Configuration<Settings> = Configuration::json();

/// Shorter secrets can be found by trying.
const SHORTEST_SECRET: usize = 16;

#[derive(Deserialize)]
#[serde(try_from = "Wire")]
struct Settings {
    key_id: String,
    secret: Vec<u8>,
    sign_body: bool,
    signed_headers: Vec<String>,
    date_header: String,
    digest_header: String,
    signature_header: String,
    strip_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    key_id: String,
    secret: Option<String>,
    secret_base64: Option<String>,
    #[serde(default)]
    sign_body: bool,
    #[serde(default)]
    signed_headers: Vec<String>,
    date_header: Option<String>,
    digest_header: Option<String>,
    signature_header: Option<String>,
    strip_prefix: Option<String>,
}

impl TryFrom<Wire> for Settings {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let secret = match (wire.secret, wire.secret_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(base64)) => {
                Base64::decode_vec(&base64).map_err(|_| "secretBase64 is not base64")?
            }
            _ => return Err("either secret or secretBase64 is wanted"),
        };
        if secret.len() < SHORTEST_SECRET {
            return Err("the secret is shorter than 16 bytes");
        }
        if wire.key_id.contains(['"', '\\']) {
            return Err("keyId: quotes and backslashes are not allowed");
        }
        Ok(Self {
            key_id: wire.key_id,
            secret,
            sign_body: wire.sign_body,
            signed_headers: wire.signed_headers.iter().map(|it| it.to_ascii_lowercase()).collect(),
            date_header: wire.date_header.unwrap_or_else(|| "x-signature-date".to_owned()),
            digest_header: wire.digest_header.unwrap_or_else(|| "x-signature-digest".to_owned()),
            signature_header: wire.signature_header.unwrap_or_else(|| "x-signature".to_owned()),
            strip_prefix: wire.strip_prefix,
        })
    }
}

struct Signer;

transformer!(Signer);

impl Transformer for Signer {
    fn on_request(request: &Request) -> RequestAction {
        if SETTINGS.sign_body {
            return RequestEdits::new().buffer_body().into();
        }
        let mut edits = RequestEdits::new();
        edits.headers = signature(&SETTINGS, request, "UNSIGNED");
        edits.into()
    }

    fn on_request_body(request: &Request, body: Vec<u8>, _: bool) -> BodyAction {
        let digest = hexadecimal(&Sha256::digest(&body));
        BodyAction::Edit((body, signature(&SETTINGS, request, &digest)))
    }
}

fn signature(settings: &Settings, request: &Request, digest: &str) -> Vec<HeaderEdit> {
    let date = date(clock::now().as_secs());
    let mut lines = [&request.method(), &*target(settings, request), &*date, digest].join("\n");
    for name in &settings.signed_headers {
        let values = request.header_values(name);
        let values: Vec<_> = values.iter().map(|value| value.trim()).collect();
        lines.push_str(&format!("\n{name}:{}", values.join(",")));
    }
    let mac = Hmac::<Sha256>::new_from_slice(&settings.secret).expect("HMAC takes any key");
    let signature = Base64::encode_string(&mac.chain_update(lines).finalize().into_bytes());
    let value = format!(
        r#"keyId="{}",headers="{}",signature="{signature}""#,
        settings.key_id,
        settings.signed_headers.join(" "),
    );
    let set = |name: &String, value| HeaderEdit::Set((name.clone(), value));
    vec![
        set(&settings.date_header, date),
        set(&settings.digest_header, digest.to_owned()),
        set(&settings.signature_header, value),
    ]
}

/// Path and query as the backend sees them.
fn target(settings: &Settings, request: &Request) -> String {
    let (path, query) = (request.path(), request.query_string());
    let prefix = settings.strip_prefix.clone().unwrap_or_else(|| format!("/{}", request.stage()));
    let rest = path.strip_prefix(&prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match rest {
        Some("") => "/",
        Some(rest) => rest,
        None => &path,
    };
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// `20260101T000000Z`, from seconds since 1970.
fn date(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's "days to civil": years that begin in March have their leap day at the end.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use tollgate_plugin_sdk::testing::{Exchange, Gateway};

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    /// What a backend computes.
    fn expected(lines: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        Base64::encode_string(&mac.chain_update(lines).finalize().into_bytes())
    }

    fn gateway(extra: &str) -> Gateway {
        let settings = format!(r#"{{"keyId": "gateway-1", "secret": "{SECRET}"{extra}}}"#);
        Gateway::new().configuration(settings)
    }

    #[test]
    fn a_request_is_signed_without_its_body_being_held() {
        let exchange = Exchange::post("/test/pets?limit=3", "unread").header("x-signature", "mine");
        let forwarded = gateway("").request::<Signer>(&exchange).unwrap();
        let signature = expected("POST\n/pets?limit=3\n20260101T000000Z\nUNSIGNED");
        let value = format!(r#"keyId="gateway-1",headers="",signature="{signature}""#);
        assert_eq!(forwarded.header("x-signature"), Some(value.as_str()));
        assert_eq!(forwarded.header("x-signature-date"), Some("20260101T000000Z"));
        assert_eq!(forwarded.headers.iter().filter(|(name, _)| name == "x-signature").count(), 1);
    }

    #[test]
    fn body_and_headers_are_signed_when_asked() {
        let gateway = gateway(
            r#", "signBody": true, "signedHeaders": ["Content-Type", "x-a", "x-none"],
               "signatureHeader": "authorization", "stripPrefix": "/v1""#,
        );
        let exchange = Exchange::post("/v1", "abc")
            .header("content-type", " text/plain ")
            .header("x-a", "1")
            .header("x-a", "2");
        let forwarded = gateway.request::<Signer>(&exchange).unwrap();
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let lines = format!(
            "POST\n/\n20260101T000000Z\n{digest}\ncontent-type:text/plain\nx-a:1,2\nx-none:"
        );
        let signature = expected(&lines);
        assert_eq!(forwarded.header("x-signature-digest"), Some(digest));
        let value = forwarded.header("authorization").unwrap();
        assert!(value.ends_with(&format!(r#"signature="{signature}""#)), "{value}");
        assert_eq!(forwarded.body, b"abc");
    }

    #[test]
    fn only_whole_segments_are_stripped() {
        let forwarded = gateway("").request::<Signer>(&Exchange::get("/testing/pets")).unwrap();
        let signature = expected("GET\n/testing/pets\n20260101T000000Z\nUNSIGNED");
        assert!(forwarded.header("x-signature").unwrap().contains(&signature));
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        let table = [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_709_251_200, "20240301T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
            (1_798_761_599, "20261231T235959Z"),
        ];
        for (seconds, expected) in table {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn weak_secrets_are_refused() {
        let wrong = |json| serde_json::from_str::<Settings>(json).err().map(|it| it.to_string());
        let short = wrong(r#"{"keyId": "a", "secret": "short"}"#);
        assert_eq!(short.as_deref(), Some("the secret is shorter than 16 bytes"));
        let none = wrong(r#"{"keyId": "a"}"#);
        assert_eq!(none.as_deref(), Some("either secret or secretBase64 is wanted"));
    }
}
