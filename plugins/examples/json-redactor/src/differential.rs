//! Random documents, good and bad, against a parser that is slow and right.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::paths::Paths;
use crate::redact::{Redaction, Replacement, redact};

/// A document as a value, with repeated names.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Scalar(serde_json::Value),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Scalar(serde_json::Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Value::Object(object))
    }
}

/// A step of a path, and whether it may be matched at any depth.
type Step = (Selector, bool);

#[derive(Clone, Copy)]
enum Selector {
    Name(&'static str),
    Index(usize),
    Any,
}

const REPLACEMENT: &str = "[redacted]";

impl Value {
    /// Redacts what paths select, of which these rests are left to be matched by children.
    fn redact(&mut self, rests: &[&[Step]]) {
        match self {
            Self::Scalar(_) => {}
            Self::Array(elements) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    element.child(rests, |it| matches!(it, Selector::Index(it) if it == index));
                }
            }
            Self::Object(members) => {
                for (name, value) in members {
                    value.child(rests, |it| matches!(it, Selector::Name(it) if it == name));
                }
            }
        }
    }

    fn child(&mut self, rests: &[&[Step]], is_named: impl Fn(Selector) -> bool) {
        let mut below = Vec::new();
        for rest in rests {
            let (selector, at_any_depth) = rest[0];
            if at_any_depth {
                below.push(*rest);
            }
            if matches!(selector, Selector::Any) || is_named(selector) {
                if rest.len() == 1 {
                    *self = Self::Scalar(REPLACEMENT.into());
                    return;
                }
                below.push(&rest[1..]);
            }
        }
        self.redact(&below);
    }
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn space(&mut self) -> &'static str {
        match self.below(4) {
            0 => self.of(&[
                " ",
                "\n",
                "\r\n\t",
                "  ",
                "\n                  ",
                "\t \t \t \t \t \t \t \t ",
            ]),
            _ => "",
        }
    }

    fn name(&mut self) -> &'static str {
        self.of(&[
            "a",
            "b",
            "ab",
            "id",
            "card",
            "city",
            "number",
            "password",
            "customers",
            "",
            "tags",
            "a name of more bytes than a vector has",
            "sixteen bytes 16",
            r"p\u0061ssword",
            r"\u0061",
            r"c\u0061rd",
            "é",
            "名前",
            r"\ud83d\ude00",
            r"\ud83d",
            r"a\n",
            r#"\""#,
            r"\\",
        ])
    }

    fn text(&mut self) -> String {
        let parts = [
            "x",
            "Bern",
            "4000000000000001",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "é",
            "€",
            "😀",
            r"\n",
            r"\u00e9",
            r"\ud83d\ude00",
            r"\ud800",
            r#"\""#,
            r"\\",
            r"\/",
            "\u{7f}",
            "0123456789",
        ];
        (0..self.below(9)).map(|_| self.of(&parts)).collect()
    }

    fn document(&mut self, depth: usize, to: &mut String) {
        to.push_str(self.space());
        match self.below(if depth == 0 { 6 } else { 12 }) {
            0 => to.push_str(self.of(&["true", "false", "null"])),
            1 => to.push_str(self.of(&["0", "-0", "10", "1.5", "-2.5e-3", "1E+2", "0.0", "3e8"])),
            2 => to.push_str(self.of(&["12345678901234567", "0.12345678901234567", "99999999"])),
            3..6 => to.push_str(&format!("\"{}\"", self.text())),
            6..8 => self.children(depth, '[', ']', to),
            _ => self.children(depth, '{', '}', to),
        }
        to.push_str(self.space());
    }

    fn children(&mut self, depth: usize, opening: char, closing: char, to: &mut String) {
        to.push(opening);
        for index in 0..self.below(6) {
            if index > 0 {
                to.push(',');
            }
            if opening == '{' {
                let (before, name, after) = (self.space(), self.name(), self.space());
                to.push_str(&format!("{before}\"{name}\"{after}:"));
            }
            self.document(depth - 1, to);
        }
        to.push_str(self.space());
        to.push(closing);
    }

    /// Paths, and the same in the oracle's form.
    fn paths(&mut self) -> (Paths, Vec<Vec<Step>>) {
        let mut texts = Vec::new();
        let mut all = Vec::new();
        for _ in 0..1 + self.below(3) {
            let mut text = "$".to_owned();
            let mut steps = Vec::new();
            for _ in 0..1 + self.below(3) {
                let at_any_depth = self.below(3) == 0;
                let dots = if at_any_depth { ".." } else { "" };
                let names =
                    ["a", "b", "card", "number", "password", "customers", "", "é", "\"", "a\n"];
                let selector = match self.below(8) {
                    0 => Selector::Index(self.below(3)),
                    1 => Selector::Any,
                    _ => Selector::Name(self.of(&names)),
                };
                text.push_str(dots);
                text.push_str(&match selector {
                    Selector::Index(index) => format!("[{index}]"),
                    Selector::Any => "[*]".to_owned(),
                    Selector::Name(name) => format!("['{name}']"),
                });
                steps.push((selector, at_any_depth));
            }
            texts.push(text);
            all.push(steps);
        }
        (Paths::try_from(texts).unwrap(), all)
    }
}

