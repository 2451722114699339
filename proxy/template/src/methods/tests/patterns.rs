use super::{check, text_of};
use crate::limits::Budget;
use crate::methods::call;
use crate::value::Value;

#[test]
fn replace_all_is_javas() {
    for (text, pattern, by, expected) in [
        ("it's", "\\'", "\\\\'", "it\\'s"),
        ("aab", "a*", "x", "xxbx"),
        ("a1b22", "\\d+", "<$0>", "a<1>b<22>"),
        ("john smith", "(\\w+) (\\w+)", "$2 $1", "smith john"),
        ("ab", "(?<x>a)", "${x}${x}", "aab"),
        ("a\n", "$", "|", "a|\n|"),
        ("x\u{e9}1", "\\w", "-", "-\u{e9}-"),
        ("abc", "[a-c&&[^b]]", "-", "-b-"),
        ("a.b", "\\Q.\\E", "-", "a-b"),
        ("aB", "(?i)b", "-", "a-"),
        ("ab\u{e9}1c\u{e9}", "[^a-z]", "-", "ab--c-"),
        ("a\u{a0}b c\u{e9} 0123456789", "\\s", "_", "a\u{a0}b_c\u{e9}_0123456789"),
        ("a\u{212a}K", "(?iu)[k]", "<$0>", "a<\u{212a}><K>"),
        ("0123456789.", "[.]", "$0$0", "0123456789.."),
        ("aa", "[a]", "$1", "java.lang.IndexOutOfBoundsException: No group 1"),
        ("aaa", "a++a", "-", "aaa"),
        ("aa", "(a)\\1", "-", "-"),
        ("ab", "(?=b)?+", "-", "-a-b-"),
        ("a\r\nb", "(?m)$", "|", "a|\r\nb|"),
        (
            "a",
            "a",
            "$",
            "java.lang.IllegalArgumentException: Illegal group reference: group index is missing",
        ),
        ("b", "a", "$", "b"),
        ("a", "a", "$5", "java.lang.IndexOutOfBoundsException: No group 5"),
    ] {
        assert_eq!(text_of(&text.into(), "replaceAll", &[pattern.into(), by.into()]), expected);
    }
}

#[test]
fn split_drops_empty_parts_at_the_end() {
    check(&[
        ("a,b,,".into(), "split", &[",".into()], "[a, b]"),
        ("a,b,,".into(), "split", &[",".into(), (-1).into()], "[a, b, , ]"),
        ("a,b,c".into(), "split", &[",".into(), 2.into()], "[a, b,c]"),
        ("abc".into(), "split", &["".into()], "[a, b, c]"),
        ("".into(), "split", &[",".into()], "[]"),
        (",".into(), "split", &[",".into()], "[]"),
        ("a.b".into(), "split", &["\\.".into()], "[a, b]"),
    ]);
}

#[test]
fn a_bad_pattern_throws() {
    for pattern in ["(", "[", "*", "a**", "\\y", "{", "a{3,2}", "x)", "\\", "[z-a]", "\\p{Foo}"] {
        let result = text_of(&"a".into(), "matches", &[pattern.into()]);
        assert!(
            result.starts_with("java.util.regex.PatternSyntaxException"),
            "{pattern}: {result}"
        );
    }
}

#[test]
fn backtracking_has_a_bound() {
    let text = format!("{}!", "a".repeat(40));
    let pattern: Value<'_> = "(a|aa)+\\1?(?=b)".into();
    let result = text_of(&text.into(), "matches", &[pattern]);
    assert!(result.contains("more than"), "{result}");
}

#[test]
fn look_around_runs_over_an_ordinary_text_many_times() {
    let text = "{\"name\": \"it's\", \"total\": 1234567},\n".repeat(25);
    let mut budget = Budget::default();
    for _ in 0..200 {
        let arguments = ["(?<!x)\"".into(), "'".into()];
        let result =
            call(&Value::from(text.as_str()), "replaceAll".into(), &arguments, &mut budget);
        assert!(result.is_ok(), "{result:?}");
    }
}

#[test]
fn reading_on_behind_each_match_takes_steps() {
    let text = "a".repeat(100_000);
    let result = text_of(&text.as_str().into(), "replaceAll", &["a.*z|a".into(), "b".into()]);
    assert!(result.contains("steps"), "{}", result.len());
}
