//! A transformer that cleans headers: what clients send becomes what a backend can rely on, and
//! what a backend says too much stays inside.
//!
//! ```json
//! {"request": {"remove": ["x-internal-*"], "rename": {"x-tenant-id": "x-tenant"},
//!              "lowerCase": ["x-tenant"], "trim": ["*"], "set": {"x-edge": "amsterdam"}},
//!  "response": {"remove": ["server", "x-powered-by"],
//!               "add": {"x-content-type-options": "nosniff"}},
//!  "forwardedFor": {"trusted": ["10.0.0.0/8", "2001:db8::/32"]}}
//! ```
//!
//! Each side's edits are made in this order:
//!
//! | setting | meaning |
//! |---|---|
//! | `remove` | names of headers to remove; `x-internal-*` means all that begin so |
//! | `rename` | old name → new name; the old one's values replace the new one's |
//! | `trim` | names whose values lose spaces around them and repeated spaces inside; `*` for all |
//! | `lowerCase` | names whose values become lower case |
//! | `set` | name → value that replaces what is there |
//! | `add` | name → value where there is none |
//!
//! `forwardedFor` cleans `x-forwarded-for`, which clients can fill with anything: ports and what
//! is no address go, and of the rest only what trusted proxies vouch for stays, the last address
//! that isn't a trusted proxy's and those after it. Without a trusted peer nothing stays.

mod forwarded;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use tollgate_plugin_sdk::{
    Configuration, HeaderEdit, Request, RequestAction, RequestEdits, Response, ResponseAction,
    ResponseEdits, Transformer, transformer,
};

use crate::forwarded::ForwardedFor;

static SETTINGS: Configuration<Settings> = Configuration::json();

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    request: Edits,
    #[serde(default)]
    response: Edits,
    forwarded_for: Option<ForwardedFor>,
}

/// A side's edits as they are configured.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Rules {
    remove: Vec<Pattern>,
    rename: BTreeMap<String, String>,
    trim: Vec<Pattern>,
    lower_case: Vec<Pattern>,
    set: BTreeMap<String, String>,
    add: BTreeMap<String, String>,
}

/// A side's edits; all names are in lower case.
#[derive(Default, Deserialize)]
#[serde(from = "Rules")]
struct Edits {
    remove: Vec<Pattern>,
    rename: Vec<(String, String)>,
    trim: Vec<Pattern>,
    lower_case: Vec<Pattern>,
    set: Vec<(String, String)>,
    add: Vec<(String, String)>,
    reads: Reads,
}

/// The headers that have to be known.
enum Reads {
    /// Some rule is for all headers that begin in a certain way.
    All,
    Named(Vec<String>),
}

impl Default for Reads {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl From<Rules> for Edits {
    fn from(rules: Rules) -> Self {
        let pairs = |map: BTreeMap<String, String>| -> Vec<_> {
            map.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
        };
        let mut edits = Self {
            remove: rules.remove,
            rename: pairs(rules.rename),
            trim: rules.trim,
            lower_case: rules.lower_case,
            set: pairs(rules.set),
            add: pairs(rules.add),
            reads: Reads::All,
        };
        edits.rename.iter_mut().for_each(|(_, new)| new.make_ascii_lowercase());
        edits.reads = edits.reads();
        edits
    }
}

/// A name, or the beginning of names.
#[derive(Deserialize)]
#[serde(from = "String")]
enum Pattern {
    Name(String),
    Beginning(String),
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_suffix('*') {
            Some(beginning) => Self::Beginning(beginning.to_owned()),
            None => Self::Name(text),
        }
    }
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Beginning(beginning) => name.starts_with(beginning.as_str()),
        }
    }
}

struct Normaliser;

transformer!(Normaliser);

impl Transformer for Normaliser {
    fn on_request(request: &Request) -> RequestAction {
        let settings: &Settings = &SETTINGS;
        let mut edits = RequestEdits::new();
        edits.headers =
            settings.request.edits(|| request.headers(), |name| request.header_values(name));
        if let Some(forwarded_for) = &settings.forwarded_for {
            let values = request.header_values("x-forwarded-for");
            if !values.is_empty() {
                edits = match forwarded_for.clean(&values, &request.source_address()) {
                    Some(value) => edits.set_header("x-forwarded-for", value),
                    None => edits.remove_header("x-forwarded-for"),
                };
            }
        }
        edits.into()
    }

    fn on_response(_: &Request, response: &Response) -> ResponseAction {
        let mut edits = ResponseEdits::new();
        edits.headers =
            SETTINGS.response.edits(|| response.headers(), |name| response.header_values(name));
        edits.into()
    }
}

