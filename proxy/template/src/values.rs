//! What a template reads of the request and its surroundings.

use std::borrow::Cow;

/// Where a request parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterLocation {
    Path,
    Querystring,
    Header,
}

/// A value below `$context`.
#[derive(Clone, Debug)]
pub enum ContextValue<'v> {
    Text(Cow<'v, str>),
    /// Numbers, lists and objects of a `--context` file.
    Json(&'v serde_json::Value),
    /// An object: its keys are asked for on their own, its values by the longer path.
    Object,
}

/// Gives a template its variables. The gateway implements it for an exchange; every method is
/// called on the request's own task, any number of times, and must not wait.
pub trait TemplateValues {
    /// The payload as text: the client's body in a request template, the integration's in a
    /// response template. A binary payload comes as base64.
    fn body(&self) -> &str;
    /// A parameter of the method request: percent-decoded, the last of repeated ones, a header
    /// by the name as the client spelled it.
    fn parameter(&self, location: ParameterLocation, name: &str) -> Option<Cow<'_, str>>;
    /// Each parameter once, in the order received.
    fn each_parameter<'v>(
        &'v self,
        location: ParameterLocation,
        f: &mut dyn FnMut(Cow<'v, str>, Cow<'v, str>),
    );
    /// `$context.a.b` is the path `["a", "b"]`, `$context` itself the empty one.
    fn context(&self, path: &[&str]) -> Option<ContextValue<'_>>;
    /// The keys of an object below `$context`; none for any other path.
    fn context_keys(&self, path: &[&str]) -> Vec<Cow<'_, str>>;
    fn stage_variable(&self, name: &str) -> Option<&str>;
    fn each_stage_variable<'v>(&'v self, f: &mut dyn FnMut(&'v str, &'v str));
    /// A plain `$name`, for `tollgate render`: API Gateway has none.
    fn variable(&self, name: &str) -> Option<&serde_json::Value> {
        let _ = name;
        None
    }
}
