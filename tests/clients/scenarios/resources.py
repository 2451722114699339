"""Resources, methods, integrations and their responses."""

from aws import patch, replace, without_metadata

OPERATIONS = """
    CreateResource GetResource GetResources UpdateResource DeleteResource
    PutMethod GetMethod UpdateMethod DeleteMethod
    PutMethodResponse GetMethodResponse UpdateMethodResponse DeleteMethodResponse
    PutIntegration GetIntegration UpdateIntegration DeleteIntegration
    PutIntegrationResponse GetIntegrationResponse UpdateIntegrationResponse
    DeleteIntegrationResponse TestInvokeMethod
""".split()

NO_RESOURCE = "Invalid Resource identifier specified"
NO_METHOD = "Invalid Method identifier specified"
NO_INTEGRATION = "Invalid Integration identifier specified"
NO_RESPONSE = "Invalid Response status code specified"


def method_of_a_new_api(aws, method="GET", **settings):
    """Where a new method at / is: what names it in every call."""
    api = aws.rest_api()
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": method}
    settings.setdefault("authorizationType", "NONE")
    aws.apigateway.put_method(**where, **settings)
    return where


def mock_of_a_new_api(aws):
    """The same of a MOCK method that is complete."""
    api = aws.rest_api()
    return aws.mock(api["id"], api["rootResourceId"])


def test_a_resource_lives_from_create_to_delete(aws):
    api = aws.rest_api()
    made = aws.apigateway.create_resource(
        restApiId=api["id"], parentId=api["rootResourceId"], pathPart="pets")
    assert (made["pathPart"], made["path"], made["parentId"]) == ("pets", "/pets", api["rootResourceId"])
    assert "resourceMethods" not in made
    where = {"restApiId": api["id"], "resourceId": made["id"]}
    assert without_metadata(aws.apigateway.get_resource(**where)) == without_metadata(made)
    child = aws.apigateway.create_resource(restApiId=api["id"], parentId=made["id"], pathPart="{id}")
    assert child["path"] == "/pets/{id}"
    renamed = aws.apigateway.update_resource(**where, patchOperations=replace("/pathPart", "dogs"))
    assert renamed["path"] == "/dogs"
    moved = aws.apigateway.get_resource(restApiId=api["id"], resourceId=child["id"])
    assert moved["path"] == "/dogs/{id}"
    aws.apigateway.delete_resource(**where)
    aws.refused("NotFoundException", NO_RESOURCE, aws.apigateway.get_resource, **where)
    # Its children went with it.
    aws.refused("NotFoundException", NO_RESOURCE, aws.apigateway.get_resource,
                restApiId=api["id"], resourceId=child["id"])
    aws.refused("NotFoundException", NO_RESOURCE, aws.apigateway.delete_resource, **where)


def test_a_resource_moves_to_another_parent(aws):
    api = aws.rest_api()
    pets, toys = aws.resource(api, "pets"), aws.resource(api, "toys")
    moved = aws.apigateway.update_resource(
        restApiId=api["id"], resourceId=toys, patchOperations=replace("/parentId", pets))
    assert (moved["path"], moved["parentId"]) == ("/pets/toys", pets)


def test_names_of_resources_are_checked(aws):
    api = aws.rest_api()
    create = aws.apigateway.create_resource
    root = {"restApiId": api["id"], "parentId": api["rootResourceId"]}
    pets, dogs = aws.resource(api, "pets"), aws.resource(api, "dogs")
    taken = "Another resource with the same parent already has this name: pets"
    aws.refused("ConflictException", taken, create, **root, pathPart="pets")
    aws.refused("ConflictException", taken, aws.apigateway.update_resource,
                restApiId=api["id"], resourceId=dogs, patchOperations=replace("/pathPart", "pets"))
    aws.refused("NotFoundException", NO_RESOURCE, create,
                restApiId=api["id"], parentId="abcdef", pathPart="lost")
    aws.resource(api, "{id}", parent=pets)
    aws.refused("BadRequestException",
                "A sibling ({id}) of this resource already has a variable path part -- only one is allowed",
                create, restApiId=api["id"], parentId=pets, pathPart="{name}")
    proxy = aws.resource(api, "{proxy+}")
    aws.refused("BadRequestException",
                "Cannot create a child of a resource with a greedy path variable: {proxy+}",
                create, restApiId=api["id"], parentId=proxy, pathPart="below")
    for wrong in ("a b", "a/b", "{id", "pre{id}"):
        aws.refused("BadRequestException", None, create, **root, pathPart=wrong)


