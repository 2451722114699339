//! Reads a document once, copying all of it but the values that paths select.

use crate::document::{Document, End, Invalid, Next, end};
use crate::paths::{Paths, Steps};

/// A replacement up to this long is written at one stroke.
const SHORT: usize = 16;

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

/// What stands in place of values.
pub struct Replacement {
    bytes: Vec<u8>,
    /// The same with zeros after it.
    short: Option<[u8; SHORT]>,
}

impl From<Vec<u8>> for Replacement {
    fn from(bytes: Vec<u8>) -> Self {
        let byte = |index| bytes.get(index).copied().unwrap_or(0);
        let short = (bytes.len() <= SHORT).then(|| std::array::from_fn(byte));
        Self { bytes, short }
    }
}

pub fn redact(document: &[u8], paths: &Paths, replacement: &Replacement) -> Redaction {
    let output = Output { document, replacement, bytes: Vec::new(), copied: 0 };
    let mut reader = Reader { document: Document::new(document), paths, output };
    match reader.read() {
        Err(Invalid) => Redaction::Invalid { at: reader.document.invalid_at() },
        Ok(()) if reader.output.copied == 0 => Redaction::Nothing,
        Ok(()) => Redaction::Replaced(reader.output.finish()),
    }
}

struct Output<'a> {
    document: &'a [u8],
    replacement: &'a Replacement,
    bytes: Vec<u8>,
    /// Up to where the document is in the output, as it was or replaced.
    copied: usize,
}

impl Output<'_> {
    #[inline(never)]
    fn leave_out(&mut self, begin: usize, end: usize) {
        if self.copied == 0 {
            self.bytes.reserve(self.document.len() + 8 * self.replacement.bytes.len() + SHORT);
        }
        self.bytes.extend_from_slice(&self.document[self.copied..begin]);
        match &self.replacement.short {
            Some(short) => {
                let end = self.bytes.len() + self.replacement.bytes.len();
                self.bytes.extend_from_slice(short);
                self.bytes.truncate(end);
            }
            None => self.bytes.extend_from_slice(&self.replacement.bytes),
        }
        self.copied = end;
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&self.document[self.copied..]);
        self.bytes
    }
}

struct Reader<'a> {
    document: Document<'a>,
    paths: &'a Paths,
    output: Output<'a>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Invalid> {
        let begin = self.document.space(0);
        let end = self.value(begin, self.paths.start(), 0)?.get();
        let end = self.document.space(end);
        match end == self.document.bytes().len() {
            true => Ok(()),
            false => Err(self.document.invalid(end)),
        }
    }

    /// Reads a value that is in so many others.
    #[inline(always)]
    fn value(&mut self, at: usize, steps: Steps, depth: usize) -> End {
        match self.document.byte(at) {
            _ if steps == 0 => self.document.value(at, depth),
            b'{' => self.object(at, steps, depth),
            b'[' => self.array(at, steps, depth),
            _ => self.document.value(at, depth),
        }
    }

    #[inline(never)]
    fn object(&mut self, at: usize, steps: Steps, depth: usize) -> End {
        let wanted = self.paths.wanted(steps);
        let mut at = match self.document.inside(at, b'}', depth)? {
            Next::Child(at) => at,
            Next::End(at) => return end(at),
        };
        loop {
            if self.document.byte(at) != b'"' {
                return Err(self.document.invalid(at));
            }
            at = self.document.unwanted_texts(at, wanted);
            if self.document.byte(at) == b'}' {
                return end(at + 1);
            }
            at = self.member(at, steps, depth)?.get();
            at = match self.document.next(at, b'}')? {
                Next::Child(at) => at,
                Next::End(at) => return end(at),
            };
        }
    }

    #[inline(never)]
    fn array(&mut self, at: usize, steps: Steps, depth: usize) -> End {
        let mut at = match self.document.inside(at, b']', depth)? {
            Next::Child(at) => at,
            Next::End(at) => return end(at),
        };
        let mut index = 0;
        let any = self.paths.any(steps);
        let has_indexes = self.paths.has_indexes(steps);
        loop {
            let matched = if has_indexes { self.paths.index(steps, index) } else { any };
            at = self.child(at, steps, matched, depth)?.get();
            at = match self.document.next(at, b']')? {
                Next::Child(at) => at,
                Next::End(at) => return end(at),
            };
            index += 1;
        }
    }

    /// Reads any member of an object; a quote is at `at`.
    #[inline(always)]
    fn member(&mut self, at: usize, steps: Steps, depth: usize) -> End {
        if let Some(name) = self.document.short_name(at) {
            let value = self.document.space(at + name.len() + 3);
            return self.child(value, steps, self.paths.name(steps, name), depth);
        }
        let (matched, value) = self.long_name(at, steps)?;
        self.child(value, steps, matched, depth)
    }

    /// Reads a name and its colon; gives the steps that select the member, and its value's place.
    #[inline(never)]
    fn long_name(&self, at: usize, steps: Steps) -> Result<(Steps, usize), Invalid> {
        let end = self.document.string(at + 1)?.get();
        let value = self.document.after_colon(end)?.get();
        let name = &self.document.bytes()[at + 1..end - 1];
        let matched = match name.contains(&b'\\') {
            true => self.escaped(name, steps),
            false => self.paths.name(steps, name),
        };
        Ok((matched, value))
    }

    /// Reads a value in an object or array, which steps have selected.
    #[inline(always)]
    fn child(&mut self, at: usize, steps: Steps, matched: Steps, depth: usize) -> End {
        if !self.paths.redacts(matched) {
            return self.value(at, self.paths.below(steps, matched), depth + 1);
        }
        let end = self.document.value(at, depth + 1)?;
        self.output.leave_out(at, end.get());
        Ok(end)
    }

    #[cold]
    fn escaped(&self, name: &[u8], steps: Steps) -> Steps {
        let quoted = [b"\"", name, b"\""].concat();
        // A name that can't be unescaped (half a surrogate pair) matches as it is, and whatever a
        // backend makes of it is no name that a path can have.
        match serde_json::from_slice::<String>(&quoted) {
            Ok(name) => self.paths.name(steps, name.as_bytes()),
            Err(_) => self.paths.name(steps, name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(texts: &[&str]) -> Paths {
        let texts: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
        Paths::try_from(texts).unwrap()
    }

    fn replacement(text: &str) -> Replacement {
        Replacement::from(text.as_bytes().to_vec())
    }

    fn redacted(path: &str, document: &str) -> String {
        match redact(document.as_bytes(), &paths(&[path]), &replacement("X")) {
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
        assert_eq!(
            redact(document.as_bytes(), &paths(&["c"]), &replacement("X")),
            Redaction::Nothing
        );
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
            let found = redact(document.as_bytes(), &paths(&["$..a"]), &replacement("X"));
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
                let ours = !matches!(
                    redact(&changed, &paths(&["$..b"]), &replacement("0")),
                    Redaction::Invalid { .. }
                );
                let theirs = serde_json::from_slice::<serde_json::Value>(&changed).is_ok();
                assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&changed));
            }
        }
    }
}
