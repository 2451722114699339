//! All entities of an API that documentation could say something of.

use tollgate_model::control_plane::{
    Authorizer, DocumentationPartLocation, Method, Model, Resource, RestApi,
};

use crate::error::ApiError;
use crate::names::keys;
use crate::unit::Unit;

/// Their locations, in the order of what they belong to.
pub(super) fn of(
    unit: &mut Unit,
    api: &RestApi,
) -> Result<Vec<DocumentationPartLocation>, ApiError> {
    let mut entities = vec![entity("API")];
    let authorizers: Vec<Authorizer> = unit.list(&keys::of_api(&api.id, "authorizers"))?;
    let models: Vec<Model> = unit.list(&keys::of_api(&api.id, "models"))?;
    entities.extend(authorizers.into_iter().map(|it| named(entity("AUTHORIZER"), it.name)));
    entities.extend(models.into_iter().map(|it| named(entity("MODEL"), it.name)));
    let resources: Vec<Resource> = unit.list(&keys::of_api(&api.id, "resources"))?;
    for resource in &resources {
        let path = Some(resource.path.clone());
        entities.push(DocumentationPartLocation { path, ..entity("RESOURCE") });
        for method in resource.resource_methods.values() {
            add_method(&resource.path, method, &mut entities);
        }
    }
    Ok(entities)
}

fn add_method(path: &str, method: &Method, entities: &mut Vec<DocumentationPartLocation>) {
    let of_method = |part_type| DocumentationPartLocation {
        path: Some(path.to_owned()),
        method: Some(method.http_method.to_string()),
        ..entity(part_type)
    };
    entities.push(of_method("METHOD"));
    for parameter in method.request_parameters.keys() {
        let parameter = parameter.strip_prefix("method.request.").unwrap_or_default();
        let Some((location, name)) = parameter.split_once('.') else { continue };
        let part_type = match location {
            "path" => "PATH_PARAMETER",
            "querystring" => "QUERY_PARAMETER",
            "header" => "REQUEST_HEADER",
            _ => continue,
        };
        entities.push(named(of_method(part_type), name.to_owned()));
    }
    if !method.request_models.is_empty() {
        entities.push(of_method("REQUEST_BODY"));
    }
    for (status_code, response) in &method.method_responses {
        let of_response = |part_type| DocumentationPartLocation {
            status_code: Some(status_code.clone()),
            ..of_method(part_type)
        };
        entities.push(of_response("RESPONSE"));
        for parameter in response.response_parameters.keys() {
            if let Some(name) = parameter.strip_prefix("method.response.header.") {
                entities.push(named(of_response("RESPONSE_HEADER"), name.to_owned()));
            }
        }
        if !response.response_models.is_empty() {
            entities.push(of_response("RESPONSE_BODY"));
        }
    }
}

fn entity(part_type: &str) -> DocumentationPartLocation {
    DocumentationPartLocation {
        part_type: part_type.to_owned(),
        path: None,
        method: None,
        status_code: None,
        name: None,
    }
}

fn named(entity: DocumentationPartLocation, name: String) -> DocumentationPartLocation {
    DocumentationPartLocation { name: Some(name), ..entity }
}
