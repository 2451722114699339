//! Documentation versions. A deployment freezes the parts themselves, so that a version is a name
//! and a date, which a stage shows.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateDocumentationVersion.html>

use tollgate_model::control_plane::{DocumentationVersion, RestApi, Stage, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::keys;
use crate::operations::rest_apis::api;
use crate::page;
use crate::patch::{Patchable, patches};
use crate::unit::Unit;

const PATCHABLE: Patchable = Patchable { replace: &["/description"], add: &[], remove: &[] };

pub(super) fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let name = input.required_text("documentationVersion")?;
    let description = input.text("description")?;
    let stage_name = input.text("stageName")?.filter(|name| !name.is_empty());
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        if name.trim().is_empty() {
            return Err(ApiError::bad_request("Documentation version cannot be blank"));
        }
        let key = keys::documentation_version(&api.id, &name);
        if unit.get::<DocumentationVersion>(&key)?.is_some() {
            return Err(ApiError::conflict(format!(
                "Documentation version '{name}' already exists for this REST API"
            )));
        }
        let version = DocumentationVersion {
            version: name.clone(),
            created_date: context.now(),
            description: description.clone(),
        };
        if let Some(stage_name) = &stage_name {
            show_on(context, unit, &api, stage_name, &name)?;
        }
        unit.put(key, &version);
        Ok(Answer::Json(wire(&version)))
    })
}

fn show_on(
    context: &Context,
    unit: &mut Unit,
    api: &RestApi,
    stage_name: &str,
    version: &str,
) -> Result<(), ApiError> {
    let key = keys::stage(&api.id, stage_name);
    let stage: Option<Stage> = unit.get(&key)?;
    let mut stage =
        stage.ok_or_else(|| ApiError::not_found("Invalid stage identifier specified"))?;
    stage.documentation_version = Some(version.to_owned());
    stage.last_updated_date = context.now();
    unit.put(key, &stage);
    Ok(())
}

pub(super) fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let under = keys::of_api(&api.id, "documentation-versions");
        page::list(call, unit, &under, |_: &DocumentationVersion| true, wire)
    })
}

pub(super) fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        Ok(Answer::Json(wire(&version(unit, &api, call)?)))
    })
}

pub(super) fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let mut version = version(unit, &api, call)?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            version.description = Some(patch.text()?.to_owned());
        }
        unit.put(keys::documentation_version(&api.id, &version.version), &version);
        Ok(Answer::Json(wire(&version)))
    })
}

/// The stages that show it show none then.
pub(super) fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let version = version(unit, &api, call)?;
        let stages: Vec<Stage> = unit.list(&keys::of_api(&api.id, "stages"))?;
        for mut stage in stages {
            if stage.documentation_version.as_ref() == Some(&version.version) {
                stage.documentation_version = None;
                unit.put(keys::stage(&api.id, &stage.stage_name), &stage);
            }
        }
        unit.delete(keys::documentation_version(&api.id, &version.version));
        Ok(Answer::Empty)
    })
}

fn version(unit: &mut Unit, api: &RestApi, call: &Call) -> Result<DocumentationVersion, ApiError> {
    named(unit, api, call.part("doc_version"))
}

/// # Errors
/// The API has none of that name, or the store can't be read.
pub(crate) fn named(
    unit: &mut Unit,
    api: &RestApi,
    name: &str,
) -> Result<DocumentationVersion, ApiError> {
    let found = unit.get(&keys::documentation_version(&api.id, name))?;
    found.ok_or_else(|| ApiError::not_found("Invalid Documentation version identifier specified"))
}
