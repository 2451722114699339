//! The functions that components import, all but `key-value` and `fetch`.
//!
//! They are written by hand and not generated from the WIT: strings that come in are read where
//! they stand in the guest's memory, and only what goes out is allocated. wasmtime compares their
//! types with the component's when it is linked.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use percent_encoding::percent_decode;
use wasmtime::component::{Linker, WasmList, WasmStr};
use wasmtime::{Error, Result, StoreContextMut};

use super::abi::{ClientCertificate, Level, Pairs};
use super::output::split_target;
use super::state::HostState;
use crate::headers::lower_case;
use crate::log::{is_enabled, write_line};
use crate::trap::HostFailure;
use crate::{ErrorKind, Headers, Http, limits};

type Caller<'a> = StoreContextMut<'a, HostState>;

/// Bytes that are not UTF-8 become U+FFFD.
fn text(bytes: &[u8]) -> String {
    // Cheaper than looking for what to replace at once.
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn http<'a>(caller: &'a Caller<'_>) -> Result<&'a Http> {
    caller.data().exchange().map(|http| &**http)
}

/// All headers but the pseudo-headers; a request's `:authority` is its `host`.
fn all(headers: &Headers) -> Pairs {
    let mut pairs = Vec::with_capacity(headers.len());
    for (name, value) in headers.iter() {
        match name {
            b":authority" if headers.get(b"host").is_none() => {
                pairs.push(("host".to_owned(), text(value)));
            }
            [b':', ..] => {}
            _ => {
                let mut name = text(name);
                name.make_ascii_lowercase();
                pairs.push((name, text(value)));
            }
        }
    }
    pairs
}

/// The same in one run of bytes: for each the lengths of its name and value, as 32-bit numbers,
/// then both. A component's allocator is called once for all of them.
fn packed(headers: &Headers) -> Vec<u8> {
    let mut packed = Vec::with_capacity(headers.stored() + 8 * headers.len());
    for (name, value) in headers.iter() {
        let name = match name {
            [b':', rest @ ..] if rest == b"authority" && headers.get(b"host").is_none() => b"host",
            [b':', ..] => continue,
            _ => name,
        };
        // The name's is in the lower half.
        let lengths = name.len() as u64 | (value.len() as u64) << 32;
        packed.extend_from_slice(&lengths.to_le_bytes());
        let start = packed.len();
        packed.extend_from_slice(name);
        lower_case(&mut packed[start..]);
        packed.extend_from_slice(value);
    }
    packed
}

fn first<'h>(headers: &'h Headers, name: &str) -> Option<&'h [u8]> {
    if name.starts_with(':') {
        return None;
    }
    let found = headers.get(name.as_bytes());
    if found.is_none() && name.eq_ignore_ascii_case("host") {
        return headers.get(b":authority");
    }
    found
}

fn values(headers: &Headers, name: &str) -> Vec<String> {
    if first(headers, name).is_none() {
        return Vec::new();
    }
    let all: Vec<String> = headers.get_all(name.as_bytes()).map(text).collect();
    match all.is_empty() {
        true => first(headers, name).map(text).into_iter().collect(),
        false => all,
    }
}

