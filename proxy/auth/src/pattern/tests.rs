use std::time::{Instant, UNIX_EPOCH};

use super::*;
use crate::{ConditionKeys, NoKeys, Principal};

const WILDCARDS: Syntax = Syntax { wildcards: true, variables: false };
const VARIABLES: Syntax = Syntax { wildcards: true, variables: true };

fn request(keys: &dyn ConditionKeys) -> Request<'_> {
    let principal = Principal::Anonymous;
    Request { action: "", resource: "", principal, time: UNIX_EPOCH, keys }
}

fn matches(pattern: &str, case: Case, text: &str) -> bool {
    let pattern = Text::parse(pattern, WILDCARDS, case).unwrap();
    pattern.matches(text, &request(&NoKeys)).unwrap()
}

/// The definition: exponential, and plainly right.
fn naive(pattern: &[char], text: &[char], case: Case) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(('*', rest)), _) => {
            (0..=text.len()).any(|skipped| naive(rest, &text[skipped..], case))
        }
        (Some(_), None) => false,
        (Some((first, pattern)), Some((character, text))) => {
            let equal = match case {
                Case::Sensitive => first == character,
                Case::Insensitive => first.eq_ignore_ascii_case(character),
            };
            (*first == '?' || equal) && naive(pattern, text, case)
        }
    }
}

#[test]
fn the_matcher_agrees_with_the_definition() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut word = |alphabet: &str, length: usize| -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..random.usize(..=length)).map(|_| alphabet[random.usize(..alphabet.len())]).collect()
    };
    let mut matched = 0;
    for round in 0..60_000 {
        let (pattern, text) = (word("aAbé**??", 8), word("aAbé", 10));
        let case = if round % 2 == 0 { Case::Sensitive } else { Case::Insensitive };
        let pattern_characters: Vec<char> = pattern.chars().collect();
        let characters: Vec<char> = text.chars().collect();
        let expected = naive(&pattern_characters, &characters, case);
        assert_eq!(matches(&pattern, case, &text), expected, "{pattern:?} {text:?} {case:?}");
        matched += usize::from(expected);
    }
    assert!(matched > 5_000, "{matched}");
}

#[test]
fn a_pattern_made_to_go_back_takes_no_longer() {
    let text = "a".repeat(100_000);
    let start = Instant::now();
    assert!(!matches(&"*a".repeat(500), Case::Sensitive, &format!("{text}b")));
    assert!(!matches(&("*a?".repeat(300) + "b"), Case::Sensitive, &text));
    assert!(!matches(&("*a".repeat(500) + "b"), Case::Insensitive, &text));
    assert!(start.elapsed().as_secs() < 5);
}

/// `k` has a value, `many` has two, others have none.
struct Keys;

impl ConditionKeys for Keys {
    fn each_value(&self, key: &str, f: &mut dyn FnMut(&str)) {
        match key {
            "aws:k" => f("a*b"),
            "aws:many" => ["1", "2"].iter().for_each(|value| f(value)),
            _ => {}
        }
    }
}

#[test]
fn variables_stand_for_their_values_and_nothing_in_those_is_special() {
    for (pattern, text, expected) in [
        ("x/${aws:k}/y", "x/a*b/y", Some(true)),
        ("x/${AWS:K}/y", "x/aXb/y", Some(false)),
        ("*/${aws:k}?", "x/a*b!", Some(true)),
        ("${*}${?}${$}{x}", "*?${x}", Some(true)),
        ("${*}", "x", Some(false)),
        ("${aws:absent}", "", None),
        ("${aws:many}", "1", None),
        ("${aws:absent, 'none'}", "none", Some(true)),
        ("${aws:k, 'none'}", "none", Some(false)),
    ] {
        let pattern = Text::parse(pattern, VARIABLES, Case::Sensitive).unwrap();
        assert_eq!(pattern.matches(text, &request(&Keys)), expected, "{pattern:?}");
    }
    for malformed in ["${", "a${aws:k", "${}", "${ ,'x'}", "${aws:k, x}", "${aws:k, 'x}"] {
        assert!(Text::parse(malformed, VARIABLES, Case::Sensitive).is_err(), "{malformed}");
    }
    assert!(matches("${aws:k", Case::Sensitive, "${aws:k"));
}
