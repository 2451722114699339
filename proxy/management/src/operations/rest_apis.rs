//! REST APIs: CreateRestApi, GetRestApi, GetRestApis, UpdateRestApi, DeleteRestApi.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateRestApi.html>

use http::Method;
use serde_json::Value;
use tollgate_auth::{Policy, PolicyKind};
use tollgate_model::api::{ApiKeySource, EndpointType};
use tollgate_model::control_plane::{EndpointConfiguration, Model, Resource, RestApi, wire};

use crate::call::{Answer, Call};
use crate::context::{Context, Settings};
use crate::error::{ApiError, ErrorKind};
use crate::input::{Input, enum_violation};
use crate::names::{ID, LONG_ID, keys, new_id};
use crate::operations::{base_path_mappings, import, tags, usage_plans};
use crate::page;
use crate::patch::{Op, Patch, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateRestApi",
        method: Method::POST,
        uri: "/restapis",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetRestApis",
        method: Method::GET,
        uri: "/restapis",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetRestApi",
        method: Method::GET,
        uri: "/restapis/{restapi_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateRestApi",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteRestApi",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}",
        status: 202,
        run: delete,
    },
];

/// Bytes: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-openapi-minimum-compression-size.html>
const MAXIMUM_COMPRESSION_SIZE: i64 = 10_485_760;
/// Characters: <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>
const LONGEST_NAME: usize = 1024;

/// Of an API and of a domain name, in the service model's order.
pub(crate) const SECURITY_POLICIES: [&str; 12] = [
    "TLS_1_0",
    "TLS_1_2",
    "SecurityPolicy_TLS13_1_3_2025_09",
    "SecurityPolicy_TLS13_1_3_FIPS_2025_09",
    "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_FIPS_PFS_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_PQ_2025_09",
    "SecurityPolicy_TLS13_1_2_2021_06",
    "SecurityPolicy_TLS13_2025_EDGE",
    "SecurityPolicy_TLS12_PFS_2025_EDGE",
    "SecurityPolicy_TLS12_2018_EDGE",
];

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let requested = requested(context, &input)?;
    let clone_from = input.text("cloneFrom")?;
    context.carry_out(|unit| {
        let mut api = requested.clone();
        match &clone_from {
            Some(source) => import::clone_api(context, unit, source, &input, &mut api)?,
            None => start(unit, &mut api),
        }
        Ok(Answer::Json(show(&api)))
    })
}

/// Puts an API with its root resource and the two models that every new API has.
fn start(unit: &mut Unit, api: &mut RestApi) {
    let root = new_root();
    api.root_resource_id.clone_from(&root.id);
    unit.put(keys::resource(&api.id, &root.id), &root);
    for model in [empty_model(), error_model()] {
        unit.put(keys::model(&api.id, &model.name), &model);
    }
    unit.put(keys::rest_api(&api.id), api);
}

/// The root resource of a new API.
pub(crate) fn new_root() -> Resource {
    Resource {
        id: new_id(LONG_ID),
        parent_id: None,
        path_part: None,
        path: "/".to_owned(),
        resource_methods: Default::default(),
    }
}

