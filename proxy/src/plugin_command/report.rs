//! What `tollgate plugin test` prints.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_plugin_host::{AuthorizerDecision, ContextValue, HeaderEdit, Plugin, Reply};

use super::run::{Action, Edits, Outcome};

/// The line about the plugin, and what it logged when it was started.
pub fn started(plugin: &Plugin, log: &[String]) -> String {
    let mut text = format!("{}: {}\n", plugin.name(), plugin.kind());
    for line in log {
        text.push_str(&format!("  log      {line}\n"));
    }
    text
}

/// One request, for people.
pub fn text(number: usize, outcome: &Outcome) -> String {
    let mut text = format!("request {number}: {} {}\n", outcome.method, outcome.path);
    for (label, value) in lines(outcome) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {label:<8} {}", value.replace('\n', "\n           "));
    }
    text
}

fn lines(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    match &outcome.action {
        Action::Decision(decision) => decision_lines(decision, &mut lines),
        Action::Transformed { request, response } => {
            edit_lines("request", request, &mut lines);
            if let Some(response) = response {
                edit_lines("response", response, &mut lines);
            }
        }
        Action::Reply(reply) => reply_lines(reply, &mut lines),
        Action::Reset => lines.push(("reset", "the client's stream is reset".to_owned())),
        Action::BodyTooLarge => {
            lines.push(("body", "is larger than the plugin's limit: 413".to_owned()));
        }
        Action::Failed => {}
    }
    if let Some(error) = &outcome.error {
        lines.push(("failed", format!("{} ({})", error.message, error.kind.as_str())));
        if !error.backtrace.is_empty() {
            lines.push(("", error.backtrace.trim_end().to_owned()));
        }
    }
    lines.extend(outcome.log.iter().map(|line| ("log", line.clone())));
    let cost = outcome.cost;
    let cpu = microseconds(cost.cpu);
    let memory = cost.memory / 1024;
    lines.push(("cost", format!("{cpu} µs CPU, {} fuel, {memory} KiB memory", cost.fuel)));
    lines
}

fn decision_lines(decision: &AuthorizerDecision, lines: &mut Vec<(&'static str, String)>) {
    let AuthorizerDecision::Allow {
        principal_id,
        policy,
        context,
        usage_identifier_key,
        headers,
        time_to_live,
    } = decision
    else {
        match decision {
            AuthorizerDecision::Deny(reply) => {
                lines.push(("decision", "deny".to_owned()));
                if let Some(reply) = reply {
                    reply_lines(reply, lines);
                }
            }
            _ => lines.push(("decision", "unauthorized: 401".to_owned())),
        }
        return;
    };
    lines.push(("decision", format!("allow {principal_id:?}")));
    let policy = policy.as_deref().unwrap_or("none: every method that asks this authorizer");
    lines.push(("policy", policy.to_owned()));
    for (name, value) in context {
        let value = match value {
            ContextValue::Text(text) => format!("{text:?}"),
            ContextValue::Number(number) => number.to_string(),
            ContextValue::Boolean(boolean) => boolean.to_string(),
        };
        lines.push(("context", format!("{name} = {value}")));
    }
    if let Some(key) = usage_identifier_key {
        lines.push(("api key", key.clone()));
    }
    for edit in headers {
        lines.push(("header", header_edit(edit)));
    }
    if let Some(time) = time_to_live {
        lines.push(("kept", format!("up to {} s", time.as_secs())));
    }
}

fn header_edit(edit: &HeaderEdit) -> String {
    match edit {
        HeaderEdit::Set(name, value) => format!("set {name}: {value}"),
        HeaderEdit::Append(name, value) => format!("append {name}: {value}"),
        HeaderEdit::Remove(name) => format!("remove {name}"),
    }
}

fn edit_lines(what: &'static str, edits: &Edits, lines: &mut Vec<(&'static str, String)>) {
    if edits.is_empty() {
        lines.push((what, "goes on as it is".to_owned()));
    }
    lines.extend(edits.removed.iter().map(|(name, value)| (what, format!("- {name}: {value}"))));
    lines.extend(edits.added.iter().map(|(name, value)| (what, format!("+ {name}: {value}"))));
    if let Some(body) = &edits.body {
        lines.push((what, format!("body: {}", body_text(body))));
    }
}

