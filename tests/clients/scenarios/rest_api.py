"""APIs: made, changed, cloned, imported, exported, deleted."""

import json
import re
import time

import yaml

from aws import document, mock_operation, openapi, patch, replace, without_metadata

OPERATIONS = """
    CreateRestApi GetRestApi GetRestApis UpdateRestApi DeleteRestApi ImportRestApi PutRestApi
    GetExport
""".split()


def test_a_new_api_has_awss_defaults(aws):
    name = aws.unique("plain")
    api = aws.rest_api(name=name)
    assert api["name"] == name
    assert api["apiKeySource"] == "HEADER"
    assert api["disableExecuteApiEndpoint"] is False
    assert api["endpointConfiguration"] == {"types": ["EDGE"], "ipAddressType": "ipv4"}
    assert abs(api["createdDate"].timestamp() - time.time()) < 60
    for absent in ("tags", "description", "version", "binaryMediaTypes", "policy",
                   "minimumCompressionSize", "warnings"):
        assert absent not in api, api
    found = aws.apigateway.get_rest_api(restApiId=api["id"])
    assert found["rootResourceId"] == api["rootResourceId"]
    assert found["createdDate"] == api["createdDate"]


def test_a_new_api_has_a_root_and_two_models(aws):
    api = aws.rest_api()
    resources = aws.apigateway.get_resources(restApiId=api["id"])["items"]
    assert resources == [{"id": api["rootResourceId"], "path": "/"}]
    models = aws.apigateway.get_models(restApiId=api["id"])["items"]
    assert {model["name"] for model in models} == {"Empty", "Error"}


POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*",
}]})


def test_everything_a_new_api_is_given_comes_back(aws):
    given = {
        "name": aws.unique("full"), "description": "all of it", "version": "3",
        "binaryMediaTypes": ["image/png", "application/*"], "minimumCompressionSize": 1024,
        "apiKeySource": "AUTHORIZER", "tags": {"team": "pets"},
        "endpointConfiguration": {"types": ["REGIONAL"], "ipAddressType": "dualstack"},
        "disableExecuteApiEndpoint": True,
    }
    made = aws.rest_api(policy=POLICY, **given)
    for answer in (made, aws.apigateway.get_rest_api(restApiId=made["id"])):
        for member, value in given.items():
            assert answer[member] == value, (member, answer)
        assert "execute-api:Invoke" in answer["policy"]


def test_endpoint_types_are_checked(aws):
    create = aws.apigateway.create_rest_api
    for types, message in [
        ([], "REGIONAL Configuration and EDGE Configuration cannot be both DISABLED."),
        (["EDGE", "REGIONAL"], "Cannot create an api with multiple Endpoint Types."),
    ]:
        aws.refused("BadRequestException", message, create,
                    name="types", endpointConfiguration={"types": types})
    aws.refused("BadRequestException", "Only dualstack ipAddressType is supported for Private APIs.",
                create, name="ip", endpointConfiguration={"types": ["PRIVATE"], "ipAddressType": "ipv4"})
    aws.refused("BadRequestException", "Description cannot be an empty string", create,
                name="blank", description="")
    types = ("Value '[wrong]' at 'createRestApiInput.endpointConfiguration.types' failed to satisfy "
             "constraint: Member must satisfy constraint: [Member must satisfy enum value set: "
             "[PRIVATE, EDGE, REGIONAL]]")
    address = ("Value 'wrong' at 'createRestApiInput.endpointConfiguration.ipAddressType' failed to "
               "satisfy constraint: Member must satisfy enum value set: [ipv4, dualstack]")
    aws.refused("ValidationException", f"1 validation error detected: {types}", create, name="wrong",
                endpointConfiguration={"types": ["wrong"]})
    aws.refused("ValidationException", f"2 validation errors detected: {types}; {address}", create,
                name="wrong", endpointConfiguration={"types": ["wrong"], "ipAddressType": "wrong"})
    private = aws.rest_api(endpointConfiguration={"types": ["PRIVATE"]})
    assert private["endpointConfiguration"] == {"types": ["PRIVATE"], "ipAddressType": "dualstack"}


