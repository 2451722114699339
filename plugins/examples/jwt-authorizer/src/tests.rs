use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer;
use serde_json::{Value, json};
use tollgate_plugin_sdk::testing::{Exchange, FetchError, FetchResponse, Gateway};

use super::*;

/// Made with openssl: a modulus, and a token signed by its key, with the key id `rsa-1`.
const RSA_MODULUS: &str = "pC5474_x32gMpe0hmpJjNIsPCHWSUPZNyvnojBGbO0YmNVAdyq_u3lkUow0uV82cx9zqvTPA2QtkoSyhchSfOFNJHU7Bp32rrAElzNs46CqX0QfWQr1Q6QwGoex1i7DkmRtDcQqss2EW0gWUKymWX-5mT_DryDNQV7e2SFC5M63JaKrjTCmiU2iq0tXZAJqtlPGB4s7SgL0Jf1Fos2oHZQVaBLP58ZENyw_oozAL0z3rtkesntqwWmCc8Ud-rI6h_1AqojEXSXTTG3G1agyhcr0V45WgEf7h4t2e7HaiT9Fx0Aa3TLgzTO5lCDdN0fV3DtlWhlC9TFFTQuB7Um1sjQ";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tLyIsImF1ZCI6WyJwZXRzIl0sInN1YiI6ImFsaWNlIiwiZXhwIjo0MTAyNDQ0ODAwLCJzY29wZSI6Im9wZW5pZCBwZXRzOnJlYWQiLCJlbWFpbCI6ImFsaWNlQGV4YW1wbGUuY29tIn0.e7Uks0thKxwzVXFc9lgkdpTf9SVOkD7whkBDfJShsLgqyWZDCCB47mE-xxoZHgIOhMP0XESIAO0TafgLlfNMfXF8xE0LmhEMFeE4PkKb3We-dwbYaKoPTu21lthLJ8jEGefWoxbB6AlMdMZp51kNezfjzjziipREueneYK1aCCIa4JEufN0do8Tk-YyXpwfSCcHY7U-QXQlE-ggTvLhoVh6uqVce6wFAahx_4FHFDx4S1xk5iAPi9ONGqbIS1nDsio5zxvsPC5U1xov4jE3iVedp0IY71PqR4OYZrx6B6GzWh9coZklK9KR4EDCfNkDpMuwfqdlJE1MuPSFeX_CpvA";

fn signing_key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32].into()).unwrap()
}

fn jwk(id: &str, number: u8) -> Value {
    let point = signing_key(number).verifying_key().to_encoded_point(false);
    let text = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig",
        "x": text(point.x().unwrap()), "y": text(point.y().unwrap())})
}

fn token(id: &str, number: u8, claims: &Value) -> String {
    signed(&json!({"alg": "ES256", "kid": id}), number, claims)
}

fn signed(header: &Value, number: u8, claims: &Value) -> String {
    let text = |json: &Value| Base64UrlUnpadded::encode_string(json.to_string().as_bytes());
    let signed = format!("{}.{}", text(header), text(claims));
    let signature: p256::ecdsa::Signature = signing_key(number).sign(signed.as_bytes());
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature.to_bytes()))
}

