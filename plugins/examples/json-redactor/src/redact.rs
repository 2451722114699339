//! Reads a document once, copying all of it but the values that paths select.

use crate::paths::{Below, Paths, Steps};

/// Deeper documents are refused.
const DEEPEST: usize = 128;

#[derive(Debug, PartialEq, Eq)]
pub enum Redaction {
    /// No path selects anything.
    Nothing,
    Replaced(Vec<u8>),
    /// Not JSON (RFC 8259), at this byte.
    Invalid {
        at: usize,
    },
}

pub fn redact(document: &[u8], paths: &Paths, replacement: &[u8]) -> Redaction {
    let mut output = Output { document, replacement, bytes: Vec::new(), copied: 0 };
    match read(Document(document), paths, &mut output) {
        Err(at) => Redaction::Invalid { at },
        Ok(()) if output.copied == 0 => Redaction::Nothing,
        Ok(()) => {
            output.bytes.extend_from_slice(&document[output.copied..]);
            Redaction::Replaced(output.bytes)
        }
    }
}

struct Output<'a> {
    document: &'a [u8],
    replacement: &'a [u8],
    bytes: Vec<u8>,
    /// Up to where the document is in the output, as it was or replaced.
    copied: usize,
}

impl Output<'_> {
    #[inline(never)]
    fn leave_out(&mut self, begin: usize, end: usize) {
        if self.copied == 0 {
            self.bytes.reserve(self.document.len() + 8 * self.replacement.len());
        }
        self.bytes.extend_from_slice(&self.document[self.copied..begin]);
        self.bytes.extend_from_slice(self.replacement);
        self.copied = end;
    }
}

/// An object or array that is being read.
struct Container {
    /// What its children are to match.
    steps: Steps,
    is_array: bool,
    /// Of the child that is being read.
    index: usize,
}

/// A value that is being left out.
struct Hidden {
    begin: usize,
    /// How many containers it is in.
    depth: usize,
}

/// Reads a whole document, or gives the place where it is not JSON.
///
/// One loop over values, with all that each needs inlined: the gateway's checks of a plugin's CPU
/// time are at each call and each turn of a loop, and cost more than what a byte takes.
fn read(document: Document, paths: &Paths, output: &mut Output) -> Result<(), usize> {
    let mut containers: Vec<Container> = Vec::with_capacity(16);
    let mut hidden = None;
    let mut at = document.space(0);
    loop {
        let below = match containers.last() {
            None => Below { steps: paths.start(), redact: false },
            Some(array) if array.is_array => paths.index(array.steps, array.index),
            Some(object) => {
                let (below, value) = document.member(at, object.steps, paths)?;
                at = value;
                below
            }
        };
        let mut steps = below.steps;
        if below.redact {
            hidden = Some(Hidden { begin: at, depth: containers.len() });
            steps = 0;
        }
        let byte = document.byte(at);
        at = match byte {
            b'"' => document.string(at)?.end,
            b'-' | b'0'..=b'9' => document.number(at)?,
            b'{' | b'[' => {
                if containers.len() == DEEPEST {
                    return Err(at);
                }
                let inside = document.space(at + 1);
                // In ASCII a closing brace or bracket is two after the opening one.
                if document.byte(inside) != byte + 2 {
                    containers.push(Container { steps, is_array: byte == b'[', index: 0 });
                    at = inside;
                    continue;
                }
                inside + 1
            }
            b't' => document.word(at, b"true")?,
            b'f' => document.word(at, b"false")?,
            b'n' => document.word(at, b"null")?,
            _ => return Err(at),
        };
        // A value has ended, and so have the containers that it is the last in.
        loop {
            if let Some(Hidden { begin, depth }) = hidden
                && depth == containers.len()
            {
                output.leave_out(begin, at);
                hidden = None;
            }
            at = document.space(at);
            let Some(container) = containers.last_mut() else {
                return if at == document.0.len() { Ok(()) } else { Err(at) };
            };
            match document.byte(at) {
                b',' => {
                    container.index += 1;
                    at = document.space(at + 1);
                    break;
                }
                b']' if container.is_array => {}
                b'}' if !container.is_array => {}
                _ => return Err(at),
            }
            containers.pop();
            at += 1;
        }
    }
}

/// Where what was read ends, or where the document is not JSON.
type End = Result<usize, usize>;

/// Copied into each function, with places given and taken instead of one kept: so that both stay in
/// registers.
#[derive(Clone, Copy)]
struct Document<'a>(&'a [u8]);

