//! `proxy_get_property` and `proxy_set_property`: what a filter can ask about the exchange and
//! about itself, and what filters leave for each other.
//!
//! The names are [Envoy's attributes](https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes).
//! A path's segments are joined by `\0`; one without `\0` may have dots instead, as SDKs let
//! authors write it. What only Envoy has (routes' and clusters' metadata, the node, response flags)
//! is not there, which filters probe for.
//!
//! Encodings: strings are their bytes; numbers, times (nanoseconds since 1970) and durations
//! (nanoseconds) are 8 bytes, little-endian; booleans one byte; maps are header maps.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::maps;
use crate::config::PluginSettings;
use crate::plugin::PluginContext;
use crate::{Headers, Http, HttpState, RequestInfo};

/// Why a property can't be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetError {
    /// The path is empty or that of a property the host provides.
    BadPath,
    /// [`HttpState::set_value`] has no room.
    Full,
}

/// Writes the property at `path` to `out`, which is emptied first. False: there is none, or not
/// yet. What plugins set comes first. `http` is none outside of an exchange.
pub(crate) fn get(
    http: Option<&Http>,
    context: &PluginContext,
    path: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    look_up(http, &context.name, &context.settings, path, out)
}

/// Sets a value for this exchange that [`get`] finds at the same path.
pub(crate) fn set(http: &Http, path: &[u8], value: &[u8]) -> Result<(), SetError> {
    let path = unterminated(path);
    let first = Path::new(path).next().unwrap_or_default();
    if first.is_empty() || PROVIDED.contains(&first) {
        return Err(SetError::BadPath);
    }
    if http.state.lock().set_value(path, value) { Ok(()) } else { Err(SetError::Full) }
}

/// First segments that belong to the host.
const PROVIDED: [&[u8]; 18] = [
    b"plugin_name",
    b"plugin_root_id",
    b"plugin_vm_id",
    b"request",
    b"response",
    b"source",
    b"destination",
    b"connection",
    b"upstream",
    b"route_name",
    b"route_metadata",
    b"cluster_name",
    b"cluster_metadata",
    b"metadata",
    b"node",
    b"listener_direction",
    b"listener_metadata",
    b"xds",
];

fn look_up(
    http: Option<&Http>,
    plugin: &str,
    settings: &PluginSettings,
    path: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    out.clear();
    let path = unterminated(path);
    if let Some(http) = http
        && let Some(value) = http.state.lock().value(path)
    {
        out.extend_from_slice(value);
        return true;
    }
    let found = provided(http, plugin, settings, &mut Path::new(path), out).is_some();
    if !found {
        out.clear();
    }
    found
}

/// The C++ SDK ends paths with a `\0`.
fn unterminated(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"\0").unwrap_or(path)
}

/// What is left of a property's path.
struct Path<'p> {
    rest: Option<&'p [u8]>,
    separator: u8,
}

impl<'p> Path<'p> {
    fn new(path: &'p [u8]) -> Self {
        let separator = if path.contains(&0) { 0 } else { b'.' };
        Self { rest: Some(path), separator }
    }

    fn next(&mut self) -> Option<&'p [u8]> {
        let rest = self.rest?;
        let end = memchr::memchr(self.separator, rest);
        self.rest = end.map(|end| &rest[end + 1..]);
        Some(&rest[..end.unwrap_or(rest.len())])
    }

    /// The next segment, which has to be the last.
    fn last(&mut self) -> Option<&'p [u8]> {
        let segment = self.next()?;
        self.end().map(|()| segment)
    }

    fn end(&self) -> Option<()> {
        self.rest.is_none().then_some(())
    }
}

fn provided(
    http: Option<&Http>,
    plugin: &str,
    settings: &PluginSettings,
    path: &mut Path<'_>,
    out: &mut Vec<u8>,
) -> Option<()> {
    let first = path.next()?;
    match first {
        b"plugin_name" => text(out, plugin),
        b"plugin_root_id" => text(out, &settings.root_id),
        b"plugin_vm_id" => text(out, settings.vm_id.as_deref().unwrap_or(plugin)),
        // Envoy's number for a listener that doesn't say.
        b"listener_direction" => number(out, 0),
        _ => {
            let http = http?;
            return match first {
                b"request" => request(http, path, out),
                b"response" => response(&http.state.lock(), path, out),
                b"connection" => connection(&http.info, path.last()?, out),
                b"source" => source(&http.info, path.last()?, out),
                b"destination" => address(http.info.local()?, path.last()?, out),
                b"route_name" => path.end().and_then(|()| text(out, http.info.resource())),
                _ => None,
            };
        }
    };
    path.end()
}

