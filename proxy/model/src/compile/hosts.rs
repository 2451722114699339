//! Finds the stage that a host and path address.
//!
//! | Host | Path | Stage |
//! |---|---|---|
//! | `{api_id}.execute-api.{region}.{suffix}` | `/{stage}/…` | that stage of that API |
//! | a custom domain name, or the longest wildcard over it | `/{base path}/…` | its mapping's |
//! | any other | `/_aws/execute-api/{api_id}/{stage}/…` | in development |
//! | any other | `/…` | the fallback stage, if there is one |
//!
//! A host of the first two kinds never reaches the last two. Custom domains whose mappings are
//! all single segments compare the first segment of the path whole; one mapping with an inner
//! slash makes its domain match by string prefix, the longest first, as
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html> has it
//! (`/ordersandmore` selects `orders`).
//!
//! Nothing here grows with the number of APIs: hosts, APIs, stages and single-segment mappings
//! are in hash tables; a prefix is found by binary search and a short chain of links.

use std::sync::Arc;

use super::hash::FastMap;
use super::path::decode;

/// Where development addresses begin.
const DEVELOPMENT_PREFIX: &str = "/_aws/execute-api/";

/// All the addresses of a gateway. `T` is what the gateway keeps for a stage.
///
/// Domains name their stages, and a request looks the name up: a mapping to a stage that isn't
/// there answers as if there were none, and stages come and go without building domains again.
#[derive(Debug)]
pub struct Hosts<T> {
    /// Stages by API and name.
    apis: FastMap<Box<str>, FastMap<Box<str>, T>>,
    /// Host → API.
    default_endpoints: FastMap<Box<str>, Box<str>>,
    domains: Arc<Domains>,
    development_paths: bool,
    fallback: Option<(Box<str>, Box<str>)>,
}

/// Custom domain names that can stand beside each other.
#[derive(Debug, Default)]
pub struct Domains {
    exact: FastMap<Box<str>, Domain>,
    /// By what follows the `*`: `.example.com`.
    wildcards: FastMap<Box<str>, Domain>,
}

/// A custom domain name and its base path mappings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomDomain {
    /// `*.example.com` for a wildcard.
    pub name: String,
    pub mappings: Vec<BasePathMapping>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePathMapping {
    /// Without slashes at its ends; `None` is `(none)`, the catch-all. One with an inner slash
    /// makes the domain match by string prefix.
    pub base_path: Option<String>,
    pub api_id: String,
    /// `None`: the next segment of the path is the stage.
    pub stage: Option<String>,
}

/// The stage a request addresses.
#[derive(Debug, PartialEq, Eq)]
pub struct Located<'a, 'p, T> {
    pub stage: &'a T,
    /// What is left of the path for the router. Begins with `/`, except where a base path
    /// matched in the middle of a segment; the router takes both.
    pub path: &'p str,
    pub addressing: Addressing<'a>,
}

/// How a stage was addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing<'a> {
    /// `{api_id}.execute-api.…`, the stage in the path.
    DefaultEndpoint,
    /// `/_aws/execute-api/{api_id}/{stage}/…` on any host.
    Development,
    CustomDomain {
        /// As configured: `*.example.com` for a wildcard.
        name: &'a str,
        base_path: Option<&'a str>,
    },
    /// Nothing else matched.
    Fallback,
}

/// Two of the same address can't stand beside each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is configured twice")]
pub struct ConfiguredTwice(pub String);

impl<T> Hosts<T> {
    pub fn new(domains: Arc<Domains>) -> Self {
        Self {
            apis: FastMap::default(),
            default_endpoints: FastMap::default(),
            domains,
            development_paths: false,
            fallback: None,
        }
    }

    /// Adds a stage, instead of one of the same API and name; the same API may have many.
    pub fn stage(mut self, api_id: &str, stage_name: &str, stage: T) -> Self {
        self.apis.entry(api_id.into()).or_default().insert(stage_name.into(), stage);
        self
    }

    /// A host name under which the API's stages are the first path segment:
    /// `{api_id}.execute-api.{region}.{suffix}`, in lower case. Not for an API whose default
    /// endpoint is disabled.
    pub fn default_endpoint(mut self, host: &str, api_id: &str) -> Self {
        self.default_endpoints.insert(host.into(), api_id.into());
        self
    }