/// What CreateRestApi says of the API.
fn requested(context: &Context, input: &Input) -> Result<RestApi, ApiError> {
    let name = input.required_text("name")?;
    check_name(&name)?;
    let description = input.text("description")?;
    check_description(description.as_deref())?;
    let compression = input.integer("minimumCompressionSize")?;
    let source = input.one_of("apiKeySource", &["HEADER", "AUTHORIZER"])?;
    let policy = input.text("policy")?.filter(|text| !text.is_empty());
    let mut api = RestApi {
        id: new_id(LONG_ID),
        name,
        description,
        created_date: context.now(),
        version: input.text("version")?,
        warnings: Vec::new(),
        binary_media_types: input.texts("binaryMediaTypes")?.unwrap_or_default(),
        minimum_compression_size: compression.map(compression_size).transpose()?,
        api_key_source: api_key_source(source.unwrap_or("HEADER")),
        endpoint_configuration: endpoint_configuration(input)?,
        policy: None,
        tags: tags::given(input)?,
        disable_execute_api_endpoint: input.boolean("disableExecuteApiEndpoint")?.unwrap_or(false),
        root_resource_id: String::new(),
        security_policy: input.one_of("securityPolicy", &SECURITY_POLICIES)?.map(str::to_owned),
        endpoint_access_mode: input
            .one_of("endpointAccessMode", &["BASIC", "STRICT"])?
            .map(str::to_owned),
        transformers: Vec::new(),
    };
    api.policy = policy.map(|text| checked_policy(context, &api.id, &text)).transpose()?;
    Ok(api)
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| page::list(call, unit, &keys::rest_apis(), |_: &RestApi| true, show))
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| Ok(Answer::Json(show(&api(context, unit, call)?))))
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let mut api = api(context, unit, call)?;
        for patch in &patches {
            apply(context, &mut api, patch)?;
        }
        check_endpoint(&api.endpoint_configuration)?;
        // Recorded: AWS answers `tags: {}` here, where CreateRestApi leaves them out.
        api.tags.get_or_insert_default();
        unit.put(keys::rest_api(&api.id), &api);
        Ok(Answer::Json(show(&api)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        base_path_mappings::check_unmapped(unit, &api, None)?;
        usage_plans::forget_stages(unit, &api, None)?;
        unit.delete_with_descendants(keys::rest_api(&api.id));
        Ok(Answer::Empty)
    })
}

/// The API that a call's URI names.
pub(crate) fn api(context: &Context, unit: &mut Unit, call: &Call) -> Result<RestApi, ApiError> {
    unit.api(call.part("restapi_id"), &context.settings.account_id)
}

/// The same where AWS doesn't say that it is the API that is missing.
pub(crate) fn api_or(
    context: &Context,
    unit: &mut Unit,
    call: &Call,
    missing: ApiError,
) -> Result<RestApi, ApiError> {
    match api(context, unit, call) {
        Err(error) if error.kind == ErrorKind::NotFound => Err(missing),
        found => found,
    }
}

fn apply(context: &Context, api: &mut RestApi, patch: &Patch) -> Result<(), ApiError> {
    let segments = patch.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if !matches!(patch.op, Op::Add | Op::Remove | Op::Replace) {
        return Err(ApiError::bad_request(
            "Invalid patch operation specified. Must be 'add'|'remove'|'replace'",
        ));
    }
    match segments[..] {
        ["binaryMediaTypes", media_type] => binary_media_type(api, patch, media_type),
        ["description"] => {
            let text = patch.optional_text();
            check_description(text.as_deref())?;
            api.description = text;
            Ok(())
        }
        ["endpointConfiguration", "vpcEndpointIds"] => vpc_endpoint_id(api, patch),
        ["minimumCompressionSize"] if patch.op == Op::Replace => {
            api.minimum_compression_size = match patch.optional_text() {
                Some(text) if !text.is_empty() => {
                    Some(compression_size(text.parse().map_err(|_| invalid_compression_size())?)?)
                }
                _ => None,
            };
            Ok(())
        }
        _ => replace(context, api, patch, &segments),
    }
}

