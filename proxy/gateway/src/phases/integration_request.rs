//! What is sent to an HTTP backend (rest-api §3, §4, §5, §9.1).

use std::borrow::Cow;
use std::sync::Arc;

use tollgate_model::api::HttpMethod;
use tollgate_model::compile::{
    Destination, HttpIntegration, Mapped, RequestOverrides, Target, UpstreamTarget,
};

use super::route::with_path_parameters;
use crate::exchange::{Exchange, ExchangeView};
use crate::head::{Framing, Known, RequestHead};
use crate::identifiers::write_trace_id;
use crate::refusal::Refusal;
use crate::upstream::{Upstream, Upstreams};

const TRACE_ID: &[u8] = b"X-Amzn-Trace-Id: ";

/// How the request's body travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// As the client frames it, piece by piece.
    Streamed(Framing),
    /// All at once, with this length.
    Whole(usize),
}

/// Writes an HTTP/1.1 head for the backend: everything of the client's request that passes,
/// and what is mapped (HTTP_PROXY).
pub fn proxy_head(
    head: &RequestHead,
    exchange: &Exchange,
    http: &HttpIntegration,
    body: Body,
    body_for_mappings: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let overrides = RequestOverrides::default();
    with_path_parameters(head, exchange, |path_parameters| {
        let view = ExchangeView { exchange, head, path_parameters, body: body_for_mappings };
        Request { http, view: &view, overrides: &overrides }.write(Passed::All, body, out)
    })
}

/// Writes an HTTP/1.1 head for the backend: only what is mapped (HTTP), what the request
/// template set in `$context.requestOverride`, and the method's defaults.
pub fn mapped_head(
    head: &RequestHead,
    exchange: &Exchange,
    http: &HttpIntegration,
    length: usize,
    client_body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let overrides = RequestOverrides::new(&exchange.context_writes)?;
    with_path_parameters(head, exchange, |path_parameters| {
        let view = ExchangeView { exchange, head, path_parameters, body: client_body };
        let request = Request { http, view: &view, overrides: &overrides };
        request.write(Passed::Mapped, Body::Whole(length), out)
    })
}

