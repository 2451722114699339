//! Filters made with the public proxy-wasm SDK, as they are.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use tollgate_tests::{
    Api, DEADLINE, Dev, Gateway, Load, Received, Serve, Session, Upstream, get, greedy, http_proxy,
    mock, post, tollgate,
};

use super::{DevPlugins, ServePlugins, call, entry, with_example_config};
use crate::support::{assert_error, assert_ids};

/// The token check before everything.
fn checked(upstream: &Upstream) -> Gateway {
    Dev::new(greedy(&upstream.url("")))
        .plugin(with_example_config("proxy-wasm-token-check", "tokens.txt"))
        .start()
}

const SESAME: &str = "Bearer open-sesame";

#[test]
fn a_known_token_passes_with_its_user() {
    let upstream = Upstream::echo();
    let gateway = checked(&upstream);
    for number in 0..3 {
        let request = get("/pets").header("Authorization", SESAME);
        // What a client claims is replaced, whatever its case.
        let request = match number {
            0 => request,
            1 => request.header("X-Authenticated-User", "mallory"),
            _ => request
                .header("x-authenticated-user", "mallory")
                .header("X-AUTHENTICATED-USER", "eve"),
        };
        let response = gateway.call(request.clone());
        assert_eq!(response.echoed_header("x-authenticated-user").as_deref(), Some("ali"));
        let response = gateway.connect_http2().call(request);
        assert_eq!(response.echoed_header("x-authenticated-user").as_deref(), Some("ali"));
    }
}

#[test]
fn an_unknown_token_is_answered_by_the_filter_and_the_connection_goes_on() {
    let upstream = Upstream::echo();
    let gateway = checked(&upstream);
    let mut client = gateway.connect();
    let mut http2 = gateway.connect_http2();
    for request in [
        get("/pets"),
        get("/pets").header("Authorization", "Bearer close-sesame"),
        post("/pets", "a body that nobody reads").header("Authorization", "Basic x"),
    ] {
        for response in [client.call(request.clone()), http2.call(request)] {
            assert_eq!(response.summary(), (401, "a token is wanted\n".into()));
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            assert_eq!(response.header("Content-Type"), Some("text/plain"));
            assert_ids(&response);
        }
    }
    assert!(upstream.requests().is_empty());
    let request = post("/pets", "a body").header("Authorization", SESAME);
    assert_eq!(client.call(request.clone()).status, 200);
    assert_eq!(http2.call(request).status, 200);
    assert!(upstream.requests().iter().all(|received| received.body == b"a body"));
}

