use super::{check, text_of};
use crate::limits::Budget;
use crate::methods::{property, string};
use crate::value::{ListKind, Value};

fn s(text: &str) -> Value<'_> {
    text.into()
}

#[test]
fn strings_answer_as_java_does() {
    let range = "java.lang.StringIndexOutOfBoundsException: begin 2, end 1, length 3";
    check(&[
        (s("abc"), "length", &[], "3"),
        (s("a😀"), "length", &[], "3"),
        (s("abc"), "substring", &[1.into()], "bc"),
        (s("a日c"), "substring", &[1.into(), 2.into()], "日"),
        (s("a😀b"), "substring", &[2.into()], "\u{fffd}b"),
        (s("abc"), "substring", &[2.into(), 1.into()], range),
        (s("abc"), "substring", &[Value::from(1i64)], "no method"),
        (s("abc"), "charAt", &[1.into()], "b"),
        (s("abcb"), "indexOf", &["b".into()], "1"),
        (s("abcb"), "indexOf", &["b".into(), 2.into()], "3"),
        (s("abcb"), "indexOf", &[98.into()], "1"),
        (s("éé"), "lastIndexOf", &["é".into()], "1"),
        (s("abcb"), "lastIndexOf", &["b".into(), 2.into()], "1"),
        (s("a.b.c"), "replace", &[".".into(), "".into()], "abc"),
        (s("ab"), "replace", &["".into(), "-".into()], "-a-b-"),
        (s("ab"), "replace", &[Value::Character('a'), Value::Character('x')], "xb"),
        (s(" \u{a0}x "), "strip", &[], "\u{a0}x"),
        (s(" x\u{1}"), "trim", &[], "x"),
        (s("Straße"), "toUpperCase", &[], "STRASSE"),
        (s("abc"), "compareTo", &["ab".into()], "1"),
        (s("ABC"), "equalsIgnoreCase", &["abc".into()], "true"),
        (s("abc"), "equals", &[Value::Null], "false"),
        (s("abc"), "contains", &[Value::Null], "java.lang.NullPointerException"),
        (s("abc"), "hashCode", &[], "96354"),
        (s("ab"), "repeat", &[3.into()], "ababab"),
        (
            s("ab"),
            "repeat",
            &[(-1).into()],
            "java.lang.IllegalArgumentException: count is negative: -1",
        ),
        (s("x"), "join", &["-".into(), "a".into(), "b".into()], "a-b"),
        (s("x"), "valueOf", &[1.5.into()], "1.5"),
        (s("é"), "getBytes", &[], "[-61, -87]"),
        (s("abc"), "getClass", &[], "no method"),
        (s("abc"), "startsWith", &["b".into(), 1.into()], "true"),
        (
            s("xAbc"),
            "regionMatches",
            &[true.into(), 1.into(), "aB".into(), 0.into(), 2.into()],
            "true",
        ),
    ]);
}

#[test]
fn a_string_too_long_to_make_is_refused() {
    let limit = text_of(&s("abc"), "repeat", &[i32::MAX.into()]);
    assert!(limit.contains("bytes"), "{limit}");
}

#[test]
fn properties_are_getters() {
    assert!(matches!(property(&s(""), "empty"), Some(Value::Boolean(true))));
    assert!(property(&s("a"), "length").is_none());
    assert!(property(&s("a"), "class").is_none());
    assert!(matches!(string::bytes("a"), Value::List(list) if list.kind == ListKind::Array));
}

#[test]
fn parts_of_borrowed_strings_are_borrowed() {
    let mut budget = Budget::default();
    let part = crate::methods::call(&s("abc"), "substring".into(), &[1.into()], &mut budget);
    assert!(matches!(part, Ok(Some(Value::String(crate::value::Text::Borrowed("bc"))))));
}
