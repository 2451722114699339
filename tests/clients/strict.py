"""A boto3 client that believes nothing: each response is held to botocore's service model.

The raw bytes are looked at before botocore parses them, because its parser takes what it finds
and drops the rest: a member it doesn't know, a number in the place of a string and a missing
body all pass there unseen.

`Strict` also keeps which operations succeeded; `coverage.py` is about those.
"""

import json
import math
import re
import time

import boto3
from botocore.config import Config

SERVICE = "apigateway"
REGION = "us-east-1"
# `tollgate dev` takes any key on loopback; the clients insist on having one.
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

# Of every operation of the service, though the model declares none of these.
COMMON_ERRORS = {
    "ValidationException": 400,
    "SerializationException": 400,
    "AccessDeniedException": 403,
    "UnrecognizedClientException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "IncompleteSignatureException": 403,
}

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHORT = re.compile(r"[a-z0-9]{6}")
TEN = re.compile(r"[a-z0-9]{10}")
# A root resource's id is as long as an API's.
RESOURCE = re.compile(r"[a-z0-9]{6,10}")
STATUS_CODE = re.compile(r"[1-5]\d\d")

# What a value looks like, by output shape and wire name.
FORMS = {
    ("RestApi", "id"): TEN,
    ("RestApi", "rootResourceId"): RESOURCE,
    ("Resource", "id"): RESOURCE,
    ("Resource", "parentId"): RESOURCE,
    ("ApiKey", "id"): TEN,
    ("Deployment", "id"): SHORT,
    ("Stage", "deploymentId"): SHORT,
    ("Authorizer", "id"): SHORT,
    ("RequestValidator", "id"): SHORT,
    ("Model", "id"): SHORT,
    ("UsagePlan", "id"): SHORT,
    ("VpcLink", "id"): SHORT,
    ("DocumentationPart", "id"): SHORT,
    ("ClientCertificate", "clientCertificateId"): SHORT,
    ("MethodResponse", "statusCode"): STATUS_CODE,
    ("IntegrationResponse", "statusCode"): STATUS_CODE,
    ("GatewayResponse", "statusCode"): STATUS_CODE,
}

# What a resource never lacks, though the model requires next to nothing.
ALWAYS = {
    "RestApi": {"id", "name", "createdDate", "apiKeySource", "endpointConfiguration",
                "disableExecuteApiEndpoint", "rootResourceId"},
    "Resource": {"id", "path"},
    "Method": {"httpMethod", "authorizationType", "apiKeyRequired"},
    "MethodResponse": {"statusCode"},
    "Integration": {"type", "passthroughBehavior", "timeoutInMillis", "cacheNamespace",
                    "cacheKeyParameters"},
    "IntegrationResponse": {"statusCode"},
    "Model": {"id", "name", "contentType"},
    "RequestValidator": {"id", "name", "validateRequestBody", "validateRequestParameters"},
    "Authorizer": {"id", "name", "type"},
    "GatewayResponse": {"responseType", "defaultResponse"},
    "Deployment": {"id", "createdDate"},
    "Stage": {"stageName", "deploymentId", "cacheClusterEnabled", "cacheClusterStatus",
              "createdDate", "lastUpdatedDate", "methodSettings", "tracingEnabled"},
    "ApiKey": {"id", "enabled", "createdDate", "lastUpdatedDate"},
    "UsagePlan": {"id", "name"},
    "UsagePlanKey": {"id", "type"},
    "DomainName": {"domainName", "domainNameStatus", "endpointConfiguration"},
    "BasePathMapping": {"basePath", "restApiId"},
    "VpcLink": {"id", "name", "status", "targetArns"},
    "ClientCertificate": {"clientCertificateId", "createdDate", "expirationDate"},
    "DocumentationPart": {"id", "location"},
    "DocumentationVersion": {"version", "createdDate"},
}

YEAR = 366 * 24 * 3600


class Violation(AssertionError):
    """A response that the service model doesn't allow."""


class Strict:
    """The client, and what its responses have been so far."""

    def __init__(self, endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION):
        # No second tries: the first answer is the one under test.
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)
        session = boto3.Session(access_key, secret_key, region_name=region)
        self.client = session.client(SERVICE, endpoint_url=endpoint, config=config)
        self.succeeded = set()
        self.client.meta.events.register("before-parse.api-gateway", self._look_at)

    def _look_at(self, operation_model, response_dict, **_):
        Response(operation_model, response_dict).check()
        if response_dict["status_code"] < 300:
            self.succeeded.add(operation_model.name)


