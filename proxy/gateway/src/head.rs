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

    /// Whether the field speaks of connection, framing or routing, which are the gateway's:
    /// plugins see some of these fields but can't change them.
    pub fn is_of_the_gateway(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::ContentLength
                | Self::Expect
                | Self::Host
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
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

    pub fn len(self) -> usize {
        (self.end - self.start) as usize
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
    /// Where in `bytes` begins what plugins wrote.
    pub edited_from: u32,
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
            edited_from: u32::MAX,
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
    #[inline]
    pub fn is_nominated(&self, name: &[u8]) -> bool {
        self.nominates && is_nominated(&self.fields, &self.bytes, name)
    }

    /// Whether a mapping that says `name` means this field. Case counts, as the client sent it
    /// (rest-api §4), except in names that plugins wrote: those know only lower case.
    pub fn is_named(&self, field: &Field, name: &[u8]) -> bool {
        let known = self.name(field);
        known == name || field.name.start >= self.edited_from && known.eq_ignore_ascii_case(name)
    }

    /// Leaves one field of this name, at the place of the first. Names and values have to be
    /// valid. As the others below it does nothing to fields that the gateway owns.
    pub fn set_field(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        if Self::is_fixed(known) {
            return;
        }
        let field = self.write_field(name, value, known);
        let bytes = &self.bytes;
        let mut replacement = Some(field);
        self.fields.retain_mut(|field| {
            if !field.name.of(bytes).eq_ignore_ascii_case(name) {
                return true;
            }
            replacement.take().map(|replacement| *field = replacement).is_some()
        });
        self.fields.extend(replacement);
    }

    /// Adds a field after those there are.
    pub fn append_field(&mut self, name: &[u8], value: &[u8]) {
        let known = Known::of(name);
        if !Self::is_fixed(known) {
            let field = self.write_field(name, value, known);
            self.fields.push(field);
        }
    }

    /// Removes all fields of this name.
    pub fn remove_field(&mut self, name: &[u8]) {
        if !Self::is_fixed(Known::of(name)) {
            let bytes = &self.bytes;
            self.fields.retain(|field| !field.name.of(bytes).eq_ignore_ascii_case(name));
        }
    }

    /// Whether plugins can't change the field. A request's body is decoded for whatever reads it,
    /// so its coding is what the client says; and the request was routed by the method that the
    /// client put over its own.
    pub fn is_fixed(known: Known) -> bool {
        known.is_of_the_gateway()
            || matches!(known, Known::ContentEncoding | Known::XHttpMethodOverride)
    }

    fn write_field(&mut self, name: &[u8], value: &[u8], known: Known) -> Field {
        Field { name: self.write(name), value: self.write(value), known }
    }

    /// Keeps bytes that a plugin wrote.
    pub fn write(&mut self, text: &[u8]) -> Span {
        self.edited_from = self.edited_from.min(self.bytes.len() as u32);
        append(&mut self.bytes, text)
    }

    pub fn clear(&mut self) {
        self.fields.clear();
        self.edited_from = u32::MAX;
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
    #[inline]
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

/// Appends text to a head's bytes.
pub fn append(bytes: &mut Vec<u8>, text: &[u8]) -> Span {
    let start = bytes.len();
    bytes.extend_from_slice(text);
    Span::new(start..bytes.len())
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
    fn head(fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        for (name, value) in fields {
            let known = Known::of(name.as_bytes());
            let name = append(&mut head.bytes, name.as_bytes());
            let value = append(&mut head.bytes, value.as_bytes());
            head.fields.push(Field { name, value, known });
        }
        head
    }

    fn fields(head: &RequestHead) -> Vec<String> {
        let text = |field| [head.name(field), head.value(field)].map(String::from_utf8_lossy);
        head.fields.iter().map(|field| text(field).join("=")).collect()
    }

    #[test]
    fn a_set_field_takes_the_place_of_all_of_its_name() {
        let mut head = head(&[("X-A", "1"), ("B", "2"), ("x-a", "3")]);
        head.set_field(b"x-a", b"9");
        head.set_field(b"authorization", b"t");
        assert_eq!(fields(&head), ["x-a=9", "B=2", "authorization=t"]);
        assert_eq!(head.known(Known::Authorization), Some(b"t".as_slice()));
        head.remove_field(b"X-A");
        head.append_field(b"b", b"4");
        assert_eq!(fields(&head), ["B=2", "authorization=t", "b=4"]);
    }

    #[test]
    fn fields_of_connection_framing_and_coding_stay_as_they_are() {
        let mut head =
            head(&[("Host", "h"), ("Content-Length", "3"), ("Content-Encoding", "gzip")]);
        let names = ["host", "Content-Length", "connection", "content-encoding"];
        let names = names.into_iter().chain(["transfer-encoding", "X-HTTP-Method-Override"]);
        for name in names {
            head.set_field(name.as_bytes(), b"x");
            head.append_field(name.as_bytes(), b"x");
            head.remove_field(name.as_bytes());
        }
        assert_eq!(fields(&head), ["Host=h", "Content-Length=3", "Content-Encoding=gzip"]);
    }

    #[test]
    fn only_names_that_plugins_wrote_are_found_in_any_case() {
        let mut head = head(&[("x-client", "1")]);
        head.append_field(b"x-plugin", b"2");
        let named = |name: &[u8]| head.fields.iter().any(|field| head.is_named(field, name));
        assert!(named(b"x-client") && named(b"x-plugin") && named(b"X-Plugin"));
        assert!(!named(b"X-Client"));
        head.clear();
        head.fields.push(Field {
            name: Span { start: 0, end: 8 },
            value: Span::default(),
            known: Known::Other,
        });
        assert!(!head.is_named(&head.fields[0], b"X-CLIENT"));
    }
}