def test_patches_of_resources_are_checked(aws):
    api = aws.rest_api()
    root = {"restApiId": api["id"], "resourceId": api["rootResourceId"]}
    pets = aws.resource(api, "pets")
    child = aws.resource(api, "toys", parent=pets)

    def refused(message, resource, *operations, code="BadRequestException"):
        aws.refused(code, message, aws.apigateway.update_resource,
                    restApiId=api["id"], resourceId=resource, patchOperations=list(operations))

    refused("Invalid patch path  '/nowhere' specified for op 'replace'. Must be one of: "
            "[/parentId, /pathPart]", pets, patch("replace", "/nowhere", "x"))
    refused("Invalid patch path  '/pathPart' specified for op 'add'. Please choose supported operations",
            pets, patch("add", "/pathPart", "x"))
    refused("Resources cannot be cyclical.", pets, patch("replace", "/parentId", child))
    refused("Root resource cannot update its pathPart.", root["resourceId"],
            patch("replace", "/pathPart", "x"))
    refused("Root resource cannot update its parentId.", root["resourceId"],
            patch("replace", "/parentId", pets))


def test_methods_are_embedded_on_demand(aws):
    api = aws.rest_api()
    pets = aws.resource(api, "pets")
    aws.mock(api["id"], pets, "GET")
    aws.mock(api["id"], pets, "POST")
    where = {"restApiId": api["id"], "resourceId": pets}
    assert aws.apigateway.get_resource(**where)["resourceMethods"] == {"GET": {}, "POST": {}}
    whole = aws.apigateway.get_resource(**where, embed=["methods"])["resourceMethods"]
    assert whole["GET"]["methodIntegration"]["type"] == "MOCK"
    assert whole["POST"]["methodResponses"]["200"] == {"statusCode": "200"}
    for embed, expected in [([], {"GET": {}, "POST": {}}), (["methods"], whole)]:
        listed = aws.apigateway.get_resources(restApiId=api["id"], embed=embed)["items"]
        found = {it["path"]: it.get("resourceMethods") for it in listed}
        assert found == {"/": None, "/pets": expected}


def test_a_method_lives_from_put_to_delete(aws):
    api = aws.rest_api()
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "POST"}
    model = aws.apigateway.create_model(
        restApiId=api["id"], name="Pet", contentType="application/json",
        schema='{"type": "object", "properties": {"name": {"type": "string"}}}')
    validator = aws.apigateway.create_request_validator(restApiId=api["id"], name="all")
    given = {
        "authorizationType": "NONE", "apiKeyRequired": True, "operationName": "makePet",
        "requestParameters": {"method.request.header.X-Trace": True},
        "requestModels": {"application/json": model["name"]},
        "requestValidatorId": validator["id"],
    }
    made = without_metadata(aws.apigateway.put_method(**where, **given))
    assert made == {"httpMethod": "POST", **given}
    assert without_metadata(aws.apigateway.get_method(**where)) == made
    aws.refused("ConflictException", None, aws.apigateway.put_method, **where, authorizationType="NONE")
    aws.apigateway.delete_method(**where)
    for operation in (aws.apigateway.get_method, aws.apigateway.delete_method):
        aws.refused("NotFoundException", NO_METHOD, operation, **where)


def test_a_plain_method_has_awss_defaults(aws):
    where = method_of_a_new_api(aws, "ANY")
    assert without_metadata(aws.apigateway.get_method(**where)) == {
        "httpMethod": "ANY", "authorizationType": "NONE", "apiKeyRequired": False}


def test_settings_of_methods_are_checked(aws):
    api = aws.rest_api()
    put = aws.apigateway.put_method
    where = {"restApiId": api["id"], "resourceId": api["rootResourceId"]}
    aws.refused("BadRequestException",
                "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
                put, **where, httpMethod="FETCH", authorizationType="NONE")
    needs = ("Invalid authorizer ID specified. Setting the authorization type to CUSTOM or "
             "COGNITO_USER_POOLS requires a valid authorizer.")
    for authorization in ("CUSTOM", "COGNITO_USER_POOLS"):
        aws.refused("BadRequestException", needs, put,
                    **where, httpMethod="GET", authorizationType=authorization)
    aws.refused("BadRequestException", "Invalid model identifier specified: petModel", put,
                **where, httpMethod="GET", authorizationType="NONE",
                requestModels={"application/json": "petModel"})
    aws.refused("NotFoundException", NO_RESOURCE, put, restApiId=api["id"], resourceId="abcdef",
                httpMethod="GET", authorizationType="NONE")
    aws.refused("BadRequestException", None, put, **where, httpMethod="GET", authorizationType="NONE",
                requestParameters={"method.request.cookie.x": True})


