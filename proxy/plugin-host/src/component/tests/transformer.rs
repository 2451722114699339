//! Every outcome of a transformer's four functions, on both sides.

use super::guest::{Edit, Guest, Value, edits, optional_text, reply};
use super::host::{answered, http, lines, stream, transformer};
use crate::component::Stream;
use crate::config::{Isolation, PluginSettings};
use crate::{BodyNeed, ErrorKind, Http, PluginError, Verdict};

fn pass() -> Value {
    Value::Case(0, 4, 8, None)
}

fn streamed() -> Value {
    Value::Case(1, 4, 8, None)
}

fn buffered() -> Value {
    Value::Case(2, 4, 8, None)
}

fn replaced(by: &[u8]) -> Value {
    Value::Case(3, 4, 8, Some(Box::new(Value::Bytes(by.to_vec()))))
}

struct Edits<'a> {
    headers: &'a [Edit<'a>],
    method: Option<&'a str>,
    path: Option<&'a str>,
    query: Option<&'a str>,
    status: Option<u16>,
    body: Value,
}

impl Default for Edits<'_> {
    fn default() -> Self {
        Self { headers: &[], method: None, path: None, query: None, status: None, body: pass() }
    }
}

impl Edits<'_> {
    fn of_request(self) -> Value {
        let fields = vec![
            edits(self.headers),
            optional_text(self.method),
            optional_text(self.path),
            optional_text(self.query),
            self.body,
        ];
        Value::Case(1, 4, 56, Some(Box::new(Value::Record(fields))))
    }

    fn of_response(self) -> Value {
        let status = self.status.map(|status| Box::new(Value::Short(status)));
        let status = Value::Case(status.is_some().into(), 2, 2, status);
        let fields = vec![status, edits(self.headers), self.body];
        Value::Case(1, 4, 24, Some(Box::new(Value::Record(fields))))
    }
}

fn replace(by: &[u8]) -> Value {
    Value::Case(1, 4, 20, Some(Box::new(Value::Bytes(by.to_vec()))))
}

