//! Reload, drain and upgrade, with clients that don't stop asking.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::mpsc::{channel, sync_channel};

use serde_json::Value;
use tollgate_tests::{
    Api, DEADLINE, Gateway, Http2, Load, Serve, Upstream, eventually, get, greedy, http_proxy, mock,
};

fn version(number: usize) -> Api {
    Api::new().route("GET /", mock(200, &format!("version {number}")))
}

#[test]
fn a_changed_definition_is_served() {
    let gateway = Gateway::dev(version(1));
    let mut client = gateway.connect();
    assert_eq!(client.get("/").text(), "version 1");
    gateway.replace_file("api.yaml", version(2).text());
    eventually("the new version is served", || {
        (client.get("/").text() == "version 2").then_some(())
    });
}

#[test]
fn definitions_change_under_load_without_a_failed_request() {
    let gateway = Gateway::dev(version(0));
    let load = Load::start(gateway.http, 4, &get("/"), |response| {
        assert!(response.status == 200 && response.text().starts_with("version "), "{response:?}");
    });
    for number in 1..=5 {
        gateway.replace_file("api.yaml", version(number).text());
        let expected = format!("version {number}");
        eventually("the new version is served", || {
            (gateway.get("/").text() == expected).then_some(())
        });
        load.more();
    }
    load.finish();
    assert!(gateway.metric("tollgate_reloads_total{result=\"applied\"}") >= 5.0);
}

#[test]
fn a_definition_that_does_not_load_keeps_the_old_one_serving() {
    let gateway = Gateway::dev(version(1));
    gateway.replace_file("api.yaml", "openapi: 3.0.1\npaths: [");
    gateway.process.stderr_line("why it is not reloaded", |line| {
        (line.starts_with("api.yaml") && line.contains("still served")).then_some(())
    });
    assert_eq!(gateway.get("/").text(), "version 1");
    gateway.replace_file("api.yaml", version(2).text());
    eventually("a good one is served again", || {
        (gateway.get("/").text() == "version 2").then_some(())
    });
}

#[test]
fn a_definition_that_is_gone_keeps_the_old_one_serving() {
    let gateway = Gateway::dev(version(1));
    std::fs::remove_file(gateway.path("api.yaml")).unwrap();
    gateway.process.stderr_line("that it is gone", |line| {
        (line.starts_with("api.yaml: cannot be read") && line.contains("still served"))
            .then_some(())
    });
    assert_eq!(gateway.get("/").text(), "version 1");
}

#[test]
fn a_changed_definition_is_served_in_production_too() {
    let gateway = Serve::new(version(1)).start();
    let request = get("/prod").host(&gateway.default_host());
    assert_eq!(gateway.call(request.clone()).text(), "version 1");
    gateway.replace_file("petstore01-prod.yaml", version(2).text());
    eventually("the new version is served", || {
        (gateway.call(request.clone()).text() == "version 2").then_some(())
    });
}

#[test]
fn sighup_reads_the_configuration_again() {
    let gateway = Serve::new(version(1)).start();
    let host = gateway.default_host();
    gateway.replace_file("second.yaml", version(2).text());
    let text = std::fs::read_to_string(gateway.path("tollgate.yaml")).unwrap();
    let more = text.replace(
        "apis:\n",
        "apis:\n- {definition: second.yaml, api_id: petstore01, stage: test}\n",
    );
    gateway.replace_file("tollgate.yaml", more);
    gateway.process.signal(libc::SIGHUP);
    eventually("the new stage is served", || {
        (gateway.call(get("/test").host(&host)).text() == "version 2").then_some(())
    });

    gateway.replace_file("tollgate.yaml", "listeners: nonsense");
    gateway.process.signal(libc::SIGHUP);
    gateway
        .process
        .stderr_line("that it is not reloaded", |line| line.contains("not reloaded").then_some(()));
    assert_eq!(gateway.call(get("/test").host(&host)).text(), "version 2");
}

