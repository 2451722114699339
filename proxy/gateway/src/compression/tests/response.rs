use std::sync::Arc;

use super::{noise, plain, request, text};
use crate::compression::{Compressing, ResponseCompression};
use crate::config::Visibility;
use crate::exchange::{Client, Exchange};
use crate::head::{Field, Framing, Known, ResponseHead, Span};
use crate::http1::body::{Piece, Trailers};
use crate::proxy::{Sink, SinkError};
use crate::respond::LocalResponse;

fn wanted(minimum: u32, accept: &str) -> Option<ResponseCompression> {
    ResponseCompression::of(Some(minimum), &request("GET", &[("Accept-Encoding", accept)]))
}

fn local(status: u16, fields: &[(&str, &str)], body: Vec<u8>) -> LocalResponse {
    let mut response = LocalResponse::new(status);
    for (name, value) in fields {
        response.header(name, value.as_bytes());
    }
    response.body = body;
    response
}

fn encoding(response: &LocalResponse) -> Option<String> {
    let mut found =
        response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
    let (_, value) = found.next()?;
    assert!(found.next().is_none());
    Some(String::from_utf8_lossy(value).into_owned())
}

#[tokio::test]
async fn a_whole_response_is_compressed_from_the_minimum_on() {
    for (minimum, accept, length, expected) in [
        (Some(100), "gzip", 100, Some("gzip")),
        (Some(100), "gzip", 101, Some("gzip")),
        (Some(100), "deflate", 1_000_000, Some("deflate")),
        (Some(100), "gzip", 99, None),
        (Some(0), "gzip", 1, Some("gzip")),
        (Some(0), "gzip", 0, None),
        (Some(10_485_760), "gzip", 10_000, None),
        (Some(0), "br", 1_000, None),
        (None, "gzip", 1_000, None),
    ] {
        let body = text(length);
        let mut response = local(200, &[("ETag", "\"1\"")], body.clone());
        let head = request("GET", &[("Accept-Encoding", accept)]);
        if let Some(compression) = ResponseCompression::of(minimum, &head) {
            compression.compress(&mut response).await;
        }
        let what = format!("{minimum:?}, {accept}, {length}");
        assert_eq!(encoding(&response).as_deref(), expected, "{what}");
        let received = match expected {
            Some(encoding) => plain(encoding, &response.body),
            None => response.body.clone(),
        };
        assert!(received == body, "{what}");
        let names: Vec<&str> = response.headers.iter().map(|(name, _)| &**name).collect();
        assert!(!names.contains(&"Vary") && names.contains(&"ETag"), "{names:?}");
    }
}

#[tokio::test]
async fn some_responses_stay_as_they_are() {
    for (status, fields) in [
        (204, &[][..]),
        (206, &[]),
        (304, &[]),
        (200, &[("content-encoding", "br")]),
        (200, &[("Content-Encoding", "identity")]),
        (200, &[("Content-Range", "bytes 0-9/100")]),
        (200, &[("Cache-Control", "public, No-Transform")]),
        (200, &[("Content-Type", "text/event-stream; charset=utf-8")]),
    ] {
        let mut response = local(status, fields, text(1_000));
        wanted(0, "gzip").expect("gzip is known").compress(&mut response).await;
        assert_eq!(response.body, text(1_000), "{status} {fields:?}");
        assert_eq!(response.headers.len(), fields.len());
    }
    let to_head = request("HEAD", &[("Accept-Encoding", "gzip")]);
    assert_eq!(ResponseCompression::of(Some(0), &to_head), None);
}

#[tokio::test]
async fn what_does_not_compress_is_coded_all_the_same() {
    let mut response = local(200, &[], noise(1_000_000));
    wanted(0, "gzip").expect("gzip is known").compress(&mut response).await;
    assert!(plain("gzip", &response.body) == noise(1_000_000));
}

