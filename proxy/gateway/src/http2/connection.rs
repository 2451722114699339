//! One HTTP/2 client connection.

use std::sync::Arc;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Duration;

use super::frame_budget::FrameBudget;
use super::stream;
use crate::core::Core;
use crate::deadline::Deadline;
use crate::exchange::Client;
use crate::metrics::RequestRefusal;

/// Body bytes a client may send ahead of the upstream, for a stream and for the connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Response bytes kept for one stream beyond what its window takes.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams reset by the client before they were accepted (rapid reset), and kept after we reset
/// them.
const RESET_STREAMS: usize = 20;
/// Between GOAWAY and the end, for a client that does not close.
const CLOSING: Duration = Duration::from_secs(5);

/// Serves requests until either side is done with the connection.
pub async fn serve<S>(core: Arc<Core>, client: Arc<Client>, io: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let limits = &core.limits;
    let mut deadline = Deadline::after(limits.request_head_timeout);
    let (io, budget) = FrameBudget::new(io, limits.http2_control_frame_budget);
    let handshake = builder(&core).handshake::<_, Bytes>(io);
    let Ok(Ok(connection)) = deadline.within(handshake).await else {
        return;
    };
    drive(&core, &client, connection, &mut deadline).await;
    if budget.exhausted() {
        core.metrics.request_refused(RequestRefusal::FrameBudget);
        tracing::debug!(client = %client.source_ip, "HTTP/2 frame budget used up");
    }
}

fn builder(core: &Core) -> Builder {
    let limits = &core.limits;
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.http2_concurrent_streams)
        .max_header_list_size(limits.maximum_request_headers as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(RESET_STREAMS);
    builder
}

async fn drive<S>(
    core: &Arc<Core>,
    client: &Arc<Client>,
    mut connection: Connection<S, Bytes>,
    deadline: &mut Deadline,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Each stream holds a clone, so that its count says how many are open.
    let open = Arc::new(());
    let mut drain = core.drain.clone();
    let mut closing = false;
    deadline.set_after(core.limits.request_head_timeout);
    loop {
        let accepted = async {
            tokio::select! {
                biased;
                accepted = connection.accept() => Event::Accepted(accepted),
                () = drain.started(), if !closing => Event::Drain,
            }
        };
        match deadline.within(accepted).await {
            Ok(Event::Accepted(Some(Ok((request, respond))))) => {
                deadline.set_after(core.limits.connection_idle_timeout);
                let (core, of_stream, open) = (core.clone(), client.clone(), open.clone());
                tokio::spawn(async move {
                    stream::serve(core, of_stream, request, respond).await;
                    drop(open);
                });
                if client.is_penalised() && !closing {
                    closing = true;
                    connection.graceful_shutdown();
                    deadline.set_after(CLOSING);
                }
            }
            Ok(Event::Accepted(_)) => return,
            Ok(Event::Drain) => {
                closing = true;
                connection.graceful_shutdown();
                deadline.set_after(CLOSING);
            }
            Err(_) if Arc::strong_count(&open) > 1 => {
                deadline.set_after(core.limits.connection_idle_timeout.min(CLOSING));
            }
            Err(_) if closing => return,
            Err(_) => {
                closing = true;
                connection.graceful_shutdown();
                deadline.set_after(CLOSING);
            }
        }
    }
}

enum Event<A> {
    Accepted(A),
    Drain,
}
