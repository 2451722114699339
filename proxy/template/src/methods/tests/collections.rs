use std::rc::Rc;

use super::{check, printed, text_of};
use crate::limits::Budget;
use crate::value::{Key, ListKind, MapKind, Value, java_equals, reaches};

fn list<'t>(items: Vec<Value<'t>>) -> Value<'t> {
    Value::list(ListKind::Java, items)
}

fn map<'t>(entries: Vec<(&'t str, Value<'t>)>) -> Value<'t> {
    let entries = entries.into_iter().map(|(key, value)| (Key::String(key.into()), value));
    Value::map(MapKind::Java, entries.collect())
}

#[test]
fn lists_answer_as_java_does() {
    let bounds = "java.lang.IndexOutOfBoundsException: Index 5 out of bounds for length 2";
    let ab = || list(vec!["a".into(), "b".into()]);
    check(&[
        (ab(), "size", &[], "2"),
        (ab(), "get", &[1.into()], "b"),
        (ab(), "get", &[5.into()], bounds),
        (ab(), "set", &[0.into(), "x".into()], "a"),
        (ab(), "add", &["c".into()], "true"),
        (ab(), "add", &[0.into(), "c".into()], ""),
        (ab(), "remove", &[0.into()], "a"),
        (ab(), "remove", &["z".into()], "false"),
        (ab(), "contains", &["b".into()], "true"),
        (ab(), "indexOf", &["z".into()], "-1"),
        (ab(), "subList", &[0.into(), 1.into()], "[a]"),
        (ab(), "containsAll", &[list(vec!["b".into()])], "true"),
        (ab(), "hashCode", &[], "4066"),
        (ab(), "count", &[], "no method"),
        (list(vec![1.into()]), "contains", &[Value::from(1i64)], "false"),
        (list(vec![Value::Null, list(vec![])]), "toString", &[], "[null, []]"),
    ]);
}

#[test]
fn arrays_keep_their_length() {
    let array = Value::list(ListKind::Array, vec!["a".into()]);
    assert_eq!(text_of(&array, "size", &[]), "1");
    assert_eq!(text_of(&array, "set", &[0.into(), "b".into()]), "a");
    assert_eq!(
        text_of(&array, "add", &["b".into()]),
        "java.lang.UnsupportedOperationException: add"
    );
}

#[test]
fn maps_answer_as_java_does() {
    let m = || map(vec![("a", 1.into()), ("b", Value::Null)]);
    check(&[
        (m(), "get", &["a".into()], "1"),
        (m(), "get", &[1.into()], "null"),
        (m(), "put", &["a".into(), 2.into()], "1"),
        (m(), "putIfAbsent", &["b".into(), 2.into()], "null"),
        (m(), "getOrDefault", &["z".into(), "d".into()], "d"),
        (m(), "containsKey", &["b".into()], "true"),
        (m(), "containsValue", &[1.into()], "true"),
        (m(), "keySet", &[], "[a, b]"),
        (m(), "values", &[], "[1, null]"),
        (m(), "entrySet", &[], "[a=1, b=null]"),
        (m(), "remove", &["a".into()], "1"),
        (m(), "toString", &[], "{a=1, b=null}"),
        (m(), "equals", &[m()], "true"),
    ]);
}

#[test]
fn keys_of_different_types_differ() {
    let m = map(vec![("1", "text".into())]);
    assert_eq!(text_of(&m, "put", &[1.into(), "integer".into()]), "null");
    assert_eq!(text_of(&m, "put", &[Value::from(1i64), "long".into()]), "null");
    assert_eq!(printed(&m), "{1=text, 1=integer, 1=long}");
}

#[test]
fn a_list_is_not_put_into_itself() {
    let outer = list(vec![]);
    let inner = map(vec![("outer", outer.clone())]);
    let refused = "java.lang.IllegalArgumentException: a list or map can't be put into itself";
    assert_eq!(text_of(&outer, "add", std::slice::from_ref(&outer)), refused);
    assert_eq!(text_of(&outer, "add", &[inner]), refused);
}

#[test]
fn deep_and_shared_values_meet_a_bound() {
    let mut deep = list(vec![]);
    for _ in 0..200_000 {
        deep = list(vec![deep]);
    }
    let mut budget = Budget::default();
    assert!(java_equals(&deep, &list(vec![]), &mut budget).is_ok());
    assert!(reaches(&deep, &list(vec![]), &mut budget).is_err());
    assert!(printed(&deep).contains("deep"));
    let mut wide = list(vec!["x".into()]);
    for _ in 0..40 {
        wide = list(vec![wide.clone(), wide]);
    }
    assert!(printed(&wide).contains("more than"));
    assert!(text_of(&wide, "hashCode", &[]).contains("steps"));
}

#[test]
fn entries_print_as_pairs() {
    let entry = Value::Entry(Rc::new(("k".into(), list(vec![1.into()]))));
    assert_eq!(printed(&entry), "k=[1]");
    assert_eq!(text_of(&entry, "getKey", &[]), "k");
}
