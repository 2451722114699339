//! What the host keeps for one VM: the data of its store.

use std::mem;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use wasmtime::{Memory, TypedFunc};

use super::abi::Direction;
use super::calls::{Calls, Received};
use super::cell::VmCell;
use super::log::Lines;
use super::queues::Listener;
use super::wasi;
use crate::clock::{CallClock, Timed};
use crate::limiter::Limiter;
use crate::plugin::PluginContext;
use crate::{ErrorKind, Headers, Http, HttpState, PluginError, Reply, Verdict, limits};

/// A context's id in its VM. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContextId(pub(super) u32);

/// The plugin's own context, with configuration, ticks, queues and calls outside of exchanges.
pub(super) const ROOT: ContextId = ContextId(1);

pub(super) struct State {
    pub(super) plugin: Arc<PluginContext>,
    pub(super) limiter: Limiter,
    pub(super) clock: CallClock,
    pub(super) cell: Weak<VmCell>,
    /// None before the module's start section has run.
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,
    pub(super) streams: Streams,
    /// Whose headers, bodies and calls host calls mean.
    pub(super) effective: ContextId,
    /// What a host call gives the module.
    pub(super) out: Vec<u8>,
    pub(super) calls: Calls,
    /// What the running callback of a call can read.
    pub(super) received: Received,
    pub(super) lines: Lines,
    pub(super) output: wasi::Output,
    pub(super) later: Later,
    pub(super) root_end: End,
    /// Made when it registers its first queue.
    pub(super) queue_listener: Option<Listener>,
}

/// What a callback asked for that is done when it has returned.
#[derive(Default)]
pub(super) struct Later {
    /// A new period of ticks; zero for none.
    pub(super) tick: Option<Duration>,
    /// Contexts that `proxy_done` was called for.
    pub(super) done: Vec<ContextId>,
    pub(super) wakers: Vec<Waker>,
}

impl Timed for State {
    fn clock(&mut self) -> &mut CallClock {
        &mut self.clock
    }
}

impl State {
    pub(super) fn new(plugin: Arc<PluginContext>, cell: Weak<VmCell>) -> Self {
        Self {
            limiter: Limiter::new(&plugin),
            clock: CallClock::start(Instant::now(), limits::START_CPU_TIME),
            cell,
            memory: None,
            allocate: None,
            streams: Streams::default(),
            effective: ROOT,
            out: Vec::new(),
            calls: Calls::default(),
            received: Received::Nothing,
            lines: Lines::default(),
            output: wasi::Output::default(),
            later: Later::default(),
            root_end: End::Open,
            queue_listener: None,
            plugin,
        }
    }

    /// The exchange that host calls mean; none for the root context.
    pub(super) fn stream(&mut self) -> Option<&mut StreamContext> {
        self.streams.get(self.effective)
    }

    /// How far the end of the effective context has come.
    pub(super) fn end(&mut self) -> Option<&mut End> {
        match self.effective {
            ROOT => Some(&mut self.root_end),
            id => self.streams.get(id).map(|stream| &mut stream.end),
        }
    }

    pub(super) fn header_count(&mut self, id: ContextId, direction: Direction) -> u32 {
        self.count(id, |http| match direction {
            Direction::Request => &http.request_headers,
            Direction::Response => &http.response_headers,
        })
    }

    pub(super) fn trailer_count(&mut self, id: ContextId, direction: Direction) -> u32 {
        self.count(id, |http| match direction {
            Direction::Request => &http.request_trailers,
            Direction::Response => &http.response_trailers,
        })
    }

    fn count(&mut self, id: ContextId, list: impl FnOnce(&HttpState) -> &Headers) -> u32 {
        self.streams.get(id).map_or(0, |stream| list(&stream.http.state.lock()).len() as u32)
    }

    /// The body is dropped as it comes, so that its length is not the one announced.
    pub(super) fn cut(&mut self, id: ContextId, direction: Direction) {
        let Some(stream) = self.streams.get(id) else { return };
        stream.side(direction).is_cut = true;
        let mut http = stream.http.state.lock();
        match direction {
            Direction::Request => http.request_headers.remove(b"content-length"),
            Direction::Response => http.response_headers.remove(b"content-length"),
        };
    }

    /// Adds a piece to the body in the filter's hands, and gives that one's size.
    pub(super) fn hold(&mut self, id: ContextId, direction: Direction, piece: &mut Vec<u8>) -> u32 {
        let Some(stream) = self.streams.get(id) else { return 0 };
        let body = &mut stream.side(direction).body;
        if body.is_empty() {
            mem::swap(body, piece);
        } else {
            body.extend_from_slice(piece);
        }
        piece.clear();
        body.len().try_into().unwrap_or(u32::MAX)
    }

    pub(super) fn drop_body(&mut self, id: ContextId, direction: Direction) {
        if let Some(stream) = self.streams.get(id) {
            stream.side(direction).body.clear();
        }
    }

    /// Forgets a stream context, with the calls that it has under way.
    pub(super) fn close(&mut self, id: ContextId) {
        if self.streams.close(id).is_some_and(|stream| stream.calls > 0) {
            self.calls.give_up_those_of(id);
        }
    }
}