def test_a_method_is_patched_path_by_path(aws):
    where = method_of_a_new_api(aws, "POST")
    api_id = where["restApiId"]
    authorizer = aws.apigateway.create_authorizer(
        restApiId=api_id, name="pool", type="COGNITO_USER_POOLS",
        providerARNs=["arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abcdefghi"],
        identitySource="method.request.header.Authorization")
    validator = aws.apigateway.create_request_validator(
        restApiId=api_id, name="body", validateRequestBody=True)
    aws.apigateway.create_model(restApiId=api_id, name="Pet", contentType="application/json",
                                schema='{"type": "object", "properties": {"a": {"type": "string"}}}')

    def update(*operations):
        answer = aws.apigateway.update_method(**where, patchOperations=list(operations))
        assert without_metadata(aws.apigateway.get_method(**where)) == without_metadata(answer)
        return answer

    answer = update(patch("replace", "/authorizationType", "COGNITO_USER_POOLS"),
                    patch("replace", "/authorizerId", authorizer["id"]))
    assert (answer["authorizationType"], answer["authorizerId"]) == ("COGNITO_USER_POOLS", authorizer["id"])
    assert update(patch("add", "/authorizationScopes", "pets.read"))["authorizationScopes"] == ["pets.read"]
    assert not update(patch("remove", "/authorizationScopes", "pets.read")).get("authorizationScopes")
    answer = update(patch("replace", "/authorizationType", "NONE"))
    assert answer["authorizationType"] == "NONE"
    assert update(patch("replace", "/apiKeyRequired", "true"))["apiKeyRequired"] is True
    assert update(patch("replace", "/operationName", "makePet"))["operationName"] == "makePet"
    answer = update(patch("replace", "/requestValidatorId", validator["id"]))
    assert answer["requestValidatorId"] == validator["id"]
    header = "method.request.header.X-Trace"
    assert update(patch("add", f"/requestParameters/{header}", "true"))["requestParameters"] == {header: True}
    answer = update(patch("replace", f"/requestParameters/{header}", "false"))
    assert answer["requestParameters"] == {header: False}
    assert not update(patch("remove", f"/requestParameters/{header}")).get("requestParameters")
    answer = update(patch("add", "/requestModels/application~1json", "Pet"))
    assert answer["requestModels"] == {"application/json": "Pet"}
    assert not update(patch("remove", "/requestModels/application~1json")).get("requestModels")


def test_wrong_patches_of_methods_are_named(aws):
    where = method_of_a_new_api(aws)

    def refused(code, message, *operations):
        aws.refused(code, message, aws.apigateway.update_method, **where, patchOperations=list(operations))

    refused("BadRequestException", "Invalid patch path /httpMethod", patch("replace", "/httpMethod", "PUT"))
    refused("BadRequestException", "Invalid patch path /requestParameters",
            patch("add", "/requestParameters", "true"))
    refused("BadRequestException", "Invalid patch operation specified. Must be one of: [replace]",
            patch("add", "/authorizationType", "NONE"))
    refused("BadRequestException", "Invalid Request Validator identifier specified",
            patch("replace", "/requestValidatorId", "abcdef"))
    refused("BadRequestException",
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or "
            "COGNITO_USER_POOLS requires a valid authorizer.",
            patch("replace", "/authorizationType", "CUSTOM"))
    refused("BadRequestException", "Invalid model identifier specified: petModel",
            patch("add", "/requestModels/application~1json", "petModel"))
    refused("ValidationException",
            "1 validation error detected: Value 'wrong' at 'updateMethodInput.patchOperations.1.member.op' "
            "failed to satisfy constraint: Member must satisfy enum value set: "
            "[add, remove, move, test, replace, copy]", patch("wrong", "/operationName", "x"))


