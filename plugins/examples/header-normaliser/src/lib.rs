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
    Configuration, HeaderEdit, Headers, Request, RequestAction, RequestEdits, Response,
    ResponseAction, ResponseEdits, Transformer, transformer,
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
    concerned: Concerned,
}

/// The headers that some rule is about.
#[derive(Default)]
struct Concerned {
    names: Vec<String>,
    beginnings: Vec<String>,
    /// Lengths of the names, as bits: most headers are known by theirs not to be among them.
    lengths: u64,
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
            concerned: Concerned::default(),
        };
        edits.rename.iter_mut().for_each(|(_, new)| new.make_ascii_lowercase());
        edits.concerned = edits.concerned();
        edits
    }
}

impl Concerned {
    fn has(&self, name: &[u8]) -> bool {
        self.beginnings.iter().any(|it| begins(name, it))
            || self.lengths & length_bit(name.len()) != 0
                && self.names.iter().any(|it| it.len() == name.len() && begins(name, it))
    }
}

/// `starts_with`, without a call where the last byte is another.
#[inline(always)]
fn begins(name: &[u8], beginning: &str) -> bool {
    match beginning.as_bytes() {
        [] => true,
        [.., last] if name.get(beginning.len() - 1) != Some(last) => false,
        beginning => are_same(&name[..beginning.len()], beginning),
    }
}

/// `==` for bytes of one length, eight at once: in WebAssembly it is a call that goes byte by byte.
#[inline(always)]
fn are_same(one: &[u8], other: &[u8]) -> bool {
    let eight = |bytes: &[u8]| bytes.first_chunk().map(|eight| u64::from_le_bytes(*eight));
    let last = one.len() - one.len() % 8;
    let (one_last, other_last) = match one.len() {
        // The last eight may be some of the first again.
        8.. => (&one[one.len() - 8..], &other[other.len() - 8..]),
        _ => return one.iter().zip(other).all(|(one, other)| one == other),
    };
    (0..last).step_by(8).all(|at| eight(&one[at..]) == eight(&other[at..]))
        && eight(one_last) == eight(other_last)
}

/// `==`, without a call where the last byte is another.
#[inline(always)]
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && begins(one.as_bytes(), other)
}

fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
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
            Self::Name(wanted) => is_same(wanted, name),
            Self::Beginning(beginning) => begins(name.as_bytes(), beginning),
        }
    }
}

struct Normaliser;

transformer!(Normaliser);

impl Transformer for Normaliser {
    fn on_request(request: &Request) -> RequestAction {
        let settings: &Settings = &SETTINGS;
        if settings.request.are_none() && settings.forwarded_for.is_none() {
            return RequestAction::Pass;
        }
        let headers = request.headers();
        let mut edits = RequestEdits::new();
        edits.headers = settings.request.edits(&headers);
        if let Some(forwarded_for) = &settings.forwarded_for {
            let named = headers.iter().filter(|it| it.name_bytes() == b"x-forwarded-for");
            let values: Vec<_> = named.map(|it| it.value()).collect();
            if !values.is_empty() {
                edits = match forwarded_for.clean(&values, &request.source_address()) {
                    Some(value) => edits.set_header("x-forwarded-for", value),
                    None => edits.remove_header("x-forwarded-for"),
                };
            }
        }
        if edits.headers.is_empty() { RequestAction::Pass } else { edits.into() }
    }

    fn on_response(_: &Request, response: &Response) -> ResponseAction {
        let rules = &SETTINGS.response;
        if rules.are_none() {
            return ResponseAction::Pass;
        }
        let mut edits = ResponseEdits::new();
        edits.headers = rules.edits(&response.headers());
        if edits.headers.is_empty() { ResponseAction::Pass } else { edits.into() }
    }
}

