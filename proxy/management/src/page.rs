//! Lists, a page at a time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tollgate_store::Key;

use crate::call::{Answer, Call};
use crate::error::ApiError;
use crate::unit::Unit;

/// <https://docs.aws.amazon.com/apigateway/latest/api/API_GetRestApis.html>
pub const DEFAULT_LIMIT: usize = 25;
pub const MAXIMUM_LIMIT: usize = 500;

/// `limit` of a call: 1 to 500; more is 500, as AWS has it.
pub(crate) fn limit(call: &Call) -> Result<usize, ApiError> {
    let Some(text) = call.query("limit") else { return Ok(DEFAULT_LIMIT) };
    match text.parse() {
        Ok(limit @ 1..) => Ok(MAXIMUM_LIMIT.min(limit)),
        _ => Err(ApiError::bad_request(format!(
            "Invalid limit '{text}'. Must be a number from 1 to {MAXIMUM_LIMIT}"
        ))),
    }
}

/// A page of what is directly under a key: those entities that `keep` keeps, as `show` shows them.
pub(crate) fn list<T: DeserializeOwned>(
    call: &Call,
    unit: &mut Unit,
    under: &Key,
    keep: impl Fn(&T) -> bool,
    show: impl Fn(&T) -> Value,
) -> Result<Answer, ApiError> {
    pick(call, unit, under, |_, entity| Ok(keep(entity).then(|| show(entity))))
}

/// The same where it takes other records to say whether and how an entity is shown.
pub(crate) fn pick<T: DeserializeOwned>(
    call: &Call,
    unit: &mut Unit,
    under: &Key,
    pick: impl Fn(&mut Unit, &T) -> Result<Option<Value>, ApiError>,
) -> Result<Answer, ApiError> {
    let limit = limit(call)?;
    let mut after = call.query("position").map(|text| position(under, text)).transpose()?;
    let mut items = Vec::new();
    let mut last: Option<Key> = None;
    loop {
        // One more than is shown says whether there is another page.
        let found = unit.page::<T>(under, after.as_ref(), MAXIMUM_LIMIT + 1)?;
        let more = found.len() > MAXIMUM_LIMIT;
        after = found.last().map(|(key, _)| key.clone());
        for (key, entity) in found {
            let Some(item) = pick(unit, &entity)? else { continue };
            if items.len() == limit {
                return Ok(answer(items, last.as_ref()));
            }
            items.push(item);
            last = Some(key);
        }
        if !more {
            return Ok(answer(items, None));
        }
    }
}

/// The same of a list that is at hand, by a name of each item.
pub(crate) fn slice<T>(
    call: &Call,
    all: &[T],
    name: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Result<Answer, ApiError> {
    let limit = limit(call)?;
    let start = match call.query("position") {
        None => 0,
        Some(text) => {
            let after = decode(text)?;
            all.iter().position(|item| name(item) == after).map_or(all.len(), |at| at + 1)
        }
    };
    let rest = &all[start..];
    let shown = &rest[..limit.min(rest.len())];
    let position = (rest.len() > limit).then(|| shown.last().map(&name)).flatten();
    Ok(page(shown.iter().map(show).collect(), position))
}

fn answer(items: Vec<Value>, last: Option<&Key>) -> Answer {
    let name = last.and_then(|key| key.segments().last().cloned());
    page(items, name.as_deref())
}

/// The wire's name of the list is `item`.
fn page(items: Vec<Value>, last: Option<&str>) -> Answer {
    let mut page = Map::new();
    if let Some(last) = last {
        page.insert("position".to_owned(), Value::String(URL_SAFE_NO_PAD.encode(last)));
    }
    page.insert("item".to_owned(), Value::Array(items));
    Answer::Json(Value::Object(page))
}

fn position(under: &Key, text: &str) -> Result<Key, ApiError> {
    Ok(under.child(&decode(text)?))
}

fn decode(text: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| ApiError::bad_request("Invalid position parameter specified"))
}
