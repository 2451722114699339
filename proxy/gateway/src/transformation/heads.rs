//! Heads and trailers between the gateway's form and the one that plugins see.
//!
//! What plugins left as it was keeps its place in the head's bytes and the case of its name, so
//! that a transformer which adds one header costs one header. Fields that the gateway owns
//! ([`Known::is_of_the_gateway`]) stay as they are, whatever plugins make of them.

use tollgate_plugin_host::{Changes, Headers, ReceivedField};

use crate::head::{Field, Known, RequestHead, ResponseHead, append};
use crate::http1::body::Trailers;
use crate::http1::parse::{is_field_value, is_token};
use crate::respond::LocalResponse;

/// Room for what plugins add to a response's headers.
const ROOM_BYTES: usize = 128;
const ROOM_FIELDS: usize = 4;

/// Puts the fields that plugins left in a request's head.
pub fn write_request(head: &mut RequestHead, headers: &Headers) {
    let from = head.bytes.len();
    write(&mut head.fields, &mut head.bytes, headers, RequestHead::is_fixed);
    if head.bytes.len() > from {
        head.edited_from = head.edited_from.min(from as u32);
    }
}

/// The headers of a backend's response as plugins see them, `:status` first.
pub fn read_response(head: &ResponseHead, headers: &mut Headers) {
    headers.clear();
    headers.reserve(head.bytes.len() + ROOM_BYTES, head.fields.len() + ROOM_FIELDS);
    push_status(head.status, headers);
    let visible = head.fields.iter().enumerate().filter(|(_, field)| {
        let of_connection = field.known.is_of_the_gateway() && field.known != Known::ContentLength;
        !(of_connection || head.nominates && head.is_nominated(head.name(field)))
    });
    headers.receive(&head.bytes, visible.map(received));
}

/// A field of a head, for plugins.
pub fn received((place, field): (usize, &Field)) -> ReceivedField {
    let Field { name, value, .. } = field;
    ReceivedField { place, name: (name.start, name.end), value: (value.start, value.end) }
}

/// Puts the fields that plugins left in a backend's response.
pub fn write_response(head: &mut ResponseHead, headers: &Headers) {
    write(&mut head.fields, &mut head.bytes, headers, Known::is_of_the_gateway);
}

/// The headers of the gateway's own response as plugins see them, `:status` first.
pub fn read_local(response: &LocalResponse, headers: &mut Headers) {
    headers.clear();
    push_status(response.status, headers);
    for (name, value) in &response.headers {
        headers.push(name.as_bytes(), value);
    }
}

/// Puts the fields that plugins left in the gateway's own response.
pub fn write_local(response: &mut LocalResponse, headers: &Headers) {
    let mut before = std::mem::take(&mut response.headers);
    for (name, value) in fields(headers) {
        let untouched = before.iter_mut().find(|(known, old)| {
            known.as_bytes().eq_ignore_ascii_case(name) && old.as_slice() == value
        });
        let field = match untouched {
            // Taken once: its name is no name any more.
            Some(field) => std::mem::take(field),
            None if is_written_by_the_gateway(name) => continue,
            None => (String::from_utf8_lossy(name).into(), value.to_vec()),
        };
        response.headers.push(field);
    }
}

/// Whether a response of the gateway's own has this header from somewhere else: where it is
/// written to the client.
pub fn is_written_by_the_gateway(name: &[u8]) -> bool {
    let known = Known::of(name);
    known.is_of_the_gateway()
        || matches!(known, Known::Date | Known::XAmznRequestId)
        || name.eq_ignore_ascii_case(b"x-amz-apigw-id")
}

/// The status that plugins left, if it is one of a response.
pub fn status(headers: &Headers) -> Option<u16> {
    let text = std::str::from_utf8(headers.get(b":status")?).ok()?;
    text.parse().ok().filter(|status| (200..=599).contains(status))
}

pub fn read_trailers(trailers: &Trailers, headers: &mut Headers) {
    headers.clear();
    for field in &trailers.fields {
        headers.push(field.name.of(&trailers.bytes), field.value.of(&trailers.bytes));
    }
}

pub fn write_trailers(headers: &Headers) -> Trailers {
    let mut trailers = Trailers::default();
    for (name, value) in fields(headers) {
        let known = Known::of(name);
        let name = append(&mut trailers.bytes, name);
        let value = append(&mut trailers.bytes, value);
        trailers.fields.push(Field { name, value, known });
    }
    trailers
}

fn push_status(status: u16, headers: &mut Headers) {
    headers.push_lower(b":status", itoa::Buffer::new().format(status).as_bytes());
}

/// What plugins left but pseudo-headers, and what no header can be.
fn fields(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.iter().filter(|(name, value)| is_field(name, value))
}

fn is_field(name: &[u8], value: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| is_token(*byte))
        // All are looked at, which the compiler does for sixteen at once.
        && value.iter().fold(true, |all, byte| all & is_field_value(*byte))
}

