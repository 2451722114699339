//! What plugins give back is checked here before anyone uses it. Errors are messages for the
//! operator.

use std::time::Duration;

use super::abi;
use crate::headers::{is_name, is_value};
use crate::{AuthorizerDecision, ContextValue, HeaderEdit, Headers, Reply, limits};

/// Headers that say how a message is framed, or are of one connection. They are the gateway's.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Bytes of a name that a message shows.
const SHOWN: usize = 64;

fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

fn check_name(name: &str) -> Result<(), String> {
    if name.starts_with(':') || !is_name(name.as_bytes()) {
        return Err(format!("header {:?}: is not a header's name", shown(name)));
    }
    if FRAMING.iter().any(|known| known.len() == name.len() && known.eq_ignore_ascii_case(name)) {
        return Err(format!("header {name}: is set by the gateway alone"));
    }
    Ok(())
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    check_name(name)?;
    if !is_value(value.as_bytes()) {
        return Err(format!("header {}: its value has a control character", shown(name)));
    }
    Ok(())
}

fn check_count(count: usize, bytes: usize) -> Result<(), String> {
    let (maximum, size) = (limits::HEADER_COUNT, limits::HEADERS);
    if count > maximum {
        return Err(format!("{count} headers; allowed: up to {maximum}"));
    }
    if bytes > size {
        return Err(format!("{bytes} bytes of headers; allowed: up to {size}"));
    }
    Ok(())
}

fn check_status(status: u16) -> Result<(), String> {
    if (200..=599).contains(&status) {
        return Ok(());
    }
    Err(format!("status {status}; allowed: 200 to 599"))
}

pub(super) fn check_body(bytes: &[u8], maximum: usize) -> Result<(), String> {
    if bytes.len() <= maximum {
        return Ok(());
    }
    Err(format!("a body of {} bytes; allowed: up to {maximum}", bytes.len()))
}

/// A whole response. `plugin` is for the log.
pub(super) fn reply(reply: abi::Reply, body: usize, plugin: &str) -> Result<Reply, String> {
    check_status(reply.status)?;
    check_body(&reply.body, body)?;
    let bytes = reply.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    check_count(reply.headers.len(), bytes)?;
    let mut headers = Vec::with_capacity(reply.headers.len());
    for (mut name, value) in reply.headers {
        check_header(&name, &value)?;
        name.make_ascii_lowercase();
        headers.push((name, value.into_boxed_bytes()));
    }
    let details = format!("reply of plugin {plugin}");
    Ok(Reply { status: reply.status, headers, body: reply.body, grpc_status: None, details })
}

fn check_edits(edits: &[abi::HeaderEdit]) -> Result<(), String> {
    let mut bytes = 0;
    for edit in edits {
        match edit {
            abi::HeaderEdit::Set((name, value)) | abi::HeaderEdit::Append((name, value)) => {
                check_header(name, value)?;
                bytes += name.len() + value.len();
            }
            abi::HeaderEdit::Remove(name) => check_name(name)?,
        }
    }
    check_count(edits.len(), bytes)
}

/// An authorizer's decision.
pub(super) fn decision(
    decision: abi::Decision,
    body: usize,
    plugin: &str,
) -> Result<AuthorizerDecision, String> {
    match decision {
        abi::Decision::Allow(it) => allow(it),
        abi::Decision::Deny(None) => Ok(AuthorizerDecision::Deny(None)),
        abi::Decision::Deny(Some(it)) => {
            Ok(AuthorizerDecision::Deny(Some(reply(it, body, plugin)?)))
        }
        abi::Decision::Unauthorized => Ok(AuthorizerDecision::Unauthorized),
    }
}

fn allow(allow: abi::Allow) -> Result<AuthorizerDecision, String> {
    check_edits(&allow.headers)?;
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let mut size =
        allow.principal_id.len() + optional(&allow.policy) + optional(&allow.usage_identifier_key);
    let mut context = Vec::with_capacity(allow.context.len());
    for (key, value) in allow.context {
        size += key.len() + size_of::<ContextValue>();
        let value = match value {
            abi::ContextValue::Text(text) => {
                size += text.len();
                ContextValue::Text(text)
            }
            abi::ContextValue::Number(number) if number.is_finite() => ContextValue::Number(number),
            abi::ContextValue::Number(_) => {
                return Err(format!("context {:?}: is not a finite number", shown(&key)));
            }
            abi::ContextValue::Boolean(boolean) => ContextValue::Boolean(boolean),
        };
        context.push((key, value));
    }
    if size > limits::DECISION {
        return Err(format!("a decision of {size} bytes; allowed: up to {}", limits::DECISION));
    }
    Ok(AuthorizerDecision::Allow {
        principal_id: allow.principal_id,
        policy: allow.policy,
        context,
        usage_identifier_key: allow.usage_identifier_key,
        headers: allow.headers.into_iter().map(header_edit).collect(),
        time_to_live: allow.time_to_live.map(|seconds| Duration::from_secs(seconds.into())),
    })
}

