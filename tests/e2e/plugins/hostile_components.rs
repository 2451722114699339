//! Components that are broken, or mean harm: what they do stays with them.

use std::sync::Mutex;
use std::sync::mpsc::{channel, sync_channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_tests::{
    Api, DEADLINE, Gateway, Load, Request, Response, Serve, Upstream, eventually, get, http_proxy,
    mock, post,
};

use super::{ServePlugins, call, entry, fixture_entry, guard, operation};
use crate::support::assert_internal_error;

/// What a plugin does when it is told to, with the kind of failure and the function to blame.
const MISDEEDS: [(&str, &str, &str); 5] = [
    ("loop", "cpu_time", "endless_loop"),
    ("recursion", "stack", "endless_recursion"),
    ("memory", "memory", "take_all_memory"),
    ("trap", "trap", "culprit"),
    ("panic", "trap", "rust_panic"),
];

const LIMITS: &str = "limits: {cpu_time: 50ms, wait: 300ms, memory: 4MiB}";
/// For what takes long to make: the limit that is met is another one.
const ENOUGH_TIME: &str = "limits: {cpu_time: 10s}";

/// `/guarded` asks the plugin `hostile`, `/neighbour` the plugin `neighbour`, `/without` nobody.
fn guarded_api(backend: &Upstream) -> Api {
    let mut components = guard("plugin:hostile", &["x-do"], 0);
    let neighbour = guard("plugin:neighbour", &["x-do"], 0);
    components["securitySchemes"]["neighbour"] = neighbour["securitySchemes"]["guard"].clone();
    let behind = |scheme: &str, integration: Value| {
        operation(integration, json!({ "security": [{ scheme: [] }] }))
    };
    Api::new()
        .method("GET /guarded", behind("guard", http_proxy(&backend.url("/"))))
        .method("GET /neighbour", behind("neighbour", mock(200, "neighbour")))
        .route("GET /without", mock(200, "without"))
        .with("components", components)
}

/// Both plugins are of the same file.
fn guarding(backend: &Upstream, fixture: &str, more: &str) -> Serve {
    Serve::new(guarded_api(backend)).plugins(&[
        fixture_entry("hostile", fixture, more),
        fixture_entry("neighbour", "authorizer", ""),
    ])
}

fn told(path: &str, order: &str) -> Request {
    get(path).header("x-do", order)
}

/// How often `hostile` failed in this way.
fn errors(kind: &str) -> String {
    format!("tollgate_plugin_errors_total{{plugin=\"hostile\",kind=\"{kind}\"}}")
}

/// The log's line about the first failure of `hostile` with this function in its backtrace.
fn assert_logged(gateway: &Gateway, kind: &str, function: &str) {
    let told = gateway.process.stderr_line(&format!("{kind} in {function}"), |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let backtrace = line["backtrace"].as_str()?;
        (line["kind"] == kind && backtrace.contains(function)).then_some(line)
    });
    assert_eq!((&told["plugin"], &told["level"]), (&"hostile".into(), &"ERROR".into()), "{told}");
}

