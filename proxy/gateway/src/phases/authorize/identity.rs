//! What of a request says who the caller is: the identity sources of an authorizer.

use std::borrow::Cow;
use std::fmt;

use tollgate_model::compile::{Identity, IdentitySource, PathParameters};
use tollgate_template::JavaPattern;

use crate::access_log::ContextVariable;
use crate::exchange::{Exchange, ExchangeView};
use crate::head::{Field, RequestHead};

/// The identity sources of an authorizer, ready to be looked up.
pub struct Sources {
    sources: Box<[Source]>,
    /// What a token has to match as a whole.
    validation: Option<JavaPattern>,
}

enum Source {
    Header(Box<str>),
    Querystring(Box<str>),
    StageVariable(Box<str>),
    Context {
        name: Box<str>,
        /// None: a variable that no request has.
        variable: Option<ContextVariable>,
    },
}

impl Sources {
    pub fn new(identity: &Identity) -> Self {
        match identity {
            Identity::Token { header, validation } => Self {
                sources: Box::new([Source::Header(header.clone())]),
                validation: validation.clone(),
            },
            Identity::Request(sources) => {
                Self { sources: sources.iter().map(Source::new).collect(), validation: None }
            }
        }
    }

    /// All values in order, as the key of a decision; none if a source has no value.
    ///
    /// Two requests have the same key only if every source has the same values in the same
    /// order: a repeated header is not mistaken for its first value, whichever of them the plugin
    /// reads.
    pub fn key<'h>(&self, head: &'h RequestHead, exchange: &Exchange) -> Option<Cow<'h, [u8]>> {
        if let [Source::Header(name)] = &*self.sources {
            let mut values = header_values(head, name);
            let value = values.next().filter(|value| !value.is_empty())?;
            if values.next().is_none() {
                // Without a length before it: a header's value holds no NUL, so that it can't
                // look like one that has.
                return Some(Cow::Borrowed(value));
            }
        }
        let mut key = Vec::with_capacity(128);
        for source in &self.sources {
            let start = begin(&mut key);
            let mut all_there = true;
            let mut values = 0_u32;
            source.each_value(head, exchange, &mut |value| {
                all_there &= !value.is_empty();
                values += 1;
                let start = begin(&mut key);
                key.extend_from_slice(value);
                let length = key.len() - start;
                end(&mut key, start, length);
            });
            if values == 0 || !all_there {
                return None;
            }
            end(&mut key, start, values as usize);
        }
        Some(Cow::Owned(key))
    }

    /// The sources that have a value, as the definition spells them, each with its first.
    pub fn values(&self, head: &RequestHead, exchange: &Exchange) -> Vec<(String, String)> {
        let mut values = Vec::new();
        for source in &self.sources {
            let mut first = None;
            source.each_value(head, exchange, &mut |value| {
                first.get_or_insert_with(|| String::from_utf8_lossy(value).into_owned());
            });
            values.extend(first.map(|first| (source.to_string(), first)));
        }
        values
    }

    /// Whether the token is one, as far as its pattern says. Not asked about a token for which
    /// there is a decision: it was valid when that was made.
    pub fn is_valid(&self, head: &RequestHead) -> bool {
        let (Some(validation), [Source::Header(name)]) = (&self.validation, &*self.sources) else {
            return true;
        };
        let matches = |token| std::str::from_utf8(token).is_ok_and(|it| validation.is_match(it));
        header_values(head, name).all(matches)
    }
}

/// Leaves room for a number; gives what is behind it.
fn begin(key: &mut Vec<u8>) -> usize {
    key.extend_from_slice(&[0; 4]);
    key.len()
}

/// Writes the number for which there is room before `start`. Requests are far smaller than 4 GiB.
fn end(key: &mut [u8], start: usize, number: usize) {
    key[start - 4..start].copy_from_slice(&(number as u32).to_le_bytes());
}

impl Source {
    fn new(declared: &IdentitySource) -> Self {
        match declared {
            IdentitySource::Header(name) => Self::Header(name.clone()),
            IdentitySource::Querystring(name) => Self::Querystring(name.clone()),
            IdentitySource::StageVariable(name) => Self::StageVariable(name.clone()),
            IdentitySource::Context(name) => Self::Context {
                name: name.clone(),
                variable: ContextVariable::parse(name).filter(ContextVariable::is_in_mappings),
            },
        }
    }

    fn each_value(&self, head: &RequestHead, exchange: &Exchange, f: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Header(name) => header_values(head, name).for_each(f),
            Self::Querystring(name) => {
                let path_parameters = &PathParameters::default();
                let view = ExchangeView { exchange, head, path_parameters, body: &[] };
                let values = view.query_values().filter(|(known, _)| *known == **name);
                values.for_each(|(_, value)| f(value.as_bytes()));
            }
            Self::StageVariable(name) => {
                let stage = exchange.stage.as_ref();
                let value = stage.and_then(|it| it.compiled.stage_variables.get(&**name));
                value.into_iter().for_each(|value| f(value.as_bytes()));
            }
            Self::Context { name, variable } => {
                if let Some(given) = exchange.client.given_context.get(&**name) {
                    return f(given.as_bytes());
                }
                let mut value = Vec::new();
                let has_value = variable
                    .as_ref()
                    .is_some_and(|it| exchange.write_context(head, it, &mut value));
                if has_value {
                    f(&value);
                }
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "method.request.header.{name}"),
            Self::Querystring(name) => write!(f, "method.request.querystring.{name}"),
            Self::StageVariable(name) => write!(f, "stageVariables.{name}"),
            Self::Context { name, .. } => write!(f, "context.{name}"),
        }
    }
}

fn header_values<'h>(head: &'h RequestHead, name: &str) -> impl Iterator<Item = &'h [u8]> {
    let is_named = |field: &&Field| {
        field.name.len() == name.len() && head.name(field).eq_ignore_ascii_case(name.as_bytes())
    };
    head.fields.iter().filter(is_named).map(|field| head.value(field))
}

#[cfg(test)]
mod tests;
