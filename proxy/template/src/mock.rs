//! The status code of a MOCK integration's rendered request template.

/// Reads `statusCode` from the text a MOCK integration's request template rendered.
///
/// As lenient as AWS was recorded to be: unquoted, single-quoted and unknown keys, trailing
/// commas and anything as another key's value are accepted. `None` (which answers 500 and logs
/// `Unable to parse statusCode. It should be an integer that is defined in the request
/// template.`) for a code that is a string, missing, or in a text whose brackets don't balance.
/// Where the key repeats, the last one counts.
pub fn mock_status(text: &str) -> Option<u16> {
    let mut scan = Scan { rest: text.trim().strip_prefix('{')? };
    let mut status = None;
    loop {
        scan.skip_separators();
        if let Some(after) = scan.rest.strip_prefix('}') {
            return if after.is_empty() { status } else { None };
        }
        let key = scan.token()?;
        scan.rest = scan.rest.trim_start();
        let Some(value) = scan.rest.strip_prefix(':') else { continue };
        scan.rest = value.trim_start();
        let value = scan.value()?;
        if unquoted(key) == "statusCode" {
            status = integer(value);
        }
    }
}

struct Scan<'t> {
    rest: &'t str,
}

impl<'t> Scan<'t> {
    fn skip_separators(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }

    /// A quoted string, or a run up to the next `:`, `,` or bracket. Never empty.
    fn token(&mut self) -> Option<&'t str> {
        let length = match self.rest.chars().next()? {
            quote @ ('"' | '\'') => quoted_length(self.rest, quote)?,
            ':' | ',' | '{' | '[' | ']' | '}' => return None,
            _ => self.rest.find([':', ',', '{', '[', ']', '}'])?,
        };
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(token.trim_end())
    }

    /// A value: quoted, balanced brackets, or a run up to the next `,` or `}`.
    fn value(&mut self) -> Option<&'t str> {
        let length = match self.rest.chars().next()? {
            quote @ ('"' | '\'') => quoted_length(self.rest, quote)?,
            '{' | '[' => balanced_length(self.rest)?,
            _ => self.rest.find([',', '}', '{', '[', ']'])?,
        };
        let (value, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(value.trim_end())
    }
}

/// The length of the string that starts the text, with its quotes.
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of the bracketed value that starts the text.
fn balanced_length(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => {
                open.pop().filter(|close| *close == c)?;
                if open.is_empty() {
                    return Some(at + 1);
                }
            }
            '"' | '\'' => {
                at += quoted_length(&text[at..], c)?;
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

fn unquoted(key: &str) -> &str {
    let inner = |quote| key.strip_prefix(quote).and_then(|key: &str| key.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(key)
}

/// Digits only: `+200`, `2e2` and `200.0` are not what AWS takes for an integer.
fn integer(value: &str) -> Option<u16> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::mock_status;

    #[test]
    fn the_status_is_read_as_leniently_as_aws_reads_it() {
        for (text, expected) in [
            (r#"{"statusCode": 200}"#, Some(200)),
            ("{statusCode: 200}", Some(200)),
            ("{'statusCode': 404}", Some(404)),
            ("\n{ \"statusCode\" : 201 , }\n", Some(201)),
            (r#"{"a": {"statusCode": 1, "b": "}"}, statusCode: 203, c: [1, {}]}"#, Some(203)),
            (r#"{junk, other junk: x y, "statusCode": 204}"#, Some(204)),
            (r#"{"statusCode": 200, "message": "it's"}"#, Some(200)),
            ("{statusCode: 1, statusCode: 2}", Some(2)),
        ] {
            assert_eq!(mock_status(text), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_has_no_status() {
        for text in [
            "",
            "{}",
            "200",
            "null",
            r#"{"statusCode": "200"}"#,
            "{statusCode: '200'}",
            r#"{"statusCode": 200"#,
            r#""statusCode": 200}"#,
            r#"{"statusCode": 200}}"#,
            r#"{"statusCode": 2e2}"#,
            r#"{"statusCode": -200}"#,
            r#"{"statusCode": 65536}"#,
            r#"{"statusCode": }"#,
            r#"{"statusCode"}"#,
            r#"{"statuscode": 200}"#,
            r#"{"a": "open, statusCode: 200}"#,
            "{a: [}, statusCode: 200}",
            "{statusCode: null}",
            "{:200}",
            "{\\",
        ] {
            assert_eq!(mock_status(text), None, "{text}");
        }
    }
}