fn reply_lines(reply: &Reply, lines: &mut Vec<(&'static str, String)>) {
    lines.push(("reply", reply.status.to_string()));
    for (name, value) in &reply.headers {
        lines.push(("reply", format!("{name}: {}", String::from_utf8_lossy(value))));
    }
    if let Some(status) = reply.grpc_status {
        lines.push(("reply", format!("grpc-status: {status}")));
    }
    if !reply.body.is_empty() {
        lines.push(("reply", format!("body: {}", body_text(&reply.body))));
    }
    if !reply.details.is_empty() {
        lines.push(("reply", format!("details: {}", reply.details)));
    }
}

fn body_text(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{} bytes that are not text", body.len()),
    }
}

/// One request, as a line of JSON for programs.
pub fn json(outcome: &Outcome) -> Value {
    let mut result = json!({
        "method": outcome.method,
        "path": outcome.path,
        "log": outcome.log,
        "cost": {
            "cpu_microseconds": microseconds(outcome.cost.cpu),
            "fuel": outcome.cost.fuel,
            "memory_bytes": outcome.cost.memory,
        },
    });
    let (key, value) = match &outcome.action {
        Action::Decision(decision) => ("decision", decision_json(decision)),
        Action::Transformed { request, response } => (
            "edits",
            json!({"request": edits_json(request), "response": response.as_ref().map(edits_json)}),
        ),
        Action::Reply(reply) => ("reply", reply_json(reply)),
        Action::Reset => ("reset", json!(true)),
        Action::BodyTooLarge => ("body_too_large", json!(true)),
        Action::Failed => ("failed", json!(true)),
    };
    result[key] = value;
    if let Some(error) = &outcome.error {
        result["error"] = json!({
            "kind": error.kind.as_str(),
            "message": error.message,
            "backtrace": error.backtrace.lines().collect::<Vec<_>>(),
        });
    }
    result
}

fn decision_json(decision: &AuthorizerDecision) -> Value {
    match decision {
        AuthorizerDecision::Allow {
            principal_id,
            policy,
            context,
            usage_identifier_key,
            headers,
            time_to_live,
        } => {
            let context: serde_json::Map<String, Value> = context
                .iter()
                .map(|(name, value)| {
                    let value = match value {
                        ContextValue::Text(text) => json!(text),
                        ContextValue::Number(number) => json!(number),
                        ContextValue::Boolean(boolean) => json!(boolean),
                    };
                    (name.clone(), value)
                })
                .collect();
            json!({"allow": {
                "principal_id": principal_id,
                "policy": policy,
                "context": context,
                "usage_identifier_key": usage_identifier_key,
                "headers": headers.iter().map(header_edit).collect::<Vec<_>>(),
                "time_to_live_seconds": time_to_live.map(|time| time.as_secs()),
            }})
        }
        AuthorizerDecision::Deny(reply) => json!({"deny": reply.as_ref().map(reply_json)}),
        AuthorizerDecision::Unauthorized => json!("unauthorized"),
    }
}

fn edits_json(edits: &Edits) -> Value {
    json!({
        "removed": edits.removed,
        "added": edits.added,
        "body": edits.body.as_ref().map(|body| String::from_utf8_lossy(body)),
    })
}

fn reply_json(reply: &Reply) -> Value {
    let headers: Vec<_> =
        reply.headers.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
    json!({
        "status": reply.status,
        "headers": headers,
        "body": String::from_utf8_lossy(&reply.body),
        "grpc_status": reply.grpc_status,
        "details": reply.details,
    })
}

fn microseconds(time: Duration) -> u64 {
    time.as_micros() as u64
}
