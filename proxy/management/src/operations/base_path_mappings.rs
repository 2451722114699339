//! Which API a domain name leads to, by the path's beginning: CreateBasePathMapping,
//! GetBasePathMapping, GetBasePathMappings, UpdateBasePathMapping, DeleteBasePathMapping.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateBasePathMapping.html>
//!
//! AWS takes base paths of several segments in API Gateway's second version only; here is one
//! version, so they are taken here.

use http::Method;
use tollgate_model::control_plane::{BasePathMapping, DomainName, RestApi, Stage, wire};

use super::domain_names;
use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::{ApiError, ErrorKind};
use crate::names::keys;
use crate::page;
use crate::patch::{Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateBasePathMapping",
        method: Method::POST,
        uri: "/domainnames/{domain_name}/basepathmappings",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetBasePathMappings",
        method: Method::GET,
        uri: "/domainnames/{domain_name}/basepathmappings",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetBasePathMapping",
        method: Method::GET,
        uri: "/domainnames/{domain_name}/basepathmappings/{base_path}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateBasePathMapping",
        method: Method::PATCH,
        uri: "/domainnames/{domain_name}/basepathmappings/{base_path}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteBasePathMapping",
        method: Method::DELETE,
        uri: "/domainnames/{domain_name}/basepathmappings/{base_path}",
        status: 202,
        run: delete,
    },
];

const PATCHABLE: Patchable =
    Patchable { replace: &["/basePath", "/restapiId", "/stage"], add: &[], remove: &[] };

/// No base path, or no stage.
const NONE: &str = "(none)";
/// Characters (<https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html>).
const LONGEST_BASE_PATH: usize = 300;
/// Mappings of several segments, for each domain name (as above).
const MAXIMUM_MULTI_LEVEL: usize = 200;

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let requested = BasePathMapping {
        base_path: base_path(input.text("basePath")?.as_deref().unwrap_or_default())?,
        rest_api_id: input.required_text("restApiId")?,
        stage: stage(input.text("stage")?.as_deref().unwrap_or_default()),
    };
    context.carry_out(|unit| {
        let domain = domain_names::domain(unit, call)?;
        put(unit, &domain, &requested)?;
        Ok(Answer::Json(wire(&requested)))
    })
}

/// Puts a mapping where there is none.
fn put(unit: &mut Unit, domain: &DomainName, mapping: &BasePathMapping) -> Result<(), ApiError> {
    check_target(unit, mapping)?;
    let key = keys::base_path_mapping(&domain.domain_name, &mapping.base_path);
    if unit.get::<BasePathMapping>(&key)?.is_some() {
        return Err(ApiError::conflict("Base path already exists for this domain name"));
    }
    if is_multi_level(mapping) {
        let under = keys::base_path_mappings(&domain.domain_name);
        let count = unit.list(&under)?.iter().filter(|it| is_multi_level(it)).count();
        if count >= MAXIMUM_MULTI_LEVEL {
            return Err(ApiError::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{} has {count} mappings with base paths of several segments; allowed: up to {MAXIMUM_MULTI_LEVEL}",
                    domain.domain_name
                ),
            ));
        }
    }
    unit.put(key, mapping);
    unit.touch(keys::domain_name(&domain.domain_name));
    // Who deletes the API or its stage meanwhile has looked for mappings too early.
    unit.touch(keys::rest_api(&mapping.rest_api_id));
    Ok(())
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let domain = domain_names::domain(unit, call)?;
        let under = keys::base_path_mappings(&domain.domain_name);
        page::list(call, unit, &under, |_: &BasePathMapping| true, wire)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let domain = domain_names::domain(unit, call)?;
        Ok(Answer::Json(wire(&mapping(unit, &domain, call)?)))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let domain = domain_names::domain(unit, call)?;
        let before = mapping(unit, &domain, call)?;
        let mut after = before.clone();
        for patch in &patches {
            PATCHABLE.check(patch)?;
            match patch.path.as_str() {
                "/basePath" => after.base_path = base_path(patch.text()?)?,
                "/restapiId" => patch.text()?.clone_into(&mut after.rest_api_id),
                _ => after.stage = stage(patch.text()?),
            }
        }
        unit.delete(keys::base_path_mapping(&domain.domain_name, &before.base_path));
        put(unit, &domain, &after)?;
        Ok(Answer::Json(wire(&after)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let domain = domain_names::domain(unit, call)?;
        let mapping = mapping(unit, &domain, call)?;
        unit.delete(keys::base_path_mapping(&domain.domain_name, &mapping.base_path));
        unit.touch(keys::domain_name(&domain.domain_name));
        Ok(Answer::Empty)
    })
}

