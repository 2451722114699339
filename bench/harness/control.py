"""Tollgate with a management API: its configuration, a client that signs, an API to deploy."""

import hashlib
import hmac
import json
import select
import socket
import time
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

from .machine import MeasureError
from .targets import Place, Running, Setting, Target, answers

REGION, STAGE = "us-east-1", "prod"
KEY_ID, SECRET = "AKIDBENCH00000000001", "a-secret-for-loopback-only"
# An import of 10,000 methods answers within this, on a busy machine too.
CALL_SECONDS = 60
HALF_OF_METHODS = 10
# The methods of each API whose answers change: one says what its template says, the other what the
# stage variable does.
ANSWER, VARIABLE = "/answer", "/variable"


class ManagedTollgate(Target):
    """`tollgate serve` with a store on disk, a management API with a key, metrics and access log."""

    name = "tollgate"

    def ready(self, running):
        return answers(running.place.management, "/readyz")

    def command(self, place):
        (place.directory / "secret").write_text(SECRET)
        configuration = {
            "listeners": [{"address": f"127.0.0.1:{place.http}"}],
            "management": f"127.0.0.1:{place.management}",
            "management_api": {
                "address": f"127.0.0.1:{api_port(place)}",
                "access_keys": [{"id": KEY_ID, "secret_file": str(place.directory / "secret")}],
            },
            "data_directory": str(place.directory / "data"),
            "workers": 1,
            # The default is AWS's quota: it would refuse most of what is measured here.
            "account": {"throttle": {"rate": 10_000_000, "burst": 10_000_000}},
            "access_log": {"destination": "access.log"},
            "region": REGION,
        }
        path = place.directory / "tollgate.yaml"
        # YAML, of which JSON is a part.
        path.write_text(json.dumps(configuration))
        return [self.setting.tools["tollgate"], "serve", "--config", str(path)]


def api_port(place: Place) -> int:
    """That of the management API: nothing speaks TLS here, so its port is free."""
    return place.https


class ManagementClient:
    """One kept connection to the management API."""

    def __init__(self, running: Running):
        self.address = ("127.0.0.1", api_port(running.place))
        self.socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    def close(self) -> None:
        if self.socket:
            self.socket.close()
        self.socket = None

    def call(self, verb: str, path: str, body: object = None, **query: str) -> dict:
        """Carries out an operation, which must succeed, and returns what it answers."""
        self.send(self.request(verb, path, body, **query))
        return self.receive()

    def request(self, verb: str, path: str, body: object = None, **query: str) -> bytes:
        """A signed request. Only paths that need no percent-encoding."""
        given = isinstance(body, bytes)
        content = body if given else b"" if body is None else json.dumps(body).encode()
        host = "{}:{}".format(*self.address)
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        parameters = urlencode(sorted(query.items()))
        digest = hashlib.sha256(content).hexdigest()
        canonical = (
            f"{verb}\n{path}\n{parameters}\nhost:{host}\nx-amz-date:{now}\n\nhost;x-amz-date\n"
            f"{digest}"
        )
        scope = f"{now[:8]}/{REGION}/apigateway/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{SECRET}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashed}"):
            key = hmac.digest(key, part.encode(), "sha256")
        target = f"{path}?{parameters}" if parameters else path
        head = (
            f"{verb} {target} HTTP/1.1\r\nHost: {host}\r\nX-Amz-Date: {now}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={KEY_ID}/{scope}, "
            f"SignedHeaders=host;x-amz-date, Signature={key.hex()}\r\n\r\n"
        )
        return head.encode() + content

    def send(self, request: bytes) -> None:
        if self.socket is None:
            self.socket = connect(self.address, CALL_SECONDS)
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def receive(self) -> dict:
        status, body = read_response(self.socket)
        if not 200 <= status < 300:
            raise MeasureError(f"the management API answers {status}: {body[:300]!r}")
        return json.loads(body) if body else {}