/// Whether it is JSON, however deep.
fn is_json(document: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(document).is_ok()
}

fn replacement() -> Replacement {
    Replacement::from(serde_json::to_vec(REPLACEMENT).unwrap())
}

#[track_caller]
fn compare(document: &[u8], paths: &Paths, steps: &[Vec<Step>]) {
    let shown = String::from_utf8_lossy(document);
    let redacted = match redact(document, paths, &replacement()) {
        Redaction::Invalid { .. } => return assert!(!is_json(document), "refused: {shown}"),
        Redaction::Nothing => document.to_vec(),
        Redaction::Replaced(redacted) => redacted,
    };
    assert!(is_json(document), "accepted: {shown}");
    // The oracle takes no halves of surrogate pairs.
    let Ok(mut expected) = serde_json::from_slice::<Value>(document) else { return };
    let untouched = expected.clone();
    expected.redact(&steps.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(serde_json::from_slice::<Value>(&redacted).unwrap(), expected, "{shown}");
    if expected == untouched {
        assert_eq!(redacted, document, "{shown}");
    }
}

#[test]
fn random_documents_are_redacted_as_by_a_tree_walk() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..6000 {
        let (paths, steps) = random.paths();
        let mut document = String::new();
        random.document(5, &mut document);
        compare(document.as_bytes(), &paths, &steps);
    }
}

#[test]
fn cut_and_changed_documents_get_the_verdict_of_a_strict_parser() {
    let mut random = Random(0xdead_beef_0bad_cafe);
    for _ in 0..400 {
        let (paths, steps) = random.paths();
        let mut document = String::new();
        random.document(4, &mut document);
        let document = document.as_bytes();
        for length in 0..document.len().min(400) {
            compare(&document[..length], &paths, &steps);
        }
        for _ in 0..100 {
            let mut changed = document.to_vec();
            let at = random.below(changed.len());
            let byte = random.of(b"\"\\{}[],:0-+.eEu \n\t\x00\x1f\x20x\x7f\x80\xff");
            match random.below(3) {
                0 => changed[at] = byte,
                1 => changed.insert(at, byte),
                _ => drop(changed.remove(at)),
            }
            compare(&changed, &paths, &steps);
        }
    }
}

/// The fast ways are for places far from the document's end, and for strings of vectors' lengths.
#[test]
fn each_byte_at_each_place_is_judged_as_by_a_strict_parser() {
    let (paths, steps) = Random(1).paths();
    let rest = "x".repeat(100);
    let documents = [
        r#"{"id":"c-1","card":{"number":"4000000000000001","a":1},"tags":["new","mail"],"b":"#,
        r#"[["0123456789abcde","0123456789abcdef","0123456789abcdefg"],12345678901234567890,"#,
        r#"{"0123456789abcde":"y","0123456789abcdef":"z","0123456789abcdefg" :  "w" , "b":"#,
    ];
    for document in documents {
        let closing = if document.starts_with('[') { "]" } else { "}" };
        let document = format!("{document}\"{rest}\"{closing}");
        for at in 0..document.len() - rest.len() {
            for byte in 0..=255 {
                let mut changed = document.clone().into_bytes();
                changed[at] = byte;
                compare(&changed, &paths, &steps);
            }
        }
    }
}

#[test]
fn deep_nesting_is_refused_whatever_selects_it() {
    for (path, depth) in [("$..a", 128), ("$.b", 128), ("$[0]", 128), ("$..[0]", 128)] {
        let paths = Paths::try_from(vec![path.to_owned()]).unwrap();
        for (opening, closing) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{"b":[{"c":"#, "}]}")] {
            let levels = opening.matches(['[', '{']).count();
            for count in [depth / levels, depth / levels + 1] {
                let inside = if opening == "[" { "" } else { "1" };
                let document =
                    format!("{}{inside}{}", opening.repeat(count), closing.repeat(count));
                let found = redact(document.as_bytes(), &paths, &replacement());
                let is_refused = matches!(found, Redaction::Invalid { .. });
                assert_eq!(is_refused, count * levels > depth, "{path} {opening} {count}");
            }
        }
    }
}
