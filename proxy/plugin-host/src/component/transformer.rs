//! Calls of transformers.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc,
};

use super::abi::{BodyAction, BodyHandling, HeaderEdit, Reply, RequestAction, ResponseAction};
use super::link::{World, link};
use super::pool::{Exports, Lease, Pool};
use super::state::HostState;
use super::{PluginShared, output};
use crate::config::Isolation;
use crate::plugin::PluginContext;
use crate::{BodyNeed, ErrorKind, Headers, Http, HttpState, PluginError, Verdict, trap};

type OnBody = TypedFunc<(Arc<Vec<u8>>, bool), (BodyAction,)>;

struct Transformation {
    on_request: TypedFunc<(), (RequestAction,)>,
    on_request_body: OnBody,
    on_response: TypedFunc<(), (ResponseAction,)>,
    on_response_body: OnBody,
}

impl Exports for Transformation {
    const INTERFACE: &str = "tollgate:plugin/transformation@0.1.0";
    const FUNCTIONS: &[&str] =
        &["on-request", "on-request-body", "on-response", "on-response-body"];

    fn find(
        instance: &Instance,
        store: &mut Store<HostState>,
        at: &[ComponentExportIndex],
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            on_request: instance.get_typed_func(&mut *store, at[0])?,
            on_request_body: instance.get_typed_func(&mut *store, at[1])?,
            on_response: instance.get_typed_func(&mut *store, at[2])?,
            on_response_body: instance.get_typed_func(&mut *store, at[3])?,
        })
    }
}

/// A transformer's code with its instances.
pub(crate) struct TransformerPlugin(Arc<Pool<Transformation>>);

impl TransformerPlugin {
    /// Links the component and starts a first instance, so that one that can't start is refused.
    pub(crate) fn new(
        context: Arc<PluginContext>,
        component: &Component,
    ) -> Result<Self, PluginError> {
        let (pre, calls) = link(&context, World::Transformer, component)?;
        Ok(Self(Pool::new(PluginShared::new(context), pre, calls)?))
    }

    pub(crate) fn stream(&self, http: Arc<Http>) -> Stream {
        let own = match self.0.shared.context.settings.isolation {
            Isolation::Shared => None,
            Isolation::PerRequest => Some(AsyncMutex::new(None)),
        };
        Stream { pool: self.0.clone(), http, own, bodies: Mutex::default() }
    }
}

/// A transformer on one exchange. Each method does the plugin's edits in [`Http::state`], all of
/// them or, with an error, none; errors are counted and logged. Dropped before it is ready, the
/// instance that was called is gone.
pub(crate) struct Stream {
    pool: Arc<Pool<Transformation>>,
    http: Arc<Http>,
    /// The exchange's instance, from the first call on, in per-request isolation: the two sides
    /// take turns. Otherwise each call takes any.
    own: Option<AsyncMutex<Option<Lease<Transformation>>>>,
    bodies: Mutex<Bodies>,
}

#[derive(Default)]
struct Bodies {
    request: Body,
    response: Body,
}