/// A header while rules are applied.
struct Header<'a> {
    name: Cow<'a, str>,
    /// None for a header that isn't there.
    values: Vec<Cow<'a, str>>,
    /// Whether it isn't as it came.
    is_edited: bool,
}

impl Edits {
    fn are_none(&self) -> bool {
        self.concerned.names.is_empty() && self.concerned.beginnings.is_empty()
    }

    fn concerned(&self) -> Concerned {
        let mut concerned = Concerned::default();
        for pattern in self.remove.iter().chain(&self.trim).chain(&self.lower_case) {
            match pattern {
                Pattern::Name(name) => concerned.names.push(name.clone()),
                Pattern::Beginning(beginning) => concerned.beginnings.push(beginning.clone()),
            }
        }
        let pairs = self.rename.iter().flat_map(|(old, new)| [old, new]);
        let names = pairs.chain(self.set.iter().chain(&self.add).map(|(name, _)| name));
        concerned.names.extend(names.cloned());
        concerned.names.sort_unstable();
        concerned.names.dedup();
        concerned.lengths = concerned.names.iter().fold(0, |all, it| all | length_bit(it.len()));
        concerned
    }

    fn removes(&self, name: &str) -> bool {
        self.remove.iter().any(|pattern| pattern.matches(name))
    }

    /// The edits that make of a message's headers what is wanted; none for a header that is right
    /// already.
    fn edits(&self, headers: &Headers) -> Vec<HeaderEdit> {
        let mut headers = self.read(headers);
        self.apply(&mut headers);
        let mut edits = Vec::with_capacity(headers.len());
        for Header { name, values, .. } in headers.into_iter().filter(|header| header.is_edited) {
            let mut values = values.into_iter().map(Cow::into_owned);
            let name = name.into_owned();
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

    /// The headers that rules are about, those to be removed without values.
    fn read<'a>(&'a self, headers: &'a Headers) -> Vec<Header<'a>> {
        let mut found: Vec<_> =
            headers.iter().filter(|header| self.concerned.has(header.name_bytes())).collect();
        // Stable: the values of a header stay in order.
        found.sort_by(|one, other| {
            let (one, other) = (one.name_bytes(), other.name_bytes());
            one.len().cmp(&other.len()).then_with(|| one.cmp(other))
        });
        let mut read: Vec<Header<'a>> = Vec::with_capacity(found.len() + self.set.len());
        for header in found {
            let name = header.name();
            match read.last_mut() {
                Some(last) if is_same(&last.name, &name) => last.values.push(header.value()),
                _ => {
                    read.push(Header { name, values: vec![header.value()], is_edited: false });
                }
            }
        }
        for header in read.iter_mut().filter(|header| self.removes(&header.name)) {
            header.values.clear();
            header.is_edited = true;
        }
        read
    }

    /// The rules after `remove`.
    fn apply<'a>(&'a self, headers: &mut Vec<Header<'a>>) {
        for (old, new) in &self.rename {
            let present =
                headers.iter_mut().find(|it| is_same(&it.name, old) && !it.values.is_empty());
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
                header.change(lower_case);
            }
        }
        for (name, value) in &self.set {
            put(headers, name, vec![Cow::Borrowed(value)]);
        }
        for (name, value) in &self.add {
            if !headers.iter().any(|it| is_same(&it.name, name) && !it.values.is_empty()) {
                put(headers, name, vec![Cow::Borrowed(value)]);
            }
        }
    }
}

impl Header<'_> {
    /// Changes the values for which the function gives another one.
    fn change(&mut self, change: fn(&str) -> Option<String>) {
        for value in &mut self.values {
            if let Some(changed) = change(value) {
                *value = Cow::Owned(changed);
                self.is_edited = true;
            }
        }
    }
}

/// Gives a header these values.
fn put<'a>(headers: &mut Vec<Header<'a>>, name: &'a str, values: Vec<Cow<'a, str>>) {
    match headers.iter_mut().find(|header| is_same(&header.name, name)) {
        Some(header) => {
            header.is_edited |= header.values != values;
            header.values = values;
        }
        None => headers.push(Header { name: Cow::Borrowed(name), values, is_edited: true }),
    }
}