/// An answer for an authorizer that failed, or gave what can't be used.
#[track_caller]
fn assert_authorizer_error(response: &Response, error_type: &str) {
    assert_eq!(response.summary(), (500, r#"{"message":null}"#.into()), "{response:?}");
    assert_eq!(response.header("x-amzn-ErrorType"), Some(error_type));
}

const FAILURE: &str = "AuthorizerFailureException";
const CONFIGURATION: &str = "AuthorizerConfigurationException";

/// Others' requests, all the time.
fn innocent(gateway: &Gateway) -> [Load; 2] {
    [("neighbour", "/prod/neighbour"), ("without", "/prod/without")].map(|(body, path)| {
        let request = told(path, "nothing").host(&gateway.default_host());
        Load::start(gateway.http, 1, &request, move |response| {
            assert_eq!(response.summary(), (200, body.into()));
        })
    })
}

fn finish(gateway: &Gateway, loads: [Load; 2]) {
    for load in loads {
        load.more();
        load.finish();
    }
    for kind in ["trap", "cpu_time", "memory", "stack", "wait", "output", "start"] {
        let series =
            format!("tollgate_plugin_errors_total{{plugin=\"neighbour\",kind=\"{kind}\"}}");
        assert_eq!(gateway.metric(&series), 0.0, "{kind}");
    }
}

/// An authorizer is told to do each misdeed: nobody gets in, nobody else notices.
#[track_caller]
fn assert_misdeeds_let_nobody_in(fixture: &str, isolation: &str) {
    let backend = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nin");
    let more = format!("isolation: {isolation}, on_error: fail-open, upstreams: [], {LIMITS}");
    let gateway = guarding(&backend, fixture, &more).start();
    let loads = innocent(&gateway);
    for (misdeed, kind, function) in MISDEEDS {
        let before = gateway.metric(&errors(kind));
        for count in [1.0, 2.0] {
            assert_authorizer_error(&call(&gateway, told("/prod/guarded", misdeed)), FAILURE);
            gateway.assert_metric(&errors(kind), before + count);
        }
        assert_logged(&gateway, kind, function);
    }
    assert!(backend.requests().is_empty());
    finish(&gateway, loads);
    // What was stopped has given back what it had.
    let memory = gateway.metric("tollgate_plugin_memory_bytes{plugin=\"hostile\"}");
    assert!((0.0..16_777_216.0).contains(&memory), "{memory}");
}

#[test]
fn an_authorizer_that_is_stopped_lets_nobody_in_and_others_do_not_notice() {
    for isolation in ["shared", "per-request"] {
        assert_misdeeds_let_nobody_in("authorizer", isolation);
    }
}

#[test]
fn so_does_one_that_can_wait_for_upstreams() {
    for isolation in ["shared", "per-request"] {
        assert_misdeeds_let_nobody_in("fetching-authorizer", isolation);
    }
}

#[test]
fn after_a_failure_the_next_request_meets_a_new_instance() {
    let backend = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nin");
    let gateway =
        guarding(&backend, "authorizer", "limits: {cpu_time: 50ms, memory: 4MiB, instances: 1}")
            .start();
    for (misdeed, ..) in MISDEEDS {
        assert_eq!(call(&gateway, told("/prod/guarded", misdeed)).status, 500, "{misdeed}");
        let response = call(&gateway, told("/prod/guarded", "nothing"));
        assert_eq!(response.summary(), (200, "in".into()), "{misdeed}");
    }
    let instances = gateway.metric("tollgate_plugin_instances{plugin=\"hostile\"}");
    assert!((0.0..=1.0).contains(&instances), "{instances}");
}

/// Bytes of memory that the process has.
fn resident(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kilobytes = line.trim().strip_suffix(" kB").expect("kilobytes");
    kilobytes.parse::<u64>().expect("a number") * 1024
}

#[test]
fn memory_that_was_taken_is_given_back() {
    for isolation in ["shared", "per-request"] {
        let backend = Upstream::echo();
        let limits = "limits: {cpu_time: 10s, memory: 32MiB}";
        let gateway =
            guarding(&backend, "authorizer", &format!("isolation: {isolation}, {limits}")).start();
        let take = |times: usize| {
            let mut client = gateway.connect();
            let request = told("/prod/guarded", "memory").host(&gateway.default_host());
            for _ in 0..times {
                assert_eq!(client.call(request.clone()).status, 500);
            }
        };
        take(5);
        let before = resident(&gateway);
        take(60);
        let after = resident(&gateway);
        // 60 times 32 MiB were taken.
        assert!(after < before + (256 << 20), "{before} bytes before, {after} after");
    }
}

#[test]
fn giant_decisions_of_an_authorizer_let_nobody_in() {
    let backend = Upstream::echo();
    let gateway = guarding(&backend, "authorizer", ENOUGH_TIME).start();
    let loads = innocent(&gateway);
    let mut count = 0.0;
    for (order, why) in [
        ("many headers", "5000 headers; allowed: up to 1000"),
        ("large header", "100007 bytes of headers; allowed: up to 65536"),
        ("large context", "bytes; allowed: up to 65536"),
        ("huge context", "too much data"),
        ("many keys", "bytes; allowed: up to 65536"),
        ("large reply", "a body of 11534336 bytes; allowed: up to 10485760"),
        ("line end", "header x-a: its value has a control character"),
    ] {
        assert_authorizer_error(&call(&gateway, told("/prod/guarded", order)), CONFIGURATION);
        count += 1.0;
        gateway.assert_metric(&errors("output"), count);
        gateway.process.stderr_line(why, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let error = line["error"].as_str()?;
            (line["plugin"] == "hostile" && line["kind"] == "output" && error.contains(why))
                .then_some(())
        });
    }
    assert!(backend.requests().is_empty());
    assert_eq!(call(&gateway, told("/prod/guarded", "nothing")).status, 200);
    finish(&gateway, loads);
}

/// The fetching authorizer, with this upstream.
fn asking(backend: &Upstream, asked: &Upstream, more: &str) -> Gateway {
    guarding(backend, "fetching-authorizer", &format!("upstreams: [backend], {more}"))
        .with(&format!("plugin_upstreams:\n  backend: {{address: '{}'}}", asked.address))
        .start()
}

/// Takes questions and answers none.
fn silent() -> Upstream {
    Upstream::scripted(|mut session| {
        if let Some(question) = session.request() {
            session.record(question);
        }
        session.wait_for_close();
    })
}

#[test]
fn a_fetch_that_is_never_answered_ends_with_the_plugins_deadline() {
    let (backend, asked) = (Upstream::echo(), silent());
    let gateway = asking(&backend, &asked, LIMITS);
    let loads = innocent(&gateway);
    let begin = Instant::now();
    // The plugin would wait an hour. Told of the deadline, it says so.
    let response = call(&gateway, told("/prod/guarded", "ask"));
    assert_eq!(response.summary(), (503, "no answer in time".into()));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(asked.request().line(), "GET /who HTTP/1.1");
    assert!(backend.requests().is_empty());
    finish(&gateway, loads);
}

#[test]
fn one_that_asks_again_and_again_is_stopped() {
    let (backend, asked) = (Upstream::echo(), silent());
    let gateway = asking(&backend, &asked, LIMITS);
    let loads = innocent(&gateway);
    let begin = Instant::now();
    for count in [1.0, 2.0] {
        assert_authorizer_error(&call(&gateway, told("/prod/guarded", "ask for ever")), FAILURE);
        // Its deadline and its CPU time are over at about the same time.
        eventually("the failure is counted", || {
            let kinds = ["wait", "cpu_time"].map(|kind| gateway.metric(&errors(kind)));
            (kinds[0] + kinds[1] == count).then_some(())
        });
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(backend.requests().is_empty());
    finish(&gateway, loads);
}

#[test]
fn an_answer_that_is_not_waited_for_is_given_up_with_its_instance() {
    let (backend, asked) = (Upstream::echo(), silent());
    let gateway = asking(&backend, &asked, LIMITS);
    // The one that was started to see whether it starts.
    gateway.assert_metric("tollgate_plugin_instances{plugin=\"hostile\"}", 1.0);
    for _ in 0..3 {
        assert_eq!(call(&gateway, told("/prod/guarded", "ask and keep")).status, 200);
    }
    gateway.assert_metric("tollgate_plugin_instances{plugin=\"hostile\"}", 0.0);
}

#[test]
fn while_plugins_wait_their_workers_serve_others() {
    let (asked, questions) = channel();
    let (answer, answers) = sync_channel::<()>(16);
    let answers = Mutex::new(answers);
    let who = Upstream::scripted(move |mut session| {
        while session.request().is_some() {
            let _ = asked.send(());
            let _ = answers.lock().expect("no session panics with it").recv_timeout(DEADLINE);
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nali");
        }
    });
    let backend = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nin");
    let gateway = asking(&backend, &who, "limits: {wait: 30s}");
    let request = told("/prod/guarded", "ask").host(&gateway.default_host());
    // More than there are workers.
    let mut waiting: Vec<_> = (0..6).map(|_| gateway.connect()).collect();
    for client in &mut waiting {
        client.send(request.bytes());
        questions.recv_timeout(DEADLINE).expect("the upstream is asked");
    }
    for _ in 0..20 {
        assert_eq!(call(&gateway, get("/prod/without")).text(), "without");
        assert_eq!(call(&gateway, told("/prod/neighbour", "nothing")).text(), "neighbour");
    }
    assert!(backend.requests().is_empty());
    for _ in &waiting {
        answer.send(()).expect("the upstream waits");
    }
    for client in &mut waiting {
        assert_eq!(client.response().summary(), (200, "in".into()));
    }
}

/// `/changed` goes through `before`, `hostile` and `after`, of which the outer two mark requests.
fn changing(backend: &Upstream, more: &str) -> Gateway {
    let api = Api::new()
        .route("POST /changed", http_proxy(&backend.url("/")))
        .route("GET /without", mock(200, "without"));
    let mark = |name: &str| {
        let configuration = json!({
            "request": { "set": { format!("x-{name}"): "yes" } },
            "response": { "set": { format!("x-{name}"): "yes" } },
        });
        entry(name, "header-normaliser", &format!("configuration: {configuration}"))
    };
    Serve::new(api)
        .attach("methods: {'POST /changed': {transformers: [before, hostile, after]}}")
        .plugins(&[mark("before"), fixture_entry("hostile", "transformer", more), mark("after")])
        .start()
}

const PLACES: [&str; 4] = ["on-request", "on-request-body", "on-response", "on-response-body"];

fn change(order: &str) -> Request {
    post("/prod/changed", "question").header("x-do", order)
}

fn answering() -> Upstream {
    Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer")
}

#[test]
fn a_transformer_that_is_stopped_is_500_wherever_it_is() {
    for isolation in ["shared", "per-request"] {
        let backend = answering();
        let gateway = changing(&backend, &format!("isolation: {isolation}, {LIMITS}"));
        let mut asked = 0;
        for place in PLACES {
            for (misdeed, kind, _) in MISDEEDS {
                let before = gateway.metric(&errors(kind));
                let response = call(&gateway, change(&format!("{place} {misdeed}")));
                assert_internal_error(&response);
                gateway.assert_metric(&errors(kind), before + 1.0);
                asked += usize::from(place.starts_with("on-response"));
                assert_eq!(backend.requests().len(), asked, "{place} {misdeed}");
                assert_eq!(call(&gateway, get("/prod/without")).text(), "without");
            }
            let response = call(&gateway, change("nothing"));
            assert_eq!(response.summary(), (200, "answer".into()));
            assert!(response.header("x-responses-seen").is_some(), "{response:?}");
            asked += 1;
        }
    }
}

#[test]
fn where_it_is_allowed_the_exchange_goes_on_without_the_transformer() {
    for isolation in ["shared", "per-request"] {
        let backend = answering();
        let more = format!("isolation: {isolation}, on_error: fail-open, {LIMITS}");
        let gateway = changing(&backend, &more);
        for place in PLACES {
            for (misdeed, kind, _) in MISDEEDS {
                let before = gateway.metric(&errors(kind));
                let what = format!("{place} {misdeed}");
                let response = call(&gateway, change(&what));
                assert_eq!(response.summary(), (200, "answer".into()), "{what}");
                gateway.assert_metric(&errors(kind), before + 1.0);
                let received = backend.requests().pop().expect("the backend was asked");
                assert_eq!(received.body, b"question", "{what}");
                // What it did before it failed stays, and it is not asked again.
                let done = |is_done: bool| is_done.then_some("yes");
                let seen = received.header("x-request-seen");
                assert_eq!(seen.as_deref(), done(place != "on-request"), "{what}");
                let seen = response.header("x-responses-seen").is_some();
                assert_eq!(seen, place == "on-response-body", "{what}: {response:?}");
                // The others are.
                for mark in ["x-before", "x-after"] {
                    assert_eq!(received.header(mark).as_deref(), Some("yes"), "{what} {mark}");
                    assert_eq!(response.header(mark), Some("yes"), "{what} {mark}");
                }
            }
        }
    }
}

#[test]
fn giant_edits_of_a_transformer_are_500_or_are_not_made() {
    for on_error in ["fail-closed", "fail-open"] {
        let backend = answering();
        let gateway = changing(&backend, &format!("on_error: {on_error}, {ENOUGH_TIME}"));
        let mut count = 0.0;
        for order in [
            "on-request many headers",
            "on-request large body",
            "on-request large reply",
            "on-response many headers",
            "on-response large body",
            "on-response-body large body",
        ] {
            let response = call(&gateway, change(order));
            count += 1.0;
            gateway.assert_metric(&errors("output"), count);
            if on_error == "fail-closed" {
                assert_internal_error(&response);
                continue;
            }
            assert_eq!(response.summary(), (200, "answer".into()), "{order}");
            let received = backend.requests().pop().expect("the backend was asked");
            assert_eq!(received.body, b"question", "{order}");
            assert_eq!(received.header("x-4999"), None);
            assert_eq!(response.header("x-4999"), None);
        }
    }
}

#[test]
fn a_component_for_each_request_remembers_nothing() {
    for (isolation, expected) in [
        ("per-request", [Some("1"), Some("1"), None, Some("1")]),
        // After the trap it is a new one.
        ("shared", [Some("1"), Some("2"), None, Some("1")]),
    ] {
        let backend = answering();
        let more = format!("isolation: {isolation}, on_error: fail-open, limits: {{instances: 1}}");
        let gateway = changing(&backend, &more);
        let found = ["nothing", "nothing", "on-response trap", "nothing"].map(|order| {
            let response = call(&gateway, change(order));
            response.header("x-responses-seen").map(str::to_owned)
        });
        assert_eq!(found.each_ref().map(Option::as_deref), expected, "{isolation}");
    }
}

/// `/changed` goes through a transformer that asks this upstream.
fn asking_changes(backend: &Upstream, asked: &Upstream, more: &str) -> Gateway {
    let api = Api::new()
        .route("POST /changed", http_proxy(&backend.url("/")))
        .route("GET /without", mock(200, "without"));
    Serve::new(api)
        .attach("methods: {'POST /changed': {transformers: [hostile]}}")
        .plugins(&[fixture_entry(
            "hostile",
            "fetching-transformer",
            &format!("upstreams: [backend], {more}"),
        )])
        .with(&format!("plugin_upstreams:\n  backend: {{address: '{}'}}", asked.address))
        .start()
}

#[test]
fn a_transformer_whose_fetch_is_never_answered_is_told_so() {
    let (backend, asked) = (answering(), silent());
    let gateway = asking_changes(&backend, &asked, LIMITS);
    let begin = Instant::now();
    let response = call(&gateway, change("on-request ask"));
    assert_eq!(response.summary(), (200, "answer".into()));
    let received = backend.request();
    assert_eq!(received.header("x-who").as_deref(), Some("no answer in time"));
    let response = call(&gateway, change("on-response ask"));
    assert_eq!(response.header("x-who"), Some("no answer in time"));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_transformer_that_asks_again_and_again_is_stopped() {
    for on_error in ["fail-closed", "fail-open"] {
        let (backend, asked) = (answering(), silent());
        let gateway = asking_changes(&backend, &asked, &format!("on_error: {on_error}, {LIMITS}"));
        let begin = Instant::now();
        for place in ["on-request", "on-response"] {
            let response = call(&gateway, change(&format!("{place} ask for ever")));
            match on_error {
                "fail-open" => assert_eq!(response.summary(), (200, "answer".into()), "{place}"),
                // Its deadline and its CPU time are over at about the same time.
                _ => assert!(matches!(response.status, 500 | 504), "{place}: {response:?}"),
            }
            assert_eq!(response.header("x-who"), None);
            assert_eq!(call(&gateway, get("/prod/without")).text(), "without");
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        eventually("the failures are counted", || {
            let kinds = ["wait", "cpu_time"].map(|kind| gateway.metric(&errors(kind)));
            (kinds[0] + kinds[1] == 2.0).then_some(())
        });
    }
}
