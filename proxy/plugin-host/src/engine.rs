//! wasmtime engines and the clock that stops calls which run too long.
//!
//! An engine fixes how much stack a call may use, so there is one for each distinct
//! [`crate::config::PluginLimits::stack`], made when a plugin first needs it and shared by all
//! hosts of the process: what engines mostly take is address space, of which a process has one.
//! One thread moves on the epochs of all engines that plugins use: slowly while calls are as short
//! as most, faster while one of them is long. It rests while nothing runs, and ends when there are
//! no engines.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
    WasmBacktraceDetails,
};

use crate::limits;

/// How often calls under way are looked at. Each look wakes a thread, in the middle of whatever
/// requests there are.
const PATROL: Duration = Duration::from_millis(6);
/// How often a call is looked at that [`watch`] was called for: the grain of CPU time limits.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(1);
/// Epochs stand still when nothing has begun to run for this long.
const REST_AFTER: Duration = Duration::from_millis(500);
/// A call that is watched says so at least this often.
pub(crate) const MOST_TICKS_UNSEEN: u64 = 8;
/// Ticks for which a call is watched that says so once.
const TICKS_WATCHED: u64 = 2 * MOST_TICKS_UNSEEN;

/// The epoch ticks after which a watched call that may go on for `cpu_time` is stopped.
pub(crate) fn deadline_ticks(cpu_time: Duration) -> u64 {
    let ticks = cpu_time.as_nanos().div_ceil(EPOCH_TICK.as_nanos());
    // One more: the current tick has begun already.
    u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
}

/// An engine whose epoch moves on for as long as this lives. Whoever runs code holds one, as a
/// plugin's context does.
pub(crate) struct TickedEngine {
    engine: Engine,
    stack: usize,
    /// Counts instructions, which makes all code slower: for trying plugins.
    measures_fuel: bool,
}

impl TickedEngine {
    /// To be called before a call, or an instance's start: the store's clock is looked at when the
    /// epoch next moves on.
    pub(crate) fn begin<T>(&self, store: &mut Store<T>) {
        keep_ticking();
        store.set_epoch_deadline(1);
        // Code that is measured needs fuel to run at all.
        if self.measures_fuel {
            // It only fails for engines without fuel.
            let _ = store.set_fuel(u64::MAX);
        }
    }

    /// The fuel used since [`Self::begin`]; 0 where it is not measured.
    pub(crate) fn used_fuel<T>(&self, store: &Store<T>) -> u64 {
        if self.measures_fuel { u64::MAX - store.get_fuel().unwrap_or(u64::MAX) } else { 0 }
    }
}

impl Deref for TickedEngine {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

/// The engines in use, one for each stack size and way of measuring.
static ENGINES: Mutex<Engines> = Mutex::new(Engines { in_use: Vec::new(), ticker: None });

struct Engines {
    in_use: Vec<Weak<TickedEngine>>,
    ticker: Option<Thread>,
}

/// Whether epochs have to move on, and how fast.
static TICKER: Ticker = Ticker {
    is_needed: AtomicBool::new(true),
    is_watching: AtomicBool::new(false),
    is_resting: AtomicBool::new(false),
    is_patrolling: AtomicBool::new(false),
};

struct Ticker {
    /// Something has run since the ticking thread looked last.
    is_needed: AtomicBool,
    /// A call has gone on for long, and asks for the fine pace.
    is_watching: AtomicBool,
    /// What the ticking thread does.
    is_resting: AtomicBool,
    is_patrolling: AtomicBool,
}

impl Ticker {
    /// Either this sees that the thread rests, or the thread sees that it is needed: both write
    /// before they read.
    #[cold]
    fn need(&self) {
        self.is_needed.store(true, Ordering::SeqCst);
        if self.is_resting.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &ENGINES.lock().ticker {
            thread.unpark();
        }
    }

