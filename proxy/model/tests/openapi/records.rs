//! Definitions as the management API's records, and back.

use tollgate_model::api::{Api, ApiKeySource, EndpointType};
use tollgate_model::control_plane::{
    Definition, DocumentationPart, DocumentationPartLocation, EndpointConfiguration, ImportMode,
    Resource, RestApi, record,
};
use tollgate_model::openapi::{ExportFormat, Imported, export};

use crate::{document, imported, openapi_definitions};

/// An API as CreateRestApi makes it.
fn empty() -> Definition {
    let rest_api = RestApi {
        id: "a1b2c3d4e5".to_owned(),
        name: "API".to_owned(),
        description: None,
        created_date: 0,
        version: None,
        warnings: Vec::new(),
        binary_media_types: Vec::new(),
        minimum_compression_size: None,
        api_key_source: ApiKeySource::Header,
        endpoint_configuration: EndpointConfiguration {
            types: vec![EndpointType::Regional],
            ip_address_type: "ipv4".to_owned(),
            vpc_endpoint_ids: Vec::new(),
        },
        policy: None,
        tags: None,
        disable_execute_api_endpoint: false,
        root_resource_id: "rootroot00".to_owned(),
        security_policy: None,
        endpoint_access_mode: None,
        transformers: Vec::new(),
    };
    let root = Resource {
        id: "rootroot00".to_owned(),
        parent_id: None,
        path_part: None,
        path: "/".to_owned(),
        resource_methods: Default::default(),
    };
    Definition { resources: vec![root], ..Definition::empty(rest_api) }
}

/// Ids `id0001`, `id0002`, …, from one on.
fn ids(mut next: u32) -> impl FnMut() -> String {
    move || {
        next += 1;
        format!("id{next:04}")
    }
}

fn take(definition: &mut Definition, imported: Imported, mode: ImportMode) -> Vec<String> {
    definition.take(imported, Some(Vec::new()), mode, &mut ids(0))
}

fn overwritten(text: &str) -> Definition {
    let mut definition = empty();
    take(&mut definition, imported(text), ImportMode::Overwrite);
    definition
}

fn with(mut definition: Definition, mode: ImportMode, text: &str) -> Definition {
    definition.take(imported(text), None, mode, &mut ids(1_000));
    definition
}

/// What the store keeps and gives again.
fn kept(definition: Definition) -> Definition {
    fn all<T: serde::Serialize + serde::de::DeserializeOwned>(records: Vec<T>) -> Vec<T> {
        let kept = records.iter().map(|it| record(it).to_string());
        kept.map(|text| serde_json::from_str(&text).expect("a record")).collect()
    }
    Definition {
        rest_api: all(vec![definition.rest_api]).remove(0),
        resources: all(definition.resources),
        models: all(definition.models),
        request_validators: all(definition.request_validators),
        authorizers: all(definition.authorizers),
        gateway_responses: all(definition.gateway_responses),
        documentation_parts: all(definition.documentation_parts),
    }
}

/// Without what records don't have, or have always.
fn comparable(mut api: Api) -> Api {
    api.base_path = None;
    api.documentation = None;
    api.tags.clear();
    if api.ip_address_type.as_deref() == Some("ipv4") {
        api.ip_address_type = None;
    }
    for authorizer in api.authorizers.values_mut() {
        authorizer.header_name = None;
        authorizer.auth_type = None;
    }
    for resource in api.resources.values_mut() {
        resource.id = None;
        for integration in resource.methods.values_mut().filter_map(|it| it.integration.as_mut()) {
            integration.timeout_in_millis = Some(integration.timeout_in_millis.unwrap_or(29_000));
        }
    }
    api
}

