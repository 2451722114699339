use wasmtime::{Linker, Module, Store};

use super::*;
use crate::config::{PluginLimits, PluginSettings};

/// Runs a module's `run`, which has to fail.
fn failure(wat: &str) -> PluginError {
    let limits = PluginLimits {
        memory: 1 << 20,
        table_elements: 100,
        stack: 128 * 1024,
        ..PluginLimits::default()
    };
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let context = PluginContext::for_test("subject", settings);
    let mut store = Store::new(&context.engine, Limiter::new(&context));
    store.limiter(|limiter| limiter);
    context.engine.begin(&mut store);
    // Without a clock, epochs are all that stops it.
    store.set_epoch_deadline(50);
    let mut linker = Linker::new(&context.engine);
    linker
        .func_wrap("host", "fail", || -> wasmtime::Result<()> {
            Err(HostFailure::new(ErrorKind::Output, "gave a status of 7; allowed: 200 to 599")
                .into())
        })
        .unwrap();
    linker
        .func_wrap("host", "exit", || -> wasmtime::Result<()> {
            Err(wasmtime_wasi::I32Exit(3).into())
        })
        .unwrap();
    let module = Module::new(&context.engine, wat::parse_str(wat).unwrap()).unwrap();
    let error = linker
        .instantiate(&mut store, &module)
        .and_then(|instance| instance.get_typed_func::<(), ()>(&mut store, "run"))
        .and_then(|run| run.call(&mut store, ()))
        .unwrap_err();
    classify(&context, &error, store.data())
}

#[test]
fn each_way_to_fail_has_its_kind_and_a_plain_message() {
    let cases = [
        ("unreachable", ErrorKind::Trap, "trapped: it gave up (unreachable)"),
        (
            "i32.const 1 i32.const 0 i32.div_s drop",
            ErrorKind::Trap,
            "trapped: integer divide by zero",
        ),
        ("i32.const -4 i32.load drop", ErrorKind::Trap, "trapped: out of bounds memory access"),
        (
            "i32.const 7 call_indirect",
            ErrorKind::Trap,
            "trapped: undefined element: out of bounds table access",
        ),
        (
            "loop br 0 end",
            ErrorKind::CpuTime,
            "was stopped: it ran longer than its CPU time allows",
        ),
        ("call $run", ErrorKind::Stack, "used more stack than it may: 131072 bytes"),
        ("call $fail", ErrorKind::Output, "gave a status of 7; allowed: 200 to 599"),
        ("call $exit", ErrorKind::Trap, "exited with code 3"),
        (
            "i32.const 100 memory.grow drop unreachable",
            ErrorKind::Memory,
            "trapped: it gave up (unreachable), after it asked for 6619136 bytes of memory; \
             allowed: 1048576",
        ),
        (
            "ref.null func i32.const 100 table.grow drop unreachable",
            ErrorKind::Memory,
            "trapped: it gave up (unreachable), after it asked for 105 table elements; \
             allowed: 100",
        ),
    ];
    for (code, kind, message) in cases {
        let error = failure(&format!(
            r#"(module
                 (import "host" "fail" (func $fail))
                 (import "host" "exit" (func $exit))
                 (memory 1)
                 (table 5 funcref)
                 (func $run (export "run") {code}))"#
        ));
        assert_eq!((error.kind, &*error.message), (kind, message), "{code}");
        assert!(error.backtrace.contains("run"), "{code}: {}", error.backtrace);
        assert_eq!(&*error.plugin, "subject");
    }
}

#[test]
fn a_module_that_starts_with_too_much_memory_fails_for_that() {
    let error = failure(r#"(module (memory 17) (func (export "run")))"#);
    assert_eq!(error.kind, ErrorKind::Memory);
    assert_eq!(
        error.message,
        "memory minimum size of 17 pages exceeds memory limits, after it asked for 1114112 bytes \
         of memory; allowed: 1048576"
    );
    let error = failure(r#"(module (table 101 funcref) (func (export "run")))"#);
    assert_eq!(error.kind, ErrorKind::Memory, "{error}");
}

#[test]
fn a_backtrace_has_demangled_names_and_no_more_than_a_line_for_each_frame() {
    let error = failure(
        r#"(module $filter
             (func $_ZN6filter5inner17h0123456789abcdefE unreachable)
             (func $run (export "run") call $_ZN6filter5inner17h0123456789abcdefE))"#,
    );
    let lines: Vec<&str> = error.backtrace.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("filter!filter::inner (offset 0x"), "{lines:?}");
    assert!(lines[1].starts_with("filter!run (offset 0x"), "{lines:?}");
}

#[test]
fn a_deep_backtrace_is_cut() {
    let error = failure(r#"(module (func $run (export "run") call $run))"#);
    assert_eq!(error.backtrace.lines().count(), 64);
}

#[test]
fn what_an_earlier_call_was_denied_is_not_the_reason_of_a_later_failure() {
    let settings = PluginSettings {
        limits: PluginLimits { memory: 1 << 20, ..PluginLimits::default() },
        ..PluginSettings::default()
    };
    let context = PluginContext::for_test("subject", settings);
    let mut store = Store::new(&context.engine, Limiter::new(&context));
    store.limiter(|limiter| limiter);
    store.set_epoch_deadline(1_000);
    let wat = r#"(module
        (memory 1)
        (func (export "greedy") i32.const 100 memory.grow drop)
        (func (export "run") unreachable))"#;
    let module = Module::new(&context.engine, wat::parse_str(wat).unwrap()).unwrap();
    let instance = Linker::new(&context.engine).instantiate(&mut store, &module).unwrap();
    let mut call = |name: &str| {
        store.data_mut().begin_call();
        let function = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
        function.call(&mut store, ()).map_err(|error| classify(&context, &error, store.data()))
    };
    call("greedy").unwrap();
    assert_eq!(call("run").unwrap_err().kind, ErrorKind::Trap);
}

#[test]
fn a_reported_failure_is_counted_even_when_it_is_left_out_of_the_log() {
    let context = PluginContext::for_test("failing", PluginSettings::default());
    let reported = u64::from(crate::limits::FAILURE_LINES) + 5;
    for _ in 0..reported {
        report(&context, &PluginError::new("failing", ErrorKind::Wait, "waited too long"));
    }
    assert_eq!(context.metrics.errors(ErrorKind::Wait), reported);
    assert_eq!(context.metrics.errors(ErrorKind::Trap), 0);
    assert_eq!(context.metrics.failures_left_out(), 5);
}
