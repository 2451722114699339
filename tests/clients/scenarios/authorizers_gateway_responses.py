"""Authorizers and gateway responses."""

import re

from aws import patch, replace, without_metadata

OPERATIONS = """
    CreateAuthorizer GetAuthorizer GetAuthorizers UpdateAuthorizer DeleteAuthorizer
    TestInvokeAuthorizer
    PutGatewayResponse GetGatewayResponse GetGatewayResponses UpdateGatewayResponse
    DeleteGatewayResponse
""".split()

FUNCTION = ("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            "arn:aws:lambda:us-east-1:123456789012:function:auth/invocations")
POOL = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abcdefghi"
DEFAULT_TEMPLATES = {"application/json": '{"message":$context.error.messageString}'}


def token_authorizer(aws, api_id, **more):
    return aws.apigateway.create_authorizer(
        restApiId=api_id, name=aws.unique("token"), type="TOKEN", authorizerUri=FUNCTION,
        identitySource="method.request.header.Authorization", **more)


def test_an_authorizer_lives_from_create_to_delete(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    made = token_authorizer(aws, api_id, authType="custom", authorizerResultTtlInSeconds=60,
                            identityValidationExpression="Bearer .*")
    assert made["type"] == "TOKEN" and made["authorizerUri"] == FUNCTION
    assert made["identitySource"] == "method.request.header.Authorization"
    assert made["identityValidationExpression"] == "Bearer .*"
    assert made["authorizerResultTtlInSeconds"] == 60
    where = {"restApiId": api_id, "authorizerId": made["id"]}
    assert without_metadata(client.get_authorizer(**where)) == without_metadata(made)
    pool = client.create_authorizer(
        restApiId=api_id, name="pool", type="COGNITO_USER_POOLS", providerARNs=[POOL],
        identitySource="method.request.header.Authorization")
    assert pool["providerARNs"] == [POOL]
    request = client.create_authorizer(
        restApiId=api_id, name="request", type="REQUEST", authorizerUri=FUNCTION,
        identitySource="method.request.header.X-Key,context.identity.sourceIp")
    assert request["identitySource"] == "method.request.header.X-Key,context.identity.sourceIp"
    listed = client.get_authorizers(restApiId=api_id)["items"]
    assert {it["id"] for it in listed} == {made["id"], pool["id"], request["id"]}
    client.delete_authorizer(**where)
    for operation in (client.get_authorizer, client.delete_authorizer):
        aws.refused("NotFoundException", re.compile("Invalid Authorizer identifier specified.*"),
                    operation, **where)


def test_an_authorizer_is_patched_path_by_path(aws):
    api_id = aws.rest_api()["id"]
    made = token_authorizer(aws, api_id)
    where = {"restApiId": api_id, "authorizerId": made["id"]}

    def update(*operations):
        answer = aws.apigateway.update_authorizer(**where, patchOperations=list(operations))
        assert without_metadata(aws.apigateway.get_authorizer(**where)) == without_metadata(answer)
        return answer

    other = FUNCTION.replace(":auth/", ":other/")
    role = "arn:aws:iam::123456789012:role/invoke"
    for path, value, expected in [
        ("name", "renamed", "renamed"),
        ("authorizerUri", other, other),
        ("authorizerCredentials", role, role),
        ("authorizerResultTtlInSeconds", "120", 120),
        ("identityValidationExpression", "Basic .*", "Basic .*"),
        ("identitySource", "method.request.header.X-Token", "method.request.header.X-Token"),
        ("authType", "custom", "custom"),
    ]:
        assert update(patch("replace", f"/{path}", value))[path] == expected


def test_pools_of_an_authorizer_are_added_and_removed(aws):
    api_id = aws.rest_api()["id"]
    made = aws.apigateway.create_authorizer(
        restApiId=api_id, name="pool", type="COGNITO_USER_POOLS", providerARNs=[POOL],
        identitySource="method.request.header.Authorization")
    where = {"restApiId": api_id, "authorizerId": made["id"]}
    other = POOL.replace("abcdefghi", "jklmnopqr")
    more = aws.apigateway.update_authorizer(**where, patchOperations=[patch("add", "/providerARNs", other)])
    assert set(more["providerARNs"]) == {POOL, other}
    less = aws.apigateway.update_authorizer(**where, patchOperations=[patch("remove", "/providerARNs", POOL)])
    assert less["providerARNs"] == [other]


def test_wrong_authorizers_are_refused(aws):
    api_id = aws.rest_api()["id"]
    create = aws.apigateway.create_authorizer
    given = {"restApiId": api_id, "name": "wrong", "identitySource": "method.request.header.A"}
    aws.refused("ValidationException",
                re.compile("1 validation error detected: Value 'X' at 'createAuthorizerInput.type' failed to "
                           r"satisfy constraint: Member must satisfy enum value set: \[.*\]"),
                create, **given, type="X", authorizerUri=FUNCTION)
    aws.refused("BadRequestException", None, create, **given, type="TOKEN")
    aws.refused("BadRequestException", None, create, **given, type="COGNITO_USER_POOLS")
    aws.refused("BadRequestException", None, create, **given, type="TOKEN", authorizerUri=FUNCTION,
                authorizerResultTtlInSeconds=3601)
    made = token_authorizer(aws, api_id)
    aws.refused("BadRequestException", "Invalid patch path /nowhere", aws.apigateway.update_authorizer,
                restApiId=api_id, authorizerId=made["id"], patchOperations=replace("/nowhere", "x"))


def test_an_authorizer_answers_without_a_client(aws):
    api_id = aws.rest_api()["id"]
    made = token_authorizer(aws, api_id, identityValidationExpression="Bearer .*")
    # There is no such function: what counts is that the answer says how it went.
    answer = aws.apigateway.test_invoke_authorizer(
        restApiId=api_id, authorizerId=made["id"], headers={"Authorization": "Bearer abc"},
        pathWithQueryString="/", stageVariables={"color": "red"})
    assert answer["log"] and answer["latency"] >= 0
    assert 200 <= answer["clientStatus"] <= 599
    aws.refused("NotFoundException", None, aws.apigateway.test_invoke_authorizer,
                restApiId=api_id, authorizerId="abcdef")


def gateway_response_types(aws):
    return set(aws.apigateway.meta.service_model.shape_for("GatewayResponseType").enum)


def test_all_types_of_gateway_responses_are_listed(aws):
    api_id = aws.rest_api()["id"]
    listed = {}
    for page in aws.apigateway.get_paginator("get_gateway_responses").paginate(restApiId=api_id):
        listed.update({it["responseType"]: it for it in page["items"]})
    assert set(listed) == gateway_response_types(aws)
    for kind, response in listed.items():
        assert response["defaultResponse"] is True
        assert response["responseTemplates"] == DEFAULT_TEMPLATES, kind
    assert listed["THROTTLED"]["statusCode"] == "429"
    assert listed["UNAUTHORIZED"]["statusCode"] == "401"


def test_a_gateway_response_lives_from_put_to_delete(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    where = {"restApiId": api_id, "responseType": "MISSING_AUTHENTICATION_TOKEN"}
    default = client.get_gateway_response(**where)
    assert (default["statusCode"], default["defaultResponse"]) == ("403", True)
    aws.refused("NotFoundException", "Gateway response type not defined on api",
                client.delete_gateway_response, **where)
    given = {
        "statusCode": "404",
        "responseParameters": {"gatewayresponse.header.X-Kind": "'gone'"},
        "responseTemplates": {"application/json": '{"path": "$context.path"}'},
    }
    made = client.put_gateway_response(**where, **given)
    assert without_metadata(made) == {
        "responseType": where["responseType"], "defaultResponse": False, **given}
    assert without_metadata(client.get_gateway_response(**where)) == without_metadata(made)
    assert client.delete_gateway_response(**where)["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert client.get_gateway_response(**where)["defaultResponse"] is True


def test_a_gateway_response_is_patched_path_by_path(aws):
    api_id = aws.rest_api()["id"]
    where = {"restApiId": api_id, "responseType": "DEFAULT_4XX"}

    def update(*operations):
        answer = aws.apigateway.update_gateway_response(**where, patchOperations=list(operations))
        assert without_metadata(aws.apigateway.get_gateway_response(**where)) == without_metadata(answer)
        return answer

    # One that was never put starts from the default.
    assert without_metadata(update(patch("replace", "/statusCode", "444"))) == {
        "responseType": "DEFAULT_4XX", "defaultResponse": False, "statusCode": "444",
        "responseParameters": {}, "responseTemplates": DEFAULT_TEMPLATES}
    header = "gatewayresponse.header.X-Kind"
    assert update(patch("add", f"/responseParameters/{header}", "'a'"))["responseParameters"] == {header: "'a'"}
    assert update(patch("replace", f"/responseParameters/{header}", "'b'"))["responseParameters"] == {header: "'b'"}
    assert not update(patch("remove", f"/responseParameters/{header}")).get("responseParameters")
    template = "/responseTemplates/application~1json"
    assert update(patch("replace", template, "{}"))["responseTemplates"] == {"application/json": "{}"}
    answer = update(patch("add", "/responseTemplates/text~1plain", "no"))
    assert answer["responseTemplates"] == {"application/json": "{}", "text/plain": "no"}
    assert update(patch("remove", template))["responseTemplates"] == {"text/plain": "no"}


def test_the_defaults_of_a_kind_show_in_all_of_it(aws):
    api_id = aws.rest_api()["id"]
    aws.apigateway.put_gateway_response(
        restApiId=api_id, responseType="DEFAULT_5XX", statusCode="599",
        responseParameters={"gatewayresponse.header.X-Kind": "'five'"})
    heir = aws.apigateway.get_gateway_response(restApiId=api_id, responseType="API_CONFIGURATION_ERROR")
    assert without_metadata(heir) == {
        "responseType": "API_CONFIGURATION_ERROR", "defaultResponse": True, "statusCode": "599",
        "responseParameters": {"gatewayresponse.header.X-Kind": "'five'"},
        "responseTemplates": DEFAULT_TEMPLATES}
    other = aws.apigateway.get_gateway_response(restApiId=api_id, responseType="THROTTLED")
    assert other["statusCode"] == "429" and other["responseParameters"] == {}


def test_wrong_gateway_responses_are_refused(aws):
    api_id = aws.rest_api()["id"]
    client = aws.apigateway
    kinds = re.compile("1 validation error detected: Value 'NO_SUCH_TYPE' at 'responseType' failed to satisfy "
                       r"constraint: Member must satisfy enum value set: \[.*DEFAULT_4XX.*\]")
    for operation in (client.put_gateway_response, client.get_gateway_response, client.delete_gateway_response):
        aws.refused("ValidationException", kinds, operation, restApiId=api_id, responseType="NO_SUCH_TYPE")
    client.put_gateway_response(restApiId=api_id, responseType="THROTTLED", statusCode="420")
    for code, message, operation in [
        ("BadRequestException", "Invalid patch path /nowhere", patch("replace", "/nowhere", "x")),
        ("BadRequestException", "Invalid patch path /statusCode", patch("add", "/statusCode", "429")),
        ("BadRequestException", "Invalid patch path null", {"op": "replace", "value": "x"}),
        ("BadRequestException", "Invalid null or empty value in responseTemplates",
         patch("add", "/responseTemplates/application~1json")),
        ("NotFoundException", "Invalid parameter name specified",
         patch("replace", "/responseParameters/gatewayresponse.header.X", "'x'")),
    ]:
        aws.refused(code, message, client.update_gateway_response, restApiId=api_id,
                    responseType="THROTTLED", patchOperations=[operation])


def test_clients_see_a_gateway_response_once_it_is_deployed(aws):
    api_id, _ = aws.deployed()
    aws.served(api_id, "prod", "hello")
    assert aws.call(api_id, "prod", "/nowhere").status == 403
    aws.apigateway.put_gateway_response(
        restApiId=api_id, responseType="MISSING_AUTHENTICATION_TOKEN", statusCode="404",
        responseParameters={"gatewayresponse.header.X-Kind": "'gone'"},
        responseTemplates={"application/json": '{"nothing": "here"}'})
    assert aws.call(api_id, "prod", "/nowhere").status == 403
    aws.apigateway.create_deployment(restApiId=api_id, stageName="prod")

    def look():
        answer = aws.call(api_id, "prod", "/nowhere")
        return answer.status == 404, answer

    answer = aws.eventually("the gateway response is served", look)
    assert answer.json() == {"nothing": "here"} and answer.headers["X-Kind"] == "gone"
