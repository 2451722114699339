//! A filter on one exchange: what the gateway calls, and how it waits for a paused filter.

use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::abi::{BodyAction, Direction, HeadersAction};
use super::cell::VmCell;
use super::state::{ContextId, Flow, Phase, ROOT};
use super::vm::Vm;
use super::{Instances, Shared};
use crate::trap::report;
use crate::{BodyNeed, ErrorKind, Http, PluginError, Verdict};

/// A filter on one exchange: a stream context of a VM, made when the request's headers come.
pub(crate) struct Stream {
    filter: Arc<Shared>,
    http: Arc<Http>,
    pub(super) bound: OnceLock<Bound>,
    request_need: AtomicU8,
    response_need: AtomicU8,
    /// Microseconds that the exchange has waited for the filter.
    waited: AtomicU64,
    is_finished: AtomicBool,
}

/// Where the context is.
pub(super) struct Bound {
    pub(super) cell: Arc<VmCell>,
    pub(super) id: ContextId,
}

/// What comes after a callback.
enum Step {
    Go,
    /// The filter has paused this side.
    Wait,
    /// The filter wants something else, or has failed.
    Stop(Result<Verdict, PluginError>),
}

impl Stream {
    pub(super) fn new(filter: Arc<Shared>, http: Arc<Http>) -> Self {
        Self {
            filter,
            http,
            bound: OnceLock::new(),
            request_need: AtomicU8::new(BodyNeed::None as u8),
            response_need: AtomicU8::new(BodyNeed::None as u8),
            waited: AtomicU64::new(0),
            is_finished: AtomicBool::new(false),
        }
    }

    pub(crate) async fn request_headers(
        &self,
        end_of_stream: bool,
    ) -> Result<Verdict, PluginError> {
        let cell = self.instance().await?;
        let begun = cell.run(|vm| {
            let Some(id) = vm.create(&self.http)? else { return Ok(None) };
            Ok(Some((id, headers(vm, id, Direction::Request, end_of_stream)?)))
        })?;
        let Some((id, (step, need))) = begun else {
            return Err(self.failed(ErrorKind::Memory, "has too many exchanges open"));
        };
        // The gateway calls this once.
        let _ = self.bound.set(Bound { cell, id });
        self.request_need.store(need as u8, Ordering::Relaxed);
        self.settle(Direction::Request, step, None).await
    }

    pub(crate) fn request_body_need(&self) -> BodyNeed {
        need(&self.request_need)
    }

