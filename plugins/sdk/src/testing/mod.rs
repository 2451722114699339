//! The gateway, played for unit tests on the machine that builds the plugin.
//!
//! ```
//! use tollgate_plugin_sdk::testing::{Exchange, Gateway};
//! use tollgate_plugin_sdk::{Decision, Request};
//!
//! fn authorize(request: &Request) -> Decision {
//!     request.header("x-token").map_or(Decision::Unauthorized, |it| Decision::allow(it).into())
//! }
//!
//! let gateway = Gateway::new();
//! assert_eq!(gateway.authorize(authorize, &Exchange::get("/pets")), Decision::Unauthorized);
//! let exchange = Exchange::get("/pets").header("X-Token", "ali");
//! assert_eq!(gateway.authorize(authorize, &exchange), Decision::allow("ali").into());
//! ```
//!
//! A [`Gateway`] keeps what lasts from call to call: configuration, key-value store, upstreams,
//! clock and log. An [`Exchange`] is one request.

pub(crate) mod host;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use crate::bindings::tollgate::plugin::fetch as generated;
use crate::{
    BodyAction, BodyHandling, ClientCertificate, Decision, HeaderEdit, Reply, Request,
    RequestAction, Response, ResponseAction, Transformer,
};

pub use generated::{Error as FetchError, FetchRequest, FetchResponse};

/// Bytes of the pieces in which streamed bodies come.
pub const PIECE: usize = 1000;

type Headers = Vec<(String, String)>;
type Upstream = Rc<dyn Fn(&FetchRequest) -> Result<FetchResponse, FetchError>>;

/// A gateway with one plugin.
#[derive(Clone)]
pub struct Gateway(Rc<RefCell<Plugin>>);

/// What a plugin has of a gateway.
#[derive(Default)]
struct Plugin {
    configuration: Vec<u8>,
    upstreams: HashMap<String, Upstream>,
    entries: BTreeMap<String, Entry>,
    now: Duration,
    log: Vec<String>,
    fetches: Vec<(String, FetchRequest)>,
}

struct Entry {
    value: Vec<u8>,
    version: u64,
    expires: Option<Duration>,
}

/// One request, and what its plugins keep with it. Clones are the same exchange.
#[derive(Clone)]
pub struct Exchange {
    method: String,
    path: String,
    query: String,
    resource: Option<String>,
    headers: Headers,
    body: Option<Vec<u8>>,
    path_parameters: Headers,
    stage_variables: Headers,
    context: HashMap<String, String>,
    source_address: String,
    client_certificate: Option<ClientCertificate>,
    values: Rc<RefCell<HashMap<String, Vec<u8>>>>,
}

/// A request as it goes on to the backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Forwarded {
    pub method: String,
    pub path: String,
    /// Without `?`.
    pub query: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

/// A response, before or after a transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateway {
    /// A gateway whose clock stands at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        let now = Duration::from_secs(1_767_225_600);
        Self(Rc::new(RefCell::new(Plugin { now, ..Plugin::default() })))
    }

    /// The bytes of the plugin's configuration.
    pub fn configuration(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.borrow_mut().configuration = bytes.into();
        self
    }

    /// An upstream that the plugin may call, and what it answers.
    pub fn upstream(
        self,
        name: &str,
        answer: impl Fn(&FetchRequest) -> Result<FetchResponse, FetchError> + 'static,
    ) -> Self {
        self.0.borrow_mut().upstreams.insert(name.to_owned(), Rc::new(answer));
        self
    }

    /// What time it is now.
    pub fn now(&self) -> Duration {
        self.0.borrow().now
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.0.borrow_mut().now += duration;
    }

    /// All lines logged: `LEVEL message key=value`.
    pub fn log_lines(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// All requests of the plugin to upstreams, with the upstreams' names.
    pub fn fetches(&self) -> Vec<(String, FetchRequest)> {
        self.0.borrow().fetches.clone()
    }

    /// Runs code that uses the gateway outside an exchange.
    pub fn run<T>(&self, code: impl FnOnce() -> T) -> T {
        self.call(&Exchange::get("/"), None, false, code)
    }

    /// Asks an authorizer. It gets the body that the exchange has.
    pub fn authorize<D: Into<Decision>>(
        &self,
        authorizer: impl FnOnce(&Request) -> D,
        exchange: &Exchange,
    ) -> Decision {
        self.call(exchange, None, true, || authorizer(&Request::current()).into())
    }

    /// Takes a request through a transformer: what goes on to the backend.
    ///
    /// # Errors
    /// The transformer's reply.
    pub fn request<T: Transformer>(&self, exchange: &Exchange) -> Result<Forwarded, Reply> {
        let mut forwarded = Forwarded {
            method: exchange.method.clone(),
            path: exchange.path.clone(),
            query: exchange.query.clone(),
            headers: exchange.headers.clone(),
            body: exchange.body.clone().unwrap_or_default(),
        };
        let call =
            |buffered, code: &dyn Fn() -> BodyAction| self.call(exchange, None, buffered, code);
        match self.call(exchange, None, false, || T::on_request(&Request::current())) {
            RequestAction::Pass => {}
            RequestAction::Reply(reply) => return Err(reply),
            RequestAction::Edit(edits) => {
                forwarded.method = edits.method.unwrap_or(forwarded.method);
                forwarded.path = edits.path.unwrap_or(forwarded.path);
                forwarded.query = edits.query.unwrap_or(forwarded.query);
                apply(&mut forwarded.headers, edits.headers);
                let buffered = edits.body == BodyHandling::Buffered;
                handle_body(
                    edits.body,
                    &mut forwarded.headers,
                    &mut forwarded.body,
                    |piece, last| {
                        call(buffered, &|| {
                            T::on_request_body(&Request::current(), piece.to_vec(), last)
                        })
                    },
                )?;
            }
        }
        Ok(forwarded)
    }

    /// Takes a response to an exchange through a transformer: what goes on to the client.
    pub fn response<T: Transformer>(&self, exchange: &Exchange, mut answer: Answer) -> Answer {
        let seen = answer.clone();
        let action = self.call(exchange, Some(&seen), false, || {
            T::on_response(&Request::current(), &Response::current())
        });
        let edits = match action {
            ResponseAction::Pass => return answer,
            ResponseAction::Reply(reply) => return reply.into(),
            ResponseAction::Edit(edits) => edits,
        };
        answer.status = edits.status.unwrap_or(answer.status);
        apply(&mut answer.headers, edits.headers);
        let handled =
            handle_body(edits.body, &mut answer.headers, &mut answer.body, |piece, last| {
                self.call(exchange, Some(&seen), false, || {
                    let (request, response) = (Request::current(), Response::current());
                    T::on_response_body(&request, &response, piece.to_vec(), last)
                })
            });
        handled.map_or_else(Answer::from, |()| answer)
    }

    fn call<T>(
        &self,
        exchange: &Exchange,
        answer: Option<&Answer>,
        body: bool,
        code: impl FnOnce() -> T,
    ) -> T {
        let mut exchange = exchange.clone();
        if !body {
            exchange.body = None;
        }
        host::with(host::Call { plugin: self.0.clone(), exchange, answer: answer.cloned() }, code)
    }
}