class Response:
    """One raw response to one operation."""

    def __init__(self, operation, raw):
        self.operation = operation
        self.status = raw["status_code"]
        self.headers = raw["headers"]
        self.body = raw["body"]

    def check(self):
        if not UUID.fullmatch(self.headers.get("x-amzn-RequestId", "")):
            self.refuse("x-amzn-RequestId", f"is no UUID: {self.headers.get('x-amzn-RequestId')!r}")
        if self.status < 300:
            self.check_success()
        else:
            self.check_error()

    def check_success(self):
        expected = self.operation.http.get("responseCode", 200)
        if self.status != expected:
            self.refuse("status", f"is {self.status}, not {expected}")
        shape = self.operation.output_shape
        if shape is None or not shape.members:
            if self.body:
                self.refuse("body", f"should be empty: {self.body[:200]!r}")
            return
        for member in shape.members.values():
            if member.serialization.get("location") == "header":
                header = member.serialization["name"]
                if header not in self.headers:
                    self.refuse(header, "is not in the headers")
        if "payload" in shape.serialization:
            return  # a document, not JSON of the model: the scenarios read it
        self.check_json_type()
        self.check_value("", shape, self.json())

    def check_error(self):
        text = self.headers.get("x-amzn-ErrorType", "")
        code = text.split(":")[0]
        statuses = dict(COMMON_ERRORS)
        for shape in self.operation.error_shapes:
            statuses[shape.name] = shape.metadata["error"]["httpStatusCode"]
        if code not in statuses:
            self.refuse("x-amzn-ErrorType", f"{text!r} is not declared (status {self.status}, {self.body[:300]!r})")
        if self.status != statuses[code]:
            self.refuse("status", f"of {code} is {self.status}, not {statuses[code]}")
        self.check_json_type()
        body = self.json()
        if not isinstance(body, dict) or not isinstance(body.get("message"), str):
            self.refuse("message", f"is not in the error's body: {self.body[:300]!r}")
        if not body["message"]:
            self.refuse("message", "is empty")

    def check_json_type(self):
        content_type = self.headers.get("Content-Type", "")
        if content_type.split(";")[0].strip() != "application/json":
            self.refuse("Content-Type", f"is {content_type!r}")

    def json(self):
        try:
            return json.loads(self.body, object_pairs_hook=self.unique)
        except ValueError as error:
            self.refuse("body", f"is no JSON ({error}): {self.body[:200]!r}")

    def unique(self, pairs):
        members = dict(pairs)
        if len(members) != len(pairs):
            self.refuse("body", f"names a member twice: {[name for name, _ in pairs]}")
        return members

    def check_value(self, path, shape, value):
        if value is None:
            self.refuse(path, "is null; what is absent is left out")
        getattr(self, f"check_{shape.type_name}")(path, shape, value)

    def check_structure(self, path, shape, value):
        self.expect(path, value, dict)
        members = {
            member.serialization.get("name", name): member
            for name, member in shape.members.items()
            if member.serialization.get("location") is None
        }
        for name in value:
            if name not in members:
                self.refuse(f"{path}.{name}", f"is no member of {shape.name}: {value[name]!r}")
        required = ALWAYS.get(shape.name, set()) | {
            shape.members[name].serialization.get("name", name) for name in shape.required_members
        }
        # Bodies of methods are embedded on demand: `{"resourceMethods": {"GET": {}}}`.
        if shape.name == "Method" and value == {}:
            required = set()
        for name in sorted(required - value.keys()):
            self.refuse(f"{path}.{name}", f"is missing in {shape.name}: {value!r}")
        for name, inner in value.items():
            self.check_value(f"{path}.{name}", members[name], inner)
            form = FORMS.get((shape.name, name))
            if form and not form.fullmatch(inner):
                self.refuse(f"{path}.{name}", f"is {inner!r}, not of the form {form.pattern}")

    def check_list(self, path, shape, value):
        self.expect(path, value, list)
        for index, inner in enumerate(value):
            self.check_value(f"{path}[{index}]", shape.member, inner)

    def check_map(self, path, shape, value):
        self.expect(path, value, dict)
        for key, inner in value.items():
            self.check_value(f"{path}[{key!r}]", shape.value, inner)

    def check_string(self, path, shape, value):
        self.expect(path, value, str)
        if shape.enum and value not in shape.enum:
            self.refuse(path, f"is {value!r}, not one of {shape.enum}")

    def check_boolean(self, path, shape, value):
        self.expect(path, value, bool)

    def check_integer(self, path, shape, value):
        self.expect(path, value, int)

    check_long = check_integer

    def check_double(self, path, shape, value):
        self.expect(path, value, (int, float))
        if not math.isfinite(value):
            self.refuse(path, f"is {value}")

    check_float = check_double

    def check_timestamp(self, path, shape, value):
        self.expect(path, value, (int, float))
        # Expiry dates lie ahead, and nothing here was made before the service was.
        if not 1436400000 <= value <= time.time() + 2 * YEAR:
            self.refuse(path, f"is no plausible number of seconds since 1970: {value}")

    def check_blob(self, path, shape, value):
        self.expect(path, value, str)

    def expect(self, path, value, kind):
        # A bool is an int to Python, not to JSON.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            wanted = kind.__name__ if isinstance(kind, type) else "number"
            self.refuse(path, f"is {value!r}, not a {wanted}")

    def refuse(self, path, text):
        raise Violation(f"{self.operation.name}: {path.lstrip('.') or 'body'} {text}")
