//! Which plugins change the requests and responses of a method.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::methods::Place;
use super::{CompileError, StageSettings};
use crate::api::Api;

/// Transformers of one method. Each request goes through all of them.
const MAX_TRANSFORMERS: usize = 64;

/// Puts the lists of API, stage and method together.
pub(crate) struct Transformers<'a> {
    /// Those of API and stage, for methods that have no others.
    common: Arc<[String]>,
    of_methods: &'a BTreeMap<String, Vec<String>>,
    /// Keys of `of_methods` that no method had yet.
    unused: BTreeSet<&'a str>,
}

impl<'a> Transformers<'a> {
    pub(crate) fn new(api: &Api, settings: &'a StageSettings) -> Self {
        Self {
            common: api.transformers.iter().chain(&settings.transformers).cloned().collect(),
            of_methods: &settings.method_transformers,
            unused: settings.method_transformers.keys().map(String::as_str).collect(),
        }
    }

    pub(crate) fn of(&mut self, place: &Place<'_>) -> Result<Arc<[String]>, CompileError> {
        let declared = &place.method.transformers;
        self.unused.remove(place.name.as_str());
        let attached = self.of_methods.get(&place.name).map(Vec::as_slice).unwrap_or_default();
        let count = self.common.len() + declared.len() + attached.len();
        if count > MAX_TRANSFORMERS {
            let message =
                format!("has {count} transformers; at most {MAX_TRANSFORMERS} are allowed");
            return Err(place.error(message));
        }
        if declared.is_empty() && attached.is_empty() {
            return Ok(self.common.clone());
        }
        Ok(self.common.iter().chain(declared).chain(attached).cloned().collect())
    }

    /// Refuses transformers for methods that are not there.
    pub(crate) fn check_all_used(&self) -> Result<(), CompileError> {
        if self.unused.is_empty() {
            return Ok(());
        }
        let unknown = self.unused.iter().copied().collect::<Vec<_>>().join(", ");
        Err(CompileError {
            location: "transformers".to_owned(),
            message: format!(
                "the API has no such method: {unknown}; written as in GET /pets/{{id}}"
            ),
        })
    }
}