/// The paths that have one value and can only be replaced.
fn replace(
    context: &Context,
    api: &mut RestApi,
    patch: &Patch,
    segments: &[&str],
) -> Result<(), ApiError> {
    const KNOWN: [&str; 8] = [
        "minimumCompressionSize",
        "name",
        "apiKeySource",
        "disableExecuteApiEndpoint",
        "policy",
        "securityPolicy",
        "endpointAccessMode",
        "version",
    ];
    let is_endpoint = segments.first() == Some(&"endpointConfiguration");
    let is_known = segments.len() == 1 && KNOWN.contains(&segments[0]);
    if !is_known && !is_endpoint {
        return Err(patch.invalid_path());
    }
    if patch.op != Op::Replace && segments != ["policy"] {
        return Err(ApiError::bad_request(
            "Invalid patch operation specified. Must be one of: [replace]",
        ));
    }
    match segments {
        ["name"] => {
            let name = patch.text()?;
            check_name(name)?;
            api.name = name.to_owned();
        }
        ["apiKeySource"] => {
            api.api_key_source = api_key_source(patch.one_of(&["HEADER", "AUTHORIZER"])?);
        }
        ["disableExecuteApiEndpoint"] => api.disable_execute_api_endpoint = patch.boolean()?,
        ["policy"] => {
            let text = patch.optional_text().filter(|text| !text.is_empty());
            api.policy = text.map(|text| checked_policy(context, &api.id, &text)).transpose()?;
        }
        ["securityPolicy"] => {
            api.security_policy = Some(patch.one_of(&SECURITY_POLICIES)?.to_owned());
        }
        ["endpointAccessMode"] => {
            api.endpoint_access_mode = Some(patch.one_of(&["BASIC", "STRICT"])?.to_owned());
        }
        ["version"] => api.version = Some(patch.text()?.to_owned()),
        ["endpointConfiguration", "types", old] => endpoint_type(api, patch, old)?,
        ["endpointConfiguration", "ipAddressType"] => {
            api.endpoint_configuration.ip_address_type = patch.text()?.to_owned();
        }
        _ => return Err(patch.invalid_path()),
    }
    Ok(())
}

fn binary_media_type(api: &mut RestApi, patch: &Patch, media_type: &str) -> Result<(), ApiError> {
    let types = &mut api.binary_media_types;
    let at = types.iter().position(|known| known == media_type);
    match (patch.op, at) {
        (Op::Remove, Some(at)) => drop(types.remove(at)),
        (Op::Remove, None) => {
            return Err(ApiError::not_found("Invalid binary media type specified"));
        }
        (Op::Replace, Some(at)) => {
            types[at] = patch.value.clone().unwrap_or_else(|| media_type.to_owned());
        }
        (_, None) => types.push(media_type.to_owned()),
        (_, Some(_)) => {}
    }
    Ok(())
}

fn vpc_endpoint_id(api: &mut RestApi, patch: &Patch) -> Result<(), ApiError> {
    let ids = &mut api.endpoint_configuration.vpc_endpoint_ids;
    let id = patch.text()?;
    match patch.op {
        Op::Remove => ids.retain(|known| known != id),
        _ if ids.iter().any(|known| known == id) => {}
        _ => ids.push(id.to_owned()),
    }
    Ok(())
}

/// `/endpointConfiguration/types/EDGE` replaced with `REGIONAL`.
fn endpoint_type(api: &mut RestApi, patch: &Patch, old: &str) -> Result<(), ApiError> {
    let new = parse_endpoint_type(patch.text()?).ok_or_else(invalid_endpoint_types)?;
    let types = &mut api.endpoint_configuration.types;
    // An index stands for the type, too: Terraform sends `/types/0`.
    let at = match old.parse::<usize>() {
        Ok(index) => (index < types.len()).then_some(index),
        Err(_) => types.iter().position(|it| endpoint_type_name(*it) == old),
    };
    let Some(at) = at else { return Err(invalid_endpoint_types()) };
    types[at] = new;
    if new == EndpointType::Private {
        "dualstack".clone_into(&mut api.endpoint_configuration.ip_address_type);
    }
    Ok(())
}

/// `endpointConfiguration` of a new API or domain name; EDGE when it says nothing.
pub(crate) fn endpoint_configuration(input: &Input) -> Result<EndpointConfiguration, ApiError> {
    let given = input.structure("endpointConfiguration")?;
    let texts = |member| -> Result<Vec<String>, ApiError> {
        let texts = given.as_ref().map(|given| given.texts(member)).transpose()?;
        Ok(texts.flatten().unwrap_or_default())
    };
    let names = texts("types")?;
    let says_types = given.as_ref().is_some_and(|given| given.has("types"));
    if says_types && names.is_empty() {
        return Err(ApiError::bad_request(
            "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED.",
        ));
    }
    let address = match &given {
        Some(given) => given.text("ipAddressType")?,
        None => None,
    };
    check_members(given.as_ref(), &names, address.as_deref())?;
    let mut types: Vec<_> = names.iter().filter_map(|name| parse_endpoint_type(name)).collect();
    if types.is_empty() {
        types.push(EndpointType::Edge);
    }
    let private = types.contains(&EndpointType::Private);
    let configuration = EndpointConfiguration {
        types,
        ip_address_type: address
            .unwrap_or_else(|| if private { "dualstack" } else { "ipv4" }.to_owned()),
        vpc_endpoint_ids: texts("vpcEndpointIds")?,
    };
    check_endpoint(&configuration)?;
    Ok(configuration)
}

