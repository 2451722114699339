"""Documentation parts and versions."""

import json
import re

from aws import document, mock_operation, openapi, patch, replace, without_metadata

OPERATIONS = """
    CreateDocumentationPart GetDocumentationPart GetDocumentationParts UpdateDocumentationPart
    DeleteDocumentationPart ImportDocumentationParts
    CreateDocumentationVersion GetDocumentationVersion GetDocumentationVersions
    UpdateDocumentationVersion DeleteDocumentationVersion
""".split()

NO_PART = "Invalid Documentation part identifier specified"


def test_a_part_lives_from_create_to_delete(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    location = {"type": "METHOD", "path": "/pets", "method": "GET"}
    properties = json.dumps({"summary": "lists pets"})
    made = client.create_documentation_part(restApiId=api_id, location=location, properties=properties)
    assert (made["location"], made["properties"]) == (location, properties)
    where = {"restApiId": api_id, "documentationPartId": made["id"]}
    assert without_metadata(client.get_documentation_part(**where)) == without_metadata(made)
    other = json.dumps({"summary": "all pets"})
    changed = client.update_documentation_part(**where, patchOperations=replace("/properties", other))
    assert changed["properties"] == other and changed["location"] == location
    client.delete_documentation_part(**where)
    for operation in (client.get_documentation_part, client.delete_documentation_part):
        aws.refused("NotFoundException", NO_PART, operation, **where)


def test_parts_are_found_by_type_name_and_path(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway

    def create(**location):
        return client.create_documentation_part(
            restApiId=api_id, location=location, properties='{"description": "x"}')["id"]

    api, model = create(type="API"), create(type="MODEL", name="Pet")
    method, resource = create(type="METHOD", path="/pets", method="GET"), create(type="RESOURCE", path="/toys")

    def found(**query):
        return {it["id"] for it in client.get_documentation_parts(restApiId=api_id, **query)["items"]}

    assert found() == {api, model, method, resource}
    assert found(type="API") == {api}
    assert found(type="MODEL", nameQuery="Pet") == {model}
    assert found(path="/pets") == {method}


def test_wrong_parts_are_refused(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    aws.refused("BadRequestException", "Invalid REST API identifier specified",
                client.create_documentation_part, restApiId="abcdefghij", location={"type": "API"},
                properties='{"description": "x"}')
    aws.refused("ValidationException", None, client.create_documentation_part, restApiId=api_id,
                location={"type": "PLANET"}, properties='{"description": "x"}')
    aws.refused("BadRequestException", None, client.create_documentation_part, restApiId=api_id,
                location={"type": "API"}, properties="")
    made = client.create_documentation_part(
        restApiId=api_id, location={"type": "API"}, properties='{"description": "x"}')
    aws.refused("ConflictException", None, client.create_documentation_part, restApiId=api_id,
                location={"type": "API"}, properties='{"description": "y"}')
    update = client.update_documentation_part
    where = {"restApiId": api_id, "documentationPartId": made["id"]}
    aws.refused("BadRequestException",
                "Invalid patch path  '/nowhere' specified for op 'replace'. Must be one of: [/properties]",
                update, **where, patchOperations=replace("/nowhere", "x"))
    aws.refused("BadRequestException",
                "Invalid patch path  '/properties' specified for op 'add'. Please choose supported operations",
                update, **where, patchOperations=[patch("add", "/properties", "x")])
    aws.refused("NotFoundException", NO_PART, update, restApiId=api_id, documentationPartId="abcdef",
                patchOperations=replace("/properties", "{}"))


def documented(*parts):
    return openapi(**{"x-amazon-apigateway-documentation": {"version": "1", "documentationParts": [
        {"location": location, "properties": properties} for location, properties in parts]}})


def test_parts_are_imported(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    first = documented(({"type": "API"}, {"description": "pets"}),
                       ({"type": "MODEL", "name": "Pet"}, {"title": "Pet"}))
    answer = client.import_documentation_parts(restApiId=api_id, mode="overwrite", body=document(first))
    assert len(answer["ids"]) == 2 and answer.get("warnings", []) == []
    parts = client.get_documentation_parts(restApiId=api_id)["items"]
    assert {it["id"] for it in parts} == set(answer["ids"])
    assert {json.loads(it["properties"]).get("description") for it in parts} == {"pets", None}
    second = documented(({"type": "RESOURCE", "path": "/toys"}, {"description": "toys"}))
    client.import_documentation_parts(restApiId=api_id, mode="merge", body=document(second))
    assert len(client.get_documentation_parts(restApiId=api_id)["items"]) == 3
    client.import_documentation_parts(restApiId=api_id, mode="overwrite", body=document(second))
    (left,) = client.get_documentation_parts(restApiId=api_id)["items"]
    assert left["location"] == {"type": "RESOURCE", "path": "/toys"}
    for garbage in (b"{not json", b"just: [text"):
        # AWS says no more than that; where Tollgate knows, it says what is wrong.
        aws.refused("BadRequestException", re.compile(r"Unable to build importer with provided input\..*", re.DOTALL),
                    client.import_documentation_parts, restApiId=api_id, mode="merge", body=garbage)


def test_an_import_of_an_api_brings_its_parts(aws):
    definition = documented(({"type": "API"}, {"description": "pets"}))
    definition["paths"] = {"/pets": {"get": mock_operation("pets")}}
    api = aws.imported(definition)
    (part,) = aws.apigateway.get_documentation_parts(restApiId=api["id"], type="API")["items"]
    assert json.loads(part["properties"]) == {"description": "pets"}


def test_a_version_lives_from_create_to_delete(aws):
    api_id, _ = aws.deployed()
    client = aws.apigateway
    client.create_documentation_part(
        restApiId=api_id, location={"type": "API"}, properties='{"description": "pets"}')
    made = client.create_documentation_version(
        restApiId=api_id, documentationVersion="1.0", stageName="prod", description="first")
    assert (made["version"], made["description"]) == ("1.0", "first")
    assert client.get_stage(restApiId=api_id, stageName="prod")["documentationVersion"] == "1.0"
    where = {"restApiId": api_id, "documentationVersion": "1.0"}
    assert without_metadata(client.get_documentation_version(**where)) == without_metadata(made)
    aws.refused("ConflictException", None, client.create_documentation_version, **where)
    second = client.create_documentation_version(restApiId=api_id, documentationVersion="2.0")
    listed = client.get_documentation_versions(restApiId=api_id)["items"]
    assert {it["version"] for it in listed} == {"1.0", second["version"]}
    changed = client.update_documentation_version(**where, patchOperations=replace("/description", "old"))
    assert changed["description"] == "old"
    stage = client.update_stage(restApiId=api_id, stageName="prod",
                                patchOperations=replace("/documentationVersion", "2.0"))
    assert stage["documentationVersion"] == "2.0"
    client.delete_documentation_version(**where)
    for operation in (client.get_documentation_version, client.delete_documentation_version):
        aws.refused("NotFoundException", None, operation, **where)