def test_the_endpoint_type_moves_from_one_to_another(aws):
    api = aws.rest_api(endpointConfiguration={"types": ["EDGE"]})
    update = aws.apigateway.update_rest_api
    moved = update(restApiId=api["id"],
                   patchOperations=replace("/endpointConfiguration/types/EDGE", "REGIONAL"))
    assert moved["endpointConfiguration"]["types"] == ["REGIONAL"]
    moved = update(restApiId=api["id"],
                   patchOperations=replace("/endpointConfiguration/ipAddressType", "dualstack"))
    assert moved["endpointConfiguration"]["ipAddressType"] == "dualstack"
    aws.refused("BadRequestException", "ipAddressType must be either ipv4 or dualstack.", update,
                restApiId=api["id"],
                patchOperations=replace("/endpointConfiguration/ipAddressType", "ipv6"))
    aws.refused("BadRequestException",
                "Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE",
                update, restApiId=api["id"],
                patchOperations=replace("/endpointConfiguration/types/REGIONAL", "LOCAL"))


def test_single_values_are_replaced(aws):
    api = aws.rest_api(description="before")
    name = aws.unique("after")
    changed = aws.apigateway.update_rest_api(restApiId=api["id"], patchOperations=[
        patch("replace", "/name", name),
        patch("replace", "/description", "after"),
        patch("replace", "/apiKeySource", "AUTHORIZER"),
        patch("replace", "/disableExecuteApiEndpoint", "true"),
        patch("replace", "/minimumCompressionSize", "10"),
        patch("replace", "/policy", POLICY),
    ])
    for answer in (changed, aws.apigateway.get_rest_api(restApiId=api["id"])):
        assert answer["name"] == name
        assert answer["description"] == "after"
        assert answer["apiKeySource"] == "AUTHORIZER"
        assert answer["disableExecuteApiEndpoint"] is True
        assert answer["minimumCompressionSize"] == 10
        assert "2012-10-17" in answer["policy"]
    # What it was made without, an update tells as empty.
    assert changed["tags"] == {}


def test_the_compression_size_has_its_range(aws):
    api = aws.rest_api()

    def update(*operations):
        return dict(restApiId=api["id"], patchOperations=list(operations))

    zero = aws.apigateway.update_rest_api(**update(patch("replace", "/minimumCompressionSize", "0")))
    assert zero["minimumCompressionSize"] == 0
    for value in ("-1", "10485761", "large"):
        aws.refused("BadRequestException",
                    "Invalid minimum compression size, must be between 0 and 10485760",
                    aws.apigateway.update_rest_api,
                    **update(patch("replace", "/minimumCompressionSize", value)))
    aws.refused("BadRequestException",
                "Invalid patch operation specified. Must be one of: [replace]",
                aws.apigateway.update_rest_api,
                **update(patch("add", "/minimumCompressionSize", "10")))
    off = aws.apigateway.update_rest_api(**update(patch("replace", "/minimumCompressionSize")))
    assert "minimumCompressionSize" not in off


def test_binary_media_types_are_added_replaced_and_removed(aws):
    api = aws.rest_api(binaryMediaTypes=["image/png"])

    def update(*operations):
        answer = aws.apigateway.update_rest_api(restApiId=api["id"], patchOperations=list(operations))
        return set(answer.get("binaryMediaTypes", []))

    assert update(patch("add", "/binaryMediaTypes/image~1jpg")) == {"image/png", "image/jpg"}
    assert update(patch("replace", "/binaryMediaTypes/image~1png", "image/gif")) == {"image/gif", "image/jpg"}
    assert update(patch("remove", "/binaryMediaTypes/image~1jpg")) == {"image/gif"}
    assert update(patch("remove", "/binaryMediaTypes/image~1gif")) == set()
    assert update(patch("add", "/binaryMediaTypes/*~1*")) == {"*/*"}


