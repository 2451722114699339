"""The gateways under test: how each is started, and that it answers what the others answer.

All of them serve the same paths on a plain and on a TLS listener:

    GET  /        proxied, a small body from the origin
    GET  /big     proxied, a large body from the origin
    POST /upload  proxied, the origin reads the body and answers a small one
    GET  /mock    the same small body, made by the target itself
    POST /record  proxied, about 1 KB of JSON both ways; Tollgate validates and reshapes it
"""

import http.client
import json
import re
import resource
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .install import BENCH, Tools
from .machine import (
    POLL_SECONDS,
    Cores,
    MeasureError,
    Process,
    free_port,
    make_certificate,
    wait_until,
)

# What /, /upload and /mock answer: some 100 bytes, none that nginx or VTL would expand.
BODY = '{"id":"n-0001","name":"Nutcracker","kind":"bird","food":["pine","hazel"],"length_cm":32}'
# How many items the origin's record has.
RECORDS = 9
RECORD_REQUEST = BENCH / "definitions" / "record-request.json"
RECORD_RESPONSE = BENCH / "definitions" / "record-response.json"
BIG_BYTES = 10_000_000  # Below API Gateway's payload quota of 10 MiB.

START_SECONDS = 60
PROBE_SECONDS = 10  # One request, with no other load.


@dataclass
class Setting:
    """What all targets of a run share: programs, cores, the origin's port, a directory."""

    tools: Tools
    cores: Cores
    directory: Path
    origin_port: int = field(default_factory=free_port)
    # What the origin answers at /record.
    record: Path = RECORD_RESPONSE

    def prepare(self) -> None:
        (self.directory / "body.json").write_text(BODY)
        make_certificate(self.tools["openssl"], self.directory)

    def origin(self) -> Process:
        command = [self.tools["origin"], "--listen", f"127.0.0.1:{self.origin_port}"]
        command += ["--body", str(self.directory / "body.json"), "--big-bytes", str(BIG_BYTES)]
        command += ["--record", str(self.record)]
        return Process(command, {self.cores.load}, self.directory / "origin.log")


@dataclass(frozen=True)
class Place:
    """Where one start of a target listens, and keeps its configuration, output and logs."""

    directory: Path
    http: int = field(default_factory=free_port)
    https: int = field(default_factory=free_port)
    management: int = field(default_factory=free_port)


@dataclass
class Running:
    """A target between its start and its end."""

    process: Process
    place: Place
    # What Tollgate printed about each API it serves; nothing for others.
    apis: list[dict] = field(default_factory=list)


class Target:
    """A gateway: its command line, its version, and when it is ready."""

    name: str
    # The key of the list in what POST /record answers.
    record_list = "Items"

    def __init__(self, setting: Setting):
        self.setting = setting

    def command(self, place: Place) -> list[str]:
        raise NotImplementedError

    def cores(self) -> set[int]:
        """Where it may run: on a core of its own."""
        return {self.setting.cores.target}

    def version(self) -> str:
        raise NotImplementedError

    def ready(self, running: Running) -> bool:
        return answers(running.place.http, "/")

    @contextmanager
    def start(self, poll_seconds: float = POLL_SECONDS) -> Iterator[Running]:
        """Runs the target until the block ends; it is ready when the block begins."""
        with tempfile.TemporaryDirectory(dir=self.setting.directory, prefix=self.name) as name:
            directory = Path(name)
            # nginx started by root reads its temporary paths as another user.
            directory.chmod(0o755)
            place = Place(directory)
            command = self.command(place)
            log = directory / "stderr.log"
            with (
                (directory / "stdout.log").open("wb") as stdout,
                Process(command, self.cores(), log, stdout=stdout) as process,
            ):
                running = Running(process, place)
                ready = partial(self.alive_and_ready, running)
                wait_until(ready, START_SECONDS, self.name, poll_seconds)
                yield running

    def alive_and_ready(self, running: Running) -> bool:
        running.process.check_alive()
        return self.ready(running)

    def write(self, template: Path, place: Place) -> str:
        """Fills in a configuration or definition, and returns the path of the result."""
        shared = self.setting.directory
        values = {
            "HTTP": place.http,
            "HTTPS": place.https,
            "ORIGIN": self.setting.origin_port,
            "CERT": shared / "cert.pem",
            "KEY": shared / "key.pem",
            "CERT_AND_KEY": shared / "both.pem",
            "BODY": BODY,
            "BODY_FILE": shared / "body.json",
            "DIR": place.directory,
            "NOFILE": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        }
        text = template.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        if left := re.findall(r"@[A-Z_]+@", text):
            raise MeasureError(f"{template.name}: no value for {', '.join(left)}")
        path = place.directory / template.name.removesuffix(".in")
        path.write_text(text)
        return str(path)

    def output_of(self, *arguments: str) -> str:
        command = [self.setting.tools[self.name], *arguments]
        result = subprocess.run(command, capture_output=True, text=True)
        return (result.stdout + result.stderr).strip()


# The most that a throttle can be: requests a second, and at once.
UNTHROTTLED = "10000000:10000000"


