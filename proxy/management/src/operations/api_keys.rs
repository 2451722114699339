//! API keys: CreateApiKey, GetApiKey, GetApiKeys, UpdateApiKey, DeleteApiKey, ImportApiKeys.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateApiKey.html>
//!
//! No two keys have one value. A record by the value's hash says whose it is, so that this takes
//! one look with any number of keys.

mod import;

use http::Method;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;
use tollgate_model::control_plane::{ApiKey, Stage, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::input::Input;
use crate::names::{LONG_ID, keys};
use crate::operations::{tags, usage_plans};
use crate::page;
use crate::patch::{Op, Patch, Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateApiKey",
        method: Method::POST,
        uri: "/apikeys",
        status: 201,
        run: create,
    },
    Operation {
        name: "ImportApiKeys",
        method: Method::POST,
        uri: "/apikeys?mode=import",
        status: 201,
        run: import::import,
    },
    Operation { name: "GetApiKeys", method: Method::GET, uri: "/apikeys", status: 200, run: list },
    Operation {
        name: "GetApiKey",
        method: Method::GET,
        uri: "/apikeys/{api_Key}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateApiKey",
        method: Method::PATCH,
        uri: "/apikeys/{api_Key}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteApiKey",
        method: Method::DELETE,
        uri: "/apikeys/{api_Key}",
        status: 202,
        run: delete,
    },
];

const PATCHABLE: Patchable = Patchable {
    replace: &["/customerId", "/description", "/enabled", "/name"],
    add: &["/stages"],
    remove: &["/stages"],
};

/// Characters (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html>).
const SHORTEST_VALUE: usize = 20;
const LONGEST_VALUE: usize = 128;
const LONGEST_NAME: usize = 1024;
/// Characters of a value that is made here, as AWS makes them.
const NEW_VALUE: usize = 40;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    // Deprecated: the id is distinct from the value either way.
    input.boolean("generateDistinctId")?;
    let value = match input.text("value")?.filter(|value| !value.is_empty()) {
        Some(value) => checked_value(value)?,
        None => new_value()?,
    };
    let now = context.now();
    let requested = ApiKey {
        id: String::new(),
        value: Some(value),
        name: input.text("name")?.map(checked_name).transpose()?,
        customer_id: input.text("customerId")?,
        description: input.text("description")?,
        enabled: input.boolean("enabled")?.unwrap_or(false),
        created_date: now,
        last_updated_date: now,
        stage_keys: Vec::new(),
        tags: tags::given(&input)?,
    };
    context.carry_out(|unit| {
        let mut key = requested.clone();
        key.stage_keys = stage_keys(unit, &input)?;
        insert(unit, &mut key)?;
        Ok(Answer::Json(wire(&key)))
    })
}

/// Gives a new key its id and puts it.
fn insert(unit: &mut Unit, key: &mut ApiKey) -> Result<(), ApiError> {
    let index = index(key.value.as_deref().unwrap_or_default());
    if unit.get::<String>(&index)?.is_some() {
        return Err(ApiError::conflict("API Key already exists"));
    }
    key.id = unit.new_id(LONG_ID, keys::api_key)?;
    unit.put(index, &key.id);
    unit.put(keys::api_key(&key.id), key);
    Ok(())
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let include_values = call.query_bool("includeValues")?;
    let name = call.query("name").unwrap_or_default();
    let customer = call.query("customerId");
    let keep = |key: &ApiKey| {
        key.name.as_deref().unwrap_or_default().starts_with(name)
            && customer.is_none_or(|customer| key.customer_id.as_deref() == Some(customer))
    };
    context.carry_out(|unit| {
        page::list(call, unit, &keys::api_keys(), keep, |key| show(key, include_values))
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let include_value = call.query_bool("includeValue")?;
    context.carry_out(|unit| {
        let key = existing(unit, call.part("api_Key"))?;
        Ok(Answer::Json(show(&key, include_value)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let mut key = existing(unit, call.part("api_Key"))?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            match patch.path.as_str() {
                "/customerId" => key.customer_id = patch.optional_text(),
                "/description" => key.description = patch.optional_text(),
                "/enabled" => key.enabled = patch.boolean()?,
                "/name" => key.name = Some(checked_name(patch.text()?.to_owned())?),
                _ => patch_stages(unit, &mut key, patch)?,
            }
        }
        key.last_updated_date = context.now();
        unit.put(keys::api_key(&key.id), &key);
        Ok(Answer::Json(show(&key, false)))
    })
}

/// The key's place in its plans goes with it.
fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let key = existing(unit, call.part("api_Key"))?;
        for plan in usage_plans::of_key(unit, &key.id)? {
            usage_plans::remove_key(unit, &plan, &key.id);
        }
        unit.delete(index(key.value.as_deref().unwrap_or_default()));
        unit.delete(keys::api_key(&key.id));
        Ok(Answer::Empty)
    })
}