fn mapping(unit: &mut Unit, domain: &DomainName, call: &Call) -> Result<BasePathMapping, ApiError> {
    let base_path = call.part("base_path").trim_matches('/');
    let found = unit.get(&keys::base_path_mapping(&domain.domain_name, base_path))?;
    found.ok_or_else(|| ApiError::not_found("Invalid base path mapping identifier specified"))
}

/// Refuses to delete an API, or one stage of it, while a domain name leads to it.
pub(super) fn check_unmapped(
    unit: &mut Unit,
    api: &RestApi,
    stage: Option<&str>,
) -> Result<(), ApiError> {
    let mut domains = Vec::new();
    for domain in unit.list::<DomainName>(&keys::domain_names())? {
        let mappings: Vec<BasePathMapping> =
            unit.list(&keys::base_path_mappings(&domain.domain_name))?;
        let leads = |mapping: &BasePathMapping| {
            mapping.rest_api_id == api.id && (stage.is_none() || mapping.stage.as_deref() == stage)
        };
        if mappings.iter().any(leads) {
            domains.push(domain.domain_name);
        }
    }
    if domains.is_empty() {
        return Ok(());
    }
    let (what, kind) = match stage {
        Some(stage) => (format!("stage {stage}"), "stage"),
        None => (format!("RestApi {}", api.id), "RestApi"),
    };
    Err(ApiError::bad_request(format!(
        "Deleting {what} failed. Please remove all base path mappings related to the {kind} in your domains: {}.",
        domains.join(", ")
    )))
}

fn is_multi_level(mapping: &BasePathMapping) -> bool {
    mapping.base_path.contains('/')
}

fn check_target(unit: &mut Unit, mapping: &BasePathMapping) -> Result<(), ApiError> {
    if unit.get::<RestApi>(&keys::rest_api(&mapping.rest_api_id))?.is_none() {
        return Err(ApiError::bad_request("Invalid REST API identifier specified"));
    }
    match &mapping.stage {
        Some(stage) if !has_stage(unit, &mapping.rest_api_id, stage)? => {
            Err(ApiError::bad_request("Invalid stage identifier specified"))
        }
        _ => Ok(()),
    }
}

fn has_stage(unit: &mut Unit, api: &str, stage: &str) -> Result<bool, ApiError> {
    Ok(unit.get::<Stage>(&keys::stage(api, stage))?.is_some())
}

fn stage(text: &str) -> Option<String> {
    (!text.is_empty() && text != NONE).then(|| text.to_owned())
}

