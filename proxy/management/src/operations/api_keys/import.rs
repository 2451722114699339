//! ImportApiKeys: keys from a file, with their usage plans.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_ImportApiKeys.html>

use serde_json::json;
use tollgate_model::api_key_file::{Entries, Entry};
use tollgate_model::control_plane::{ApiKey, UsagePlan};

use super::{checked_name, checked_value, existing, index, insert};
use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::input::{Input, not_in_enum};
use crate::names::keys;
use crate::operations::usage_plans;
use crate::unit::Unit;

/// Of those that are answered.
const WARNINGS_SHOWN: usize = 100;

/// A line that can't be imported is a warning, or with `failonwarnings` the end.
pub(super) fn import(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    match call.query("format") {
        Some("csv") => {}
        Some(other) => return Err(not_in_enum("importApiKeysInput.format", other, &["csv"])),
        None => return Err(Input::parse(call.operation, b"")?.missing("format")),
    }
    let fail_on_warnings = call.query_bool("failonwarnings")?;
    let text = std::str::from_utf8(&call.body)
        .map_err(|_| ApiError::bad_request("The file of API keys is not UTF-8"))?;
    context.carry_out(|unit| {
        let entries = Entries::new(text).map_err(|it| ApiError::bad_request(it.to_string()))?;
        let listed: Vec<UsagePlan> = unit.list(&keys::usage_plans())?;
        let mut ids: Vec<String> = Vec::new();
        let mut warnings = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let imported = import_entry(context, unit, &listed, &entry, &mut warnings);
                    match imported {
                        Ok(id) => ids.push(id),
                        Err(error) => warnings.push(of_line(entry.line, error)?),
                    }
                }
                Err(problem) => warnings.push(problem.to_string()),
            }
        }
        if fail_on_warnings && !warnings.is_empty() {
            warnings.truncate(WARNINGS_SHOWN);
            return Err(ApiError::bad_request(format!(
                "Warnings found during import: {}",
                warnings.join("; ")
            )));
        }
        warnings.truncate(WARNINGS_SHOWN);
        // Of several lines with one key, the last counts; the key is answered once.
        let mut seen = std::collections::HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        Ok(Answer::Json(json!({ "ids": ids, "warnings": warnings })))
    })
}

/// The key's id.
fn import_entry(
    context: &Context,
    unit: &mut Unit,
    listed: &[UsagePlan],
    entry: &Entry,
    warnings: &mut Vec<String>,
) -> Result<String, ApiError> {
    let value = checked_value(entry.key.clone())?;
    let name = checked_name(entry.name.clone())?;
    let description = Some(entry.description.clone()).filter(|text| !text.is_empty());
    let now = context.now();
    let (id, mut plans) = match unit.get::<String>(&index(&value))? {
        Some(id) => {
            let mut key = existing(unit, &id)?;
            key.name = Some(name);
            key.description = description;
            key.enabled = entry.enabled;
            key.last_updated_date = now;
            unit.put(keys::api_key(&id), &key);
            let plans = match entry.usage_plan_ids.is_empty() {
                true => Vec::new(),
                false => usage_plans::of_key_among(unit, listed, &id)?,
            };
            (id, plans)
        }
        None => {
            let mut key = ApiKey {
                id: String::new(),
                value: Some(value),
                name: Some(name),
                customer_id: None,
                description,
                enabled: entry.enabled,
                created_date: now,
                last_updated_date: now,
                stage_keys: Vec::new(),
                tags: None,
            };
            insert(unit, &mut key)?;
            (key.id, Vec::new())
        }
    };
    for plan in &entry.usage_plan_ids {
        if plans.iter().any(|known: &UsagePlan| known.id == *plan) {
            continue;
        }
        let added = usage_plans::existing(unit, plan)
            .and_then(|plan| usage_plans::add_key(unit, plan, &id, &mut plans));
        if let Err(error) = added {
            warnings.push(format!("{}: {plan}", of_line(entry.line, error)?));
        }
    }
    Ok(id)
}

/// What is wrong with a line. What is wrong with the store is no warning.
fn of_line(line: usize, error: ApiError) -> Result<String, ApiError> {
    match error.kind {
        ErrorKind::ServiceUnavailable => Err(error),
        _ => Ok(format!("line {line}: {}", error.message)),
    }
}