/// Valid for an hour from the test's beginning.
fn claims() -> Value {
    let now = Gateway::new().now().as_secs();
    json!({"iss": "https://id.example.com/", "aud": "pets", "sub": "alice", "exp": now + 3600,
        "scope": "openid pets:read", "email": "alice@example.com", "level": 3, "groups": ["a", "b"]})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn configuration(extra: &Value) -> String {
    let mut all = json!({"issuer": "https://id.example.com/", "audiences": ["pets"],
        "keys": [jwk("one", 1)], "claims": {"email": "email", "level": "level", "groups": "groups"}});
    for (name, value) in extra.as_object().unwrap() {
        all[name] = value.clone();
    }
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    all.to_string()
}

fn ask(gateway: &Gateway, token: &str) -> Decision {
    let header = format!("Bearer {token}");
    gateway.authorize(authorize, &Exchange::get("/pets").header("Authorization", &header))
}

fn principal(decision: Decision) -> Option<String> {
    match decision {
        Decision::Allow(allow) => Some(allow.principal_id),
        _ => None,
    }
}

#[test]
fn a_good_token_gives_principal_context_and_time_to_live() {
    let gateway = Gateway::new().configuration(configuration(&json!({"scopes": ["pets:read"]})));
    let expected = Decision::allow("alice")
        .context("email", "alice@example.com")
        .context("groups", r#"["a","b"]"#)
        .context("level", 3)
        .time_to_live(3660);
    assert_eq!(ask(&gateway, &token("one", 1, &claims())), expected.into());
}

#[test]
fn rs256_is_verified() {
    let keys =
        json!([{"kty": "RSA", "kid": "rsa-1", "n": RSA_MODULUS, "e": "AQAB"}, jwk("one", 1)]);
    let gateway = Gateway::new().configuration(configuration(&json!({"keys": keys})));
    assert_eq!(principal(ask(&gateway, RSA_TOKEN)).as_deref(), Some("alice"));

    let (signed, signature) = RSA_TOKEN.rsplit_once('.').unwrap();
    let middle = signature.len() / 2;
    let other = if signature.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let forged = format!("{signed}.{}{other}{}", &signature[..middle], &signature[middle + 1..]);
    assert_eq!(ask(&gateway, &forged), Decision::Unauthorized);
}

#[test]
fn tokens_that_are_not_good_are_unauthorized() {
    let gateway = Gateway::new().configuration(configuration(&json!({})));
    let now = gateway.now().as_secs();
    let none = signed(&json!({"alg": "none"}), 1, &claims());
    let table = [
        ("another key", token("one", 2, &claims())),
        ("an unknown key id", token("two", 1, &claims())),
        ("another issuer", token("one", 1, &with("iss", json!("https://id.example.com")))),
        ("another audience", token("one", 1, &with("aud", json!(["cats"])))),
        ("expired", token("one", 1, &with("exp", json!(now - 60)))),
        ("no expiry", token("one", 1, &with("exp", Value::Null))),
        ("an expiry that is no time", token("one", 1, &with("exp", json!(-1)))),
        ("not valid yet", token("one", 1, &with("nbf", json!(now + 61)))),
        ("nbf that is no number", token("one", 1, &with("nbf", json!("now")))),
        ("algorithm none", none.clone()),
        ("no signature", none.rsplit_once('.').unwrap().0.to_owned() + "."),
        (
            "algorithm of another key type",
            signed(&json!({"alg": "RS256", "kid": "one"}), 1, &claims()),
        ),
        ("critical extensions", signed(&json!({"alg": "ES256", "crit": ["b64"]}), 1, &claims())),
        ("not a token", "open sesame".to_owned()),
        ("empty parts", "..".to_owned()),
        ("too long", "a".repeat(20_000)),
    ];
    for (what, token) in table {
        assert_eq!(ask(&gateway, &token), Decision::Unauthorized, "{what}");
    }
    let nothing = gateway.authorize(authorize, &Exchange::get("/pets"));
    assert_eq!(nothing, Decision::Unauthorized);
}

#[test]
fn clocks_may_differ_by_the_leeway() {
    let gateway = Gateway::new().configuration(configuration(&json!({})));
    let now = gateway.now().as_secs();
    for claims in [with("exp", json!(now - 59)), with("nbf", json!(now + 60))] {
        assert!(principal(ask(&gateway, &token("one", 1, &claims))).is_some());
    }
}

#[test]
fn a_missing_scope_is_denied() {
    let gateway =
        Gateway::new().configuration(configuration(&json!({"scopes": ["pets:write", "admin"]})));
    assert_eq!(ask(&gateway, &token("one", 1, &claims())), Decision::deny());
    let list = with("scp", json!(["x", "admin"]));
    assert!(principal(ask(&gateway, &token("one", 1, &list))).is_some());
}

#[test]
fn an_algorithm_that_is_not_allowed_is_refused() {
    let gateway = Gateway::new().configuration(configuration(&json!({"algorithms": ["RS256"]})));
    assert_eq!(ask(&gateway, &token("one", 1, &claims())), Decision::Unauthorized);
}

#[test]
fn a_token_without_key_id_is_tried_with_every_key() {
    let keys = json!([jwk("one", 1), jwk("two", 2)]);
    let gateway = Gateway::new().configuration(configuration(&json!({"keys": keys})));
    let token = signed(&json!({"alg": "ES256"}), 2, &claims());
    assert!(principal(ask(&gateway, &token)).is_some());
}

/// An issuer whose keys can be changed, and that can be switched off.
struct Issuer {
    keys: Cell<Value>,
    away: Cell<bool>,
}

fn gateway_with_issuer(keys: Value) -> (Gateway, Rc<Issuer>) {
    let issuer = Rc::new(Issuer { keys: Cell::new(keys), away: Cell::new(false) });
    let serving = issuer.clone();
    let jwks = json!({"keys": null, "jwks": {"upstream": "identity", "path": "/jwks"}});
    let gateway =
        Gateway::new().configuration(configuration(&jwks)).upstream("identity", move |request| {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/jwks"));
            if serving.away.get() {
                return Err(FetchError::TimedOut);
            }
            let keys = serving.keys.take();
            let body = json!({"keys": keys}).to_string().into_bytes();
            serving.keys.set(keys);
            Ok(FetchResponse { status: 200, headers: Vec::new(), body })
        });
    (gateway, issuer)
}

#[test]
fn keys_are_fetched_once_and_again_when_they_are_old() {
    let (gateway, _) = gateway_with_issuer(json!([jwk("one", 1), {"kty": "OKP"}, 5]));
    let token = token("one", 1, &with("exp", json!(4_102_444_800_u64)));
    for _ in 0..3 {
        assert!(principal(ask(&gateway, &token)).is_some());
    }
    assert_eq!(gateway.fetches().len(), 1);
    gateway.advance(Duration::from_secs(3600));
    assert!(principal(ask(&gateway, &token)).is_some());
    assert_eq!(gateway.fetches().len(), 2);
}

#[test]
fn a_new_key_is_noticed_and_invented_ones_do_not_flood_the_issuer() {
    let (gateway, issuer) = gateway_with_issuer(json!([jwk("one", 1)]));
    assert!(principal(ask(&gateway, &token("one", 1, &claims()))).is_some());
    gateway.advance(Duration::from_secs(30));

    issuer.keys.set(json!([jwk("two", 2)]));
    assert!(principal(ask(&gateway, &token("two", 2, &claims()))).is_some());
    assert_eq!(ask(&gateway, &token("one", 1, &claims())), Decision::Unauthorized);
    for id in ["three", "four", "five"] {
        assert_eq!(ask(&gateway, &token(id, 2, &claims())), Decision::Unauthorized);
    }
    assert_eq!(gateway.fetches().len(), 2);
    gateway.advance(Duration::from_secs(30));
    assert_eq!(ask(&gateway, &token("six", 2, &claims())), Decision::Unauthorized);
    assert_eq!(gateway.fetches().len(), 3);
}

#[test]
fn old_keys_serve_on_while_the_issuer_is_away_but_not_for_ever() {
    let (gateway, issuer) = gateway_with_issuer(json!([jwk("one", 1)]));
    let token = token("one", 1, &with("exp", json!(4_102_444_800_u64)));
    assert!(principal(ask(&gateway, &token)).is_some());
    issuer.away.set(true);
    gateway.advance(Duration::from_secs(3601));
    assert!(principal(ask(&gateway, &token)).is_some());
    gateway.advance(Duration::from_secs(3600));
    assert!(matches!(ask(&gateway, &token), Decision::Deny(Some(reply)) if reply.status == 503));

    issuer.away.set(false);
    gateway.advance(Duration::from_secs(1));
    assert!(principal(ask(&gateway, &token)).is_some());
}

#[test]
fn an_issuer_that_never_answered_is_asked_once_a_second() {
    let (gateway, issuer) = gateway_with_issuer(json!([jwk("one", 1)]));
    issuer.away.set(true);
    for _ in 0..5 {
        assert!(matches!(ask(&gateway, &token("one", 1, &claims())), Decision::Deny(Some(_))));
    }
    assert_eq!(gateway.fetches().len(), 1);
    assert!(
        gateway.log_lines()[0]
            .starts_with("ERROR the issuer's keys can't be had: no answer in time")
    );
}
