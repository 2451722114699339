use std::collections::VecDeque;

use tollgate_model::api::GatewayResponseType;

use super::{bare_deflate, gzip, noise, request, text, zlib};
use crate::compression::{Coding, Decompressing, is_undecodable, request_body};
use crate::http1::body::{BodyError, Piece, Trailers};
use crate::proxy::Source;
use crate::refusal::Refusal;

const QUOTA: u64 = 1024 * 1024;

async fn decoded(encoding: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    request_body(&request("POST", &[("Content-Encoding", encoding)]), body.to_vec(), QUOTA).await
}

#[track_caller]
fn assert_unsupported(result: Result<Vec<u8>, Refusal>, what: &str) {
    let is_415 = matches!(
        result,
        Err(Refusal::Gateway { response_type: GatewayResponseType::UnsupportedMediaType, .. })
    );
    assert!(is_415, "{what}: {result:?}");
}

/// Pieces of a body, as they come from a client.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    current: Vec<u8>,
}

impl Pieces {
    fn of(body: &[u8], size: usize) -> Self {
        Self { pieces: body.chunks(size).map(<[u8]>::to_vec).collect(), current: Vec::new() }
    }
}

impl Source for Pieces {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        let Some(piece) = self.pieces.pop_front() else { return Ok(None) };
        self.current = piece;
        Ok(Some(Piece { data: &self.current, last: self.pieces.is_empty() }))
    }

    fn take_trailers(&mut self) -> Option<Box<Trailers>> {
        Some(Box::default())
    }
}

/// All of a streamed body, and its longest piece.
async fn streamed(
    coding: Option<Coding>,
    body: &[u8],
    size: usize,
) -> Result<(Vec<u8>, usize), BodyError> {
    let mut source = Decompressing::new(Pieces::of(body, size), coding);
    let (mut whole, mut longest) = (Vec::new(), 0);
    while let Some(piece) = source.next().await? {
        assert!(!piece.data.is_empty());
        whole.extend_from_slice(piece.data);
        longest = longest.max(piece.data.len());
    }
    assert!(source.take_trailers().is_some());
    Ok((whole, longest))
}

#[tokio::test]
async fn a_body_is_decoded_whatever_its_form() {
    for body in [Vec::new(), b"{}".to_vec(), text(300_000), noise(300_000)] {
        for (encoding, coded) in [
            ("gzip", gzip(&body)),
            ("x-gzip", gzip(&body)),
            ("deflate", zlib(&body)),
            ("deflate", bare_deflate(&body, 6)),
            ("deflate", bare_deflate(&body, 0)),
            ("identity", body.clone()),
            ("", body.clone()),
        ] {
            let decoded = decoded(encoding, &coded).await.expect("the body is sound");
            assert!(decoded == body, "{encoding}, {} bytes", body.len());
        }
    }
}

#[tokio::test]
async fn gzip_files_in_a_row_are_one_body() {
    let coded = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(decoded("gzip", &coded).await.expect("sound"), b"one two");
    let (whole, _) = streamed(Some(Coding::Gzip), &coded, 1).await.expect("sound");
    assert_eq!(whole, b"one two");
    assert_unsupported(decoded("gzip", &gzip(b"").repeat(1025)).await, "too many members");
}

#[tokio::test]
async fn an_empty_body_decodes_to_itself() {
    for encoding in ["gzip", "deflate", "identity"] {
        assert_eq!(decoded(encoding, b"").await.expect("nothing is wrong"), b"");
    }
    let (whole, _) = streamed(Some(Coding::Gzip), b"", 1).await.expect("nothing is wrong");
    assert_eq!(whole, b"");
}