impl Document<'_> {
    /// Reads a member's name and colon; gives what is to be done with its value, and its place.
    #[inline(always)]
    fn member(self, at: usize, steps: Steps, paths: &Paths) -> Result<(Below, usize), usize> {
        if self.byte(at) != b'"' {
            return Err(at);
        }
        let name = self.string(at)?;
        let raw = &self.0[at + 1..name.end - 1];
        let below = if name.has_escapes {
            self.escaped_name(&self.0[at..name.end], steps, paths)
        } else {
            paths.name(steps, raw)
        };
        let colon = self.space(name.end);
        if self.byte(colon) != b':' {
            return Err(colon);
        }
        Ok((below, self.space(colon + 1)))
    }

    #[cold]
    fn escaped_name(self, quoted: &[u8], steps: Steps, paths: &Paths) -> Below {
        // A name that can't be unescaped (half a surrogate pair) matches as it is, and whatever a
        // backend makes of it is no name that a path can have.
        match serde_json::from_slice::<String>(quoted) {
            Ok(unescaped) => paths.name(steps, unescaped.as_bytes()),
            Err(_) => paths.name(steps, &quoted[1..quoted.len() - 1]),
        }
    }

    /// Reads a string; a quote is at `at`.
    #[inline(always)]
    fn string(self, at: usize) -> Result<Text, usize> {
        let mut at = at + 1;
        let mut has_escapes = false;
        loop {
            let plain = plain_length(self.eight(at));
            at += plain;
            if plain == 8 {
                continue;
            }
            match self.byte(at) {
                b'"' => return Ok(Text { end: at + 1, has_escapes }),
                b'\\' => at = self.escape(at + 1)?,
                _ => return Err(at),
            }
            has_escapes = true;
        }
    }

    /// After the backslash.
    fn escape(self, at: usize) -> End {
        match self.byte(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 1),
            b'u' if (1..5).all(|digit| self.byte(at + digit).is_ascii_hexdigit()) => Ok(at + 5),
            _ => Err(at),
        }
    }

    #[inline(always)]
    fn number(self, at: usize) -> End {
        let at = if self.byte(at) == b'-' { at + 1 } else { at };
        let mut at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)? };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            let has_sign = matches!(self.byte(at + 1), b'+' | b'-');
            at = self.digits(at + 1 + usize::from(has_sign))?;
        }
        Ok(at)
    }

    #[inline(always)]
    fn digits(self, at: usize) -> End {
        let mut end = at;
        loop {
            let digits = digits_length(self.eight(end));
            end += digits;
            if digits < 8 {
                return if end == at { Err(at) } else { Ok(end) };
            }
        }
    }

    fn word(self, at: usize, word: &[u8]) -> End {
        if self.0[at..].starts_with(word) { Ok(at + word.len()) } else { Err(at) }
    }

    /// Where spaces end that may be at `at`.
    #[inline(always)]
    fn space(self, at: usize) -> usize {
        if self.byte(at) > b' ' { at } else { self.after_space(at) }
    }

    fn after_space(self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    /// 0 after the document's end: no byte of JSON.
    #[inline(always)]
    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Eight bytes, the first one lowest; 0 after the document's end.
    #[inline(always)]
    fn eight(self, at: usize) -> u64 {
        match self.0.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => self.last_eight(at),
        }
    }

    #[cold]
    fn last_eight(self, at: usize) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|index| self.byte(at + index)))
    }
}

/// A string that was read.
struct Text {
    end: usize,
    has_escapes: bool,
}

// The high bit of each byte of eight is what a byte is found by: the first one that is marked is
// right, those after it may be marked by mistake.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many of eight bytes are before the first quote, backslash or control character.
#[inline(always)]
fn plain_length(eight: u64) -> usize {
    let quotes = (eight ^ (LOW * u64::from(b'"'))).wrapping_sub(LOW);
    let backslashes = (eight ^ (LOW * u64::from(b'\\'))).wrapping_sub(LOW);
    let controls = eight.wrapping_sub(LOW * 0x20);
    // Neither a quote nor a backslash has the high bit, and so no byte with it is one.
    let found = (quotes | backslashes | controls) & !eight & HIGH;
    found.trailing_zeros() as usize / 8
}

