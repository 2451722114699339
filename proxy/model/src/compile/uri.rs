//! The backend's URI: `https://${stageVariables.host}/pets/{id}?tag={t}`.
//!
//! Stage variables are put in when the stage is compiled (one the stage does not have is
//! empty); `{name}` comes from the mapping `integration.request.path.name` of each request. The
//! scheme must be literal. Unlike on AWS, where a port is 80, 443 or at least 1024, any port is
//! served: an edge host reaches what its own network lets it.
//!
//! A value can't change the structure of the URL. One taken from the request's path keeps the
//! client's percent-encoding; any other is encoded as one segment, or as one query-string
//! value, and refused if it would make a `.` or `..` segment; in the authority only the
//! characters of host names and ports are let through.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::mapping::{
    Destination, Mapped, MappingError, RequestMapping, RequestSource, RequestValues,
};
use super::overrides::RequestOverrides;
use super::path::{self, decode};
use super::stage::{HttpIntegration, Scheme, Target};

/// API Gateway's message for a URI it can't use.
pub(crate) const INVALID_URI: &str = "Invalid HTTP endpoint specified for URI";

/// Path and query of the backend's URI, and its authority if that holds a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    /// Empty unless the authority holds a parameter.
    authority: Vec<Part>,
    /// Begins with a literal `/`.
    path: Vec<Part>,
    /// Without `?`.
    query: Option<Vec<Part>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Parameter(Box<str>),
}

/// A value for a `{name}` of the URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriValue<'v> {
    /// Taken from the canonical path: keeps the client's percent-encoding.
    Captured(&'v str),
    /// Decoded text: is percent-encoded where it is placed.
    Text(Cow<'v, str>),
    /// The definition's own text: keeps its slashes in the path.
    Constant(&'v str),
}

/// Host, in lower case and without brackets, and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A URI taken apart.
pub(crate) struct ParsedUri {
    pub(crate) scheme: Scheme,
    /// `None`: it holds a parameter.
    pub(crate) authority: Option<Authority>,
    /// `Host` for a fixed authority, else empty.
    pub(crate) host_header: String,
    pub(crate) template: UriTemplate,
}

/// Checks the URI of an HTTP integration as compiling does, whatever its stage variables are.
///
/// # Errors
/// API Gateway's message.
pub fn check_http_uri(uri: &str) -> Result<(), &'static str> {
    // A digit may stand in a host, as a port and in a path.
    let uri = substitute(uri, |_| "1");
    ParsedUri::parse(&uri).map(drop).ok_or(INVALID_URI)
}

/// Puts `${stageVariables.NAME}` in.
pub(crate) fn substitute_stage_variables<'t>(
    text: &'t str,
    variables: &BTreeMap<String, String>,
) -> Cow<'t, str> {
    substitute(text, |name| variables.get(name).map_or("", String::as_str))
}

fn substitute<'t, 'v>(text: &'t str, value: impl Fn(&str) -> &'v str) -> Cow<'t, str> {
    const OPEN: &str = "${stageVariables.";
    let mut pieces = text.split(OPEN);
    let first = pieces.next().unwrap_or_default();
    if first.len() == text.len() {
        return Cow::Borrowed(text);
    }
    let mut substituted = first.to_owned();
    for piece in pieces {
        match piece.split_once('}') {
            Some((name, after)) => {
                substituted.push_str(value(name));
                substituted.push_str(after);
            }
            None => {
                substituted.push_str(OPEN);
                substituted.push_str(piece);
            }
        }
    }
    Cow::Owned(substituted)
}

impl ParsedUri {
    /// Takes apart a URI whose stage variables are in place. `None`: [`INVALID_URI`].
    pub(crate) fn parse(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.trim().split_once("://")?;
        let scheme = match scheme {
            scheme if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            scheme if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(parts(query)?)),
            None => (rest, None),
        };
        let path = parts(if path.is_empty() { "/" } else { path })?;
        let authority_parts = parts(authority)?;
        let dynamic = authority_parts.iter().any(|part| matches!(part, Part::Parameter(_)));
        let (fixed, host_header, authority) = if dynamic {
            (None, String::new(), authority_parts)
        } else {
            let fixed = Authority::parse(authority, scheme)?;
            let host_header = fixed.header(scheme);
            (Some(fixed), host_header, Vec::new())
        };
        Some(Self {
            scheme,
            authority: fixed,
            host_header,
            template: UriTemplate { authority, path, query },
        })
    }
}