fn edit_body(by: &[u8], headers: &[Edit<'_>]) -> Value {
    let fields = vec![Value::Bytes(by.to_vec()), edits(headers)];
    Value::Case(2, 4, 20, Some(Box::new(Value::Record(fields))))
}

fn replies(case: u8, size: usize, status: u16) -> Value {
    Value::Case(case, 4, size, Some(Box::new(reply(status, &[("a", "b")], b"no"))))
}

/// Appends a `!` to each piece, and `.` to the last.
const EXCLAIM: &str = "
  (call $put (local.get 0) (local.get 1))
  (call $byte (select (i32.const 46) (i32.const 33) (local.get 2)))
  (i32.store8 (i32.const 1024) (i32.const 1))
  (drop (call $allow))
  (i32.const 1024)";

async fn request(guest: Guest) -> (std::sync::Arc<Http>, Result<Verdict, PluginError>) {
    let (http, stream) = stream(guest);
    let verdict = stream.request_headers(false).await;
    (http, verdict)
}

fn is_reply(verdict: &Verdict, status: u16) -> bool {
    matches!(verdict, Verdict::Reply(reply) if reply.status == status && reply.body == b"no")
}

#[tokio::test]
async fn passing_changes_nothing() {
    let (http, stream) = stream(Guest::transformer());
    let before = lines(&http.state.lock().request_headers);
    assert!(matches!(stream.request_headers(false).await, Ok(Verdict::Continue)));
    assert!(matches!(stream.response_headers(false).await, Ok(Verdict::Continue)));
    assert_eq!(stream.request_body_need(), BodyNeed::None);
    assert_eq!(stream.response_body_need(), BodyNeed::None);
    assert!(matches!(stream.request_trailers().await, Ok(Verdict::Continue)));
    assert!(matches!(stream.response_trailers().await, Ok(Verdict::Continue)));
    stream.finish();
    let state = http.state.lock();
    assert_eq!(lines(&state.request_headers), before);
    assert!(!state.request_headers.is_modified() && !state.response_headers.is_modified());
}

#[tokio::test]
async fn a_request_is_edited() {
    let edits = Edits {
        headers: &[
            ("set", "X-Key", "other"),
            ("append", "via", "tollgate"),
            ("remove", "accept", ""),
            ("set", "Host", "backend.example"),
        ],
        method: Some("PUT"),
        path: Some("/v2/pets"),
        query: Some("b=1"),
        ..Edits::default()
    };
    let guest = Guest::transformer().returning("on-request", &edits.of_request());
    let (http, verdict) = request(guest).await;
    assert!(matches!(verdict, Ok(Verdict::Continue)));
    let headers = lines(&http.state.lock().request_headers);
    let expected = [
        ":method: PUT",
        ":path: /v2/pets?b=1",
        ":authority: backend.example",
        ":scheme: https",
        "x-key: other",
        "x-raw: caf\u{fffd}",
        "via: tollgate",
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn path_and_query_are_edited_each_alone() {
    for (path, query, expected) in [
        (Some("/a"), None, "/a?a=1%2B1&b=x+y&a=2&flag"),
        (None, Some("z"), "/prod/pets/7?z"),
        (None, Some(""), "/prod/pets/7"),
    ] {
        let edits = Edits { path, query, ..Edits::default() };
        let guest = Guest::transformer().returning("on-request", &edits.of_request());
        let (http, _) = request(guest).await;
        let state = http.state.lock();
        assert_eq!(state.request_headers.get(b":path"), Some(expected.as_bytes()));
    }
}

#[tokio::test]
async fn edits_that_can_not_be_made_leave_everything_as_it_was() {
    let edits = Edits::default;
    for (edits, expected) in [
        (Edits { method: Some("GE T"), ..edits() }, r#"method "GE T": is not a token"#),
        (Edits { method: Some(""), ..edits() }, r#"method "": is not a token"#),
        (
            Edits { path: Some("a"), ..edits() },
            r#"path "a": allowed: visible ASCII after a slash, without ? and #"#,
        ),
        (
            Edits { path: Some("/a b"), ..edits() },
            r#"path "/a b": allowed: visible ASCII after a slash, without ? and #"#,
        ),
        (
            Edits { path: Some("/a?b"), ..edits() },
            r#"path "/a?b": allowed: visible ASCII after a slash, without ? and #"#,
        ),
        (
            Edits { query: Some("\u{e9}"), ..edits() },
            "query \"\u{e9}\": allowed: visible ASCII without #",
        ),
        (
            Edits { method: Some("PUT"), headers: &[("set", "te", "x")], ..edits() },
            "header te: is set by the gateway alone",
        ),
        (
            Edits { headers: &[("set", "ok", "x"), ("remove", "host", "")], ..edits() },
            "header host: can be set, but neither appended to nor removed",
        ),
    ] {
        let guest = Guest::transformer().returning("on-request", &edits.of_request());
        let (http, verdict) = request(guest).await;
        let error = verdict.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Output, expected));
        let headers = lines(&http.state.lock().request_headers);
        assert_eq!(headers, lines(&answered().state.lock().request_headers));
    }
}

#[tokio::test]
async fn headers_have_a_largest_size() {
    // Each edit adds the heap's first 40,000 bytes as a value.
    let big = |edits: u32| {
        let mut body =
            String::from("(memory.fill (i32.const 65536) (i32.const 97) (i32.const 40000))");
        for edit in 0..edits {
            let at = 2048 + 20 * edit;
            body.push_str(&format!(
                "(i32.store8 (i32.const {at}) (i32.const 1))
                 (i32.store (i32.const {}) (i32.const 65536)) (i32.store (i32.const {}) (i32.const 3))
                 (i32.store (i32.const {}) (i32.const 65536)) (i32.store (i32.const {}) (i32.const 40000))",
                at + 4, at + 8, at + 12, at + 16
            ));
        }
        let body = format!(
            "{body} (i32.store8 (i32.const 1024) (i32.const 1))
             (i32.store (i32.const 1028) (i32.const 2048))
             (i32.store (i32.const 1032) (i32.const {edits})) (i32.const 1024)"
        );
        Guest::transformer().export("on-request", &body)
    };
    let (http, verdict) = request(big(1)).await;
    assert!(matches!(verdict, Ok(Verdict::Continue)));
    assert_eq!(http.state.lock().request_headers.get(b"aaa").map(<[u8]>::len), Some(40_000));
    let (_, verdict) = request(big(2)).await;
    assert_eq!(verdict.unwrap_err().message, "80006 bytes of headers; allowed: up to 65536");
    // Twice in one exchange: each is small enough, both together are not.
    let plugin = transformer(PluginSettings::default(), big(1));
    let http = self::http();
    plugin.stream(http.clone()).request_headers(true).await.unwrap();
    let error = plugin.stream(http.clone()).request_headers(true).await.unwrap_err();
    assert!(error.message.ends_with("bytes of headers; allowed: up to 65536"), "{error}");
}

#[tokio::test]
async fn a_head_that_was_sent_is_not_edited() {
    let edits = Edits { headers: &[("set", "a", "b")], ..Edits::default() };
    let guest = Guest::transformer().returning("on-request", &edits.of_request());
    let (http, stream) = stream(guest);
    http.state.lock().request_sent = true;
    let error = stream.request_headers(false).await.unwrap_err();
    assert_eq!(error.message, "edits a head that was sent already");
}

#[tokio::test]
async fn a_response_is_edited() {
    let edits =
        Edits { status: Some(410), headers: &[("remove", "set-cookie", "")], ..Edits::default() };
    let guest = Guest::transformer().returning("on-response", &edits.of_response());
    let (http, stream) = stream(guest);
    assert!(matches!(stream.response_headers(false).await, Ok(Verdict::Continue)));
    assert_eq!(lines(&http.state.lock().response_headers), [":status: 410"]);
}

#[tokio::test]
async fn a_response_status_has_a_range() {
    let edits = Edits { status: Some(101), ..Edits::default() };
    let guest = Guest::transformer().returning("on-response", &edits.of_response());
    let (_, stream) = stream(guest);
    let error = stream.response_headers(false).await.unwrap_err();
    assert_eq!(error.message, "status 101; allowed: 200 to 599");
}

#[tokio::test]
async fn it_replies_in_place_of_both_sides() {
    let guest = Guest::transformer()
        .returning("on-request", &replies(2, 56, 403))
        .returning("on-response", &replies(2, 24, 502));
    let (_, stream) = stream(guest);
    assert!(is_reply(&stream.request_headers(true).await.unwrap(), 403));
    assert!(is_reply(&stream.response_headers(true).await.unwrap(), 502));
}

/// A transformer that treats both bodies alike.
fn with_bodies(handling: impl Fn() -> Value) -> Guest {
    let edits = || Edits { body: handling(), ..Edits::default() };
    Guest::transformer()
        .returning("on-request", &edits().of_request())
        .returning("on-response", &edits().of_response())
}

async fn both_heads(stream: &Stream, end_of_stream: bool) -> [BodyNeed; 2] {
    stream.request_headers(end_of_stream).await.unwrap();
    stream.response_headers(end_of_stream).await.unwrap();
    [stream.request_body_need(), stream.response_body_need()]
}

#[tokio::test]
async fn a_streamed_body_goes_through_piece_by_piece() {
    let guest = with_bodies(streamed)
        .export("on-request-body", EXCLAIM)
        .export("on-response-body", EXCLAIM);
    let (_, stream) = stream(guest);
    assert_eq!(both_heads(&stream, false).await, [BodyNeed::Streamed; 2]);
    let mut piece = b"one".to_vec();
    stream.request_body(&mut piece, false).await.unwrap();
    assert_eq!(piece, b"one!");
    let mut piece = b"two".to_vec();
    stream.response_body(&mut piece, false).await.unwrap();
    assert_eq!(piece, b"two!");
    let mut piece = Vec::new();
    stream.request_body(&mut piece, true).await.unwrap();
    assert_eq!(piece, b".");
}

#[tokio::test]
async fn without_a_body_nothing_is_streamed_and_a_buffered_one_is_empty() {
    let (_, stream) = stream(with_bodies(streamed));
    assert_eq!(both_heads(&stream, true).await, [BodyNeed::None; 2]);
    let guest = with_bodies(buffered).export("on-request-body", EXCLAIM);
    let (_, stream) = super::host::stream(guest);
    assert_eq!(both_heads(&stream, true).await, [BodyNeed::Whole; 2]);
    let mut piece = Vec::new();
    stream.request_body(&mut piece, true).await.unwrap();
    assert_eq!(piece, b".");
}

#[tokio::test]
async fn a_buffered_body_passes_is_replaced_edited_or_replied_to() {
    for (action, expected, has_header) in [
        (Value::Case(0, 4, 20, None), b"whole".as_slice(), false),
        (replace(b"new"), b"new", false),
        (edit_body(b"newer", &[("set", "x-size", "5")]), b"newer", true),
        (edit_body(b"", &[]), b"", false),
    ] {
        let guest = with_bodies(buffered)
            .returning("on-request-body", &action)
            .returning("on-response-body", &action);
        let (http, stream) = stream(guest);
        assert_eq!(both_heads(&stream, false).await, [BodyNeed::Whole; 2]);
        let (mut request, mut response) = (b"whole".to_vec(), b"whole".to_vec());
        assert!(matches!(stream.request_body(&mut request, true).await, Ok(Verdict::Continue)));
        assert!(matches!(stream.response_body(&mut response, true).await, Ok(Verdict::Continue)));
        assert_eq!((request.as_slice(), response.as_slice()), (expected, expected));
        let state = http.state.lock();
        assert_eq!(state.request_headers.get(b"x-size").is_some(), has_header);
        assert_eq!(state.response_headers.get(b"x-size").is_some(), has_header);
    }
    let guest = with_bodies(buffered).returning("on-request-body", &replies(3, 20, 422));
    let (_, stream) = stream(guest);
    both_heads(&stream, false).await;
    let verdict = stream.request_body(&mut b"whole".to_vec(), true).await.unwrap();
    assert!(is_reply(&verdict, 422));
}

#[tokio::test]
async fn a_buffered_request_body_can_be_read_from_the_request_too() {
    let guest = with_bodies(buffered).export(
        "on-request-body",
        "(call $request.body (i32.const 512))
         (call $put (i32.load (i32.const 516)) (i32.load (i32.const 520)))
         (call $put (local.get 0) (local.get 1))
         (i32.store8 (i32.const 1024) (i32.const 1)) (drop (call $allow)) (i32.const 1024)",
    );
    let (_, stream) = stream(guest);
    both_heads(&stream, false).await;
    let mut piece = b"twice".to_vec();
    stream.request_body(&mut piece, true).await.unwrap();
    assert_eq!(piece, b"twicetwice");
}

#[tokio::test]
async fn a_streamed_body_can_neither_edit_the_head_nor_reply() {
    for action in [edit_body(b"x", &[("set", "a", "b")]), replies(3, 20, 422)] {
        let guest = with_bodies(streamed).returning("on-request-body", &action);
        let (http, stream) = stream(guest);
        both_heads(&stream, false).await;
        let mut piece = b"as it was".to_vec();
        let error = stream.request_body(&mut piece, false).await.unwrap_err();
        assert_eq!(error.message, "can edit the head or reply only with a buffered body");
        assert_eq!(error.kind, ErrorKind::Output);
        assert_eq!(piece, b"as it was", "for those that fail open");
        assert!(http.state.lock().request_headers.get(b"a").is_none());
    }
}

#[tokio::test]
async fn a_replaced_body_goes_out_once_and_is_not_read() {
    let (_, stream) = stream(with_bodies(|| replaced(b"new")));
    assert_eq!(both_heads(&stream, false).await, [BodyNeed::Streamed; 2]);
    for (last, expected) in [(false, b"new".as_slice()), (false, b""), (true, b"")] {
        let mut piece = b"old".to_vec();
        stream.response_body(&mut piece, last).await.unwrap();
        assert_eq!(piece, expected);
    }
    let (_, stream) = super::host::stream(with_bodies(|| replaced(b"new")));
    assert_eq!(both_heads(&stream, true).await, [BodyNeed::Whole; 2], "the head must say its size");
    let mut piece = Vec::new();
    stream.request_body(&mut piece, true).await.unwrap();
    assert_eq!(piece, b"new");
}

#[tokio::test]
async fn bodies_have_a_largest_size() {
    let mut settings = PluginSettings::default();
    settings.limits.body = 8;
    let load = |guest| transformer(settings.clone(), guest).stream(answered());
    let stream = load(with_bodies(buffered));
    both_heads(&stream, false).await;
    let verdict = stream.request_body(&mut vec![0; 9], true).await;
    assert!(matches!(verdict, Ok(Verdict::BodyTooLarge)));
    assert!(matches!(stream.request_body(&mut vec![0; 8], true).await, Ok(Verdict::Continue)));

    let stream = load(with_bodies(streamed).returning("on-request-body", &replace(&[0; 9])));
    both_heads(&stream, false).await;
    let error = stream.request_body(&mut vec![0; 8], true).await.unwrap_err();
    assert_eq!(error.message, "a body of 9 bytes; allowed: up to 8");

    let edits =
        Edits { body: replaced(&[0; 9]), headers: &[("set", "a", "b")], ..Edits::default() };
    let stream = load(Guest::transformer().returning("on-request", &edits.of_request()));
    let error = stream.request_headers(false).await.unwrap_err();
    assert_eq!(error.message, "a body of 9 bytes; allowed: up to 8");
}

/// A transformer that counts its calls: the count is the status it replies with.
fn counting() -> Guest {
    let count = |at: u32| {
        format!(
            "(global.set $n (i32.add (global.get $n) (i32.const 1)))
             (i32.store8 (i32.const {at}) (i32.const 2))
             (i32.store16 (i32.const {}) (i32.add (i32.const 200) (global.get $n)))
             (i32.const {at})",
            at + 4
        )
    };
    Guest::transformer()
        .with("(global $n (mut i32) (i32.const 0))")
        .export("on-request", &count(1024))
        .export("on-response", &count(1024))
}

#[tokio::test]
async fn with_isolation_each_exchange_has_its_own_instance_on_both_sides() {
    let statuses = async |isolation| {
        let settings = PluginSettings { isolation, ..PluginSettings::default() };
        let plugin = transformer(settings, counting());
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let stream = plugin.stream(answered());
            for verdict in [stream.request_headers(true).await, stream.response_headers(true).await]
            {
                let Ok(Verdict::Reply(reply)) = verdict else { panic!("{verdict:?}") };
                statuses.push(reply.status);
            }
        }
        statuses
    };
    assert_eq!(statuses(Isolation::PerRequest).await, [201, 202, 201, 202]);
    assert_eq!(statuses(Isolation::Shared).await, [201, 202, 203, 204]);
}
