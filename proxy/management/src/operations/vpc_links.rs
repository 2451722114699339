//! VPC links: CreateVpcLink, GetVpcLink, GetVpcLinks, UpdateVpcLink, DeleteVpcLink.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateVpcLink.html>
//!
//! A load balancer of AWS can't be reached from here, so what is behind a link is a matter of the
//! configuration: its `vpc_links` have upstream addresses by name. A link is AVAILABLE while the
//! configuration has an entry with its name and FAILED while it has none; so the status is looked
//! up whenever it is shown, and never kept.

use http::Method;
use serde_json::Value;
use tollgate_model::api::{Api, Connection};
use tollgate_model::control_plane::{RestApi, Stage, VpcLink, VpcLinkStatus, wire};

use crate::call::{Answer, Call};
use crate::context::{Context, Settings};
use crate::error::ApiError;
use crate::names::{ID, keys};
use crate::operations::tags;
use crate::page;
use crate::patch::{Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateVpcLink",
        method: Method::POST,
        uri: "/vpclinks",
        status: 202,
        run: create,
    },
    Operation {
        name: "GetVpcLinks",
        method: Method::GET,
        uri: "/vpclinks",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetVpcLink",
        method: Method::GET,
        uri: "/vpclinks/{vpclink_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateVpcLink",
        method: Method::PATCH,
        uri: "/vpclinks/{vpclink_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteVpcLink",
        method: Method::DELETE,
        uri: "/vpclinks/{vpclink_id}",
        status: 202,
        run: delete,
    },
];

const PATCHABLE: Patchable =
    Patchable { replace: &["/name", "/description"], add: &[], remove: &[] };

