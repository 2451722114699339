//! Calls of plugins to upstreams behind TLS, which an authority of the operator's own vouches for.

use tollgate_tests::{
    Api, Authority, Gateway, Issued, Serve, Upstream, UpstreamHttp2, get, http_proxy, mock,
};

use super::{ServePlugins, call, entry, fixture_entry, guard, guarded, serve_refused};

/// The fetching authorizer: `upstream` is where it asks, `trusted` who vouches for that.
fn fetching(upstream: &str, trusted: &Authority) -> Gateway {
    let api = Api::new()
        .method("GET /", guarded(mock(200, "$context.authorizer.principalId")))
        .with("components", guard("plugin:asking", &["x-do"], 0));
    Serve::new(api)
        .file("ca.pem", &trusted.certificate)
        .plugins(&[fixture_entry("asking", "fetching-authorizer", "upstreams: [backend]")])
        .with(&format!("upstream_ca_file: ca.pem\nplugin_upstreams:\n  backend: {{{upstream}}}"))
        .start()
}

/// What the upstream received, as the authorizer was told.
fn question(gateway: &Gateway) -> String {
    let response = call(gateway, get("/prod").header("x-do", "ask"));
    assert_eq!(response.status, 200, "{response:?}");
    response.text()
}

#[test]
fn a_component_fetches_over_tls() {
    let authority = Authority::new();
    let upstream = Upstream::echo_tls(&authority.issue(&["localhost"]));
    let port = upstream.address.port();
    let gateway = fetching(&format!("address: 'localhost:{port}', tls: true"), &authority);
    for _ in 0..2 {
        let question = question(&gateway).to_ascii_lowercase();
        assert!(question.starts_with("get /who http/1.1"), "{question}");
        assert!(question.contains(&format!("host: localhost:{port}")), "{question}");
    }
}

#[test]
fn a_component_fetches_over_http2_where_the_upstream_offers_it() {
    let authority = Authority::new();
    let upstream = UpstreamHttp2::echo(&authority.issue(&["localhost"]));
    let port = upstream.address.port();
    for protocol in ["http1", "http2"] {
        let upstream = format!("address: 'localhost:{port}', tls: true, protocol: {protocol}");
        let question = question(&fetching(&upstream, &authority));
        assert!(question.starts_with("GET /who HTTP/2"), "{question}");
    }
}

#[test]
fn a_component_is_told_that_an_upstream_is_not_who_it_says() {
    let authority = Authority::new();
    let upstream = Upstream::echo_tls(&authority.issue(&["localhost"]));
    let port = upstream.address.port();
    for (trusted, address, tls) in [
        (&Authority::new(), format!("localhost:{port}"), true),
        (&authority, format!("127.0.0.1:{port}"), true),
        // Nor is it spoken to in clear.
        (&authority, format!("localhost:{port}"), false),
    ] {
        let gateway = fetching(&format!("address: '{address}', tls: {tls}"), trusted);
        let response = call(&gateway, get("/prod").header("x-do", "ask"));
        assert_eq!(response.status, 503, "{address} {tls}: {response:?}");
        assert!(!response.text().is_empty());
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_file_without_certificates_is_refused() {
    let api = Api::new().route("GET /", mock(200, ""));
    let serve = Serve::new(api)
        .file("ca.pem", "no certificate")
        .plugins(&[fixture_entry("asking", "fetching-authorizer", "upstreams: [backend]")])
        .with("upstream_ca_file: ca.pem\nplugin_upstreams:\n  backend: {address: 'localhost:1', tls: true}");
    let line = serve_refused(serve);
    assert!(line.contains("ca.pem") && line.contains("certificate"), "{line}");
}

/// A proxy-wasm filter made with the public SDK, which asks `sessions`.
fn asking(backend: &Upstream, sessions: &str, trusted: &Authority) -> Gateway {
    Serve::new(Api::new().route("GET /", http_proxy(&backend.url("/"))))
        .file("ca.pem", &trusted.certificate)
        .attach("transformers: [auth]")
        .plugins(&[entry(
            "auth",
            "proxy-wasm-external-auth",
            "configuration: 'sessions /check', upstreams: [sessions]",
        )])
        .with(&format!("upstream_ca_file: ca.pem\nplugin_upstreams:\n  sessions: {{{sessions}}}"))
        .start()
}

#[test]
fn a_proxy_wasm_filter_calls_over_tls() {
    let (authority, backend) = (Authority::new(), Upstream::echo());
    let sessions = Upstream::echo_tls(&authority.issue(&["localhost"]));
    let http2 = UpstreamHttp2::echo(&authority.issue(&["localhost"]));
    for port in [sessions.address.port(), http2.address.port()] {
        let upstream = format!("address: 'localhost:{port}', tls: true");
        let gateway = asking(&backend, &upstream, &authority);
        let request = get("/prod").header("Authorization", "Bearer user-1");
        assert_eq!(call(&gateway, request).status, 200);
    }
    let question = sessions.request();
    assert_eq!(question.line(), "GET /check HTTP/1.1");
    assert_eq!(question.header("authorization").as_deref(), Some("Bearer user-1"));
    assert_eq!((http2.connections(), backend.requests().len()), (1, 2));
}

#[test]
fn a_proxy_wasm_filter_gets_no_answer_from_an_upstream_that_nobody_vouches_for() {
    let backend = Upstream::echo();
    let sessions = Upstream::echo_tls(&Issued::of(&["localhost"]));
    let upstream = format!("address: 'localhost:{}', tls: true", sessions.address.port());
    let gateway = asking(&backend, &upstream, &Authority::new());
    let response = call(&gateway, get("/prod").header("Authorization", "Bearer user-1"));
    assert_eq!(response.summary(), (503, "refused\n".into()));
    assert!(sessions.requests().is_empty() && backend.requests().is_empty());
}