pub(super) fn add_request(linker: &mut Linker<HostState>) -> Result<()> {
    let mut request = linker.instance("tollgate:plugin/request@0.1.0")?;
    request.func_wrap("method", |caller: Caller<'_>, (): ()| {
        let state = http(&caller)?.state.lock();
        Ok((text(state.request_headers.get(b":method").unwrap_or_default()),))
    })?;
    request.func_wrap("path", |caller: Caller<'_>, (): ()| {
        Ok((text(split_target(&http(&caller)?.state.lock().request_headers).0),))
    })?;
    request.func_wrap("query-string", |caller: Caller<'_>, (): ()| {
        Ok((text(split_target(&http(&caller)?.state.lock().request_headers).1),))
    })?;
    request.func_wrap("resource", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.resource().to_owned(),))
    })?;
    request.func_wrap("stage", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.stage().to_owned(),))
    })?;
    request.func_wrap("api-id", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.api_id().to_owned(),))
    })?;
    request.func_wrap("request-id", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.request_id().to_owned(),))
    })?;
    request.func_wrap("method-arn", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.method_arn(),))
    })?;
    request.func_wrap("header", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        let state = http(&caller)?.state.lock();
        Ok((first(&state.request_headers, &name).map(text),))
    })?;
    request.func_wrap("header-values", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        Ok((values(&http(&caller)?.state.lock().request_headers, &name),))
    })?;
    request.func_wrap("headers", |caller: Caller<'_>, (): ()| {
        Ok((all(&http(&caller)?.state.lock().request_headers),))
    })?;
    request.func_wrap("packed-headers", |caller: Caller<'_>, (): ()| {
        Ok((packed(&http(&caller)?.state.lock().request_headers),))
    })?;
    request.func_wrap("query-parameter", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        let state = http(&caller)?.state.lock();
        let found = query(&state.request_headers).find(|(key, _)| same_decoded(key, &name));
        Ok((found.map(|(_, value)| decode(value)),))
    })?;
    request.func_wrap("query-parameters", |caller: Caller<'_>, (): ()| {
        let state = http(&caller)?.state.lock();
        let decoded =
            query(&state.request_headers).map(|(key, value)| (decode(key), decode(value)));
        Ok((decoded.collect::<Pairs>(),))
    })?;
    request.func_wrap("path-parameter", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        let mut found = None;
        http(&caller)?.info.each_path_parameter(&mut |key, value| {
            if key == name {
                found = Some(value.to_owned());
            }
        });
        Ok((found,))
    })?;
    request.func_wrap("path-parameters", |caller: Caller<'_>, (): ()| {
        let mut pairs = Pairs::new();
        http(&caller)?.info.each_path_parameter(&mut |key, value| {
            pairs.push((key.to_owned(), value.to_owned()));
        });
        Ok((pairs,))
    })?;
    request.func_wrap("stage-variable", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        Ok((http(&caller)?.info.stage_variable(&name).map(str::to_owned),))
    })?;
    request.func_wrap("stage-variables", |caller: Caller<'_>, (): ()| {
        let mut pairs = Pairs::new();
        http(&caller)?.info.each_stage_variable(&mut |key, value| {
            pairs.push((key.to_owned(), value.to_owned()));
        });
        Ok((pairs,))
    })?;
    request.func_wrap("source-address", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.source_address().to_owned(),))
    })?;
    request.func_wrap("is-tls", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.tls_version().is_some(),))
    })?;
    request.func_wrap("client-certificate", |caller: Caller<'_>, (): ()| {
        Ok((http(&caller)?.info.client_certificate().map(client_certificate),))
    })?;
    request.func_wrap("context", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        Ok((http(&caller)?.info.context(&name),))
    })?;
    request.func_wrap("body", |caller: Caller<'_>, (): ()| Ok((caller.data().body.clone(),)))
}

fn client_certificate(it: crate::ClientCertificate<'_>) -> ClientCertificate {
    ClientCertificate {
        pem: it.pem.into_owned(),
        subject: it.subject.into_owned(),
        issuer: it.issuer.into_owned(),
        serial_number: it.serial_number.into_owned(),
        not_before: it.not_before.into_owned(),
        not_after: it.not_after.into_owned(),
    }
}

/// The parameters of the query, as they were sent.
fn query(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    let parts = split_target(headers).1.split(|byte| *byte == b'&');
    parts.filter(|part| !part.is_empty()).map(|part| match memchr::memchr(b'=', part) {
        Some(at) => (&part[..at], &part[at + 1..]),
        None => (part, &[][..]),
    })
}

/// `+` as a space.
fn spaced(raw: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'+', raw) {
        Some(_) => raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect(),
        None => Cow::Borrowed(raw),
    }
}

fn decode(raw: &[u8]) -> String {
    percent_decode(&spaced(raw)).decode_utf8_lossy().into_owned()
}

fn same_decoded(raw: &[u8], name: &str) -> bool {
    percent_decode(&spaced(raw)).eq(name.bytes())
}

pub(super) fn add_response(linker: &mut Linker<HostState>) -> Result<()> {
    let mut response = linker.instance("tollgate:plugin/response@0.1.0")?;
    response.func_wrap("status", |caller: Caller<'_>, (): ()| {
        let state = http(&caller)?.state.lock();
        let status = state.response_headers.get(b":status").and_then(|it| str::from_utf8(it).ok());
        Ok((status.and_then(|status| status.parse().ok()).unwrap_or(0_u16),))
    })?;
    response.func_wrap("header", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        let state = http(&caller)?.state.lock();
        Ok((first(&state.response_headers, &name).map(text),))
    })?;
    response.func_wrap("header-values", |caller: Caller<'_>, (name,): (WasmStr,)| {
        let name = name.to_str(&caller)?;
        Ok((values(&http(&caller)?.state.lock().response_headers, &name),))
    })?;
    response.func_wrap("headers", |caller: Caller<'_>, (): ()| {
        Ok((all(&http(&caller)?.state.lock().response_headers),))
    })?;
    response.func_wrap("packed-headers", |caller: Caller<'_>, (): ()| {
        Ok((packed(&http(&caller)?.state.lock().response_headers),))
    })
}