/// What becomes of a body.
#[derive(Default)]
enum Body {
    #[default]
    Passes,
    Streamed,
    Buffered,
    Replaced {
        bytes: Vec<u8>,
        /// There is none to be replaced.
        is_absent: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Side {
    fn headers(self, state: &mut HttpState) -> &mut Headers {
        match self {
            Self::Request => &mut state.request_headers,
            Self::Response => &mut state.response_headers,
        }
    }

    fn is_sent(self, state: &HttpState) -> bool {
        match self {
            Self::Request => state.request_sent,
            Self::Response => state.response_sent,
        }
    }

    fn body(self, bodies: &mut Bodies) -> &mut Body {
        match self {
            Self::Request => &mut bodies.request,
            Self::Response => &mut bodies.response,
        }
    }
}

impl Body {
    fn of(handling: BodyHandling, is_absent: bool, limit: usize) -> Result<Self, String> {
        Ok(match handling {
            BodyHandling::Pass => Self::Passes,
            BodyHandling::Streamed if is_absent => Self::Passes,
            BodyHandling::Streamed => Self::Streamed,
            BodyHandling::Buffered => Self::Buffered,
            BodyHandling::Replaced(bytes) => {
                output::check_body(&bytes, limit)?;
                Self::Replaced { bytes, is_absent }
            }
        })
    }

    fn need(&self) -> BodyNeed {
        match self {
            Self::Passes => BodyNeed::None,
            Self::Buffered | Self::Replaced { is_absent: true, .. } => BodyNeed::Whole,
            // What is replaced doesn't have to be read before.
            Self::Streamed | Self::Replaced { .. } => BodyNeed::Streamed,
        }
    }
}

impl Stream {
    pub(crate) async fn request_headers(
        &self,
        end_of_stream: bool,
    ) -> Result<Verdict, PluginError> {
        let result = self.on_request(end_of_stream).await;
        self.reported(result)
    }

    async fn on_request(&self, end_of_stream: bool) -> Result<Verdict, PluginError> {
        let (action,) = self.call(|it| it.on_request, None, ()).await?;
        match action {
            RequestAction::Pass => Ok(Verdict::Continue),
            RequestAction::Reply(reply) => self.reply(reply),
            RequestAction::Edit(mut edits) => self.checked(|limit| {
                let handling = std::mem::replace(&mut edits.body, BodyHandling::Pass);
                let body = Body::of(handling, end_of_stream, limit)?;
                self.edit(Side::Request, |headers| output::edit_request(headers, &edits))?;
                self.bodies.lock().request = body;
                Ok(Verdict::Continue)
            }),
        }
    }

    /// [`BodyNeed::Whole`] without a body: [`Self::request_body`] is to be called with an empty
    /// last piece, for what it makes of it.
    pub(crate) fn request_body_need(&self) -> BodyNeed {
        self.bodies.lock().request.need()
    }

    /// With [`BodyNeed::Whole`] called once, with the whole body.
    pub(crate) async fn request_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        let result = self.on_body(Side::Request, piece, last).await;
        self.reported(result)
    }

    /// Components see no trailers.
    pub(crate) async fn request_trailers(&self) -> Result<Verdict, PluginError> {
        Ok(Verdict::Continue)
    }

    pub(crate) async fn response_headers(
        &self,
        end_of_stream: bool,
    ) -> Result<Verdict, PluginError> {
        let result = self.on_response(end_of_stream).await;
        self.reported(result)
    }

    async fn on_response(&self, end_of_stream: bool) -> Result<Verdict, PluginError> {
        let (action,) = self.call(|it| it.on_response, None, ()).await?;
        match action {
            ResponseAction::Pass => Ok(Verdict::Continue),
            ResponseAction::Reply(reply) => self.reply(reply),
            ResponseAction::Edit(mut edits) => self.checked(|limit| {
                let handling = std::mem::replace(&mut edits.body, BodyHandling::Pass);
                let body = Body::of(handling, end_of_stream, limit)?;
                self.edit(Side::Response, |headers| output::edit_response(headers, &edits))?;
                self.bodies.lock().response = body;
                Ok(Verdict::Continue)
            }),
        }
    }

    /// As [`Self::request_body_need`].
    pub(crate) fn response_body_need(&self) -> BodyNeed {
        self.bodies.lock().response.need()
    }

    /// As [`Self::request_body`].
    pub(crate) async fn response_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        let result = self.on_body(Side::Response, piece, last).await;
        self.reported(result)
    }

    /// Components see no trailers.
    pub(crate) async fn response_trailers(&self) -> Result<Verdict, PluginError> {
        Ok(Verdict::Continue)
    }

    /// Nothing is left to do: the instance goes with the stream.
    pub(crate) fn finish(&self) {}