def test_optional_values_are_removed(aws):
    api = aws.rest_api(description="goes", endpointConfiguration={"types": ["PRIVATE"]})
    endpoint = "vpce-0f1e2d3c4b5a69788"

    def update(*operations):
        return aws.apigateway.update_rest_api(restApiId=api["id"], patchOperations=list(operations))

    assert "description" not in update(patch("remove", "/description"))
    assert update(patch("add", "/description", "back"))["description"] == "back"
    path = "/endpointConfiguration/vpcEndpointIds"
    assert update(patch("add", path, endpoint))["endpointConfiguration"]["vpcEndpointIds"] == [endpoint]
    assert not update(patch("remove", path, endpoint))["endpointConfiguration"].get("vpcEndpointIds")


def test_wrong_patches_are_named(aws):
    api = aws.rest_api()

    def refused(code, message, *operations):
        aws.refused(code, message, aws.apigateway.update_rest_api,
                    restApiId=api["id"], patchOperations=list(operations))

    refused("BadRequestException", "Invalid patch path /nowhere", patch("replace", "/nowhere", "x"))
    refused("BadRequestException", "Invalid patch path /binaryMediaTypes",
            patch("add", "/binaryMediaTypes", "image~1png"))
    refused("BadRequestException",
            "Invalid patch operation specified. Must be 'add'|'remove'|'replace'",
            patch("copy", "/endpointConfiguration/types/EDGE", source="/name"))
    refused("BadRequestException", "Description cannot be an empty string",
            patch("replace", "/description", ""))
    enum = ("failed to satisfy constraint: Member must satisfy enum value set: "
            "[add, remove, move, test, replace, copy]")
    refused("ValidationException",
            "1 validation error detected: Value 'wrong' at "
            f"'updateRestApiInput.patchOperations.1.member.op' {enum}",
            patch("wrong", "/name", "x"))
    refused("ValidationException",
            "2 validation errors detected: Value 'wrong' at "
            f"'updateRestApiInput.patchOperations.2.member.op' {enum}; Value 'worse' at "
            f"'updateRestApiInput.patchOperations.3.member.op' {enum}",
            patch("replace", "/name", "x"), patch("wrong", "/name", "x"), patch("worse", "/name", "x"))


def test_a_patch_is_all_or_nothing(aws):
    api = aws.rest_api(name="whole")
    aws.refused("BadRequestException", "Invalid patch path /nowhere", aws.apigateway.update_rest_api,
                restApiId=api["id"],
                patchOperations=[patch("replace", "/name", "half"), patch("replace", "/nowhere", "x")])
    assert aws.apigateway.get_rest_api(restApiId=api["id"])["name"] == "whole"


def test_a_clone_has_everything_but_the_deployments(aws):
    original = aws.rest_api(description="the original")
    pets = aws.resource(original, "pets")
    aws.mock(original["id"], pets, template="cloned")
    aws.apigateway.create_deployment(restApiId=original["id"], stageName="prod")
    name = aws.unique("clone")
    clone = aws.rest_api(name=name, cloneFrom=original["id"])
    assert clone["id"] != original["id"] and clone["name"] == name
    resources = aws.apigateway.get_resources(restApiId=clone["id"], embed=["methods"])["items"]
    found = {resource["path"]: resource for resource in resources}
    assert set(found) == {"/", "/pets"}
    integration = found["/pets"]["resourceMethods"]["GET"]["methodIntegration"]
    assert integration["integrationResponses"]["200"]["responseTemplates"] == {"application/json": "cloned"}
    assert aws.apigateway.get_deployments(restApiId=clone["id"])["items"] == []
    assert aws.apigateway.get_stages(restApiId=clone["id"])["item"] == []
    # A copy: what happens to one is nothing to the other.
    aws.apigateway.delete_rest_api(restApiId=original["id"])
    aws.apigateway.create_deployment(restApiId=clone["id"], stageName="prod")
    aws.served(clone["id"], "prod", "cloned", "/pets")


def test_an_api_that_is_gone_is_unknown(aws):
    api = aws.apigateway.create_rest_api(name="short")
    gone = re.compile(rf"Invalid API identifier specified \d{{12}}:{api['id']}")
    assert aws.apigateway.delete_rest_api(restApiId=api["id"])["ResponseMetadata"]["HTTPStatusCode"] == 202
    for operation in (aws.apigateway.get_rest_api, aws.apigateway.delete_rest_api,
                      aws.apigateway.get_resources, aws.apigateway.get_stages):
        aws.refused("NotFoundException", gone, operation, restApiId=api["id"])