impl Authority {
    /// `host[:port]`; refuses user names, which no backend of API Gateway gets.
    fn parse(text: &str, scheme: Scheme) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(address) => {
                let (address, port) = address.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (address, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => {
                let (host, port) =
                    text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
                let allowed =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                if host.is_empty() || !host.bytes().all(allowed) {
                    return None;
                }
                (host, port)
            }
        };
        let port = match port {
            None => scheme.default_port(),
            // `u16` would also read `+80`.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0)?
            }
            Some(_) => return None,
        };
        Some(Self { host: host.to_ascii_lowercase(), port })
    }

    fn header(&self, scheme: Scheme) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl UriTemplate {
    /// Appends path and query: `/pets/7?verbose=1`. A parameter without a value is left out.
    pub fn render<'v>(
        &self,
        param: impl Fn(&str) -> Result<Option<UriValue<'v>>, MappingError>,
        out: &mut Vec<u8>,
    ) -> Result<(), MappingError> {
        let start = out.len();
        let mut check_dots = false;
        for part in &self.path {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Parameter(name) => match param(name)? {
                    Some(UriValue::Captured(text)) => path::place_captured(text, out),
                    Some(UriValue::Text(text)) => {
                        check_dots = true;
                        path::encode_segment(&text, out);
                    }
                    Some(UriValue::Constant(text)) => path::encode_segments(text, out),
                    None => {}
                },
            }
        }
        if check_dots {
            let rendered =
                std::str::from_utf8(&out[start..]).map_err(|_| MappingError::UnsafeUriValue)?;
            path::refuse_dot_segments(rendered).map_err(|_| MappingError::UnsafeUriValue)?;
        }
        let Some(query) = &self.query else { return Ok(()) };
        out.push(b'?');
        for part in query {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Parameter(name) => match param(name)? {
                    Some(UriValue::Captured(text)) => path::encode_query(&decode(text), out),
                    Some(UriValue::Text(text)) => path::encode_query(&text, out),
                    Some(UriValue::Constant(text)) => path::encode_query(text, out),
                    None => {}
                },
            }
        }
        Ok(())
    }

    /// Whether the URI has a query, to which more parameters are added with `&`.
    pub fn has_query(&self) -> bool {
        self.query.is_some()
    }

    /// Whether `{name}` is in the URI.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.parameters().any(|known| known == name)
    }

    /// Each `{name}` in the URI.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        parameters(self.authority.iter().chain(&self.path).chain(self.query.iter().flatten()))
    }

    /// The parameters of the authority.
    pub(crate) fn authority_parameters(&self) -> impl Iterator<Item = &str> {
        parameters(&self.authority)
    }

    /// Puts in what does not depend on the request: constants (which keep their slashes, their
    /// author being the definition's), and parameters that nothing is mapped to, which AWS sends
    /// as they stand in the URI.
    pub(crate) fn fix(&mut self, value: impl Fn(&str) -> Fixed) {
        for part in self.path.iter_mut() {
            part.fix(&value, path::encode_segments);
        }
        for part in self.query.iter_mut().flatten() {
            part.fix(&value, path::encode_query);
        }
        merge_literals(&mut self.path);
        self.query.as_mut().map(merge_literals);
    }
}

/// What [`UriTemplate::fix`] makes of a parameter.
pub(crate) enum Fixed {
    Constant(Box<str>),
    Unmapped,
    Mapped,
}

impl Part {
    fn fix(&mut self, value: impl Fn(&str) -> Fixed, encode: fn(&str, &mut Vec<u8>)) {
        let Self::Parameter(name) = self else { return };
        let mut encoded = Vec::new();
        match value(name) {
            Fixed::Constant(text) => encode(&text, &mut encoded),
            Fixed::Unmapped => encode(&format!("{{{name}}}"), &mut encoded),
            Fixed::Mapped => return,
        }
        *self = Self::Literal(String::from_utf8_lossy(&encoded).into());
    }
}

