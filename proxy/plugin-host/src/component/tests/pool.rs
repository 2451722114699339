//! How many instances there are, how long they are kept, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::guest::Guest;
use super::host::{ask, authorizer, context, load_authorizer, output};
use crate::component::authorizer::{Authorization, AuthorizerPlugin};
use crate::component::pool::{Lease, Pool};
use crate::config::{Isolation, PluginLimits, PluginSettings};
use crate::{AuthorizerDecision, ErrorKind};

/// Says how often its instance was called.
fn counting() -> Guest {
    Guest::running(
        "(global.set $n (i64.add (global.get $n) (i64.const 1)))
         (call $number (global.get $n))",
    )
    .with("(global $n (mut i64) (i64.const 0))")
}

fn settings(isolation: Isolation, instances: usize) -> PluginSettings {
    let limits =
        PluginLimits { instances, wait: Duration::from_millis(50), ..PluginLimits::default() };
    PluginSettings { isolation, limits, ..PluginSettings::default() }
}

fn pool(plugin: &AuthorizerPlugin) -> &Arc<Pool<Authorization>> {
    plugin.pool()
}

async fn lease(plugin: &AuthorizerPlugin) -> Lease<Authorization> {
    pool(plugin).lease().await.unwrap()
}

#[tokio::test]
async fn a_shared_instance_keeps_its_state_and_a_fresh_one_has_none() {
    let plugin = authorizer(settings(Isolation::Shared, 4), counting());
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(output(&plugin).await.unwrap());
    }
    assert_eq!(said, ["1", "2", "3"]);
    assert_eq!(pool(&plugin).idle_count(), 1);

    let plugin = authorizer(settings(Isolation::PerRequest, 4), counting());
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(output(&plugin).await.unwrap());
    }
    assert_eq!(said, ["1", "1", "1"]);
    assert_eq!(pool(&plugin).idle_count(), 0);
}

#[tokio::test]
async fn there_are_never_more_instances_than_allowed() {
    for isolation in [Isolation::Shared, Isolation::PerRequest] {
        let plugin = authorizer(settings(isolation, 2), counting());
        let first = lease(&plugin).await;
        let _second = lease(&plugin).await;
        let error = ask(&plugin).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Wait);
        assert_eq!(error.message, "none of its 2 instances was free within 50 ms");
        drop(first);
        ask(&plugin).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_waits_gets_the_instance_that_is_given_back() {
    let mut settings = settings(Isolation::Shared, 1);
    settings.limits.wait = Duration::from_secs(10);
    let plugin = Arc::new(authorizer(settings, counting()));
    let only = lease(&plugin).await;
    let waiting = tokio::spawn({
        let plugin = plugin.clone();
        async move { output(&plugin).await.unwrap() }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(only);
    assert_eq!(waiting.await.unwrap(), "1");
}

#[tokio::test]
async fn one_that_gives_up_waiting_takes_nothing() {
    let plugin = Arc::new(authorizer(settings(Isolation::Shared, 1), counting()));
    let only = lease(&plugin).await;
    let waiting = tokio::spawn({
        let plugin = plugin.clone();
        async move { ask(&plugin).await.map(drop) }
    });
    tokio::task::yield_now().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    drop(only);
    assert_eq!(output(&plugin).await.unwrap(), "1");
}

/// Some give up by themselves, some are given up by others, some get an instance just then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_gives_up_and_whenever_no_instance_is_lost_or_handed_out_twice() {
    let mut settings = settings(Isolation::Shared, 2);
    settings.limits.wait = Duration::from_millis(3);
    let plugin = Arc::new(authorizer(settings, counting()));
    let in_use = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let (plugin, in_use) = (plugin.clone(), in_use.clone());
            tokio::spawn(async move {
                for round in 0..150 {
                    let patience = Duration::from_micros((task * 631 + round * 977) % 6_000);
                    let Ok(Ok(lease)) = timeout(patience, pool(&plugin).lease()).await else {
                        continue;
                    };
                    assert!(in_use.fetch_add(1, Ordering::SeqCst) < 2);
                    tokio::time::sleep(Duration::from_micros(round * 311 % 2_000)).await;
                    in_use.fetch_sub(1, Ordering::SeqCst);
                    drop(lease);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let _both = [lease(&plugin).await, lease(&plugin).await];
}

#[tokio::test]
async fn a_trapped_instance_is_dropped_and_gives_its_place_back() {
    let guest = Guest::running("(if (call $request.is-tls) (then unreachable))");
    let plugin = authorizer(settings(Isolation::Shared, 1), guest);
    for _ in 0..3 {
        assert_eq!(ask(&plugin).await.unwrap_err().kind, ErrorKind::Trap);
        assert_eq!(pool(&plugin).idle_count(), 0);
    }
}

#[tokio::test]
async fn an_instance_whose_memory_has_grown_much_is_not_kept() {
    let growing = |pages: u32| Guest::running(&format!("(drop (memory.grow (i32.const {pages})))"));
    let small = authorizer(settings(Isolation::Shared, 4), growing(128));
    ask(&small).await.unwrap();
    assert_eq!(pool(&small).idle_count(), 1, "8 MiB");
    ask(&small).await.unwrap();
    assert_eq!(pool(&small).idle_count(), 0, "16 MiB");
}

#[tokio::test]
async fn instances_that_nobody_needs_are_dropped_but_one() {
    let plugin = authorizer(settings(Isolation::Shared, 8), counting());
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(lease(&plugin).await);
    }
    leases.clear();
    let pool = pool(&plugin);
    assert_eq!(pool.idle_count(), 5);
    // None of them rested for all of the time since there were none idle.
    pool.drop_unneeded();
    assert_eq!(pool.idle_count(), 5);
    let two = [lease(&plugin).await, lease(&plugin).await];
    drop(two);
    pool.drop_unneeded();
    assert_eq!(pool.idle_count(), 2);
    pool.drop_unneeded();
    assert_eq!(pool.idle_count(), 1);
    pool.drop_unneeded();
    assert_eq!(pool.idle_count(), 1);
}

#[tokio::test]
async fn exchanges_at_once_have_instances_of_their_own() {
    let context = context(settings(Isolation::Shared, 8));
    let plugin = Arc::new(load_authorizer(&context, counting()).unwrap());
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let plugin = plugin.clone();
            tokio::spawn(async move { ask(&plugin).await })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap().unwrap(), AuthorizerDecision::Allow { .. }));
    }
    assert!(pool(&plugin).idle_count() <= 8);
}