/// How far the end of a context has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// `proxy_on_done` said that there is more to do; `proxy_done` will be called.
    Pending,
    /// Logged and deleted next.
    Done,
}

/// A filter's part in one exchange.
pub(super) struct StreamContext {
    pub(super) http: Arc<Http>,
    pub(super) request: Side,
    pub(super) response: Side,
    pub(super) asked: Option<Asked>,
    /// A reply was given: another one has no effect.
    pub(super) replied: bool,
    /// Calls under way.
    pub(super) calls: usize,
    pub(super) end: End,
    /// Bytes written to header lists, which keep those that were replaced.
    pub(super) written: usize,
}

/// What a filter asked for instead of going on.
pub(super) enum Asked {
    Reply(Box<Reply>),
    Reset,
    /// It asked for something impossible: the exchange fails.
    Failure(String),
}

/// The request's or the response's way through the filter.
#[derive(Default)]
pub(super) struct Side {
    /// The callback that runs, or ran last: what a paused side waits in.
    pub(super) phase: Phase,
    pub(super) flow: Flow,
    /// What comes of the body is dropped (0.2.100).
    pub(super) is_cut: bool,
    /// Bytes that the filter can read and change, not yet gone on.
    pub(super) body: Vec<u8>,
    /// Bytes that a resume let go and that nobody has fetched.
    pub(super) released: Vec<u8>,
    /// Of the task that waits for a paused side.
    pub(super) waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Before,
    Headers,
    Body,
    Trailers,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flow {
    #[default]
    Open,
    /// A callback runs.
    Running,
    /// A callback runs and has asked for its side to go on.
    Resumed,
    Paused,
}

impl StreamContext {
    fn new(http: Arc<Http>) -> Self {
        Self {
            http,
            request: Side::default(),
            response: Side::default(),
            asked: None,
            replied: false,
            calls: 0,
            end: End::Open,
            written: 0,
        }
    }

    pub(super) fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// Asks for something; the first one counts, but that a failure comes before all.
    pub(super) fn ask(&mut self, asked: Asked, wakers: &mut Vec<Waker>) {
        let is_failure = matches!(asked, Asked::Failure(_));
        if self.asked.is_none() || is_failure {
            self.asked = Some(asked);
        }
        self.wake_all(wakers);
    }

    pub(super) fn wake_all(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.request.waker.take());
        wakers.extend(self.response.waker.take());
    }

    /// Takes what was asked for, as the error or verdict it means.
    pub(super) fn take_asked(&mut self, plugin: &str) -> Option<Result<Verdict, PluginError>> {
        Some(match self.asked.take()? {
            Asked::Reply(reply) => {
                self.replied = true;
                Ok(Verdict::Reply(reply))
            }
            Asked::Reset => Ok(Verdict::Reset),
            Asked::Failure(message) => Err(PluginError::new(plugin, ErrorKind::Output, message)),
        })
    }
}

impl Side {
    /// `proxy_continue_stream`.
    pub(super) fn resume(&mut self, wakers: &mut Vec<Waker>) {
        match self.flow {
            Flow::Open | Flow::Resumed => {}
            Flow::Running => self.flow = Flow::Resumed,
            Flow::Paused => {
                self.flow = Flow::Open;
                self.release();
                wakers.extend(self.waker.take());
            }
        }
    }

    /// Lets the body that was held go.
    pub(super) fn release(&mut self) {
        if self.released.is_empty() {
            mem::swap(&mut self.released, &mut self.body);
        } else {
            self.released.append(&mut self.body);
        }
    }
}

/// Exchanges that one VM may have at the same time.
const STREAMS: usize = 1 << 16;

/// The stream contexts of a VM. An id is `generation << 16 | slot`, so that a slot's next context
/// has another id, and none is that of the root context.
#[derive(Default)]
pub(super) struct Streams {
    slots: Vec<Slot>,
    free: Vec<u16>,
}

struct Slot {
    generation: u16,
    stream: Option<StreamContext>,
}

impl Streams {
    /// None: there are too many.
    pub(super) fn open(&mut self, http: Arc<Http>) -> Option<ContextId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < STREAMS => {
                self.slots.push(Slot { generation: 0, stream: None });
                (self.slots.len() - 1) as u16
            }
            None => return None,
        };
        let slot = &mut self.slots[usize::from(index)];
        // Never 0, nor over what is positive in languages without unsigned numbers.
        slot.generation = slot.generation % (u16::MAX >> 1) + 1;
        slot.stream = Some(StreamContext::new(http));
        Some(ContextId(u32::from(slot.generation) << 16 | u32::from(index)))
    }

    fn slot(&mut self, id: ContextId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut((id.0 & 0xffff) as usize)?;
        (u32::from(slot.generation) == id.0 >> 16).then_some(slot)
    }

    pub(super) fn get(&mut self, id: ContextId) -> Option<&mut StreamContext> {
        self.slot(id)?.stream.as_mut()
    }

    pub(super) fn close(&mut self, id: ContextId) -> Option<StreamContext> {
        let stream = self.slot(id)?.stream.take()?;
        self.free.push((id.0 & 0xffff) as u16);
        Some(stream)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut StreamContext> {
        self.slots.iter_mut().filter_map(|slot| slot.stream.as_mut())
    }
}