    async fn on_body(
        &self,
        side: Side,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        let is_buffered = match side.body(&mut self.bodies.lock()) {
            Body::Passes => return Ok(Verdict::Continue),
            Body::Replaced { bytes, .. } => {
                // All goes out with the first piece.
                *piece = std::mem::take(bytes);
                return Ok(Verdict::Continue);
            }
            Body::Streamed => false,
            Body::Buffered => true,
        };
        if piece.len() > self.pool.shared.context.settings.limits.body {
            return Ok(Verdict::BodyTooLarge);
        }
        let action = self.call_body(side, piece, last, is_buffered).await?;
        match action {
            BodyAction::Pass => Ok(Verdict::Continue),
            BodyAction::Replace(bytes) => self.checked(|limit| {
                output::check_body(&bytes, limit)?;
                *piece = bytes;
                Ok(Verdict::Continue)
            }),
            BodyAction::Edit(_) | BodyAction::Reply(_) if !is_buffered => {
                self.checked(|_| Err("can edit the head or reply only with a buffered body".into()))
            }
            BodyAction::Edit((bytes, edits)) => self.checked(|limit| {
                output::check_body(&bytes, limit)?;
                self.edit_headers(side, &edits)?;
                *piece = bytes;
                Ok(Verdict::Continue)
            }),
            BodyAction::Reply(reply) => self.reply(reply),
        }
    }

    /// Lends the piece to the plugin.
    async fn call_body(
        &self,
        side: Side,
        piece: &mut Vec<u8>,
        last: bool,
        is_buffered: bool,
    ) -> Result<BodyAction, PluginError> {
        let lent = Arc::new(std::mem::take(piece));
        let body = (side == Side::Request && is_buffered).then(|| lent.clone());
        let function = move |it: &Transformation| match side {
            Side::Request => it.on_request_body,
            Side::Response => it.on_response_body,
        };
        let result = self.call(function, body, (lent.clone(), last)).await;
        *piece = Arc::unwrap_or_clone(lent);
        result.map(|(action,)| action)
    }

    async fn call<P, R>(
        &self,
        function: impl FnOnce(&Transformation) -> TypedFunc<P, R>,
        body: Option<Arc<Vec<u8>>>,
        parameters: P,
    ) -> Result<R, PluginError>
    where
        P: ComponentNamedList + Lower + Send + 'static,
        R: ComponentNamedList + Lift + Send + 'static,
    {
        let Some(own) = &self.own else {
            return self.pool.lease().await?.call(function, &self.http, body, parameters).await;
        };
        let context = &self.pool.shared.context;
        let wait = context.settings.limits.wait;
        let Ok(mut own) = timeout(wait, own.lock()).await else {
            let message = "its instance was busy with the other side of the exchange for too long";
            return Err(PluginError::new(&context.name, ErrorKind::Wait, message));
        };
        let lease = match &mut *own {
            Some(lease) => lease,
            none => none.insert(self.pool.lease().await?),
        };
        lease.call(function, &self.http, body, parameters).await
    }

    fn reply(&self, reply: Reply) -> Result<Verdict, PluginError> {
        self.checked(|limit| {
            let reply = output::reply(reply, limit, &self.pool.shared.context.name)?;
            Ok(Verdict::Reply(Box::new(reply)))
        })
    }

    fn edit_headers(&self, side: Side, edits: &[HeaderEdit]) -> Result<(), String> {
        match edits.is_empty() {
            true => Ok(()),
            false => self.edit(side, |headers| output::edit_headers(headers, edits)),
        }
    }

    fn edit(
        &self,
        side: Side,
        edit: impl FnOnce(&mut Headers) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut state = self.http.state.lock();
        if side.is_sent(&state) {
            return Err("edits a head that was sent already".to_owned());
        }
        edit(side.headers(&mut state))
    }

    /// Uses what the plugin gave, which it gets the limit of a body for; a problem with it is the
    /// plugin's error.
    fn checked<T>(&self, used: impl FnOnce(usize) -> Result<T, String>) -> Result<T, PluginError> {
        let context = &self.pool.shared.context;
        used(context.settings.limits.body)
            .map_err(|problem| PluginError::new(&context.name, ErrorKind::Output, problem))
    }

    fn reported(&self, result: Result<Verdict, PluginError>) -> Result<Verdict, PluginError> {
        if let Err(error) = &result {
            trap::report(&self.pool.shared.context, error);
        }
        result
    }
}
