//! What is loaded and what is not.

use super::guest::{CALLBACKS, HOST_CALLS, at, set};
use super::*;
use crate::ErrorKind;

fn load_text(wat: &str) -> Result<Filter, PluginError> {
    load_wat(wat, PluginSettings::default(), Abi::V0_2_0)
}

fn refusal(result: Result<Filter, PluginError>) -> PluginError {
    match result {
        Err(error) => error,
        Ok(_) => panic!("it was loaded"),
    }
}

const MEMORY: &str = "(memory (export \"memory\") 1)";

#[tokio::test]
async fn an_import_that_there_is_not_is_named() {
    let error = refusal(load_text(&format!(
        "(module (import \"env\" \"proxy_unheard_of\" (func (param i32) (result i32))) {MEMORY})"
    )));
    assert_eq!(error.kind, ErrorKind::Start);
    assert_eq!(error.message, "imports env proxy_unheard_of, which is not there");
    let error = refusal(load_text(&format!(
        "(module (import \"env\" \"proxy_log\" (func (param i64) (result i32))) {MEMORY})"
    )));
    assert!(error.message.contains("proxy_log"), "{}", error.message);
}

#[tokio::test]
async fn the_same_import_may_occur_twice() {
    load_text(&format!(
        "(module (import \"env\" \"proxy_done\" (func (result i32)))
                 (import \"env\" \"proxy_done\" (func (result i32)))
                 (import \"wasi_unstable\" \"fd_close\" (func (param i32) (result i32)))
                 (import \"wasi_snapshot_preview1\" \"fd_close\" (func (param i32) (result i32)))
                 (import \"env\" \"abort\" (func (param i32 i32 i32 i32)))
                 (import \"env\" \"emscripten_notify_memory_growth\" (func (param i32)))
                 {MEMORY})"
    ))
    .unwrap();
}

#[tokio::test]
async fn every_host_call_and_callback_of_the_abi_is_there() {
    let mut guest = Guest::new();
    for (name, _, has_result) in CALLBACKS {
        guest.on(name, if *has_result { "(i32.const 1)" } else { "" });
    }
    load(&guest, PluginSettings::default()).unwrap();
    assert_eq!((HOST_CALLS.len(), CALLBACKS.len()), (39, 19));
}

#[tokio::test]
async fn a_module_without_memory_or_with_a_callback_of_another_type_is_refused() {
    let error = refusal(load_text("(module)"));
    assert_eq!(error.message, "can't be started: it exports no memory");
    let error = refusal(load_text(&format!(
        "(module {MEMORY} (func (export \"proxy_on_request_headers\") (param i32 i32) (result i32) (i32.const 0)))"
    )));
    assert!(
        error
            .message
            .starts_with("can't be started: its export proxy_on_request_headers has another type"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_module_that_says_no_is_refused() {
    for name in ["proxy_on_vm_start", "proxy_on_configure"] {
        let mut guest = Guest::new();
        guest.on(name, "(i32.const 0)");
        let error = refusal(load(&guest, PluginSettings::default()));
        assert_eq!(error.kind, ErrorKind::Start);
        assert!(error.message.contains(name), "{}", error.message);
        let mut guest = Guest::new();
        guest.on(name, "unreachable");
        assert_eq!(refusal(load(&guest, PluginSettings::default())).kind, ErrorKind::Trap);
    }
}

/// Which function writes what to slot 0, one after another.
fn started_with(fields: &str) -> Result<Filter, PluginError> {
    let mut guest = Guest::new();
    guest.on("proxy_on_context_create", "(call $note (i32.const 5))");
    guest.field(&format!(
        "(func $note (param i32)
           {})
         {fields}",
        set(0, "(i32.add (i32.mul (i32.load (i32.const 0)) (i32.const 10)) (local.get 0))")
    ));
    load(&guest, PluginSettings::default())
}

async fn order(fields: &str) -> u32 {
    let exchange = exchange(&started_with(fields).unwrap());
    assert!(is_continue(exchange.stream.request_headers(true).await));
    exchange.slot(0)
}

#[tokio::test]
async fn start_functions_run_before_the_root_context_is_made() {
    let initialize = "(func (export \"_initialize\") (call $note (i32.const 1)))";
    let main = "(func (export \"main\") (param i32 i32) (result i32) (call $note (i32.const 2)) (i32.const 0))";
    let start = "(func (export \"_start\") (call $note (i32.const 3)))";
    let section = "(func $section (call $note (i32.const 4))) (start $section)";
    // The last 5 is that of the stream.
    assert_eq!(order("").await, 55);
    assert_eq!(order(&format!("{initialize} {main} {start}")).await, 1255);
    assert_eq!(order(&format!("{initialize} {section}")).await, 4155);
    assert_eq!(order(start).await, 355);
    assert_eq!(order(main).await, 55);
}

#[tokio::test]
async fn host_calls_come_from_the_start_section_too() {
    let mut guest = Guest::new();
    let (line, path) = (guest.text("hello"), guest.text("plugin_name"));
    guest.field(&format!(
        "(func $section {} {}) (start $section)",
        set(0, &format!("(call $proxy_log (i32.const 2) {line})")),
        set(1, &format!("(call $proxy_get_property {path} {} {})", at(2), at(3))),
    ));
    let exchange = exchange(&filter(&guest));
    assert!(is_continue(exchange.stream.request_headers(true).await));
    assert_eq!((exchange.slot(0), exchange.slot(1)), (0, 0));
    assert_eq!(exchange.given(2), "filter");
}

#[tokio::test]
async fn a_program_that_ends_its_start_with_an_exit_has_started() {
    for (code, is_fine) in [(0, true), (1, false)] {
        let result = load_text(&format!(
            "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
               {MEMORY} (func (export \"_start\") (call $exit (i32.const {code}))))"
        ));
        assert_eq!(result.is_ok(), is_fine, "{code}");
    }
}

#[tokio::test]
async fn a_start_that_never_ends_is_stopped() {
    // As long as a start may take: the only test that waits for it.
    let began = Instant::now();
    let error = refusal(started_with("(func $section (loop $l (br $l))) (start $section)"));
    assert_eq!(error.kind, ErrorKind::CpuTime);
    assert!(began.elapsed() < Duration::from_secs(60));
}