    pub(crate) async fn request_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        self.body(Direction::Request, piece, last).await
    }

    pub(crate) async fn request_trailers(&self) -> Result<Verdict, PluginError> {
        self.trailers(Direction::Request).await
    }

    pub(crate) async fn response_headers(
        &self,
        end_of_stream: bool,
    ) -> Result<Verdict, PluginError> {
        let Some(Bound { cell, id }) = self.bound.get() else { return Ok(Verdict::Continue) };
        let (step, need) = cell.run(|vm| headers(vm, *id, Direction::Response, end_of_stream))?;
        self.response_need.store(need as u8, Ordering::Relaxed);
        self.settle(Direction::Response, step, None).await
    }

    pub(crate) fn response_body_need(&self) -> BodyNeed {
        need(&self.response_need)
    }

    pub(crate) async fn response_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        self.body(Direction::Response, piece, last).await
    }

    pub(crate) async fn response_trailers(&self) -> Result<Verdict, PluginError> {
        self.trailers(Direction::Response).await
    }

    /// Ends the context; what comes in [`Drop`] otherwise.
    pub(crate) fn finish(&self) {
        if self.is_finished.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(Bound { cell, id }) = self.bound.get() else { return };
        cell.end(*id);
        if let Instances::PerRequest(_) = self.filter.instances {
            cell.end(ROOT);
        }
    }

    async fn instance(&self) -> Result<Arc<VmCell>, PluginError> {
        let slots = match &self.filter.instances {
            Instances::Shared(slots) => return slots.pick(),
            Instances::PerRequest(slots) => slots.clone(),
        };
        let permit = Box::pin(self.within_wait("a free instance", slots.acquire_owned())).await?;
        VmCell::start_for_one(&self.filter.code, permit.ok())
    }

    async fn body(
        &self,
        direction: Direction,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        let Some(Bound { cell, id }) = self.bound.get() else { return Ok(Verdict::Continue) };
        let step = cell.run(|vm| body(vm, *id, direction, piece, last))?;
        self.settle(direction, step, Some(piece)).await
    }

    async fn trailers(&self, direction: Direction) -> Result<Verdict, PluginError> {
        let Some(Bound { cell, id }) = self.bound.get() else { return Ok(Verdict::Continue) };
        let step = cell.run(|vm| trailers(vm, *id, direction))?;
        self.settle(direction, step, None).await
    }

    /// Waits if the filter has paused; then what it wants.
    async fn settle(
        &self,
        direction: Direction,
        step: Step,
        piece: Option<&mut Vec<u8>>,
    ) -> Result<Verdict, PluginError> {
        let result = match step {
            Step::Go => return Ok(Verdict::Continue),
            Step::Stop(result) => result,
            // Apart, as few wait: the futures of all the others are smaller without its state.
            Step::Wait => Box::pin(self.wait(direction, piece)).await?,
        };
        result.inspect_err(|error| report(&self.filter.code.plugin, error))
    }

    /// Until the paused side is resumed or ended. Errors of the outer result were reported.
    async fn wait(
        &self,
        direction: Direction,
        mut piece: Option<&mut Vec<u8>>,
    ) -> Result<Result<Verdict, PluginError>, PluginError> {
        let Some(Bound { cell, id }) = self.bound.get() else { return Ok(Ok(Verdict::Continue)) };
        let resumed = poll_fn(|context| {
            let step = cell.run(|vm| {
                let step = resumed(vm, *id, direction, context.waker());
                if let (Some(Step::Go), Some(piece)) = (&step, &mut piece) {
                    take_released(vm, *id, direction, piece);
                }
                Ok(step)
            });
            match step {
                Ok(None) | Ok(Some(Step::Wait)) => Poll::Pending,
                Ok(Some(Step::Go)) => Poll::Ready(Ok(Ok(Verdict::Continue))),
                Ok(Some(Step::Stop(result))) => Poll::Ready(Ok(result)),
                Err(error) => Poll::Ready(Err(error)),
            }
        });
        self.within_wait("it to resume the exchange", resumed).await?
    }

    /// Waits for no longer than all waits of the exchange for this filter may take.
    async fn within_wait<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, PluginError> {
        let allowed = self.filter.code.plugin.settings.limits.wait;
        let waited = Duration::from_micros(self.waited.load(Ordering::Relaxed));
        let began = Instant::now();
        let result = tokio::time::timeout(allowed.saturating_sub(waited), future).await;
        let more = began.elapsed().as_micros().try_into().unwrap_or(u64::MAX);
        self.waited.fetch_add(more, Ordering::Relaxed);
        result.map_err(|_| {
            let message =
                format!("the exchange waited too long for {what}; allowed: {allowed:?} in all");
            self.failed(ErrorKind::Wait, &message)
        })
    }

    fn failed(&self, kind: ErrorKind, message: &str) -> PluginError {
        let error = PluginError::new(&self.filter.code.plugin.name, kind, message);
        report(&self.filter.code.plugin, &error);
        error
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.finish();
    }
}

fn need(need: &AtomicU8) -> BodyNeed {
    match need.load(Ordering::Relaxed) {
        need if need == BodyNeed::Whole as u8 => BodyNeed::Whole,
        need if need == BodyNeed::Streamed as u8 => BodyNeed::Streamed,
        _ => BodyNeed::None,
    }
}

/// Whether a callback is to be called now; what comes instead if not.
fn begin(vm: &mut Vm, id: ContextId, direction: Direction, phase: Phase) -> Result<(), Step> {
    let state = vm.state();
    let stream = state.streams.get(id).ok_or(Step::Go)?;
    if let Some(asked) = stream.take_asked(&state.plugin.name) {
        return Err(Step::Stop(asked));
    }
    if stream.replied && direction == Direction::Request {
        return Err(Step::Go);
    }
    let side = stream.side(direction);
    side.phase = phase;
    side.flow = Flow::Running;
    Ok(())
}

/// After a callback: whether it asked for something, and otherwise whether it asked for its own
/// side to go on.
fn end(vm: &mut Vm, id: ContextId, direction: Direction) -> Result<bool, Step> {
    let state = vm.state();
    let stream = state.streams.get(id).ok_or(Step::Go)?;
    let flow = mem::take(&mut stream.side(direction).flow);
    match stream.take_asked(&state.plugin.name) {
        Some(asked) => Err(Step::Stop(asked)),
        None => Ok(flow == Flow::Resumed),
    }
}

fn pause(vm: &mut Vm, id: ContextId, direction: Direction) -> Step {
    match vm.state().streams.get(id) {
        Some(stream) => {
            stream.side(direction).flow = Flow::Paused;
            Step::Wait
        }
        None => Step::Go,
    }
}