/// A backend that reports a request and answers it when it is told to.
fn held_back() -> (Upstream, std::sync::mpsc::Receiver<()>, std::sync::mpsc::SyncSender<()>) {
    let (asked, wait_for_request) = channel();
    let (answer, wait_for_answer) = sync_channel(1);
    let wait_for_answer = Mutex::new(wait_for_answer);
    let upstream = Upstream::scripted(move |mut session| {
        if session.request().is_some() {
            let _ = asked.send(());
            let _ = wait_for_answer.lock().expect("one session").recv_timeout(DEADLINE);
            session.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        }
    });
    (upstream, wait_for_request, answer)
}

#[test]
fn sigterm_lets_a_request_finish_and_takes_no_new_connection() {
    let (upstream, asked, answer) = held_back();
    let mut gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    client.send(get("/").bytes());
    asked.recv_timeout(DEADLINE).expect("the backend is asked");
    gateway.process.signal(libc::SIGTERM);
    eventually("connections are refused", || {
        std::net::TcpStream::connect(gateway.http).is_err().then_some(())
    });
    assert!(gateway.process.is_running());
    assert_eq!(gateway.manage("/readyz").status, 503);
    assert_eq!(gateway.manage("/healthz").status, 200);
    answer.send(()).expect("the backend waits");
    let response = client.response();
    assert_eq!((response.text().as_str(), response.header("Connection")), ("late", Some("close")));
    client.assert_closed();
    assert_eq!(gateway.process.exit().code(), Some(0));
}

#[test]
fn sigterm_lets_an_http_2_stream_finish() {
    let (upstream, asked, answer) = held_back();
    let mut gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect_http2();
    let response = client.send(&get("/"));
    asked.recv_timeout(DEADLINE).expect("the backend is asked");
    gateway.process.signal(libc::SIGTERM);
    eventually("connections are refused", || {
        std::net::TcpStream::connect(gateway.http).is_err().then_some(())
    });
    answer.send(()).expect("the backend waits");
    assert_eq!(Http2::receive(response).unwrap().text(), "late");
    assert_eq!(gateway.process.exit().code(), Some(0));
}

#[test]
fn a_drain_does_not_wait_for_ever() {
    let (upstream, asked, _answer) = held_back();
    let mut gateway = Serve::new(greedy(&upstream.url(""))).limits("drain_timeout: 500ms").start();
    let mut client = gateway.connect();
    client.send(get("/prod/").host(&gateway.default_host()).bytes());
    asked.recv_timeout(DEADLINE).expect("the backend is asked");
    gateway.process.signal(libc::SIGTERM);
    assert_eq!(gateway.process.exit().code(), Some(0));
}

#[test]
fn an_idle_connection_does_not_hold_up_a_drain() {
    let mut gateway = Gateway::dev(version(1));
    let mut idle = gateway.connect();
    let mut http2 = gateway.connect_http2();
    assert_eq!([idle.get("/").status, http2.get("/").status], [200, 200]);
    gateway.process.signal(libc::SIGTERM);
    assert_eq!(gateway.process.exit().code(), Some(0));
    idle.assert_closed();
}

#[test]
fn sigint_stops_at_once() {
    let (upstream, asked, _answer) = held_back();
    let mut gateway = Gateway::dev(greedy(&upstream.url("")));
    let mut client = gateway.connect();
    client.send(get("/").bytes());
    asked.recv_timeout(DEADLINE).expect("the backend is asked");
    gateway.process.signal(libc::SIGINT);
    gateway.process.exit();
    assert!(client.try_response().is_err());
}

/// The new process that the log tells of.
fn upgraded(gateway: &Gateway) -> u64 {
    gateway.process.stderr_line("that the new process serves", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["message"]
            .as_str()?
            .contains("new process serves")
            .then(|| line["process"].as_u64())?
    })
}

#[test]
fn an_upgrade_under_load_costs_no_request() {
    let upstream = Upstream::echo();
    let api = Api::new().route("GET /", http_proxy(&upstream.url("/")));
    let mut gateway = Serve::new(api).start_installed();
    let request = get("/prod").host(&gateway.default_host());
    let load = Load::start(gateway.http, 4, &request, |response| {
        assert_eq!(response.status, 200, "{response:?}")
    });
    let closing = request.clone().header("Connection", "close");
    let new_connections = Load::start(gateway.http, 2, &closing, |response| {
        assert_eq!(response.status, 200, "{response:?}")
    });
    gateway.process.signal(libc::SIGUSR2);
    let process = upgraded(&gateway);
    assert_ne!(process, u64::from(gateway.process.id()));
    assert_eq!(gateway.process.exit().code(), Some(0));
    load.more();
    new_connections.more();
    load.finish();
    new_connections.finish();
    assert_eq!(gateway.call(request).status, 200);
    assert_eq!(gateway.manage("/readyz").status, 200);
}

