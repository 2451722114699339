//! Plugins as authorizers.

use rcgen::{KeyPair, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use tollgate_tests::{
    Api, Dev, Gateway, Request, Serve, Upstream, eventually, get, http_proxy, mock,
};

use super::{
    DevPlugins, ServePlugins, call, entry, example_file, guard, guarded, operation, refused,
    serve_refused, with_example_config,
};
use crate::support::{assert_error, assert_missing_token};

const ALICE: &str = "alices-example-key";
const BOB: &str = "bobs-example-key";
const LAMBDA: &str = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/\
                      arn:aws:lambda:us-east-1:000000000000:function:keys/invocations";

/// `GET /` behind an authorizer that reads `x-api-key`.
fn api(uri: &str, seconds: u32) -> Api {
    Api::new()
        .method(
            "GET /",
            guarded(mock(200, "$context.authorizer.principalId $context.authorizer.tier")),
        )
        .with("components", guard(uri, &["x-api-key"], seconds))
}

/// An entry of `plugins` with the example's keys.
fn keys(name: &str) -> String {
    let file = example_file("api-key-authorizer", "keys.csv");
    entry(name, "api-key-authorizer", &format!("configuration_file: '{file}'"))
}

fn serving(api: Api) -> Gateway {
    Serve::new(api).plugins(&[keys("keys")]).start()
}

fn with_key(key: &str) -> Request {
    get("/prod").header("x-api-key", key)
}

#[track_caller]
fn assert_calls(gateway: &Gateway, calls: f64, misses: f64, hits: f64) {
    gateway.assert_metric("tollgate_plugin_calls_total{plugin=\"keys\"}", calls);
    for (result, count) in [("miss", misses), ("hit", hits)] {
        let series =
            format!("tollgate_plugin_decision_cache_total{{plugin=\"keys\",result=\"{result}\"}}");
        gateway.assert_metric(&series, count);
    }
}

#[test]
fn what_it_allows_reaches_the_backend_templates_and_the_access_log() {
    let upstream = Upstream::echo();
    let mut mapped = http_proxy(&upstream.url("/pets"));
    mapped["requestParameters"] = json!({
        "integration.request.header.X-Tier": "context.authorizer.tier",
        "integration.request.header.X-Principal": "context.authorizer.principalId",
    });
    let gateway = Serve::new(api("plugin:keys", 300).method("GET /mapped", guarded(mapped)))
        .plugins(&[keys("keys")])
        .access_log(
            "destination: access.log, format: '$context.authorizer.principalId \
             $context.authorizer.tier $context.authorizer.status $context.status \
             $context.requestId'",
        )
        .start();
    assert_eq!(call(&gateway, with_key(ALICE)).summary(), (200, "alice gold".into()));
    let response = call(&gateway, get("/prod/mapped").header("x-api-key", ALICE));
    assert_eq!(response.echoed_header("X-Tier").as_deref(), Some("gold"));
    assert_eq!(response.echoed_header("X-Principal").as_deref(), Some("alice"));
    // Bob has no tier.
    assert_eq!(call(&gateway, with_key(BOB)).summary(), (200, "bob ".into()));
    // Each worker has its own way to the file.
    let mut lines = gateway.access_log(3);
    lines.sort();
    for (line, expected) in
        lines.iter().zip(["alice gold 200 200 ", "alice gold 200 200 ", "bob - 200 200 "])
    {
        assert!(line.starts_with(expected), "{lines:?}");
    }
}

#[test]
fn whom_it_does_not_know_gets_403_and_who_says_nothing_401() {
    let upstream = Upstream::echo();
    let api = api("plugin:keys", 300).method("GET /pets", guarded(http_proxy(&upstream.url("/"))));
    let gateway = serving(api);
    let response = call(&gateway, get("/prod/pets").header("x-api-key", "mallorys"));
    assert_eq!(response.header("x-amzn-ErrorType"), Some("AccessDeniedException"));
    let message = "User is not authorized to access this resource with an explicit deny in an \
                   identity-based policy";
    // The key has a capital letter, as on AWS.
    assert_eq!(response.summary(), (403, json!({ "Message": message }).to_string()));
    let response = call(&gateway, get("/prod/pets"));
    assert_error(&response, 401, "UnauthorizedException", "Unauthorized");
    assert!(upstream.requests().is_empty());
    assert_eq!(call(&gateway, get("/prod/pets").header("x-api-key", BOB)).status, 200);
}

#[test]
fn a_name_that_no_plugin_has_is_refused_at_start() {
    let line = serve_refused(Serve::new(api("plugin:nowhere", 300)).plugins(&[keys("keys")]));
    // The eighth line is the API's entry in the configuration file.
    assert!(
        line.contains(
            "tollgate.yaml:8: apis[0]: there is no plugin nowhere, wanted as an authorizer"
        ),
        "{line}"
    );
}

#[test]
fn a_transformer_is_no_authorizer() {
    let plugin = entry("keys", "header-normaliser", "configuration: {}");
    let line = serve_refused(Serve::new(api("plugin:keys", 300)).plugins(&[plugin]));
    assert!(
        line.contains("tollgate.yaml:8: apis[0]: plugin keys is wanted as an authorizer, but is a"),
        "{line}"
    );
}

#[test]
fn what_it_allows_is_kept_by_credential() {
    let gateway = serving(api("plugin:keys", 300));
    for _ in 0..3 {
        assert_eq!(call(&gateway, with_key(ALICE)).text(), "alice gold");
    }
    assert_calls(&gateway, 1.0, 1.0, 2.0);
    assert_eq!(call(&gateway, with_key(BOB)).text(), "bob ");
    assert_calls(&gateway, 2.0, 2.0, 2.0);
    // Without a credential nobody is asked, and what it denies is not kept.
    assert_eq!(call(&gateway, get("/prod")).status, 401);
    assert_eq!(call(&gateway, with_key("mallorys")).status, 403);
    assert_eq!(call(&gateway, with_key("mallorys")).status, 403);
    assert_calls(&gateway, 4.0, 4.0, 2.0);
}

#[test]
fn with_a_time_to_live_of_zero_it_is_always_asked() {
    let gateway = serving(api("plugin:keys", 0));
    for _ in 0..3 {
        assert_eq!(call(&gateway, with_key(ALICE)).text(), "alice gold");
    }
    assert_eq!(call(&gateway, get("/prod")).status, 401);
    assert_calls(&gateway, 4.0, 0.0, 0.0);
}

#[test]
fn a_kept_decision_edits_the_headers_of_each_request() {
    let upstream = Upstream::echo();
    let api = Api::new()
        .method("GET /", guarded(http_proxy(&upstream.url("/"))))
        .with("components", guard("plugin:sessions", &["Cookie"], 300));
    let plugin = entry(
        "sessions",
        "cookie-session-authorizer",
        "configuration: {sessions: {5f2d8c1e-session: {user: ali, context: {level: 3}}}}",
    );
    let gateway = Serve::new(api).plugins(&[plugin]).start();
    for _ in 0..2 {
        let request = get("/prod")
            .header("Cookie", "theme=dark; session=5f2d8c1e-session")
            .header("X-Session-User", "mallory");
        let response = call(&gateway, request);
        assert_eq!(response.echoed_header("x-session-user").as_deref(), Some("ali"));
        assert_eq!(response.echoed_header("cookie").as_deref(), Some("theme=dark"));
    }
    gateway.assert_metric("tollgate_plugin_calls_total{plugin=\"sessions\"}", 1.0);
}

#[test]
fn the_configuration_has_a_lambda_authorizer_served_by_a_plugin() {
    let gateway = Serve::new(api(LAMBDA, 300))
        .attach("authorizers: {guard: 'plugin:keys'}")
        .plugins(&[keys("keys")])
        .start();
    assert_eq!(call(&gateway, with_key(ALICE)).summary(), (200, "alice gold".into()));
    assert_eq!(call(&gateway, with_key("mallorys")).status, 403);

    let line = serve_refused(
        Serve::new(api(LAMBDA, 300))
            .attach("authorizers: {other: 'plugin:keys'}")
            .plugins(&[keys("keys")]),
    );
    assert!(line.contains("other"), "{line}");
}

#[test]
fn in_dev_an_authorizer_guards_every_method() {
    let signed = json!({ "securitySchemes": { "sigv4": { "type": "apiKey", "name": "Authorization",
        "in": "header", "x-amazon-apigateway-authtype": "awsSigv4" } } });
    let api = Api::new()
        .route("GET /open", mock(200, "open to $context.authorizer.principalId"))
        .method(
            "GET /signed",
            operation(mock(200, "signed"), json!({ "security": [{ "sigv4": [] }] })),
        )
        .with("components", signed);
    let gateway =
        Dev::new(api).plugin(with_example_config("api-key-authorizer", "keys.csv")).start();
    for (path, body) in [("/open", "open to bob"), ("/signed", "signed")] {
        assert_eq!(gateway.get(path).status, 401, "{path}");
        assert_eq!(gateway.call(get(path).header("x-api-key", "mallorys")).status, 403, "{path}");
        let response = gateway.call(get(path).header("x-api-key", BOB));
        assert_eq!(response.summary(), (200, body.into()));
    }
    // There is no method to guard.
    assert_missing_token(&gateway.get("/nowhere"));
}

#[test]
fn in_dev_an_authorizer_that_the_definition_names_guards_what_it_says() {
    let api = api("plugin:api-key-authorizer", 300).route("GET /open", mock(200, "open"));
    let gateway =
        Dev::new(api).plugin(with_example_config("api-key-authorizer", "keys.csv")).start();
    assert_eq!(gateway.get("/open").text(), "open");
    assert_eq!(gateway.get("/").status, 401);
    assert_eq!(gateway.call(get("/").header("x-api-key", ALICE)).text(), "alice gold");
}

#[test]
fn in_dev_a_definition_whose_authorizer_is_not_there_is_served_and_lets_nobody_in() {
    let gateway = Gateway::dev(api("plugin:keys", 300).route("GET /open", mock(200, "open")));
    gateway.process.stderr_line("what is missing", |line| {
        (line.starts_with("warning: ") && line.contains("there is no plugin keys")).then_some(())
    });
    assert_eq!(gateway.get("/open").text(), "open");
    assert_eq!(gateway.call(get("/").header("x-api-key", ALICE)).status, 500);
}

#[test]
fn in_dev_a_method_has_one_authorizer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.yaml"), Api::new().route("GET /", mock(200, "")).text())
        .unwrap();
    let keys = with_example_config("api-key-authorizer", "keys.csv");
    let jwt = with_example_config("jwt-authorizer", "config.json");
    let line = refused(
        folder.path(),
        &[
            "dev",
            "api.yaml",
            "--http=127.0.0.1:0",
            "--https=127.0.0.1:0",
            "--management=127.0.0.1:0",
            "--management-api=127.0.0.1:0",
            "--plugin",
            &keys,
            "--plugin",
            &jwt,
        ],
    );
    assert!(
        line.contains("jwt-authorizer.wasm: is an authorizer, and so is api-key-authorizer"),
        "{line}"
    );
}

