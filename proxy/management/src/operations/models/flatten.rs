//! A schema with the models it refers to written where they are referred to.

use serde_json::Value;
use tollgate_model::control_plane::Model;

use crate::error::ApiError;
use crate::names::keys;
use crate::unit::Unit;

/// What stands before `{id}/models/{name}` in a reference.
const MODELS: &str = "https://apigateway.amazonaws.com/restapis/";

/// Levels of nesting, which models that contain each other could multiply.
const MAXIMUM_DEPTH: usize = 128;
/// Bytes of the models that are written where they are referred to, each as often as it is.
const MAXIMUM_BYTES: usize = 4 * 1024 * 1024;

/// The schema of the model `name`. A reference to a model that contains itself stays a reference,
/// as does one to a model that isn't there.
///
/// # Errors
/// It would be larger than this module's bounds.
pub(super) fn flatten(
    unit: &mut Unit,
    api_id: &str,
    name: &str,
    schema: Value,
) -> Result<Value, ApiError> {
    let mut flattening = Flattening { unit, api_id, open: vec![name.to_owned()], bytes: 0 };
    flattening.flat(schema, 0)
}

struct Flattening<'u, 's> {
    unit: &'u mut Unit<'s>,
    api_id: &'u str,
    /// The models that are being written, outermost first.
    open: Vec<String>,
    bytes: usize,
}

impl Flattening<'_, '_> {
    fn flat(&mut self, schema: Value, depth: usize) -> Result<Value, ApiError> {
        if depth > MAXIMUM_DEPTH {
            return Err(ApiError::bad_request(format!(
                "The flattened schema would have over {MAXIMUM_DEPTH} levels"
            )));
        }
        Ok(match schema {
            Value::Object(members) => match members.get("$ref").and_then(referred) {
                Some(name) => {
                    let name = name.to_owned();
                    match self.model(&name)? {
                        Some(model) => {
                            self.open.push(name);
                            let flat = self.flat(model, depth + 1)?;
                            self.open.pop();
                            flat
                        }
                        None => Value::Object(members),
                    }
                }
                None => {
                    let members = members.into_iter();
                    let flat = members.map(|(name, it)| Ok((name, self.flat(it, depth + 1)?)));
                    Value::Object(flat.collect::<Result<_, ApiError>>()?)
                }
            },
            Value::Array(items) => {
                let flat = items.into_iter().map(|item| self.flat(item, depth + 1));
                Value::Array(flat.collect::<Result<_, ApiError>>()?)
            }
            plain => plain,
        })
    }

    fn model(&mut self, name: &str) -> Result<Option<Value>, ApiError> {
        if self.open.iter().any(|open| open == name) {
            return Ok(None);
        }
        let model: Option<Model> = self.unit.get(&keys::model(self.api_id, name))?;
        let Some(schema) = model.and_then(|model| model.schema) else { return Ok(None) };
        self.bytes += schema.len();
        if self.bytes > MAXIMUM_BYTES {
            return Err(ApiError::bad_request(format!(
                "The flattened schema would have over {MAXIMUM_BYTES} bytes"
            )));
        }
        Ok(serde_json::from_str(&schema).ok())
    }
}

/// The name of the model that a `$ref` names, whichever API id it has.
fn referred(reference: &Value) -> Option<&str> {
    let (_, name) = reference.as_str()?.strip_prefix(MODELS)?.split_once("/models/")?;
    (!name.contains(['/', '#'])).then_some(name)
}