/// What a client gets.
#[derive(Default)]
struct Received {
    head: Option<(Framing, Vec<(String, String)>)>,
    body: Vec<u8>,
    /// How much of the body was there at each flush.
    flushed: Vec<usize>,
    last: bool,
    finished: Option<bool>,
}

impl Sink for Received {
    async fn begin(&mut self, _: &Exchange, response: &ResponseHead) -> Result<(), SinkError> {
        assert!(self.head.is_none(), "the head comes once");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = response.fields.iter().map(|field| {
            assert_eq!(field.known, Known::of(response.name(field)));
            (text(response.name(field)), text(response.value(field)))
        });
        self.head = Some((response.framing, fields.collect()));
        Ok(())
    }

    async fn data(&mut self, piece: Piece<'_>) -> Result<(), SinkError> {
        assert!(self.head.is_some() && !self.last, "data comes behind the head, before the end");
        self.body.extend_from_slice(piece.data);
        self.last = piece.last;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.flushed.push(self.body.len());
        Ok(())
    }

    async fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), SinkError> {
        self.finished = Some(trailers.is_some());
        Ok(())
    }
}

fn backend(framing: Framing, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead { status: 200, framing, ..ResponseHead::default() };
    for (name, value) in fields {
        let start = head.bytes.len();
        head.bytes.extend_from_slice(name.as_bytes());
        let middle = head.bytes.len();
        head.bytes.extend_from_slice(value.as_bytes());
        head.fields.push(Field {
            name: Span::new(start..middle),
            value: Span::new(middle..head.bytes.len()),
            known: Known::of(name.as_bytes()),
        });
    }
    head
}

fn exchange() -> Exchange {
    Exchange::new(Arc::new(Client {
        source_ip: "127.0.0.1".into(),
        addresses: None,
        listener_port: 80,
        visibility: Visibility::Public,
        tls: None,
        forwarding: None,
        penalised: Default::default(),
        given_context: Default::default(),
    }))
}

/// Streams pieces, with a pause behind each, as a call delivers them.
async fn deliver(
    compression: Option<ResponseCompression>,
    mut head: ResponseHead,
    pieces: &[&[u8]],
    trailers: Option<&Trailers>,
) -> Received {
    let (mut received, mut begun) = (Received::default(), false);
    let exchange = exchange();
    let mut sink = Compressing::new(&mut received, &mut begun);
    sink.begin(compression, &exchange, &mut head).await.expect("the client reads");
    for (at, piece) in pieces.iter().enumerate() {
        let last = trailers.is_none() && at + 1 == pieces.len();
        sink.data(&exchange, &mut head, Piece { data: piece, last }).await.expect("it reads");
        sink.flush().await.expect("it reads");
    }
    sink.finish(&exchange, &head, trailers).await.expect("it reads");
    let sent = sink.sent();
    assert_eq!(sent, received.body.len() as u64);
    assert!(begun);
    assert_eq!(received.finished, Some(trailers.is_some()));
    received
}

fn compressed_with(received: &Received) -> Option<&str> {
    let (framing, fields) = received.head.as_ref()?;
    let (_, value) = fields.iter().find(|(name, _)| name == "Content-Encoding")?;
    assert_eq!(*framing, Framing::Chunked);
    Some(value)
}