PETS = {
    "openapi": "3.0.1",
    "info": {"title": "pets", "description": "all pets", "version": "2.1"},
    "paths": {
        "/pets": {
            "get": {
                "operationId": "listPets",
                "parameters": [
                    {"name": "kind", "in": "query", "required": True, "schema": {"type": "string"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                ],
                "responses": {"200": {
                    "description": "ok",
                    "headers": {"X-Total": {"schema": {"type": "integer"}}},
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pets"}}},
                }},
                "x-amazon-apigateway-request-validator": "all",
                "x-amazon-apigateway-integration": {
                    "type": "http", "httpMethod": "GET", "uri": "http://127.0.0.1:9/pets",
                    "passthroughBehavior": "when_no_templates", "timeoutInMillis": 1500,
                    "requestParameters": {"integration.request.querystring.kind": "method.request.querystring.kind"},
                    "responses": {
                        "default": {"statusCode": "200"},
                        "5\\d{2}": {"statusCode": "502", "responseTemplates": {"application/json": "{}"}},
                    },
                },
            },
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}},
                **mock_operation("made", security=[{"api_key": []}]),
            },
        },
        "/pets/{id}": {"get": mock_operation("one")},
    },
    "components": {
        "schemas": {
            "Pet": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            "Pets": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
        },
        "securitySchemes": {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}},
    },
    "x-amazon-apigateway-request-validators": {
        "all": {"validateRequestBody": True, "validateRequestParameters": True},
    },
    "x-amazon-apigateway-gateway-responses": {
        "MISSING_AUTHENTICATION_TOKEN": {"statusCode": "404", "responseTemplates": {"application/json": "{}"}},
    },
    "x-amazon-apigateway-binary-media-types": ["image/png"],
}


def by_path(aws, api):
    answer = aws.apigateway.get_resources(restApiId=api["id"], embed=["methods"], limit=500)
    return {resource["path"]: resource for resource in answer["items"]}


def test_an_import_makes_resources_methods_models_and_validators(aws):
    api = aws.imported(PETS)
    assert (api["name"], api["description"], api["version"]) == ("pets", "all pets", "2.1")
    assert api["binaryMediaTypes"] == ["image/png"]
    resources = by_path(aws, api)
    assert set(resources) == {"/", "/pets", "/pets/{id}"}
    listing = resources["/pets"]["resourceMethods"]["GET"]
    assert listing["operationName"] == "listPets"
    assert listing["requestParameters"] == {
        "method.request.querystring.kind": True, "method.request.header.X-Trace": False,
    }
    response = listing["methodResponses"]["200"]
    assert response["responseModels"] == {"application/json": "Pets"}
    assert response["responseParameters"] == {"method.response.header.X-Total": False}
    integration = listing["methodIntegration"]
    assert (integration["type"], integration["uri"]) == ("HTTP", "http://127.0.0.1:9/pets")
    assert (integration["passthroughBehavior"], integration["timeoutInMillis"]) == ("WHEN_NO_TEMPLATES", 1500)
    responses = integration["integrationResponses"]
    assert set(responses) == {"200", "502"}
    assert "selectionPattern" not in responses["200"]
    assert responses["502"]["selectionPattern"] == "5\\d{2}"
    posting = resources["/pets"]["resourceMethods"]["POST"]
    assert posting["apiKeyRequired"] is True
    assert posting["requestModels"] == {"application/json": "Pet"}
    # A path variable is declared where no parameter is.
    one = resources["/pets/{id}"]["resourceMethods"]["GET"]
    assert one["requestParameters"] == {"method.request.path.id": True}
    validators = aws.apigateway.get_request_validators(restApiId=api["id"])["items"]
    assert [(it["name"], it["validateRequestBody"]) for it in validators] == [("all", True)]
    assert listing["requestValidatorId"] == validators[0]["id"]
    models = aws.apigateway.get_models(restApiId=api["id"])["items"]
    assert {"Pet", "Pets"} <= {model["name"] for model in models}
    assert "Error" not in {model["name"] for model in models}
    pets = aws.apigateway.get_model(restApiId=api["id"], modelName="Pets")
    assert json.loads(pets["schema"])["items"]["$ref"] == (
        f"https://apigateway.amazonaws.com/restapis/{api['id']}/models/Pet")
    refusal = aws.apigateway.get_gateway_response(
        restApiId=api["id"], responseType="MISSING_AUTHENTICATION_TOKEN")
    assert (refusal["statusCode"], refusal["defaultResponse"]) == ("404", False)


