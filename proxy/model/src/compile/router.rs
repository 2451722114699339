//! Finds the method that serves a path, as API Gateway finds it.
//!
//! A tree of path segments. At each node a static child is tried first, then `{param}`, then
//! `{proxy+}`; where a branch ends without a method that serves the request, the search goes
//! back and tries the next, so that `OPTIONS /test` may run on `/{proxy+}` beside a `/test` that
//! only has POST
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-set-up-simple-proxy.html>;
//! the order of fall-backs is recorded behaviour).
//!
//! The children of a node are in a hash table, so a step costs the same with ten routes as with
//! a hundred thousand. Going back is bounded: a node of the tree is visited at most once, and
//! [`Router::build`] refuses definitions in which one request could visit more than
//! [`MAX_STEPS`] nodes.

use smallvec::SmallVec;

use super::hash::FastMap;
use super::path::decode;
use crate::api::HttpMethod;

/// Most nodes that one lookup may visit. An API within API Gateway's quota of 300 resources
/// stays below it whatever its shape; deeper overlap is an attack on the gateway or a mistake.
pub const MAX_STEPS: u32 = 1024;

/// Most segments of a resource's path. No URL of API Gateway's 10,240 bytes that a person wrote
/// comes near.
pub const MAX_SEGMENTS: usize = 512;

/// The methods a client can send that API Gateway serves; ANY stands for all of them.
const METHODS: usize = 7;

/// Says that a resource or node is absent.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub struct Router {
    /// The first is the root.
    nodes: Vec<Node>,
    /// For each resource, the index of the method that serves each of [`METHODS`].
    methods: Vec<[u32; METHODS]>,
}

#[derive(Debug)]
struct Node {
    children: FastMap<Box<str>, u32>,
    parameter: Option<(Box<str>, u32)>,
    /// `{proxy+}`: its name and resource.
    greedy: Option<(Box<str>, u32)>,
    /// The resource whose path ends here.
    resource: u32,
}

/// What a path and a method lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The index given to [`Router::build`] for the method.
    pub method: usize,
    /// The index of the route given to [`Router::build`].
    pub resource: usize,
}

/// The path parameters of a found route: names as declared, values as in the canonical path
/// (still percent-encoded).
#[derive(Clone, Debug, Default)]
pub struct PathParameters<'p>(SmallVec<[(&'p str, &'p str); 4]>);

impl<'p> PathParameters<'p> {
    /// The value as in the canonical path, percent-encoded.
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Names and percent-encoded values, in the path's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'p str, &'p str)> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Why resources can't stand beside each other; API Gateway's texts where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RouteError {
    /// Index of the route.
    pub resource: usize,
    pub message: String,
}

impl Default for Router {
    /// Finds nothing.
    fn default() -> Self {
        Self { nodes: vec![Node::new()], methods: Vec::new() }
    }
}

impl Router {
    /// Routes are resources in order: their path and the methods on it.
    pub fn build<'r, M>(routes: impl IntoIterator<Item = (&'r str, M)>) -> Result<Self, RouteError>
    where
        M: IntoIterator<Item = (HttpMethod, usize)>,
    {
        let mut router = Self::default();
        for (resource, (path, methods)) in routes.into_iter().enumerate() {
            router.insert(resource, path).map_err(|message| RouteError { resource, message })?;
            router.methods.push(method_table(methods));
        }
        router.refuse_deep_overlap()?;
        Ok(router)
    }

    /// `path` is a canonical path; slashes that lead or trail don't count. `params` is cleared,
    /// and filled if a method is found.
    pub fn find<'p>(
        &'p self,
        method: &[u8],
        path: &'p str,
        params: &mut PathParameters<'p>,
    ) -> Option<Found> {
        self.find_counting(method, path, params).0
    }

    /// Also counts the nodes visited.
    fn find_counting<'p>(
        &'p self,
        method: &[u8],
        path: &'p str,
        params: &mut PathParameters<'p>,
    ) -> (Option<Found>, u32) {
        params.clear();
        let Some(method) = method_slot(method) else { return (None, 0) };
        let path = path.trim_matches('/');
        let rest = if path.is_empty() { None } else { Some(path) };
        let mut search = Search { router: self, method, params, steps: 0 };
        let found = search.visit(0, rest);
        (found, search.steps)
    }

    fn insert(&mut self, resource: usize, path: &str) -> Result<(), String> {
        let resource = resource as u32;
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if segments.len() > MAX_SEGMENTS {
            return Err(format!(
                "the path has {} segments, at most {MAX_SEGMENTS} are allowed",
                segments.len()
            ));
        }
        let mut at = 0;
        for (index, segment) in segments.iter().enumerate() {
            match part(segment) {
                Part::Static(text) => at = self.static_child(at, text),
                Part::Parameter(name) => at = self.parameter_child(at, name)?,
                Part::Greedy(name) if index + 1 == segments.len() => {
                    return self.greedy_child(at, name, resource);
                }
                Part::Greedy(_) => {
                    return Err(format!(
                        "Cannot create a child of a resource with a greedy path variable: {segment}"
                    ));
                }
            }
        }
        self.nodes[at].resource = resource;
        Ok(())
    }

    fn static_child(&mut self, parent: usize, text: &str) -> usize {
        let next = self.nodes.len() as u32;
        let child = *self.nodes[parent].children.entry(decode(text).into()).or_insert(next);
        if child == next {
            self.nodes.push(Node::new());
        }
        child as usize
    }

    fn parameter_child(&mut self, parent: usize, name: &str) -> Result<usize, String> {
        match &self.nodes[parent].parameter {
            Some((known, child)) if **known == *name => Ok(*child as usize),
            Some((known, _)) => Err(second_variable(known)),
            None => {
                let child = self.nodes.len();
                self.nodes[parent].parameter = Some((name.into(), child as u32));
                self.nodes.push(Node::new());
                Ok(child)
            }
        }
    }

    fn greedy_child(&mut self, parent: usize, name: &str, resource: u32) -> Result<(), String> {
        match &self.nodes[parent].greedy {
            Some((known, _)) => Err(second_variable(&format!("{known}+"))),
            None => {
                self.nodes[parent].greedy = Some((name.into(), resource));
                Ok(())
            }
        }
    }

    /// The most nodes a search from each node can visit: itself, the worst of its static
    /// children, and its `{param}` branch. Children come after their parents.
    fn refuse_deep_overlap(&self) -> Result<(), RouteError> {
        let mut steps = vec![0u32; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let worst = node.children.values().map(|child| steps[*child as usize]).max();
            let parameter = node.parameter.as_ref().map(|(_, child)| steps[*child as usize]);
            steps[at] =
                1u32.saturating_add(worst.unwrap_or(0)).saturating_add(parameter.unwrap_or(0));
        }
        if steps[0] <= MAX_STEPS {
            return Ok(());
        }
        Err(RouteError {
            resource: 0,
            message: format!(
                "the resources overlap too much: finding one could take {} steps, at most {MAX_STEPS} are allowed",
                steps[0]
            ),
        })
    }
}