def test_a_method_response_lives_from_put_to_delete(aws):
    where = method_of_a_new_api(aws)
    client = aws.apigateway
    made = client.put_method_response(
        **where, statusCode="200", responseModels={"application/json": "Empty"},
        responseParameters={"method.response.header.X-Total": False})
    where_200 = {**where, "statusCode": "200"}
    assert without_metadata(client.get_method_response(**where_200)) == without_metadata(made)
    header = "/responseParameters/method.response.header.X-Next"
    changed = client.update_method_response(**where_200, patchOperations=[
        patch("add", header, "true"),
        patch("remove", "/responseParameters/method.response.header.X-Total"),
        patch("replace", "/responseModels/application~1json", "Error"),
        patch("add", "/responseModels/text~1plain", "Empty"),
    ])
    assert changed["responseParameters"] == {"method.response.header.X-Next": True}
    assert changed["responseModels"] == {"application/json": "Error", "text/plain": "Empty"}
    assert client.get_method(**where)["methodResponses"]["200"] == without_metadata(changed)
    for code, message, operation in [
        ("NotFoundException", "Invalid parameter name specified",
         patch("remove", "/responseParameters/method.response.header.X-None")),
        ("NotFoundException", "Content-Type specified was not found",
         patch("remove", "/responseModels/image~1png")),
        ("BadRequestException", "Invalid patch path /nowhere/x", patch("add", "/nowhere/x", "true")),
    ]:
        aws.refused(code, message, client.update_method_response, **where_200, patchOperations=[operation])
    aws.refused("ConflictException", None, client.put_method_response, **where_200)
    client.delete_method_response(**where_200)
    for operation in (client.get_method_response, client.delete_method_response):
        aws.refused("NotFoundException", NO_RESPONSE, operation, **where_200)


def test_a_status_code_is_three_digits(aws):
    where = method_of_a_new_api(aws)
    for code in ("600", "20", "ok"):
        aws.refused("ValidationException",
                    f"1 validation error detected: Value '{code}' at 'statusCode' failed to satisfy "
                    r"constraint: Member must satisfy regular expression pattern: [1-5]\d\d",
                    aws.apigateway.put_method_response, **where, statusCode=code)


def test_an_integration_has_awss_defaults(aws):
    where = method_of_a_new_api(aws)
    made = aws.apigateway.put_integration(
        **where, type="HTTP_PROXY", integrationHttpMethod="POST", uri="http://127.0.0.1:9/pets")
    assert made["type"] == "HTTP_PROXY" and made["httpMethod"] == "POST"
    assert made["uri"] == "http://127.0.0.1:9/pets"
    assert made["passthroughBehavior"] == "WHEN_NO_MATCH"
    assert made["timeoutInMillis"] == 29000
    assert made["cacheNamespace"] == where["resourceId"]
    assert made["cacheKeyParameters"] == []
    assert "integrationResponses" not in made
    found = aws.apigateway.get_method(**where)["methodIntegration"]
    assert found == without_metadata(aws.apigateway.get_integration(**where))


def test_everything_an_integration_is_given_comes_back(aws):
    where = method_of_a_new_api(aws, "POST", requestParameters={"method.request.querystring.kind": False})
    given = {
        "type": "HTTP", "uri": "http://127.0.0.1:9/pets", "connectionType": "INTERNET",
        "requestParameters": {"integration.request.querystring.kind": "method.request.querystring.kind"},
        "requestTemplates": {"application/json": "$input.body"},
        "passthroughBehavior": "NEVER", "contentHandling": "CONVERT_TO_TEXT",
        "timeoutInMillis": 5000, "cacheNamespace": "pets",
        "cacheKeyParameters": ["method.request.querystring.kind"],
        "tlsConfig": {"insecureSkipVerification": True},
    }
    aws.apigateway.put_integration(**where, integrationHttpMethod="PUT", **given)
    found = aws.apigateway.get_integration(**where)
    for member, value in {**given, "httpMethod": "PUT"}.items():
        assert found[member] == value, (member, found)


def test_an_integration_is_replaced_by_another_put(aws):
    where = mock_of_a_new_api(aws)
    aws.apigateway.put_integration(
        **where, type="HTTP", integrationHttpMethod="GET", uri="http://127.0.0.1:9/")
    found = aws.apigateway.get_integration(**where)
    assert found["type"] == "HTTP" and "requestTemplates" not in found