class Probe:
    """One kept connection to the gateway that asks what is served now."""

    def __init__(self, running: Running):
        self.socket = connect(("127.0.0.1", running.place.http), CALL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        self.socket.close()

    def ask(self, api_id: str, path: str) -> str:
        status, body = self.exchange(api_id, path)
        if status != 200:
            raise MeasureError(f"{path} of {api_id} answers {status}: {body[:300]!r}")
        return body.decode()

    def is_served(self, api_id: str, path: str) -> bool:
        return self.exchange(api_id, path)[0] == 200

    def exchange(self, api_id: str, path: str) -> tuple[int, bytes]:
        head = f"GET /{STAGE}{path} HTTP/1.1\r\nHost: {host_of(api_id)}\r\n\r\n"
        self.socket.sendall(head.encode())
        return read_response(self.socket)


def connect(address: tuple[str, int], seconds: float) -> socket.socket:
    connection = socket.create_connection(address, timeout=seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_response(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of an answer with a `content-length`."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += read_some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    lengths = [line[15:] for line in lines if line.lower().startswith("content-length:")]
    length = int(lengths[0]) if lengths else 0
    while len(body) < length:
        body += read_some(connection)
    return int(lines[0].split(" ")[1]), body


def read_some(connection: socket.socket) -> bytes:
    try:
        if read := connection.recv(65_536):
            return read
    except OSError as error:
        raise MeasureError(f"no answer: {error}") from error
    raise MeasureError("the connection was closed before an answer")


def patches(*operations: tuple[str, str, str]) -> dict:
    """Operation, path and value of each."""
    keys = ("op", "path", "value")
    return {"patchOperations": [dict(zip(keys, each, strict=True)) for each in operations]}


def host_of(api_id: str) -> str:
    return f"{api_id}.execute-api.{REGION}.localhost"


def mock(answer: str) -> dict:
    return {
        "type": "mock",
        "requestTemplates": {"application/json": '{"statusCode": 200}'},
        "responses": {
            "default": {"statusCode": "200", "responseTemplates": {"application/json": answer}}
        },
    }


def definition(setting: Setting, title: str) -> dict:
    """An API with 20 methods: half are answered by MOCK, half are proxied to the origin."""
    proxied = {
        "type": "http_proxy",
        "httpMethod": "GET",
        "uri": f"http://127.0.0.1:{setting.origin_port}/",
    }
    integrations = {ANSWER: mock("first"), VARIABLE: mock("$stageVariables.answer")}
    for number in range(HALF_OF_METHODS):
        if number < HALF_OF_METHODS - len((ANSWER, VARIABLE)):
            integrations[f"/mock{number}"] = mock(f'{{"item":{number}}}')
        integrations[f"/proxied{number}"] = proxied
    paths = {
        path: {
            "get": {
                "responses": {"200": {"description": "An item"}},
                "x-amazon-apigateway-integration": integration,
            }
        }
        for path, integration in integrations.items()
    }
    return {"openapi": "3.0.1", "info": {"title": title, "version": "1"}, "paths": paths}


def deploy(client: ManagementClient, api_id: str, **more: object) -> str:
    """Deploys an API to its stage, and returns the deployment's id."""
    body = {"stageName": STAGE, **more}
    return client.call("POST", f"/restapis/{api_id}/deployments", body)["id"]


def import_and_deploy(client: ManagementClient, document: bytes) -> str:
    """A new API with a stage. Returns its id."""
    api_id = client.call("POST", "/restapis", document, mode="import")["id"]
    deploy(client, api_id, variables={"answer": "first"})
    return api_id


def requests_of(api_ids: list[str], path: Path) -> Path:
    """A file of requests for the loader: each second one is proxied, no API twice in a row."""
    lines = []
    for number in range(HALF_OF_METHODS - 2):
        for index, api_id in enumerate(api_ids):
            kind = "mock" if (index + number) % 2 else "proxied"
            lines.append(f"GET {host_of(api_id)} /{STAGE}/{kind}{number}\n")
    path.write_text("".join(lines))
    return path
