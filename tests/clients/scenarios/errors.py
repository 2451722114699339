"""What is refused, and how: wrong JSON, wrong paths, what isn't there, what isn't implemented."""

import re

from botocore.exceptions import ClientError

import coverage
from aws import document, mock_operation, openapi

# Errors are no success of any operation.
OPERATIONS = ["CreateRestApi"]

UNKNOWN_API = "abcdefghij"


def error(answer, status, code, message=None):
    """Asserts that a response made by hand is this error, in AWS's form."""
    assert answer.status == status, answer
    assert answer.headers["x-amzn-ErrorType"].split(":")[0] == code, (answer.headers["x-amzn-ErrorType"], answer)
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    assert answer.headers["x-amzn-RequestId"]
    body = answer.json()
    assert isinstance(body["message"], str), body
    if message is not None:
        assert body["message"] == message, body


def test_members_of_a_wrong_type_are_named(aws):
    api_id = aws.rest_api()["id"]
    boolean = "class java.lang.Boolean can not be converted to an String"
    number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"
    error(aws.send("POST", "/restapis", {"name": True}), 400, "SerializationException", boolean)
    error(aws.send("POST", "/restapis", {"name": 1}), 400, "SerializationException", number)
    error(aws.send("PATCH", f"/restapis/{api_id}", {"patchOperations": [
        {"op": "replace", "path": "/name", "value": True}]}), 400, "SerializationException", boolean)
    for body in ({"name": {}}, {"name": []}, {"name": "x", "tags": "y"}, {"name": "x", "binaryMediaTypes": 1}):
        error(aws.send("POST", "/restapis", body), 400, "SerializationException")


def test_garbage_is_refused_and_the_server_lives(aws):
    api_id = aws.rest_api()["id"]
    for body in ("", "{", "[]", "null", "\"text\"", "{\"name\":}", "\x00", "{" * 100_000, "[" * 100_000):
        answer = aws.send("PATCH", f"/restapis/{api_id}", body.encode())
        assert answer.status in (200, 400), (body[:20], answer)
        answer = aws.send("POST", "/restapis", body.encode())
        assert answer.status == 400, (body[:20], answer)
    assert aws.apigateway.get_rest_api(restApiId=api_id)["id"] == api_id


def test_required_members_are_missed(aws):
    for body in ({}, {"description": "nameless"}):
        answer = aws.send("POST", "/restapis", body)
        assert answer.status == 400 and answer.json()["message"], answer


def test_unknown_paths_and_methods_are_errors_not_crashes(aws):
    api_id = aws.rest_api()["id"]
    for method, path in [
        ("GET", "/"), ("GET", "/nowhere"), ("PUT", "/restapis"), ("POST", f"/restapis/{api_id}"),
        ("GET", f"/restapis/{api_id}/nowhere"), ("GET", "/restapis/%ff%fe"), ("GET", "/restapis//resources"),
        ("GET", f"/restapis/{'a' * 5000}"), ("PATCH", "/vpclinks"), ("GET", "/v2/nowhere"),
    ]:
        answer = aws.send(method, path)
        assert 400 <= answer.status < 500, (method, path, answer)
        assert answer.headers["x-amzn-RequestId"] and answer.json()["message"]


def test_everything_of_an_unknown_api_is_not_found(aws):
    client = aws.apigateway
    unknown = re.compile(rf"Invalid API identifier specified \d{{12}}:{UNKNOWN_API}")
    for operation, arguments in [
        (client.get_rest_api, {}), (client.delete_rest_api, {}), (client.get_resources, {}),
        (client.get_models, {}), (client.get_authorizers, {}), (client.get_request_validators, {}),
        (client.get_gateway_responses, {}), (client.get_deployments, {}), (client.get_stages, {}),
        (client.update_rest_api, {"patchOperations": [{"op": "replace", "path": "/name", "value": "x"}]}),
        (client.get_gateway_response, {"responseType": "THROTTLED"}),
    ]:
        aws.refused("NotFoundException", unknown, operation, restApiId=UNKNOWN_API, **arguments)
    where = {"restApiId": UNKNOWN_API, "resourceId": "abcdef"}
    no_resource = "Invalid Resource identifier specified"
    method = {**where, "httpMethod": "GET"}
    for operation, arguments in [
        (client.put_method, {"authorizationType": "NONE"}), (client.get_integration, {}),
        (client.update_method, {"patchOperations": [{"op": "replace", "path": "/apiKeyRequired", "value": "true"}]}),
        (client.get_integration_response, {"statusCode": "200"}),
        (client.put_integration_response, {"statusCode": "200"}),
    ]:
        aws.refused("NotFoundException", no_resource, operation, **method, **arguments)
    aws.refused("NotFoundException", None, client.put_rest_api, restApiId=UNKNOWN_API,
                body=document(openapi({"/": {"get": mock_operation("x")}})))


def test_ids_are_told_apart_by_case(aws):
    api_id = aws.rest_api()["id"]
    if api_id.upper() != api_id:
        aws.refused("NotFoundException", re.compile(".*" + api_id.upper()), aws.apigateway.get_rest_api,
                    restApiId=api_id.upper())


# What the operations that are not implemented need to be sent at all.
ARGUMENTS = {
    "GetSdk": {"restApiId": UNKNOWN_API, "stageName": "prod", "sdkType": "javascript"},
    "GetSdkType": {"id": "javascript"},
    "GetSdkTypes": {},
    "CreateDomainNameAccessAssociation": {
        "domainNameArn": "arn:aws:apigateway:us-east-1:123456789012:/domainnames/a.example.com+abcdef",
        "accessAssociationSourceType": "VPCE", "accessAssociationSource": "vpce-1"},
    "DeleteDomainNameAccessAssociation": {
        "domainNameAccessAssociationArn":
            "arn:aws:apigateway:us-east-1:123456789012:/domainnameaccessassociations/domainname/x"},
    "GetDomainNameAccessAssociations": {},
    "RejectDomainNameAccessAssociation": {
        "domainNameAccessAssociationArn":
            "arn:aws:apigateway:us-east-1:123456789012:/domainnameaccessassociations/domainname/x",
        "domainNameArn": "arn:aws:apigateway:us-east-1:123456789012:/domainnames/a.example.com+abcdef"},
}


def test_an_operation_that_is_not_implemented_says_so(aws):
    methods = {name: method for method, name in aws.apigateway.meta.method_to_api_mapping.items()}
    for operation in coverage.not_implemented():
        try:
            answer = getattr(aws.apigateway, methods[operation])(**ARGUMENTS[operation])
        except ClientError as error:
            message = error.response["Error"]["Message"]
            assert operation in message, f"{operation} is not named: {message!r}"
        else:
            raise AssertionError(f"{operation} succeeds, but is in not-implemented.txt: {answer}")
