//! Calls of authorizers.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, Instance, TypedFunc};

use super::abi::Decision;
use super::link::{World, link};
use super::pool::{Exports, Pool};
use super::state::HostState;
use super::{PluginShared, output};
use crate::plugin::{AuthorizerCall, AuthorizerDecision, PluginContext};
use crate::{ErrorKind, PluginError, trap};

/// An authorizer's code with its instances.
pub(crate) struct AuthorizerPlugin(Arc<Pool<Authorization>>);

pub(super) struct Authorization {
    authorize: TypedFunc<(), (Decision,)>,
}

impl Exports for Authorization {
    const INTERFACE: &str = "tollgate:plugin/authorization@0.1.0";
    const FUNCTIONS: &[&str] = &["authorize"];

    fn find(
        instance: &Instance,
        store: &mut Store<HostState>,
        at: &[ComponentExportIndex],
    ) -> wasmtime::Result<Self> {
        Ok(Self { authorize: instance.get_typed_func(store, at[0])? })
    }
}

impl AuthorizerPlugin {
    /// Links the component and starts a first instance, so that one that can't start is refused.
    pub(crate) fn new(
        context: Arc<PluginContext>,
        component: &Component,
    ) -> Result<Self, PluginError> {
        let (pre, calls) = link(&context, World::Authorizer, component)?;
        Ok(Self(Pool::new(PluginShared::new(context), pre, calls)?))
    }

    /// Asks for a decision. Counted, timed and, when it fails, logged. Dropped before it is
    /// ready, the instance that was asked is gone.
    pub(crate) async fn authorize(
        &self,
        call: AuthorizerCall,
    ) -> Result<AuthorizerDecision, PluginError> {
        let decision = self.ask(call).await;
        if let Err(error) = &decision {
            trap::report(&self.0.shared.context, error);
        }
        decision
    }

    async fn ask(&self, call: AuthorizerCall) -> Result<AuthorizerDecision, PluginError> {
        let mut lease = self.0.lease().await?;
        let body = call.body.map(Arc::new);
        let (decision,) = lease.call(|it| it.authorize, &call.http, body, ()).await?;
        drop(lease);
        let context = &self.0.shared.context;
        output::decision(decision, context.settings.limits.body, &context.name)
            .map_err(|problem| PluginError::new(&context.name, ErrorKind::Output, problem))
    }
}

#[cfg(test)]
impl AuthorizerPlugin {
    pub(super) fn pool(&self) -> &Arc<Pool<Authorization>> {
        &self.0
    }
}