pub(crate) fn existing(unit: &mut Unit, id: &str) -> Result<ApiKey, ApiError> {
    let found = unit.get(&keys::api_key(id))?;
    found.ok_or_else(|| ApiError::not_found("Invalid API Key identifier specified"))
}

fn show(key: &ApiKey, include_value: bool) -> Value {
    let mut value = wire(key);
    if !include_value && let Some(members) = value.as_object_mut() {
        members.shift_remove("value");
    }
    value
}

/// `stageKeys` of a new key, each as `{api id}/{stage}`.
fn stage_keys(unit: &mut Unit, input: &Input) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::new();
    for stage in input.structures("stageKeys")?.unwrap_or_default() {
        let (api, name) = (stage.required_text("restApiId")?, stage.required_text("stageName")?);
        found.push(checked_stage(unit, &api, &name)?);
    }
    Ok(found)
}

fn patch_stages(unit: &mut Unit, key: &mut ApiKey, patch: &Patch) -> Result<(), ApiError> {
    let text = patch.text()?;
    let (api, name) =
        text.split_once('/').ok_or_else(|| patch.invalid_value(text, "{restApiId}/{stageName}"))?;
    match patch.op {
        Op::Remove => key.stage_keys.retain(|known| known != text),
        _ => {
            let stage = checked_stage(unit, api, name)?;
            if !key.stage_keys.contains(&stage) {
                key.stage_keys.push(stage);
            }
        }
    }
    Ok(())
}

fn checked_stage(unit: &mut Unit, api: &str, name: &str) -> Result<String, ApiError> {
    match unit.get::<Stage>(&keys::stage(api, name))? {
        Some(_) => Ok(format!("{api}/{name}")),
        None => Err(ApiError::not_found("Invalid stage identifier specified")),
    }
}

fn checked_name(name: String) -> Result<String, ApiError> {
    if name.chars().count() > LONGEST_NAME {
        return Err(ApiError::bad_request(format!(
            "Invalid API Key name, can be at most {LONGEST_NAME} characters."
        )));
    }
    Ok(name)
}

/// AWS's bounds; and a header can carry it.
fn checked_value(value: String) -> Result<String, ApiError> {
    Err(ApiError::bad_request(match value.len() {
        ..SHORTEST_VALUE => {
            format!("API Key value should be at least {SHORTEST_VALUE} characters")
        }
        SHORTEST_VALUE..=LONGEST_VALUE if value.bytes().all(|byte| byte.is_ascii_graphic()) => {
            return Ok(value);
        }
        SHORTEST_VALUE..=LONGEST_VALUE => {
            "API Key value has a character that a header can't carry; allowed: printable ASCII without spaces".to_owned()
        }
        _ => format!("API Key value exceeds maximum size of {LONGEST_VALUE} characters"),
    }))
}

/// 40 letters and digits: 238 bits of chance.
fn new_value() -> Result<String, ApiError> {
    let random = SystemRandom::new();
    let mut value = String::with_capacity(NEW_VALUE);
    let mut bytes = [0; 64];
    while value.len() < NEW_VALUE {
        random.fill(&mut bytes).map_err(|_| {
            tracing::error!("the system gives no random numbers");
            ApiError::new(ErrorKind::ServiceUnavailable, "There are no random numbers for a key.")
        })?;
        // 248 is the largest multiple of 62 in a byte: above, some letters would come more often.
        let letters = bytes.iter().filter(|byte| **byte < 248);
        let letters = letters.map(|byte| char::from(LETTERS[usize::from(byte % 62)]));
        value.extend(letters.take(NEW_VALUE - value.len()));
    }
    Ok(value)
}

/// Where it is kept whose a value is. The value is a secret, so that keys of the store, which may
/// be logged, don't have it.
fn index(value: &str) -> tollgate_store::Key {
    let hash = digest(&SHA256, value.as_bytes());
    let digits: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    keys::api_key_value(&digits)
}

#[cfg(test)]
mod tests;