/// The upstream of an integration, and whether its connections may be kept.
pub fn upstream(
    upstreams: &Upstreams,
    head: &RequestHead,
    exchange: &Exchange,
    http: &HttpIntegration,
) -> Result<(Arc<Upstream>, bool), Refusal> {
    let stage = exchange.stage.as_ref().ok_or(Refusal::NotLocated)?;
    match &http.target {
        Target::Fixed(index) => {
            let upstream = stage.upstreams[*index].clone();
            let poolable = !upstream.is_transient();
            Ok((upstream, poolable))
        }
        Target::Dynamic { scheme, connection } => {
            let overrides = RequestOverrides::new(&exchange.context_writes)?;
            let (host, port) = with_path_parameters(head, exchange, |path_parameters| {
                let view = ExchangeView { exchange, head, path_parameters, body: &[] };
                http.render_authority(&view, &overrides)
            })?;
            let target = UpstreamTarget {
                scheme: *scheme,
                host,
                port,
                connection: connection.clone(),
                insecure_skip_verification: http.insecure_skip_verification,
            };
            Ok((upstreams.transient(&target), false))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    All,
    Mapped,
}

/// What an integration request is made of.
struct Request<'r, 'p, 'o> {
    http: &'r HttpIntegration,
    view: &'r ExchangeView<'r, 'p>,
    overrides: &'r RequestOverrides<'o>,
}

impl Request<'_, '_, '_> {
    fn write(&self, passed: Passed, body: Body, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let (head, exchange) = (self.view.head, self.view.exchange);
        let transformed = exchange.transformation.as_ref().map(|it| &it.backend);
        let changed_method = transformed.and_then(|backend| backend.method.as_deref());
        let method = changed_method.unwrap_or_else(|| backend_method(head, self.http));
        out.extend_from_slice(method);
        out.push(b' ');
        let query = match passed {
            Passed::All => head.query().unwrap_or_default(),
            Passed::Mapped => b"",
        };
        let target = out.len();
        self.http.render_target(self.view, self.overrides, query, out)?;
        if let Some(path) = transformed.and_then(|backend| backend.path.as_deref()) {
            let end = memchr::memchr(b'?', &out[target..]).map_or(out.len(), |at| target + at);
            out.splice(target..end, path.iter().copied());
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let mut mapped = self.headers()?;
        match transformed.and_then(|backend| backend.authority.as_deref()) {
            None => self.write_host(&mapped, out)?,
            Some(authority) => {
                mapped.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
                write_field(b"Host", authority, out);
            }
        }
        match passed {
            Passed::All => write_passed_headers(head, exchange, &mapped, out),
            Passed::Mapped => write_default_headers(head, exchange, method, &mapped, out),
        }
        for (name, value) in &mapped {
            write_field(name.as_bytes(), value.as_bytes(), out);
        }
        write_gateway_headers(head, exchange, out);
        write_framing(method, body, out);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The mapped headers, and the overrides in place of those of the same name.
    fn headers(&self) -> Result<MappedHeaders<'_>, Refusal> {
        let mut headers = MappedHeaders::new();
        for mapping in &self.http.request_parameters {
            let Destination::Header(name) = &mapping.destination else { continue };
            match mapping.evaluate(self.view)? {
                Mapped::Skip => {}
                Mapped::One(value) => headers.push((name, value)),
                Mapped::Many(values) => {
                    headers.extend(values.into_iter().map(|value| (&**name, Cow::Owned(value))));
                }
            }
        }
        for (name, value) in &self.overrides.headers {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name, Cow::Borrowed(value)));
        }
        Ok(headers)
    }

    fn write_host(&self, mapped: &MappedHeaders<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if is_mapped(mapped, b"host") {
            return Ok(());
        }
        match &self.http.target {
            Target::Fixed(_) => write_field(b"Host", self.http.host_header.as_bytes(), out),
            Target::Dynamic { scheme, .. } => {
                let (host, port) = self.http.render_authority(self.view, self.overrides)?;
                if port == scheme.default_port() {
                    write_field(b"Host", host.as_bytes(), out);
                } else {
                    write_field(b"Host", format!("{host}:{port}").as_bytes(), out);
                }
            }
        }
        Ok(())
    }
}

fn backend_method<'m>(head: &'m RequestHead, http: &HttpIntegration) -> &'m [u8] {
    match http.http_method {
        None | Some(HttpMethod::Any) => super::route::method(head),
        Some(method) => method.as_str().as_bytes(),
    }
}

type MappedHeaders<'v> = smallvec::SmallVec<[(&'v str, Cow<'v, str>); 4]>;

fn is_mapped(mapped: &MappedHeaders<'_>, name: &[u8]) -> bool {
    mapped.iter().any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
}

