//! What methods, their responses and their integrations have in common: where they are, and the
//! rules of their maps by parameter and by media type.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use tollgate_model::api::HttpMethod;
use tollgate_model::compile::MAX_TEMPLATE_BYTES;
use tollgate_model::control_plane::{Method, Model, Resource, RestApi, wire};

use crate::call::Call;
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::input::{Input, not_in_enum};
use crate::names::keys;
use crate::operations::rest_apis::api;
use crate::patch::{Op, Patch, allow, patches_unless};
use crate::unit::Unit;

pub(crate) const INVALID_RESOURCE: &str = "Invalid Resource identifier specified";
pub(crate) const INVALID_METHOD: &str = "Invalid Method identifier specified";
pub(crate) const INVALID_PARAMETER: &str = "Invalid parameter name specified";
pub(crate) const INVALID_MEDIA_TYPE: &str = "Content-Type specified was not found";
pub(crate) const INVALID_STATUS_CODE: &str = "Invalid Response status code specified";

/// In the service model's order.
const CONTENT_HANDLING: &[&str] = &["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"];

/// Where a method is.
pub(crate) struct Place<'a> {
    pub(crate) api: &'a RestApi,
    pub(crate) resource_id: &'a str,
    pub(crate) path: &'a str,
}

/// The resource that a call's URI names, and its API. AWS answers the same for an unknown API.
pub(crate) fn resource(
    context: &Context,
    unit: &mut Unit,
    call: &Call,
) -> Result<(RestApi, Resource), ApiError> {
    let api = api(context, unit, call).map_err(|error| match error.kind {
        ErrorKind::NotFound => ApiError::not_found(INVALID_RESOURCE),
        _ => error,
    })?;
    let resource = unit.get(&keys::resource(&api.id, call.part("resource_id")))?;
    Ok((api, resource.ok_or_else(|| ApiError::not_found(INVALID_RESOURCE))?))
}

/// What is to be said of the method that a call's URI names.
pub(crate) fn read<T>(
    context: &Context,
    call: &Call,
    read: impl Fn(&Method) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    context.carry_out(|unit| {
        let (_, resource) = resource(context, unit, call)?;
        let method = http_method(call).and_then(|it| resource.resource_methods.get(&it));
        read(method.ok_or_else(|| ApiError::not_found(INVALID_METHOD))?)
    })
}

/// Changes the method that a call's URI names.
pub(crate) fn change<T>(
    context: &Context,
    call: &Call,
    change: impl Fn(&mut Unit, &Place, &mut Method) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    context.carry_out(|unit| {
        let (api, mut resource) = resource(context, unit, call)?;
        let place = Place { api: &api, resource_id: &resource.id, path: &resource.path };
        let method = http_method(call).and_then(|it| resource.resource_methods.get_mut(&it));
        let method = method.ok_or_else(|| ApiError::not_found(INVALID_METHOD))?;
        let answer = change(unit, &place, method)?;
        unit.put(keys::resource(&api.id, &resource.id), &resource);
        Ok(answer)
    })
}

fn http_method(call: &Call) -> Option<HttpMethod> {
    HttpMethod::from_bytes(call.part("http_method").as_bytes())
}

pub(crate) fn parse_http_method(name: &str) -> Result<HttpMethod, ApiError> {
    HttpMethod::from_bytes(name.as_bytes()).ok_or_else(|| {
        ApiError::bad_request(
            "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
        )
    })
}

/// The status code of a call's URI.
pub(crate) fn status_code(call: &Call) -> Result<&str, ApiError> {
    match status_violation(call) {
        None => Ok(call.part("status_code")),
        Some(violation) => Err(ApiError::validation(&[violation])),
    }
}

/// The patch operations of a call whose URI has a status code.
pub(crate) fn patches_of_status(call: &Call) -> Result<Vec<Patch>, ApiError> {
    patches_unless(call, status_violation(call))
}

fn status_violation(call: &Call) -> Option<String> {
    let code = call.part("status_code");
    let valid = match code.as_bytes() {
        [b'1'..=b'5', rest @ ..] => rest.len() == 2 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    (!valid).then(|| {
        format!(
            "Value '{code}' at 'statusCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [1-5]\\d\\d"
        )
    })
}

/// An entity as AWS answers it: a template that is empty, which passes the body on, is null.
pub(crate) fn shown(entity: &impl Serialize) -> Value {
    let mut value = wire(entity);
    clear_templates(&mut value);
    value
}

fn clear_templates(value: &mut Value) {
    let Value::Object(members) = value else { return };
    for (name, member) in members {
        match member {
            Value::Object(templates)
                if ["requestTemplates", "responseTemplates"].contains(&&**name) =>
            {
                let empty = templates.values_mut().filter(|template| *template == "");
                empty.for_each(|template| *template = Value::Null);
            }
            member => clear_templates(member),
        }
    }
}

/// `contentHandling` of an input.
pub(crate) fn content_handling(input: &Input) -> Result<Option<String>, ApiError> {
    Ok(input.one_of("contentHandling", CONTENT_HANDLING)?.map(str::to_owned))
}

/// `/contentHandling`; nothing takes it away.
pub(crate) fn patched_content_handling(
    call: &Call,
    patch: &Patch,
) -> Result<Option<String>, ApiError> {
    allow(patch, &[Op::Replace])?;
    match patch.value.as_deref() {
        None | Some("") => Ok(None),
        Some(text) if CONTENT_HANDLING.contains(&text) => Ok(Some(text.to_owned())),
        Some(text) => {
            let place = format!("{}.contentHandling", crate::input::input_name(call.operation));
            Err(not_in_enum(&place, text, CONTENT_HANDLING))
        }
    }
}

/// `type/subtype`, or `$default`.
pub(crate) fn check_media_type(media_type: &str) -> Result<(), ApiError> {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    let valid = match essence.split_once('/') {
        Some((kind, subtype)) => token(kind) && token(subtype),
        None => media_type == "$default",
    };
    if valid {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Validation Result: warnings : [], errors : [Invalid content type specified: {media_type}]"
    )))
}

