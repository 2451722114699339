//! Message heads as the phases see them, whichever HTTP version they came in.
//!
//! A head is one run of bytes and a list of fields that point into it, so that an HTTP/1.1
//! head is used where it was read, without a copy, and its storage is reused by the next
//! request on the connection. HTTP/2 heads are written into the same form.

use std::ops::Range;

/// Fields that the gateway treats by name. All others are [`Known::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Other,
    Accept,
    Authorization,
    Connection,
    ContentEncoding,
    ContentLength,
    ContentMd5,
    ContentType,
    Date,
    Expect,
    Host,
    KeepAlive,
    MaxForwards,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    Server,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Via,
    WwwAuthenticate,
    XAmznApigatewayApiId,
    XAmznRequestId,
    XAmznTraceId,
    XForwardedFor,
    XForwardedPort,
    XForwardedProto,
    XHttpMethodOverride,
}

impl Known {
    /// Recognises a field name, in any case.
    pub fn of(name: &[u8]) -> Self {
        // Sorted by length, so that most names are settled by one comparison.
        let candidates: &[(&[u8], Known)] = match name.len() {
            2 => &[(b"te", Known::Te)],
            3 => &[(b"via", Known::Via)],
            4 => &[(b"host", Known::Host), (b"date", Known::Date)],
            6 => &[
                (b"accept", Known::Accept),
                (b"expect", Known::Expect),
                (b"server", Known::Server),
            ],
            7 => &[(b"trailer", Known::Trailer), (b"upgrade", Known::Upgrade)],
            10 => &[
                (b"connection", Known::Connection),
                (b"user-agent", Known::UserAgent),
                (b"keep-alive", Known::KeepAlive),
            ],
            11 => &[(b"content-md5", Known::ContentMd5)],
            12 => &[(b"content-type", Known::ContentType), (b"max-forwards", Known::MaxForwards)],
            13 => &[(b"authorization", Known::Authorization)],
            14 => &[(b"content-length", Known::ContentLength)],
            15 => &[
                (b"x-forwarded-for", Known::XForwardedFor),
                (b"x-amzn-trace-id", Known::XAmznTraceId),
            ],
            16 => &[
                (b"content-encoding", Known::ContentEncoding),
                (b"proxy-connection", Known::ProxyConnection),
                (b"www-authenticate", Known::WwwAuthenticate),
                (b"x-forwarded-port", Known::XForwardedPort),
                (b"x-amzn-requestid", Known::XAmznRequestId),
            ],
            17 => &[
                (b"transfer-encoding", Known::TransferEncoding),
                (b"x-forwarded-proto", Known::XForwardedProto),
            ],
            18 => &[(b"proxy-authenticate", Known::ProxyAuthenticate)],
            19 => &[(b"proxy-authorization", Known::ProxyAuthorization)],
            22 => &[(b"x-http-method-override", Known::XHttpMethodOverride)],
            24 => &[(b"x-amzn-apigateway-api-id", Known::XAmznApigatewayApiId)],
            _ => &[],
        };
        candidates
            .iter()
            .find(|(candidate, _)| name.eq_ignore_ascii_case(candidate))
            .map_or(Known::Other, |(_, known)| *known)
    }
}

/// One field: where its name and value lie in the head's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: Span,
    pub value: Span,
    pub known: Known,
}

/// A range of a head's bytes; heads are far smaller than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    /// The bytes of `bytes` this span covers.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

/// How a message says where its body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Responses only.
    UntilClose,
}

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// A request head.
#[derive(Debug)]
pub struct RequestHead {
    /// Bytes that the spans point into.
    pub bytes: Vec<u8>,
    pub fields: Vec<Field>,
    pub method: Span,
    /// The request target as it came, without scheme and authority.
    pub target: Span,
    /// The authority the client asked for, lower case not enforced; port included.
    pub host: Option<Span>,
    pub version: Version,
    pub framing: Framing,
    /// The client wants (or by its version implies) that the connection stays.
    pub keep_alive: bool,
    pub expect_continue: bool,
    /// A `Connection` field names other fields, which are for this connection only.
    pub nominates: bool,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            fields: Vec::new(),
            method: Span::default(),
            target: Span::default(),
            host: None,
            version: Version::Http11,
            framing: Framing::None,
            keep_alive: true,
            expect_continue: false,
            nominates: false,
        }
    }
}

