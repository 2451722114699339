//! Where our answers may differ from stock Velocity's and Jayway's, each with its reason.
//!
//! A departure is either built into the Java side, which then renders as we must and says so
//! (java/Departures.java), or recognised here from the two answers. Nothing else may differ.

use crate::{Comparison, json_path_departures};

pub struct Departure {
    pub name: &'static str,
    /// Why we depart.
    pub reason: &'static str,
    pub explained: Explained,
}

pub enum Explained {
    /// The Java side departs as well and names it.
    ByJava,
    /// Tells from a difference that this departure made it.
    ByAnswers(fn(&Comparison) -> bool),
}

use Explained::{ByAnswers, ByJava};

/// Every departure, those of paths among them.
pub fn all() -> impl Iterator<Item = &'static Departure> {
    DEPARTURES.iter().chain(json_path_departures::DEPARTURES)
}

const DEPARTURES: &[Departure] = &[
    Departure {
        name: "null-is-empty-text",
        reason: "API Gateway renders an undefined reference as empty text, not as it is written",
        explained: ByJava,
    },
    Departure {
        name: "null-can-be-set",
        reason: "API Gateway's #set makes a variable null; stock Velocity keeps the old value",
        explained: ByJava,
    },
    Departure {
        name: "null-equals-empty-text",
        reason: "On API Gateway null == \"\" is true",
        explained: ByJava,
    },
    Departure {
        name: "java-array-is-a-list",
        reason: "A Java array prints as its type and address, which no template can want; ours prints its elements",
        explained: ByJava,
    },
    Departure {
        name: "loop-iterations-are-bounded",
        reason: "API Gateway's quota: 1,000 iterations in a template",
        explained: ByJava,
    },
    Departure {
        name: "parse-and-include-are-refused",
        reason: "There are no files to read; ours refuses them wherever they stand, Velocity's when it comes to them",
        explained: ByAnswers(|difference| {
            fails_with(difference, "is not available in mapping templates")
        }),
    },
    Departure {
        name: "java-classes-are-not-served",
        reason: "A template could call any of Java's classes with them; ours are not Java's",
        explained: ByJava,
    },
    Departure {
        name: "maps-in-context-print-nothing",
        reason: "Recorded on API Gateway for the maps below $context",
        explained: ByJava,
    },
    Departure {
        name: "overrides-are-set-once",
        reason: "API Gateway answers 5XX when a template sets an override twice",
        explained: ByJava,
    },
    Departure {
        name: "json-escapes-only-what-it-must",
        reason: "API Gateway escapes no slash in $input.json; json-smart escapes U+2000 to U+20FF as well, which no JSON reader needs",
        explained: ByJava,
    },
    Departure {
        name: "input-and-util-print-nothing",
        reason: "What they are in Java can't be seen from outside",
        explained: ByJava,
    },
    Departure {
        name: "escaped-blank-is-an-object",
        reason: "Reported of API Gateway's $util.escapeJavaScript",
        explained: ByJava,
    },
    Departure {
        name: "circles-are-refused",
        reason: "A list or map within itself would never be freed; Java's fails when it is printed",
        explained: ByAnswers(|difference| {
            let printed = ["(this Map)", "(this Collection)"];
            let own = difference
                .velocity
                .as_ref()
                .is_ok_and(|text| printed.iter().any(|own| text.contains(own)));
            own || fails_with(difference, "can't be put into itself")
                || fails_with(difference, "can't contain itself")
        }),
    },
    Departure {
        name: "malformed-foreach-fails-at-once",
        reason: "Velocity fails, or renders nothing, when it comes to a #foreach without `in`; nobody wants that",
        explained: ByAnswers(|difference| {
            fails_with(difference, "`#foreach` needs a reference, `in` and a collection")
        }),
    },
    Departure {
        name: "surrogate-pairs-stay-whole",
        reason: "An empty pattern of Java's matches between the halves of a character beyond U+FFFF as well, and breaks it",
        explained: ByAnswers(|difference| {
            let halves = difference.velocity.as_ref().is_ok_and(|text| text.contains('\u{fffd}'));
            halves && difference.ours.as_ref().is_ok_and(|text| !text.contains('\u{fffd}'))
        }),
    },
    Departure {
        name: "map-views-are-copies",
        reason: "Java's keySet(), values() and entrySet() change the map; ours can't be changed",
        explained: ByAnswers(|difference| {
            let views = ["keySet()", "values()", "entrySet()"];
            views.iter().any(|view| difference.template.contains(view))
                && fails_with(difference, "UnsupportedOperationException")
        }),
    },
    Departure {
        name: "loops-allow-changes-to-maps",
        reason: "Java's iterators fail when a map gets or loses keys within its loop; ours go over what was there at the start",
        explained: ByAnswers(|difference| {
            difference.ours.is_ok()
                && difference
                    .velocity
                    .as_ref()
                    .is_err_and(|error| error.contains("ConcurrentModification"))
        }),
    },
    Departure {
        name: "java-addresses",
        reason: "An object without a text or hash code of its own has its address in Java, which differs from run to run",
        explained: ByJava,
    },
    Departure {
        name: "java-classes-and-addresses",
        reason: "Such an object within another, or in a string, prints as its class and address in Java; $foreach.info as no template can use it",
        explained: ByAnswers(|difference| {
            difference
                .velocity
                .as_ref()
                .is_ok_and(|text| holds_java_address(text) || text.contains("#foreach[type:"))
        }),
    },
];

/// Only ours failed, with this in its message.
fn fails_with(difference: &Comparison, message: &str) -> bool {
    difference.velocity.is_ok()
        && difference.ours.as_ref().is_err_and(|error| error.contains(message))
}

/// `java.lang.Object@1b2c3d`, `[Ljava.lang.String;@1b2c3d`
fn holds_java_address(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let class = text[..at].rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
        let hexadecimal = text[at + 1..].starts_with(|c: char| c.is_ascii_hexdigit());
        hexadecimal
            && (class.ends_with(';') || class.contains("java.") || class.contains("org.apache."))
    })
}

/// The name of the departure that explains a difference.
pub fn explain(difference: &Comparison) -> Option<&'static str> {
    all().find_map(|departure| match departure.explained {
        ByAnswers(explains) if explains(difference) => Some(departure.name),
        _ => None,
    })
}
