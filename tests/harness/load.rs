//! Clients that keep asking while something happens to the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::{Http1, Request, Response, eventually};

/// Keep-alive clients that repeat one request and retry nothing. They open a new connection only
/// after a response that says `Connection: close`.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts clients; `check` panics on a response that isn't right.
    pub fn start(
        address: SocketAddr,
        clients: usize,
        request: &Request,
        check: impl Fn(&Response) + Clone + Send + 'static,
    ) -> Self {
        let bytes = request.bytes();
        Self::with(clients, move || Http1::connect(address), bytes, check)
    }

    /// The same with a way of its own to connect.
    pub fn with(
        clients: usize,
        connect: impl Fn() -> Http1 + Clone + Send + 'static,
        request: Vec<u8>,
        check: impl Fn(&Response) + Clone + Send + 'static,
    ) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..clients).map(|_| {
            let (stop, answered, connect, request, check) =
                (stop.clone(), answered.clone(), connect.clone(), request.clone(), check.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut client = connect();
                    while !stop.load(Ordering::Relaxed) {
                        client.send(&request);
                        let response = client.response();
                        check(&response);
                        answered.fetch_add(1, Ordering::Relaxed);
                        if response.header("Connection") == Some("close") {
                            break;
                        }
                    }
                }
            })
        });
        let clients = clients.collect();
        let load = Self { stop, answered, clients };
        load.more();
        load
    }

    /// Waits until some more requests have been answered.
    pub fn more(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let enough = before + 10 * self.clients.len();
        eventually("the clients are answered", || {
            assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client's request failed");
            (self.answered.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    /// Ends the clients.
    ///
    /// # Panics
    ///
    /// If a single request has failed.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.clients.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        assert_eq!(failed, 0, "clients whose request failed");
    }
}
