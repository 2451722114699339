//! Strict reading of HTTP/1.1 heads (RFC 9112).
//!
//! One rule decides every doubt: what two servers could read in two ways is refused. Line ends
//! are CRLF only, there is one space where the grammar has one, nothing is folded, and a body
//! has exactly one length. Being lenient here is how requests are smuggled past a gateway.

use std::ops::Range;

use crate::head::{
    Field, Framing, Known, RequestHead, ResponseHead, Span, Version, nominates, nominates_fields,
};

/// All `Connection` fields of a request, in bytes. Each field of the request is compared with what
/// they name, so that long ones would cost far more than they weigh.
const MAXIMUM_CONNECTION: usize = 512;

/// Why a head was refused. All answer 400 unless said otherwise, and all close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("a line does not end in CRLF")]
    LineEnd,
    #[error("the request line is not METHOD SP target SP HTTP/1.x")]
    RequestLine,
    #[error("the status line is not HTTP/1.x SP status")]
    StatusLine,
    #[error("the HTTP version is not 1.0 or 1.1")]
    Version,
    #[error("a field name has a character outside the token set, or a space before its colon")]
    FieldName,
    #[error("a field value has a control character")]
    FieldValue,
    #[error("a field line is folded")]
    Folding,
    #[error("Content-Length is not one decimal number")]
    ContentLength,
    #[error("Transfer-Encoding is not exactly one chunked")]
    TransferEncoding,
    #[error("Content-Length and Transfer-Encoding came together")]
    TwoLengths,
    #[error("Host is missing, repeated or not a host")]
    Host,
    #[error("Connection names more fields than anyone needs")]
    Connection,
    #[error("Expect is not 100-continue")]
    Expect,
    /// Answers 431.
    #[error("the head has more bytes or fields than allowed")]
    TooLarge,
    /// Answers 414.
    #[error("the request target is longer than allowed")]
    UrlTooLong,
}

/// Looks for the end of a head, remembering how far it has looked.
#[derive(Debug, Default)]
pub struct HeadScanner {
    scanned: usize,
}

impl HeadScanner {
    /// Length of the head with its empty line, once it is all there. `bytes` grows between
    /// calls, so the work is linear however the bytes drip in.
    pub fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        while let Some(at) = memchr::memchr(b'\n', &bytes[self.scanned..]) {
            let line_feed = self.scanned + at;
            if line_feed == 0 || bytes[line_feed - 1] != b'\r' {
                return Err(HeadError::LineEnd);
            }
            self.scanned = line_feed + 1;
            if line_feed >= 3 && &bytes[line_feed - 3..line_feed] == b"\r\n\r" {
                self.scanned = 0;
                return Ok(Some(line_feed + 1));
            }
        }
        self.scanned = bytes.len();
        Ok(None)
    }

    pub fn reset(&mut self) {
        self.scanned = 0;
    }
}

/// Bounds on a request head.
#[derive(Clone, Copy, Debug)]
pub struct HeadBounds {
    pub url: usize,
    pub fields: usize,
}

/// Reads the request head that is the first `length` bytes of `head.bytes`.
pub fn request(head: &mut RequestHead, length: usize, bounds: HeadBounds) -> Result<(), HeadError> {
    head.clear();
    let line_end = line_end(&head.bytes[..length], 0)?;
    let (method, target, version) = request_line(&head.bytes[..line_end])?;
    if target.len() > bounds.url {
        return Err(HeadError::UrlTooLong);
    }
    head.method = Span::new(method);
    head.version = version;
    fields(&head.bytes[..length], line_end + 2, bounds.fields, &mut head.fields)?;
    interpret_request(head)?;
    split_target(head, target)
}

/// Reads the response head that is the first `length` bytes of `head.bytes`.
/// `to_head` says that the request was a HEAD: such a response has no body.
pub fn response(
    head: &mut ResponseHead,
    length: usize,
    maximum_fields: usize,
    to_head: bool,
) -> Result<(), HeadError> {
    head.fields.clear();
    let line_end = line_end(&head.bytes[..length], 0)?;
    let line = &head.bytes[..line_end];
    // HTTP/1.1 SP 3DIGIT [ SP reason ]
    if line.len() < 12 || line[8] != b' ' || !line[9..12].iter().all(u8::is_ascii_digit) {
        return Err(HeadError::StatusLine);
    }
    if line.len() > 12 && line[12] != b' ' {
        return Err(HeadError::StatusLine);
    }
    head.version = version(&line[..8])?;
    head.status = line[9..12].iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
    if head.status < 100 {
        return Err(HeadError::StatusLine);
    }
    fields(&head.bytes[..length], line_end + 2, maximum_fields, &mut head.fields)?;
    interpret_response(head, to_head)
}