#[tokio::test]
async fn a_stream_is_compressed_from_the_minimum_on() {
    let long = text(100_000);
    for (framing, minimum, pieces, expected) in [
        (Framing::Length(100_000), 100_000, &[&long[..60_000], &long[60_000..]][..], Some("gzip")),
        (Framing::Length(100_000), 100_001, &[&long[..60_000], &long[60_000..]], None),
        (Framing::Chunked, 100_000, &[&long[..60_000], &long[60_000..]], Some("gzip")),
        (Framing::Chunked, 100_001, &[&long[..60_000], &long[60_000..]], None),
        (Framing::Chunked, 0, &[&long[..1], &long[1..]], Some("gzip")),
        (Framing::UntilClose, 10, &[&long[..10]], Some("gzip")),
        (Framing::UntilClose, 10, &[&long[..9]], None),
        (Framing::Chunked, 0, &[], None),
        (Framing::Length(0), 0, &[], None),
        (Framing::None, 0, &[], None),
    ] {
        let whole = pieces.concat();
        let received = deliver(wanted(minimum, "gzip"), backend(framing, &[]), pieces, None).await;
        let what = format!("{framing:?}, {minimum}, {} pieces", pieces.len());
        assert_eq!(compressed_with(&received), expected, "{what}");
        match expected {
            Some(encoding) => {
                assert!(plain(encoding, &received.body) == whole, "{what}");
                assert!(received.last, "{what}");
            }
            None => {
                assert!(received.body == whole, "{what}");
                assert_eq!(received.head.as_ref().map(|(framing, _)| *framing), Some(framing));
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_has_begun_keeps_nothing_back_at_a_pause() {
    let pieces: &[&[u8]] = &[b"one ", b"two ", b"three"];
    let received =
        deliver(wanted(5, "deflate"), backend(Framing::Chunked, &[]), pieces, None).await;
    // Nothing before the minimum; then all that came, readable where it was flushed.
    let [first, second] = received.flushed[..] else { panic!("{:?}", received.flushed) };
    for (at, expected) in [(first, &b"one two "[..]), (second, b"one two three")] {
        let mut readable = vec![0; 100];
        let mut inflate = flate2::Decompress::new(true);
        inflate
            .decompress(&received.body[..at], &mut readable, flate2::FlushDecompress::Sync)
            .expect("a sound prefix");
        assert_eq!(&readable[..expected.len()], expected);
    }
    assert_eq!(plain("deflate", &received.body), b"one two three");
}

#[tokio::test]
async fn trailers_follow_a_compressed_stream() {
    let trailers = Trailers::default();
    let body = text(1_000);
    let head = backend(Framing::Chunked, &[]);
    let received = deliver(wanted(0, "gzip"), head, &[&body], Some(&trailers)).await;
    assert_eq!(plain("gzip", &received.body), body);
    assert!(!received.last);
}

#[tokio::test]
async fn a_stream_that_may_not_be_changed_passes() {
    let body = text(1_000);
    for fields in [
        &[("content-encoding", "br")][..],
        &[("Cache-Control", "no-transform")],
        &[("Content-Range", "bytes 0-9/100")],
        &[("Content-Type", "text/event-stream")],
    ] {
        for framing in [Framing::Length(1_000), Framing::Chunked] {
            let received =
                deliver(wanted(0, "gzip"), backend(framing, fields), &[&body], None).await;
            assert_eq!(received.body, body, "{fields:?}");
            let (passed, names) = received.head.expect("a head");
            assert_eq!((passed, names.len()), (framing, 1));
            // Not held back either.
            assert_eq!(received.flushed, [1_000]);
        }
    }
    let received = deliver(None, backend(Framing::Chunked, &[]), &[&body], None).await;
    assert_eq!((received.body, received.flushed), (body, vec![1_000]));
}

#[tokio::test]
async fn a_stream_may_move_between_workers() {
    fn assert_send<F: Send>(future: F) -> F {
        future
    }
    let delivery = deliver(wanted(0, "gzip"), backend(Framing::Chunked, &[]), &[b"x"], None);
    assert_eq!(plain("gzip", &assert_send(delivery).await.body), b"x");
}

#[tokio::test]
async fn nothing_has_begun_while_a_stream_is_held_back() {
    let (mut received, mut begun) = (Received::default(), false);
    let exchange = exchange();
    let mut head = backend(Framing::Chunked, &[]);
    let mut sink = Compressing::new(&mut received, &mut begun);
    sink.begin(wanted(10, "gzip"), &exchange, &mut head).await.expect("it reads");
    let piece = Piece { data: b"short", last: false };
    sink.data(&exchange, &mut head, piece).await.expect("it reads");
    sink.flush().await.expect("it reads");
    assert!(!begun && received.head.is_none());
}