/// Values that aren't in the service model's enumerations.
fn check_members(
    given: Option<&Input>,
    types: &[String],
    address: Option<&str>,
) -> Result<(), ApiError> {
    let Some(given) = given else { return Ok(()) };
    let mut violations = Vec::new();
    if types.iter().any(|name| parse_endpoint_type(name).is_none()) {
        violations.push(format!(
            "Value '[{}]' at '{}' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [PRIVATE, EDGE, REGIONAL]]",
            types.join(", "),
            given.place("types"),
        ));
    }
    if let Some(address) = address.filter(|it| !["ipv4", "dualstack"].contains(it)) {
        let place = given.place("ipAddressType");
        violations.push(enum_violation(&place, address, &["ipv4", "dualstack"]));
    }
    if violations.is_empty() { Ok(()) } else { Err(ApiError::validation(&violations)) }
}

pub(crate) fn check_endpoint(configuration: &EndpointConfiguration) -> Result<(), ApiError> {
    let private = configuration.types.contains(&EndpointType::Private);
    Err(ApiError::bad_request(match configuration.ip_address_type.as_str() {
        _ if configuration.types.len() > 1 => "Cannot create an api with multiple Endpoint Types.",
        "ipv4" if private => "Only dualstack ipAddressType is supported for Private APIs.",
        "ipv4" | "dualstack" => return Ok(()),
        _ => "ipAddressType must be either ipv4 or dualstack.",
    }))
}

pub(crate) fn invalid_endpoint_types() -> ApiError {
    ApiError::bad_request(
        "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE",
    )
}

pub(crate) fn parse_endpoint_type(name: &str) -> Option<EndpointType> {
    [EndpointType::Edge, EndpointType::Regional, EndpointType::Private]
        .into_iter()
        .find(|it| endpoint_type_name(*it) == name)
}

pub(crate) fn endpoint_type_name(endpoint_type: EndpointType) -> &'static str {
    match endpoint_type {
        EndpointType::Edge => "EDGE",
        EndpointType::Regional => "REGIONAL",
        EndpointType::Private => "PRIVATE",
    }
}

fn api_key_source(name: &str) -> ApiKeySource {
    if name == "AUTHORIZER" { ApiKeySource::Authorizer } else { ApiKeySource::Header }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::bad_request("API name cannot be an empty string"));
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(ApiError::bad_request(format!(
            "Invalid API name, can be at most {LONGEST_NAME} characters."
        )));
    }
    Ok(())
}

fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    match description {
        Some("") => Err(ApiError::bad_request("Description cannot be an empty string")),
        _ => Ok(()),
    }
}

fn compression_size(size: i64) -> Result<u32, ApiError> {
    let allowed = (0..=MAXIMUM_COMPRESSION_SIZE).contains(&size);
    u32::try_from(size).ok().filter(|_| allowed).ok_or_else(invalid_compression_size)
}

fn invalid_compression_size() -> ApiError {
    ApiError::bad_request(format!(
        "Invalid minimum compression size, must be between 0 and {MAXIMUM_COMPRESSION_SIZE}"
    ))
}

