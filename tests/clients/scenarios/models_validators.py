"""Models and request validators."""

import json
import re

from aws import patch, replace, without_metadata

OPERATIONS = """
    CreateModel GetModel GetModels UpdateModel DeleteModel GetModelTemplate
    CreateRequestValidator GetRequestValidator GetRequestValidators UpdateRequestValidator
    DeleteRequestValidator
""".split()

PET = json.dumps({
    "$schema": "http://json-schema.org/draft-04/schema#", "title": "Pet", "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"],
})


def test_a_model_lives_from_create_to_delete(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    made = client.create_model(
        restApiId=api_id, name="Pet", description="a pet", contentType="application/json", schema=PET)
    assert (made["name"], made["description"], made["contentType"]) == ("Pet", "a pet", "application/json")
    assert json.loads(made["schema"]) == json.loads(PET)
    where = {"restApiId": api_id, "modelName": "Pet"}
    assert without_metadata(client.get_model(**where)) == without_metadata(made)
    assert {it["name"] for it in client.get_models(restApiId=api_id)["items"]} == {"Empty", "Error", "Pet"}
    other = '{"type": "array", "items": {"type": "string"}}'
    changed = client.update_model(**where, patchOperations=[
        patch("replace", "/description", "another"), patch("replace", "/schema", other)])
    assert changed["description"] == "another" and json.loads(changed["schema"]) == json.loads(other)
    assert changed["id"] == made["id"]
    client.delete_model(**where)
    for operation in (client.get_model, client.delete_model):
        aws.refused("NotFoundException", "Invalid model name specified: Pet", operation, **where)


def test_models_are_checked(aws):
    api_id = aws.rest_api()["id"]
    create = aws.apigateway.create_model
    given = {"restApiId": api_id, "contentType": "application/json"}
    create(**given, name="Pet", schema=PET)
    aws.refused("ConflictException", "Model name already exists for this REST API",
                create, **given, name="Pet", schema=PET)
    aws.refused("BadRequestException", "Model name must be non-empty", create, **given, name="", schema=PET)
    aws.refused("BadRequestException", "Model schema must have at least 1 property or array items defined",
                create, **given, name="Bare")
    aws.refused("BadRequestException", None, create, **given, name="Broken", schema='{"type": ')
    aws.refused("BadRequestException", None, create, **given, name="with space", schema=PET)
    aws.refused("NotFoundException", re.compile(r"Invalid API identifier specified \d{12}:abcdefghij"),
                create, **{**given, "restApiId": "abcdefghij"}, name="Pet", schema=PET)


def test_wrong_patches_of_models_are_named(aws):
    api_id = aws.rest_api()["id"]
    aws.apigateway.create_model(restApiId=api_id, name="Pet", contentType="application/json", schema=PET)
    update = aws.apigateway.update_model
    where = {"restApiId": api_id, "modelName": "Pet"}
    aws.refused("BadRequestException",
                "Invalid patch path  '/nowhere' specified for op 'replace'. Must be one of: "
                "[/description, /schema]",
                update, **where, patchOperations=replace("/nowhere", "x"))
    aws.refused("BadRequestException",
                "Invalid patch path  '/schema' specified for op 'add'. Please choose supported operations",
                update, **where, patchOperations=[patch("add", "/schema", PET)])
    aws.refused("NotFoundException", "Invalid model name specified: Cat", update,
                restApiId=api_id, modelName="Cat", patchOperations=replace("/schema", PET))


def test_a_model_in_use_stays(aws):
    api = aws.rest_api()
    client = aws.apigateway
    client.create_model(restApiId=api["id"], name="Pet", contentType="application/json", schema=PET)
    client.put_method(restApiId=api["id"], resourceId=aws.resource(api, "test"), httpMethod="ANY",
                      authorizationType="NONE", requestModels={"application/json": "Pet"})
    aws.refused("ConflictException",
                "Cannot delete model 'Pet', is referenced in method request: /test/ANY",
                client.delete_model, restApiId=api["id"], modelName="Pet")


def test_models_refer_to_each_other(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    client.create_model(restApiId=api_id, name="Pet", contentType="application/json", schema=PET)
    pets = {"type": "array", "items": {
        "$ref": f"https://apigateway.amazonaws.com/restapis/{api_id}/models/Pet"}}
    client.create_model(restApiId=api_id, name="Pets", contentType="application/json", schema=json.dumps(pets))
    plain = json.loads(client.get_model(restApiId=api_id, modelName="Pets")["schema"])
    assert plain == pets
    flat = json.loads(client.get_model(restApiId=api_id, modelName="Pets", flatten=True)["schema"])
    assert "name" in json.dumps(flat)


def test_a_model_has_a_template(aws):
    api_id = aws.rest_api()["id"]
    aws.apigateway.create_model(restApiId=api_id, name="Pet", contentType="application/json", schema=PET)
    template = aws.apigateway.get_model_template(restApiId=api_id, modelName="Pet")["value"]
    assert "name" in template and "age" in template
    aws.refused("NotFoundException", "Invalid model name specified: Cat",
                aws.apigateway.get_model_template, restApiId=api_id, modelName="Cat")


def test_a_validator_lives_from_create_to_delete(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    plain = client.create_request_validator(restApiId=api_id, name="plain")
    assert (plain["validateRequestBody"], plain["validateRequestParameters"]) == (False, False)
    made = client.create_request_validator(
        restApiId=api_id, name="body", validateRequestBody=True, validateRequestParameters=False)
    where = {"restApiId": api_id, "requestValidatorId": made["id"]}
    assert without_metadata(client.get_request_validator(**where)) == without_metadata(made)
    changed = client.update_request_validator(**where, patchOperations=[
        patch("replace", "/name", "parameters"),
        patch("replace", "/validateRequestBody", "false"),
        patch("replace", "/validateRequestParameters", "true"),
    ])
    assert without_metadata(changed) == {
        "id": made["id"], "name": "parameters", "validateRequestBody": False,
        "validateRequestParameters": True}
    listed = client.get_request_validators(restApiId=api_id)["items"]
    assert {it["name"] for it in listed} == {"plain", "parameters"}
    client.delete_request_validator(**where)
    for operation in (client.get_request_validator, client.delete_request_validator):
        aws.refused("NotFoundException", "Invalid Request Validator identifier specified", operation, **where)


def test_wrong_validators_are_named(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    aws.refused("BadRequestException", "Invalid REST API identifier specified",
                client.create_request_validator, restApiId="abcdefghij", name="lost")
    made = client.create_request_validator(restApiId=api_id, name="all")
    update = client.update_request_validator
    where = {"restApiId": api_id, "requestValidatorId": made["id"]}
    aws.refused("BadRequestException", "Request Validator name cannot be blank",
                update, **where, patchOperations=replace("/name", ""))
    aws.refused("BadRequestException",
                "Invalid patch path  '/nowhere' specified for op 'replace'. Must be one of: "
                "[/name, /validateRequestParameters, /validateRequestBody]",
                update, **where, patchOperations=replace("/nowhere", "x"))
    aws.refused("BadRequestException",
                "Invalid patch path  '/name' specified for op 'remove'. Please choose supported operations",
                update, **where, patchOperations=[patch("remove", "/name")])


def test_a_validator_and_a_model_hold_requests_to_what_they_say(aws):
    api = aws.rest_api()
    client = aws.apigateway
    client.create_model(restApiId=api["id"], name="Pet", contentType="application/json", schema=PET)
    validator = client.create_request_validator(
        restApiId=api["id"], name="all", validateRequestBody=True, validateRequestParameters=True)
    aws.mock(api["id"], api["rootResourceId"], "POST", template="made",
             requestValidatorId=validator["id"], requestModels={"application/json": "Pet"},
             requestParameters={"method.request.header.X-Trace": True})
    client.create_deployment(restApiId=api["id"], stageName="prod")
    whole = {"Content-Type": "application/json", "X-Trace": "1"}
    aws.served(api["id"], "prod", "made", method="POST", body='{"name": "Rex"}', headers=whole)
    for body, headers, message in [
        ("{}", whole, "Invalid request body"),
        ('{"name": "Rex"}', {"Content-Type": "application/json"},
         "Missing required request parameters: [X-Trace]"),
    ]:
        answer = aws.call(api["id"], "prod", method="POST", body=body, headers=headers)
        assert (answer.status, answer.json()) == (400, {"message": message}), answer
