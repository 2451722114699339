mod negotiate;
mod request;
mod response;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::{Read, Write};

use crate::head::{Field, Known, RequestHead, Span};

/// A request head with these fields.
fn request(method: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    let mut add = |text: &str| {
        let start = head.bytes.len();
        head.bytes.extend_from_slice(text.as_bytes());
        Span::new(start..head.bytes.len())
    };
    head.method = add(method);
    for (name, value) in fields {
        let field = Field { name: add(name), value: add(value), known: Known::of(name.as_bytes()) };
        head.fields.push(field);
    }
    head
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn bare_deflate(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// What a client makes of a compressed response.
fn plain(encoding: &str, coded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match encoding {
        "gzip" => flate2::read::GzDecoder::new(coded).read_to_end(&mut plain),
        "deflate" => flate2::read::ZlibDecoder::new(coded).read_to_end(&mut plain),
        other => panic!("no such coding: {other}"),
    }
    .expect("the whole body decodes");
    plain
}

/// Bytes that do not compress well.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Text that does.
fn text(length: usize) -> Vec<u8> {
    let line = b"{\"id\":12345,\"name\":\"a pet\",\"tags\":[\"one\",\"two\"]}\n";
    line.iter().copied().cycle().take(length).collect()
}
