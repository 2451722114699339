//! The chain with plugins that do what a test says.

use std::net::SocketAddr;
use std::time::SystemTime;

use futures_util::FutureExt;
use parking_lot::Mutex;

use super::*;
use crate::config::PluginSettings;
use crate::{ClientCertificate, ErrorKind, RequestInfo};

/// A plugin that writes down what it is called with, adds its name to headers and to each piece
/// of a body, and answers otherwise in the callbacks it was told to.
pub(super) struct Fake {
    name: &'static str,
    http: Arc<Http>,
    calls: Arc<Mutex<Vec<String>>>,
    need: BodyNeed,
    /// In this callback.
    at: &'static str,
    does: Does,
}

#[derive(Clone, Copy)]
enum Does {
    Continue,
    Reply,
    Fail,
}

impl Fake {
    fn called(&self, callback: &'static str) -> Result<Verdict, PluginError> {
        self.calls.lock().push(format!("{}.{callback}", self.name));
        if self.at != callback {
            return Ok(Verdict::Continue);
        }
        match self.does {
            Does::Continue => Ok(Verdict::Continue),
            Does::Reply => Ok(Verdict::Reply(Box::new(Reply {
                status: 418,
                headers: Vec::new(),
                body: Vec::new(),
                grpc_status: None,
                details: String::new(),
            }))),
            Does::Fail => Err(PluginError::new(self.name, ErrorKind::Trap, "trapped")),
        }
    }

    pub(super) async fn request_headers(&self, _end: bool) -> Result<Verdict, PluginError> {
        self.http.state.lock().request_headers.append(b"seen", self.name.as_bytes());
        self.called("request_headers")
    }

    pub(super) fn request_body_need(&self) -> BodyNeed {
        self.need
    }

    pub(super) async fn request_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        piece.extend_from_slice(self.name.as_bytes());
        self.called(if last { "request_end" } else { "request_body" })
    }

    pub(super) async fn request_trailers(&self) -> Result<Verdict, PluginError> {
        self.called("request_trailers")
    }

    pub(super) async fn response_headers(&self, _end: bool) -> Result<Verdict, PluginError> {
        self.http.state.lock().response_headers.append(b"seen", self.name.as_bytes());
        self.called("response_headers")
    }

    pub(super) fn response_body_need(&self) -> BodyNeed {
        self.need
    }

    pub(super) async fn response_body(
        &self,
        piece: &mut Vec<u8>,
        last: bool,
    ) -> Result<Verdict, PluginError> {
        piece.extend_from_slice(self.name.as_bytes());
        self.called(if last { "response_end" } else { "response_body" })
    }

    pub(super) async fn response_trailers(&self) -> Result<Verdict, PluginError> {
        self.called("response_trailers")
    }

    pub(super) fn finish(&self) {
        let _ = self.called("finish");
    }
}

struct NoInfo;

impl RequestInfo for NoInfo {
    fn request_id(&self) -> &str {
        ""
    }
    fn api_id(&self) -> &str {
        ""
    }
    fn stage(&self) -> &str {
        ""
    }
    fn resource(&self) -> &str {
        ""
    }
    fn method_arn(&self) -> String {
        String::new()
    }
    fn source_address(&self) -> &str {
        ""
    }
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
    fn local(&self) -> Option<SocketAddr> {
        None
    }
    fn protocol(&self) -> &'static str {
        "HTTP/1.1"
    }
    fn tls_version(&self) -> Option<&str> {
        None
    }
    fn server_name(&self) -> Option<&str> {
        None
    }
    fn client_certificate(&self) -> Option<ClientCertificate<'_>> {
        None
    }
    fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
    fn each_path_parameter(&self, _: &mut dyn FnMut(&str, &str)) {}
    fn each_stage_variable(&self, _: &mut dyn FnMut(&str, &str)) {}
    fn stage_variable(&self, _: &str) -> Option<&str> {
        None
    }
    fn context(&self, _: &str) -> Option<String> {
        None
    }
}

/// A chain under test.
struct Chain {
    transformation: Transformation,
    calls: Arc<Mutex<Vec<String>>>,
}

/// One plugin: its name, what it does in which callback, and what becomes of a failure.
type Plan = (&'static str, &'static str, Does, OnError);

