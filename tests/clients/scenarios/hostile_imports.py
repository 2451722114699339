"""Definitions that are huge, deep, endless or garbage: each loads or is refused, and nobody else
notices."""

import collections
import contextlib
import json
import random
import re
import threading
import time

from botocore.exceptions import ClientError

from aws import document, mock_operation, openapi

OPERATIONS = ["ImportRestApi"]

# AWS says no more than that; where Tollgate knows, it says what is wrong.
GARBAGE = re.compile(r"Invalid OpenAPI input\..*", re.DOTALL)
# AWS takes definitions of up to 6 MB.
LIMIT = 6 * 1024 * 1024


@contextlib.contextmanager
def traffic(aws):
    """Another API that is called all the while; each request has to succeed."""
    api_id, _ = aws.deployed("alive")
    aws.served(api_id, "prod", "alive")
    answers, stop = collections.Counter(), threading.Event()

    def call():
        while not stop.is_set():
            try:
                answer = aws.call(api_id, "prod")
                answers[answer.status, answer.text] += 1
            except OSError as error:
                answers["broken", str(error)] += 1
            time.sleep(0.005)

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert set(answers) == {(200, "alive")}, answers


def imported_or_refused(aws, definition):
    """The API's id, or None where it was refused with AWS's error."""
    try:
        return aws.imported(definition)["id"]
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == "BadRequestException" and found["Message"], found
        return None


def test_garbage_is_no_definition(aws):
    picked = random.Random(7)
    with traffic(aws):
        for garbage in (
            b"\x00", b"garbage", b"{", b"[]", b"null", b"42", b"\"text\"", b"\xff\xfe\xfd", b"{}",
            b"openapi: 3.0.1\n  broken: [", b"{\"openapi\": \"3.0.1\"", b"\t- tabs: are no indent\n\t",
            b"%PDF-1.4\n" + bytes(picked.randrange(256) for _ in range(5000)),
            b"swagger: \"1.2\"\ninfo: {title: old, version: 1}\npaths: {}",
        ):
            aws.refused("BadRequestException", None, aws.apigateway.import_rest_api, body=garbage)
        aws.refused("BadRequestException", GARBAGE, aws.apigateway.import_rest_api, body=b"\x00garbage")


def test_garbage_leaves_an_api_as_it_was(aws):
    api = aws.imported(openapi({"/pets": {"get": mock_operation("pets")}}))
    before = aws.apigateway.get_resources(restApiId=api["id"], embed=["methods"])["items"]
    for mode in ("merge", "overwrite"):
        aws.refused("BadRequestException", None, aws.apigateway.put_rest_api,
                    restApiId=api["id"], mode=mode, body=b"{\"openapi\": ")
    assert aws.apigateway.get_resources(restApiId=api["id"], embed=["methods"])["items"] == before


def test_wrong_shapes_are_refused_or_warned_about(aws):
    wrong = [[], 1, "text", True, {"a": {"b": []}}]
    with traffic(aws):
        for value in wrong:
            for definition in (
                {**openapi(), "paths": value},
                {**openapi(), "info": value},
                {**openapi(), "components": {"schemas": value}},
                {**openapi(), "components": {"securitySchemes": {"a": value}}},
                openapi({"/pets": value}),
                openapi({"/pets": {"get": value}}),
                openapi({"/pets": {"get": {"x-amazon-apigateway-integration": value}}}),
                openapi({"/pets": {"get": {"parameters": value, "responses": value}}}),
                openapi(**{"x-amazon-apigateway-policy": value}),
                openapi(**{"x-amazon-apigateway-gateway-responses": value}),
                openapi(**{"x-amazon-apigateway-request-validators": value}),
                openapi(**{"x-amazon-apigateway-binary-media-types": value}),
                openapi(**{"x-amazon-apigateway-documentation": value}),
            ):
                imported_or_refused(aws, definition)


def test_a_definition_of_six_megabytes_loads_and_a_larger_one_does_not(aws):
    definition = openapi({"/pets": {"get": mock_operation("pets")}})
    definition["info"]["x-padding"] = "x" * (LIMIT - len(json.dumps(definition)) - 1000)
    with traffic(aws):
        assert imported_or_refused(aws, definition)
        definition["info"]["x-padding"] += "x" * 2000
        aws.refused("BadRequestException", None, aws.apigateway.import_rest_api, body=document(definition))


def test_a_definition_beyond_what_a_request_may_hold_is_refused(aws):
    with traffic(aws):
        answer = None
        with contextlib.suppress(OSError):  # the server may stop reading
            answer = aws.send("POST", "/restapis?mode=import", b"x" * (11 * 1024 * 1024))
        assert answer is None or 400 <= answer.status < 500, answer


