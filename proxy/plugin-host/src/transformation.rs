//! The transformers of one exchange, in order.
//!
//! ```text
//!  client ──▶ first ──▶ second ──▶ third ──▶ backend        the list's order
//!  client ◀── first ◀── second ◀── third ◀── backend        and back
//! ```
//!
//! A plugin that replies, or fails, ends the way forward: its answer goes back through those
//! before it only, for the others never saw the request. Each plugin sees one response's head.
//!
//! A plugin that fails open is left out for the rest of the exchange, as if it were not attached:
//! what it changed in the headers during the failed call is undone. One that has already changed
//! or held back bytes of a body can't be left out any more, so that then it fails closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use smallvec::SmallVec;

use crate::config::OnError;
use crate::plugin::{Code, PluginContext};
use crate::{BodyNeed, Headers, Http, HttpState, PluginError, PluginSlot, Reply};
use crate::{component, plugin, proxy_wasm};

/// What becomes of the exchange.
#[derive(Debug)]
pub enum Verdict {
    Continue,
    /// This instead of what would have come.
    Reply(Box<Reply>),
    /// The client's stream is to be reset.
    Reset,
    /// A body that a plugin wants whole is larger than it may be.
    BodyTooLarge,
}

/// The transformers attached to something, in order.
pub type Attached = Vec<PluginSlot>;

/// One exchange on its way through its transformers. The request's and the response's side may
/// run at the same time. Dropping it ends the plugins' streams.
pub struct Transformation {
    http: Arc<Http>,
    links: SmallVec<[Link; 1]>,
    /// How many plugins, from the first on, met the request.
    met: AtomicUsize,
    /// How many plugins, from the first on, a response still has to go through.
    ahead: AtomicUsize,
    /// How many of them, from the first on, the body of the response goes through.
    responding: AtomicUsize,
}

/// One plugin of the chain.
struct Link {
    stream: Stream,
    on_error: OnError,
    /// It failed, and the exchange goes on without it.
    left_out: AtomicBool,
    /// Bodies are not any more as they were without it.
    changed_request: AtomicBool,
    changed_response: AtomicBool,
}

/// One transformer on one exchange.
enum Stream {
    Component(component::Stream),
    ProxyWasm(proxy_wasm::Stream),
    /// An attached plugin was replaced by something that transforms nothing.
    Unfit(Arc<PluginContext>),
    #[cfg(test)]
    Fake(tests::Fake),
}

/// Calls the method of the same name of whatever a stream is.
macro_rules! forward {
    ($stream:expr, $method:ident($($argument:expr),*)$(.$await:ident)?, unfit: $unfit:expr) => {
        match $stream {
            Stream::Component(stream) => stream.$method($($argument),*)$(.$await)?,
            Stream::ProxyWasm(stream) => stream.$method($($argument),*)$(.$await)?,
            Stream::Unfit(context) => $unfit(context),
            #[cfg(test)]
            Stream::Fake(stream) => stream.$method($($argument),*)$(.$await)?,
        }
    };
}

