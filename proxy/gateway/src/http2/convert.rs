//! Heads between HTTP/2's form and the one the phases read.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::head::{Field, Framing, Known, RequestHead, ResponseHead, Span, Version};
use crate::http1::body::Trailers;
use crate::http1::parse::{HeadError, is_host};

/// A request of an HTTP/2 client. `end` says that it has no body.
pub fn request_head(
    parts: &http::request::Parts,
    end: bool,
    maximum_url: usize,
    maximum_fields: usize,
) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead { version: Version::Http2, ..RequestHead::default() };
    head.method = append(&mut head.bytes, parts.method.as_str().as_bytes());
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    if target.len() > maximum_url {
        return Err(HeadError::UrlTooLong);
    }
    // h2 lets through what HTTP/1.1's request line would not hold.
    if !target.starts_with('/') || !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(HeadError::RequestLine);
    }
    head.target = append(&mut head.bytes, target.as_bytes());
    if parts.headers.len() > maximum_fields {
        return Err(HeadError::TooLarge);
    }
    fields(&parts.headers, &mut head.bytes, &mut head.fields);
    if let Some(authority) = parts.uri.authority() {
        head.host = Some(append(&mut head.bytes, authority.as_str().as_bytes()));
    }
    interpret(&mut head, end)?;
    Ok(head)
}

fn interpret(head: &mut RequestHead, end: bool) -> Result<(), HeadError> {
    let mut length = None;
    let mut hosts = 0;
    for field in &head.fields {
        let value = field.value.of(&head.bytes);
        match field.known {
            Known::ContentLength if length.is_some() => return Err(HeadError::ContentLength),
            Known::ContentLength => {
                let text = std::str::from_utf8(value).ok();
                let number = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let number = number.and_then(|text| text.parse::<u64>().ok());
                length = Some(number.ok_or(HeadError::ContentLength)?);
            }
            // RFC 9113 §8.2.2: fields of a connection have no place in HTTP/2.
            Known::TransferEncoding
            | Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Upgrade => return Err(HeadError::TransferEncoding),
            Known::Te if !value.eq_ignore_ascii_case(b"trailers") => {
                return Err(HeadError::TransferEncoding);
            }
            Known::Host => {
                hosts += 1;
                // RFC 9113 §8.3.1: Host and :authority must agree.
                let agrees =
                    head.host().is_none_or(|authority| authority.eq_ignore_ascii_case(value));
                if hosts > 1 || !agrees {
                    return Err(HeadError::Host);
                }
                head.host = Some(field.value);
            }
            Known::Expect => head.expect_continue = value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
    }
    if !head.host().is_some_and(is_host) {
        return Err(HeadError::Host);
    }
    head.framing = match length {
        _ if end => Framing::None,
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    Ok(())
}

/// One of our own heads for an HTTP/2 upstream.
pub fn request(head: &RequestHead) -> Result<http::Request<()>, http::Error> {
    let target = std::str::from_utf8(head.target.of(&head.bytes)).unwrap_or("/");
    let authority = std::str::from_utf8(head.host().unwrap_or_default()).unwrap_or_default();
    let uri =
        http::Uri::builder().scheme("https").authority(authority).path_and_query(target).build()?;
    let mut request = http::Request::builder().method(head.method()).uri(uri).body(())?;
    for field in &head.fields {
        let name = field.name.of(&head.bytes);
        if is_of_connection(field.known) || field.known == Known::Host || head.is_nominated(name) {
            continue;
        }
        let name = HeaderName::from_bytes(name)?;
        let value = HeaderValue::from_bytes(field.value.of(&head.bytes))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// A response of an HTTP/2 upstream.
pub fn response_head(parts: &http::response::Parts, to_head: bool, end: bool) -> ResponseHead {
    let mut head = ResponseHead {
        status: parts.status.as_u16(),
        version: Version::Http2,
        ..ResponseHead::default()
    };
    fields(&parts.headers, &mut head.bytes, &mut head.fields);
    let length = parts.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    head.framing = match length {
        _ if end || to_head || matches!(head.status, 204 | 304) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    head
}

/// Fields of one connection, which HTTP/2 forbids.
pub fn is_of_connection(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

pub fn trailers(trailers: &Trailers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for field in trailers.fields.iter().filter(|field| field.known == Known::Other) {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(field.name.of(&trailers.bytes)),
            HeaderValue::from_bytes(field.value.of(&trailers.bytes)),
        ) {
            map.append(name, value);
        }
    }
    map
}

pub fn from_trailers(map: &HeaderMap) -> Trailers {
    let mut trailers = Trailers::default();
    fields(map, &mut trailers.bytes, &mut trailers.fields);
    trailers
}

fn fields(map: &HeaderMap, bytes: &mut Vec<u8>, fields: &mut Vec<Field>) {
    for (name, value) in map {
        let known = Known::of(name.as_str().as_bytes());
        let name = append(bytes, name.as_str().as_bytes());
        let value = append(bytes, value.as_bytes());
        fields.push(Field { name, value, known });
    }
}

fn append(bytes: &mut Vec<u8>, text: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(text);
    Span::new(start..bytes.len())
}
