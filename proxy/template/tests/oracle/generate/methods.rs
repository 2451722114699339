//! The methods that templates call, by receiver, with what they take.

#[derive(Clone, Copy, Debug)]
pub enum Argument {
    Integer,
    Text,
    /// A JSONPath, well-formed.
    Path,
    Pattern,
    Any,
    List,
    Map,
}

use Argument::{Any, Integer, List, Map, Path, Pattern, Text};

pub type Method = (&'static str, &'static [Argument]);

pub const OF_TEXT: &[Method] = &[
    ("length", &[]),
    ("substring", &[Integer]),
    ("substring", &[Integer, Integer]),
    ("subSequence", &[Integer, Integer]),
    ("split", &[Pattern]),
    ("split", &[Pattern, Integer]),
    ("replace", &[Text, Text]),
    ("replaceAll", &[Pattern, Text]),
    ("replaceFirst", &[Pattern, Text]),
    ("matches", &[Pattern]),
    ("contains", &[Text]),
    ("startsWith", &[Text]),
    ("startsWith", &[Text, Integer]),
    ("endsWith", &[Text]),
    ("indexOf", &[Text]),
    ("indexOf", &[Text, Integer]),
    ("indexOf", &[Integer]),
    ("lastIndexOf", &[Text]),
    ("lastIndexOf", &[Text, Integer]),
    ("toLowerCase", &[]),
    ("toUpperCase", &[]),
    ("trim", &[]),
    ("concat", &[Text]),
    ("equals", &[Any]),
    ("equalsIgnoreCase", &[Text]),
    ("isEmpty", &[]),
    ("charAt", &[Integer]),
    ("toString", &[]),
    ("compareTo", &[Text]),
    ("compareToIgnoreCase", &[Text]),
    ("hashCode", &[]),
    ("valueOf", &[Any]),
    ("format", &[Text, Any]),
    ("codePointAt", &[Integer]),
    ("intern", &[]),
    ("regionMatches", &[Integer, Text, Integer, Integer]),
    ("contentEquals", &[Text]),
];

pub const OF_LIST: &[Method] = &[
    ("size", &[]),
    ("get", &[Integer]),
    ("add", &[Any]),
    ("add", &[Integer, Any]),
    ("addAll", &[List]),
    ("set", &[Integer, Any]),
    ("remove", &[Integer]),
    ("remove", &[Any]),
    ("removeAll", &[List]),
    ("retainAll", &[List]),
    ("contains", &[Any]),
    ("containsAll", &[List]),
    ("isEmpty", &[]),
    ("indexOf", &[Any]),
    ("lastIndexOf", &[Any]),
    ("subList", &[Integer, Integer]),
    ("clear", &[]),
    ("toString", &[]),
    ("equals", &[Any]),
    ("hashCode", &[]),
];

pub const OF_MAP: &[Method] = &[
    ("get", &[Text]),
    ("get", &[Any]),
    ("put", &[Text, Any]),
    ("put", &[Any, Any]),
    ("putAll", &[Map]),
    ("putIfAbsent", &[Text, Any]),
    ("getOrDefault", &[Text, Any]),
    ("containsKey", &[Text]),
    ("containsValue", &[Any]),
    ("keySet", &[]),
    ("values", &[]),
    ("entrySet", &[]),
    ("remove", &[Text]),
    ("size", &[]),
    ("isEmpty", &[]),
    ("clear", &[]),
    ("toString", &[]),
    ("equals", &[Any]),
];

pub const OF_NUMBER: &[Method] = &[
    ("toString", &[]),
    ("intValue", &[]),
    ("longValue", &[]),
    ("doubleValue", &[]),
    ("parseInt", &[Text]),
    ("parseLong", &[Text]),
    ("parseDouble", &[Text]),
    ("valueOf", &[Text]),
    ("valueOf", &[Integer]),
    ("compareTo", &[Integer]),
    ("equals", &[Any]),
    ("hashCode", &[]),
    ("toString", &[Integer]),
    ("isNaN", &[]),
];

pub const OF_BOOLEAN: &[Method] =
    &[("toString", &[]), ("equals", &[Any]), ("booleanValue", &[]), ("compareTo", &[Any])];

pub const OF_INPUT: &[Method] = &[
    ("path", &[Path]),
    ("json", &[Path]),
    ("params", &[]),
    ("params", &[Text]),
    ("path", &[]),
    ("json", &[]),
];

pub const OF_UTIL: &[Method] = &[
    ("escapeJavaScript", &[Text]),
    ("escapeJavaScript", &[Any]),
    ("parseJson", &[Text]),
    ("urlEncode", &[Text]),
    ("urlDecode", &[Text]),
    ("base64Encode", &[Text]),
    ("base64Decode", &[Text]),
];