#[test]
fn an_upgrade_keeps_every_listener() {
    let mut gateway = Serve::new(version(1))
        .tls(&tollgate_tests::Issued::of(&["localhost"]))
        .listener("address: '127.0.0.1:0', visibility: private, vpc_id: vpc-01234567, vpc_endpoint_id: vpce-01234567")
        .start_installed();
    let request = get("/prod").host(&gateway.default_host());
    gateway.replace_file("petstore01-prod.yaml", version(2).text());
    gateway.process.signal(libc::SIGUSR2);
    upgraded(&gateway);
    // Until it has stopped accepting, the old process answers too.
    gateway.process.exit();
    assert_eq!(gateway.call(request.clone()).text(), "version 2");
    assert_eq!(gateway.connect_tls().call(request.clone()).text(), "version 2");
    assert_eq!(gateway.connect_http2().call(request).text(), "version 2");
    assert_eq!(gateway.manage("/healthz").status, 200);
}

#[test]
fn an_upgraded_process_can_be_upgraded_again() {
    let mut gateway = Serve::new(version(1)).start_installed();
    gateway.process.signal(libc::SIGUSR2);
    let second = upgraded(&gateway);
    gateway.process.exit();
    // SAFETY: the process is one of the group that the harness ends; it was told of just now.
    assert_eq!(unsafe { libc::kill(i32::try_from(second).unwrap(), libc::SIGUSR2) }, 0);
    let third = gateway.process.stderr_line("that a third process serves", |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line["process"].as_u64().filter(|process| *process != second)
    });
    assert!(third > 0);
    assert_eq!(gateway.call(get("/prod").host(&gateway.default_host())).text(), "version 1");
}

#[test]
fn an_upgrade_lets_a_request_finish() {
    let (upstream, asked, answer) = held_back();
    let mut gateway = Serve::new(greedy(&upstream.url(""))).start_installed();
    let mut client = gateway.connect();
    client.send(get("/prod/").host(&gateway.default_host()).bytes());
    asked.recv_timeout(DEADLINE).expect("the backend is asked");
    gateway.process.signal(libc::SIGUSR2);
    upgraded(&gateway);
    assert!(gateway.process.is_running());
    answer.send(()).expect("the backend waits");
    assert_eq!(client.response().text(), "late");
    assert_eq!(gateway.process.exit().code(), Some(0));
}

/// Tries to upgrade, and asserts that the old process goes on.
fn assert_upgrade_fails(mut gateway: Gateway) {
    let request = get("/prod").host(&gateway.default_host());
    let load =
        Load::start(gateway.http, 2, &request, |response| assert_eq!(response.text(), "version 1"));
    gateway.process.signal(libc::SIGUSR2);
    gateway.process.stderr_line("that the upgrade failed", |line| {
        line.contains("upgrade failed").then_some(())
    });
    load.more();
    load.finish();
    assert!(gateway.process.is_running());
    assert_eq!(gateway.manage("/readyz").status, 200);
}

#[test]
fn a_broken_binary_does_not_replace_a_good_one() {
    for script in ["#!/bin/sh\nexit 1\n", "not a program"] {
        let gateway = Serve::new(version(1)).start_installed();
        gateway.replace_file("broken", script);
        std::fs::set_permissions(gateway.path("broken"), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(gateway.path("broken"), gateway.path("tollgate")).unwrap();
        assert_upgrade_fails(gateway);
    }
}

#[test]
fn a_broken_configuration_does_not_replace_a_good_one() {
    let gateway = Serve::new(version(1)).start_installed();
    gateway.replace_file("tollgate.yaml", "listeners: nonsense");
    assert_upgrade_fails(gateway);
}
