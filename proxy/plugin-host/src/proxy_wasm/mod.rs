//! The proxy-wasm ABI 0.2.0, 0.2.1 and 0.2.100: filters written for Envoy and its kin.
//!
//! A [`Filter`] has VMs ([`vm`]), each an instance of the module with what the host keeps for it
//! ([`state`]), behind a lock ([`cell`]). Exchanges are stream contexts in a VM ([`stream`]), many
//! at a time; [`slots`] says in which. Host calls ([`link`] lists them, [`hostcalls`] are they)
//! act on the state; what they begin goes on when the callback has returned.
//!
//! ```text
//!  Filter ─ slots ─▶ VmCell ─ lock ─▶ Vm ─ callbacks ─▶ module
//!    └ stream(Http) ──▲ ▲ ▲            └ State ◀─ host calls ┘
//!             ticks ────┘ └──── answers of calls, queues
//! ```

mod abi;
mod calls;
mod cell;
mod guest;
mod hostcalls;
mod link;
mod log;
pub(crate) mod maps;
mod properties;
mod queues;
mod slots;
mod state;
mod stream;
mod vm;
mod wasi;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::Module;

use self::cell::VmCell;
use self::slots::Slots;
use self::vm::Code;
use crate::config::Isolation;
use crate::inspect::Abi;
use crate::plugin::PluginContext;
use crate::{Http, PluginError};

pub(crate) use self::stream::Stream;

/// A filter's code with its VMs.
pub(crate) struct Filter(Arc<Shared>);

/// What the streams of a filter share.
struct Shared {
    code: Arc<Code>,
    instances: Instances,
}

enum Instances {
    Shared(Arc<Slots>),
    /// One for each exchange, of which there are so many at a time.
    PerRequest(Arc<Semaphore>),
}

impl Filter {
    /// Links the module, starts a first VM and configures it; `false` from `proxy_on_vm_start`
    /// or `proxy_on_configure` is an error.
    pub(crate) fn new(
        context: Arc<PluginContext>,
        module: &Module,
        abi: Abi,
    ) -> Result<Self, PluginError> {
        let (isolation, count) = (context.settings.isolation, context.settings.limits.instances);
        let workers = context.workers;
        let code = Arc::new(Code::new(context, module, abi)?);
        let instances = match isolation {
            Isolation::Shared => Instances::Shared(Slots::new(code.clone(), count.min(workers))?),
            Isolation::PerRequest => {
                VmCell::start_for_one(&code, None)?;
                Instances::PerRequest(Arc::new(Semaphore::new(count.clamp(1, 1 << 16))))
            }
        };
        Ok(Self(Arc::new(Shared { code, instances })))
    }

    pub(crate) fn abi(&self) -> Abi {
        self.0.code.abi
    }

    pub(crate) fn stream(&self, http: Arc<Http>) -> Stream {
        Stream::new(self.0.clone(), http)
    }
}