#[test]
fn what_its_policy_does_not_allow_is_denied() {
    // None of the examples gives a policy, so a resource policy stands for it: both count.
    let denies = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*" },
        { "Effect": "Deny", "Principal": "*", "Action": "execute-api:Invoke",
            "Resource": "execute-api:/*/GET/closed" },
    ] });
    let api = api("plugin:keys", 300)
        .method("GET /closed", guarded(mock(200, "closed")))
        .with("x-amazon-apigateway-policy", denies);
    let gateway = serving(api);
    assert_eq!(call(&gateway, with_key(ALICE)).text(), "alice gold");
    assert_eq!(call(&gateway, get("/prod/closed").header("x-api-key", ALICE)).status, 403);
}

/// An issuer of tokens signed with ES256.
struct Issuer(KeyPair);

impl Issuer {
    fn jwks(&self) -> String {
        // 4, X, Y (SEC 1 §2.3.3).
        let point = self.0.der_bytes();
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": "k1",
            "x": base64url(&point[1..33]), "y": base64url(&point[33..]),
        }] })
        .to_string()
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" });
        let signed = [header.to_string(), claims.to_string()].map(base64url).join(".");
        let signature = self.0.sign(signed.as_bytes()).expect("the key signs");
        format!("{signed}.{}", base64url(raw_signature(&signature)))
    }
}