class Tollgate(Target):
    """Tollgate in `dev` mode: routing, metrics and a JSON access log to a file are on.

    With `definitions` it serves those in place of the bench definition.
    """

    name = "tollgate"
    record_list = "orders"

    def __init__(self, setting: Setting, definitions: list[Path] | None = None):
        super().__init__(setting)
        self.definitions = definitions

    def command(self, place):
        if self.definitions is None:
            files = [self.write(BENCH / "definitions" / "bench.yaml.in", place)]
        else:
            files = [str(path) for path in self.definitions]
        return [
            self.setting.tools["tollgate"], "dev", *files,
            "--http", f"127.0.0.1:{place.http}",
            "--https", f"127.0.0.1:{place.https}",
            "--management", f"127.0.0.1:{place.management}",
            "--management-api", "127.0.0.1:0",
            "--workers", "1",
            # The default is AWS's quota: it would refuse most of what is measured here.
            "--account-throttle", UNTHROTTLED,
            "--access-log", str(place.directory / "access.log"),
            "--output", "json",
        ]  # fmt: skip

    def ready(self, running):
        if not answers(running.place.management, "/readyz"):
            return False
        running.apis = printed_apis(running.place.directory / "stdout.log")
        return len(running.apis) == len(self.definitions or ["bench.yaml"])

    def version(self):
        return self.output_of("--version").split()[-1]


class RawPingora(Target):
    name = "raw-pingora"

    def command(self, place):
        shared = self.setting.directory
        return [
            self.setting.tools["raw-pingora"],
            "--http", f"127.0.0.1:{place.http}",
            "--https", f"127.0.0.1:{place.https}",
            "--cert", str(shared / "cert.pem"),
            "--key", str(shared / "key.pem"),
            "--origin", f"127.0.0.1:{self.setting.origin_port}",
            "--mock-body", str(shared / "body.json"),
        ]  # fmt: skip

    def version(self):
        lock = (BENCH / "Cargo.lock").read_text()
        return re.search(r'name = "pingora-proxy"\nversion = "([^"]+)"', lock)[1]


class Nginx(Target):
    name = "nginx"

    def command(self, place):
        config = self.write(BENCH / "peers" / "nginx.conf.in", place)
        prefix = str(place.directory)
        return [self.setting.tools["nginx"], "-p", prefix, "-e", "stderr", "-c", config]

    def version(self):
        return self.output_of("-v").rpartition("/")[2]


class HAProxy(Target):
    name = "haproxy"

    def command(self, place):
        config = self.write(BENCH / "peers" / "haproxy.cfg.in", place)
        return [self.setting.tools["haproxy"], "-db", "-f", config]

    def version(self):
        return self.output_of("-v").split()[2]


class Envoy(Target):
    name = "envoy"

    def command(self, place):
        config = self.write(BENCH / "peers" / "envoy.yaml.in", place)
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]
        return [self.setting.tools["envoy"], *options, "-c", config]

    def version(self):
        # PATH, then "version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL".
        return self.output_of("--version").split()[-1].split("/")[1]


# The order of the report, and of the first round.
TARGETS: list[type[Target]] = [Tollgate, RawPingora, Nginx, HAProxy, Envoy]


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered with 200; no answer yet is a plain no."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def printed_apis(output: Path) -> list[dict]:
    """The APIs in what `--output json` has printed so far."""
    apis = []
    for line in output.read_text().splitlines():
        try:
            api = json.loads(line)
        except json.JSONDecodeError:
            continue  # The last line may be half written.
        if "invoke_urls" in api:
            apis.append(api)
    return apis


def verify(target: Target) -> str:
    """Checks that a target answers each path rightly, so that no error page is ever measured.

    Returns the cipher suite that OpenSSL negotiates with it on TLS 1.3.
    """
    with target.start() as running:
        for method, path in (("GET", "/"), ("GET", "/mock"), ("POST", "/upload"), ("GET", "/big")):
            body = exchange(running.place.http, method, path)
            right = len(body) == BIG_BYTES if path == "/big" else body.strip() == BODY.encode()
            if not right:
                raise MeasureError(f"{method} {path} answers {len(body)} bytes: {body[:200]!r}")
        record = exchange(running.place.http, "POST", "/record", RECORD_REQUEST.read_bytes())
        if len(json.loads(record).get(target.record_list, [])) != RECORDS:
            raise MeasureError(f"POST /record answers {record[:200]!r}")
        return negotiated_cipher(running.place.https)


def exchange(port: int, method: str, path: str, body: bytes | None = None) -> bytes:
    if body is None and method == "POST":
        body = b"x" * BIG_BYTES
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise MeasureError(f"{method} {path} answers {response.status}")
        return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise MeasureError(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()


def negotiated_cipher(port: int) -> str:
    """Connects as wrk (no ALPN) and as h2load (h2) do; both must get TLS 1.3."""
    for protocols in ([], ["h2"]):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if protocols:
            context.set_alpn_protocols(protocols)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=PROBE_SECONDS) as tcp,
            context.wrap_socket(tcp, server_hostname="localhost") as tls,
        ):
            got = (tls.version(), tls.selected_alpn_protocol())
            if got != ("TLSv1.3", protocols[0] if protocols else None):
                raise MeasureError(f"TLS: asked for 1.3 and ALPN {protocols}, got {got}")
            cipher = tls.cipher()[0]
    return cipher