/// Where the line that starts at `from` ends (the position of its CR).
fn line_end(bytes: &[u8], from: usize) -> Result<usize, HeadError> {
    match memchr::memchr(b'\r', &bytes[from..]) {
        Some(at) if bytes.get(from + at + 1) == Some(&b'\n') => Ok(from + at),
        _ => Err(HeadError::LineEnd),
    }
}

fn request_line(line: &[u8]) -> Result<(Range<usize>, Range<usize>, Version), HeadError> {
    let first = memchr::memchr(b' ', line).ok_or(HeadError::RequestLine)?;
    let second = memchr::memrchr(b' ', line).ok_or(HeadError::RequestLine)?;
    let (method, target) = (0..first, first + 1..second);
    if method.is_empty()
        || second <= first + 1
        || !line[method.clone()].iter().all(|b| is_token(*b))
    {
        return Err(HeadError::RequestLine);
    }
    // A space, a control character or a byte beyond ASCII in the target is somebody's mistake
    // or somebody's attack; a fragment never travels.
    if !line[target.clone()].iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return Err(HeadError::RequestLine);
    }
    Ok((method, target, version(&line[second + 1..])?))
}

fn version(text: &[u8]) -> Result<Version, HeadError> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(HeadError::Version),
    }
}

fn fields(
    bytes: &[u8],
    mut at: usize,
    maximum: usize,
    fields: &mut Vec<Field>,
) -> Result<(), HeadError> {
    loop {
        let end = line_end(bytes, at)?;
        if end == at {
            return Ok(());
        }
        if fields.len() == maximum {
            return Err(HeadError::TooLarge);
        }
        fields.push(field(bytes, at, end)?);
        at = end + 2;
    }
}

pub fn field(bytes: &[u8], start: usize, end: usize) -> Result<Field, HeadError> {
    if matches!(bytes[start], b' ' | b'\t') {
        return Err(HeadError::Folding);
    }
    let colon = bytes[start..end].iter().position(|byte| !is_token(*byte));
    let name = match colon {
        Some(length) if length > 0 && bytes[start + length] == b':' => start..start + length,
        _ => return Err(HeadError::FieldName),
    };
    let (mut from, mut to) = (name.end + 1, end);
    while from < to && matches!(bytes[from], b' ' | b'\t') {
        from += 1;
    }
    while to > from && matches!(bytes[to - 1], b' ' | b'\t') {
        to -= 1;
    }
    if !bytes[from..to].iter().all(|byte| is_field_value(*byte)) {
        return Err(HeadError::FieldValue);
    }
    let known = Known::of(&bytes[name.clone()]);
    Ok(Field { name: Span::new(name), value: Span::new(from..to), known })
}