/// Makes a head's fields what plugins left: those as they were received keep their places in its
/// bytes, and what was written is added to them.
fn write(
    fields: &mut Vec<Field>,
    bytes: &mut Vec<u8>,
    headers: &Headers,
    is_fixed: impl Fn(Known) -> bool,
) {
    match headers.changes() {
        Changes::None => {}
        Changes::Added(from) => {
            for (name, value) in headers.from(from) {
                add(fields, bytes, (name, value), &is_fixed);
            }
        }
        Changes::Fields | Changes::Any => {
            let before = std::mem::take(fields);
            fields.reserve(before.len() + headers.len());
            fields.extend(before.iter().filter(|field| is_fixed(field.known)));
            for (place, name, value) in headers.placed() {
                match place.and_then(|place| before.get(place)) {
                    Some(field) if is_fixed(field.known) => {}
                    Some(field) => fields.push(*field),
                    None => add(fields, bytes, (name, value), &is_fixed),
                }
            }
        }
    }
}

/// Adds a field that plugins wrote, if it is one and is theirs to write.
fn add(
    fields: &mut Vec<Field>,
    bytes: &mut Vec<u8>,
    (name, value): (&[u8], &[u8]),
    is_fixed: impl Fn(Known) -> bool,
) {
    if !is_field(name, value) {
        return;
    }
    let known = Known::of(name);
    if !is_fixed(known) {
        let (name, value) = (append(bytes, name), append(bytes, value));
        fields.push(Field { name, value, known });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(bytes: &mut Vec<u8>, name: &str, value: &str) -> Field {
        let known = Known::of(name.as_bytes());
        Field {
            name: append(bytes, name.as_bytes()),
            value: append(bytes, value.as_bytes()),
            known,
        }
    }

    fn request(fields: &[(&str, &str)]) -> (RequestHead, Headers) {
        let mut head = RequestHead::default();
        for (name, value) in fields {
            let field = field(&mut head.bytes, name, value);
            head.fields.push(field);
        }
        let mut headers = Headers::default();
        headers.push(b":path", b"/");
        headers.receive(&head.bytes, head.fields.iter().enumerate().map(received));
        (head, headers)
    }

    fn written(head: &RequestHead) -> Vec<String> {
        let text = |field| [head.name(field), head.value(field)].map(String::from_utf8_lossy);
        head.fields.iter().map(|field| text(field).join("=")).collect()
    }

    #[test]
    fn untouched_fields_keep_their_case_and_take_no_new_bytes() {
        let (mut head, mut headers) = request(&[("X-One", "1"), ("X-Two", "2"), ("X-One", "3")]);
        let length = head.bytes.len();
        headers.set(b"x-two", b"9");
        headers.append(b"x-new", b"n");
        write_request(&mut head, &headers);
        assert_eq!(written(&head), ["X-One=1", "x-two=9", "X-One=3", "x-new=n"]);
        assert_eq!(head.bytes.len(), length + "x-two9x-newn".len());
        assert!(head.is_named(&head.fields[3], b"X-New"));
        assert!(!head.is_named(&head.fields[0], b"x-one"));
    }

    #[test]
    fn fields_of_the_gateway_survive_everything_plugins_do() {
        let fixed = [("Host", "h"), ("Content-Length", "3"), ("Content-Encoding", "gzip")];
        let (mut head, mut headers) = request(&fixed);
        headers.replace_all([
            (b"host".as_slice(), b"evil".as_slice()),
            (b"content-length", b"9"),
            (b"transfer-encoding", b"chunked"),
            (b"x-a", b"1"),
        ]);
        write_request(&mut head, &headers);
        let expected = ["Host=h", "Content-Length=3", "Content-Encoding=gzip", "x-a=1"];
        assert_eq!(written(&head), expected);
    }

    #[test]
    fn what_no_header_can_be_is_left_out() {
        let (mut head, mut headers) = request(&[]);
        for (name, value) in
            [("a b", "1"), ("", "2"), (":x", "3"), ("ok", "a\r\nb: c"), ("b", "\0")]
        {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        write_request(&mut head, &headers);
        assert!(written(&head).is_empty());
    }

    #[test]
    fn a_response_of_the_gateway_keeps_its_own_fields_and_the_case_of_others() {
        let mut response = LocalResponse::new(200);
        response.header("Content-Type", b"text/plain");
        response.header("X-A", b"1");
        let mut headers = Headers::default();
        read_local(&response, &mut headers);
        assert_eq!(status(&headers), Some(200));
        headers.set(b"x-a", b"2");
        for name in ["content-length", "date", "x-amzn-requestid", "x-amz-apigw-id", "connection"] {
            headers.append(name.as_bytes(), b"1");
        }
        write_local(&mut response, &headers);
        let names = response.headers.iter().map(|(name, value)| (&**name, value.as_slice()));
        let expected = [("Content-Type", b"text/plain".as_slice()), ("x-a", b"2")];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_a_final_status_is_a_status() {
        let mut headers = Headers::default();
        for (text, expected) in
            [("200", Some(200)), ("599", Some(599)), ("101", None), ("600", None), ("x", None)]
        {
            headers.set(b":status", text.as_bytes());
            assert_eq!(status(&headers), expected, "{text}");
        }
    }
}