impl Exchange {
    /// A request of the stage `test` of an API, from 192.0.2.1, without TLS. `target` is a path
    /// and, after a `?`, a query.
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            resource: None,
            headers: Vec::new(),
            body: None,
            path_parameters: Vec::new(),
            stage_variables: Vec::new(),
            context: HashMap::new(),
            source_address: "192.0.2.1".to_owned(),
            client_certificate: None,
            values: Rc::default(),
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The path template of the resource. Default: the path.
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    pub fn path_parameter(mut self, name: &str, value: &str) -> Self {
        self.path_parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn stage_variable(mut self, name: &str, value: &str) -> Self {
        self.stage_variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A `$context` variable, by its name without `$context.`.
    pub fn context(mut self, name: &str, value: &str) -> Self {
        self.context.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn source_address(mut self, address: &str) -> Self {
        self.source_address = address.to_owned();
        self
    }

    /// The client came over TLS, with this certificate.
    pub fn client_certificate(mut self, certificate: ClientCertificate) -> Self {
        self.client_certificate = Some(certificate);
        self
    }
}

impl Forwarded {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self { status: reply.status, headers: reply.headers, body: reply.body }
    }
}

fn first<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn apply(headers: &mut Headers, edits: Vec<HeaderEdit>) {
    for edit in edits {
        match edit {
            HeaderEdit::Set((name, value)) => {
                headers.retain(|(key, _)| !key.eq_ignore_ascii_case(&name));
                headers.push((name.to_ascii_lowercase(), value));
            }
            HeaderEdit::Append((name, value)) => headers.push((name.to_ascii_lowercase(), value)),
            HeaderEdit::Remove(name) => headers.retain(|(key, _)| !key.eq_ignore_ascii_case(&name)),
        }
    }
}

/// Takes a body through a transformer's function for it.
fn handle_body(
    handling: BodyHandling,
    headers: &mut Headers,
    body: &mut Vec<u8>,
    mut function: impl FnMut(&[u8], bool) -> BodyAction,
) -> Result<(), Reply> {
    let whole = std::mem::take(body);
    match handling {
        BodyHandling::Pass => *body = whole,
        BodyHandling::Replaced(new) => *body = new,
        BodyHandling::Buffered => match function(&whole, true) {
            BodyAction::Pass => *body = whole,
            BodyAction::Replace(new) => *body = new,
            BodyAction::Edit((new, edits)) => {
                apply(headers, edits);
                *body = new;
            }
            BodyAction::Reply(reply) => return Err(reply),
        },
        BodyHandling::Streamed => {
            let count = whole.len().div_ceil(PIECE).max(1);
            for index in 0..count {
                let end = whole.len().min((index + 1) * PIECE);
                let piece = &whole[index * PIECE..end];
                match function(piece, index + 1 == count) {
                    BodyAction::Pass => body.extend_from_slice(piece),
                    BodyAction::Replace(new) => body.extend(new),
                    other => panic!("not for a piece of a streamed body: {other:?}"),
                }
            }
        }
    }
    Ok(())
}