    /// Serves `/_aws/execute-api/{api_id}/{stage}/…` on hosts that match nothing else.
    pub fn development_paths(mut self) -> Self {
        self.development_paths = true;
        self
    }

    /// The stage served, without a stage segment, where nothing else matches.
    pub fn fallback(mut self, api_id: &str, stage_name: &str) -> Self {
        self.fallback = Some((api_id.into(), stage_name.into()));
        self
    }

    /// `host` is lower case and without a port; `path` a canonical path. `None` answers 403
    /// `Forbidden`, as no API is known that could have customised it.
    pub fn locate<'a, 'p>(
        &'a self,
        host: Option<&str>,
        path: &'p str,
    ) -> Option<Located<'a, 'p, T>> {
        if let Some(host) = host {
            if let Some(api_id) = self.default_endpoints.get(host) {
                return self.locate_api(api_id, path);
            }
            if let Some(domain) = self.domains.find(host) {
                return self.locate_mapping(domain, path);
            }
        }
        if self.development_paths
            && let Some(rest) = path.strip_prefix(DEVELOPMENT_PREFIX)
        {
            let (api_id, rest) = first_segment(rest);
            return self.locate_stage(self.apis.get(api_id)?, rest, Addressing::Development);
        }
        let (api_id, stage_name) = self.fallback.as_ref()?;
        let stage = self.apis.get(api_id)?.get(stage_name)?;
        Some(Located { stage, path, addressing: Addressing::Fallback })
    }

    /// The stage of an API addressed by its id (its default host, or `x-apigw-api-id`), the stage
    /// in the path.
    pub fn locate_api<'a, 'p>(&'a self, api_id: &str, path: &'p str) -> Option<Located<'a, 'p, T>> {
        self.locate_stage(self.apis.get(api_id)?, path, Addressing::DefaultEndpoint)
    }

    fn locate_mapping<'a, 'p>(
        &'a self,
        domain: &'a Domain,
        path: &'p str,
    ) -> Option<Located<'a, 'p, T>> {
        let (mapping, rest) = domain.mapping(path)?;
        let addressing = Addressing::CustomDomain {
            name: &domain.name,
            base_path: mapping.base_path.as_deref(),
        };
        let stages = self.apis.get(&mapping.api_id)?;
        match &mapping.stage {
            Some(stage) => Some(Located { stage: stages.get(stage)?, path: rest, addressing }),
            None => self.locate_stage(stages, rest, addressing),
        }
    }

    /// Takes the stage from the path's first segment.
    fn locate_stage<'a, 'p>(
        &'a self,
        stages: &'a FastMap<Box<str>, T>,
        path: &'p str,
        addressing: Addressing<'a>,
    ) -> Option<Located<'a, 'p, T>> {
        let (stage_name, rest) = first_segment(path);
        let stage = stages.get(&*decode(stage_name))?;
        Some(Located { stage, path: rest, addressing })
    }
}

/// The first segment of a path, whose leading slashes don't count, and the rest, which begins
/// with `/`.
fn first_segment(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    match path.find('/') {
        Some(slash) => path.split_at(slash),
        None => (path, "/"),
    }
}

impl Domains {
    /// # Errors
    /// Two domains have the same name, or two mappings of one the same base path.
    pub fn new(configured: Vec<CustomDomain>) -> Result<Self, ConfiguredTwice> {
        let mut domains = Self::default();
        for mut domain in configured {
            domain.name.make_ascii_lowercase();
            let name = domain.name.clone();
            let replaced = match name.strip_prefix('*') {
                Some(suffix) => domains.wildcards.insert(suffix.into(), Domain::build(domain)?),
                None => domains.exact.insert(name.as_str().into(), Domain::build(domain)?),
            };
            if replaced.is_some() {
                return Err(ConfiguredTwice(format!("domain {name}")));
            }
        }
        Ok(domains)
    }

