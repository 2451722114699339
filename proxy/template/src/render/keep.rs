//! What a rendering leaves in `$context` for the rest of the exchange.

use indexmap::IndexMap;

use super::{Outcome, Renderer};
use crate::ContextWrites;
use crate::limits::{LimitExceeded, MAX_JSON_NESTING};
use crate::value::{Key, MapKind, Value};
use crate::writes::Kept;

impl<'t> Renderer<'t> {
    /// `None`: nothing was written.
    pub(super) fn kept_writes(&mut self) -> Outcome<'t, Option<ContextWrites>> {
        let Some(root) = self.context.written_root() else { return Ok(None) };
        let written = match self.kept(&Value::Map(root), 0)? {
            Some(Kept::Map(_, written)) => written,
            _ => IndexMap::new(),
        };
        Ok(Some(ContextWrites { written }))
    }

    /// A value that outlives the rendering. `None`: a map of overrides without any.
    fn kept(&mut self, value: &Value<'t>, depth: usize) -> Outcome<'t, Option<Kept>> {
        if depth > MAX_JSON_NESTING {
            return Err(LimitExceeded::ValueNesting.into());
        }
        self.budget.steps(1)?;
        self.budget.allocate(size_of::<Kept>())?;
        Ok(Some(match value {
            Value::Null => Kept::Null,
            Value::Boolean(value) => Kept::Boolean(*value),
            Value::Number(number) => Kept::Number(number.clone()),
            Value::List(list) => {
                let items: Vec<_> = list.items.borrow().clone();
                let mut kept = Vec::with_capacity(items.len());
                for item in &items {
                    kept.extend(self.kept(item, depth + 1)?);
                }
                Kept::List(list.kind, kept)
            }
            Value::Map(map) => {
                let entries = map.entries.borrow().clone();
                let mut kept = IndexMap::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = self.kept_key(key)?;
                    if let Some(value) = self.kept(&value, depth + 1)? {
                        kept.insert(key, value);
                    }
                }
                if map.kind == MapKind::Context && kept.is_empty() {
                    return Ok(None);
                }
                Kept::Map(map.kind, kept)
            }
            other => {
                let text = self.text_of(other)?;
                self.budget.allocate(text.as_str().len())?;
                Kept::Text(text.as_str().to_owned())
            }
        }))
    }

    fn kept_key(&mut self, key: Key<'t>) -> Outcome<'t, String> {
        Ok(self.text_of(&key.into())?.as_str().to_owned())
    }
}
