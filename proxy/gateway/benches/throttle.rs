//! What a request pays for API key, usage plan, quota, stage and account together.
//!
//! ```text
//! cargo bench -p tollgate-gateway --bench throttle
//! ```

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use tollgate_gateway::usage::Throttle;
use tollgate_gateway::usage::benching::Fixture;

/// The binary's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const KEYS: usize = 100_000;

fn throttle(criterion: &mut Criterion) {
    let endless = Throttle::new(10_000_000.0, u32::MAX).expect("in the range");
    let mut group = criterion.benchmark_group("throttle");
    for (keys, of_method, name) in [
        (1, false, "admitted, 1 key"),
        (KEYS, false, "admitted, 100,000 keys at random"),
        (KEYS, true, "admitted, 100,000 keys at random, with the method's own throttle"),
    ] {
        let fixture = Fixture::new();
        let admission = fixture.admission(keys, endless, of_method);
        // In the order in which they come: a request's own bytes are in the cache.
        let values: Vec<[u8; 40]> = shuffled(keys)
            .into_iter()
            .map(|number| Fixture::value(number).as_bytes().try_into().expect("40 digits"))
            .collect();
        let (mut next, now) = (0, Instant::now());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let value = &values[next];
                next = if next + 1 == keys { 0 } else { next + 1 };
                assert!(admission.admit(black_box(value), now));
            });
        });
        let reading = Instant::now();
        fixture.flush();
        println!("the ledger's thread: {:?} for all keys", reading.elapsed());
    }
    let nothing = Throttle::new(0.0, 1).expect("in the range");
    let fixture = Fixture::new();
    let admission = fixture.admission(KEYS, nothing, false);
    let (value, now) = (Fixture::value(7), Instant::now());
    group.bench_function("refused by the plan's throttle", |bencher| {
        bencher.iter(|| assert!(!admission.admit(black_box(value.as_bytes()), now)));
    });
    group.bench_function("an unknown key", |bencher| {
        let value = Fixture::value(KEYS + 7);
        bencher.iter(|| assert!(!admission.admit(black_box(value.as_bytes()), now)));
    });
    group.finish();
}

/// The numbers below `count` in no order, the same each time.
fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    numbers
}

criterion_group!(benches, throttle);
criterion_main!(benches);