def test_yaml_and_swagger_import_as_json_does(aws):
    api = aws.imported(yaml.safe_dump(PETS))
    assert set(by_path(aws, api)) == {"/", "/pets", "/pets/{id}"}
    swagger = {
        "swagger": "2.0", "info": {"title": "old", "version": "1"}, "basePath": "/v1",
        "paths": {"/cats": {"get": mock_operation("cats")}},
    }
    assert set(by_path(aws, aws.imported(swagger))) == {"/", "/cats"}
    prepended = aws.imported(swagger, parameters={"basepath": "prepend"})
    assert set(by_path(aws, prepended)) == {"/", "/v1", "/v1/cats"}
    split = aws.imported({**swagger, "basePath": "/a/b/c"}, parameters={"basepath": "split"})
    assert set(by_path(aws, split)) == {"/", "/b", "/b/c", "/b/c/cats"}


def test_the_endpoint_type_is_a_parameter_of_the_import(aws):
    api = aws.imported(PETS, parameters={"endpointConfigurationTypes": "REGIONAL"})
    assert api["endpointConfiguration"]["types"] == ["REGIONAL"]


def test_a_warning_fails_an_import_only_when_told(aws):
    unquoted = openapi({"/warned": {"get": mock_operation("warned")}})
    integration = unquoted["paths"]["/warned"]["get"]["x-amazon-apigateway-integration"]
    integration["requestParameters"] = {"integration.request.header.X-On": True}
    api = aws.imported(unquoted)
    assert any("Invalid format for 'requestParameters'" in it for it in api["warnings"]), api
    name = unquoted["info"]["title"] = aws.unique("refused")
    aws.refused("BadRequestException", None, aws.apigateway.import_rest_api,
                body=document(unquoted), failOnWarnings=True)
    names = [it["name"] for page in aws.apigateway.get_paginator("get_rest_apis").paginate()
             for it in page["items"]]
    assert name not in names


def test_a_merge_keeps_what_it_does_not_mention(aws):
    api = aws.imported(PETS)
    aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    more = openapi({"/toys": {"get": mock_operation("toys")}},
                   **{"x-amazon-apigateway-binary-media-types": ["image/gif"]})
    merged = aws.apigateway.put_rest_api(restApiId=api["id"], mode="merge", body=document(more))
    assert merged["id"] == api["id"]
    assert set(merged["binaryMediaTypes"]) == {"image/png", "image/gif"}
    assert set(by_path(aws, api)) == {"/", "/pets", "/pets/{id}", "/toys"}
    models = aws.apigateway.get_models(restApiId=api["id"])["items"]
    assert {"Pet", "Pets"} <= {model["name"] for model in models}
    assert aws.apigateway.get_stage(restApiId=api["id"], stageName="prod")["deploymentId"]


def test_merge_is_the_default(aws):
    api = aws.imported(PETS)
    aws.apigateway.put_rest_api(
        restApiId=api["id"], body=document(openapi({"/toys": {"get": mock_operation("toys")}})))
    assert {"/pets", "/toys"} <= set(by_path(aws, api))