impl HttpIntegration {
    /// Appends the request target for the backend: the URI with its path parameters mapped, the
    /// client's query string (raw, without `?`; empty for HTTP, which passes nothing on), then
    /// the mapped query-string parameters and those of overrides.
    pub fn render_target(
        &self,
        values: &dyn RequestValues,
        overrides: &RequestOverrides<'_>,
        client_query: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MappingError> {
        self.uri.render(|name| self.uri_value(name, values, overrides), out)?;
        let mut separator = if self.uri.has_query() { b'&' } else { b'?' };
        if !client_query.is_empty() {
            out.push(separator);
            out.extend_from_slice(client_query);
            separator = b'&';
        }
        let mut append = |name: &str, value: &str| {
            out.push(std::mem::replace(&mut separator, b'&'));
            path::encode_query(name, out);
            out.push(b'=');
            path::encode_query(value, out);
        };
        for mapping in &self.request_parameters {
            let Destination::Querystring(name) = &mapping.destination else { continue };
            if overrides.replaces_querystring(name) {
                continue;
            }
            match mapping.evaluate(values)? {
                Mapped::Skip => {}
                Mapped::One(value) => append(name, &value),
                Mapped::Many(many) => many.iter().for_each(|value| append(name, value)),
            }
        }
        overrides.querystring.iter().for_each(|(name, value)| append(name, value));
        Ok(())
    }

    /// Host and port of a [`Target::Dynamic`].
    pub fn render_authority(
        &self,
        values: &dyn RequestValues,
        overrides: &RequestOverrides<'_>,
    ) -> Result<(String, u16), MappingError> {
        let Target::Dynamic { scheme, .. } = &self.target else {
            return Err(MappingError::UnsafeUriValue);
        };
        let mut text = String::new();
        for part in &self.uri.authority {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Parameter(name) => match self.uri_value(name, values, overrides)? {
                    Some(UriValue::Captured(value)) => text.push_str(&decode(value)),
                    Some(UriValue::Text(value)) => text.push_str(&value),
                    Some(UriValue::Constant(value)) => text.push_str(value),
                    None => {}
                },
            }
        }
        let authority = Authority::parse(&text, *scheme).ok_or(MappingError::UnsafeUriValue)?;
        Ok((authority.host, authority.port))
    }

    fn uri_value<'v>(
        &'v self,
        name: &str,
        values: &'v dyn RequestValues,
        overrides: &'v RequestOverrides<'_>,
    ) -> Result<Option<UriValue<'v>>, MappingError> {
        if let Some(text) = overrides.path(name) {
            return Ok(Some(UriValue::Text(Cow::Borrowed(text))));
        }
        let of_name = |mapping: &&RequestMapping| matches!(&mapping.destination, Destination::Path(path) if **path == *name);
        let Some(mapping) = self.request_parameters.iter().find(of_name) else {
            // Nothing is mapped to it: AWS sends it as it stands in the URI.
            return Ok(Some(UriValue::Text(format!("{{{name}}}").into())));
        };
        match &mapping.source {
            RequestSource::PathParameter(parameter) => {
                return Ok(values.captured_path_parameter(parameter).map(UriValue::Captured));
            }
            RequestSource::Constant(text) => return Ok(Some(UriValue::Constant(text))),
            _ => {}
        }
        Ok(match mapping.evaluate(values)? {
            Mapped::Skip => None,
            Mapped::One(text) => Some(UriValue::Text(text)),
            Mapped::Many(mut values) => values.pop().map(|last| UriValue::Text(last.into())),
        })
    }
}

/// Splits text at its `{name}`; `None` if braces don't pair.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        // `{proxy+}` is the way a resource spells it; its value is the parameter `proxy`.
        let name = name.strip_suffix('+').unwrap_or(name);
        if name.is_empty() || name.contains('{') {
            return None;
        }
        push_literal(literal, &mut parts)?;
        parts.push(Part::Parameter(name.into()));
        rest = after;
    }
    push_literal(rest, &mut parts)?;
    Some(parts)
}

/// Literal text, with what no URL may hold plainly encoded.
fn push_literal(text: &str, parts: &mut Vec<Part>) -> Option<()> {
    const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'|');
    if text.contains('}') {
        return None;
    }
    if !text.is_empty() {
        let encoded: Cow<'_, str> = percent_encoding::utf8_percent_encode(text, PLAIN).into();
        parts.push(Part::Literal(encoded.into()));
    }
    Some(())
}

fn parameters<'p>(parts: impl IntoIterator<Item = &'p Part>) -> impl Iterator<Item = &'p str> {
    parts.into_iter().filter_map(|part| match part {
        Part::Parameter(name) => Some(&**name),
        Part::Literal(_) => None,
    })
}

fn merge_literals(parts: &mut Vec<Part>) {
    let mut merged: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts.drain(..) {
        match (merged.last_mut(), part) {
            (Some(Part::Literal(before)), Part::Literal(text)) => {
                *before = format!("{before}{text}").into()
            }
            (_, part) => merged.push(part),
        }
    }
    *parts = merged;
}

#[cfg(test)]
mod tests;
