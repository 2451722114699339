//! What a definition holds that the data plane does not serve yet: collected while compiling,
//! never dropped silently, one entry for all the places that say the same.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;

/// Places written out when a construct is displayed; the others are counted.
const SHOWN_PLACES: usize = 3;

/// A construct that is read but not served by the data plane yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnservedConstruct {
    /// Its name: `Lambda authorizer`, `x-amazon-apigateway-minimum-compression-size`.
    pub construct: String,
    /// Where it is used: `GET /pets`, `API`. Never empty, in the definition's order.
    pub places: Vec<String>,
    /// What that means for a request.
    pub message: String,
}

impl fmt::Display for UnservedConstruct {
    /// `API key: not checked yet (GET /a, GET /b, GET /c and 997 more)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, more) = self.places.split_at(self.places.len().min(SHOWN_PLACES));
        write!(f, "{}: {} ({}", self.construct, self.message, shown.join(", "))?;
        if !more.is_empty() {
            write!(f, " and {} more", more.len())?;
        }
        f.write_str(")")
    }
}

#[derive(Default)]
pub(crate) struct Unserved {
    found: IndexMap<(Cow<'static, str>, Cow<'static, str>), Vec<String>>,
}

impl Unserved {
    pub(crate) fn add(
        &mut self,
        construct: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
        place: &str,
    ) {
        let places = self.found.entry((construct.into(), message.into())).or_default();
        // Two templates of one method are one place.
        if places.last().is_none_or(|last| last != place) {
            places.push(place.to_owned());
        }
    }

    pub(crate) fn into_constructs(self) -> Vec<UnservedConstruct> {
        let construct =
            |((construct, message), places): ((Cow<'_, str>, Cow<'_, str>), _)| UnservedConstruct {
                construct: construct.into_owned(),
                places,
                message: message.into_owned(),
            };
        self.found.into_iter().map(construct).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Unserved;

    #[test]
    fn a_thousand_places_are_one_line() {
        let mut unserved = Unserved::default();
        for n in 0..1_000 {
            unserved.add("API key", "not checked yet", &format!("GET /{n}"));
            unserved.add("API key", "not checked yet", &format!("GET /{n}"));
        }
        unserved.add("API key", "something else", "API");
        let lines: Vec<String> =
            unserved.into_constructs().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "API key: not checked yet (GET /0, GET /1, GET /2 and 997 more)",
                "API key: something else (API)"
            ]
        );
    }
}
