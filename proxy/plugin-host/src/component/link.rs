//! Which host functions a component gets.

use wasmtime::component::{Component, InstancePre, Linker};

use super::pool::Calls;
use super::state::HostState;
use super::{fetch, imports, key_value};
use crate::plugin::PluginContext;
use crate::{ErrorKind, PluginError};

/// The world that a component has to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    Authorizer,
    Transformer,
}

/// Interfaces of `tollgate:plugin` that both worlds import.
const COMMON: [&str; 9] = [
    "types",
    "request",
    "exchange",
    "configuration",
    "log",
    "clock",
    "random",
    "key-value",
    "fetch",
];
/// Only transformers import this one.
const RESPONSE: &str = "response";

impl World {
    fn name(self) -> &'static str {
        match self {
            Self::Authorizer => "authorizer",
            Self::Transformer => "transformer",
        }
    }

    fn imports(self, interface: &str) -> bool {
        COMMON.contains(&interface) || self == Self::Transformer && interface == RESPONSE
    }
}

const PACKAGE: &str = "tollgate:plugin/";
const VERSION: &str = "0.1.0";
const WASI: &str = "wasi:";

/// Links a component with what its world offers and its configuration grants.
///
/// # Errors
/// It imports something else; the message names the first such import.
pub(super) fn link(
    context: &PluginContext,
    world: World,
    component: &Component,
) -> Result<(InstancePre<HostState>, Calls), PluginError> {
    let error = |message: String| PluginError::new(&context.name, ErrorKind::Start, message);
    let engine = component.engine();
    let mut calls = Calls::Direct;
    for (name, _) in component.component_type().imports(engine) {
        check_import(name, world, context.settings.wasi).map_err(error)?;
        if name.starts_with(WASI) || interface(name) == Some("fetch") {
            calls = Calls::Waiting;
        }
    }
    let linker = linker(component, world, context.settings.wasi)
        .map_err(|problem| error(format!("can't be linked: {problem:#}")))?;
    let pre = linker
        .instantiate_pre(component)
        .map_err(|problem| error(format!("can't be linked: {problem:#}")))?;
    Ok((pre, calls))
}

/// The interface of `tollgate:plugin` that an import names, whatever its version.
fn interface(import: &str) -> Option<&str> {
    let name = import.strip_prefix(PACKAGE)?;
    Some(name.split_once('@').map_or(name, |(name, _)| name))
}

fn check_import(import: &str, world: World, wasi: bool) -> Result<(), String> {
    if import.starts_with(WASI) {
        return match wasi {
            true => Ok(()),
            false => Err(format!(
                "imports {import}, but it has no grant for WASI; \
                 `wasi: true` in its configuration gives it"
            )),
        };
    }
    let world_name = world.name();
    match interface(import) {
        Some(known) if world.imports(known) => {
            let version = import.split_once('@').map_or("", |(_, version)| version);
            match is_compatible(version) {
                true => Ok(()),
                false => Err(format!("imports {import}; here its version is {VERSION}")),
            }
        }
        _ => Err(format!(
            "imports {import}, which the world tollgate:plugin/{world_name} doesn't have"
        )),
    }
}

/// Versions 0.1.x name the same functions.
fn is_compatible(version: &str) -> bool {
    version.strip_prefix("0.1.").is_some()
}

fn linker(component: &Component, world: World, wasi: bool) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(component.engine());
    linker.instance("tollgate:plugin/types@0.1.0")?;
    imports::add_request(&mut linker)?;
    imports::add_small(&mut linker)?;
    imports::add_log(&mut linker)?;
    key_value::add(&mut linker)?;
    fetch::add(&mut linker)?;
    if world == World::Transformer {
        imports::add_response(&mut linker)?;
    }
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    Ok(linker)
}