/// RFC 9110 §5.6.2.
pub fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let allowed =
            b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut i = 0;
        while i < allowed.len() {
            table[allowed[i] as usize] = true;
            i += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

/// RFC 9110 §5.5: visible characters, space, tab, and bytes beyond ASCII.
pub fn is_field_value(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f || byte == b'\t'
}

fn interpret_request(head: &mut RequestHead) -> Result<(), HeadError> {
    let mut keep_alive = head.version == Version::Http11;
    let mut length = None;
    let mut chunked = false;
    let mut connection_bytes = 0;
    for field in &head.fields {
        let value = field.value.of(&head.bytes);
        if field.known == Known::Connection {
            connection_bytes += value.len();
            if connection_bytes > MAXIMUM_CONNECTION {
                return Err(HeadError::Connection);
            }
            head.nominates |= nominates_fields(value);
        }
        match field.known {
            Known::ContentLength if length.is_some() => return Err(HeadError::ContentLength),
            Known::ContentLength => length = Some(content_length(value)?),
            Known::TransferEncoding if chunked => return Err(HeadError::TransferEncoding),
            Known::TransferEncoding => chunked = transfer_encoding(value, head.version)?,
            Known::Connection if nominates(value, b"close") => keep_alive = false,
            Known::Connection if head.version == Version::Http10 => {
                keep_alive = nominates(value, b"keep-alive");
            }
            Known::Host if head.host.is_some() => return Err(HeadError::Host),
            Known::Host if is_host(value) => head.host = Some(field.value),
            Known::Host => return Err(HeadError::Host),
            Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                head.expect_continue = head.version == Version::Http11;
            }
            Known::Expect => return Err(HeadError::Expect),
            _ => {}
        }
    }
    head.keep_alive = keep_alive;
    head.framing = match (length, chunked) {
        (Some(_), true) => return Err(HeadError::TwoLengths),
        (None, true) => Framing::Chunked,
        (None, false) | (Some(0), false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
    };
    Ok(())
}

fn interpret_response(head: &mut ResponseHead, to_head: bool) -> Result<(), HeadError> {
    let mut keep_alive = head.version == Version::Http11;
    let mut length = None;
    let mut chunked = false;
    head.nominates = false;
    for field in &head.fields {
        let value = field.value.of(&head.bytes);
        head.nominates |= field.known == Known::Connection && nominates_fields(value);
        match field.known {
            Known::ContentLength => {
                let this = content_length(value)?;
                // Some servers repeat the same number; two different ones are an attack.
                if length.is_some_and(|other| other != this) {
                    return Err(HeadError::ContentLength);
                }
                length = Some(this);
            }
            Known::TransferEncoding if chunked => return Err(HeadError::TransferEncoding),
            Known::TransferEncoding => chunked = transfer_encoding(value, head.version)?,
            Known::Connection if nominates(value, b"close") => keep_alive = false,
            Known::Connection if head.version == Version::Http10 => {
                keep_alive = nominates(value, b"keep-alive");
            }
            _ => {}
        }
    }
    head.framing = match (length, chunked) {
        _ if to_head || head.status < 200 || matches!(head.status, 204 | 304) => Framing::None,
        (Some(_), true) => return Err(HeadError::TwoLengths),
        (None, true) => Framing::Chunked,
        (Some(0), false) => Framing::None,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::UntilClose,
    };
    head.keep_alive = keep_alive && head.framing != Framing::UntilClose;
    Ok(())
}

/// One run of digits that fits in 63 bits: no sign, no list, no space.
fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::ContentLength);
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

fn transfer_encoding(value: &[u8], version: Version) -> Result<bool, HeadError> {
    if version == Version::Http11 && value.eq_ignore_ascii_case(b"chunked") {
        Ok(true)
    } else {
        Err(HeadError::TransferEncoding)
    }
}

/// Whether `value` can be an authority: a name, an IPv4 address or a bracketed IPv6 address,
/// and perhaps a port.
pub fn is_host(value: &[u8]) -> bool {
    let (name, port) = if value.first() == Some(&b'[') {
        match memchr::memchr(b']', value) {
            Some(end) => (&value[1..end], &value[end + 1..]),
            None => return false,
        }
    } else {
        let colon = memchr::memchr(b':', value).unwrap_or(value.len());
        (&value[..colon], &value[colon..])
    };
    let bracketed = value.first() == Some(&b'[');
    let name_is_valid = !name.is_empty()
        && name.len() <= 255
        && name.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'.' | b'_')
                || (bracketed && *byte == b':')
        });
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_is_valid && port_is_valid
}

