//! Fetches: what is sent, every outcome, deadlines, limits, and giving up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::guest::Guest;
use super::host::{ask, context_with_upstream, load_authorizer, output};
use crate::component::AuthorizerPlugin;
use crate::config::{PluginLimits, PluginSettings};
use crate::{ErrorKind, limits};

/// A backend that answers all that it is asked in one write: `None` never does. Gives what it
/// was sent.
async fn backend(answer: Option<&'static str>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 65536];
                while let Ok(length @ 1..) = connection.read(&mut buffer).await {
                    let _ = sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned());
                    if let Some(answer) = answer {
                        let _ = connection.write_all(answer.as_bytes()).await;
                    }
                }
                let _ = sender.send("closed".to_owned());
            });
        }
    });
    (address, receiver)
}

const OK: &str = "HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello";

/// The arguments of `send` or `start`, which come as one block at 640: upstream, method, path,
/// headers, body and timeout; headers is the one pair at 704 when `with_header`.
fn arguments(upstream: &str, path: &str, timeout: u32, with_header: bool) -> String {
    let pair = |at: u32, text: &str| format!("(call $pair (i32.const {at}) {{{text}}})");
    format!(
        "{} {} {} {} {}
         (i32.store (i32.const 664) (i32.const 704))
         (i32.store (i32.const 668) (i32.const {}))
         {} (i32.store (i32.const 680) (i32.const {timeout}))",
        pair(640, upstream),
        pair(648, "POST"),
        pair(656, path),
        pair(704, "Host"),
        pair(712, "keys.example"),
        u32::from(with_header),
        pair(672, "ask"),
    )
}

/// `send` and `start` have as many parameters as fit registers: 9 and one for the result.
const FLAT: &str = "
  (i32.load (i32.const 640)) (i32.load (i32.const 644))
  (i32.load (i32.const 648)) (i32.load (i32.const 652))
  (i32.load (i32.const 656)) (i32.load (i32.const 660))
  (i32.load (i32.const 664)) (i32.load (i32.const 668))
  (i32.load (i32.const 672)) (i32.load (i32.const 676))
  (i32.load (i32.const 680))";

const PAIR: &str = "
  (func $pair (param i32 i32 i32)
    (i32.store (local.get 0) (local.get 1))
    (i32.store offset=4 (local.get 0) (local.get 2)))
  ;; What was fetched, at 512: status, headers and body, or the number of the error and its text.
  (func $fetched
    (if (i32.load8_u (i32.const 512))
      (then
        (call $byte (i32.const 33))
        (call $number (i64.load8_u (i32.const 516)))
        (if (i32.or (i32.eq (i32.load8_u (i32.const 516)) (i32.const 1))
                    (i32.eq (i32.load8_u (i32.const 516)) (i32.const 3)))
          (then (call $put (i32.load (i32.const 520)) (i32.load (i32.const 524))))))
      (else
        (call $number (i64.load16_u (i32.const 516)))
        (call $byte (i32.const 32))
        (call $put (i32.load (i32.const 528)) (i32.load (i32.const 532)))
        (call $byte (i32.const 32))
        (i64.store (i32.const 512) (i64.load (i32.const 520)))
        (call $pairs))))";

fn send(upstream: &str, path: &str, timeout: u32) -> String {
    format!(
        "{} (call $fetch.send {FLAT} (i32.const 512)) (call $fetched)",
        arguments(upstream, path, timeout, true)
    )
}

fn load(address: SocketAddr, limits: PluginLimits, body: &str) -> Arc<AuthorizerPlugin> {
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let context = context_with_upstream(settings, address);
    Arc::new(load_authorizer(&context, Guest::running(body).with(PAIR)).unwrap())
}

fn short_wait() -> PluginLimits {
    PluginLimits { wait: Duration::from_millis(100), ..PluginLimits::default() }
}

#[tokio::test]
async fn a_fetch_sends_and_gets_a_response() {
    let (address, mut sent) = backend(Some(OK)).await;
    let plugin = load(address, PluginLimits::default(), &send("backend", "/keys?kid=1", 5000));
    let said = output(&plugin).await.unwrap();
    assert!(said.starts_with("201 hello "), "{said}");
    assert!(said.contains("x-a=b;"), "{said}");
    let request = sent.recv().await.unwrap();
    assert!(request.starts_with("POST /keys?kid=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: keys.example\r\n"), "{request}");
    assert!(request.ends_with("ask"), "{request}");
}

#[tokio::test]
async fn only_upstreams_that_the_plugin_was_given_are_known() {
    let (address, _sent) = backend(Some(OK)).await;
    for upstream in ["other", "elsewhere"] {
        let plugin = load(address, PluginLimits::default(), &send(upstream, "/", 5000));
        assert_eq!(output(&plugin).await.unwrap(), "!0");
    }
}

#[tokio::test]
async fn a_request_that_can_not_be_sent_is_refused() {
    let (address, _sent) = backend(Some(OK)).await;
    let plugin = load(address, PluginLimits::default(), &send("backend", "no slash", 5000));
    let said = output(&plugin).await.unwrap();
    assert!(said.starts_with("!1"), "{said}");
    let limits = PluginLimits { body: 2, ..PluginLimits::default() };
    let said = output(&load(address, limits, &send("backend", "/", 5000))).await.unwrap();
    assert_eq!(said, "!1a body of 3 bytes; allowed: up to 2");
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plugin = load(unused, PluginLimits::default(), &send("backend", "/", 5000));
    let said = output(&plugin).await.unwrap();
    assert!(said.starts_with("!3"), "{said}");
}

