//! The execution log of one request: what each phase did, in AWS's words and order
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html>).
//!
//! Live traffic keeps none: [`crate::exchange::Exchange::log`] then costs one comparison.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::identifiers::http_date;

/// Longest line in bytes; the rest is cut and ` [TRUNCATED]` written.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// Longest line of an integration request's headers, as AWS cuts it.
const MAX_HEADERS_LINE_BYTES: usize = 998;

/// Characters at the end of a secret that stay readable.
const READABLE: usize = 6;

#[derive(Debug, Default)]
pub struct ExecutionLog {
    lines: Vec<(Duration, String)>,
}

impl ExecutionLog {
    pub fn push(&mut self, line: String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.lines.push((now, cut(line, MAX_LINE_BYTES)));
    }

    /// The log as `test-invoke-method` answers it.
    pub fn to_text(&self, request_id: &str) -> String {
        let mut text = format!("Execution log for request {request_id}\n");
        for (at, line) in &self.lines {
            let _ = writeln!(text, "{} : {line}", timestamp(at.as_secs()));
        }
        text
    }
}

/// `Sun Nov 22 20:00:00 UTC 2026`
fn timestamp(seconds: u64) -> String {
    // `Sun, 22 Nov 2026 20:00:00 GMT`
    let date = http_date(seconds);
    let date = String::from_utf8_lossy(&date);
    format!(
        "{} {} {} {} UTC {}",
        &date[..3],
        &date[8..11],
        &date[5..7],
        &date[17..25],
        &date[12..16]
    )
}

/// A map as Java prints it: `{k=v, k2=v2}`, with secrets masked.
pub fn java_map<'m>(entries: impl Iterator<Item = (Cow<'m, str>, Cow<'m, str>)>) -> String {
    let mut text = String::from("{");
    for (name, value) in entries {
        if text.len() > 1 {
            text.push_str(", ");
        }
        let _ = match is_secret(&name) {
            true => write!(text, "{name}={}", masked(&value)),
            false => write!(text, "{name}={value}"),
        };
    }
    text.push('}');
    text
}

/// A line of an integration request's headers.
pub fn endpoint_headers_line(map: String) -> String {
    cut(format!("Endpoint request headers: {map}"), MAX_HEADERS_LINE_BYTES)
}

fn is_secret(name: &str) -> bool {
    ["authorization", "x-api-key", "x-amz-security-token"]
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Every character but the last six as `*`.
pub fn masked(value: &str) -> String {
    let hidden = value.chars().count().saturating_sub(READABLE);
    value.chars().enumerate().map(|(at, c)| if at < hidden { '*' } else { c }).collect()
}

fn cut(mut line: String, maximum: usize) -> String {
    if line.len() > maximum {
        let end = line.floor_char_boundary(maximum);
        line.truncate(end);
        line.push_str(" [TRUNCATED]");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_print_as_java_prints_them_without_secrets() {
        let entries = [("Accept", "*/*"), ("AUTHORIZATION", "Bearer abcdefghij"), ("x", "")];
        let entries = entries.into_iter().map(|(name, value)| (name.into(), value.into()));
        assert_eq!(java_map(entries), "{Accept=*/*, AUTHORIZATION=***********efghij, x=}");
        assert_eq!(java_map(std::iter::empty()), "{}");
        assert_eq!(masked("short"), "short");
    }

    #[test]
    fn a_line_has_its_time_in_javas_form() {
        assert_eq!(timestamp(1_795_377_600), "Sun Nov 22 20:00:00 UTC 2026");
        assert_eq!(timestamp(0), "Thu Jan 01 00:00:00 UTC 1970");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        assert_eq!(cut("äöü".to_owned(), 3), "ä [TRUNCATED]");
        assert_eq!(cut("abc".to_owned(), 3), "abc");
    }
}
