//! Where paths find something else than Debian's json-path does. It is version 2.0.0, of 2015;
//! we follow the later ones.

use tollgate_template::JsonPath;

use crate::Comparison;
use crate::departures::Departure;
use crate::departures::Explained::ByAnswers;

pub const DEPARTURES: &[Departure] = &[
    Departure {
        name: "json-path-fails-on-the-wrong-kind",
        reason: "Version 2.0.0 fails where an index or a filter meets no array, several names aren't the last step, or a number is compared with text; later ones find nothing there",
        explained: ByAnswers(|difference| {
            let messages = [
                "can only be applied to arrays",
                "can not be applied to primitives",
                "Multi properties can only be used as path leafs",
                "NumberFormatException",
            ];
            only_theirs_failed(difference, &messages)
        }),
    },
    Departure {
        name: "json-path-finds-null-for-many",
        reason: "A path for any number of values comes to a list in later versions, even if a part of it is missing",
        explained: ByAnswers(|difference| {
            let many = parsed(difference).is_some_and(|path| !path.is_definite());
            many && finds_nothing(difference) && difference.ours.is_ok()
        }),
    },
    Departure {
        name: "json-path-has-no-index-from-the-end",
        reason: "Later versions count negative indices from the end of an array",
        explained: ByAnswers(|difference| {
            let steps = difference.path.iter().flat_map(|path| path.split(['[', ',']).skip(1));
            let index = |step: &str| {
                step.split([']', ',']).next().and_then(|text| text.parse::<i32>().ok())
            };
            let negative = steps.filter_map(index).any(|index| index < 0);
            negative && difference.velocity.is_ok() && difference.ours.is_ok()
        }),
    },
    Departure {
        name: "json-path-has-no-escaped-quotes",
        reason: "Later versions know `\\'` in a quoted name",
        explained: ByAnswers(|difference| {
            difference.path.as_ref().is_some_and(|path| path.contains("\\'"))
        }),
    },
    Departure {
        name: "json-path-drops-what-has-no-such-member",
        reason: "In later versions, a missing member does not equal anything: `@.a != 5` holds",
        explained: ByAnswers(|difference| {
            let unequal = difference.path.as_ref().is_some_and(|path| path.contains("!="));
            unequal && difference.velocity.is_ok() && difference.ours.is_ok()
        }),
    },
    Departure {
        name: "json-path-orders-unlike-values",
        reason: "Version 2.0.0 compares a number and a text as texts; in later ones neither is less",
        explained: ByAnswers(|difference| {
            let ordered = difference.path.as_ref().is_some_and(|path| path.contains(['<', '>']));
            ordered && difference.velocity.is_ok() && difference.ours.is_ok()
        }),
    },
    Departure {
        name: "json-path-reads-malformed-paths",
        reason: "Version 2.0.0 guesses what a malformed path means; later ones refuse it, or guess otherwise",
        explained: ByAnswers(|difference| {
            let refused = "Could not compile the JSONPath";
            let messages = [
                "Space not allowed in path",
                "is not definite",
                "StringIndexOutOfBounds",
                "Could not analyze path component",
            ];
            difference.path.as_ref().is_some_and(|path| !is_well_formed(path))
                || difference.ours.as_ref().is_err_and(|error| error.contains(refused))
                || only_theirs_failed(difference, &messages)
        }),
    },
];

fn parsed(difference: &Comparison) -> Option<JsonPath> {
    JsonPath::parse(difference.path.as_ref()?).ok()
}

fn finds_nothing(difference: &Comparison) -> bool {
    matches!(difference.velocity.as_deref(), Ok("" | "\"\""))
}

fn only_theirs_failed(difference: &Comparison, messages: &[&str]) -> bool {
    let failure = difference.velocity.as_ref().err();
    failure.is_some_and(|error| messages.iter().any(|message| error.contains(message)))
        && difference.ours.is_ok()
}

/// Whether a path is one that the documentation shows: `$` and then steps.
fn is_well_formed(path: &str) -> bool {
    let Some(mut rest) = path.strip_prefix('$') else { return false };
    while !rest.is_empty() {
        match step_length(rest) {
            Some(length) => rest = &rest[length..],
            None => return false,
        }
    }
    true
}

fn step_length(rest: &str) -> Option<usize> {
    if let Some(inner) = rest.strip_prefix('[') {
        let length = inner_length(inner)?;
        return inner[length..].starts_with(']').then_some(length + 2);
    }
    let dots = rest.len() - rest.trim_start_matches('.').len();
    let name = &rest[dots..];
    let length = match name.strip_prefix('*') {
        Some(_) => 1,
        None => name.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(name.len()),
    };
    (matches!(dots, 1 | 2) && length > 0).then_some(dots + length)
}

/// What stands between `[` and `]`.
fn inner_length(inner: &str) -> Option<usize> {
    match inner.chars().next()? {
        '*' => Some(1),
        '\'' => {
            let end = quoted_length(inner)?;
            match inner[end..].strip_prefix(',') {
                Some(next) if next.starts_with('\'') => Some(end + 1 + inner_length(next)?),
                Some(_) => None,
                None => Some(end),
            }
        }
        '?' => {
            let end = inner.find(")]")? + 1;
            let condition = inner.get(2..end - 1)?;
            let word = |c: char| c.is_alphanumeric() || " @.[]0$'-=!<>&|".contains(c);
            (inner.starts_with("?(@.") && condition.chars().all(word)).then_some(end)
        }
        _ => {
            let end = inner.find(']')?;
            let is_number = |text: &str| text.parse::<i32>().is_ok();
            let list = inner[..end].split(',').all(is_number);
            let slice = inner[..end].split_once(':').is_some_and(|(from, to)| {
                [from, to].iter().all(|text| text.is_empty() || is_number(text))
            });
            (list || slice).then_some(end)
        }
    }
}

/// A name in single quotes, with its quotes.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
