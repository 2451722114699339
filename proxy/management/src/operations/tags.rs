//! Tags of a resource, by its ARN: TagResource, UntagResource, GetTags.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_TagResource.html>

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Map, Value, json};
use tollgate_store::Key;

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::input::Input;
use crate::names::keys;
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "TagResource",
        method: Method::PUT,
        uri: "/tags/{resource_arn+}",
        status: 204,
        run: tag,
    },
    Operation {
        name: "UntagResource",
        method: Method::DELETE,
        uri: "/tags/{resource_arn+}",
        status: 204,
        run: untag,
    },
    Operation {
        name: "GetTags",
        method: Method::GET,
        uri: "/tags/{resource_arn+}",
        status: 200,
        run: get,
    },
];

/// Of one resource (<https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>).
const MAXIMUM_TAGS: usize = 50;
/// Characters (<https://docs.aws.amazon.com/apigateway/latest/api/API_TagResource.html>).
const MAXIMUM_KEY: usize = 128;
const MAXIMUM_VALUE: usize = 256;

type Tags = BTreeMap<String, String>;

/// A resource that can have tags.
struct Tagged {
    key: Key,
    /// The API that it is or belongs to.
    api: Option<String>,
}

fn tag(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let Some(added) = input.sorted_text_map("tags")? else { return Err(input.missing("tags")) };
    check(&added)?;
    change(context, call, |tags| {
        tags.extend(added.clone());
        check(tags)
    })
}

fn untag(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let removed: Vec<&str> = call.queries("tagKeys").collect();
    if removed.is_empty() {
        return Err(call.input()?.missing("tagKeys"));
    }
    change(context, call, |tags| {
        tags.retain(|name, _| !removed.contains(&name.as_str()));
        Ok(())
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (_, record) = find(context, unit, call)?;
        Ok(Answer::Json(json!({ "tags": tags_of(&record) })))
    })
}

fn change(
    context: &Context,
    call: &Call,
    change: impl Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (key, mut record) = find(context, unit, call)?;
        let mut tags = tags_of(&record);
        change(&mut tags)?;
        record.shift_remove("tags");
        if !tags.is_empty() {
            record.insert("tags".to_owned(), json!(tags));
        }
        unit.put(key, &record);
        Ok(Answer::Empty)
    })
}

/// The resource of a call, as the store has it.
fn find(
    context: &Context,
    unit: &mut Unit,
    call: &Call,
) -> Result<(Key, Map<String, Value>), ApiError> {
    let arn = call.part("resource_arn");
    let invalid = || ApiError::not_found("Invalid ARN specified in the request");
    let path = arn.strip_prefix(&context.arn("")).ok_or_else(invalid)?;
    let Tagged { key, api } = Tagged::find(path).ok_or_else(invalid)?;
    if let Some(api) = api {
        unit.api(&api, &context.settings.account_id)?;
    }
    Ok((key.clone(), unit.get(&key)?.ok_or_else(invalid)?))
}

impl Tagged {
    /// By the path in its ARN.
    fn find(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let (key, api) = match segments[..] {
            ["restapis", id] => (keys::rest_api(id), Some(id)),
            ["restapis", id, "stages", stage] => (keys::stage(id, stage), Some(id)),
            ["apikeys", id] => (keys::api_key(id), None),
            ["usageplans", id] => (keys::usage_plan(id), None),
            ["domainnames", name] => (keys::domain_name(name), None),
            ["vpclinks", id] => (keys::vpc_link(id), None),
            ["clientcertificates", id] => (keys::client_certificate(id), None),
            _ => return None,
        };
        Some(Self { key, api: api.map(str::to_owned) })
    }
}

fn tags_of(record: &Map<String, Value>) -> Tags {
    let tags = record.get("tags").cloned().unwrap_or_default();
    serde_json::from_value(tags).unwrap_or_default()
}

/// `tags` of a new resource.
pub(crate) fn given(input: &Input) -> Result<Option<Tags>, ApiError> {
    let tags = input.sorted_text_map("tags")?.filter(|tags| !tags.is_empty());
    tags.iter().try_for_each(check)?;
    Ok(tags)
}