/// A header while rules are applied.
struct Header<'a> {
    name: Cow<'a, str>,
    /// None for a header that isn't there.
    values: Vec<String>,
    /// Whether it isn't as it came.
    is_edited: bool,
}

impl Edits {
    fn reads(&self) -> Reads {
        let mut names = Vec::new();
        for pattern in self.remove.iter().chain(&self.trim).chain(&self.lower_case) {
            match pattern {
                Pattern::Name(name) => names.push(name),
                Pattern::Beginning(_) => return Reads::All,
            }
        }
        names.extend(self.rename.iter().flat_map(|(old, new)| [old, new]));
        names.extend(self.add.iter().map(|(name, _)| name));
        names.sort_unstable();
        names.dedup();
        // What a header was is of no interest where it is removed, or only set.
        let is_renamed = |name: &str| self.rename.iter().any(|(old, _)| old == name);
        let is_set = |name: &str| self.set.iter().any(|(set, _)| set == name);
        names.retain(|name| !self.removes(name) && (is_renamed(name) || !is_set(name)));
        Reads::Named(names.into_iter().cloned().collect())
    }

    fn removes(&self, name: &str) -> bool {
        self.remove.iter().any(|pattern| pattern.matches(name))
    }

    /// The edits that make of a message's headers what is wanted. Where all of them are read, none
    /// is for a header that is right already.
    fn edits(
        &self,
        all: impl FnOnce() -> Vec<(String, String)>,
        values_of: impl Fn(&str) -> Vec<String>,
    ) -> Vec<HeaderEdit> {
        let mut headers = match &self.reads {
            Reads::All => self.of_all(all()),
            Reads::Named(names) => self.of_named(names, values_of),
        };
        self.apply(&mut headers);
        let mut edits = Vec::with_capacity(headers.len());
        for Header { name, values, .. } in headers.into_iter().filter(|header| header.is_edited) {
            let name = name.into_owned();
            let mut values = values.into_iter();
            let Some(first) = values.next() else {
                edits.push(HeaderEdit::Remove(name));
                continue;
            };
            let others: Vec<_> =
                values.map(|value| HeaderEdit::Append((name.clone(), value))).collect();
            edits.push(HeaderEdit::Set((name, first)));
            edits.extend(others);
        }
        edits
    }

    /// All headers, without those to be removed.
    fn of_all(&self, mut all: Vec<(String, String)>) -> Vec<Header<'_>> {
        // Pseudo-headers, where the gateway shows any, are no headers.
        all.retain(|(name, _)| !name.starts_with(':'));
        // Stable: the values of a header stay in order.
        all.sort_by(|one, other| one.0.cmp(&other.0));
        let mut headers: Vec<Header<'_>> = Vec::with_capacity(all.len() + self.set.len());
        for (name, value) in all {
            match headers.last_mut() {
                Some(header) if header.name == name => header.values.push(value),
                _ => headers.push(Header {
                    name: Cow::Owned(name),
                    values: vec![value],
                    is_edited: false,
                }),
            }
        }
        for header in headers.iter_mut().filter(|header| self.removes(&header.name)) {
            header.values.clear();
            header.is_edited = true;
        }
        headers
    }

    /// The headers that rules name, those to be removed as if they were there.
    fn of_named<'a>(
        &'a self,
        names: &'a [String],
        values_of: impl Fn(&str) -> Vec<String>,
    ) -> Vec<Header<'a>> {
        let mut headers = Vec::with_capacity(self.remove.len() + names.len() + self.set.len());
        for pattern in &self.remove {
            if let Pattern::Name(name) = pattern {
                let name = Cow::Borrowed(name.as_str());
                headers.push(Header { name, values: Vec::new(), is_edited: true });
            }
        }
        for name in names {
            let values = values_of(name);
            if !values.is_empty() {
                headers.push(Header { name: Cow::Borrowed(name), values, is_edited: false });
            }
        }
        headers
    }

    /// The rules after `remove`.
    fn apply<'a>(&'a self, headers: &mut Vec<Header<'a>>) {
        for (old, new) in &self.rename {
            let present = headers.iter_mut().find(|it| it.name == *old && !it.values.is_empty());
            if let Some(header) = present {
                header.is_edited = true;
                let values = std::mem::take(&mut header.values);
                put(headers, new, values);
            }
        }
        for header in &mut *headers {
            if self.trim.iter().any(|pattern| pattern.matches(&header.name)) {
                header.change(trimmed);
            }
            if self.lower_case.iter().any(|pattern| pattern.matches(&header.name)) {
                header.change(str::to_lowercase);
            }
        }
        for (name, value) in &self.set {
            put(headers, name, vec![value.clone()]);
        }
        for (name, value) in &self.add {
            if !headers.iter().any(|it| it.name == *name && !it.values.is_empty()) {
                put(headers, name, vec![value.clone()]);
            }
        }
    }
}

