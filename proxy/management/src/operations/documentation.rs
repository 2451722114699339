//! Documentation parts and versions: what an API's documentation says of which of its entities.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-documenting-api.html>
//!
//! ```text
//!  location: which fields name an entity of a type, and which part covers which entity
//!  import:   ImportDocumentationParts
//!  entities: all that an API could say something of, for GetDocumentationParts
//!  versions: names for the documentation at a moment
//! ```

mod location;
pub(super) mod import;
mod entities;
pub(crate) mod versions;

use http::Method;
use serde_json::Value;
use tollgate_model::control_plane::{DocumentationPart, DocumentationPartLocation, RestApi, wire};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::not_in_enum;
use crate::names::{ID, keys};
use crate::operations::rest_apis::{api, api_or};
use crate::page;
use crate::patch::{Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateDocumentationPart",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/documentation/parts",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetDocumentationParts",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/documentation/parts",
        status: 200,
        run: list,
    },
    Operation {
        name: "ImportDocumentationParts",
        method: Method::PUT,
        uri: "/restapis/{restapi_id}/documentation/parts",
        status: 200,
        run: import::import,
    },
    Operation {
        name: "GetDocumentationPart",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/documentation/parts/{part_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateDocumentationPart",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/documentation/parts/{part_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteDocumentationPart",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/documentation/parts/{part_id}",
        status: 202,
        run: delete,
    },
    Operation {
        name: "CreateDocumentationVersion",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/documentation/versions",
        status: 201,
        run: versions::create,
    },
    Operation {
        name: "GetDocumentationVersions",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/documentation/versions",
        status: 200,
        run: versions::list,
    },
    Operation {
        name: "GetDocumentationVersion",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/documentation/versions/{doc_version}",
        status: 200,
        run: versions::get,
    },
    Operation {
        name: "UpdateDocumentationVersion",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/documentation/versions/{doc_version}",
        status: 200,
        run: versions::update,
    },
    Operation {
        name: "DeleteDocumentationVersion",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/documentation/versions/{doc_version}",
        status: 202,
        run: versions::delete,
    },
];

const PARTS: &str = "documentation-parts";

const PATCHABLE: Patchable = Patchable { replace: &["/properties"], add: &[], remove: &[] };

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let Some(given) = input.structure("location")? else { return Err(input.missing("location")) };
    let location = location::read(&given)?;
    let properties = input.required_text("properties")?;
    context.carry_out(|unit| {
        // Recorded: a 400 here.
        let missing = ApiError::bad_request("Invalid REST API identifier specified");
        let api = api_or(context, unit, call, missing)?;
        location::check(&location).map_err(ApiError::bad_request)?;
        check_properties(&properties)?;
        if parts(unit, &api)?.iter().any(|part| part.location == location) {
            return Err(ApiError::conflict(format!(
                "Documentation part already exists for the specified location: {}.",
                location::described(&location)
            )));
        }
        let part = DocumentationPart {
            id: unit.new_id(ID, |id| keys::documentation_part(&api.id, id))?,
            location: location.clone(),
            properties: properties.clone(),
        };
        unit.put(keys::documentation_part(&api.id, &part.id), &part);
        Ok(Answer::Json(wire(&part)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let part_type = one_of(call, "type", &location::TYPES)?;
    let status = one_of(call, "locationStatus", &["DOCUMENTED", "UNDOCUMENTED"])?;
    let wanted = |location: &DocumentationPartLocation| {
        let is = |field: &Option<String>, query| {
            call.query(query).is_none_or(|wanted| field.as_deref() == Some(wanted))
        };
        part_type.is_none_or(|part_type| location.part_type == part_type)
            && is(&location.name, "name")
            && is(&location.path, "path")
    };
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        if status == Some("UNDOCUMENTED") {
            let parts = parts(unit, &api)?.into_iter().map(|part| part.location).collect();
            let mut undocumented = entities::of(unit, &api)?;
            undocumented.retain(|entity| wanted(entity));
            undocumented.retain(|entity| !location::is_documented(&parts, entity));
            let named: Vec<_> =
                undocumented.into_iter().map(|it| (location::described(&it), it)).collect();
            let show = |(_, location): &(_, _)| serde_json::json!({ "location": wire(location) });
            return page::slice(call, &named, |(name, _)| name, show);
        }
        let under = keys::of_api(&api.id, PARTS);
        let keep = |part: &DocumentationPart| wanted(&part.location);
        page::list(call, unit, &under, keep, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(wire(&find(context, unit, call)?.1))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let (api, mut part) = find(context, unit, call)?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            patch.text()?.clone_into(&mut part.properties);
            check_properties(&part.properties)?;
        }
        unit.put(keys::documentation_part(&api.id, &part.id), &part);
        Ok(Answer::Json(wire(&part)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        // Here, unlike in GetDocumentationPart, AWS tells that the API isn't there.
        api(context, unit, call)?;
        let (api, part) = find(context, unit, call)?;
        unit.delete(keys::documentation_part(&api.id, &part.id));
        Ok(Answer::Empty)
    })
}

fn find(
    context: &Context,
    unit: &mut Unit,
    call: &Call,
) -> Result<(RestApi, DocumentationPart), ApiError> {
    let missing = || ApiError::not_found("Invalid Documentation part identifier specified");
    let api = api_or(context, unit, call, missing())?;
    let key = keys::documentation_part(&api.id, call.part("part_id"));
    let part = unit.get(&key)?.ok_or_else(missing)?;
    Ok((api, part))
}

fn parts(unit: &mut Unit, api: &RestApi) -> Result<Vec<DocumentationPart>, ApiError> {
    unit.list(&keys::of_api(&api.id, PARTS))
}

fn check_properties(properties: &str) -> Result<(), ApiError> {
    match serde_json::from_str(properties) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) => Err(ApiError::bad_request("Documentation part properties must be a JSON object")),
        Err(error) => Err(ApiError::bad_request(format!(
            "Documentation part properties must be a JSON object: {error}"
        ))),
    }
}

/// A parameter of the query string that has one of some values.
fn one_of(
    call: &Call,
    name: &str,
    allowed: &[&'static str],
) -> Result<Option<&'static str>, ApiError> {
    let Some(text) = call.query(name) else { return Ok(None) };
    match allowed.iter().find(|known| **known == text) {
        Some(known) => Ok(Some(known)),
        None => Err(not_in_enum(name, text, allowed)),
    }
}

#[cfg(test)]
mod tests;
