//! A hostile set: each limit, and a trap in each export. Nothing else is touched.

use std::time::Duration;

use super::guest::{Guest, Value, edits};
use super::host::{ask, authorizer, context, load_authorizer, output, stream};
use crate::clock::thread_time;
use crate::config::{PluginLimits, PluginSettings};
use crate::{ErrorKind, PluginError};

/// Asks an authorizer that misbehaves.
async fn fails(limits: PluginLimits, body: &str) -> PluginError {
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    ask(&authorizer(settings, Guest::running(body))).await.unwrap_err()
}

#[tokio::test]
async fn a_busy_loop_is_stopped() {
    let limits = PluginLimits { cpu_time: Duration::from_millis(20), ..PluginLimits::default() };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let plugin = authorizer(settings, Guest::running("(loop $for-ever (br $for-ever))"));
    // In the thread's own time, so that a busy machine changes nothing. The best of some, for a
    // backtrace in a debug build takes long once.
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let begin = thread_time();
        let error = ask(&plugin).await.unwrap_err();
        shortest = shortest.min(thread_time() - begin);
        assert_eq!(error.kind, ErrorKind::CpuTime);
    }
    assert!(shortest >= Duration::from_millis(15), "{shortest:?}");
    assert!(shortest < Duration::from_millis(30), "{shortest:?}");
}

#[tokio::test]
async fn a_memory_bomb_gets_no_more_than_its_memory() {
    let bomb = "(loop $more
        (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let limits = PluginLimits { memory: 4 << 20, ..PluginLimits::default() };
    let error = fails(limits.clone(), bomb).await;
    assert_eq!(error.kind, ErrorKind::Memory);
    assert!(error.message.contains("allowed: 4194304"), "{error}");
    // One that gets along with what it has may go on.
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let guest = Guest::running(
        "(call $number (i64.extend_i32_u (i32.eq (memory.grow (i32.const 64)) (i32.const -1))))",
    );
    assert_eq!(output(&authorizer(settings, guest)).await.unwrap(), "1");
}

#[test]
fn memory_and_tables_that_are_too_large_from_the_start_are_refused() {
    let limits = PluginLimits { memory: 65536, ..PluginLimits::default() };
    let context = context(PluginSettings { limits, ..PluginSettings::default() });
    let error = load_authorizer(&context, Guest::running("")).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Start);
    assert!(error.message.starts_with("can't start: "), "{error}");
    let limits = PluginLimits { table_elements: 100, ..PluginLimits::default() };
    let context = super::host::context(PluginSettings { limits, ..PluginSettings::default() });
    let guest = Guest::running("").with("(table 101 funcref)");
    let error = load_authorizer(&context, guest).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Start);
}

#[tokio::test]
async fn a_table_bomb_gets_no_more_than_its_elements() {
    let limits = PluginLimits { table_elements: 1000, ..PluginLimits::default() };
    let guest = Guest::running(
        "(loop $more (br_if $more
           (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) unreachable",
    )
    .with("(table $t 0 funcref)");
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let error = ask(&authorizer(settings, guest)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Memory);
    assert!(error.message.contains("table elements"), "{error}");
}

#[tokio::test]
async fn infinite_recursion_ends_with_the_stack() {
    let guest = Guest::running("(call $again)").with("(func $again (call $again))");
    let error = ask(&authorizer(PluginSettings::default(), guest)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Stack);
}

#[tokio::test]
async fn giant_values_are_refused_before_they_are_copied() {
    // A decision at 1024 whose list of headers has as many entries as memory holds, each with
    // the same 16 MiB as name and value: 400 GiB, if it were copied.
    let mut guest = Guest::authorizer();
    let entry = guest.lay_out(&edits(&[("set", "", "")]));
    let body = format!(
        "(local $at i32)
         (drop (memory.grow (i32.const 512)))
         (local.set $at (i32.const 17000000))
         (loop $next
           (memory.copy (local.get $at) (i32.load (i32.const {entry})) (i32.const 20))
           (i32.store offset=4 (local.get $at) (i32.const 0))
           (i32.store offset=8 (local.get $at) (i32.const 16777216))
           (i32.store offset=12 (local.get $at) (i32.const 0))
           (i32.store offset=16 (local.get $at) (i32.const 16777216))
           (local.set $at (i32.add (local.get $at) (i32.const 20)))
           (br_if $next (i32.lt_u (local.get $at) (i32.const 17256000))))
         (i32.store (i32.const 1068) (i32.const 17000000))
         (i32.store (i32.const 1072) (i32.const 12800))
         (i32.const 1024)"
    );
    let plugin = authorizer(PluginSettings::default(), guest.export("authorize", &body));
    let error = ask(&plugin).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Output);
    assert!(error.message.starts_with("gave what can't be read: "), "{error}");
}

#[tokio::test]
async fn pointers_out_of_memory_and_bad_text_are_refused() {
    let decision = |pointer: u32, length: u32| {
        format!(
            "(i32.store (i32.const 1028) (i32.const {pointer}))
             (i32.store (i32.const 1032) (i32.const {length}))
             (i32.store8 (i32.const 2048) (i32.const 255)) (i32.const 1024)"
        )
    };
    for body in [
        decision(0x7fff_ffff, 16),
        decision(16, 0xffff_ffff),
        decision(2048, 1),
        "(i32.const -4)".to_owned(),
        "(i32.const 1026)".to_owned(),
        "(i32.store8 (i32.const 1024) (i32.const 9)) (i32.const 1024)".to_owned(),
        // As an argument of an import.
        "(call $request.header (i32.const -1) (i32.const 9) (i32.const 512)) (i32.const 0)"
            .to_owned(),
        // As a place for an import's result.
        "(call $request.method (i32.const 0x7ffffff0)) (i32.const 0)".to_owned(),
    ] {
        let guest = Guest::authorizer().export("authorize", &body);
        let error = ask(&authorizer(PluginSettings::default(), guest)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Output, "{body}: {error}");
    }
}