/// R and S, 32 bytes each (RFC 7518 §3.4), of their DER form.
fn raw_signature(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        let digits = &number[number.len().saturating_sub(32)..];
        raw.resize(raw.len() + 32 - digits.len(), 0);
        raw.extend_from_slice(digits);
        rest = after;
    }
    raw
}

/// RFC 4648 §5, without padding.
fn base64url(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.as_ref().chunks(3).flat_map(|chunk| {
        let number = chunk.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |at| char::from(DIGITS[number >> (18 - 6 * at) & 63]))
    });
    digits.collect()
}

fn claims() -> Value {
    json!({ "iss": "https://id.example.com/", "aud": "pets", "sub": "carol", "exp": 4_102_444_800_u64,
        "scope": "openid pets:read", "email": "carol@example.com" })
}

/// `GET /` behind JWTs, whose issuer's keys are at this address.
fn behind_jwts(identity: std::net::SocketAddr) -> Gateway {
    let api = Api::new()
        .method(
            "GET /",
            guarded(mock(200, "$context.authorizer.principalId $context.authorizer.email")),
        )
        .with("components", guard("plugin:jwt", &["Authorization"], 0));
    let file = example_file("jwt-authorizer", "config-fetched.json");
    let plugin = entry(
        "jwt",
        "jwt-authorizer",
        &format!("configuration_file: '{file}', upstreams: [identity]"),
    );
    Serve::new(api)
        .plugins(&[plugin])
        .with(&format!("plugin_upstreams:\n  identity: {{address: '{identity}'}}"))
        .start()
}

