//! Calls of filters to upstreams, from the host call that begins one to the callback with its
//! answer.

use std::collections::HashMap;
use std::time::Duration;

use super::abi::{MapKind, Status};
use super::cell::Task;
use super::state::{ContextId, ROOT, State};
use crate::Headers;
use crate::upstreams::grpc::{GrpcEvent, GrpcRequest, GrpcSendError, GrpcSender};
use crate::upstreams::{FetchError, UpstreamRequest, UpstreamResponse};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallId(pub(super) u32);

/// The calls of a VM that are under way.
#[derive(Default)]
pub(super) struct Calls {
    open: HashMap<CallId, Call>,
    last: u32,
    /// Those of the root context.
    of_root: usize,
}

struct Call {
    owner: ContextId,
    kind: CallKind,
    /// Gives the call up when it is dropped.
    _task: Task,
}

enum CallKind {
    Http,
    GrpcCall,
    /// The sender is gone when the filter has said its last.
    GrpcStream(Option<GrpcSender>),
}

impl Calls {
    /// A number for a call that begins.
    fn next(&mut self) -> CallId {
        loop {
            self.last = self.last.wrapping_add(1);
            let id = CallId(self.last);
            if id.0 != 0 && !self.open.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn give_up_those_of(&mut self, owner: ContextId) {
        self.open.retain(|_, call| call.owner != owner);
    }

    pub(super) fn is_open(&self, id: CallId) -> bool {
        self.open.contains_key(&id)
    }

    /// Sends a message of a gRPC stream; the last one closes this side, and may be none.
    pub(super) fn send(&mut self, id: CallId, message: &[u8], is_last: bool) -> Result<(), Status> {
        let Some(CallKind::GrpcStream(sender)) = self.open.get_mut(&id).map(|call| &mut call.kind)
        else {
            return Err(Status::NotFound);
        };
        if !(message.is_empty() && is_last) {
            let sender = sender.as_ref().ok_or(Status::BadArgument)?;
            sender.send(message).map_err(|error| match error {
                GrpcSendError::Full => Status::BadArgument,
                GrpcSendError::Closed => Status::NotFound,
            })?;
        }
        if is_last {
            *sender = None;
        }
        Ok(())
    }
}

impl State {
    /// How many calls the effective context has under way.
    fn calls_under_way(&mut self) -> Option<&mut usize> {
        match self.effective {
            ROOT => Some(&mut self.calls.of_root),
            id => self.streams.get(id).map(|stream| &mut stream.calls),
        }
    }

    /// Begins a call of the effective context. None: it has too many under way.
    fn begin_call(&mut self, kind: CallKind, task: impl FnOnce(CallId) -> Task) -> Option<CallId> {
        let maximum = self.plugin.settings.limits.calls;
        let under_way = self.calls_under_way().filter(|under_way| **under_way < maximum)?;
        *under_way += 1;
        let id = self.calls.next();
        let call = Call { owner: self.effective, kind, _task: task(id) };
        self.calls.open.insert(id, call);
        Some(id)
    }

    /// `proxy_grpc_close`: nothing more is sent. A call with one message is given up.
    pub(super) fn close_call(&mut self, id: CallId) -> Result<(), Status> {
        match self.calls.open.get_mut(&id).map(|call| &mut call.kind) {
            Some(CallKind::GrpcStream(sender)) => {
                *sender = None;
                Ok(())
            }
            Some(CallKind::GrpcCall) => self.cancel_call(id),
            Some(CallKind::Http) | None => Err(Status::NotFound),
        }
    }

    /// `proxy_grpc_cancel`: nobody wants to know any more.
    pub(super) fn cancel_call(&mut self, id: CallId) -> Result<(), Status> {
        match self.calls.open.get(&id).map(|call| &call.kind) {
            Some(CallKind::GrpcStream(_) | CallKind::GrpcCall) => {}
            Some(CallKind::Http) | None => return Err(Status::NotFound),
        }
        let effective = self.effective;
        self.end_call(id);
        self.effective = effective;
        Ok(())
    }

    /// A call has ended; whether anybody still wants to know.
    pub(super) fn end_call(&mut self, id: CallId) -> bool {
        let Some(call) = self.calls.open.remove(&id) else { return false };
        self.effective = call.owner;
        if let Some(under_way) = self.calls_under_way() {
            *under_way -= 1;
        }
        true
    }
}

/// Sends a request; its answer comes to `proxy_on_http_call_response`.
pub(super) fn begin_http(
    state: &mut State,
    upstream: String,
    request: UpstreamRequest,
    timeout: Duration,
) -> Option<CallId> {
    let (plugin, cell) = (state.plugin.clone(), state.cell.clone());
    state.begin_call(CallKind::Http, |id| {
        let task = plugin.background.clone().spawn(async move {
            let result = plugin.upstreams.send(&upstream, request, timeout).await;
            let Some(cell) = cell.upgrade() else { return };
            cell.run_apart(move |vm| vm.http_call_ended(id, Received::of(result))).await;
        });
        Task(task.abort_handle())
    })
}

/// Sends a message; its answer comes to `proxy_on_grpc_receive`, or why there is none to
/// `proxy_on_grpc_close`.
pub(super) fn begin_grpc_call(
    state: &mut State,
    upstream: String,
    request: GrpcRequest,
    message: Vec<u8>,
) -> Option<CallId> {
    let (plugin, cell) = (state.plugin.clone(), state.cell.clone());
    state.begin_call(CallKind::GrpcCall, |id| {
        let task = plugin.background.clone().spawn(async move {
            let event = match plugin.upstreams.grpc_call(&upstream, request, &message).await {
                Ok(message) => GrpcEvent::Message(message),
                Err(status) => GrpcEvent::Closed(status),
            };
            let Some(cell) = cell.upgrade() else { return };
            cell.run_apart(move |vm| vm.grpc_event(id, event, true)).await;
        });
        Task(task.abort_handle())
    })
}

/// Opens a stream of messages both ways.
pub(super) fn begin_grpc_stream(
    state: &mut State,
    upstream: &str,
    request: GrpcRequest,
) -> Result<Option<CallId>, FetchError> {
    let (plugin, cell) = (state.plugin.clone(), state.cell.clone());
    let (sender, mut events) = plugin.upstreams.grpc_stream(upstream, request)?;
    Ok(state.begin_call(CallKind::GrpcStream(Some(sender)), |id| {
        let task = plugin.background.spawn(async move {
            while let Some(event) = events.next().await {
                let is_last = matches!(event, GrpcEvent::Closed(_));
                let Some(cell) = cell.upgrade() else { return };
                cell.run_apart(move |vm| vm.grpc_event(id, event, is_last)).await;
            }
        });
        Task(task.abort_handle())
    }))
}

/// What the running callback of a call can read.
pub(super) enum Received {
    Nothing,
    Http {
        headers: Headers,
        body: Vec<u8>,
        trailers: Headers,
    },
    GrpcInitialMetadata(Headers),
    GrpcMessage(Vec<u8>),
    GrpcTrailingMetadata(Headers),
    /// The end of a gRPC call, or an HTTP call that failed: for want of others, that one has a
    /// status code of gRPC's too.
    End {
        code: u32,
        message: String,
    },
}

impl Received {
    pub(super) fn of(result: Result<UpstreamResponse, FetchError>) -> Self {
        match result {
            Ok(response) => {
                let mut headers = Headers::default();
                headers.push(b":status", response.status.to_string().as_bytes());
                for (name, value) in &response.headers {
                    headers.push(name, value);
                }
                let trailers = to_headers(&response.trailers);
                Self::Http { headers, body: response.body, trailers }
            }
            Err(error) => {
                let code = match error {
                    FetchError::TimedOut => DEADLINE_EXCEEDED,
                    _ => UNAVAILABLE,
                };
                Self::End { code, message: error.to_string() }
            }
        }
    }

    /// Headers, bytes of the body, trailers: the parameters of `proxy_on_http_call_response`.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        match self {
            Self::Http { headers, body, trailers } => {
                (headers.len() as u32, body.len() as u32, trailers.len() as u32)
            }
            _ => (0, 0, 0),
        }
    }

