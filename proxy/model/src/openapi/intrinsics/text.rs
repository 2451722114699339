//! `${NAME}` in a text, and what stands in for a name without a value.

use std::borrow::Cow;

use super::super::ImportError;
use super::super::document::{Kind, Node};
use super::{Place, Resolver};

/// Keys under which a text with `${NAME}` left in it cannot do its work.
const NEEDS_VALUES: [&str; 14] = [
    "uri",
    "credentials",
    "connectionId",
    "integrationTarget",
    "authorizerUri",
    "authorizerCredentials",
    "providerARNs",
    "issuer",
    "audience",
    "vpcEndpointIds",
    "basePath",
    "host",
    "title",
    "url",
];

/// The first parts of names that API Gateway itself gives a value while it serves.
const AT_RUN_TIME: [&str; 6] =
    ["stageVariables", "context", "input", "util", "request", "response"];

/// Names without a value that are looked into in one text: enough for a warning, and looking
/// takes time in proportion to the text.
const MAX_CHECKED: usize = 50;

/// A piece of a text.
enum Piece<'t> {
    Plain(&'t str),
    /// What stands between `${` and `}`.
    Name(&'t str),
}

impl Resolver<'_> {
    /// Replaces the names that have a value in a text outside of `Fn::Sub`. Other tools' names
    /// (Terraform's, VTL's) stay.
    pub(super) fn plain_text<'a>(
        &mut self,
        node: &mut Node<'a>,
        text: Cow<'a, str>,
        place: &Place<'_>,
    ) -> Result<(), ImportError> {
        let mut out = String::new();
        let mut changed = false;
        let mut checked = 0;
        for piece in pieces(&text) {
            let name = match piece {
                Piece::Plain(plain) => {
                    out.push_str(plain);
                    continue;
                }
                Piece::Name(name) => name,
            };
            let replaced = matches!(name, "AWS::Region" | "AWS::AccountId" | "AWS::Partition")
                || self.options.parameters.contains_key(name);
            let value = if replaced { self.value_of(name).map(Cow::into_owned) } else { None };
            if let Some(value) = value {
                self.append(&mut out, &value, node.line)?;
                changed = true;
                continue;
            }
            out.push_str("${");
            out.push_str(name);
            out.push('}');
            checked += 1;
            if checked <= MAX_CHECKED && is_missing(name, &text, place) {
                node.unresolved = true;
                let message = format!(
                    "has no value and stays as text; dev and check take --param {name}=VALUE, the \
                     configuration file takes parameters"
                );
                self.note(node.line, place, format!("${{{name}}}"), message);
            }
        }
        node.kind = Kind::String(if changed { Cow::Owned(out) } else { text });
        Ok(())
    }

    /// The template of an `Fn::Sub` with its names replaced, and whether a placeholder is in it.
    pub(super) fn fill(
        &mut self,
        template: &str,
        names: &Node<'_>,
        place: &Place<'_>,
        line: u32,
    ) -> Result<(String, bool), ImportError> {
        let mut out = String::new();
        let mut missing = false;
        for piece in pieces(template) {
            let name = match piece {
                Piece::Plain(plain) => {
                    self.append(&mut out, plain, line)?;
                    continue;
                }
                Piece::Name(name) => name,
            };
            if let Some(literal) = name.strip_prefix('!') {
                self.append(&mut out, &format!("${{{literal}}}"), line)?;
            } else if !is_name(name) || is_at_run_time(name) {
                self.append(&mut out, &format!("${{{name}}}"), line)?;
            } else if let Some(Kind::String(value) | Kind::Number(value)) =
                names.get(name).map(|node| &node.kind)
            {
                self.append(&mut out, value, line)?;
            } else {
                let construct = format!("Fn::Sub ${{{name}}}");
                let (value, unresolved) =
                    self.value_or_placeholder(name, place, &out, line, construct);
                missing |= unresolved;
                self.append(&mut out, &value, line)?;
            }
        }
        Ok((out, missing))
    }

    /// The value of a name, or a placeholder, a warning and `true`.
    pub(super) fn value_or_placeholder(
        &mut self,
        name: &str,
        place: &Place<'_>,
        before: &str,
        line: u32,
        construct: String,
    ) -> (String, bool) {
        if let Some(value) = self.value_of(name) {
            return (value.into_owned(), false);
        }
        let value = self.placeholder(name, place, before);
        let message = format!(
            "has no value; \"{value}\" stands in; give the value with --param {name}=VALUE"
        );
        self.note(line, place, construct, message);
        (value, true)
    }

    /// A readable stand-in of the form that the place needs.
    fn placeholder(&self, name: &str, place: &Place<'_>, before: &str) -> String {
        let name = name.trim_start_matches("AWS::");
        let (resource, is_arn) = match name.strip_suffix(".Arn") {
            Some(resource) => (resource, true),
            None => (name, false),
        };
        let (partition, region) = (&self.options.partition, &self.options.region);
        let account = &self.options.account_id;
        let whole = before.is_empty();
        match place.key {
            "credentials" | "authorizerCredentials" if is_arn || whole => {
                format!("arn:{partition}:iam::{account}:role/{resource}")
            }
            "providerARNs" if is_arn || whole => {
                format!("arn:{partition}:cognito-idp:{region}:{account}:userpool/{resource}")
            }
            "uri" | "authorizerUri" if is_arn || before.ends_with("/functions/") => {
                format!("arn:{partition}:lambda:{region}:{account}:function:{resource}")
            }
            _ if is_arn => format!("arn:{partition}:placeholder:{region}:{account}:{resource}"),
            _ => name.to_owned(),
        }
    }
}

/// Splits a text at its `${…}`.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if let Some(inner) = rest.strip_prefix("${") {
            // Without a closing brace the whole rest is plain: looking for one again and again
            // would take quadratic time.
            let Some((name, after)) = inner.split_once('}') else {
                return Some(Piece::Plain(std::mem::take(&mut rest)));
            };
            rest = after;
            return Some(Piece::Name(name));
        }
        let (plain, after) = rest.split_at(rest.find("${").unwrap_or(rest.len()));
        rest = after;
        (!plain.is_empty()).then_some(Piece::Plain(plain))
    })
}

/// Whether a name that stays in a text should have had a value.
fn is_missing(name: &str, text: &str, place: &Place<'_>) -> bool {
    if !is_name(name) || is_at_run_time(name) {
        return false;
    }
    match place.parent_key() {
        // `${name}` is a variable of the template language as well; one that the template sets
        // is no name for us.
        "requestTemplates" | "responseTemplates" => {
            let variable = name.split(['.', '[', '(']).next().unwrap_or(name);
            ![format!("(${variable}"), format!("( ${variable}"), format!("(${{{variable}")]
                .iter()
                .any(|assignment| text.contains(assignment.as_str()))
        }
        _ => NEEDS_VALUES.contains(&place.key),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':'))
}

fn is_at_run_time(name: &str) -> bool {
    AT_RUN_TIME.contains(&name.split('.').next().unwrap_or(name))
}
