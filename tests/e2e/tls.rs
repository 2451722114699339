//! TLS towards clients.

use std::sync::Arc;

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use tollgate_tests::{
    Api, Authority, Gateway, Http1, Issued, Load, Serve, TlsOptions, curl, eventually, get, mock,
};

fn api() -> Api {
    Api::new().route("GET /", mock(200, "ok"))
}

/// Serves at every path of any of these names.
fn named(names: &[&str]) -> Serve {
    let domains: Vec<String> = names
        .iter()
        .map(|name| {
            format!("{{name: {name}, base_path_mappings: [{{api_id: petstore01, stage: prod}}]}}")
        })
        .collect();
    Serve::new(api()).with(&format!("domain_names: [{}]", domains.join(", ")))
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    let gateway = Gateway::dev(api());
    for version in [&TLS12, &TLS13] {
        let mut client = Http1::connect_tls(gateway.https, &TlsOptions::new().version(version));
        assert_eq!(client.session().protocol_version(), Some(version.version));
        assert_eq!(client.get("/").text(), "ok");
    }
}

#[test]
fn tls_1_1_is_refused() {
    let gateway = Gateway::dev(api());
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    let mut message = vec![1, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut record = vec![22, 3, 1, 0, message.len() as u8];
    record.extend(message);
    let mut client = Http1::connect(gateway.https);
    client.send(record);
    let answer = client.rest();
    // At most an alert; never a ServerHello.
    assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    eventually("it is counted", || {
        (gateway.metric("tollgate_tls_handshakes_total{result=\"failed\"}") == 1.0).then_some(())
    });
}

#[test]
fn a_client_without_tls_is_not_served_on_a_tls_listener() {
    let gateway = Gateway::dev(api());
    let mut client = Http1::connect(gateway.https);
    client.send(get("/").bytes());
    let answer = client.rest();
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[test]
fn the_name_a_client_asks_for_chooses_the_certificate() {
    let (one, two) =
        (Issued::of(&["one.example"]), Issued::of(&["two.example", "*.three.example"]));
    let gateway = named(&["one.example"]).tls(&one).certificate("two", &two).start();
    let certificate =
        |name: &str| Http1::connect_tls(gateway.https, &TlsOptions::new().name(name)).certificate();
    assert_eq!(certificate("one.example"), one.der());
    assert_eq!(certificate("two.example"), two.der());
    assert_eq!(certificate("a.three.example"), two.der());
    assert_eq!(certificate("unknown.example"), one.der());
    // An address is not sent as a name.
    assert_eq!(certificate("127.0.0.1"), one.der());
}

#[test]
fn a_certificate_is_verified_by_real_clients() {
    let authority = Authority::new();
    let gateway = named(&["api.example.com"]).tls(&authority.issue(&["api.example.com"])).start();
    std::fs::write(gateway.path("ca.pem"), &authority.certificate).unwrap();
    let port = gateway.https.port();
    let (ca, resolve) =
        (gateway.path("ca.pem").display().to_string(), format!("api.example.com:{port}:127.0.0.1"));
    let url = format!("https://api.example.com:{port}/");
    for version in ["--http1.1", "--http2"] {
        let fetched = curl(&[
            "--cacert",
            &ca,
            "--resolve",
            &resolve,
            version,
            "-w",
            " %{http_version}",
            &url,
        ]);
        let expected = if version == "--http2" { "ok 2" } else { "ok 1.1" };
        assert_eq!((fetched.code, fetched.stdout.as_str()), (0, expected), "{}", fetched.stderr);
    }
    assert_ne!(curl(&["--resolve", &resolve, &url]).code, 0);
}

#[test]
fn curl_is_served_in_development() {
    let gateway = Gateway::dev(api());
    let https = format!("https://127.0.0.1:{}/", gateway.https.port());
    assert_eq!(curl(&["-k", "--http2", &https]).stdout, "ok");
    assert_eq!(curl(&["-k", "--tlsv1.2", "--tls-max", "1.2", &https]).stdout, "ok");
    assert_eq!(curl(&[&format!("http://{}/", gateway.http)]).stdout, "ok");
}

#[test]
fn the_protocol_is_negotiated() {
    let gateway = Gateway::dev(api());
    let negotiated = |protocols: &[&str]| {
        let client = Http1::connect_tls(gateway.https, &TlsOptions::new().alpn(protocols));
        client
            .session()
            .alpn_protocol()
            .map(|protocol| String::from_utf8_lossy(protocol).into_owned())
    };
    assert_eq!(negotiated(&["h2", "http/1.1"]).as_deref(), Some("h2"));
    assert_eq!(negotiated(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(negotiated(&[]), None);
    let mut client = Http1::connect_tls(gateway.https, &TlsOptions::new().alpn(&[]));
    assert_eq!(client.get("/").text(), "ok");
    let stranger = TlsOptions::new().alpn(&["gopher"]);
    assert!(Http1::try_connect_tls_with(gateway.https, "localhost", stranger.config()).is_err());
}

#[test]
fn a_session_is_resumed() {
    let gateway = Gateway::dev(api());
    for version in [&TLS12, &TLS13] {
        let config = TlsOptions::new().version(version).config();
        let kind = || {
            let mut client = gateway.connect_tls_with("localhost", Arc::clone(&config));
            assert_eq!(client.get("/").status, 200);
            client.session().handshake_kind()
        };
        assert_eq!(kind(), Some(HandshakeKind::Full));
        assert_eq!(kind(), Some(HandshakeKind::Resumed));
    }
    gateway.assert_metric("tollgate_tls_handshakes_total{result=\"resumed\"}", 2.0);
}

#[test]
fn a_new_certificate_is_used_without_a_restart_and_without_a_failed_request() {
    let (old, new) = (Issued::of(&["one.example"]), Issued::of(&["one.example"]));
    let gateway = named(&["one.example"]).tls(&old).start();
    let address = gateway.https;
    let connect = move || Http1::connect_tls(address, &TlsOptions::new().name("one.example"));
    let request = get("/").host("one.example").header("Connection", "close").bytes();
    let load = Load::with(4, connect, request, |response| assert_eq!(response.text(), "ok"));
    let mut before = connect();
    gateway.replace_file("tls.pem", &new.certificate);
    gateway.replace_file("tls.key", &new.key);
    eventually("handshakes get the new certificate", || {
        (connect().certificate() == new.der()).then_some(())
    });
    load.more();
    load.finish();
    // A connection that was there before goes on.
    assert_eq!(before.call(get("/").host("one.example")).text(), "ok");
}

#[test]
fn a_certificate_that_cannot_be_used_keeps_the_old_one_serving() {
    let old = Issued::of(&["one.example"]);
    let gateway = named(&["one.example"]).tls(&old).start();
    gateway.replace_file("tls.pem", "not a certificate");
    gateway.process.stderr_line("that it is not reloaded", |line| {
        (line.contains("not reloaded") && line.contains("tls.pem")).then_some(())
    });
    let mut client = Http1::connect_tls(gateway.https, &TlsOptions::new().name("one.example"));
    assert_eq!(client.certificate(), old.der());
    assert_eq!(client.call(get("/").host("one.example")).status, 200);
    assert!(gateway.metric("tollgate_reloads_total{result=\"rejected\"}") >= 1.0);
}
