//! `patchOperations`: what PATCH changes, in AWS's words where it refuses.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html>

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::call::Call;
use crate::error::ApiError;
use crate::input::{enum_violation, input_name};

/// What a patch operation does. `move` and `test` are in the service model; nothing supports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

/// In the order in which AWS's text lists them.
const OPS: [(&str, Op); 6] = [
    ("add", Op::Add),
    ("remove", Op::Remove),
    ("move", Op::Move),
    ("test", Op::Test),
    ("replace", Op::Replace),
    ("copy", Op::Copy),
];

#[derive(Clone, Debug)]
pub struct Patch {
    pub op: Op,
    /// As sent.
    pub path: String,
    pub value: Option<String>,
    pub from: Option<String>,
}

/// The paths that can be patched, by operation. `*` at the end stands for one segment.
pub struct Patchable {
    pub replace: &'static [&'static str],
    pub add: &'static [&'static str],
    pub remove: &'static [&'static str],
}

impl Op {
    pub fn as_str(self) -> &'static str {
        OPS.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}

/// The patch operations of a call, in order.
pub(crate) fn patches(call: &Call) -> Result<Vec<Patch>, ApiError> {
    patches_unless(call, None)
}

/// The same, with a violation of the service model by another part of the call: AWS tells all.
pub(crate) fn patches_unless(
    call: &Call,
    violation: Option<String>,
) -> Result<Vec<Patch>, ApiError> {
    let inputs = call.input()?.structures("patchOperations")?.unwrap_or_default();
    let mut patches = Vec::with_capacity(inputs.len());
    let mut violations = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let place = |member| {
            let name = input_name(call.operation);
            format!("{name}.patchOperations.{}.member.{member}", index + 1)
        };
        let op = input.text("op")?.unwrap_or_default();
        let Some((_, op)) = OPS.iter().find(|(name, _)| *name == op) else {
            violations.push(enum_violation(&place("op"), &op, &OPS.map(|(name, _)| name)));
            continue;
        };
        patches.push(Patch {
            op: *op,
            // As AWS's texts show one that isn't there.
            path: input.text("path")?.unwrap_or_else(|| "null".to_owned()),
            value: input.text("value")?,
            from: input.text("from")?,
        });
    }
    violations.extend(violation);
    if violations.is_empty() { Ok(patches) } else { Err(ApiError::validation(&violations)) }
}

impl Patch {
    /// The path's segments: `~1` is `/`, `~0` is `~`.
    pub fn segments(&self) -> Vec<String> {
        segments(&self.path)
    }

    /// The path's last segment.
    pub fn last(&self) -> String {
        self.segments().pop().unwrap_or_default()
    }

    /// The value, which has to be there.
    pub fn text(&self) -> Result<&str, ApiError> {
        self.value.as_deref().ok_or_else(|| {
            ApiError::bad_request(format!("Invalid patch value  specified for path {}", self.path))
        })
    }

    /// A value that may be empty, which takes away what was there.
    pub fn optional_text(&self) -> Option<String> {
        self.value.clone().filter(|_| self.op != Op::Remove)
    }

    /// Recorded: whatever isn't `true` is false.
    pub fn boolean(&self) -> Result<bool, ApiError> {
        Ok(self.text()?.eq_ignore_ascii_case("true"))
    }

    pub fn number<T: std::str::FromStr>(&self, allowed: &str) -> Result<T, ApiError> {
        let text = self.text()?;
        text.parse().map_err(|_| self.invalid_value(text, allowed))
    }

    pub fn one_of(&self, allowed: &[&'static str]) -> Result<&'static str, ApiError> {
        let text = self.text()?;
        let found = allowed.iter().find(|known| **known == text);
        found
            .copied()
            .ok_or_else(|| self.invalid_value(text, &format!("one of [{}]", allowed.join(", "))))
    }

    pub fn invalid_value(&self, value: &str, allowed: &str) -> ApiError {
        ApiError::bad_request(format!(
            "Invalid patch value '{value}' specified for path '{}'. Must be {allowed}",
            self.path
        ))
    }

    /// `Invalid patch path /x`
    pub fn invalid_path(&self) -> ApiError {
        ApiError::bad_request(format!("Invalid patch path {}", self.path))
    }

    /// Adds, replaces or removes a member of a map, named by the path's last segment.
    ///
    /// # Errors
    /// A member that is removed isn't there: 404 with `missing`.
    pub fn apply_to_map(&self, map: &mut impl TextMap, missing: &str) -> Result<(), ApiError> {
        let name = self.last();
        match self.op {
            Op::Remove if map.take(&name) => Ok(()),
            Op::Remove => Err(ApiError::not_found(missing)),
            _ => {
                map.set(name, self.text()?.to_owned());
                Ok(())
            }
        }
    }
}

/// Refuses an operation that its path doesn't have.
pub(crate) fn allow(patch: &Patch, allowed: &[Op]) -> Result<(), ApiError> {
    if allowed.contains(&patch.op) {
        return Ok(());
    }
    let allowed: Vec<&str> = allowed.iter().map(|op| op.as_str()).collect();
    Err(ApiError::bad_request(format!(
        "Invalid patch operation specified. Must be one of: [{}]",
        allowed.join(", ")
    )))
}

/// A path's segments: `~1` is `/`, `~0` is `~`.
pub(crate) fn segments(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()
}

impl Patchable {
    /// Refuses a patch of another path, or one with another operation, in AWS's words.
    pub fn check(&self, patch: &Patch) -> Result<(), ApiError> {
        let allowed = match patch.op {
            Op::Replace => self.replace,
            Op::Add => self.add,
            Op::Remove => self.remove,
            Op::Move | Op::Copy | Op::Test => &[],
        };
        if allowed.iter().any(|pattern| is_path(pattern, &patch.path)) {
            return Ok(());
        }
        let start = format!(
            "Invalid patch path  '{}' specified for op '{}'",
            patch.path,
            patch.op.as_str()
        );
        Err(ApiError::bad_request(if allowed.is_empty() {
            format!("{start}. Please choose supported operations")
        } else {
            format!("{start}. Must be one of: [{}]", allowed.join(", "))
        }))
    }
}

fn is_path(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => {
            path.strip_prefix(start).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
        }
        None => pattern == path,
    }
}

/// Maps of texts that a patch changes.
pub trait TextMap {
    fn set(&mut self, name: String, value: String);
    /// Whether it was there.
    fn take(&mut self, name: &str) -> bool;
}

impl TextMap for BTreeMap<String, String> {
    fn set(&mut self, name: String, value: String) {
        self.insert(name, value);
    }

    fn take(&mut self, name: &str) -> bool {
        self.remove(name).is_some()
    }
}

impl TextMap for IndexMap<String, String> {
    fn set(&mut self, name: String, value: String) {
        self.insert(name, value);
    }

    fn take(&mut self, name: &str) -> bool {
        self.shift_remove(name).is_some()
    }
}