fn header_edit(edit: abi::HeaderEdit) -> HeaderEdit {
    match edit {
        abi::HeaderEdit::Set((name, value)) => HeaderEdit::Set(name, value),
        abi::HeaderEdit::Append((name, value)) => HeaderEdit::Append(name, value),
        abi::HeaderEdit::Remove(name) => HeaderEdit::Remove(name),
    }
}

/// Edits the request's head, or leaves it as it was.
pub(super) fn edit_request(headers: &mut Headers, edits: &abi::RequestEdits) -> Result<(), String> {
    if let Some(method) = &edits.method
        && (method.starts_with(':') || !is_name(method.as_bytes()))
    {
        return Err(format!("method {:?}: is not a token", shown(method)));
    }
    if let Some(path) = &edits.path
        && !(path.starts_with('/') && path.bytes().all(|byte| is_visible(byte) && byte != b'?'))
    {
        return Err(format!(
            "path {:?}: allowed: visible ASCII after a slash, without ? and #",
            shown(path)
        ));
    }
    if let Some(query) = &edits.query
        && !query.bytes().all(is_visible)
    {
        return Err(format!("query {:?}: allowed: visible ASCII without #", shown(query)));
    }
    let target = (edits.path.is_some() || edits.query.is_some())
        .then(|| target(headers, edits.path.as_deref(), edits.query.as_deref()));
    let added = target.as_ref().map_or(0, Vec::len) + edits.method.as_ref().map_or(0, String::len);
    check_count(0, added)?;
    edit_headers(headers, &edits.headers)?;
    if let Some(method) = &edits.method {
        headers.set(b":method", method.as_bytes());
    }
    if let Some(target) = target {
        headers.set(b":path", &target);
    }
    Ok(())
}

/// A byte of a request target: neither a space, a control character nor the start of a fragment.
fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// The request target with another path, another query, or both. An empty query leaves no `?`.
fn target(headers: &Headers, path: Option<&str>, query: Option<&str>) -> Vec<u8> {
    let (old_path, old_query) = split_target(headers);
    let mut target = path.map_or(old_path, str::as_bytes).to_vec();
    let query = query.map_or(old_query, str::as_bytes);
    if !query.is_empty() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    target
}

/// Path and query of the request target; no query is an empty one.
pub(super) fn split_target(headers: &Headers) -> (&[u8], &[u8]) {
    let target = headers.get(b":path").unwrap_or_default();
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[]),
    }
}

/// Edits the response's head, or leaves it as it was.
pub(super) fn edit_response(
    headers: &mut Headers,
    edits: &abi::ResponseEdits,
) -> Result<(), String> {
    if let Some(status) = edits.status {
        check_status(status)?;
    }
    edit_headers(headers, &edits.headers)?;
    if let Some(status) = edits.status {
        headers.set(b":status", status.to_string().as_bytes());
    }
    Ok(())
}

/// Makes all the edits or, with an error, none. A request's `host` is its `:authority`.
pub(super) fn edit_headers(headers: &mut Headers, edits: &[abi::HeaderEdit]) -> Result<(), String> {
    check_edits(edits)?;
    let is_request = headers.get(b":authority").is_some();
    let host = |edit: &abi::HeaderEdit| match edit {
        abi::HeaderEdit::Set(_) => false,
        abi::HeaderEdit::Append((name, _)) | abi::HeaderEdit::Remove(name) => {
            name.eq_ignore_ascii_case("host")
        }
    };
    if is_request && edits.iter().any(host) {
        return Err("header host: can be set, but neither appended to nor removed".to_owned());
    }
    let added: usize = edits.iter().map(size).sum();
    if headers.len() + edits.len() <= limits::HEADER_COUNT
        && headers.stored() + added <= limits::HEADERS
    {
        edits.iter().for_each(|edit| apply(headers, edit, is_request));
        return Ok(());
    }
    let mut edited = headers.clone();
    edits.iter().for_each(|edit| apply(&mut edited, edit, is_request));
    // What was too much before the plugin came is not its fault.
    if edited.len() > headers.len() || edited.size() > headers.size() {
        check_count(edited.len(), edited.size())?;
    }
    *headers = edited;
    Ok(())
}

fn size(edit: &abi::HeaderEdit) -> usize {
    match edit {
        abi::HeaderEdit::Set((name, value)) | abi::HeaderEdit::Append((name, value)) => {
            name.len() + value.len()
        }
        abi::HeaderEdit::Remove(_) => 0,
    }
}

fn apply(headers: &mut Headers, edit: &abi::HeaderEdit, is_request: bool) {
    match edit {
        abi::HeaderEdit::Set((name, value)) if is_request && name.eq_ignore_ascii_case("host") => {
            headers.set(b":authority", value.as_bytes());
        }
        abi::HeaderEdit::Set((name, value)) => headers.set(name.as_bytes(), value.as_bytes()),
        abi::HeaderEdit::Append((name, value)) => {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        abi::HeaderEdit::Remove(name) => {
            headers.remove(name.as_bytes());
        }
    }
}