#[tokio::test]
async fn what_is_not_as_its_header_says_is_unsupported() {
    let body = text(5_000);
    let sound = gzip(&body);
    let mut flipped = sound.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let mut wrong_sum = sound.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    for (what, encoding, coded) in [
        ("plain text", "gzip", b"{\"a\":1}".to_vec()),
        ("plain text", "deflate", b"{\"a\":1}".to_vec()),
        ("another format", "gzip", zlib(&body)),
        ("another format", "deflate", sound.clone()),
        ("a part", "gzip", sound[..sound.len() - 1].to_vec()),
        ("a part", "gzip", sound[..1].to_vec()),
        ("a part", "deflate", zlib(&body)[..20].to_vec()),
        ("one byte", "deflate", vec![0x78]),
        ("a damaged body", "gzip", flipped),
        ("a wrong sum", "gzip", wrong_sum),
        ("a tail", "gzip", [sound.clone(), b"x".to_vec()].concat()),
        ("zeroes behind", "gzip", [sound.clone(), vec![0; 8]].concat()),
        ("a tail", "deflate", [zlib(&body), zlib(&body)].concat()),
        ("a dictionary", "deflate", vec![0x78, 0xbb, 1, 2, 3, 4, 5, 6]),
        ("an unknown coding", "br", sound.clone()),
        ("two codings", "gzip, gzip", gzip(&sound)),
    ] {
        assert_unsupported(decoded(encoding, &coded).await, what);
    }
}

#[tokio::test]
async fn a_bomb_is_refused_as_soon_as_it_exceeds_the_quota() {
    let bomb = gzip(&vec![0; 2 * 1024 * 1024]);
    assert!(bomb.len() < 5_000);
    let refused = decoded("gzip", &bomb).await;
    assert!(matches!(refused, Err(Refusal::PayloadTooLarge { maximum: QUOTA })), "{refused:?}");
    // One byte decides.
    let head = request("POST", &[("Content-Encoding", "gzip")]);
    let exact = gzip(&text(1_000));
    assert!(request_body(&head, exact.clone(), 1_000).await.is_ok());
    let refused = request_body(&head, exact, 999).await;
    assert!(matches!(refused, Err(Refusal::PayloadTooLarge { maximum: 999 })), "{refused:?}");
}

#[tokio::test]
async fn a_streamed_body_is_decoded_piece_by_piece() {
    let body = [text(200_000), noise(200_000)].concat();
    for (coding, coded) in [
        (Some(Coding::Gzip), gzip(&body)),
        (Some(Coding::Deflate), zlib(&body)),
        (Some(Coding::Deflate), bare_deflate(&body, 6)),
        (None, body.clone()),
    ] {
        for size in [1, 7, 1_000, 1_000_000] {
            let (whole, _) = streamed(coding, &coded, size).await.expect("the body is sound");
            assert!(whole == body, "{coding:?} in pieces of {size}");
        }
    }
}

#[tokio::test]
async fn a_streamed_bomb_unfolds_in_small_pieces() {
    let bomb = gzip(&vec![0; 1024 * 1024]);
    let (whole, longest) = streamed(Some(Coding::Gzip), &bomb, 64 * 1024).await.expect("sound");
    assert_eq!(whole.len(), 1024 * 1024);
    assert!(longest <= 64 * 1024, "{longest}");
}

#[tokio::test]
async fn a_streamed_body_that_cannot_be_decoded_is_told_from_one_that_cannot_be_read() {
    let coded = gzip(&text(5_000));
    for broken in [b"plain".to_vec(), coded[..coded.len() - 1].to_vec()] {
        let error = streamed(Some(Coding::Gzip), &broken, 10).await.expect_err("broken");
        assert!(is_undecodable(&error).is_some(), "{error}");
    }
    assert!(is_undecodable(&BodyError::Truncated).is_none());
    assert!(is_undecodable(&BodyError::Io(std::io::ErrorKind::TimedOut.into())).is_none());
}

#[tokio::test]
async fn no_input_makes_the_decoder_panic() {
    let mut random = fastrand::Rng::with_seed(1);
    let sound = [gzip(&text(2_000)), zlib(&text(2_000)), bare_deflate(&noise(500), 6)];
    for round in 0..1_000 {
        let mut coded = sound[round % sound.len()].clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..coded.len());
            coded[at] = random.u8(..);
        }
        coded.truncate(random.usize(..=coded.len()));
        for coding in [Coding::Gzip, Coding::Deflate] {
            let size = random.usize(1..100);
            let whole = decoded(coding.name(), &coded).await;
            let streamed = streamed(Some(coding), &coded, size).await;
            assert_eq!(whole.is_ok(), streamed.is_ok(), "{coded:?} in pieces of {size}");
        }
    }
}