/// Takes scheme and authority off an absolute-form target; the authority must be the one that
/// `Host` names, for whoever reads either must see the same.
fn split_target(head: &mut RequestHead, target: Range<usize>) -> Result<(), HeadError> {
    let text = &head.bytes[target.clone()];
    if text[0] == b'/' {
        head.target = Span::new(target);
    } else {
        let scheme = if starts_with_ignore_case(text, b"http://") {
            7
        } else if starts_with_ignore_case(text, b"https://") {
            8
        } else {
            // Authority form (CONNECT) and asterisk form have no place at an API.
            return Err(HeadError::RequestLine);
        };
        let authority_end = text[scheme..]
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?'))
            .map_or(text.len(), |at| scheme + at);
        // `http://host?query` has an empty path, which cannot be written as a span of `/`.
        if text.get(authority_end) != Some(&b'/') {
            return Err(HeadError::RequestLine);
        }
        let authority = &text[scheme..authority_end];
        if head.host().is_none_or(|host| !host.eq_ignore_ascii_case(authority)) {
            return Err(HeadError::Host);
        }
        head.target = Span::new(target.start + authority_end..target.end);
    }
    if head.host.is_none() && head.version == Version::Http11 {
        return Err(HeadError::Host);
    }
    Ok(())
}

fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.len() >= prefix.len() && text[..prefix.len()].eq_ignore_ascii_case(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds { url: 100, fields: 10 };

    fn read(text: &str) -> Result<RequestHead, HeadError> {
        let mut head = RequestHead { bytes: text.as_bytes().to_vec(), ..RequestHead::default() };
        let mut scanner = HeadScanner::default();
        let length = scanner.find_end(&head.bytes)?.expect("the test's head is whole");
        request(&mut head, length, BOUNDS)?;
        Ok(head)
    }

    fn check(text: &str, expected: Result<Framing, HeadError>) {
        assert_eq!(read(text).map(|head| head.framing), expected, "{text:?}");
    }

    #[test]
    fn a_plain_request_is_read() {
        let head = read("GET /a?b=c HTTP/1.1\r\nHost: x.example:80\r\nA:  b \t\r\n\r\n").unwrap();
        assert_eq!(head.method(), b"GET");
        assert_eq!(head.path(), b"/a");
        assert_eq!(head.query(), Some(&b"b=c"[..]));
        assert_eq!(head.host(), Some(&b"x.example:80"[..]));
        assert_eq!(head.value(&head.fields[1]), b"b");
        assert!(head.keep_alive);
    }

    #[test]
    fn a_body_has_exactly_one_length() {
        let table = [
            ("Content-Length: 5", Ok(Framing::Length(5))),
            ("Content-Length: 0", Ok(Framing::None)),
            ("Transfer-Encoding: chunked", Ok(Framing::Chunked)),
            ("Transfer-Encoding: Chunked", Ok(Framing::Chunked)),
            ("Content-Length: 5\r\nContent-Length: 5", Err(HeadError::ContentLength)),
            ("Content-Length: 5, 5", Err(HeadError::ContentLength)),
            ("Content-Length: +5", Err(HeadError::ContentLength)),
            ("Content-Length: -5", Err(HeadError::ContentLength)),
            ("Content-Length: 0x5", Err(HeadError::ContentLength)),
            ("Content-Length:", Err(HeadError::ContentLength)),
            ("Content-Length: 99999999999999999999", Err(HeadError::ContentLength)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", Err(HeadError::TwoLengths)),
            ("Content-Length: 0\r\nTransfer-Encoding: chunked", Err(HeadError::TwoLengths)),
            ("Transfer-Encoding: gzip, chunked", Err(HeadError::TransferEncoding)),
            ("Transfer-Encoding: chunked, identity", Err(HeadError::TransferEncoding)),
            ("Transfer-Encoding: xchunked", Err(HeadError::TransferEncoding)),
            ("Transfer-Encoding: identity", Err(HeadError::TransferEncoding)),
            ("Transfer-Encoding:\x0bchunked", Err(HeadError::FieldValue)),
            ("Transfer-Encoding : chunked", Err(HeadError::FieldName)),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                Err(HeadError::TransferEncoding),
            ),
        ];
        for (fields, expected) in table {
            check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"), expected);
        }
        check(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err(HeadError::TransferEncoding),
        );
    }

    #[test]
    fn a_request_line_has_two_single_spaces_and_nothing_odd() {
        let table = [
            ("GET  / HTTP/1.1", HeadError::RequestLine),
            ("GET /  HTTP/1.1", HeadError::RequestLine),
            ("GET /a b HTTP/1.1", HeadError::RequestLine),
            (" GET / HTTP/1.1", HeadError::RequestLine),
            ("GET / HTTP/1.1 ", HeadError::RequestLine),
            ("GET\t/ HTTP/1.1", HeadError::RequestLine),
            ("GET /\u{e9} HTTP/1.1", HeadError::RequestLine),
            ("GET /a#b HTTP/1.1", HeadError::RequestLine),
            ("GET / HTTP/2.0", HeadError::Version),
            ("GET / http/1.1", HeadError::Version),
            ("GET /", HeadError::RequestLine),
            ("G@T / HTTP/1.1", HeadError::RequestLine),
            ("CONNECT a:443 HTTP/1.1", HeadError::RequestLine),
            ("OPTIONS * HTTP/1.1", HeadError::RequestLine),
            ("GET http://b/ HTTP/1.1", HeadError::Host),
        ];
        for (line, expected) in table {
            check(&format!("{line}\r\nHost: a\r\n\r\n"), Err(expected));
        }
    }

    #[test]
    fn a_field_line_is_a_token_a_colon_and_clean_text() {
        let table = [
            ("A b: c", HeadError::FieldName),
            (": c", HeadError::FieldName),
            ("A", HeadError::FieldName),
            ("A: b\r\n c", HeadError::Folding),
            ("A: b\x00c", HeadError::FieldValue),
            ("A: b\rc", HeadError::LineEnd),
            ("A: b\nC: d", HeadError::LineEnd),
            ("Host: b", HeadError::Host),
            ("Expect: 200-ok", HeadError::Expect),
        ];
        for (field, expected) in table {
            check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"), Err(expected));
        }
    }

    #[test]
    fn all_connection_fields_count_for_what_is_nominated() {
        let head = read(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: X-A, close\r\n\r\n",
        )
        .unwrap();
        assert!(head.is_nominated(b"x-a"));
        assert!(!head.is_nominated(b"x-b"));
        assert!(!head.keep_alive);
        let names = ",x".repeat(300);
        check(
            &format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {names}\r\n\r\n"),
            Err(HeadError::Connection),
        );
    }

    #[test]
    fn http_1_1_needs_one_valid_host() {
        check("GET / HTTP/1.1\r\n\r\n", Err(HeadError::Host));
        check("GET / HTTP/1.0\r\n\r\n", Ok(Framing::None));
        for host in ["a/b", "a b", "", "a:b", "[::1", "a@b", "a:1:2"] {
            check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Err(HeadError::Host));
        }
        for host in ["a", "a.b-c:80", "[::1]:8080", "127.0.0.1"] {
            check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), Ok(Framing::None));
        }
    }

    #[test]
    fn an_absolute_target_must_agree_with_host() {
        let head = read("GET http://A.b/c?d HTTP/1.1\r\nHost: a.B\r\n\r\n").unwrap();
        assert_eq!(head.path(), b"/c");
        check("GET http://evil/c HTTP/1.1\r\nHost: a\r\n\r\n", Err(HeadError::Host));
    }

    #[test]
    fn bounds_are_kept() {
        let url = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100));
        check(&url, Err(HeadError::UrlTooLong));
        let fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(10));
        check(&fields, Err(HeadError::TooLarge));
    }

    #[test]
    fn a_head_is_found_however_its_bytes_drip_in() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let mut scanner = HeadScanner::default();
        let found = (0..=text.len()).find_map(|n| scanner.find_end(&text[..n]).unwrap());
        assert_eq!(found, Some(text.len() - 4));
        assert_eq!(HeadScanner::default().find_end(b"GET / HTTP/1.1\n"), Err(HeadError::LineEnd));
    }

    #[test]
    fn a_response_without_length_ends_with_the_connection() {
        let read = |text: &str, to_head| {
            let mut head = ResponseHead { bytes: text.as_bytes().to_vec(), ..Default::default() };
            response(&mut head, text.len(), 10, to_head).map(|()| (head.framing, head.keep_alive))
        };
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n", false), Ok((Framing::UntilClose, false)));
        assert_eq!(read("HTTP/1.1 204\r\n\r\n", false), Ok((Framing::None, true)));
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", true),
            Ok((Framing::None, true))
        );
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n", false),
            Err(HeadError::ContentLength)
        );
        assert_eq!(read("HTTP/1.1 20 OK\r\n\r\n", false), Err(HeadError::StatusLine));
    }
}