def test_settings_of_integrations_are_checked(aws):
    where = method_of_a_new_api(aws)
    put = aws.apigateway.put_integration
    aws.refused("ValidationException",
                "1 validation error detected: Value 'X' at 'putIntegrationInput.type' failed to satisfy "
                "constraint: Member must satisfy enum value set: [HTTP, MOCK, AWS_PROXY, HTTP_PROXY, AWS]",
                put, **where, type="X")
    aws.refused("BadRequestException",
                "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
                "[Invalid mapping expression specified: true]",
                put, **where, type="HTTP", integrationHttpMethod="GET", uri="http://127.0.0.1:9/",
                requestParameters={"integration.request.header.X-On": "true"})
    aws.refused("NotFoundException", NO_METHOD, put, **{**where, "httpMethod": "PUT"}, type="MOCK")
    aws.refused("NotFoundException", NO_RESOURCE, put, **{**where, "resourceId": "abcdef"}, type="MOCK")
    for timeout in (49, 29001):
        aws.refused("BadRequestException", None, put, **where, type="HTTP", integrationHttpMethod="GET",
                    uri="http://127.0.0.1:9/", timeoutInMillis=timeout)


def test_an_integration_is_patched_path_by_path(aws):
    where = method_of_a_new_api(aws, requestParameters={"method.request.querystring.kind": False})
    aws.apigateway.put_integration(
        **where, type="HTTP", integrationHttpMethod="GET", uri="http://127.0.0.1:9/before")

    def update(*operations):
        answer = aws.apigateway.update_integration(**where, patchOperations=list(operations))
        assert without_metadata(aws.apigateway.get_integration(**where)) == without_metadata(answer)
        return answer

    for path, value, member, expected in [
        ("/uri", "http://127.0.0.1:9/after", "uri", None),
        ("/httpMethod", "POST", "httpMethod", None),
        ("/passthroughBehavior", "WHEN_NO_TEMPLATES", "passthroughBehavior", None),
        ("/timeoutInMillis", "500", "timeoutInMillis", 500),
        ("/contentHandling", "CONVERT_TO_BINARY", "contentHandling", None),
        ("/cacheNamespace", "shared", "cacheNamespace", None),
        ("/connectionType", "INTERNET", "connectionType", None),
        ("/tlsConfig/insecureSkipVerification", "true", "tlsConfig", {"insecureSkipVerification": True}),
        ("/responseTransferMode", "BUFFERED", "responseTransferMode", None),
    ]:
        assert update(patch("replace", path, value))[member] == (value if expected is None else expected), path
    linked = update(patch("replace", "/connectionType", "VPC_LINK"),
                    patch("replace", "/connectionId", "${stageVariables.link}"))
    assert (linked["connectionType"], linked["connectionId"]) == ("VPC_LINK", "${stageVariables.link}")
    kind = "method.request.querystring.kind"
    assert update(patch("add", f"/cacheKeyParameters/{kind}"))["cacheKeyParameters"] == [kind]
    assert update(patch("remove", f"/cacheKeyParameters/{kind}"))["cacheKeyParameters"] == []
    target = "integration.request.querystring.kind"
    assert update(patch("add", f"/requestParameters/{target}", kind))["requestParameters"] == {target: kind}
    answer = update(patch("replace", f"/requestParameters/{target}", "'cat'"))
    assert answer["requestParameters"] == {target: "'cat'"}
    assert not update(patch("remove", f"/requestParameters/{target}")).get("requestParameters")
    template = "/requestTemplates/application~1json"
    assert update(patch("add", template, "{}"))["requestTemplates"] == {"application/json": "{}"}
    assert update(patch("replace", template, "[]"))["requestTemplates"] == {"application/json": "[]"}
    assert not update(patch("remove", template)).get("requestTemplates")


def test_wrong_patches_of_integrations_are_named(aws):
    where = method_of_a_new_api(aws)
    aws.apigateway.put_integration(
        **where, type="HTTP", integrationHttpMethod="GET", uri="http://127.0.0.1:9/")

    def refused(message, *operations, code="BadRequestException"):
        aws.refused(code, message, aws.apigateway.update_integration, **where,
                    patchOperations=list(operations))

    refused("Invalid patch path /nowhere", patch("replace", "/nowhere", "x"))
    refused(None, patch("replace", "/type", "MOCK"))
    refused("Content-Type specified was not found", patch("remove", "/requestTemplates/text~1plain"),
            code="NotFoundException")
    refused("Invalid parameter name specified",
            patch("remove", "/requestParameters/integration.request.header.X"), code="NotFoundException")