    pub(super) fn headers(&self, kind: MapKind) -> Option<&Headers> {
        match (self, kind) {
            (Self::Http { headers, .. }, MapKind::CallHeaders) => Some(headers),
            (Self::Http { trailers, .. }, MapKind::CallTrailers) => Some(trailers),
            (Self::GrpcInitialMetadata(metadata), MapKind::GrpcInitialMetadata)
            | (Self::GrpcTrailingMetadata(metadata), MapKind::GrpcTrailingMetadata) => {
                Some(metadata)
            }
            _ => None,
        }
    }

    pub(super) fn call_body(&self) -> Option<&[u8]> {
        match self {
            Self::Http { body, .. } => Some(body),
            _ => None,
        }
    }

    pub(super) fn message(&self) -> Option<&[u8]> {
        match self {
            Self::GrpcMessage(message) => Some(message),
            _ => None,
        }
    }

    pub(super) fn status(&self) -> (u32, &str) {
        match self {
            Self::End { code, message } => (*code, message),
            _ => (0, ""),
        }
    }
}

const DEADLINE_EXCEEDED: u32 = 4;
const UNAVAILABLE: u32 = 14;

pub(super) fn to_headers(pairs: &[(Vec<u8>, Vec<u8>)]) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in pairs {
        headers.push(name, value);
    }
    headers
}
