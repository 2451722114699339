//! A format string, read once into literals and variables, and how it becomes a line.
//!
//! AWS inserts values raw and leaves quoting to the author of the format. Here a client must not be
//! able to end a line, forge another or break a JSON object by what it sends, so:
//!
//! - in every format, control characters (C0, DEL, C1) and the line and paragraph separators of
//!   Unicode become `\n`, `\t`, `\u0007` and so on, and bytes that aren't UTF-8 become U+FFFD;
//! - in a JSON format (one that begins with `{`), `"` and `\` also get their `\`.
//!
//! `$context.error.messageString` is the message as a JSON string in its own quotes, in any format.

use super::{ContextVariable, LogValues};

/// AWS's limit for a format, in bytes.
pub const MAXIMUM_FORMAT: usize = 3 * 1024;

/// AWS's JSON preset, followed by what one looks for first when a request went wrong. All values are
/// quoted, as in the preset, because each may be `-`.
pub const DEFAULT_FORMAT: &str = concat!(
    r#"{"requestId":"$context.requestId","extendedRequestId":"$context.extendedRequestId","#,
    r#""ip":"$context.identity.sourceIp","caller":"$context.identity.caller","user":"$context.identity.user","#,
    r#""requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","resourcePath":"$context.resourcePath","#,
    r#""status":"$context.status","protocol":"$context.protocol","responseLength":"$context.responseLength","#,
    r#""apiId":"$context.apiId","stage":"$context.stage","domainName":"$context.domainName","path":"$context.path","#,
    r#""userAgent":"$context.identity.userAgent","responseLatency":"$context.responseLatency","#,
    r#""integrationLatency":"$context.integrationLatency","integrationStatus":"$context.integrationStatus","#,
    r#""errorMessage":"$context.error.message"}"#
);

/// A format string that has been read.
#[derive(Clone, Debug)]
pub struct AccessLogFormat {
    segments: Vec<Segment>,
    escaping: Escaping,
}

/// What is wrong with a format string, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("the access log format has {0} bytes; {MAXIMUM_FORMAT} are allowed")]
    TooLong(usize),
    #[error("the access log format must be one line")]
    NotOneLine,
    #[error("the access log format must contain $context.requestId or $context.extendedRequestId")]
    NoRequestId,
    #[error("the access log format has $context.{name}, which doesn't exist{}", suggest(.near))]
    UnknownVariable {
        name: String,
        /// Names like it, nearest first.
        near: Vec<&'static str>,
    },
    #[error("the access log format has {0}; only $context variables are allowed")]
    NotContext(String),
}

impl AccessLogFormat {
    /// Reads a format string; a final line end is ignored.
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        if format.len() > MAXIMUM_FORMAT {
            return Err(FormatError::TooLong(format.len()));
        }
        let format = format.trim_end_matches(['\r', '\n']);
        if format.contains(char::is_control) {
            return Err(FormatError::NotOneLine);
        }
        let segments = segments(format)?;
        let has_id = segments.iter().any(|segment| {
            matches!(
                segment,
                Segment::Variable(ContextVariable::RequestId | ContextVariable::ExtendedRequestId)
            )
        });
        if !has_id {
            return Err(FormatError::NoRequestId);
        }
        let escaping =
            if format.trim_start().starts_with('{') { Escaping::Json } else { Escaping::Control };
        Ok(Self { segments, escaping })
    }

    /// Appends the line of one request, without a line end.
    pub fn write<V: LogValues + ?Sized>(&self, values: &V, out: &mut Vec<u8>) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text),
                Segment::Variable(variable) => {
                    let start = out.len();
                    if values.write(variable, out) {
                        self.escaping.escape_from(start, out);
                    } else {
                        out.truncate(start);
                        out.push(b'-');
                    }
                }
                Segment::QuotedErrorMessage => {
                    let start = out.len();
                    out.push(b'"');
                    if values.write(&ContextVariable::ErrorMessage, out) {
                        Escaping::Json.escape_from(start + 1, out);
                        out.push(b'"');
                    } else {
                        out.truncate(start);
                        out.push(b'-');
                    }
                }
            }
        }
    }
}