fn check(tags: &Tags) -> Result<(), ApiError> {
    if tags.len() > MAXIMUM_TAGS {
        return Err(ApiError::bad_request(format!(
            "A resource has at most {MAXIMUM_TAGS} tags; these are {}",
            tags.len()
        )));
    }
    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c);
    for (name, value) in tags {
        let length = name.chars().count();
        if !(1..=MAXIMUM_KEY).contains(&length) || !name.chars().all(allowed) {
            return Err(ApiError::bad_request(format!(
                "Invalid tag key '{name}'. Must have 1 to {MAXIMUM_KEY} letters, digits, spaces and + - = . _ : / @"
            )));
        }
        if name.starts_with("aws:") {
            return Err(ApiError::bad_request(format!(
                "Invalid tag key '{name}'. Keys that begin with aws: are reserved"
            )));
        }
        if value.chars().count() > MAXIMUM_VALUE || !value.chars().all(allowed) {
            return Err(ApiError::bad_request(format!(
                "Invalid value of tag '{name}'. Must have up to {MAXIMUM_VALUE} letters, digits, spaces and + - = . _ : / @"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::fixture;

    #[test]
    fn everything_that_can_have_tags_is_tagged_by_its_arn() {
        let fixture = fixture();
        let (api, _) = fixture.api();
        fixture.put(&api, "stages", "prod", json!({"stageName": "prod", "deploymentId": "d1", "createdDate": 1, "lastUpdatedDate": 1}));
        let id = |uri: &str, body: Value, member: &str| {
            format!("{uri}/{}", fixture.ok("POST", uri, body)[member].as_str().unwrap())
        };
        let domain = json!({"domainName": "a.example.com", "certificateArn": "arn:aws:acm:us-east-1:1:certificate/c"});
        let link = json!({"name": "link12", "targetArns": ["arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/net/a/b"]});
        for path in [
            format!("/restapis/{api}"),
            format!("/restapis/{api}/stages/prod"),
            id("/apikeys", json!({}), "id"),
            id("/usageplans", json!({"name": "gold"}), "id"),
            id("/domainnames", domain, "domainName"),
            id("/vpclinks", link, "id"),
            id("/clientcertificates", json!({}), "clientCertificateId"),
        ] {
            let uri = format!("/tags/arn:aws:apigateway:us-east-1::{path}");
            fixture.ok("PUT", &uri, json!({"tags": {"a": "1", "b": "2"}}));
            fixture.ok("PUT", &uri, json!({"tags": {"b": "3", "c": ""}}));
            assert_eq!(
                fixture.ok("GET", &uri, Value::Null)["tags"],
                json!({"a": "1", "b": "3", "c": ""})
            );
            let encoded = uri.replacen("/tags/", "", 1).replace('/', "%2F").replace(':', "%3A");
            fixture.ok("DELETE", &format!("/tags/{encoded}?tagKeys=a&tagKeys=c"), Value::Null);
            assert_eq!(fixture.ok("GET", &path, Value::Null)["tags"], json!({"b": "3"}), "{path}");
            fixture.ok("DELETE", &format!("{uri}?tagKeys=b"), Value::Null);
            let shown = fixture.ok("GET", &path, Value::Null);
            assert!(shown["tags"].as_object().is_none_or(serde_json::Map::is_empty), "{shown}");
        }
    }

    #[test]
    fn tags_have_bounds() {
        let fixture = fixture();
        let (api, _) = fixture.api();
        let arn = |path: &str| format!("/tags/arn:aws:apigateway:us-east-1::{path}");
        let uri = arn(&format!("/restapis/{api}"));
        let many: std::collections::BTreeMap<String, &str> =
            (0..51).map(|number| (format!("k{number}"), "v")).collect();
        for (tags, refused) in [
            (json!(many), "400 BadRequestException: A resource has at most 50 tags; these are 51"),
            (
                json!({"aws:a": "b"}),
                "400 BadRequestException: Invalid tag key 'aws:a'. Keys that begin with aws: are reserved",
            ),
            (
                json!({"a": "v".repeat(257)}),
                "400 BadRequestException: Invalid value of tag 'a'. Must have up to 256 letters, digits, spaces and + - = . _ : / @",
            ),
            (
                Value::Null,
                "400 ValidationException: 1 validation error detected: Value null at 'tagResourceInput.tags' failed to satisfy constraint: Member must not be null",
            ),
        ] {
            assert_eq!(fixture.refused("PUT", &uri, json!({"tags": tags})), refused);
        }
        for path in ["/restapis", "/apikeys/none", "/restapis/x/y"] {
            assert_eq!(
                fixture.refused("GET", &arn(path), Value::Null),
                "404 NotFoundException: Invalid ARN specified in the request"
            );
        }
        assert_eq!(
            fixture.refused("GET", &arn("/restapis/none"), Value::Null),
            "404 NotFoundException: Invalid API identifier specified 123456789012:none"
        );
    }

    #[test]
    fn what_is_made_with_tags_is_held_to_the_same_bounds() {
        let fixture = fixture();
        let (api, _) = fixture.api();
        fixture.put(&api, "deployments", "d1", json!({"id": "d1", "createdDate": 1}));
        let stages = format!("/restapis/{api}/stages");
        for (uri, mut body) in [
            ("/restapis", json!({"name": "pets"})),
            (&stages, json!({"stageName": "prod", "deploymentId": "d1"})),
            ("/apikeys", json!({})),
        ] {
            body["tags"] = json!({"aws:a": "b"});
            assert_eq!(
                fixture.refused("POST", uri, body),
                "400 BadRequestException: Invalid tag key 'aws:a'. Keys that begin with aws: are reserved"
            );
        }
    }
}
