//! Reads a document once, copying all of it but the values that paths select.

use std::num::NonZeroUsize;

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
    let output = Vec::new();
    let mut reader =
        Reader { document, paths, replacement, output, copied: 0, depth: 0, furthest: 0 };
    match reader.document() {
        None => Redaction::Invalid { at: reader.furthest },
        Some(_) if reader.copied == 0 => Redaction::Nothing,
        Some(_) => {
            reader.output.extend_from_slice(&document[reader.copied..]);
            Redaction::Replaced(reader.output)
        }
    }
}

struct Reader<'a> {
    document: &'a [u8],
    paths: &'a Paths,
    replacement: &'a [u8],
    output: Vec<u8>,
    /// Up to where the document is in the output, as it was or replaced.
    copied: usize,
    depth: usize,
    /// Where the document is not JSON.
    furthest: usize,
}

/// Where what was read ends, or none for what is no JSON. Each function takes and gives places
/// instead of keeping one, and an end is never 0: so they stay in registers, which makes reading
/// twice as fast.
type End = Option<NonZeroUsize>;

impl Reader<'_> {
    fn document(&mut self) -> End {
        let end = self.value(self.space(0), self.paths.start())?;
        let end = self.space(end.get());
        if end == self.document.len() { self.end(end) } else { self.invalid(end) }
    }

    /// Reads a value whose children are to match `steps`.
    fn value(&mut self, at: usize, steps: Steps) -> End {
        match self.byte(at) {
            b'"' => self.string(at),
            b'{' => self.object(at, steps),
            b'[' => self.array(at, steps),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            _ => self.invalid(at),
        }
    }

    /// Reads a child, and leaves it out if it is to be redacted.
    fn child(&mut self, at: usize, below: Below) -> End {
        if !below.redact {
            return self.value(at, below.steps);
        }
        let end = self.value(at, 0)?;
        if self.copied == 0 {
            self.output.reserve(self.document.len() + 8 * self.replacement.len());
        }
        self.output.extend_from_slice(&self.document[self.copied..at]);
        self.output.extend_from_slice(self.replacement);
        self.copied = end.get();
        Some(end)
    }

    fn object(&mut self, at: usize, steps: Steps) -> End {
        let mut at = self.enter(at)?.get();
        if self.byte(at) == b'}' {
            return self.leave(at);
        }
        loop {
            if self.byte(at) != b'"' {
                return self.invalid(at);
            }
            let name_end = self.string(at)?.get();
            let below =
                if steps == 0 { NOTHING } else { self.member(&self.document[at..name_end], steps) };
            let colon = self.space(name_end);
            if self.byte(colon) != b':' {
                return self.invalid(colon);
            }
            let end = self.child(self.space(colon + 1), below)?;
            let after = self.space(end.get());
            match self.byte(after) {
                b',' => at = self.space(after + 1),
                b'}' => return self.leave(after),
                _ => return self.invalid(after),
            }
        }
    }

    fn array(&mut self, at: usize, steps: Steps) -> End {
        let mut at = self.enter(at)?.get();
        if self.byte(at) == b']' {
            return self.leave(at);
        }
        let mut index = 0;
        loop {
            let below = if steps == 0 { NOTHING } else { self.paths.index(steps, index) };
            let end = self.child(at, below)?;
            let after = self.space(end.get());
            match self.byte(after) {
                b',' => at = self.space(after + 1),
                b']' => return self.leave(after),
                _ => return self.invalid(after),
            }
            index += 1;
        }
    }

    /// Goes past an opening brace or bracket.
    fn enter(&mut self, at: usize) -> End {
        if self.depth == DEEPEST {
            return self.invalid(at);
        }
        self.depth += 1;
        self.end(self.space(at + 1))
    }

    /// Goes past the closing one.
    fn leave(&mut self, at: usize) -> End {
        self.depth -= 1;
        self.end(at + 1)
    }

    fn member(&self, quoted: &[u8], steps: Steps) -> Below {
        let raw = &quoted[1..quoted.len() - 1];
        if !raw.contains(&b'\\') {
            return self.paths.name(steps, raw);
        }
        // A name that can't be unescaped (half a surrogate pair) matches as it is, and whatever a
        // backend makes of it is no name that a path can have.
        match serde_json::from_slice::<String>(quoted) {
            Ok(unescaped) => self.paths.name(steps, unescaped.as_bytes()),
            Err(_) => self.paths.name(steps, raw),
        }
    }

    /// Reads a string; a quote is at `at`.
    fn string(&mut self, at: usize) -> End {
        let mut at = at + 1;
        loop {
            at += plain_length(&self.document[at..]);
            match self.byte(at) {
                b'"' => return self.end(at + 1),
                b'\\' => at = self.escape(at + 1)?.get(),
                _ => return self.invalid(at),
            }
        }
    }

    /// After the backslash.
    fn escape(&mut self, at: usize) -> End {
        match self.byte(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.end(at + 1),
            b'u' if (1..5).all(|digit| self.byte(at + digit).is_ascii_hexdigit()) => {
                self.end(at + 5)
            }
            _ => self.invalid(at),
        }
    }

    fn number(&mut self, at: usize) -> End {
        let at = if self.byte(at) == b'-' { at + 1 } else { at };
        let mut at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at)?.get() };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?.get();
        }
        if matches!(self.byte(at), b'e' | b'E') {
            let has_sign = matches!(self.byte(at + 1), b'+' | b'-');
            at = self.digits(at + 1 + usize::from(has_sign))?.get();
        }
        self.end(at)
    }

    fn digits(&mut self, at: usize) -> End {
        let mut end = at;
        while self.byte(end).is_ascii_digit() {
            end += 1;
        }
        if end == at { self.invalid(at) } else { self.end(end) }
    }

    fn word(&mut self, at: usize, word: &[u8]) -> End {
        if self.document[at..].starts_with(word) {
            self.end(at + word.len())
        } else {
            self.invalid(at)
        }
    }

    /// Where spaces end that may be at `at`.
    fn space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    /// 0 after the document's end: no byte of JSON.
    fn byte(&self, at: usize) -> u8 {
        self.document.get(at).copied().unwrap_or(0)
    }

    fn end(&self, at: usize) -> End {
        NonZeroUsize::new(at)
    }

    #[cold]
    fn invalid(&mut self, at: usize) -> End {
        self.furthest = at;
        None
    }
}

const NOTHING: Below = Below { steps: 0, redact: false };

/// Bytes before the next quote, backslash or control character; eight at a time, because most of
/// a document is inside strings.
fn plain_length(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The high bit of a byte that is zero; a byte after it may be marked by mistake.
    let zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let mut length = 0;
    while let Some(chunk) = bytes[length..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let quotes = zero(word ^ (LOW * u64::from(b'"')));
        let backslashes = zero(word ^ (LOW * u64::from(b'\\')));
        let controls = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let found = quotes | backslashes | controls;
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && **byte != b'"' && **byte != b'\\';
    length + bytes[length..].iter().take_while(is_plain).count()
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
                assert_eq!(plain_length(&text), place, "{special} {place}");
            }
        }
        assert_eq!(plain_length("ä".repeat(20).as_bytes()), 40);
    }
}