impl Default for AccessLogFormat {
    /// [`DEFAULT_FORMAT`].
    fn default() -> Self {
        Self::parse(DEFAULT_FORMAT).expect("the default format is valid; a test reads it")
    }
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(Box<[u8]>),
    Variable(ContextVariable),
    QuotedErrorMessage,
}

fn segments(format: &str) -> Result<Vec<Segment>, FormatError> {
    const PREFIX: &str = "$context.";
    let mut segments = Vec::new();
    let mut literal = String::new();
    let mut rest = format;
    while let Some(dollar) = rest.find('$') {
        literal.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix(PREFIX) {
            let name = variable_name(after);
            let variable = ContextVariable::parse(name).ok_or_else(|| {
                FormatError::UnknownVariable { name: name.to_owned(), near: near(name) }
            })?;
            if !literal.is_empty() {
                segments.push(Segment::Literal(std::mem::take(&mut literal).into_bytes().into()));
            }
            segments.push(match variable {
                ContextVariable::ErrorMessageString => Segment::QuotedErrorMessage,
                variable => Segment::Variable(variable),
            });
            rest = &after[name.len()..];
        } else {
            // A price may have its dollar; anything that looks like a reference is a mistake.
            if rest[1..].starts_with(|next: char| next.is_ascii_alphabetic() || next == '{') {
                let end = rest[1..]
                    .find(|next: char| !next.is_ascii_alphanumeric() && !"._{}".contains(next));
                return Err(FormatError::NotContext(
                    rest[..end.map_or(rest.len(), |end| end + 1)].to_owned(),
                ));
            }
            literal.push('$');
            rest = &rest[1..];
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        segments.push(Segment::Literal(literal.into_bytes().into()));
    }
    Ok(segments)
}

/// Letters, digits, `_` and dots between them; a dot at the end belongs to the text.
fn variable_name(text: &str) -> &str {
    let end = text.find(|next: char| !next.is_ascii_alphanumeric() && next != '_' && next != '.');
    let name = text[..end.unwrap_or(text.len())].trim_end_matches('.');
    // `$context.authorizer.claims.cognito:username`: Cognito's own claims have a colon.
    match name == "authorizer.claims.cognito" && text[name.len()..].starts_with(':') {
        true => {
            let claim = &text[name.len() + 1..];
            let end = claim.find(|next: char| !next.is_ascii_alphanumeric() && next != '_');
            &text[..name.len() + 1 + end.unwrap_or(claim.len())]
        }
        false => name,
    }
}

/// At most three names that somebody may have meant.
fn near(name: &str) -> Vec<&'static str> {
    let name = name.to_ascii_lowercase();
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let mut near: Vec<(usize, &str)> = ContextVariable::NAMES
        .iter()
        .filter_map(|known| {
            let lower = known.to_ascii_lowercase();
            // `sourceIp` for `identity.sourceIp` is as near as one typing error.
            let distance =
                edit_distance(&name, &lower).min(1 + edit_distance(&last(&name), &last(&lower)));
            (distance <= 1 + name.len() / 5).then_some((distance, *known))
        })
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, known)| known).collect()
}