impl Node {
    fn new() -> Self {
        Self { children: FastMap::default(), parameter: None, greedy: None, resource: NONE }
    }
}

struct Search<'s, 'p> {
    router: &'p Router,
    method: usize,
    params: &'s mut PathParameters<'p>,
    steps: u32,
}

impl<'p> Search<'_, 'p> {
    /// Searches from a node for what is left of the path; `None` is its end. No deeper than the
    /// tree ([`MAX_SEGMENTS`]).
    fn visit(&mut self, at: u32, rest: Option<&'p str>) -> Option<Found> {
        self.steps += 1;
        let node = &self.router.nodes[at as usize];
        let Some(rest) = rest else { return self.method_of(node.resource) };
        let (segment, after) = match memchr::memchr(b'/', rest.as_bytes()) {
            Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
            None => (rest, None),
        };
        if let Some(child) = node.children.get(&*decode(segment)) {
            let found = self.visit(*child, after);
            if found.is_some() {
                return found;
            }
        }
        if let Some((name, child)) = &node.parameter
            && !segment.is_empty()
        {
            self.params.0.push((name, segment));
            let found = self.visit(*child, after);
            if found.is_some() {
                return found;
            }
            self.params.0.pop();
        }
        let (name, resource) = node.greedy.as_ref()?;
        let found = self.method_of(*resource)?;
        self.params.0.push((name, rest));
        Some(found)
    }

    fn method_of(&self, resource: u32) -> Option<Found> {
        let method = self.router.methods.get(resource as usize)?[self.method];
        (method != NONE).then_some(Found { method: method as usize, resource: resource as usize })
    }
}

enum Part<'s> {
    Static(&'s str),
    Parameter(&'s str),
    Greedy(&'s str),
}

fn part(segment: &str) -> Part<'_> {
    match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        None => Part::Static(segment),
        Some(name) => match name.strip_suffix('+') {
            Some(name) => Part::Greedy(name),
            None => Part::Parameter(name),
        },
    }
}

fn second_variable(sibling: &str) -> String {
    format!(
        "A sibling ({{{sibling}}}) of this resource already has a variable path part -- only one is allowed"
    )
}

/// Where a client's method is in a resource's table. `ANY` is not a method a client can send.
fn method_slot(method: &[u8]) -> Option<usize> {
    HttpMethod::from_bytes(method).map(|method| method as usize).filter(|slot| *slot < METHODS)
}

fn method_table(methods: impl IntoIterator<Item = (HttpMethod, usize)>) -> [u32; METHODS] {
    let mut table = [NONE; METHODS];
    let mut any = NONE;
    for (method, index) in methods {
        match table.get_mut(method as usize) {
            Some(slot) => *slot = index as u32,
            None => any = index as u32,
        }
    }
    table.map(|method| if method == NONE { any } else { method })
}

#[cfg(test)]
mod tests;