def test_integrations_that_are_gone_are_unknown(aws):
    where = mock_of_a_new_api(aws)
    client = aws.apigateway
    client.delete_integration(**where)
    for operation in (client.get_integration, client.delete_integration):
        aws.refused("NotFoundException", NO_INTEGRATION, operation, **where)
    aws.refused("NotFoundException", NO_INTEGRATION, client.get_integration_response,
                **where, statusCode="200")
    aws.refused("NotFoundException", NO_INTEGRATION, client.put_integration_response,
                **where, statusCode="200")
    assert "methodIntegration" not in client.get_method(**where)


def test_an_integration_response_lives_from_put_to_delete(aws):
    where = method_of_a_new_api(aws)
    client = aws.apigateway
    client.put_integration(**where, type="HTTP", integrationHttpMethod="GET", uri="http://127.0.0.1:9/")
    where_404 = {**where, "statusCode": "404"}
    # It may come before the method response, and a later one takes its place.
    client.put_integration_response(**where_404, responseTemplates={"application/json": "before"})
    client.put_method_response(**where_404, responseParameters={"method.response.header.X-Kind": False})
    given = {
        "statusCode": "404", "selectionPattern": "4\\d\\d", "contentHandling": "CONVERT_TO_TEXT",
        "responseParameters": {"method.response.header.X-Kind": "integration.response.header.kind"},
        "responseTemplates": {"application/json": "{}"},
    }
    made = client.put_integration_response(**{**where, **given})
    assert without_metadata(made) == given
    assert without_metadata(client.get_integration_response(**where_404)) == given
    assert client.get_integration(**where)["integrationResponses"] == {"404": given}

    def update(*operations):
        answer = client.update_integration_response(**where_404, patchOperations=list(operations))
        assert without_metadata(client.get_integration_response(**where_404)) == without_metadata(answer)
        return answer

    assert update(patch("replace", "/selectionPattern", "5.."))["selectionPattern"] == "5.."
    assert update(patch("replace", "/contentHandling", "CONVERT_TO_BINARY"))["contentHandling"] == "CONVERT_TO_BINARY"
    header = "method.response.header.X-Kind"
    answer = update(patch("replace", f"/responseParameters/{header}", "'none'"))
    assert answer["responseParameters"] == {header: "'none'"}
    assert not update(patch("remove", f"/responseParameters/{header}")).get("responseParameters")
    assert update(patch("add", f"/responseParameters/{header}", "'a'"))["responseParameters"] == {header: "'a'"}
    answer = update(patch("add", "/responseTemplates/text~1plain", "text"))
    assert answer["responseTemplates"] == {"application/json": "{}", "text/plain": "text"}
    assert update(patch("remove", "/responseTemplates/text~1plain"))["responseTemplates"] == {"application/json": "{}"}
    client.delete_integration_response(**where_404)
    for operation in (client.get_integration_response, client.delete_integration_response):
        aws.refused("NotFoundException", NO_RESPONSE, operation, **where_404)


def test_wrong_patches_of_integration_responses_are_named(aws):
    where = mock_of_a_new_api(aws)

    def refused(code, message, *operations):
        aws.refused(code, message, aws.apigateway.update_integration_response, **where, statusCode="200",
                    patchOperations=list(operations))

    refused("BadRequestException", "Invalid patch path /nowhere", patch("replace", "/nowhere", "x"))
    aws.refused("BadRequestException",
                "Validation Result: warnings : [], errors : [Invalid content type specified: 123]",
                aws.apigateway.put_integration_response, **where, statusCode="200",
                responseTemplates={"123": "x"})
    refused("NotFoundException", "Content-Type specified was not found",
            patch("remove", "/responseTemplates/text~1plain"))
    refused("NotFoundException", "Invalid parameter name specified",
            patch("remove", "/responseParameters/method.response.header.X"))


def test_a_method_answers_without_a_client(aws):
    api = aws.rest_api()
    pets = aws.resource(api, "pets")
    where = aws.mock(api["id"], pets, template="$input.params('kind') $stageVariables.color")
    answer = aws.apigateway.test_invoke_method(
        **where, pathWithQueryString="/pets?kind=cat", headers={"X-A": "b"},
        stageVariables={"color": "red"})
    assert (answer["status"], answer["body"]) == (200, "cat red")
    assert answer["latency"] >= 0
    assert answer["log"].startswith("Execution log for request ")
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    aws.refused("NotFoundException", NO_METHOD, aws.apigateway.test_invoke_method,
                **{**where, "httpMethod": "PUT"})
