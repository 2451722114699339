//! The management API's listener: its thread, its runtime, its end.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tollgate_gateway::Gateway;
use tollgate_management::Management;
use tollgate_management::http::{Authentication, Server};
use tollgate_priority::give_way;

/// Who may use the API, and how it is spoken.
pub struct Access {
    pub authentication: Authentication,
    /// None: plain HTTP.
    pub tls: Option<TlsAcceptor>,
}

/// The thread that serves the API; dropping it ends it, once the requests under way are answered.
pub struct ApiListener {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ApiListener {
    /// Serves until it is dropped, or until the gateway drains: then another process may have
    /// taken the socket over.
    pub fn start(
        gateway: &Gateway,
        management: Arc<Management>,
        listener: TcpListener,
        access: Access,
    ) -> anyhow::Result<Self> {
        let server = Server::new(management, access.authentication)
            .context("the management API's threads can't be started")?;
        let (stop, stopped) = oneshot::channel();
        let draining = gateway.draining();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        listener.set_nonblocking(true)?;
        let thread = std::thread::Builder::new().name("management-api".to_owned());
        let thread = thread.spawn(move || {
            give_way();
            runtime.block_on(async {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return tracing::error!(%error, "management API: no listener"),
                };
                let stop = async {
                    tokio::select! {
                        _ = stopped => {}
                        () = draining => {}
                    }
                };
                server.serve(listener, access.tls, stop).await;
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for ApiListener {
    fn drop(&mut self) {
        // One that has ended by itself hears nothing.
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