def test_ten_thousand_methods_load_or_are_refused(aws):
    paths = {f"/r{number}": {method: mock_operation(f"{method} {number}") for method in (
        "get", "post", "put", "patch", "delete")} for number in range(2000)}
    with traffic(aws):
        api_id = imported_or_refused(aws, openapi(paths))
        if api_id:
            aws.apigateway.create_deployment(restApiId=api_id, stageName="prod")
            aws.served(api_id, "prod", "get 1999", "/r1999")


def nested(depth, leaf, wrap):
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


def test_deep_json_and_yaml_are_refused(aws):
    with traffic(aws):
        for depth in (1_000, 100_000, 1_000_000):
            body = b'{"openapi": "3.0.1", "info": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
            aws.refused("BadRequestException", None, aws.apigateway.import_rest_api, body=body)
            body = b"openapi: 3.0.1\ninfo: " + b"[" * depth + b"]" * depth
            aws.refused("BadRequestException", None, aws.apigateway.import_rest_api, body=body)


def schemas(**named):
    """A definition whose GET and POST /pets use the first of these."""
    content = {"application/json": {"schema": ref(next(iter(named)))}}
    answering = mock_operation("pets")
    answering["responses"]["200"]["content"] = content
    taking = mock_operation("made", requestBody={"content": content},
                            **{"x-amazon-apigateway-request-validator": "body"})
    return openapi({"/pets": {"get": answering, "post": taking}}, components={"schemas": named},
                   **{"x-amazon-apigateway-request-validators": {
                       "body": {"validateRequestBody": True, "validateRequestParameters": False}}})


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def test_schemas_that_name_themselves_load(aws):
    with traffic(aws):
        for definition in (
            schemas(Node={"type": "object", "properties": {"next": ref("Node")}}),
            schemas(A={"type": "object", "properties": {"b": ref("B")}},
                    B={"type": "object", "properties": {"a": ref("A")}}),
        ):
            api_id = imported_or_refused(aws, definition)
            assert api_id, "circular references are accepted"
            aws.apigateway.create_deployment(restApiId=api_id, stageName="prod")
            aws.served(api_id, "prod", "pets", "/pets")


def test_schemas_without_end_load_or_are_refused(aws):
    # Each is twice the one before: written out, 2^40 times the first.
    doubling = {f"S{level}": {"type": "object", "properties": {"a": ref(f"S{level + 1}"), "b": ref(f"S{level + 1}")}}
                for level in range(40)}
    doubling["S40"] = {"type": "string"}
    with traffic(aws):
        for definition in (
            schemas(Loop=ref("Loop")),
            schemas(A=ref("B"), B=ref("C"), C=ref("A")),
            schemas(All={"allOf": [ref("All"), ref("All")]}),
            schemas(Lost=ref("Nowhere")),
            schemas(Deep=nested(60, {"type": "string"}, lambda it: {"type": "array", "items": it})),
            schemas(**doubling),
        ):
            api_id = imported_or_refused(aws, definition)
            if api_id:
                # What writes them out, compiles them or exports them has its bounds, too.
                name = next(iter(definition["components"]["schemas"]))
                for operation, arguments in [
                    (aws.apigateway.get_model, {"modelName": name, "flatten": True}),
                    (aws.apigateway.get_model_template, {"modelName": name}),
                    (aws.apigateway.create_deployment, {"stageName": "prod"}),
                    (aws.apigateway.get_export, {"stageName": "prod", "exportType": "oas30"}),
                    (aws.apigateway.get_export, {"stageName": "prod", "exportType": "swagger"}),
                ]:
                    with contextlib.suppress(ClientError):
                        operation(restApiId=api_id, **arguments)


def test_aliases_do_not_multiply(aws):
    levels = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for level, name in enumerate("bcdefghij"):
        before = "abcdefghij"[level]
        levels.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    bomb = "\n".join(levels) + "\nopenapi: 3.0.1\ninfo: {title: bomb, version: '1', x-all: *j}\npaths: {}\n"
    # It names itself.
    snake = "openapi: 3.0.1\ninfo: &i {title: snake, version: '1', x-self: *i}\npaths: {}\n"
    with traffic(aws):
        imported_or_refused(aws, bomb)
        imported_or_refused(aws, snake)


def test_a_long_path_and_many_segments_load_or_are_refused(aws):
    with traffic(aws):
        for path in ("/" + "a" * 100_000, "/a" * 5_000, "/" + "{a}/" * 100, "/{", "/{}", "//", "", "no-slash",
                     "/{a+}/b", "/\x00", "/%00", "/ä/ö"):
            imported_or_refused(aws, openapi({path: {"get": mock_operation("x")}}))
