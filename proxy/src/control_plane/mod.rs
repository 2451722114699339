//! The control plane of this process: the store, the management API in front of it, and the
//! thread that serves what is in it.
//!
//! ```text
//!  boto3, aws-cli ──▶ Management ──▶ store ──watch──▶ Follower ──▶ Serving ──▶ Gateway
//!                                                                    ▲
//!                                       configuration, definitions ──┘
//! ```
//!
//! Management and gateway don't know each other. What a file says and what the store says are
//! served side by side.

mod serving;
mod follower;
mod stages;
mod usage;
mod domains;
mod data_plane;
mod test_authorizer;
mod server;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tollgate_management::{Context, Management, Settings};
use tollgate_store::{EmbeddedStore, Store};

pub use server::Access;
pub use serving::{FileRoutes, Serving};

use data_plane::GatewayDataPlane;
use follower::Follower;
use server::ApiListener;

/// The management API and what serves its store; both end when this is dropped.
pub struct ControlPlane {
    /// Ends first: what it answers is served until then.
    _listener: ApiListener,
    _follower: Follower,
}

impl ControlPlane {
    /// Opens the store in a directory, or in memory, serves what is in it, and serves the API on
    /// the gateway's companion sockets.
    pub fn start(
        directory: Option<&Path>,
        settings: Settings,
        serving: Arc<Serving>,
        access: Access,
    ) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = match directory {
            Some(directory) => Arc::new(EmbeddedStore::open(directory)?),
            None => Arc::new(EmbeddedStore::in_memory()?),
        };
        let data_plane =
            Arc::new(GatewayDataPlane::new(serving.clone(), store.clone(), settings.clone()));
        let context = Context::new(store, settings, data_plane);
        let management = Arc::new(Management { context });
        let gateway = serving.gateway().clone();
        let follower = Follower::start(management.clone(), serving)
            .context("what is in the store can't be served")?;
        let mut sockets = gateway.take_companions();
        let socket = sockets.pop().context("the management API has no socket")?;
        let listener = ApiListener::start(&gateway, management, socket, access)?;
        Ok(Self { _listener: listener, _follower: follower })
    }
}