/// HTTP_PROXY: the client's headers, without those of its connection, those the gateway writes
/// itself, and those a mapping replaces.
fn write_passed_headers(
    head: &RequestHead,
    exchange: &Exchange,
    mapped: &MappedHeaders<'_>,
    out: &mut Vec<u8>,
) {
    let mut forwarded_for = None;
    for field in &head.fields {
        let (name, value) = (head.name(field), head.value(field));
        let passes = match field.known {
            Known::XForwardedFor => {
                forwarded_for = Some(value);
                false
            }
            // The body passes decoded.
            Known::ContentEncoding => false,
            // A name with an underscore reads like one with a hyphen to CGI-style backends, so
            // that a client could forge any header. Mappings that name it still see it.
            Known::Other => memchr::memchr(b'_', name).is_none() && !head.is_nominated(name),
            known => passes_upstream(known),
        };
        if passes && (mapped.is_empty() || !is_mapped(mapped, name)) {
            write_field(name, value, out);
        }
    }
    if !is_mapped(mapped, b"x-forwarded-for") {
        out.extend_from_slice(b"X-Forwarded-For: ");
        if let Some(forwarded_for) = forwarded_for {
            out.extend_from_slice(forwarded_for);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(exchange.client.source_ip.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !is_mapped(mapped, b"x-forwarded-port") {
        let port = exchange.client.listener_port;
        write_field(b"X-Forwarded-Port", itoa::Buffer::new().format(port).as_bytes(), out);
    }
    if !is_mapped(mapped, b"x-forwarded-proto") {
        let scheme: &[u8] = if exchange.client.tls.is_some() { b"https" } else { b"http" };
        write_field(b"X-Forwarded-Proto", scheme, out);
    }
}

fn passes_upstream(known: Known) -> bool {
    matches!(
        known,
        Known::Accept
            | Known::Authorization
            | Known::ContentType
            | Known::Date
            | Known::UserAgent
            | Known::XAmznRequestId
            | Known::XHttpMethodOverride
    )
}

/// HTTP: what API Gateway sends without any mapping.
fn write_default_headers(
    head: &RequestHead,
    exchange: &Exchange,
    method: &[u8],
    mapped: &MappedHeaders<'_>,
    out: &mut Vec<u8>,
) {
    if !is_mapped(mapped, b"accept") {
        write_field(b"Accept", b"application/json", out);
    }
    if !matches!(method, b"GET" | b"HEAD" | b"OPTIONS") && !is_mapped(mapped, b"content-type") {
        let content_type = head.known(Known::ContentType).unwrap_or(b"application/json");
        write_field(b"Content-Type", content_type, out);
    }
    if !is_mapped(mapped, b"user-agent") {
        out.extend_from_slice(b"User-Agent: AmazonAPIGateway_");
        if let Some(stage) = &exchange.stage {
            out.extend_from_slice(stage.compiled.api_id.0.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_gateway_headers(head: &RequestHead, exchange: &Exchange, out: &mut Vec<u8>) {
    out.extend_from_slice(TRACE_ID);
    write_trace_id(head.known(Known::XAmznTraceId), exchange.started_at.as_secs(), out);
    out.extend_from_slice(b"\r\n");
    if let Some(stage) = &exchange.stage {
        write_field(b"X-Amzn-Apigateway-Api-Id", stage.compiled.api_id.0.as_bytes(), out);
    }
    write_field(b"Connection", b"keep-alive", out);
}

/// The trace id in a head that was written here.
pub fn trace_id(head: &[u8]) -> Option<&[u8]> {
    let start = memchr::memmem::find(head, TRACE_ID)? + TRACE_ID.len();
    let length = memchr::memchr(b'\r', &head[start..])?;
    Some(&head[start..start + length])
}

fn write_framing(method: &[u8], body: Body, out: &mut Vec<u8>) {
    match body {
        Body::Streamed(Framing::Chunked) => write_field(b"Transfer-Encoding", b"chunked", out),
        Body::Streamed(Framing::Length(length)) => write_length(length, out),
        Body::Whole(length) => write_length(length as u64, out),
        Body::Streamed(Framing::None | Framing::UntilClose) => {
            // RFC 9110 §8.6: a method that expects a body says that there is none.
            if matches!(method, b"POST" | b"PUT" | b"PATCH") {
                write_length(0, out);
            }
        }
    }
}

pub fn write_length(length: u64, out: &mut Vec<u8>) {
    write_field(b"Content-Length", itoa::Buffer::new().format(length).as_bytes(), out);
}

/// Writes a field. Control characters can't come from a head that was read strictly; a mapped
/// value may hold them, and a line end in it would be a second header.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    if value.iter().all(|byte| crate::http1::parse::is_field_value(*byte)) {
        out.extend_from_slice(value);
    } else {
        out.extend(value.iter().filter(|byte| crate::http1::parse::is_field_value(**byte)));
    }
    out.extend_from_slice(b"\r\n");
}