/// How many of eight bytes are before the first that is no digit.
#[inline(always)]
fn digits_length(eight: u64) -> usize {
    let digits = eight ^ (LOW * u64::from(b'0'));
    let others = (digits.wrapping_add(LOW * (0x80 - 10)) | digits) & HIGH;
    others.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Paths {
        let texts: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
        Paths::try_from(texts).unwrap()
    }

    fn redacted(path: &str, document: &str) -> String {
        match redact(document.as_bytes(), &paths(&[path]), b"X") {
            Redaction::Nothing => document.to_owned(),
            Redaction::Replaced(bytes) => String::from_utf8(bytes).unwrap(),
            Redaction::Invalid { at } => format!("invalid at {at}"),
        }
    }

    #[test]
    fn paths_select_values() {
        let table = [
            (
                "$.user.email",
                r#"{"user": {"email": "a@b", "n": 1}}"#,
                r#"{"user": {"email": X, "n": 1}}"#,
            ),
            (
                "user.email",
                r#"{"user":{"email":null},"email":1}"#,
                r#"{"user":{"email":X},"email":1}"#,
            ),
            (
                "$..password",
                r#"{"password":1,"a":[{"password":[2]}]}"#,
                r#"{"password":X,"a":[{"password":X}]}"#,
            ),
            (
                "items[*].card",
                r#"{"items":[{"card":"1"},{"card":"2","x":3}]}"#,
                r#"{"items":[{"card":X},{"card":X,"x":3}]}"#,
            ),
            ("$[1]", "[1, 2, 3]", "[1, X, 3]"),
            ("$[*]", "[1,{},[]]", "[X,X,X]"),
            ("$.*.a", r#"{"b":{"a":1},"c":{"a":2}}"#, r#"{"b":{"a":X},"c":{"a":X}}"#),
            ("$['a b'].c", r#"{"a b":{"c":true}}"#, r#"{"a b":{"c":X}}"#),
            ("$..a.b", r#"{"a":{"a":{"b":1}},"b":2}"#, r#"{"a":{"a":{"b":X}},"b":2}"#),
            ("$..items[0]", r#"{"x":{"items":[1,2]}}"#, r#"{"x":{"items":[X,2]}}"#),
            ("$.a", r#"[{"a":1}]"#, r#"[{"a":1}]"#),
            ("$.a[0]", r#"{"a":{"0":1}}"#, r#"{"a":{"0":1}}"#),
            // Nothing inside what is redacted is left, whatever it is.
            ("$.a", r#"{"a":{"a":[{"a":"}"}]},"b":-1.5e+3}"#, r#"{"a":X,"b":-1.5e+3}"#),
            // Hidden names.
            ("$.password", r#"{"p\u0061ssword":"x"}"#, r#"{"p\u0061ssword":X}"#),
            ("$.password", r#"{"password":1,"password":2}"#, r#"{"password":X,"password":X}"#),
            ("$.a\"b", r#"{"a\"b":1}"#, r#"{"a\"b":X}"#),
        ];
        for (path, document, expected) in table {
            assert_eq!(redacted(path, document), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_selected_stays_byte_for_byte() {
        let document = " {\t\"a\" :\r\n[ 1.0e5 , \"\\u00e9é\\n\" ] , \"b\":\"x\" } \n";
        assert_eq!(redacted("$.b", document), document.replace("\"x\"", "X"));
        assert_eq!(redact(document.as_bytes(), &paths(&["c"]), b"X"), Redaction::Nothing);
    }

    #[test]
    fn what_is_no_json_is_invalid() {
        let table = [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "'a'",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "+1",
            "tru",
            "nul",
            "True",
            "1 2",
            "[1]]",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12",
            "\"a\nb\"",
            "\"\t\"",
            "\u{feff}1",
            "[1 2]",
            "NaN",
        ];
        for document in table {
            let found = redact(document.as_bytes(), &paths(&["$..a"]), b"X");
            assert!(matches!(found, Redaction::Invalid { .. }), "{document:?}: {found:?}");
            assert!(serde_json::from_str::<serde_json::Value>(document).is_err(), "{document:?}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(redacted("a", &nested(128)), nested(128));
        assert_eq!(redacted("a", &nested(129)), "invalid at 128");
    }

    /// Documents cut and changed at every byte: never a panic, and never another verdict than
    /// that of a strict parser.
    #[test]
    fn any_change_of_a_document_is_judged_as_by_a_strict_parser() {
        let document = br#"{"a": [1, -2.5e3, "x\u0041\n", true, null, {"b": {}}], "c": false}"#;
        for index in 0..document.len() {
            for byte in *b"\"\\{}[],:0-e.u \n\x01x" {
                let mut changed = document.to_vec();
                changed[index] = byte;
                let ours =
                    !matches!(redact(&changed, &paths(&["$..b"]), b"0"), Redaction::Invalid { .. });
                let theirs = serde_json::from_slice::<serde_json::Value>(&changed).is_ok();
                assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&changed));
            }
        }
    }

    #[test]
    fn the_end_of_plain_text_is_found_at_every_place() {
        for special in [b'"', b'\\', 0, 0x1f] {
            for place in 0..40 {
                let mut text =
                    "é~ !#[]^\u{7f}ÿ€aaaaaaaaaaaaaaaaaaaaaaaaaa".as_bytes()[..40].to_vec();
                text[place] = special;
                let mut eights =
                    text.as_chunks().0.iter().map(|it| plain_length(u64::from_le_bytes(*it)));
                let whole = eights.by_ref().take_while(|length| *length == 8).count();
                assert_eq!(whole, place / 8, "{special} {place}");
                let text = text[place / 8 * 8..].first_chunk().unwrap();
                assert_eq!(plain_length(u64::from_le_bytes(*text)), place % 8, "{special} {place}");
            }
        }
        assert_eq!(plain_length(u64::from_le_bytes([0xff; 8])), 8);
    }

    #[test]
    fn the_end_of_digits_is_found_at_every_place() {
        for other in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
            for place in 0..8 {
                let mut text = *b"09876543";
                text[place] = other;
                assert_eq!(digits_length(u64::from_le_bytes(text)), place, "{other} {place}");
            }
        }
        assert_eq!(digits_length(u64::from_le_bytes(*b"09182736")), 8);
    }
}