impl Header<'_> {
    fn change(&mut self, change: fn(&str) -> String) {
        for value in &mut self.values {
            let changed = change(value);
            self.is_edited |= changed != *value;
            *value = changed;
        }
    }
}

/// Gives a header these values.
fn put<'a>(headers: &mut Vec<Header<'a>>, name: &'a str, values: Vec<String>) {
    match headers.iter_mut().find(|header| header.name == name) {
        Some(header) => {
            header.is_edited |= header.values != values;
            header.values = values;
        }
        None => headers.push(Header { name: Cow::Borrowed(name), values, is_edited: true }),
    }
}

fn trimmed(value: &str) -> String {
    value.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tollgate_plugin_sdk::testing::{Answer, Exchange, Gateway};

    use super::*;

    #[test]
    fn request_headers_become_what_is_wanted() {
        let gateway = Gateway::new().configuration(
            r#"{"request": {"remove": ["X-Internal-*", "x-debug"], "rename": {"X-Tenant-Id": "x-tenant"},
                "lowerCase": ["x-tenant"], "trim": ["*"], "set": {"X-Edge": "ams"},
                "add": {"accept": "*/*", "x-new": "1"}}}"#,
        );
        let exchange = Exchange::get("/")
            .header("x-internal-user", "root")
            .header("X-Debug", "1")
            .header("x-tenant", "mallory")
            .header("x-tenant-id", " ACME  Inc\t")
            .header("x-edge", "a")
            .header("x-edge", "b")
            .header("accept", "text/html");
        let forwarded = gateway.request::<Normaliser>(&exchange).unwrap();
        let mut headers = forwarded.headers;
        headers.sort();
        let expected =
            [("accept", "text/html"), ("x-edge", "ams"), ("x-new", "1"), ("x-tenant", "acme inc")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn headers_that_are_right_are_not_edited() {
        let edits: Edits = serde_json::from_str(r#"{"trim": ["*"], "add": {"a": "b"}}"#).unwrap();
        let headers = vec![("a".to_owned(), "x y".to_owned()), ("a".to_owned(), "z".to_owned())];
        assert_eq!(edits.edits(|| headers, |_| unreachable!()), []);
    }

    #[test]
    fn only_headers_that_matter_are_asked_for() {
        let rules = r#"{"remove": ["a"], "rename": {"Old": "New"}, "set": {"b": "1", "old": "2"},
            "add": {"a": "3", "c": "4"}, "trim": ["b", "d"]}"#;
        let edits: Edits = serde_json::from_str(rules).unwrap();
        let asked = RefCell::new(Vec::new());
        let made = edits.edits(
            || unreachable!(),
            |name| {
                asked.borrow_mut().push(name.to_owned());
                if name == "old" { vec!["x".to_owned(), "y".to_owned()] } else { Vec::new() }
            },
        );
        assert_eq!(asked.into_inner(), ["c", "d", "new", "old"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            HeaderEdit::Set(pair("a", "3")),
            HeaderEdit::Set(pair("old", "2")),
            HeaderEdit::Set(pair("new", "x")),
            HeaderEdit::Append(pair("new", "y")),
            HeaderEdit::Set(pair("b", "1")),
            HeaderEdit::Set(pair("c", "4")),
        ];
        assert_eq!(made, expected);
    }

    #[test]
    fn response_headers_have_edits_of_their_own() {
        let gateway = Gateway::new().configuration(
            r#"{"response": {"remove": ["server"], "add": {"x-content-type-options": "nosniff"}}}"#,
        );
        let answer = Answer::new(200, "")
            .with_header("Server", "x/1.2")
            .with_header("set-cookie", "a=1")
            .with_header("set-cookie", "b=2");
        let answer = gateway.response::<Normaliser>(&Exchange::get("/"), answer);
        assert_eq!(answer.header("server"), None);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    }

    #[test]
    fn forwarded_for_keeps_what_trusted_proxies_vouch_for() {
        let gateway =
            Gateway::new().configuration(r#"{"forwardedFor": {"trusted": ["10.0.0.0/8"]}}"#);
        let clean = |source, value: &str| {
            let exchange =
                Exchange::get("/").source_address(source).header("x-forwarded-for", value);
            let forwarded = gateway.request::<Normaliser>(&exchange).unwrap();
            forwarded.header("x-forwarded-for").map(str::to_owned)
        };
        assert_eq!(clean("10.0.0.1", "1.2.3.4, 198.51.100.7").as_deref(), Some("198.51.100.7"));
        assert_eq!(clean("192.0.2.1", "1.2.3.4"), None);
    }
}
