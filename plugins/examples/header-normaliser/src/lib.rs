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

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Edits {
    #[serde(default)]
    remove: Vec<Pattern>,
    #[serde(default)]
    rename: BTreeMap<String, String>,
    #[serde(default)]
    trim: Vec<Pattern>,
    #[serde(default)]
    lower_case: Vec<Pattern>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    add: BTreeMap<String, String>,
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
        edits.headers = settings.request.edits(request.headers());
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
        edits.headers = SETTINGS.response.edits(response.headers());
        edits.into()
    }
}

impl Edits {
    /// The edits that make of these headers what is wanted: none for those that are so already.
    fn edits(&self, headers: Vec<(String, String)>) -> Vec<HeaderEdit> {
        // Pseudo-headers, where the gateway shows any, are no headers.
        let headers = headers.into_iter().filter(|(name, _)| !name.starts_with(':'));
        let mut before: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            before.entry(name).or_default().push(value);
        }
        let mut after = before.clone();
        self.apply(&mut after);

        let removed = before.keys().filter(|name| !after.contains_key(*name));
        let mut edits: Vec<_> = removed.cloned().map(HeaderEdit::Remove).collect();
        for (name, values) in
            after.iter().filter(|(name, values)| before.get(*name) != Some(*values))
        {
            for (index, value) in values.iter().enumerate() {
                let pair = (name.clone(), value.clone());
                edits.push(if index == 0 {
                    HeaderEdit::Set(pair)
                } else {
                    HeaderEdit::Append(pair)
                });
            }
        }
        edits
    }

    fn apply(&self, headers: &mut BTreeMap<String, Vec<String>>) {
        headers.retain(|name, _| !self.remove.iter().any(|pattern| pattern.matches(name)));
        for (old, new) in &self.rename {
            if let Some(values) = headers.remove(&old.to_ascii_lowercase()) {
                headers.insert(new.to_ascii_lowercase(), values);
            }
        }
        for (name, values) in headers.iter_mut() {
            if self.trim.iter().any(|pattern| pattern.matches(name)) {
                values.iter_mut().for_each(|value| *value = trimmed(value));
            }
            if self.lower_case.iter().any(|pattern| pattern.matches(name)) {
                values.iter_mut().for_each(|value| *value = value.to_lowercase());
            }
        }
        for (name, value) in &self.set {
            headers.insert(name.to_ascii_lowercase(), vec![value.clone()]);
        }
        for (name, value) in &self.add {
            headers.entry(name.to_ascii_lowercase()).or_insert_with(|| vec![value.clone()]);
        }
    }
}

fn trimmed(value: &str) -> String {
    value.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
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
        assert_eq!(edits.edits(headers), []);
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
