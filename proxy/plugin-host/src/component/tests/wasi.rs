//! WASI with the grant: what there is, and that there is nothing else.

use std::time::Duration;

use super::guest::Guest;
use super::host::{ask, authorizer, context, load_authorizer, output};
use super::imports::logged_by;
use crate::config::{Isolation, PluginSettings};
use crate::{ErrorKind, limits};

fn granted() -> PluginSettings {
    PluginSettings { wasi: true, ..PluginSettings::default() }
}

async fn says(body: &str) -> String {
    output(&authorizer(granted(), Guest::running_with_wasi(body))).await.unwrap()
}

#[test]
fn without_the_grant_it_is_refused() {
    let context = context(PluginSettings::default());
    let guest = Guest::running_with_wasi("(drop (call $random.get-random-u64))");
    let error = load_authorizer(&context, guest).err().unwrap();
    assert!(error.message.starts_with("imports wasi:random/random@0.2.0, but"), "{error}");
}

#[tokio::test]
async fn there_are_no_environment_arguments_or_files() {
    let length = "(call $number (i64.load32_u (i32.const 516)))";
    let said = says(&format!(
        "(call $environment.get-environment (i32.const 512)) {length}
         (call $environment.get-arguments (i32.const 512)) {length}
         (call $preopens.get-directories (i32.const 512)) {length}"
    ))
    .await;
    assert_eq!(said, "000");
}

#[tokio::test]
async fn clocks_and_random_numbers_work() {
    let said = says(
        "(call $number (i64.extend_i32_u (i64.ne (call $random.get-random-u64) (i64.const 0))))
         (call $number (i64.extend_i32_u (i64.ne (call $monotonic-clock.now) (i64.const 0))))",
    )
    .await;
    assert_eq!(said, "11");
}

#[tokio::test]
async fn random_bytes_at_once_have_a_bound() {
    let bytes =
        |count: u32| format!("(call $random.get-random-bytes (i64.const {count}) (i32.const 512))");
    let length = "(call $number (i64.load32_u (i32.const 516)))";
    assert_eq!(says(&format!("{} {length}", bytes(limits::RANDOM))).await, "65536");
    let plugin = authorizer(granted(), Guest::running_with_wasi(&bytes(limits::RANDOM + 1)));
    let error = ask(&plugin).await.unwrap_err();
    assert!(error.message.contains("requested len 65537 exceeds limit 65536"), "{error}");
}

fn write(stream: &str, text: &str) -> String {
    format!(
        "(call $streams..method.output-stream.blocking-write-and-flush
           (call ${stream}) {text} (i32.const 512))"
    )
}

#[test]
fn standard_output_and_error_go_to_the_log_line_by_line() {
    let end = "(i32.store8 (i32.const 640) (i32.const 10))";
    let newline = "(i32.const 640) (i32.const 1)";
    // Each stream handle is one: what it has begun ends with it.
    let body = [
        end.to_owned(),
        "(global.set $stdout (call $stdout.get-stdout))".to_owned(),
        write("of-stdout", "{one }"),
        write("of-stdout", "{line}"),
        write("of-stdout", newline),
        write("of-stdout", newline),
        write("of-stderr", "{error}"),
        write("of-stderr", newline),
    ];
    let guest = Guest::running_with_wasi(&body.concat()).with(
        "(global $stdout (mut i32) (i32.const 0))
         (global $stderr (mut i32) (i32.const 0))
         (func $of-stdout (result i32) (global.get $stdout))
         (func $of-stderr (result i32)
           (if (i32.eqz (global.get $stderr))
             (then (global.set $stderr (call $stderr.get-stderr))))
           (global.get $stderr))",
    );
    let (lines, _) = logged_by(granted(), guest);
    let line = |level: &str, text: &str| format!("{level} message={text} plugin=\"guest\"");
    assert_eq!(lines, [line("INFO", "one line"), line("INFO", ""), line("WARN", "error")]);
}

#[tokio::test]
async fn an_exit_is_an_error_of_the_plugin_alone() {
    let guest = Guest::running_with_wasi("(call $exit.exit (i32.const 1))");
    let plugin = authorizer(granted(), guest);
    for _ in 0..2 {
        let error = ask(&plugin).await.unwrap_err();
        assert_eq!((error.kind, &*error.message), (ErrorKind::Trap, "exited with code 1"));
    }
}

#[tokio::test]
async fn waiting_for_a_clock_is_bounded() {
    let mut settings = granted();
    settings.limits.wait = Duration::from_millis(20);
    settings.limits.cpu_time = Duration::from_millis(20);
    settings.isolation = Isolation::PerRequest;
    let guest = Guest::running_with_wasi(
        "(call $poll..method.pollable.block
           (call $monotonic-clock.subscribe-duration (i64.const 3600000000000)))",
    );
    let error = ask(&authorizer(settings, guest)).await.unwrap_err();
    assert_eq!((error.kind, &*error.message), (ErrorKind::Wait, "waited too long"));
}