const PLAIN: (&str, Does, OnError) = ("", Does::Continue, OnError::FailClosed);

/// The plugins `a`, `b` and `c`, of which `b` does something.
fn abc(at: &'static str, does: Does, on_error: OnError) -> Chain {
    let plain = |name| (name, PLAIN.0, PLAIN.1, PLAIN.2);
    chain(BodyNeed::Streamed, &[plain("a"), ("b", at, does, on_error), plain("c")])
}

fn chain(need: BodyNeed, plans: &[Plan]) -> Chain {
    let http = Http::new(NoInfo, Headers::default());
    let calls = Arc::default();
    let link = |(name, at, does, on_error): &Plan| {
        let (http, calls) = (http.clone(), Arc::clone(&calls));
        let fake = Fake { name, http, calls, need, at, does: *does };
        Link::new(Stream::Fake(fake), *on_error)
    };
    let links: SmallVec<_> = plans.iter().map(link).collect();
    Chain { transformation: Transformation::of(http.clone(), links), calls }
}

/// What a future of fakes, which never wait, gives.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes don't wait")
}

impl Chain {
    fn request_headers(&self) -> Result<Verdict, PluginError> {
        now(self.transformation.request_headers(false))
    }

    fn response_headers(&self) -> Result<Verdict, PluginError> {
        now(self.transformation.response_headers(false))
    }

    /// The calls since the last time.
    fn calls(&self) -> String {
        std::mem::take(&mut *self.calls.lock()).join(" ")
    }

    fn seen(&self, side: Side) -> Vec<u8> {
        let mut state = self.transformation.http.state.lock();
        headers(&mut state, side).get_all(b"seen").flatten().copied().collect()
    }
}

fn is_continue(verdict: Result<Verdict, PluginError>) -> bool {
    matches!(verdict, Ok(Verdict::Continue))
}

#[test]
fn requests_go_through_in_order_and_responses_in_reverse() {
    let chain = abc("", Does::Continue, OnError::FailClosed);
    assert!(is_continue(chain.request_headers()));
    let mut piece = b"1".to_vec();
    assert!(is_continue(now(chain.transformation.request_body(&mut piece, true))));
    assert_eq!(piece, b"1abc");
    assert!(is_continue(now(chain.transformation.request_trailers())));
    assert!(is_continue(chain.response_headers()));
    let mut piece = b"2".to_vec();
    assert!(is_continue(now(chain.transformation.response_body(&mut piece, false))));
    assert_eq!(piece, b"2cba");
    assert!(is_continue(now(chain.transformation.response_trailers())));
    chain.transformation.finish();
    assert_eq!(
        chain.calls(),
        "a.request_headers b.request_headers c.request_headers \
         a.request_end b.request_end c.request_end \
         a.request_trailers b.request_trailers c.request_trailers \
         c.response_headers b.response_headers a.response_headers \
         c.response_body b.response_body a.response_body \
         c.response_trailers b.response_trailers a.response_trailers \
         a.finish b.finish c.finish"
    );
}

#[test]
fn a_reply_to_the_request_goes_back_through_those_before_only() {
    let chain = abc("request_headers", Does::Reply, OnError::FailClosed);
    assert!(matches!(chain.request_headers(), Ok(Verdict::Reply(_))));
    assert!(is_continue(chain.response_headers()));
    assert!(now(chain.transformation.response_body(&mut Vec::new(), true)).is_ok());
    chain.transformation.finish();
    assert_eq!(
        chain.calls(),
        "a.request_headers b.request_headers a.response_headers a.response_end a.finish b.finish"
    );
}

#[test]
fn a_reply_to_the_response_goes_through_those_that_saw_none_yet() {
    let chain = abc("response_headers", Does::Reply, OnError::FailClosed);
    assert!(is_continue(chain.request_headers()));
    assert!(matches!(chain.response_headers(), Ok(Verdict::Reply(_))));
    chain.calls();
    assert!(is_continue(chain.response_headers()));
    assert_eq!(chain.calls(), "a.response_headers");
    assert!(is_continue(chain.response_headers()));
    assert_eq!(chain.calls(), "");
    assert_eq!(chain.transformation.response_body_need(), BodyNeed::None);
}