fn headers(
    vm: &mut Vm,
    id: ContextId,
    direction: Direction,
    end_of_stream: bool,
) -> Result<(Step, BodyNeed), PluginError> {
    let need = match vm.has_body_callback(direction) && !end_of_stream {
        true => BodyNeed::Streamed,
        false => BodyNeed::None,
    };
    if let Err(step) = begin(vm, id, direction, Phase::Headers) {
        return Ok((step, BodyNeed::None));
    }
    let count = vm.state().header_count(id, direction);
    let action = vm.headers(id, direction, count, end_of_stream)?;
    let is_resumed = match end(vm, id, direction) {
        Ok(is_resumed) => is_resumed,
        Err(step) => return Ok((step, BodyNeed::None)),
    };
    Ok(match action {
        HeadersAction::Continue => (Step::Go, need),
        HeadersAction::HoldHeaders if need == BodyNeed::Streamed => (Step::Go, BodyNeed::Whole),
        HeadersAction::EndStream if !end_of_stream => {
            vm.state().cut(id, direction);
            (Step::Go, BodyNeed::Streamed)
        }
        HeadersAction::EndStream => (Step::Go, need),
        HeadersAction::Pause | HeadersAction::HoldHeaders if is_resumed => (Step::Go, need),
        HeadersAction::Pause | HeadersAction::HoldHeaders => (pause(vm, id, direction), need),
    })
}

fn body(
    vm: &mut Vm,
    id: ContextId,
    direction: Direction,
    piece: &mut Vec<u8>,
    last: bool,
) -> Result<Step, PluginError> {
    let has_callback = vm.has_body_callback(direction);
    let state = vm.state();
    let maximum = state.plugin.settings.limits.body;
    let Some(stream) = state.streams.get(id) else { return Ok(Step::Go) };
    let side = stream.side(direction);
    if side.is_cut {
        piece.clear();
        return Ok(Step::Go);
    }
    if !has_callback || (piece.is_empty() && !last) {
        return Ok(Step::Go);
    }
    if side.body.len() + piece.len() > maximum {
        return Ok(Step::Stop(Ok(Verdict::BodyTooLarge)));
    }
    if let Err(step) = begin(vm, id, direction, Phase::Body) {
        return Ok(step);
    }
    let size = vm.state().hold(id, direction, piece);
    let action = vm.body(id, direction, size, last)?;
    let is_resumed = match end(vm, id, direction) {
        Ok(is_resumed) => is_resumed,
        Err(step) => return Ok(step),
    };
    match action {
        BodyAction::Pause if !is_resumed => {
            let step = pause(vm, id, direction);
            return Ok(if last { step } else { Step::Go });
        }
        BodyAction::Drop => {
            vm.state().drop_body(id, direction);
            if last && !is_resumed {
                return Ok(pause(vm, id, direction));
            }
        }
        BodyAction::Continue | BodyAction::Pause => {}
    }
    take_released(vm, id, direction, piece);
    Ok(Step::Go)
}

fn trailers(vm: &mut Vm, id: ContextId, direction: Direction) -> Result<Step, PluginError> {
    if let Err(step) = begin(vm, id, direction, Phase::Trailers) {
        return Ok(step);
    }
    let count = vm.state().trailer_count(id, direction);
    let action = vm.trailers(id, direction, count)?;
    Ok(match end(vm, id, direction) {
        Err(step) => step,
        Ok(is_resumed) if is_resumed || action == BodyAction::Continue => Step::Go,
        Ok(_) => pause(vm, id, direction),
    })
}

/// What comes after a wait; none while it goes on.
fn resumed(vm: &mut Vm, id: ContextId, direction: Direction, waker: &Waker) -> Option<Step> {
    let state = vm.state();
    let Some(stream) = state.streams.get(id) else { return Some(Step::Go) };
    if let Some(asked) = stream.take_asked(&state.plugin.name) {
        return Some(Step::Stop(asked));
    }
    let side = stream.side(direction);
    if side.flow != Flow::Paused {
        return Some(Step::Go);
    }
    side.waker = Some(waker.clone());
    None
}

/// Lets what is held go on, in `piece`.
fn take_released(vm: &mut Vm, id: ContextId, direction: Direction, piece: &mut Vec<u8>) {
    if let Some(stream) = vm.state().streams.get(id) {
        let side = stream.side(direction);
        side.release();
        piece.clear();
        mem::swap(piece, &mut side.released);
    }
}