#[test]
fn a_configuration_that_the_filter_refuses_is_refused_at_start() {
    let plugin = entry("check", "proxy-wasm-token-check", "configuration: ''");
    let folder = Serve::new(Api::new().route("GET /", mock(200, "")))
        .attach("transformers: [check]")
        .plugins(&[plugin])
        .write();
    let found = tollgate(folder.path(), &["serve", "--config", "tollgate.yaml"]);
    assert_eq!(found.code, 1, "{}", found.stderr);
    // The filter's own words, then the gateway's.
    let lines: Vec<&str> = found.stderr.lines().collect();
    assert!(lines[0].contains("it has no tokens") && lines[0].contains("\"check\""), "{lines:?}");
    assert!(lines[1].contains("plugin check") && lines[1].contains("configuration"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
}

/// The external authorization in front of an API.
fn asking(api: Api, sessions: SocketAddr) -> Gateway {
    Dev::new(api)
        .plugin(with_example_config("proxy-wasm-external-auth", "config.txt"))
        .argument("--upstream")
        .argument(format!("sessions={sessions}"))
        .start()
}

/// Who knows the sessions: a token `user-N` is user N's.
fn sessions() -> Upstream {
    Upstream::scripted(|mut session: Session| {
        while let Some(request) = session.request() {
            let token = request.header("authorization");
            let user = token.as_deref().and_then(|token| token.strip_prefix("Bearer user-"));
            session.write(match (user, token.is_some()) {
                (Some(user), _) => {
                    format!("HTTP/1.1 200 OK\r\nX-Auth-User: {user}\r\nX-Other: 1\r\nContent-Length: 2\r\n\r\nok")
                }
                (None, true) => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into(),
                (None, false) => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".into(),
            });
            session.record(request);
        }
    })
}

#[test]
fn another_service_decides() {
    let (upstream, sessions) = (Upstream::echo(), sessions());
    let gateway = asking(greedy(&upstream.url("")), sessions.address);
    let (mut client, mut http2) = (gateway.connect(), gateway.connect_http2());
    let request = post("/pets?x=1", "body")
        .header("Authorization", "Bearer user-7")
        .header("X-Auth-User", "root");
    for response in [client.call(request.clone()), http2.call(request)] {
        assert_eq!(response.echoed_header("x-auth-user").as_deref(), Some("7"));
        assert_eq!(response.echoed_header("x-other"), None);
    }
    assert!(upstream.requests().iter().all(|received| received.body == b"body"));
    let asked: Vec<Received> = sessions.requests();
    assert_eq!(asked.len(), 2);
    for question in asked {
        assert_eq!(question.line(), "GET /check HTTP/1.1");
        assert_eq!(question.header("x-original-method").as_deref(), Some("POST"));
        let path = question.header("x-original-path").expect("the path");
        assert!(path.ends_with("/pets?x=1"), "{path}");
        assert_eq!(question.header("x-auth-user"), None);
    }
    for (token, status) in [(Some("Bearer mallory"), 403), (None, 401)] {
        let request = match token {
            Some(token) => get("/pets").header("Authorization", token),
            None => get("/pets"),
        };
        for response in [client.call(request.clone()), http2.call(request)] {
            assert_eq!(response.summary(), (status, "refused\n".into()));
        }
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn nobody_passes_while_the_service_is_away() {
    let (_socket, address) = Upstream::refusing();
    let upstream = Upstream::echo();
    let gateway = asking(greedy(&upstream.url("")), address);
    let mut client = gateway.connect();
    for _ in 0..3 {
        let response = client.call(get("/").header("Authorization", "Bearer user-1"));
        assert_eq!(response.summary(), (503, "refused\n".into()));
    }
    assert!(upstream.requests().is_empty());
}

/// A service that takes questions and answers none.
fn silent() -> Upstream {
    Upstream::scripted(|mut session| {
        session.request();
        session.wait_for_close();
    })
}

#[test]
fn a_service_that_does_not_answer_is_waited_for_as_long_as_the_filter_says() {
    let sessions = silent();
    let gateway = asking(Api::new().route("GET /", mock(200, "in")), sessions.address);
    let response = gateway.call(get("/").header("Authorization", "Bearer user-1"));
    assert_eq!(response.summary(), (503, "refused\n".into()));
}

#[test]
fn a_service_that_does_not_answer_is_not_waited_for_longer_than_the_limit() {
    let sessions = silent();
    let gateway = Serve::new(Api::new().route("GET /", mock(200, "in")))
        .attach("transformers: [auth]")
        .plugins(&[entry(
            "auth",
            "proxy-wasm-external-auth",
            "configuration: 'sessions /check', upstreams: [sessions], limits: {wait: 100ms}",
        )])
        .with(&format!("plugin_upstreams:\n  sessions: {{address: '{}'}}", sessions.address))
        .start();
    let response = call(&gateway, get("/prod").header("Authorization", "Bearer user-1"));
    // The filter itself would have said 503, after two seconds.
    assert_error(&response, 504, "InternalServerErrorException", "Endpoint request timed out");
    gateway.assert_metric("tollgate_plugin_errors_total{plugin=\"auth\",kind=\"wait\"}", 1.0);
}

#[test]
fn an_upstream_that_the_plugin_may_not_call_is_not_called() {
    let sessions = sessions();
    let gateway = Serve::new(Api::new().route("GET /", mock(200, "in")))
        .attach("transformers: [auth]")
        .plugins(&[entry("auth", "proxy-wasm-external-auth", "configuration: 'sessions /check'")])
        .with(&format!("plugin_upstreams:\n  sessions: {{address: '{}'}}", sessions.address))
        .start();
    let response = call(&gateway, get("/prod").header("Authorization", "Bearer user-1"));
    assert_eq!(response.summary(), (503, "refused\n".into()));
    assert_eq!(sessions.connections(), 0);
}

#[test]
fn many_requests_at_a_time_each_have_their_own_answer() {
    let (upstream, sessions) = (Upstream::echo(), sessions());
    let gateway = asking(greedy(&upstream.url("")), sessions.address);
    let loads: Vec<Load> = (0..6)
        .map(|user| {
            let request = get("/").header("Authorization", &format!("Bearer user-{user}"));
            Load::start(gateway.http, 2, &request, move |response| {
                assert_eq!(response.echoed_header("x-auth-user"), Some(user.to_string()));
            })
        })
        .collect();
    let mut http2 = gateway.connect_http2();
    let answers: Vec<_> = (100..180)
        .map(|user| {
            (user, http2.send(&get("/").header("Authorization", &format!("Bearer user-{user}"))))
        })
        .collect();
    for (user, answer) in answers {
        let response = tollgate_tests::Http2::receive(answer).expect("an answer");
        assert_eq!(response.echoed_header("x-auth-user"), Some(user.to_string()));
    }
    for load in loads {
        load.more();
        load.finish();
    }
}

#[test]
fn a_client_that_leaves_while_the_filter_waits_does_no_harm() {
    let (asked, questions) = channel();
    let (answer, answers) = channel::<()>();
    let answers = Mutex::new(answers);
    let sessions = Upstream::scripted(move |mut session| {
        while session.request().is_some() {
            let _ = asked.send(());
            let _ = answers.lock().expect("no session panics with it").recv_timeout(DEADLINE);
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let upstream = Upstream::echo();
    let gateway = asking(
        Api::new()
            .route("GET /", http_proxy(&upstream.url("/")))
            .route("GET /mock", mock(200, "in")),
        sessions.address,
    );
    let mut client = gateway.connect();
    client.send(get("/").bytes());
    questions.recv_timeout(DEADLINE).expect("the service is asked");
    drop(client);
    let mut http2 = gateway.connect_http2();
    let response = http2.send(&get("/mock"));
    questions.recv_timeout(DEADLINE).expect("the service is asked");
    for _ in 0..2 {
        answer.send(()).expect("the service waits");
    }
    assert_eq!(tollgate_tests::Http2::receive(response).unwrap().text(), "in");
}