impl RequestHead {
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.bytes)
    }

    /// Path part of the target, before `?`.
    pub fn path(&self) -> &[u8] {
        let target = self.target.of(&self.bytes);
        match memchr::memchr(b'?', target) {
            Some(at) => &target[..at],
            None => target,
        }
    }

    /// Query part of the target, after `?`.
    pub fn query(&self) -> Option<&[u8]> {
        let target = self.target.of(&self.bytes);
        memchr::memchr(b'?', target).map(|at| &target[at + 1..])
    }

    pub fn host(&self) -> Option<&[u8]> {
        self.host.map(|span| span.of(&self.bytes))
    }

    pub fn name(&self, field: &Field) -> &[u8] {
        field.name.of(&self.bytes)
    }

    pub fn value(&self, field: &Field) -> &[u8] {
        field.value.of(&self.bytes)
    }

    /// First value of a known field.
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        debug_assert!(known != Known::Other);
        self.fields.iter().find(|field| field.known == known).map(|field| self.value(field))
    }

    /// Whether a `Connection` field names the field `name`.
    pub fn is_nominated(&self, name: &[u8]) -> bool {
        self.nominates && is_nominated(&self.fields, &self.bytes, name)
    }

    pub fn clear(&mut self) {
        self.fields.clear();
        self.nominates = false;
        self.host = None;
        self.method = Span::default();
        self.target = Span::default();
        self.framing = Framing::None;
        self.expect_continue = false;
    }
}

/// A response head of an upstream.
#[derive(Debug)]
pub struct ResponseHead {
    pub bytes: Vec<u8>,
    pub fields: Vec<Field>,
    pub status: u16,
    pub version: Version,
    pub framing: Framing,
    pub keep_alive: bool,
    /// A `Connection` field names other fields, which are for this connection only.
    pub nominates: bool,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            fields: Vec::new(),
            status: 0,
            version: Version::Http11,
            framing: Framing::None,
            keep_alive: true,
            nominates: false,
        }
    }
}

impl ResponseHead {
    /// Whether a `Connection` field names the field `name`.
    pub fn is_nominated(&self, name: &[u8]) -> bool {
        self.nominates && is_nominated(&self.fields, &self.bytes, name)
    }

    pub fn name(&self, field: &Field) -> &[u8] {
        field.name.of(&self.bytes)
    }

    pub fn value(&self, field: &Field) -> &[u8] {
        field.value.of(&self.bytes)
    }

    pub fn known(&self, known: Known) -> Option<&[u8]> {
        self.fields.iter().find(|field| field.known == known).map(|field| self.value(field))
    }
}

fn is_nominated(fields: &[Field], bytes: &[u8], name: &[u8]) -> bool {
    let mut connections = fields.iter().filter(|field| field.known == Known::Connection);
    connections.any(|field| nominates(field.value.of(bytes), name))
}

/// Whether a `Connection` field's value names more than what becomes of the connection.
pub fn nominates_fields(connection: &[u8]) -> bool {
    !connection.eq_ignore_ascii_case(b"keep-alive") && !connection.eq_ignore_ascii_case(b"close")
}

/// Whether a `Connection` field's value nominates `token`.
pub fn nominates(connection: &[u8], token: &[u8]) -> bool {
    connection.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_fields_are_found_in_any_case() {
        assert_eq!(Known::of(b"Content-Length"), Known::ContentLength);
        assert_eq!(Known::of(b"HOST"), Known::Host);
        assert_eq!(Known::of(b"X-HTTP-Method-Override"), Known::XHttpMethodOverride);
        assert_eq!(Known::of(b"X-Amzn-Apigateway-Api-Id"), Known::XAmznApigatewayApiId);
        assert_eq!(Known::of(b"Hosts"), Known::Other);
    }

    #[test]
    fn a_connection_field_nominates_whole_tokens_only() {
        assert!(nominates(b"keep-alive, X-Foo", b"x-foo"));
        assert!(!nominates(b"x-foobar", b"x-foo"));
    }
}