/// `exchange`, `configuration`, `clock` and `random`.
pub(super) fn add_small(linker: &mut Linker<HostState>) -> Result<()> {
    let mut exchange = linker.instance("tollgate:plugin/exchange@0.1.0")?;
    exchange.func_wrap("get", |caller: Caller<'_>, (key,): (WasmStr,)| {
        let key = key.to_str(&caller)?;
        let state = http(&caller)?.state.lock();
        Ok((state.value(key.as_bytes()).map(<[u8]>::to_vec),))
    })?;
    exchange.func_wrap("set", |caller: Caller<'_>, (key, value): (WasmStr, WasmList<u8>)| {
        let key = key.to_str(&caller)?;
        let value = value.as_le_slice(&caller);
        Ok((http(&caller)?.state.lock().set_value(key.as_bytes(), value),))
    })?;

    let mut configuration = linker.instance("tollgate:plugin/configuration@0.1.0")?;
    configuration.func_wrap("get", |caller: Caller<'_>, (): ()| {
        Ok((caller.data().shared.configuration.clone(),))
    })?;

    let mut clock = linker.instance("tollgate:plugin/clock@0.1.0")?;
    clock.func_wrap("now", |_: Caller<'_>, (): ()| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok((now.as_nanos() as u64,))
    })?;
    clock.func_wrap("monotonic", |_: Caller<'_>, (): ()| {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Ok((START.elapsed().as_nanos() as u64,))
    })?;

    let mut random = linker.instance("tollgate:plugin/random@0.1.0")?;
    random.func_wrap("bytes", |_: Caller<'_>, (length,): (u32,)| {
        if length > limits::RANDOM {
            let message = format!("{length} random bytes; allowed: up to {}", limits::RANDOM);
            return Err(HostFailure::new(ErrorKind::Trap, message).into());
        }
        let mut bytes = vec![0; length as usize];
        getrandom::fill(&mut bytes).map_err(|error| Error::msg(error.to_string()))?;
        Ok((bytes,))
    })?;
    random.func_wrap("number", |_: Caller<'_>, (): ()| {
        Ok((getrandom::u64().map_err(|error| Error::msg(error.to_string()))?,))
    })
}

pub(super) fn add_log(linker: &mut Linker<HostState>) -> Result<()> {
    let mut log = linker.instance("tollgate:plugin/log@0.1.0")?;
    log.func_wrap("enabled", |_: Caller<'_>, (level,): (Level,)| Ok((is_enabled(level.into()),)))?;
    type Line = (Level, WasmStr, WasmList<(WasmStr, WasmStr)>);
    log.func_wrap("log", |mut caller: Caller<'_>, (level, message, fields): Line| {
        if !is_enabled(level.into()) || !caller.data().log_lines.take() {
            return Ok(());
        }
        let mut line = String::new();
        append(&mut line, &message.to_str(&caller)?);
        for at in 0..fields.len() {
            if line.len() >= limits::LOG_LINE {
                break;
            }
            let Some(field) = fields.get(&mut caller, at) else { break };
            let (key, value) = field?;
            for part in [" ", &key.to_str(&caller)?, "=", &value.to_str(&caller)?] {
                append(&mut line, part);
            }
        }
        let state = caller.data();
        let http = state.exchange.as_deref();
        write_line(level.into(), &state.shared.context.name, http, &line);
        Ok(())
    })
}

/// Adds what there is room for.
fn append(line: &mut String, part: &str) {
    let room = limits::LOG_LINE - line.len();
    line.push_str(&part[..part.floor_char_boundary(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_headers_are_lengths_and_bytes_without_pseudo_headers() {
        let mut headers = Headers::default();
        for (name, value) in
            [(":path", "/"), (":authority", "h"), ("x-a", "1"), ("x-a", ""), ("b", "caf\u{e9}")]
        {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let expected = b"\x04\0\0\0\x01\0\0\0hosth\x03\0\0\0\x01\0\0\0x-a1\
                         \x03\0\0\0\0\0\0\0x-a\x01\0\0\0\x05\0\0\0bcaf\xc3\xa9";
        assert_eq!(packed(&headers), expected);
        headers.push(b"host", b"other");
        assert!(!packed(&headers).windows(5).any(|part| part == b"hosth"));
    }
}