#[tokio::test]
async fn a_fetch_that_is_never_answered_ends_with_its_deadline_or_the_plugins() {
    let (address, _sent) = backend(None).await;
    let begin = Instant::now();
    let plugin = load(address, PluginLimits::default(), &send("backend", "/", 30));
    assert_eq!(output(&plugin).await.unwrap(), "!2");
    let plugin = load(address, short_wait(), &send("backend", "/", 3_600_000));
    assert_eq!(output(&plugin).await.unwrap(), "!2");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn waiting_is_not_cpu_time_but_running_after_it_is() {
    let (address, _sent) = backend(None).await;
    let limits = || PluginLimits { cpu_time: Duration::from_millis(50), ..PluginLimits::default() };
    let plugin = load(address, limits(), &send("backend", "/", 300));
    assert_eq!(output(&plugin).await.unwrap(), "!2", "it waited six times as long as it may run");
    let body = send("backend", "/", 100) + "(loop $for-ever (br $for-ever))";
    let error = ask(&load(address, limits(), &body)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::CpuTime);
}

/// Starts a fetch and keeps its handle at 800 + 4 × `number`; -1 when there is an error.
fn start(number: u32) -> String {
    format!(
        "{} (call $fetch.start {FLAT} (i32.const 512))
         (if (i32.load8_u (i32.const 512))
           (then (i32.store (i32.const {at}) (i32.const -1)))
           (else (i32.store (i32.const {at}) (i32.load (i32.const 516)))))",
        arguments("backend", "/", 5000, false),
        at = 800 + 4 * number
    )
}

fn wait(number: u32) -> String {
    let at = 800 + 4 * number;
    format!(
        "(call $fetch..method.pending.wait (i32.load (i32.const {at})) (i32.const 512))
         (call $fetched)"
    )
}

fn forget(number: u32) -> String {
    format!("(call $fetch..resource-drop.pending (i32.load (i32.const {})))", 800 + 4 * number)
}

#[tokio::test]
async fn several_can_be_under_way_and_each_is_waited_for_once() {
    let (address, mut sent) = backend(Some(OK)).await;
    let body = [start(0), start(1), wait(1), wait(0), wait(0), forget(0), forget(1)].concat();
    let plugin = load(address, PluginLimits::default(), &body);
    for _ in 0..2 {
        let said = output(&plugin).await.unwrap();
        assert_eq!(said.matches("201 hello").count(), 2, "{said}");
        assert!(said.ends_with("!3it was waited for already"), "{said}");
    }
    assert_eq!(plugin.pool().idle_count(), 1);
    sent.recv().await.unwrap();
    sent.recv().await.unwrap();
}

#[tokio::test]
async fn not_more_than_allowed_are_under_way() {
    let (address, _sent) = backend(None).await;
    let limits = PluginLimits { calls: 2, ..PluginLimits::default() };
    let body = [start(0), start(1), start(2), forget(0), start(3)].concat()
        + "(call $number (i64.extend_i32_u (i32.eq (i32.load (i32.const 808)) (i32.const -1))))
           (call $number (i64.extend_i32_u (i32.eq (i32.load (i32.const 812)) (i32.const -1))))";
    assert_eq!(output(&load(address, limits, &body)).await.unwrap(), "10");
}

#[tokio::test]
async fn an_instance_that_keeps_a_fetch_is_not_used_again() {
    let (address, mut sent) = backend(None).await;
    let plugin = load(address, PluginLimits::default(), &start(0));
    ask(&plugin).await.unwrap();
    assert_eq!(plugin.pool().idle_count(), 0);
    // Given up with the instance. It may not even have been sent.
    let first = tokio::time::timeout(Duration::from_millis(300), sent.recv()).await;
    if first.is_ok_and(|it| it.as_deref() != Some("closed")) {
        assert_eq!(sent.recv().await.as_deref(), Some("closed"));
    }
}

#[tokio::test]
async fn an_exchange_that_is_given_up_takes_its_instance_and_fetch_with_it() {
    let (address, mut sent) = backend(None).await;
    let limits = PluginLimits { instances: 1, ..PluginLimits::default() };
    let plugin = load(address, limits, &send("backend", "/", 5000));
    assert_eq!(plugin.pool().idle_count(), 1);
    let task = tokio::spawn({
        let plugin = plugin.clone();
        async move { ask(&plugin).await.map(drop) }
    });
    sent.recv().await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(sent.recv().await.as_deref(), Some("closed"));
    assert_eq!(plugin.pool().idle_count(), 0);
    // Its place is free, and a fresh instance takes it.
    plugin.pool().lease().await.map(drop).unwrap();
}

#[tokio::test]
async fn a_response_that_is_too_large_is_refused() {
    let size = limits::FETCH_RESPONSE + 1;
    let body = "x".repeat(size);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{body}");
    let (address, _sent) = backend(Some(answer.leak())).await;
    let plugin = load(address, PluginLimits::default(), &send("backend", "/", 5000));
    assert_eq!(output(&plugin).await.unwrap(), "!4");
}

#[tokio::test]
async fn an_instance_can_not_wait_while_it_starts() {
    let (address, _sent) = backend(Some(OK)).await;
    let guest = Guest::running("")
        .with(PAIR)
        .with(&format!("(func (export \"_initialize\") {})", send("backend", "/", 5000)));
    let context = context_with_upstream(PluginSettings::default(), address);
    let plugin = load_authorizer(&context, guest).unwrap();
    assert_eq!(output(&plugin).await.unwrap(), "!3an instance can't fetch while it starts");
}
