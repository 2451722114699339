//! Memory, tables and instances of one store.

use std::fmt;
use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::limits;
use crate::metrics::PluginMetrics;
use crate::plugin::PluginContext;

/// Part of the data of each store that runs a plugin, one for each instance: it holds the
/// instance to its plugin's limits, and counts the instance and its memory for as long as it
/// lives.
pub(crate) struct Limiter {
    metrics: Arc<PluginMetrics>,
    memory: Budget,
    table_elements: Budget,
    denied: Option<Denied>,
}

/// An amount over all memories or all tables of a store. What was granted stays counted, even if
/// the system then had no room for it: wasmtime also reports failures of growths that it never
/// asked about, and taking those back would let a plugin count down what it has.
struct Budget {
    used: usize,
    allowed: usize,
}

/// More was asked for than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    resource: &'static str,
    wanted: usize,
    allowed: usize,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, wanted, allowed } = self;
        write!(f, "it asked for {wanted} {resource}; allowed: {allowed}")
    }
}

impl Limiter {
    pub(crate) fn new(context: &PluginContext) -> Self {
        context.metrics.instance_started();
        let limits = &context.settings.limits;
        Self {
            metrics: context.metrics.clone(),
            memory: Budget::new(limits.memory),
            table_elements: Budget::new(limits.table_elements),
            denied: None,
        }
    }

    /// To be called before each call of the plugin: what was denied to an earlier one, which got
    /// over it, has nothing to do with how this one ends.
    pub(crate) fn begin_call(&mut self) {
        self.denied = None;
    }

    /// What was denied since the call began.
    pub(crate) fn denied(&self) -> Option<Denied> {
        self.denied
    }

    /// Bytes of linear memory in use.
    pub(crate) fn memory(&self) -> usize {
        self.memory.used
    }
}

impl Budget {
    fn new(allowed: usize) -> Self {
        Self { used: 0, allowed }
    }

    /// Makes one of several larger, if all together stay within what is allowed. Otherwise how
    /// much would be used.
    fn grow(&mut self, current: usize, desired: usize) -> Result<usize, usize> {
        let more = desired.saturating_sub(current);
        let wanted = self.used.saturating_add(more);
        if wanted > self.allowed {
            return Err(wanted);
        }
        self.used = wanted;
        Ok(more)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // What the memory's own type refuses is no denial by the operator's limit.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let allowed = self.memory.allowed;
        match self.memory.grow(current, desired) {
            Ok(more) => self.metrics.memory_changed(more as i64),
            Err(wanted) => {
                self.denied = Some(Denied { resource: "bytes of memory", wanted, allowed });
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let allowed = self.table_elements.allowed;
        let grown = self.table_elements.grow(current, desired);
        if let Err(wanted) = grown {
            self.denied = Some(Denied { resource: "table elements", wanted, allowed });
        }
        Ok(grown.is_ok())
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES
    }

    fn memories(&self) -> usize {
        limits::CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        limits::CORE_INSTANCES * limits::TABLES as usize
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.metrics.memory_changed(-(self.memory.used as i64));
        self.metrics.instance_ended();
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::{Instance, Module, Store};

    use super::*;
    use crate::config::{PluginLimits, PluginSettings};
    use crate::plugin::PluginContext;

    const PAGE: usize = 65_536;

    fn store(context: &PluginContext) -> Store<Limiter> {
        let mut store = Store::new(&context.engine, Limiter::new(context));
        store.limiter(|limiter| limiter);
        store.set_epoch_deadline(1_000);
        store
    }

    fn context(memory: usize) -> Arc<PluginContext> {
        let limits = PluginLimits { memory, ..PluginLimits::default() };
        PluginContext::for_test("limited", PluginSettings { limits, ..PluginSettings::default() })
    }

    #[test]
    fn memory_is_limited_over_all_memories_of_a_store() {
        let context = context(4 * PAGE);
        let mut store = store(&context);
        let wat = r#"(module
            (memory $a 1) (memory $b 1)
            (func (export "grow") (param i32 i32) (result i32)
              (if (result i32) (local.get 0)
                (then (memory.grow $b (local.get 1)))
                (else (memory.grow $a (local.get 1))))))"#;
        let module = Module::new(&context.engine, wat::parse_str(wat).unwrap()).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let grow = instance.get_typed_func::<(i32, i32), i32>(&mut store, "grow").unwrap();
        let mut grow = |memory, pages| grow.call(&mut store, (memory, pages)).unwrap();

        assert_eq!(grow(0, 1), 1);
        assert_eq!(grow(1, 2), -1);
        // Growths that a 32-bit memory can't do at all must not give anything back.
        assert_eq!(grow(0, 65_535), -1);
        assert_eq!(grow(1, 1), 1);
        assert_eq!(grow(1, 1), -1);
        assert_eq!(context.metrics.memory(), 4 * PAGE as i64);
        assert_eq!(store.data().memory(), 4 * PAGE);
    }

    #[test]
    fn what_the_module_itself_rules_out_is_no_denial() {
        let context = context(1 << 20);
        let mut store = store(&context);
        let wat = r#"(module (memory 1 2)
            (func (export "grow") (result i32) (memory.grow (i32.const 5))))"#;
        let module = Module::new(&context.engine, wat::parse_str(wat).unwrap()).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let grow = instance.get_typed_func::<(), i32>(&mut store, "grow").unwrap();
        assert_eq!(grow.call(&mut store, ()).unwrap(), -1);
        assert_eq!(store.data().denied(), None);
        assert_eq!(store.data().memory(), PAGE);
    }

    #[test]
    fn instances_and_their_memory_are_counted_while_they_live() {
        let context = context(1 << 20);
        let module =
            Module::new(&context.engine, wat::parse_str("(module (memory 3))").unwrap()).unwrap();
        let mut stores: Vec<_> = (0..2).map(|_| store(&context)).collect();
        for store in &mut stores {
            Instance::new(store, &module, &[]).unwrap();
        }
        let counted = || (context.metrics.instances(), context.metrics.memory());
        assert_eq!(counted(), (2, 6 * PAGE as i64));
        // On another thread than the one that made it.
        let one = stores.pop();
        std::thread::spawn(move || drop(one)).join().unwrap();
        assert_eq!(counted(), (1, 3 * PAGE as i64));
        drop(stores);
        assert_eq!(counted(), (0, 0));
    }
}