/// Places in a refusal to delete a link that is in use.
const REFERENCES_SHOWN: usize = 10;

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let name = input.required_text("name")?;
    check_name(&name)?;
    let Some(target_arns) = input.texts("targetArns")? else {
        return Err(input.missing("targetArns"));
    };
    check_targets(&target_arns)?;
    let requested = VpcLink {
        id: String::new(),
        name,
        description: input.text("description")?,
        target_arns,
        status: VpcLinkStatus::Available,
        status_message: None,
        tags: tags::given(&input)?,
    };
    context.carry_out(|unit| {
        let mut link = requested.clone();
        link.id = unit.new_id(ID, keys::vpc_link)?;
        unit.put(keys::vpc_link(&link.id), &link);
        Ok(Answer::Json(show(&context.settings, &link)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let show = |link: &VpcLink| show(&context.settings, link);
        page::list(call, unit, &keys::vpc_links(), |_| true, show)
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(show(&context.settings, &link(unit, call)?))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let mut link = link(unit, call)?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            if patch.path == "/name" {
                check_name(patch.text()?)?;
                patch.text()?.clone_into(&mut link.name);
            } else {
                link.description = patch.optional_text();
            }
        }
        unit.put(keys::vpc_link(&link.id), &link);
        Ok(Answer::Json(show(&context.settings, &link)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let link = link(unit, call)?;
        let references = references(unit, &link.id)?;
        if !references.is_empty() {
            return Err(ApiError::bad_request(format!(
                "Cannot delete vpc link. Vpc link '{}', is referenced in [{}] in format of [RESTApiId:Method:Resource:Stage].",
                link.id,
                references.join(", ")
            )));
        }
        unit.delete(keys::vpc_link(&link.id));
        Ok(Answer::Empty)
    })
}

fn link(unit: &mut Unit, call: &Call) -> Result<VpcLink, ApiError> {
    let found = unit.get(&keys::vpc_link(call.part("vpclink_id")))?;
    found.ok_or_else(|| ApiError::not_found("Invalid Vpc Link identifier specified"))
}

fn show(settings: &Settings, link: &VpcLink) -> Value {
    let mut shown = link.clone();
    (shown.status, shown.status_message) = match settings.vpc_links.contains_key(&link.name) {
        true => (VpcLinkStatus::Available, None),
        false => (
            VpcLinkStatus::Failed,
            Some(format!(
                "Tollgate's configuration has no addresses for this link: add vpc_links.{} with the addresses that the load balancer leads to",
                link.name
            )),
        ),
    };
    wire(&shown)
}

/// `net/{name}/{id}` of a load balancer's ARN: `…:loadbalancer/net/{name}/{id}`.
fn load_balancer(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    if parts.next() != Some("arn") {
        return None;
    }
    let service = parts.nth(1)?;
    let resource = parts.nth(2)?;
    resource.strip_prefix("loadbalancer/").filter(|_| service == "elasticloadbalancing")
}

fn check_name(name: &str) -> Result<(), ApiError> {
    match name {
        "" => Err(ApiError::bad_request("Name cannot be empty")),
        _ => Ok(()),
    }
}

fn check_targets(arns: &[String]) -> Result<(), ApiError> {
    if arns.is_empty() {
        return Err(ApiError::bad_request("Target ARNs cannot be empty"));
    }
    match arns.iter().find(|arn| load_balancer(arn).is_none()) {
        Some(arn) => {
            Err(ApiError::bad_request(format!("Invalid ARN. ARN is not well formed {arn}")))
        }
        None => Ok(()),
    }
}

/// Where stages use a link, up to a bound.
fn references(unit: &mut Unit, link: &str) -> Result<Vec<String>, ApiError> {
    let mut found = Vec::new();
    for api in unit.list::<RestApi>(&keys::rest_apis())? {
        for stage in unit.list::<Stage>(&keys::of_api(&api.id, "stages"))? {
            let canary = stage.canary_settings.as_ref().map(|canary| &canary.deployment_id);
            let canary = canary.filter(|id| **id != stage.deployment_id);
            for deployment in [Some(&stage.deployment_id), canary].into_iter().flatten() {
                let frozen: Option<Api> = unit.get(&keys::definition(&api.id, deployment))?;
                let used = frozen.iter().flat_map(|frozen| methods_with(frozen, link));
                found.extend(used.map(|(method, resource)| {
                    format!("{}:{method}:{resource}:{}", api.id, stage.stage_name)
                }));
                if found.len() > REFERENCES_SHOWN {
                    found.truncate(REFERENCES_SHOWN);
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

/// The method and the resource's id of each integration that goes through a link.
fn methods_with<'a>(api: &'a Api, link: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    api.resources.iter().flat_map(move |(path, resource)| {
        let methods = resource.methods.iter().filter(move |(_, method)| {
            let connection = method.integration.as_ref().map(|it| &it.connection);
            matches!(connection, Some(Connection::VpcLink { id, .. }) if id == link)
        });
        let id = resource.id.as_ref().unwrap_or(path);
        methods.map(move |(method, _)| (method.to_string(), id.clone()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::fixture;

    const TARGET: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/warehouse/50dc6c495c0c9188";

    #[test]
    fn a_link_is_available_if_the_configuration_knows_it() {
        let fixture = fixture();
        let create = |name: &str| {
            let body = json!({"name": name, "targetArns": [TARGET]});
            let answered = fixture.call("POST", "/vpclinks", body);
            assert_eq!(answered.status, 202);
            answered.body
        };
        assert_eq!(create("link12")["status"], "AVAILABLE");
        let mut link = create("warehouse");
        assert_eq!(link["status"], "FAILED");
        let message = "Tollgate's configuration has no addresses for this link: add vpc_links.warehouse with the addresses that the load balancer leads to";
        assert_eq!(link["statusMessage"], message);

        let uri = format!("/vpclinks/{}", link["id"].as_str().unwrap());
        let rename = json!({"patchOperations": [
            {"op": "replace", "path": "/name", "value": "link12"},
            {"op": "replace", "path": "/description", "value": "now it is"},
        ]});
        link["name"] = json!("link12");
        link["description"] = json!("now it is");
        link["status"] = json!("AVAILABLE");
        link.as_object_mut().unwrap().remove("statusMessage");
        assert_eq!(fixture.ok("PATCH", &uri, rename), link);
        assert_eq!(fixture.ok("GET", &uri, Value::Null), link);
        let all = fixture.ok("GET", "/vpclinks", Value::Null);
        assert_eq!(all["item"].as_array().unwrap().len(), 2);
        assert_eq!(fixture.call("DELETE", &uri, Value::Null).status, 202);
        assert_eq!(
            fixture.refused("GET", &uri, Value::Null),
            "404 NotFoundException: Invalid Vpc Link identifier specified"
        );
    }

    #[test]
    fn one_that_a_stage_uses_stays() {
        let fixture = fixture();
        let (api, _) = fixture.api();
        let body = json!({"name": "link12", "targetArns": [TARGET]});
        let link = fixture.ok("POST", "/vpclinks", body)["id"].as_str().unwrap().to_owned();
        let definition = format!(
            r#"{{"openapi": "3.0.1", "info": {{"title": "a", "version": "1"}}, "paths": {{"/pets": {{"get": {{
                "responses": {{}},
                "x-amazon-apigateway-integration": {{"type": "http_proxy", "httpMethod": "GET", "uri": "http://a/b", "connectionType": "VPC_LINK", "connectionId": "{link}"}}
            }}}}}}}}"#
        );
        let options = tollgate_model::openapi::ImportOptions::default();
        let imported = tollgate_model::openapi::import(&definition, &options).unwrap();
        fixture.put(&api, "definitions", "d1", serde_json::to_value(&imported.api).unwrap());
        let stage = json!({"stageName": "prod", "deploymentId": "d1", "createdDate": 1, "lastUpdatedDate": 1});
        fixture.put(&api, "stages", "prod", stage.clone());
        let uri = format!("/vpclinks/{link}");
        assert_eq!(
            fixture.refused("DELETE", &uri, Value::Null),
            format!(
                "400 BadRequestException: Cannot delete vpc link. Vpc link '{link}', is referenced in [{api}:GET:/pets:prod] in format of [RESTApiId:Method:Resource:Stage]."
            )
        );
        // Nor one that only a canary uses.
        let canary = json!({"percentTraffic": 0.0, "deploymentId": "d1", "useStageCache": false});
        let mut with_canary = stage;
        with_canary["deploymentId"] = json!("d2");
        with_canary["canarySettings"] = canary;
        fixture.put(&api, "stages", "prod", with_canary.clone());
        assert!(fixture.refused("DELETE", &uri, Value::Null).contains(":GET:/pets:prod"));
        with_canary.as_object_mut().unwrap().remove("canarySettings");
        fixture.put(&api, "stages", "prod", with_canary);
        fixture.ok("DELETE", &uri, Value::Null);
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for (body, refused) in [
            (json!({"name": "", "targetArns": [TARGET]}), "Name cannot be empty"),
            (json!({"name": "a", "targetArns": []}), "Target ARNs cannot be empty"),
            (json!({"name": "a", "targetArns": ["b"]}), "Invalid ARN. ARN is not well formed b"),
        ] {
            let refused = format!("400 BadRequestException: {refused}");
            assert_eq!(fixture().refused("POST", "/vpclinks", body), refused);
        }
    }
}
