//! How much memory an API key takes, everything about it counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_gateway::usage::Throttle;
use tollgate_gateway::usage::benching::Fixture;

/// Counts the bytes that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are the ones that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_hundred_thousand_keys_take_two_hundred_bytes_each_at_most() {
    const KEYS: usize = 100_000;
    let fixture = Fixture::new();
    let throttle = Throttle::of_account();
    drop(fixture.admission(1, throttle, false));
    let before = IN_USE.load(Ordering::Relaxed);
    let admission = fixture.admission(KEYS, throttle, false);
    let a_key = || (IN_USE.load(Ordering::Relaxed) - before + admission.mapped()) / KEYS;
    println!("{} bytes a key", a_key());
    assert!((100..=200).contains(&a_key()), "{}", a_key());

    // In use, each has an entry in the list of those that counted.
    let now = std::time::Instant::now();
    let admitted = (0..KEYS).filter(|it| admission.admit(Fixture::value(*it).as_bytes(), now));
    // The account's burst.
    assert_eq!(admitted.count(), 5_000);
    assert!(a_key() <= 200, "{}", a_key());
}