    /// The domain of that name, else the longest wildcard that covers it. A host name has at most
    /// 127 labels.
    fn find(&self, host: &str) -> Option<&Domain> {
        if let Some(domain) = self.exact.get(host) {
            return Some(domain);
        }
        if self.wildcards.is_empty() {
            return None;
        }
        memchr::memchr_iter(b'.', host.as_bytes()).find_map(|dot| self.wildcards.get(&host[dot..]))
    }
}

#[derive(Debug)]
struct Domain {
    name: Box<str>,
    mappings: Vec<Mapping>,
    /// `(none)`
    catch_all: Option<usize>,
    base_paths: BasePaths,
}

#[derive(Debug)]
struct Mapping {
    base_path: Option<Box<str>>,
    api_id: Box<str>,
    /// `None`: in the path.
    stage: Option<Box<str>>,
}

#[derive(Debug)]
enum BasePaths {
    /// Whole first segments.
    Single(FastMap<Box<str>, usize>),
    /// String prefixes, sorted.
    Multi(Vec<Prefix>),
}

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    mapping: usize,
    /// The longest other prefix that begins this one: an earlier index.
    shorter: Option<usize>,
}

impl Domain {
    /// The mapping of a path, and the path without its base path.
    fn mapping<'p>(&self, path: &'p str) -> Option<(&Mapping, &'p str)> {
        let found = match &self.base_paths {
            BasePaths::Single(mappings) => {
                let (segment, rest) = first_segment(path);
                mappings.get(&*decode(segment)).map(|mapping| (*mapping, rest))
            }
            BasePaths::Multi(prefixes) => {
                let path = path.trim_start_matches('/');
                longest_prefix(prefixes, path).map(|prefix| {
                    let rest = &path[prefix.text.len()..];
                    (prefix.mapping, if rest.is_empty() { "/" } else { rest })
                })
            }
        };
        let (mapping, rest) = found.or_else(|| self.catch_all.map(|mapping| (mapping, path)))?;
        Some((self.mappings.get(mapping)?, rest))
    }

    fn build(domain: CustomDomain) -> Result<Self, ConfiguredTwice> {
        let multi = domain
            .mappings
            .iter()
            .any(|mapping| mapping.base_path.as_ref().is_some_and(|path| path.contains('/')));
        let mut single = FastMap::default();
        let mut prefixes = Vec::new();
        let mut catch_all = None;
        let mut mappings = Vec::new();
        for (index, mapping) in domain.mappings.into_iter().enumerate() {
            let replaced = match &mapping.base_path {
                None => catch_all.replace(index),
                Some(path) => {
                    prefixes.push(Prefix {
                        text: path.as_str().into(),
                        mapping: index,
                        shorter: None,
                    });
                    single.insert(path.as_str().into(), index)
                }
            };
            if replaced.is_some() {
                let base_path = mapping.base_path.as_deref().unwrap_or("(none)");
                let place = format!("domain {}, base path mapping {base_path}", domain.name);
                return Err(ConfiguredTwice(place));
            }
            mappings.push(Mapping {
                base_path: mapping.base_path.map(Into::into),
                api_id: mapping.api_id.into(),
                stage: mapping.stage.map(Into::into),
            });
        }
        let base_paths =
            if multi { BasePaths::Multi(linked(prefixes)) } else { BasePaths::Single(single) };
        Ok(Self { name: domain.name.into(), mappings, catch_all, base_paths })
    }
}

fn linked(mut prefixes: Vec<Prefix>) -> Vec<Prefix> {
    prefixes.sort_by(|a, b| a.text.cmp(&b.text));
    for at in 0..prefixes.len() {
        let begins = |before: &usize| prefixes[at].text.starts_with(&*prefixes[*before].text);
        prefixes[at].shorter = (0..at).rev().find(begins);
    }
    prefixes
}

/// The longest prefix of a path: the last one not after it in order, or one that begins that.
fn longest_prefix<'d>(prefixes: &'d [Prefix], path: &str) -> Option<&'d Prefix> {
    let mut at = prefixes.partition_point(|prefix| *prefix.text <= *path).checked_sub(1);
    while let Some(prefix) = at.and_then(|at| prefixes.get(at)) {
        if path.starts_with(&*prefix.text) {
            return Some(prefix);
        }
        at = prefix.shorter;
    }
    None
}

#[cfg(test)]
mod tests;
