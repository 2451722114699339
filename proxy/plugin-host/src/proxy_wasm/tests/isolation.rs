//! Which exchanges share a VM.

use super::guest::{count, get, set};
use super::*;
use crate::ErrorKind;
use crate::config::{Isolation, PluginLimits};

/// Counts its requests in slot 0.
fn counts() -> Guest {
    let mut guest = Guest::new();
    guest.on("proxy_on_request_headers", &format!("{} (i32.const 0)", count(0)));
    guest
}

fn per_request(instances: usize) -> PluginSettings {
    let limits =
        PluginLimits { instances, wait: Duration::from_millis(50), ..PluginLimits::default() };
    PluginSettings { isolation: Isolation::PerRequest, limits, ..PluginSettings::default() }
}

#[tokio::test]
async fn exchanges_share_a_vm_unless_they_are_isolated() {
    let shared = filter(&counts());
    let isolated = load(&counts(), per_request(8)).unwrap();
    for expected in 1..4 {
        let exchange_ = exchange(&shared);
        assert!(is_continue(exchange_.stream.request_headers(true).await));
        assert_eq!(exchange_.slot(0), expected);
        let exchange_ = exchange(&isolated);
        assert!(is_continue(exchange_.stream.request_headers(true).await));
        assert_eq!(exchange_.slot(0), 1);
    }
}

#[tokio::test]
async fn isolated_exchanges_wait_for_an_instance() {
    let filter = load(&counts(), per_request(1)).unwrap();
    let first = exchange(&filter);
    assert!(is_continue(first.stream.request_headers(true).await));
    let error = exchange(&filter).stream.request_headers(true).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Wait);
    let third = exchange(&filter);
    let (result, ()) = tokio::join!(third.stream.request_headers(true), async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(first);
    });
    assert!(is_continue(result));
}

#[tokio::test]
async fn an_isolated_vm_and_its_root_context_end_with_the_exchange() {
    let mut guest = counts();
    let key = guest.text("done");
    guest.on(
        "proxy_on_done",
        &format!(
            "(if (i32.eq (local.get 0) (i32.const 1)) (then (drop (call $proxy_set_shared_data {key} {key} (i32.const 0)))))
             (i32.const 1)"
        ),
    );
    let filter = load(&guest, per_request(8)).unwrap();
    let data = filter.0.code.plugin.shared_data.clone();
    let one = exchange(&filter);
    assert!(is_continue(one.stream.request_headers(true).await));
    assert!(data.get(b"done").is_none());
    let cell = Arc::downgrade(&one.stream.bound.get().unwrap().cell);
    drop(one);
    assert!(data.get(b"done").is_some());
    eventually("the VM is gone", || cell.strong_count() == 0).await;
}

#[tokio::test]
async fn a_filter_that_is_unloaded_ends_its_root_contexts() {
    let mut guest = counts();
    let key = guest.text("done");
    guest.on(
        "proxy_on_done",
        &format!("(drop (call $proxy_set_shared_data {key} {key} (i32.const 0))) (i32.const 1)"),
    );
    let filter = filter(&guest);
    let data = filter.0.code.plugin.shared_data.clone();
    drop(filter);
    assert!(data.get(b"done").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_finds_the_vm_busy_gets_one_of_its_own() {
    let mut guest = counts();
    // A tick that takes its time keeps the VM busy.
    guest.on(
        "proxy_on_configure",
        "(drop (call $proxy_set_tick_period_milliseconds (i32.const 1))) (i32.const 1)",
    );
    guest.on(
        "proxy_on_tick",
        &format!(
            "{} (loop $more (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 20000000))))",
            set(5, "(i32.const 1)")
        ),
    );
    let filter = Arc::new(filter(&guest));
    let cells = Arc::new(parking_lot::Mutex::new(std::collections::HashSet::new()));
    let began = Instant::now();
    while cells.lock().len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(20), "there is no second VM");
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (filter, cells) = (filter.clone(), cells.clone());
                tokio::spawn(async move {
                    let exchange = exchange(&filter);
                    assert!(is_continue(exchange.stream.request_headers(true).await));
                    let cell = Arc::as_ptr(&exchange.stream.bound.get().unwrap().cell) as usize;
                    cells.lock().insert(cell);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    assert_eq!(cells.lock().len(), 2, "there are as many as workers");
    let _ = get(0);
}