/// Levenshtein's, in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn suggest(near: &[&str]) -> String {
    match near {
        [] => String::new(),
        names => format!("; did you mean $context.{}?", names.join(" or $context.")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaping {
    Control,
    Json,
}

impl Escaping {
    /// Escapes what was appended to `out` after `start`.
    fn escape_from(self, start: usize, out: &mut Vec<u8>) {
        // Nearly all values need nothing; look before copying.
        if !self.is_harmless(&out[start..]) {
            self.escape_slowly(start, out);
        }
    }

    /// Whether all bytes are printable ASCII, and none is one that JSON escapes.
    ///
    /// Without an early exit the compiler looks at sixteen bytes at once. Eight bytes in a register by
    /// hand (as `memchr` does without SIMD) took as many instructions for the default format: 3.7
    /// thousand a line, of which this is a third.
    fn is_harmless(self, value: &[u8]) -> bool {
        match self {
            Self::Control => {
                value.iter().fold(true, |harmless, byte| harmless & (0x20..0x7f).contains(byte))
            }
            Self::Json => value.iter().fold(true, |harmless, byte| {
                harmless & (0x20..0x7f).contains(byte) & (*byte != b'"') & (*byte != b'\\')
            }),
        }
    }

    #[cold]
    fn escape_slowly(self, start: usize, out: &mut Vec<u8>) {
        let raw = out.split_off(start);
        for chunk in raw.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' | '\\' if self == Self::Json => out.extend([b'\\', character as u8]),
                    '\n' => out.extend(br"\n"),
                    '\r' => out.extend(br"\r"),
                    '\t' => out.extend(br"\t"),
                    '\u{2028}' | '\u{2029}' => {
                        out.extend(format!("\\u{:04x}", character as u32).bytes())
                    }
                    control if control.is_control() => {
                        out.extend(format!("\\u{:04x}", control as u32).bytes())
                    }
                    other => out.extend(other.encode_utf8(&mut [0; 4]).bytes()),
                }
            }
            if !chunk.invalid().is_empty() {
                out.extend("\u{fffd}".bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every variable has the same value, or none has one.
    struct All<'a>(Option<&'a [u8]>);

    impl LogValues for All<'_> {
        fn write(&self, _: &ContextVariable, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(self.0.unwrap_or(b"half a value"));
            self.0.is_some()
        }
    }

    fn line(format: &str, value: Option<&str>) -> String {
        let mut out = Vec::new();
        AccessLogFormat::parse(format)
            .expect("a format")
            .write(&All(value.map(str::as_bytes)), &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn error(format: &str) -> String {
        AccessLogFormat::parse(format).expect_err("an error").to_string()
    }

    #[test]
    fn variables_end_where_their_name_ends() {
        let cases = [
            ("$context.requestId", "v"),
            ("[$context.requestId]", "[v]"),
            ("$context.requestId.", "v."),
            ("$context.requestId-$context.stage,$context.path", "v-v,v"),
            ("$context.requestId$context.stage", "vv"),
            ("cost $5 $ $context.requestId", "cost $5 $ v"),
            ("$context.requestId $context.authorizer.claims.cognito:username:x", "v v:x"),
            ("$context.requestId: $context.authorizer.claims.sub: x", "v: v: x"),
            ("$context.requestId\r\n", "v"),
            ("é $context.extendedRequestId é", "é v é"),
        ];
        for (format, expected) in cases {
            assert_eq!(line(format, Some("v")), expected, "{format}");
        }
    }

    #[test]
    fn awss_presets_are_valid() {
        let clf = r#"$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime] "$context.httpMethod $context.resourcePath $context.protocol" $context.status $context.responseLength $context.requestId $context.extendedRequestId"#;
        assert_eq!(line(clf, None), r#"- - - [-] "- - -" - - - -"#);
        let xml = r#"<request id="$context.requestId"> <extendedRequestId>$context.extendedRequestId</extendedRequestId> </request>"#;
        assert_eq!(
            line(xml, Some("v")),
            r#"<request id="v"> <extendedRequestId>v</extendedRequestId> </request>"#
        );
        assert_eq!(line("$context.identity.sourceIp,$context.requestId", Some("v")), "v,v");
    }

    #[test]
    fn a_missing_value_is_a_dash_and_half_a_value_is_taken_back() {
        assert_eq!(line("$context.requestId|$context.error.messageString", None), "-|-");
    }

    #[test]
    fn the_default_format_is_json_for_every_request() {
        let keys = "requestId extendedRequestId ip caller user requestTime httpMethod resourcePath status protocol responseLength";
        let nasty = [
            None,
            Some("v"),
            Some(r#"","status":"200"#),
            Some("\\"),
            Some("\n{}\r\0\u{7f}\u{85}\u{2028}é😀"),
            Some(""),
        ];
        for value in nasty {
            let line = line(DEFAULT_FORMAT, value);
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&line).expect(&line);
            assert!(
                object
                    .keys()
                    .map(String::as_str)
                    .zip(keys.split(' '))
                    .all(|(key, expected)| key == expected),
                "{line}"
            );
            assert!(object.values().all(|text| text == value.unwrap_or("-")), "{line}");
            assert!(!line.contains(char::is_control) && !line.contains('\u{2028}'), "{line:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_break_a_line() {
        for format in [DEFAULT_FORMAT, "$context.requestId"] {
            let mut out = Vec::new();
            AccessLogFormat::parse(format)
                .expect("a format")
                .write(&All(Some(b"a\xff\xfe\xc3b\xc2")), &mut out);
            let line = String::from_utf8(out).expect("UTF-8");
            assert!(line.contains("a\u{fffd}\u{fffd}\u{fffd}b\u{fffd}"), "{line}");
        }
    }

    #[test]
    fn every_byte_that_needs_escaping_is_seen_wherever_it_stands() {
        for length in 1..=20 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut value = vec![b'a'; length];
                    value[place] = byte;
                    let printable = (0x20..0x7f).contains(&byte);
                    assert_eq!(Escaping::Control.is_harmless(&value), printable, "{value:?}");
                    assert_eq!(
                        Escaping::Json.is_harmless(&value),
                        printable && byte != b'"' && byte != b'\\',
                        "{value:?}"
                    );
                }
            }
        }
        assert!(Escaping::Json.is_harmless(b""));
    }

    #[test]
    fn a_client_cannot_forge_a_line_in_any_format() {
        assert_eq!(
            line("$context.requestId", Some("a\n127.0.0.1 \x1b[2J\u{9b}")),
            r"a\n127.0.0.1 \u001b[2J\u009b"
        );
        // A plain format is AWS's raw one otherwise.
        assert_eq!(line("\"$context.requestId\"", Some(r#"a"b\c"#)), r#""a"b\c""#);
    }

    #[test]
    fn the_message_string_is_a_json_string() {
        let format = r#"{"id":"$context.requestId","message":$context.error.messageString}"#;
        assert_eq!(
            line(format, Some(r#"say "no""#)),
            r#"{"id":"say \"no\"","message":"say \"no\""}"#
        );
    }

    #[test]
    fn a_format_needs_a_request_id() {
        assert!(
            error("$context.status").contains("$context.requestId or $context.extendedRequestId")
        );
        assert!(error("$context.authorizer.requestId").contains("must contain"));
    }

    #[test]
    fn a_format_is_one_line_of_three_kilobytes() {
        assert_eq!(
            AccessLogFormat::parse("$context.requestId\n$context.path").err(),
            Some(FormatError::NotOneLine)
        );
        let long = format!("$context.requestId{}", "x".repeat(MAXIMUM_FORMAT));
        assert_eq!(AccessLogFormat::parse(&long).err(), Some(FormatError::TooLong(long.len())));
        assert!(DEFAULT_FORMAT.len() < MAXIMUM_FORMAT);
    }

    #[test]
    fn an_unknown_variable_is_named_with_those_like_it() {
        let cases = [
            ("sourceIp", "did you mean $context.identity.sourceIp?"),
            ("requestID", "did you mean $context.requestId"),
            ("identity.useragent", "did you mean $context.identity.userAgent"),
            ("statsu", "did you mean $context."),
            ("integration.latencyy", "did you mean $context.integration.latency"),
            ("bananas", "has $context.bananas, which doesn't exist"),
            ("", "has $context., which doesn't exist"),
        ];
        for (name, expected) in cases {
            let error = error(&format!("$context.{name}"));
            assert!(error.contains(expected), "{error}");
        }
        assert!(!error("$context.bananas").contains("did you mean"));
    }

    #[test]
    fn other_references_are_refused_by_name() {
        assert!(error("$context.requestId $input.path('$.x')").contains("has $input.path;"));
        assert!(error("$stageVariables.x").contains("has $stageVariables.x;"));
        assert!(error("${context.requestId}").contains("has ${context.requestId};"));
        assert!(error("$contextx").contains("has $contextx;"));
    }
}