fn trimmed(value: &str) -> Option<String> {
    let mut before = b' ';
    let is_wrong = |byte: &u8| {
        let is_wrong = *byte == b'\t' || *byte == b' ' && before == b' ';
        before = *byte;
        is_wrong
    };
    if !value.as_bytes().iter().any(is_wrong) && (before != b' ' || value.is_empty()) {
        return None;
    }
    let mut trimmed = String::with_capacity(value.len());
    for word in value.split([' ', '\t']).filter(|word| !word.is_empty()) {
        if !trimmed.is_empty() {
            trimmed.push(' ');
        }
        trimmed.push_str(word);
    }
    Some(trimmed)
}

fn lower_case(value: &str) -> Option<String> {
    if !value.is_ascii() {
        let lower = value.to_lowercase();
        return (lower != value).then_some(lower);
    }
    let has_upper = value.bytes().any(|byte| byte.is_ascii_uppercase());
    has_upper.then(|| value.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use tollgate_plugin_sdk::Decision;
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

    /// The edits that rules make of a request's headers.
    fn edits(rules: &str, headers: &[(&str, &str)]) -> Vec<HeaderEdit> {
        let exchange = headers
            .iter()
            .fold(Exchange::get("/"), |exchange, (name, value)| exchange.header(name, value));
        let mut headers = None;
        let read = |request: &Request| {
            headers = Some(request.headers());
            Decision::deny()
        };
        Gateway::new().authorize(read, &exchange);
        let edits: Edits = serde_json::from_str(rules).unwrap();
        edits.edits(&headers.unwrap())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn headers_that_are_right_are_not_edited() {
        let rules = r#"{"trim": ["*"], "lowerCase": ["a"], "add": {"a": "b"}, "set": {"c": "1"},
            "remove": ["d", "x-*"], "rename": {"e": "f"}}"#;
        let headers = [("a", "x y"), ("a", "z"), ("A", ""), ("b", "\u{e9}, X y"), ("c", "1")];
        assert_eq!(edits(rules, &headers), []);
    }

    #[test]
    fn what_is_wrong_is_edited_and_nothing_else() {
        let rules = r#"{"remove": ["a"], "rename": {"Old": "New"}, "set": {"b": "1", "old": "2"},
            "add": {"a": "3", "c": "4"}, "trim": ["b", "d"], "lowerCase": ["d"]}"#;
        let headers = [
            ("old", "x"),
            ("other", " X"),
            ("old", "y"),
            ("a", "0"),
            ("d", " \u{c9}T\u{e9}\t "),
            ("d", "a"),
        ];
        let expected = [
            HeaderEdit::Set(pair("a", "3")),
            HeaderEdit::Set(pair("d", "\u{e9}t\u{e9}")),
            HeaderEdit::Append(pair("d", "a")),
            HeaderEdit::Set(pair("old", "2")),
            HeaderEdit::Set(pair("new", "x")),
            HeaderEdit::Append(pair("new", "y")),
            HeaderEdit::Set(pair("b", "1")),
            HeaderEdit::Set(pair("c", "4")),
        ];
        assert_eq!(edits(rules, &headers), expected);
    }

    #[test]
    fn space_is_trimmed_everywhere() {
        let table = [
            ("", None),
            ("a", None),
            ("a b", None),
            (" ", Some("")),
            (" a", Some("a")),
            ("a ", Some("a")),
            ("a  b", Some("a b")),
            ("a\tb", Some("a b")),
            ("\t \u{e9} \t\u{20ac}\t", Some("\u{e9} \u{20ac}")),
        ];
        for (value, expected) in table {
            assert_eq!(trimmed(value).as_deref(), expected, "{value:?}");
        }
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
