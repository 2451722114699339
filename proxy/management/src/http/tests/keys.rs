//! Requests that have to be signed.

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tollgate_auth::sigv4::{AmzDate, Headers, PayloadHash, RequestParts, Scope, SecretKey, Signer};

use super::server::{Listening, Reply, echo};
use crate::http::{AccessKeys, Authentication, Bounds, Request, Response};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SCOPE: Scope<'static> = Scope { region: "eu-central-1", service: "apigateway" };

fn server(bounds: Bounds) -> Listening {
    let keys = [("AKIDEXAMPLE".to_owned(), SecretKey::new(SECRET))];
    let keys = Authentication::Keys(AccessKeys::new("eu-central-1", keys));
    Listening::with(echo, keys, bounds, None)
}

/// A request, and what is signed of it.
#[derive(Clone, Copy)]
struct Signed<'a> {
    key: (&'a str, &'a str),
    scope: Scope<'a>,
    time: SystemTime,
    target: (&'a str, &'a str),
    signed_body: &'a str,
    body: &'a str,
    more: &'a str,
}

impl Default for Signed<'_> {
    fn default() -> Self {
        Self {
            key: ("AKIDEXAMPLE", SECRET),
            scope: SCOPE,
            time: SystemTime::now(),
            target: ("/restapis/a%2Fb", "limit=2&position=a%2Bb"),
            signed_body: "{}",
            body: "{}",
            more: "",
        }
    }
}

struct Fields<'a>(&'a str);

impl Headers for Fields<'_> {
    fn value(&self, name: &str, at: usize) -> Option<&[u8]> {
        let value = match name {
            "host" => "localhost",
            "x-amz-date" => self.0,
            _ => "",
        };
        (at == 0 && !value.is_empty()).then_some(value.as_bytes())
    }
}

impl Signed<'_> {
    fn text(&self) -> String {
        let date = AmzDate::new(self.time);
        let fields = Fields(date.text());
        let (path, query) = self.target;
        let request = RequestParts { method: "POST", path, query, headers: &fields };
        let secret = SecretKey::new(self.key.1);
        let signer = Signer { access_key_id: self.key.0, secret: &secret, scope: self.scope };
        let payload = PayloadHash::of(self.signed_body.as_bytes());
        let authorization =
            signer.authorization(&request, &["host", "x-amz-date"], payload, self.time);
        format!(
            "POST {path}?{query} HTTP/1.1\r\nHost: localhost\r\nX-Amz-Date: {}\r\n{}\
             Authorization: {authorization}\r\nContent-Length: {}\r\n\r\n{}",
            date.text(),
            self.more,
            self.body.len(),
            self.body
        )
    }

    fn send(&self) -> Reply {
        server(Bounds::default()).send(&self.text())
    }
}

#[test]
fn a_signed_request_reaches_the_handler() {
    let reply = Signed::default().send();
    assert_eq!(reply.status(), 200, "{reply:?}");
    assert_eq!(reply.text(), "POST /restapis/a%2Fb limit=2&position=a%2Bb localhost 2");
}

#[test]
fn http2s_authority_is_signed_as_host() {
    let server = server(Bounds::default());
    let request = Signed::default().text();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let url = format!("http://{}/restapis/a%2Fb?limit=2&position=a%2Bb", server.address);
    let mut arguments = vec!["--http2-prior-knowledge", "-w", " %{http_version}", "--data", body];
    for field in head.lines().skip(1).filter(|field| !field.starts_with("Content-Length")) {
        arguments.extend(["-H", field]);
    }
    arguments.push(&url);
    let printed = server.curl(&arguments);
    assert_eq!(printed, "\"POST /restapis/a%2Fb limit=2&position=a%2Bb localhost 2\" 2");
}