    /// On the ticking thread: waits until something runs.
    fn rest(&self) {
        self.is_resting.store(true, Ordering::SeqCst);
        while !self.is_needed.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.is_resting.store(false, Ordering::SeqCst);
    }
}

/// Says that something runs.
pub(crate) fn keep_ticking() {
    if !TICKER.is_needed.load(Ordering::Relaxed) {
        TICKER.need();
    }
}

/// Says that a call has gone on for longer than most, so that epochs have to move on each
/// [`EPOCH_TICK`] from now on.
pub(crate) fn watch() {
    TICKER.is_watching.store(true, Ordering::Relaxed);
    // Should this be missed, the next look sees it.
    if TICKER.is_patrolling.swap(false, Ordering::Relaxed) {
        TICKER.wake();
    }
}

/// The engine for calls that may use `stack` bytes of stack, rounded up to
/// [`limits::STACK_STEP`].
///
/// # Errors
/// Too little address space, or no thread can be started.
pub(crate) fn for_stack(stack: usize, measures_fuel: bool) -> Result<Arc<TickedEngine>, String> {
    let stack = stack.next_multiple_of(limits::STACK_STEP);
    let mut engines = ENGINES.lock();
    let known = engines
        .in_use
        .iter()
        .filter_map(Weak::upgrade)
        .find(|it| it.stack == stack && it.measures_fuel == measures_fuel);
    if let Some(known) = known {
        return Ok(known);
    }
    let engine = Arc::new(TickedEngine {
        engine: with_most_slots(stack, measures_fuel)?,
        stack,
        measures_fuel,
    });
    if engines.ticker.is_none() {
        let ticker = std::thread::Builder::new()
            .name("plugin-epochs".to_owned())
            .spawn(tick)
            .map_err(|error| format!("the thread that stops plugins can't start: {error}"))?;
        engines.ticker = Some(ticker.thread().clone());
    }
    engines.in_use.push(Arc::downgrade(&engine));
    Ok(engine)
}

/// The ticking thread: until no engine is in use.
fn tick() {
    let (mut watched, mut idle) = (0, Duration::ZERO);
    loop {
        watched = match TICKER.is_watching.swap(false, Ordering::Relaxed) {
            true => TICKS_WATCHED,
            false => watched - watched.min(1),
        };
        let pace = if watched > 0 { EPOCH_TICK } else { PATROL };
        idle = match TICKER.is_needed.swap(false, Ordering::Relaxed) {
            true => Duration::ZERO,
            false => idle + pace,
        };
        if idle > REST_AFTER {
            TICKER.rest();
        }
        let begun = Instant::now();
        TICKER.is_patrolling.store(pace == PATROL, Ordering::Relaxed);
        std::thread::park_timeout(pace);
        // A tick too early stops nothing, as clocks are looked at then; one too late would. What
        // this thread missed while it got no CPU is made up for.
        let due = match watched {
            0 => 1,
            _ => (begun.elapsed().as_nanos() / EPOCH_TICK.as_nanos())
                .clamp(1, MOST_TICKS_UNSEEN.into()),
        };
        // Taken out of the lock: the last handle of an engine may be dropped here.
        let mut in_use = Vec::new();
        {
            let mut engines = ENGINES.lock();
            engines.in_use.retain(|engine| {
                in_use.extend(engine.upgrade());
                engine.strong_count() > 0
            });
            if in_use.is_empty() {
                engines.ticker = None;
                return;
            }
        }
        for engine in in_use {
            for _ in 0..due {
                engine.increment_epoch();
            }
        }
    }
}

/// Slots for linear memories of one engine. Each reserves 4 GiB of addresses, so that no access
/// needs a check of its bounds: 8 TiB of the 128 TiB that a process has on x86-64, room for 32
/// plugins at their default of 64 instances all at once and for several engines. Only pages that
/// were written take memory.
const MEMORIES: u32 = 2048;
/// Where less address space is to be had (39 bits on some ARM boards, `ulimit -v`), fewer do.
const FEWEST_MEMORIES: u32 = 16;

fn with_most_slots(stack: usize, measures_fuel: bool) -> Result<Engine, String> {
    let mut memories = MEMORIES;
    loop {
        let mut configuration = configuration(stack, memories);
        configuration.consume_fuel(measures_fuel);
        match Engine::new(&configuration) {
            Ok(engine) => return Ok(engine),
            Err(error) if memories == FEWEST_MEMORIES => {
                return Err(format!("there is no room for plugins' memories: {error:#}"));
            }
            Err(_) => memories = (memories / 4).max(FEWEST_MEMORIES),
        }
    }
}

/// Address space reserved for one linear memory: all that 32-bit addresses reach.
const MEMORY_RESERVATION: u64 = 1 << 32;
/// Behind each memory, for the constant offsets of accesses: those below it need no check either.
const MEMORY_GUARD: u64 = 32 << 20;
/// What host functions called from a fiber may use of its stack, besides the plugin's own part:
/// a TLS handshake in a debug build is the deepest.
const HOST_STACK: usize = 1 << 20;
/// Frames of a backtrace; what is further out is left out.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(64).unwrap();

fn configuration(stack: usize, memories: u32) -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .parallel_compilation(true)
        .epoch_interruption(true)
        .max_wasm_stack(stack)
        .async_stack_size(stack + HOST_STACK)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_guard_size(MEMORY_GUARD)
        .memory_init_cow(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        // Only for native debuggers; registering it makes loading slower.
        .native_unwind_info(false)
        // Their accesses would need checks of bounds.
        .wasm_memory64(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(memories)));
    config
}