/// A resource policy that can be evaluated, in the form AWS keeps: without spaces, and short
/// resources (`execute-api:/…`) as whole ARNs.
pub(crate) fn checked_policy(
    context: &Context,
    api_id: &str,
    text: &str,
) -> Result<String, ApiError> {
    let Settings { region, account_id, .. } = &context.settings;
    let partition = tollgate_model::compile::partition(region);
    let api_arn = format!("arn:{partition}:execute-api:{region}:{account_id}:{api_id}");
    let invalid = |reason: String| {
        ApiError::bad_request(format!(
            "Invalid policy document. Please check the policy syntax and ensure that Principals are valid. ({reason})"
        ))
    };
    Policy::parse(text, PolicyKind::Resource { api_arn: &api_arn })
        .map_err(|error| invalid(error.to_string()))?;
    let mut policy = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    expand_resources(&mut policy, &api_arn);
    Ok(policy.to_string())
}

fn expand_resources(policy: &mut Value, api_arn: &str) {
    fn expand(resource: &mut Value, api_arn: &str) {
        match resource {
            Value::String(text) => {
                if let Some(rest) = text.strip_prefix("execute-api:/") {
                    *text = format!("{api_arn}/{rest}");
                }
            }
            Value::Array(resources) => resources.iter_mut().for_each(|it| expand(it, api_arn)),
            _ => {}
        }
    }
    let statements = match policy.get_mut("Statement") {
        Some(Value::Array(statements)) => statements.iter_mut().collect(),
        Some(statement) => vec![statement],
        None => Vec::new(),
    };
    for statement in statements {
        for member in ["Resource", "NotResource"] {
            if let Some(resource) = statement.get_mut(member) {
                expand(resource, api_arn);
            }
        }
    }
}

/// An API as it is answered. AWS escapes the policy's text once more, slashes included, and
/// clients such as Terraform count on it.
pub(crate) fn show(api: &RestApi) -> Value {
    let mut value = wire(api);
    if let Some(policy) = &api.policy {
        let quoted = Value::String(policy.clone()).to_string().replace('/', "\\/");
        value["policy"] = Value::String(quoted[1..quoted.len() - 1].to_owned());
    }
    value
}

/// The models of a new API, as AWS has them.
fn empty_model() -> Model {
    Model {
        id: new_id(ID),
        name: "Empty".to_owned(),
        description: Some("This is a default empty schema model".to_owned()),
        schema: Some(
            "{\n  \"$schema\": \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Empty Schema\",\n  \"type\" : \"object\"\n}"
                .to_owned(),
        ),
        content_type: "application/json".to_owned(),
    }
}

fn error_model() -> Model {
    Model {
        name: "Error".to_owned(),
        description: Some("This is a default error schema model".to_owned()),
        schema: Some(
            "{\n  \"$schema\" : \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Error Schema\",\n  \"type\" : \"object\",\n  \"properties\" : {\n    \"message\" : { \"type\" : \"string\" }\n  }\n}"
                .to_owned(),
        ),
        ..empty_model()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{fixture, replace};

    #[test]
    fn members_of_an_api_are_held_to_the_service_model() {
        let fixture = fixture();
        let uri = format!("/restapis/{}", fixture.api().0);
        let policy =
            fixture.refused("POST", "/restapis", json!({"name": "a", "securityPolicy": "x"}));
        let start = "400 ValidationException: 1 validation error detected: Value 'x' at 'createRestApiInput.securityPolicy' failed to satisfy constraint: Member must satisfy enum value set: [TLS_1_0, TLS_1_2, ";
        assert!(policy.starts_with(start), "{policy}");
        let policy = fixture.refused("PATCH", &uri, replace("/securityPolicy", "x"));
        let start = "400 BadRequestException: Invalid patch value 'x' specified for path '/securityPolicy'. Must be one of [TLS_1_0, TLS_1_2, ";
        assert!(policy.starts_with(start), "{policy}");
        let changed = fixture.ok("PATCH", &uri, replace("/securityPolicy", "TLS_1_2"));
        assert_eq!(changed["securityPolicy"], "TLS_1_2");

        let long = "x".repeat(1_025);
        let refused = "400 BadRequestException: Invalid API name, can be at most 1024 characters.";
        assert_eq!(fixture.refused("POST", "/restapis", json!({"name": long})), refused);
        assert_eq!(fixture.refused("PATCH", &uri, replace("/name", &long)), refused);
    }
}