#[tokio::test]
async fn memory_given_for_a_result_has_to_be_its_own() {
    // `cabi_realloc` of another guest: it gives an address out of its memory.
    let (resolve, world) = super::guest::wit("authorizer");
    let module = wat::parse_str(
        r#"(module
          (import "tollgate:plugin/request@0.1.0" "method" (func $method (param i32)))
          (memory (export "memory") 1)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const -16))
          (func (export "tollgate:plugin/authorization@0.1.0#authorize") (result i32)
            (call $method (i32.const 512)) (i32.const 0)))"#,
    )
    .unwrap();
    let bytes = super::guest::component(module, &resolve, world);
    let context = context(PluginSettings::default());
    let component = super::host::component(&context, &bytes);
    let plugin = crate::component::AuthorizerPlugin::new(context, &component).unwrap();
    assert_eq!(ask(&plugin).await.unwrap_err().kind, ErrorKind::Output);
}

#[tokio::test]
async fn a_host_function_is_not_entered_again_from_cabi_realloc() {
    let (resolve, world) = super::guest::wit("authorizer");
    let module = wat::parse_str(
        r#"(module
          (import "tollgate:plugin/request@0.1.0" "method" (func $method (param i32)))
          (memory (export "memory") 1)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (call $method (i32.const 512)) (i32.const 1024))
          (func (export "tollgate:plugin/authorization@0.1.0#authorize") (result i32)
            (call $method (i32.const 512)) (i32.const 0)))"#,
    )
    .unwrap();
    let bytes = super::guest::component(module, &resolve, world);
    let context = context(PluginSettings::default());
    let component = super::host::component(&context, &bytes);
    let plugin = crate::component::AuthorizerPlugin::new(context, &component).unwrap();
    let error = ask(&plugin).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Trap);
}

#[tokio::test]
async fn a_trap_in_any_export_is_an_error_with_a_backtrace_and_the_next_call_works() {
    // Traps at each second call of the instance; a fresh one takes its place.
    let body = "(if (global.get $called) (then (call $deep))) (global.set $called (i32.const 1))";
    let trapping = || {
        Guest::transformer().with(
            "(global $called (mut i32) (i32.const 0))
             (func $deep unreachable)",
        )
    };
    let streamed = Value::Case(1, 4, 8, None);
    for function in ["on-request", "on-request-body", "on-response", "on-response-body"] {
        let mut guest = trapping();
        let request = guest.lay_out(&Value::Case(
            1,
            4,
            56,
            Some(Box::new(Value::Record(vec![
                edits(&[]),
                super::guest::optional_text(None),
                super::guest::optional_text(None),
                super::guest::optional_text(None),
                streamed.clone(),
            ]))),
        ));
        let response = guest.lay_out(&Value::Case(
            1,
            4,
            24,
            Some(Box::new(Value::Record(vec![
                Value::Case(0, 2, 2, None),
                edits(&[]),
                streamed.clone(),
            ]))),
        ));
        for (export, result) in [
            ("on-request", request),
            ("on-request-body", 0),
            ("on-response", response),
            ("on-response-body", 0),
        ] {
            let trap = if export == function { body } else { "" };
            guest = guest.export(export, &format!("{trap} (i32.const {result})"));
        }
        let (_, stream) = stream(guest);
        let mut results = Vec::new();
        for _ in 0..4 {
            let mut piece = b"piece".to_vec();
            let result = match function {
                "on-request" => stream.request_headers(false).await,
                "on-response" => stream.response_headers(false).await,
                "on-request-body" => {
                    stream.request_headers(false).await.unwrap();
                    stream.request_body(&mut piece, false).await
                }
                _ => {
                    stream.response_headers(false).await.unwrap();
                    stream.response_body(&mut piece, false).await
                }
            };
            assert_eq!(piece, b"piece");
            results.push(result);
        }
        let worked: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(worked, [true, false, true, false], "{function}");
        let error = results.remove(1).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Trap);
        assert!(error.backtrace.contains("deep"), "{}", error.backtrace);
    }
}

#[tokio::test]
async fn one_plugins_trap_touches_no_other() {
    let context = context(PluginSettings::default());
    let counting = || {
        Guest::running(
            "(global.set $n (i64.add (global.get $n) (i64.const 1)))
             (call $number (global.get $n))",
        )
        .with("(global $n (mut i64) (i64.const 0))")
    };
    let fine = load_authorizer(&context, counting()).unwrap();
    let bad = load_authorizer(&context, Guest::running("unreachable")).unwrap();
    for expected in ["1", "2", "3"] {
        assert_eq!(ask(&bad).await.unwrap_err().kind, ErrorKind::Trap);
        assert_eq!(output(&fine).await.unwrap(), expected);
    }
}

#[test]
fn a_start_that_loops_is_stopped_and_refused() {
    let context = context(PluginSettings::default());
    let guest =
        Guest::running("").with("(func (export \"_initialize\") (loop $for-ever (br $for-ever)))");
    let error = load_authorizer(&context, guest).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Start);
    assert!(error.message.contains("was stopped"), "{error}");
}