fn bearing(token: &str) -> Request {
    get("/prod").header("Authorization", &format!("Bearer {token}"))
}

#[test]
fn tokens_are_verified_with_keys_that_are_fetched_once() {
    let issuer = Issuer(KeyPair::generate().unwrap());
    let jwks = issuer.jwks();
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{jwks}",
        jwks.len()
    ));
    let gateway = behind_jwts(upstream.address);
    let token = issuer.token(&claims());
    for _ in 0..3 {
        let response = call(&gateway, bearing(&token));
        assert_eq!(response.summary(), (200, "carol carol@example.com".into()));
    }
    assert_eq!(upstream.request().line(), "GET /.well-known/jwks.json HTTP/1.1");

    let other = Issuer(KeyPair::generate().unwrap());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let claiming = |key: &str, value: Value| {
        let mut claims = claims();
        claims[key] = value;
        issuer.token(&claims)
    };
    for (what, token) in [
        ("another's signature", other.token(&claims())),
        ("no signature", format!("{head}.")),
        ("other claims", {
            let claims = base64url(json!({ "sub": "mallory" }).to_string());
            format!("{}.{claims}.{signature}", head.split('.').next().unwrap())
        }),
        ("a time that is over", claiming("exp", json!(1_000_000_000))),
        ("another audience", claiming("aud", json!("dogs"))),
        ("another issuer", claiming("iss", json!("https://evil.example/"))),
        ("nonsense", "x.y.z".into()),
    ] {
        let response = call(&gateway, bearing(&token));
        assert_eq!(response.status, 401, "{what}: {response:?}");
    }
    assert_eq!(call(&gateway, bearing(&claiming("scope", json!("openid")))).status, 403);
    assert_eq!(call(&gateway, get("/prod")).status, 401);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn keys_that_can_not_be_had_are_503() {
    let (_socket, address) = Upstream::refusing();
    let gateway = behind_jwts(address);
    let issuer = Issuer(KeyPair::generate().unwrap());
    let response = call(&gateway, bearing(&issuer.token(&claims())));
    assert_eq!(response.summary(), (503, r#"{"message":"Service Unavailable"}"#.into()));
    assert_eq!(call(&gateway, get("/prod")).status, 401);
    eventually("the plugin's own words are in the log", || {
        gateway.process.stderr().contains("the issuer's keys can't be had").then_some(())
    });
}

#[test]
fn an_authorizer_that_fails_lets_nobody_in_even_if_others_would_go_on() {
    // Configuration that is no database: each call gives up.
    let plugin =
        entry("keys", "api-key-authorizer", "configuration: 'not a digest', on_error: fail-open");
    let gateway = Serve::new(api("plugin:keys", 300)).plugins(&[plugin]).start();
    let response = call(&gateway, with_key(ALICE));
    assert_eq!(response.status, 500, "{response:?}");
    gateway.assert_metric("tollgate_plugin_errors_total{plugin=\"keys\",kind=\"trap\"}", 1.0);
}