/// Where in an exchange a plugin is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Transformation {
    /// Takes the plugins' versions in use now.
    pub fn new(http: Arc<Http>, attached: &[PluginSlot]) -> Self {
        let link = |slot: &PluginSlot| {
            let plugin = slot.peek();
            let stream = match &plugin.code {
                Code::Transformer(it) => Stream::Component(it.stream(http.clone())),
                Code::ProxyWasm(it) => Stream::ProxyWasm(it.stream(http.clone())),
                Code::Authorizer(_) => Stream::Unfit(plugin.context.clone()),
            };
            Link::new(stream, plugin.settings().on_error)
        };
        let links = attached.iter().map(link).collect();
        Self::of(http, links)
    }

    fn of(http: Arc<Http>, links: SmallVec<[Link; 1]>) -> Self {
        Self {
            http,
            links,
            met: AtomicUsize::new(0),
            ahead: AtomicUsize::new(0),
            responding: AtomicUsize::new(0),
        }
    }

    pub fn http(&self) -> &Http {
        &self.http
    }

    /// The request's headers go through all plugins in order. Waits while one has paused it.
    ///
    /// # Errors
    /// Of the first plugin that fails closed.
    pub async fn request_headers(&self, end_of_stream: bool) -> Result<Verdict, PluginError> {
        for (at, link) in self.links.iter().enumerate() {
            self.ahead.store(at, Ordering::Relaxed);
            self.met.store(at + 1, Ordering::Relaxed);
            let saved = self.saved(link, Side::Request);
            let result = forward!(&link.stream, request_headers(end_of_stream).await, unfit: unfit);
            match self.settle(link, result, saved)? {
                Verdict::Continue => self.ahead.store(at + 1, Ordering::Relaxed),
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Continue)
    }

    /// What the plugins do with the request's body; known after [`Self::request_headers`].
    pub fn request_body_need(&self) -> BodyNeed {
        self.links.iter().map(|link| link.body_need(Side::Request)).max().unwrap_or_default()
    }

    /// A piece of the request's body, replaced by what goes on. `last` comes once, perhaps with
    /// an empty piece, whether trailers follow or not. If the plugins need the body whole, it
    /// has to come in one piece.
    pub async fn request_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        for (at, link) in self.links.iter().enumerate() {
            if link.body_need(Side::Request) == BodyNeed::None {
                continue;
            }
            let result = link.body(Side::Request, piece, last).await;
            if !matches!(result, Ok(Verdict::Continue)) {
                // The response may be on its way already, so never more than are still ahead.
                self.ahead.fetch_min(at, Ordering::Relaxed);
                return result;
            }
            if piece.is_empty() && !last {
                break;
            }
        }
        Ok(Verdict::Continue)
    }

    /// The trailers are in [`Http::state`]. After the last piece.
    pub async fn request_trailers(&self) -> Result<Verdict, PluginError> {
        for (at, link) in self.links.iter().enumerate().filter(|(_, link)| !link.is_left_out()) {
            let result = forward!(&link.stream, request_trailers().await, unfit: unfit);
            match self.settle(link, result, None) {
                Ok(Verdict::Continue) => {}
                result => {
                    self.ahead.fetch_min(at, Ordering::Relaxed);
                    return result;
                }
            }
        }
        Ok(Verdict::Continue)
    }

    /// The response's headers, of the backend or of the gateway itself, go through the plugins
    /// that saw the request and no response yet, in reverse order.
    ///
    /// # Errors
    /// Of the first plugin that fails closed. The answer to that, put in [`Http::state`] and
    /// given to this again, goes through the others only.
    pub async fn response_headers(&self, end_of_stream: bool) -> Result<Verdict, PluginError> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        self.responding.store(ahead, Ordering::Relaxed);
        for (at, link) in self.links[..ahead].iter().enumerate().rev() {
            self.ahead.store(at, Ordering::Relaxed);
            if link.is_left_out() {
                continue;
            }
            let saved = self.saved(link, Side::Response);
            let result =
                forward!(&link.stream, response_headers(end_of_stream).await, unfit: unfit);
            match self.settle(link, result, saved)? {
                Verdict::Continue => {}
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Continue)
    }

    /// What the plugins do with the response's body; known after [`Self::response_headers`].
    pub fn response_body_need(&self) -> BodyNeed {
        self.responding().map(|link| link.body_need(Side::Response)).max().unwrap_or_default()
    }

    /// As [`Self::request_body`], of the response.
    pub async fn response_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        for link in self.responding() {
            if link.body_need(Side::Response) == BodyNeed::None {
                continue;
            }
            match link.body(Side::Response, piece, last).await? {
                Verdict::Continue if piece.is_empty() && !last => break,
                Verdict::Continue => {}
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Continue)
    }

    pub async fn response_trailers(&self) -> Result<Verdict, PluginError> {
        for link in self.responding().filter(|link| !link.is_left_out()) {
            let result = forward!(&link.stream, response_trailers().await, unfit: unfit);
            match self.settle(link, result, None)? {
                Verdict::Continue => {}
                verdict => return Ok(verdict),
            }
        }
        Ok(Verdict::Continue)
    }

    /// The response has gone, or the client has: what plugins log at the end is logged now. Once.
    pub fn finish(&self) {
        let met = self.met.load(Ordering::Relaxed);
        for link in self.links[..met].iter().filter(|link| !link.is_left_out()) {
            forward!(&link.stream, finish(), unfit: |_| ());
        }
    }

    /// The plugins that the response's body goes through, in its order.
    fn responding(&self) -> impl Iterator<Item = &Link> {
        self.links[..self.responding.load(Ordering::Relaxed)].iter().rev()
    }

    /// The headers as they are before a call that may have to be undone.
    fn saved(&self, link: &Link, side: Side) -> Option<(Side, Headers)> {
        let undoes = link.on_error == OnError::FailOpen;
        undoes.then(|| (side, headers(&mut self.http.state.lock(), side).clone()))
    }

    /// Leaves a plugin out that failed open.
    fn settle(
        &self,
        link: &Link,
        result: Result<Verdict, PluginError>,
        saved: Option<(Side, Headers)>,
    ) -> Result<Verdict, PluginError> {
        match result {
            Err(_) if link.on_error == OnError::FailOpen => {
                if let Some((side, saved)) = saved {
                    *headers(&mut self.http.state.lock(), side) = saved;
                }
                link.left_out.store(true, Ordering::Relaxed);
                Ok(Verdict::Continue)
            }
            result => result,
        }
    }
}