def test_an_overwrite_leaves_only_what_it_says(aws):
    api = aws.imported(PETS, parameters={"endpointConfigurationTypes": "REGIONAL"})
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api['id']}"
    aws.apigateway.tag_resource(resourceArn=arn, tags={"kept": "yes"})
    deployment = aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    other = openapi({"/toys": {"get": mock_operation("toys")}},
                    **{"x-amazon-apigateway-binary-media-types": ["image/gif"]})
    written = aws.apigateway.put_rest_api(restApiId=api["id"], mode="overwrite", body=document(other))
    assert written["name"] == "imported"
    assert written["binaryMediaTypes"] == ["image/gif"]
    assert written["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert written["tags"] == {"kept": "yes"}
    assert set(by_path(aws, api)) == {"/", "/toys"}
    models = aws.apigateway.get_models(restApiId=api["id"])["items"]
    assert not {"Pet", "Pets"} & {model["name"] for model in models}
    assert aws.apigateway.get_request_validators(restApiId=api["id"])["items"] == []
    stage = aws.apigateway.get_stage(restApiId=api["id"], stageName="prod")
    assert stage["deploymentId"] == deployment["id"]


def export(aws, api_id, kind, accepts, **parameters):
    answer = aws.apigateway.get_export(
        restApiId=api_id, stageName="prod", exportType=kind, accepts=accepts, parameters=parameters)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["contentType"].split(";")[0] == accepts
    assert "attachment" in answer["contentDisposition"]
    return answer["body"].read()


def test_a_stage_exports_as_openapi_3_and_swagger_in_json_and_yaml(aws):
    api = aws.imported(PETS)
    aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    new = json.loads(export(aws, api["id"], "oas30", "application/json"))
    assert new["openapi"].startswith("3.0") and new["info"]["title"] == "pets"
    assert set(new["paths"]) == {"/pets", "/pets/{id}"}
    assert "x-amazon-apigateway-integration" not in json.dumps(new)
    assert yaml.safe_load(export(aws, api["id"], "oas30", "application/yaml"))["paths"].keys() == new["paths"].keys()
    old = json.loads(export(aws, api["id"], "swagger", "application/json"))
    assert old["swagger"] == "2.0" and old["basePath"] == "/prod"
    assert old["definitions"].keys() >= {"Pet", "Pets"}
    assert yaml.safe_load(export(aws, api["id"], "swagger", "application/yaml"))["swagger"] == "2.0"


def test_an_export_with_extensions_imports_as_the_same_api(aws):
    api = aws.imported(PETS)
    aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    for kind in ("oas30", "swagger"):
        exported = export(aws, api["id"], kind, "application/json", extensions="apigateway")
        assert b"x-amazon-apigateway-integration" in exported
        again = aws.imported(exported.decode())
        assert without_ids(by_path(aws, again)) == without_ids(by_path(aws, api)), kind


def test_an_export_shows_what_is_deployed_not_what_is_drafted(aws):
    api = aws.imported(PETS)
    aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    aws.resource(api, "drafted")
    aws.apigateway.put_rest_api(
        restApiId=api["id"], body=document(openapi({"/drafted": {"get": mock_operation("drafted")}})))
    assert "/drafted" not in json.loads(export(aws, api["id"], "oas30", "application/json"))["paths"]


def test_an_export_names_what_it_cannot_give(aws):
    api = aws.imported(PETS)
    aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    get = aws.apigateway.get_export
    aws.refused("BadRequestException", None, get,
                restApiId=api["id"], stageName="prod", exportType="raml")
    aws.refused("NotFoundException", None, get,
                restApiId=api["id"], stageName="none", exportType="oas30")


def without_ids(resources):
    """Methods by path, with ids that differ from API to API taken out."""
    ids = {"cacheNamespace", "requestValidatorId", "authorizerId"}

    def strip(value):
        if isinstance(value, dict):
            return {key: strip(inner) for key, inner in value.items() if key not in ids}
        return value

    return {path: strip(resource.get("resourceMethods", {})) for path, resource in resources.items()}


def test_apis_are_listed(aws):
    made = [aws.rest_api() for _ in range(3)]
    listed = {api["id"]: without_metadata(api)
              for page in aws.apigateway.get_paginator("get_rest_apis").paginate() for api in page["items"]}
    for api in made:
        assert listed[api["id"]]["name"] == api["name"]