#[test]
fn a_reply_to_a_body_goes_back_through_those_before_only() {
    let chain = abc("request_body", Does::Reply, OnError::FailClosed);
    assert!(is_continue(chain.request_headers()));
    let verdict = now(chain.transformation.request_body(&mut b"1".to_vec(), false));
    assert!(matches!(verdict, Ok(Verdict::Reply(_))));
    chain.calls();
    assert!(is_continue(chain.response_headers()));
    assert_eq!(chain.calls(), "a.response_headers");
}

#[test]
fn a_failure_in_the_body_of_the_request_after_the_response_came_is_for_no_plugin() {
    let chain = abc("request_body", Does::Fail, OnError::FailClosed);
    assert!(is_continue(chain.request_headers()));
    assert!(is_continue(chain.response_headers()));
    assert!(now(chain.transformation.request_body(&mut b"1".to_vec(), false)).is_err());
    chain.calls();
    assert!(is_continue(chain.response_headers()));
    assert_eq!(chain.calls(), "");
}

#[test]
fn a_failure_that_is_closed_ends_the_way() {
    let chain = abc("request_headers", Does::Fail, OnError::FailClosed);
    let error = chain.request_headers().unwrap_err();
    assert_eq!((&*error.plugin, error.kind), ("b", ErrorKind::Trap));
    chain.calls();
    assert!(is_continue(chain.response_headers()));
    assert_eq!(chain.calls(), "a.response_headers");
}

#[test]
fn a_failure_that_is_open_leaves_the_plugin_out_and_undoes_its_edits() {
    let chain = abc("request_headers", Does::Fail, OnError::FailOpen);
    assert!(is_continue(chain.request_headers()));
    assert_eq!(chain.seen(Side::Request), b"ac");
    let mut piece = b"1".to_vec();
    assert!(is_continue(now(chain.transformation.request_body(&mut piece, true))));
    assert_eq!(piece, b"1ac");
    assert!(is_continue(chain.response_headers()));
    chain.transformation.finish();
    assert!(!chain.calls().replace("b.request_headers", "").contains("b."));

    let chain = abc("response_headers", Does::Fail, OnError::FailOpen);
    assert!(is_continue(chain.request_headers()));
    assert!(is_continue(chain.response_headers()));
    assert_eq!(chain.seen(Side::Response), b"ca");
}

#[test]
fn a_plugin_that_changed_a_body_before_cannot_fail_open() {
    let chain = abc("request_body", Does::Fail, OnError::FailOpen);
    assert!(is_continue(chain.request_headers()));
    let mut piece = b"1".to_vec();
    assert!(is_continue(now(chain.transformation.request_body(&mut piece, false))));
    assert_eq!(piece, b"1ac", "the first piece passes untouched by it");

    let chain = abc("request_end", Does::Fail, OnError::FailOpen);
    assert!(is_continue(chain.request_headers()));
    assert!(is_continue(now(chain.transformation.request_body(&mut b"1".to_vec(), false))));
    assert!(now(chain.transformation.request_body(&mut b"2".to_vec(), true)).is_err());
}

#[test]
fn the_body_is_wanted_as_the_most_demanding_plugin_wants_it() {
    for need in [BodyNeed::None, BodyNeed::Streamed, BodyNeed::Whole] {
        let chain = chain(need, &[("a", PLAIN.0, PLAIN.1, PLAIN.2)]);
        assert!(is_continue(chain.request_headers()));
        assert_eq!(chain.transformation.request_body_need(), need);
        assert_eq!(chain.transformation.response_body_need(), BodyNeed::None);
        assert!(is_continue(chain.response_headers()));
        assert_eq!(chain.transformation.response_body_need(), need);
    }
}

#[test]
fn what_is_no_transformer_fails_like_one() {
    let chain_of = |on_error| {
        let context = PluginContext::for_test("x", PluginSettings::default());
        let link = Link::new(Stream::Unfit(context), on_error);
        Transformation::of(Http::new(NoInfo, Headers::default()), SmallVec::from_iter([link]))
    };
    let closed = chain_of(OnError::FailClosed);
    assert_eq!(now(closed.request_headers(true)).unwrap_err().kind, ErrorKind::Start);
    assert!(is_continue(now(chain_of(OnError::FailOpen).request_headers(true))));
}