/// Sizes that follow from [`MEMORIES`]: a component made by `wit-component` is about four core
/// instances with two tables and one memory; a proxy-wasm module is one of each.
fn pool(memories: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(memories)
        .total_tables(memories.saturating_mul(3))
        .total_core_instances(memories.saturating_mul(8))
        .total_component_instances(memories)
        // Only calls that wait for a fetch have a stack of their own. Each is two mappings, of
        // which Linux allows a process 65,530.
        .total_stacks(memories.min(1024))
        .max_memory_size(MEMORY_RESERVATION as usize)
        .table_elements(limits::TABLE_ELEMENTS_MAXIMUM)
        .max_memories_per_module(limits::MEMORIES)
        .max_tables_per_module(limits::TABLES)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(16 << 20)
        // A fresh instance is mostly the cost of giving pages back and faulting them in again.
        // Finding the few that were written (Linux 6.7 and later) and copying the original over
        // them is cheaper.
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(64);
    pool
}

/// Bytes of a memory that stay with its slot when its instance has ended.
const KEEP_RESIDENT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store, Trap};

    use super::*;
    use crate::clock::{CallClock, Timed, stop_when_used_up};

    #[test]
    fn plugins_with_the_same_stack_share_an_engine() {
        let one = for_stack(limits::STACK, false).unwrap();
        assert!(Arc::ptr_eq(&one, &for_stack(limits::STACK - 1, false).unwrap()));
        assert!(!Arc::ptr_eq(&one, &for_stack(limits::STACK + 1, false).unwrap()));
    }

    struct Guest(CallClock);

    impl Timed for Guest {
        fn clock(&mut self) -> &mut CallClock {
            &mut self.0
        }
    }

    fn store(engine: &TickedEngine, cpu_time: Duration) -> Store<Guest> {
        let clock = CallClock::start(Instant::now(), cpu_time);
        let mut store = Store::new(engine, Guest(clock));
        stop_when_used_up(&mut store);
        engine.begin(&mut store);
        store
    }

    #[test]
    fn a_busy_loop_is_stopped_when_its_time_is_over() {
        let engine = for_stack(limits::STACK, false).unwrap();
        let wat = "(module (func (export \"run\") (loop br 0)))";
        let module = Module::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        for cpu_time in [Duration::from_millis(1), Duration::from_millis(50)] {
            // The time runs from here on, so also while the instance is made.
            let begin = Instant::now();
            let mut store = store(&engine, cpu_time);
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
            let error = run.call(&mut store, ()).unwrap_err();
            let took = begin.elapsed();
            assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
            assert!(took >= cpu_time, "stopped after {took:?}");
            assert!(took < cpu_time + Duration::from_secs(5), "stopped after {took:?}");
        }
    }

    #[test]
    fn epochs_rest_while_nothing_runs_and_go_on_when_something_does() {
        let engine = for_stack(limits::STACK, false).unwrap();
        let wat = "(module (func (export \"run\") (loop br 0)))";
        let module = Module::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        // Other tests have something run, so it may take some trying.
        let begin = Instant::now();
        while !TICKER.is_resting.load(Ordering::SeqCst) {
            assert!(begin.elapsed() < Duration::from_secs(60), "something always runs");
            std::thread::sleep(EPOCH_TICK);
        }
        let mut store = store(&engine, Duration::from_millis(2));
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        let error = run.call(&mut store, ()).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
    }

    #[test]
    fn a_limit_is_rounded_up_to_ticks_and_never_short() {
        let ticks = |microseconds| deadline_ticks(Duration::from_micros(microseconds));
        assert_eq!([ticks(1), ticks(1_000), ticks(1_001)], [2, 2, 3]);
        assert_eq!(deadline_ticks(Duration::MAX), u64::MAX);
    }

    #[test]
    fn there_is_an_engine_even_with_few_slots() {
        Engine::new(&configuration(limits::STACK_MAXIMUM, FEWEST_MEMORIES)).unwrap();
    }
}
