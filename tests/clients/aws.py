"""What a scenario holds: a strict client, the data plane, and the few steps every scenario takes.

A scenario is a file of `scenarios/` with functions `test_…(aws)`, and `OPERATIONS`: those it
answers for, which have to have succeeded when it is through.
"""

import http.client
import http.server
import json
import re
import threading
import time
import traceback
import uuid
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from strict import ACCESS_KEY, REGION, SECRET_KEY, SERVICE

# How long anything may take that has to happen; only a broken server meets it.
DEADLINE = 30


class Answer:
    """A response of the data plane, or of the management API to a request made by hand."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status} {self.text[:300]!r}"


class Aws:
    """One test's view. What it made is deleted when it ends."""

    def __init__(self, strict, endpoint, gateway):
        self.strict = strict
        self.apigateway = strict.client
        self.endpoint = endpoint
        self.gateway = gateway
        self._cleanups = []

    def after(self, function, **arguments):
        """Calls this when the test is over, last registered first."""
        self._cleanups.append((function, arguments))

    def clean_up(self):
        """Gives the tracebacks of what failed; what is gone already is clean."""
        failures = []
        for function, arguments in reversed(self._cleanups):
            try:
                function(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] != "NotFoundException":
                    failures.append(traceback.format_exc())
            except Exception:
                failures.append(traceback.format_exc())
        return failures

    def unique(self, prefix):
        return f"{prefix}-{uuid.uuid4().hex[:8]}"

    def rest_api(self, **arguments):
        """A new API, as CreateRestApi answered."""
        arguments.setdefault("name", self.unique("api"))
        api = self.apigateway.create_rest_api(**arguments)
        self.after(self.apigateway.delete_rest_api, restApiId=api["id"])
        return api

    def imported(self, definition, **arguments):
        """A new API made of a definition: a dict, or text."""
        api = self.apigateway.import_rest_api(body=document(definition), **arguments)
        self.after(self.apigateway.delete_rest_api, restApiId=api["id"])
        return api

    def resource(self, api, path_part, parent=None):
        return self.apigateway.create_resource(
            restApiId=api["id"], parentId=parent or api["rootResourceId"], pathPart=path_part
        )["id"]

    def mock(self, api_id, resource_id, method="GET", template="hello", **settings):
        """A MOCK method that answers 200 with this template, complete from request to response."""
        settings.setdefault("authorizationType", "NONE")
        where = {"restApiId": api_id, "resourceId": resource_id, "httpMethod": method}
        client = self.apigateway
        client.put_method(**where, **settings)
        client.put_integration(
            **where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
        )
        client.put_method_response(**where, statusCode="200")
        client.put_integration_response(
            **where, statusCode="200", responseTemplates={"application/json": template}
        )
        return where

    def deployed(self, template="hello", stage="prod", **arguments):
        """An API with one MOCK method at /, deployed. Gives its id and the deployment's."""
        api = self.rest_api()
        self.mock(api["id"], api["rootResourceId"], template=template)
        made = self.apigateway.create_deployment(
            restApiId=api["id"], stageName=stage, **arguments
        )
        return api["id"], made["id"]

    def refused(self, code, message, operation, **arguments):
        """Asserts that an operation is refused so; a compiled pattern matches the whole message,
        None any."""
        try:
            answer = operation(**arguments)
        except ClientError as error:
            found = error.response["Error"]
        else:
            raise AssertionError(f"not refused with {code} {message!r}, but: {answer}")
        assert found["Code"] == code, f"{found['Code']} {found['Message']!r}, not {code} {message!r}"
        if isinstance(message, re.Pattern):
            assert message.fullmatch(found["Message"]), f"{found['Message']!r} is not {message.pattern}"
        elif message is not None:
            assert found["Message"] == message, f"{found['Message']!r} is not {message!r}"

    def send(self, method, path, body=None, headers=(), sign=True):
        """A request to the management API as no SDK would make it."""
        url = self.endpoint.rstrip("/") + path
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        request = AWSRequest(method, url, data=body, headers={
            "Accept": "application/json", "Content-Type": "application/json", **dict(headers),
        })
        if sign:
            SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), SERVICE, REGION).add_auth(request)
        return exchange(url, method, body, dict(request.headers))

    def call(self, api_id, stage, path="/", method="GET", body=None, headers=()):
        """A request to the data plane."""
        url = f"{self.gateway}/_aws/execute-api/{api_id}/{stage}{path}"
        return exchange(url, method, body, dict(headers))

    def call_host(self, host, path):
        """A GET to the data plane as a client of a custom domain sends it."""
        return exchange(self.gateway + path, "GET", None, {"Host": host})

    def served(self, api_id, stage, wanted, path="/", **arguments):
        """Waits until the data plane answers 200 with this text."""
        def look():
            answer = self.call(api_id, stage, path, **arguments)
            return (answer.status == 200 and answer.text == wanted), answer
        return self.eventually(f"{stage}{path} of {api_id} answers {wanted!r}", look)

    def answers(self, status, api_id, stage, path="/", **arguments):
        """Waits until the data plane answers with this status."""
        def look():
            answer = self.call(api_id, stage, path, **arguments)
            return answer.status == status, answer
        return self.eventually(f"{stage}{path} of {api_id} answers {status}", look)

    def eventually(self, what, look):
        """Waits until `look` gives True as the first of two; the second is shown otherwise."""
        end = time.monotonic() + DEADLINE
        while True:
            done, last = look()
            if done:
                return last
            assert time.monotonic() < end, f"waited in vain until {what}; last: {last!r}"
            time.sleep(0.02)

    def backend(self):
        """A server that answers each request with what it received, as JSON. Gives its URL."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.after(server.server_close)
        self.after(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        received = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(length).decode("utf-8", "replace"),
        }
        body = json.dumps(received).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


def exchange(url, method, body, headers):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def document(definition):
    """The bytes of a definition."""
    if isinstance(definition, dict):
        definition = json.dumps(definition)
    return definition.encode() if isinstance(definition, str) else definition


def patch(op, path, value=None, source=None):
    """One patch operation; `source` is the `from` of a copy or move."""
    operation = {"op": op, "path": path}
    if value is not None:
        operation["value"] = value
    if source is not None:
        operation["from"] = source
    return operation


def replace(path, value):
    """The patch operations of one replacement."""
    return [patch("replace", path, value)]


def without_metadata(answer):
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def openapi(paths=None, **root):
    """An OpenAPI 3 definition, as a dict."""
    return {"openapi": "3.0.1", "info": {"title": "imported", "version": "1.0"}, "paths": paths or {}, **root}


def mock_operation(template, **operation):
    """An operation with a MOCK integration that answers 200."""
    return {
        "responses": {"200": {"description": "ok"}},
        "x-amazon-apigateway-integration": {
            "type": "mock",
            "requestTemplates": {"application/json": '{"statusCode": 200}'},
            "responses": {"default": {
                "statusCode": "200", "responseTemplates": {"application/json": template},
            }},
        },
        **operation,
    }