#[test]
fn a_definition_is_the_same_after_it_was_kept_as_records() {
    let mut compared = 0;
    for (name, text) in openapi_definitions() {
        let before = imported(&text);
        if before.api.protocol == tollgate_model::api::Protocol::Http {
            continue;
        }
        let mut definition = empty();
        let remarks = take(&mut definition, before.clone(), ImportMode::Overwrite);
        assert_eq!(remarks, Vec::<String>::new(), "{name}");
        let after = kept(definition).api().unwrap_or_else(|error| panic!("{name}: {error}"));
        let (before, after) = (comparable(before.api), comparable(after));
        for (path, resource) in &before.resources {
            assert_eq!(after.resources[path], *resource, "{name}: {path}");
        }
        assert_eq!(after, before, "{name}");
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}

#[test]
fn an_export_of_records_is_imported_as_the_same() {
    for (name, text) in openapi_definitions() {
        if imported(&text).api.protocol == tollgate_model::api::Protocol::Http {
            continue;
        }
        let before = overwritten(&text).api().expect("an API");
        let again = overwritten(&export(&before, ExportFormat::Oas30).to_string());
        assert_eq!(comparable(again.api().expect("an API")), comparable(before), "{name}");
    }
}

const PETS: &str = "
x-amazon-apigateway-binary-media-types: [image/png]
x-amazon-apigateway-request-validators: {body: {validateRequestBody: true}}
x-amazon-apigateway-gateway-responses: {THROTTLED: {statusCode: 430}}
components:
  schemas:
    Pet: {type: object, properties: {mother: {$ref: '#/components/schemas/Pet'}}}
  securitySchemes:
    token: {type: apiKey, in: header, name: token, x-amazon-apigateway-authorizer: {type: token, authorizerUri: 'arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/f/invocations'}}
paths:
  /pets:
    get: {security: [{token: []}], x-amazon-apigateway-request-validator: body, x-amazon-apigateway-integration: {type: mock}}
  /pets/{id}:
    get: {x-amazon-apigateway-integration: {type: mock}}
";

const TOYS: &str = "
x-amazon-apigateway-binary-media-types: [image/gif]
x-amazon-apigateway-gateway-responses: {DEFAULT_5XX: {statusCode: 599}}
paths:
  /pets:
    post: {x-amazon-apigateway-integration: {type: mock}}
  /toys:
    get: {x-amazon-apigateway-integration: {type: mock}}
";

fn methods(definition: &Definition) -> Vec<String> {
    let mut methods = Vec::new();
    for resource in &definition.resources {
        methods
            .extend(resource.resource_methods.keys().map(|it| format!("{it} {}", resource.path)));
    }
    methods
}

#[test]
fn resources_know_their_parents() {
    let definition = overwritten(&document(PETS));
    let [root, pets, pet] = &definition.resources[..] else { panic!("{definition:?}") };
    assert_eq!((root.path.as_str(), root.id.as_str()), ("/", "rootroot00"));
    assert_eq!((root.parent_id.clone(), root.path_part.clone()), (None, None));
    assert_eq!(pets.parent_id.as_ref(), Some(&root.id));
    assert_eq!(pet.parent_id.as_ref(), Some(&pets.id));
    assert_eq!(pet.path_part.as_deref(), Some("{id}"));
    let namespace = &pet.resource_methods.values().next().unwrap().method_integration;
    assert_eq!(namespace.as_ref().unwrap().cache_namespace, pet.id);
}

#[test]
fn a_models_references_name_its_own_api() {
    let definition = overwritten(&document(PETS));
    let schema = definition.models[0].schema.as_deref().unwrap();
    assert!(schema.contains("restapis/a1b2c3d4e5/models/Pet"), "{schema}");
    let mut other = empty().rest_api;
    other.id = "otherother".to_owned();
    let clone = definition.clone().cloned_for(other);
    let schema = clone.models[0].schema.as_deref().unwrap();
    assert!(schema.contains("restapis/otherother/models/Pet"), "{schema}");
    assert_eq!(clone.api().unwrap().models, definition.api().unwrap().models);
}

#[test]
fn a_merge_adds_and_replaces() {
    let before = overwritten(&document(PETS));
    let after = with(before.clone(), ImportMode::Merge, &document(TOYS));
    assert_eq!(methods(&after), ["GET /pets", "POST /pets", "GET /pets/{id}", "GET /toys"]);
    assert_eq!(after.rest_api.binary_media_types, ["image/png", "image/gif"]);
    assert_eq!(after.gateway_responses.len(), 2);
    assert_eq!(after.models, before.models);
    assert_eq!(after.authorizers, before.authorizers);
    assert_eq!(after.resources[1].id, before.resources[1].id);
    after.api().unwrap();
}

#[test]
fn an_overwrite_replaces_all_and_keeps_ids() {
    let before = overwritten(&document(PETS));
    let after = with(before.clone(), ImportMode::Overwrite, &document(TOYS));
    assert_eq!(methods(&after), ["POST /pets", "GET /toys"]);
    assert_eq!(after.rest_api.binary_media_types, ["image/gif"]);
    assert_eq!(after.gateway_responses.len(), 1);
    assert!(after.models.is_empty());
    assert_eq!(after.resources[1].id, before.resources[1].id);
    let again = with(before.clone(), ImportMode::Overwrite, &document(PETS));
    assert_eq!(again, before);
    assert_eq!(with(before.clone(), ImportMode::Merge, &document(PETS)), before);
}

#[test]
fn settings_that_a_definition_does_not_name_stay_only_in_a_merge() {
    let mut before = overwritten(&document(PETS));
    before.rest_api.description = Some("text".to_owned());
    before.rest_api.api_key_source = ApiKeySource::Authorizer;
    before.rest_api.endpoint_configuration.types = vec![EndpointType::Edge];
    let text = "openapi: 3.0.1\ninfo: {version: '2'}\npaths: {}\n";
    let merged = with(before.clone(), ImportMode::Merge, text).rest_api;
    assert_eq!(merged.name, "Pets");
    assert_eq!(merged.description.as_deref(), Some("text"));
    assert_eq!(merged.api_key_source, ApiKeySource::Authorizer);
    let overwritten = with(before, ImportMode::Overwrite, text).rest_api;
    assert_eq!((overwritten.name.as_str(), overwritten.description), ("Pets", None));
    assert_eq!(overwritten.version.as_deref(), Some("2"));
    assert_eq!(overwritten.api_key_source, ApiKeySource::Header);
    assert_eq!(overwritten.endpoint_configuration.types, [EndpointType::Edge]);
}

#[test]
fn a_second_integration_response_of_one_status_is_told() {
    let text = document(
        "paths: {/pets: {get: {x-amazon-apigateway-integration: {type: mock, responses: {'4..': {statusCode: 400}, '5..': {statusCode: 400}}}}}}\n",
    );
    let remarks = take(&mut empty(), imported(&text), ImportMode::Overwrite);
    assert!(remarks[0].starts_with("GET /pets: two integration responses"), "{remarks:?}");
}

#[test]
fn validators_of_one_name_are_both_frozen() {
    let mut definition = overwritten(&document(PETS));
    let mut second = definition.request_validators[0].clone();
    second.id = "second".to_owned();
    second.validate_request_body = false;
    definition.request_validators.push(second);
    let pets = &mut definition.resources[1];
    let method = pets.resource_methods.values_mut().next().unwrap();
    method.request_validator_id = Some("second".to_owned());
    let api = definition.api().unwrap();
    assert_eq!(api.request_validators.len(), 2);
    let used = api.resources["/pets"].methods[0].request_validator.as_ref().unwrap();
    assert!(!api.request_validators[used].validate_request_body);
}

#[test]
fn what_refers_to_nothing_is_refused_with_its_place() {
    let mut definition = overwritten(&document(PETS));
    definition.authorizers.clear();
    let error = definition.api().unwrap_err().to_string();
    assert!(error.starts_with("Invalid authorizer ID specified. Setting the"), "{error}");
    assert!(error.ends_with("(GET /pets)"), "{error}");
    let mut definition = overwritten(&document(PETS));
    definition.request_validators.clear();
    let error = definition.api().unwrap_err().to_string();
    assert_eq!(error, "Invalid Request Validator identifier specified (GET /pets)");
    let mut definition = overwritten(&document(PETS));
    definition.models[0].schema = Some("[".repeat(200));
    assert!(
        definition.api().unwrap_err().to_string().starts_with("Invalid model specified: Pet (")
    );
    definition.models[0].content_type = "application/xml".to_owned();
    assert!(definition.api().is_ok());
}

#[test]
fn documentation_parts_keep_their_ids_by_location() {
    let part = |path: &str, properties: &str| DocumentationPart {
        id: String::new(),
        location: DocumentationPartLocation {
            part_type: "RESOURCE".to_owned(),
            path: Some(path.to_owned()),
            method: None,
            status_code: None,
            name: None,
        },
        properties: properties.to_owned(),
    };
    let mut definition = overwritten(&document(PETS));
    let mut take = |parts: Option<Vec<DocumentationPart>>, mode| {
        definition.take(imported(&document(PETS)), parts, mode, &mut ids(2_000));
        let known = definition.documentation_parts.iter();
        known.map(|it| (it.id.clone(), it.properties.clone())).collect::<Vec<_>>()
    };
    let first = take(Some(vec![part("/a", "{}"), part("/b", "{}")]), ImportMode::Overwrite);
    assert_eq!(take(None, ImportMode::Overwrite), first);
    let text = r#"{"description":"x"}"#;
    let merged = take(Some(vec![part("/b", text)]), ImportMode::Merge);
    assert_eq!(merged, [first[0].clone(), (first[1].0.clone(), text.to_owned())]);
    assert_eq!(take(Some(vec![part("/b", "{}")]), ImportMode::Overwrite), [first[1].clone()]);
    let documentation = definition.api().unwrap().documentation.unwrap();
    let expected = serde_json::json!({"documentationParts": [{"location": {"type": "RESOURCE", "path": "/b"}, "properties": {}}]});
    assert_eq!(documentation, expected);
}

#[test]
fn a_frozen_api_can_be_read_however_deep_a_model_was() {
    for levels in [40, 60, 90, 110] {
        let schema = "{items: ".repeat(levels) + "{}" + &"}".repeat(levels);
        let text = document(&format!("components: {{schemas: {{Deep: {schema}}}}}\npaths: {{}}\n"));
        let frozen = overwritten(&text).api();
        assert_eq!(frozen.is_ok(), levels < 100, "{levels}");
        if let Ok(api) = frozen {
            let text = record(&api).to_string();
            assert_eq!(serde_json::from_str::<Api>(&text).expect("readable"), api);
        }
    }
}