fn request(http: &Http, path: &mut Path<'_>, out: &mut Vec<u8>) -> Option<()> {
    let property = path.next()?;
    if property == b"headers" {
        return field(&http.state.lock().request_headers, path, out);
    }
    path.end()?;
    match property {
        b"id" => return text(out, http.info.request_id()),
        b"protocol" => return text(out, http.info.protocol()),
        b"time" => return number(out, nanoseconds(since_1970(http.info.started()))),
        b"duration" => {
            let duration = http.info.started().elapsed().unwrap_or_default();
            return number(out, nanoseconds(duration));
        }
        _ => {}
    }
    let state = http.state.lock();
    let headers = &state.request_headers;
    let target = || headers.get(b":path");
    match property {
        b"path" => text(out, target()?),
        b"url_path" => text(out, split_target(target()?).0),
        b"query" => text(out, split_target(target()?).1),
        b"host" => text(out, headers.get(b":authority").or_else(|| headers.get(b"host"))?),
        b"method" => text(out, headers.get(b":method")?),
        b"scheme" => text(out, headers.get(b":scheme")?),
        b"useragent" => text(out, headers.get(b"user-agent")?),
        b"referer" => text(out, headers.get(b"referer")?),
        b"size" => number(out, body_size(headers, state.request_size)),
        b"total_size" => {
            let heads = headers.size() + state.request_trailers.size();
            number(out, state.request_size + heads as u64)
        }
        _ => None,
    }
}

/// Nothing before there is a response.
fn response(state: &HttpState, path: &mut Path<'_>, out: &mut Vec<u8>) -> Option<()> {
    let headers = &state.response_headers;
    let trailers = &state.response_trailers;
    let status = headers.get(b":status")?;
    let property = path.next()?;
    match property {
        b"headers" => return field(headers, path, out),
        b"trailers" => return field(trailers, path, out),
        _ => path.end()?,
    }
    match property {
        b"code" => number(out, digits(status)?),
        b"grpc_status" => {
            let name = b"grpc-status";
            number(out, digits(trailers.get(name).or_else(|| headers.get(name))?)?)
        }
        b"size" => number(out, state.response_size),
        b"total_size" => {
            let heads = headers.size() + trailers.size();
            number(out, state.response_size + heads as u64)
        }
        _ => None,
    }
}

fn connection(info: &dyn RequestInfo, property: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match property {
        b"mtls" => {
            out.push(u8::from(info.client_certificate().is_some()));
            Some(())
        }
        b"tls_version" => text(out, info.tls_version()?),
        b"requested_server_name" => text(out, info.server_name()?),
        b"subject_peer_certificate" => text(out, &*info.client_certificate()?.subject),
        b"dns_san_peer_certificate"
        | b"uri_san_peer_certificate"
        | b"sha256_peer_certificate_digest" => peer_certificate(info, property, out),
        _ => None,
    }
}

/// What has to be read from the certificate itself.
fn peer_certificate(info: &dyn RequestInfo, property: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let certificate = info.client_certificate()?;
    let der = CertificateDer::from_pem_slice(certificate.pem.as_bytes()).ok()?;
    if property == b"sha256_peer_certificate_digest" {
        for byte in Sha256::digest(&der) {
            out.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        return Some(());
    }
    let names = webpki::EndEntityCert::try_from(&der).ok()?;
    if property == b"dns_san_peer_certificate" {
        text(out, names.valid_dns_names().next()?)
    } else {
        text(out, names.valid_uri_names().next()?)
    }
}

/// The client. Behind a trusted proxy its port is not known: 0, as in Envoy.
fn source(info: &dyn RequestInfo, property: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let client = info.source_address().parse().ok()?;
    let peer = info.peer().filter(|peer| peer.ip().to_canonical() == client);
    let port = peer.map_or(0, |peer| peer.port());
    address(SocketAddr::new(client, port), property, out)
}

fn address(address: SocketAddr, property: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match property {
        b"address" => text(out, address.to_string()),
        b"port" => number(out, u64::from(address.port())),
        _ => None,
    }
}

/// `headers.NAME`, several values joined as Envoy does, or all headers as a map.
fn field(headers: &Headers, path: &Path<'_>, out: &mut Vec<u8>) -> Option<()> {
    let Some(name) = path.rest else {
        maps::encode(headers.iter(), out);
        return Some(());
    };
    let mut values = headers.get_all(name);
    out.extend_from_slice(values.next()?);
    for value in values {
        out.push(b',');
        out.extend_from_slice(value);
    }
    Some(())
}

fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let query = memchr::memchr(b'?', target);
    query.map_or((target, b""), |at| (&target[..at], &target[at + 1..]))
}

/// The size that the headers declare, else what was received.
fn body_size(headers: &Headers, received: u64) -> u64 {
    headers.get(b"content-length").and_then(digits).unwrap_or(received)
}

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

fn text(out: &mut Vec<u8>, value: impl AsRef<[u8]>) -> Option<()> {
    out.extend_from_slice(value.as_ref());
    Some(())
}

fn number(out: &mut Vec<u8>, value: u64) -> Option<()> {
    out.extend_from_slice(&value.to_le_bytes());
    Some(())
}

#[cfg(test)]
mod tests;
