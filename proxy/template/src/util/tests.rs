use super::call;
use crate::limits::Budget;
use crate::methods::{MethodError, write_text};
use crate::value::{Key, ListKind, MapKind, Number, Text, Value};

fn string(text: &str) -> Value<'_> {
    Value::String(Text::Borrowed(text))
}

fn apply(name: &str, argument: Value<'_>) -> String {
    let mut budget = Budget::default();
    let value = call(name, &[argument], &mut budget).expect("no error").expect("a function");
    let mut text = String::new();
    write_text(&value, &mut text, &mut budget).expect("a text");
    text
}

fn thrown(name: &str, argument: Value<'_>) -> bool {
    matches!(call(name, &[argument], &mut Budget::default()), Err(MethodError::Thrown(_)))
}

#[test]
fn escape_java_script_is_that_of_commons_lang_2() {
    for (text, expected) in [
        ("plain text_~!", "plain text_~!"),
        ("plain/é/é", r"plain\/\u00E9\/\u00E9"),
        ("it's \"a\" \\ b", r#"it\'s \"a\" \\ b"#),
        ("*/*", r"*\/*"),
        ("\u{8}\u{c}\n\r\t", r"\b\f\n\r\t"),
        ("\0\u{1}\u{1f}\u{7f}", "\\u0000\\u0001\\u001F\u{7f}"),
        ("é\u{80}ÿ", r"\u00E9\u0080\u00FF"),
        ("Ā\u{fff}က€", r"\u0100\u0FFF\u1000\u20AC"),
        ("😀", r"\uD83D\uDE00"),
        ("a😀'", r"a\uD83D\uDE00\'"),
        ("", "{}"),
        (" \n", "{}"),
    ] {
        assert_eq!(apply("escapeJavaScript", string(text)), expected, "{text:?}");
    }
}

#[test]
fn functions_take_any_value_by_its_text() {
    let list = || Value::list(ListKind::Json, vec![string("a/b"), Value::Null]);
    let map = || {
        let mut entries = crate::value::Entries::default();
        entries.insert(Key::String(Text::Borrowed("k")), list());
        Value::map(MapKind::Java, entries)
    };
    for (name, value, expected) in [
        ("escapeJavaScript", Value::Null, "null"),
        ("escapeJavaScript", Value::Boolean(true), "true"),
        ("escapeJavaScript", Value::Boolean(false), "false"),
        ("escapeJavaScript", Value::Number(Number::Double(1.5)), "1.5"),
        ("escapeJavaScript", list(), r#"[\"a\/b\",null]"#),
        ("escapeJavaScript", map(), r#"{k=[\"a\/b\",null]}"#),
        ("urlEncode", Value::Number(Number::Integer(-12)), "-12"),
        ("urlEncode", Value::Null, ""),
        ("urlDecode", Value::Null, ""),
        ("base64Encode", Value::Boolean(true), "dHJ1ZQ=="),
        ("base64Encode", Value::Null, ""),
        ("parseJson", Value::Number(Number::Integer(5)), "5"),
        ("parseJson", list(), r#"["a/b",null]"#),
    ] {
        assert_eq!(apply(name, value), expected, "{name}");
    }
    assert!(thrown("parseJson", map()));
    assert!(thrown("parseJson", Value::Null));
}

#[test]
fn url_encode_is_javas() {
    for (text, expected) in [
        (r#"{"some": "value"}"#, "%7B%22some%22%3A+%22value%22%7D"),
        ("{}", "%7B%7D"),
        ("some raw data", "some+raw+data"),
        ("azAZ09.-*_", "azAZ09.-*_"),
        ("~!'()+%/?&=#", "%7E%21%27%28%29%2B%25%2F%3F%26%3D%23"),
        ("é€😀\n", "%C3%A9%E2%82%AC%F0%9F%98%80%0A"),
        ("", ""),
    ] {
        assert_eq!(apply("urlEncode", string(text)), expected, "{text:?}");
        assert_eq!(apply("urlDecode", string(expected)), text, "{text:?}");
    }
}

#[test]
fn url_decode_is_javas() {
    for (text, expected) in [
        ("a+b%20c", "a b c"),
        ("%c3%A9", "é"),
        ("é*~", "é*~"),
        ("%ff%41", "\u{fffd}A"),
        ("%+f", "\u{f}"),
    ] {
        assert_eq!(apply("urlDecode", string(text)), expected, "{text}");
    }
    for text in ["%", "%4", "a%zz", "%-1", "%4é", "% 1"] {
        assert!(thrown("urlDecode", string(text)), "{text}");
    }
}

#[test]
fn base64_has_the_standard_alphabet_with_padding() {
    for (text, encoded) in [("", ""), ("f", "Zg=="), ("foobar", "Zm9vYmFy"), ("é?>", "w6k/Pg==")] {
        assert_eq!(apply("base64Encode", string(text)), encoded);
        assert_eq!(apply("base64Decode", string(encoded)), text);
        assert_eq!(apply("base64Decode", string(encoded.trim_end_matches('='))), text);
    }
    assert_eq!(apply("base64Decode", string("/w==")), "\u{fffd}");
    for text in ["Z", "Zg=", "Z g==", "w6k_Pg==", "=", "é"] {
        let padded = text.ends_with('=') && text.len() == 3;
        assert_eq!(thrown("base64Decode", string(text)), !padded, "{text}");
    }
}

#[test]
fn parse_json_gives_any_value_or_throws() {
    for (text, expected) in [
        (r#"{"k": {"arr": [1, 2]}}"#, r#"{k={arr=[1,2]}}"#),
        ("[1, \"a\"]", r#"[1,"a"]"#),
        ("\"text\"", "text"),
        (" 12 ", "12"),
        ("null", ""),
    ] {
        assert_eq!(apply("parseJson", string(text)), expected, "{text}");
        let shared = Value::String(Text::Shared(text.into()));
        assert_eq!(apply("parseJson", shared), expected, "{text}");
    }
    for text in ["", "{", "a", "{'k': 1}", "1 2"] {
        assert!(thrown("parseJson", string(text)), "{text}");
    }
}

#[test]
fn what_util_does_not_have_is_null() {
    for name in ["toJson", "qr", "error", "urlencode", ""] {
        assert!(matches!(call(name, &[string("a")], &mut Budget::default()), Ok(None)), "{name}");
    }
    assert!(matches!(call("urlEncode", &[], &mut Budget::default()), Ok(None)));
    let two = [string("a"), string("b")];
    assert!(matches!(call("urlEncode", &two, &mut Budget::default()), Ok(None)));
}