/// Without slashes at its ends; nothing is `(none)`.
fn base_path(text: &str) -> Result<String, ApiError> {
    let base_path = text.trim_matches('/');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_.+!*'()/".contains(&byte);
    match base_path {
        "" => Ok(NONE.to_owned()),
        _ if base_path.len() <= LONGEST_BASE_PATH
            && base_path.bytes().all(allowed)
            && !base_path.contains("//") =>
        {
            Ok(base_path.to_owned())
        }
        _ => Err(ApiError::bad_request(format!(
            "Invalid base path '{text}'. Must be segments of letters, digits and $-_.+!*'(), together up to {LONGEST_BASE_PATH} characters"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::{Fixture, fixture};

    const MAPPINGS: &str = "/domainnames/api.example.com/basepathmappings";

    /// A domain name and an API with a stage.
    fn domain() -> (Fixture, String) {
        let fixture = fixture();
        let body = json!({"domainName": "api.example.com", "certificateArn": "arn:aws:acm:us-east-1:1:certificate/c"});
        fixture.ok("POST", "/domainnames", body);
        let (api, _) = fixture.api();
        let stage = json!({"stageName": "prod", "deploymentId": "d1", "createdDate": 1, "lastUpdatedDate": 1});
        fixture.put(&api, "stages", "prod", stage);
        (fixture, api)
    }

    #[test]
    fn a_mapping_lives_and_moves() {
        let (fixture, api) = domain();
        let root = fixture.ok("POST", MAPPINGS, json!({"restApiId": api}));
        assert_eq!(root, json!({"basePath": "(none)", "restApiId": api}));
        let body = json!({"basePath": "shop/v1", "restApiId": api, "stage": "prod"});
        let deep = fixture.ok("POST", MAPPINGS, body.clone());
        assert_eq!(deep, body);
        assert_eq!(fixture.ok("GET", MAPPINGS, Value::Null), json!({"item": [root, deep]}));
        assert_eq!(fixture.ok("GET", &format!("{MAPPINGS}/(none)"), Value::Null), root);
        assert_eq!(fixture.ok("GET", &format!("{MAPPINGS}/shop%2Fv1"), Value::Null), deep);

        let patch = json!({"patchOperations": [
            {"op": "replace", "path": "/basePath", "value": "shop"},
            {"op": "replace", "path": "/stage", "value": "(none)"},
        ]});
        let moved = fixture.ok("PATCH", &format!("{MAPPINGS}/shop%2Fv1"), patch);
        assert_eq!(moved, json!({"basePath": "shop", "restApiId": api}));
        assert_eq!(
            fixture.refused("GET", &format!("{MAPPINGS}/shop%2Fv1"), Value::Null),
            "404 NotFoundException: Invalid base path mapping identifier specified"
        );
        let same =
            json!({"patchOperations": [{"op": "replace", "path": "/stage", "value": "prod"}]});
        assert_eq!(fixture.ok("PATCH", &format!("{MAPPINGS}/shop"), same)["stage"], "prod");
        let taken =
            json!({"patchOperations": [{"op": "replace", "path": "/basePath", "value": ""}]});
        assert_eq!(
            fixture.refused("PATCH", &format!("{MAPPINGS}/shop"), taken),
            "409 ConflictException: Base path already exists for this domain name"
        );
        assert_eq!(fixture.call("DELETE", &format!("{MAPPINGS}/shop"), Value::Null).status, 202);
        assert_eq!(fixture.ok("GET", MAPPINGS, Value::Null), json!({"item": [root]}));
        fixture.ok("DELETE", "/domainnames/api.example.com", Value::Null);
        assert_eq!(
            fixture.refused("GET", MAPPINGS, Value::Null),
            "404 NotFoundException: Invalid domain name identifier specified"
        );
    }

    #[test]
    fn what_is_mapped_stays() {
        let (fixture, api) = domain();
        fixture.ok("POST", MAPPINGS, json!({"restApiId": api, "stage": "prod"}));
        let (uri, domain) = (format!("/restapis/{api}"), "api.example.com");
        assert_eq!(
            fixture.refused("DELETE", &uri, Value::Null),
            format!(
                "400 BadRequestException: Deleting RestApi {api} failed. Please remove all base path mappings related to the RestApi in your domains: {domain}."
            )
        );
        assert_eq!(
            fixture.refused("DELETE", &format!("{uri}/stages/prod"), Value::Null),
            format!(
                "400 BadRequestException: Deleting stage prod failed. Please remove all base path mappings related to the stage in your domains: {domain}."
            )
        );
        fixture.ok("DELETE", &format!("{MAPPINGS}/(none)"), Value::Null);
        fixture.ok("POST", MAPPINGS, json!({"restApiId": api}));
        fixture.ok("DELETE", &format!("{uri}/stages/prod"), Value::Null);
        fixture.ok("DELETE", &format!("{MAPPINGS}/(none)"), Value::Null);
        fixture.ok("DELETE", &uri, Value::Null);
    }

    #[test]
    fn a_mapping_leads_somewhere() {
        let (fixture, api) = domain();
        fixture.ok("POST", MAPPINGS, json!({"basePath": "shop", "restApiId": api}));
        for (body, refused) in [
            (
                json!({"restApiId": "none"}),
                "400 BadRequestException: Invalid REST API identifier specified",
            ),
            (
                json!({"restApiId": api, "stage": "none"}),
                "400 BadRequestException: Invalid stage identifier specified",
            ),
            (
                json!({"restApiId": api, "basePath": "/shop/"}),
                "409 ConflictException: Base path already exists for this domain name",
            ),
            (
                json!({"restApiId": api, "basePath": "a b"}),
                "400 BadRequestException: Invalid base path 'a b'. Must be segments of letters, digits and $-_.+!*'(), together up to 300 characters",
            ),
            (
                json!({}),
                "400 ValidationException: 1 validation error detected: Value null at 'createBasePathMappingInput.restApiId' failed to satisfy constraint: Member must not be null",
            ),
        ] {
            assert_eq!(fixture.refused("POST", MAPPINGS, body), refused);
        }
    }
}