pub(crate) fn check_templates(templates: &IndexMap<String, String>) -> Result<(), ApiError> {
    templates.iter().try_for_each(|(media_type, template)| check_template(media_type, template))
}

fn check_template(media_type: &str, template: &str) -> Result<(), ApiError> {
    check_media_type(media_type)?;
    if template.len() > MAX_TEMPLATE_BYTES {
        return Err(ApiError::bad_request(format!(
            "The template for {media_type} has {} bytes; at most {MAX_TEMPLATE_BYTES} are allowed",
            template.len()
        )));
    }
    Ok(())
}

/// `/requestTemplates/{media type}` and `/responseTemplates/{media type}`.
pub(crate) fn patch_template(
    templates: &mut IndexMap<String, String>,
    patch: &Patch,
    media_type: &str,
) -> Result<(), ApiError> {
    allow(patch, &[Op::Add, Op::Remove, Op::Replace])?;
    if patch.op == Op::Remove {
        let removed = templates.shift_remove(media_type);
        return removed.map(drop).ok_or_else(|| ApiError::not_found(INVALID_MEDIA_TYPE));
    }
    let template = patch.value.clone().unwrap_or_default();
    check_template(media_type, &template)?;
    templates.insert(media_type.to_owned(), template);
    Ok(())
}

/// Models by media type.
pub(crate) fn check_models(
    unit: &mut Unit,
    api: &RestApi,
    models: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    for (media_type, model) in models {
        check_media_type(media_type)?;
        check_model(unit, api, model)?;
    }
    Ok(())
}

fn check_model(unit: &mut Unit, api: &RestApi, name: &str) -> Result<(), ApiError> {
    // No key of the store has an empty segment.
    let known = !name.is_empty() && unit.get::<Model>(&keys::model(&api.id, name))?.is_some();
    if known {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("Invalid model identifier specified: {name}")))
}

/// `/requestModels/{media type}` and `/responseModels/{media type}`.
pub(crate) fn patch_model(
    unit: &mut Unit,
    api: &RestApi,
    models: &mut BTreeMap<String, String>,
    patch: &Patch,
    media_type: &str,
) -> Result<(), ApiError> {
    allow(patch, &[Op::Add, Op::Remove, Op::Replace])?;
    if patch.op == Op::Remove {
        let removed = models.remove(media_type);
        return removed.map(drop).ok_or_else(|| ApiError::not_found(INVALID_MEDIA_TYPE));
    }
    check_media_type(media_type)?;
    let model = patch.text()?;
    check_model(unit, api, model)?;
    models.insert(media_type.to_owned(), model.to_owned());
    Ok(())
}

/// `/requestParameters/{parameter}` of a method and `/responseParameters/{parameter}` of a method
/// response: whether it is required. Recorded: any value but `true` is false.
pub(crate) fn patch_declared(
    parameters: &mut BTreeMap<String, bool>,
    patch: &Patch,
    parameter: &str,
    check: impl Fn(&str) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    allow(patch, &[Op::Add, Op::Remove, Op::Replace])?;
    if patch.op == Op::Remove {
        let removed = parameters.remove(parameter);
        return removed.map(drop).ok_or_else(|| ApiError::not_found(INVALID_PARAMETER));
    }
    check(parameter)?;
    parameters.insert(parameter.to_owned(), is_true(patch));
    Ok(())
}

/// `/requestParameters/{destination}` of an integration and `/responseParameters/{destination}` of
/// an integration response.
pub(crate) fn patch_mapping(
    mappings: &mut IndexMap<String, String>,
    patch: &Patch,
    destination: &str,
    check: impl Fn(&str, &str) -> Result<(), String>,
) -> Result<(), ApiError> {
    allow(patch, &[Op::Add, Op::Remove, Op::Replace])?;
    if patch.op == Op::Remove {
        let removed = mappings.shift_remove(destination);
        return removed.map(drop).ok_or_else(|| ApiError::not_found(INVALID_PARAMETER));
    }
    let expression = patch.text()?;
    check(destination, expression).map_err(ApiError::bad_request)?;
    mappings.insert(destination.to_owned(), expression.to_owned());
    Ok(())
}

pub(crate) fn is_true(patch: &Patch) -> bool {
    patch.value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