fn headers(state: &mut HttpState, side: Side) -> &mut Headers {
    match side {
        Side::Request => &mut state.request_headers,
        Side::Response => &mut state.response_headers,
    }
}

fn unfit(context: &Arc<PluginContext>) -> Result<Verdict, PluginError> {
    Err(plugin::unfit(context, "transformer"))
}

impl Link {
    fn new(stream: Stream, on_error: OnError) -> Self {
        Self {
            stream,
            on_error,
            left_out: AtomicBool::new(false),
            changed_request: AtomicBool::new(false),
            changed_response: AtomicBool::new(false),
        }
    }

    fn is_left_out(&self) -> bool {
        self.left_out.load(Ordering::Relaxed)
    }

    fn body_need(&self, side: Side) -> BodyNeed {
        if self.is_left_out() {
            return BodyNeed::None;
        }
        match side {
            Side::Request => {
                forward!(&self.stream, request_body_need(), unfit: |_| BodyNeed::None)
            }
            Side::Response => {
                forward!(&self.stream, response_body_need(), unfit: |_| BodyNeed::None)
            }
        }
    }

    async fn body(
        &self,
        side: Side,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        if self.on_error == OnError::FailClosed {
            return self.call_body(side, piece, last).await;
        }
        let changed = match side {
            Side::Request => &self.changed_request,
            Side::Response => &self.changed_response,
        };
        let original = piece.clone();
        match self.call_body(side, piece, last).await {
            Ok(verdict) => {
                changed.fetch_or(*piece != original, Ordering::Relaxed);
                Ok(verdict)
            }
            Err(error) if changed.load(Ordering::Relaxed) => Err(error),
            Err(_) => {
                *piece = original;
                self.left_out.store(true, Ordering::Relaxed);
                Ok(Verdict::Continue)
            }
        }
    }

    async fn call_body(
        &self,
        side: Side,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        match side {
            Side::Request => {
                forward!(&self.stream, request_body(piece, last).await, unfit: unfit)
            }
            Side::Response => {
                forward!(&self.stream, response_body(piece, last).await, unfit: unfit)
            }
        }
    }
}

#[cfg(test)]
mod tests;