#[test]
fn what_is_not_signed_right_is_refused_as_on_aws() {
    let base = Signed::default();
    let elsewhere = Scope { region: "us-east-1", ..SCOPE };
    let other_service = Scope { service: "execute-api", ..SCOPE };
    let old = SystemTime::now() - Duration::from_secs(600);
    let mismatch = "The request signature we calculated does not match";
    let unknown = "The security token included in the request is invalid.";
    for (request, kind, text) in [
        (Signed { key: ("AKIDEXAMPLE", "x"), ..base }, "InvalidSignatureException", mismatch),
        (Signed { body: "[]", ..base }, "InvalidSignatureException", mismatch),
        (Signed { key: ("OTHER", SECRET), ..base }, "UnrecognizedClientException", unknown),
        (
            Signed { more: "X-Amz-Security-Token: x\r\n", ..base },
            "UnrecognizedClientException",
            unknown,
        ),
        (
            Signed { scope: elsewhere, ..base },
            "InvalidSignatureException",
            "Credential should be scoped to a valid region, not 'us-east-1'. ",
        ),
        (
            Signed { scope: other_service, ..base },
            "InvalidSignatureException",
            "Credential should be scoped to correct service: 'apigateway'. ",
        ),
        (Signed { time: old, ..base }, "InvalidSignatureException", "Signature expired: "),
    ] {
        let reply = request.send();
        let (status, known, message) = reply.error();
        assert_eq!((status, known), (403, kind), "{message}");
        assert!(message.starts_with(text), "{message}");
        assert!(reply.header("x-amzn-requestid").is_some());
    }
}

#[test]
fn a_request_without_a_signature_is_refused() {
    let server = server(Bounds::default());
    let reply = server.send("GET /restapis HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let expected =
        (403, "MissingAuthenticationTokenException", "Missing Authentication Token".to_owned());
    assert_eq!(reply.error(), expected);
    let reply = server.send("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n");
    assert_eq!(reply.error().1, "IncompleteSignatureException");
}

#[test]
fn a_large_body_that_is_refused_still_gets_its_answer() {
    let body = "x".repeat(5 * 1024 * 1024);
    let request = Signed { key: ("OTHER", "x"), body: &body, ..Signed::default() };
    assert_eq!(request.send().error().1, "UnrecognizedClientException");
}

#[test]
fn nobody_without_a_key_has_a_body_kept() {
    let bounds = Bounds { body_pause: Duration::from_millis(100), ..Bounds::default() };
    let server = server(bounds);
    // A byte of it comes, which doesn't make it a slow body: it's refused already.
    let reply =
        server.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\nx");
    assert_eq!(reply.error().1, "MissingAuthenticationTokenException");
    assert_eq!(reply.header("connection"), Some("close"));
}

#[test]
fn any_key_and_none_do_where_no_key_is_asked_for() {
    let text = |request: Request| {
        let is_signed = request.headers.contains_key("authorization");
        Response { status: 200, headers: Vec::new(), body: is_signed.to_string().into() }
    };
    let server = Listening::start(text);
    assert_eq!(
        server.send(&Signed { key: ("any", "any"), ..Signed::default() }.text()).body,
        "true"
    );
    assert_eq!(server.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").body, "false");
}

/// What this process logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let written = log.clone();
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || written.clone())
        .init();
    log
});

#[test]
fn a_refusal_is_logged_without_secrets_and_signatures() {
    let log = &*LOG;
    let server = server(Bounds::default());
    let mut client = server.connect();
    let source = client.address().to_string();
    // The second has its secret and its id the wrong way round.
    for key in [("AKIDEXAMPLE", "anotherSecret"), ("mySecretAccessKey", "AKIDEXAMPLE")] {
        client.write(Signed { key, ..Signed::default() }.text().as_bytes());
        assert_eq!(client.read().unwrap().status(), 403);
    }
    let logged = String::from_utf8(log.0.lock().clone()).unwrap();
    let lines: Vec<&str> = logged
        .lines()
        .filter(|line| line.contains(&source) && line.contains("request denied"))
        .collect();
    let [known, unknown] = lines[..] else { panic!("{logged}") };
    assert!(known.contains("AKIDEXAMPLE"), "{known}");
    assert!(known.contains("the signature does not match"), "{known}");
    assert!(unknown.contains("unknown access key"), "{unknown}");
    for secret in [SECRET, "anotherSecret", "mySecretAccessKey", "Signature="] {
        let mine = logged.lines().filter(|line| line.contains(&source));
        assert!(!mine.clone().any(|line| line.contains(secret)), "{logged}");
    }
}
