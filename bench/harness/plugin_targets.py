"""Gateways with plugins: what the `plugins` scenarios serve, for Tollgate and for Envoy.

A case is one way of serving a request, with plugins or, to compare with, without. All cases of a
gateway are served by one process, so that what differs between them is the plugin alone: in
Tollgate each is a method of its own, in Envoy a listener of its own.
"""

import hashlib
import http.client
import json
from dataclasses import dataclass
from pathlib import Path

from .install import ROOT
from .load import CONNECTIONS
from .machine import MeasureError
from .targets import PROBE_SECONDS, Running, Setting, Target, answers

PLUGINS = ROOT / "plugins" / "dist"
FILTER = PLUGINS / "proxy-wasm-token-check.wasm"
AUTHORIZER = PLUGINS / "api-key-authorizer.wasm"
HEADERS = PLUGINS / "header-normaliser.wasm"
REDACTOR = PLUGINS / "json-redactor.wasm"

API_ID, STAGE = "benchbench", "v1"
TOKEN, API_KEY = "open-sesame", "a6b1c5f0d2e94c7781aa"
# Sent with every request of every case, so that reading them costs all the same.
REQUEST_HEADERS = {
    "Host": f"{API_ID}.execute-api.us-east-1.localhost",
    "Authorization": f"Bearer {TOKEN}",
    "X-Api-Key": API_KEY,
    "Accept": "application/json, text/plain;q=0.9",
    "User-Agent": "bench/1.0 (load of a gateway)",
    "X-Tenant-Id": " Forest  Birds",
    "X-Request-Source": "bench",
}
# So many tokens and keys are known beside those that are sent.
OTHERS = 9
TOKENS = "".join(f"token-{i} user-{i}\n" for i in range(OTHERS)) + f"{TOKEN} ali\n"
HEADER_EDITS = {
    "request": {
        "remove": ["x-internal-*"],
        "rename": {"x-tenant-id": "x-tenant"},
        "trim": ["x-tenant"],
        "lowerCase": ["x-tenant"],
        "set": {"x-edge": "amsterdam"},
    },
    "response": {
        "remove": ["server", "x-powered-by"],
        "add": {"x-content-type-options": "nosniff"},
    },
}
CARDS = "$.customers[*].card.number"
REDACTION = {"request": [CARDS], "response": [CARDS]}
BODY_BYTES = 10_240


def api_keys() -> str:
    keys = [(f"key-{i}", f"user-{i}") for i in range(OTHERS)] + [(API_KEY, "ali")]
    lines = (f"{hashlib.sha256(key.encode()).hexdigest()},{user}" for key, user in keys)
    return "".join(f"{line}\n" for line in lines)


def customers() -> str:
    """JSON of `BODY_BYTES`, with a card number in each of its some 80 customers."""
    found, note = [], ""
    while True:
        document = {"customers": found, "note": note}
        text = json.dumps(document, separators=(",", ":"))
        if len(text) == BODY_BYTES:
            return text
        if len(text) > BODY_BYTES - 200:
            note = "x" * (BODY_BYTES - len(text))
            continue
        number = len(found)
        found.append(
            {
                "id": f"c-{number:04}",
                "name": f"Customer {number}",
                "city": "Bern",
                "card": {"number": f"4{number:015}", "expires": "12/29"},
                "tags": ["new", "mail"],
            }
        )


@dataclass(frozen=True)
class Plugin:
    """A plugin of Tollgate's configuration."""

    name: str
    file: Path
    configuration: str | dict
    isolation: str = "shared"


@dataclass(frozen=True)
class Case:
    """A way of serving a request, measured as a row of its own."""

    name: str
    # The row that it is compared with; those without plugins have none.
    base: str | None = None
    # The verb of the client's request. With `post`, it has a body of `BODY_BYTES`.
    verb: str = "get"
    origin_path: str = "/"
    transformers: tuple[str, ...] = ()
    authorizer: str | None = None
    # Seconds for which the authorizer's decisions are kept.
    time_to_live: int = 0
    connections: int = CONNECTIONS
    # How often it is measured in a slice.
    times: int = 1

    @property
    def security(self) -> str:
        """The name of the authorizer in the definition."""
        return f"{self.authorizer}-{self.time_to_live}"


FILTERS = [Plugin(f"check-{i}", FILTER, TOKENS) for i in range(4)]
KEYS = Plugin("keys", AUTHORIZER, api_keys())
PLUGINS_OF_CASES = [
    *FILTERS,
    KEYS,
    Plugin("keys-fresh", AUTHORIZER, api_keys(), isolation="per-request"),
    Plugin("headers", HEADERS, HEADER_EDITS),
    Plugin("redactor", REDACTOR, REDACTION),
]
CHAIN = tuple(plugin.name for plugin in FILTERS)
NOTHING, UP, DOWN = "no plugin", "no plugin, 10 KB up", "no plugin, 10 KB down"
ALONE = "no plugin, one at a time"
# For a cost that is less than what one second differs from the next.
OFTEN = 4
TOLLGATE_CASES = [
    Case(ALONE, connections=1),
    Case("filter, one at a time", ALONE, transformers=CHAIN[:1], connections=1),
    Case(NOTHING, times=OFTEN),
    Case("filter", NOTHING, transformers=CHAIN[:1]),
    Case("2 filters", NOTHING, transformers=CHAIN[:2]),
    Case("4 filters", NOTHING, transformers=CHAIN),
    Case("authorizer", NOTHING, authorizer="keys"),
    Case("authorizer, per-request", NOTHING, authorizer="keys-fresh"),
    Case("authorizer, cached", NOTHING, authorizer="keys", time_to_live=300, times=OFTEN),
    Case("transformer, headers", NOTHING, transformers=("headers",)),
    Case(UP, verb="post", origin_path="/upload"),
    Case("transformer, 10 KB up", UP, "post", "/upload", transformers=("redactor",)),
    Case(DOWN, origin_path="/record"),
    Case("transformer, 10 KB down", DOWN, origin_path="/record", transformers=("redactor",)),
]
ENVOY_NOTHING = "envoy: no plugin"
ENVOY_ALONE = "envoy: no plugin, one at a time"
ENVOY_CASES = [
    Case(ENVOY_ALONE, connections=1),
    Case("envoy: filter, one at a time", ENVOY_ALONE, transformers=CHAIN[:1], connections=1),
    Case(ENVOY_NOTHING),
    Case("envoy: filter", ENVOY_NOTHING, transformers=CHAIN[:1]),
    Case("envoy: 2 filters", ENVOY_NOTHING, transformers=CHAIN[:2]),
    Case("envoy: 4 filters", ENVOY_NOTHING, transformers=CHAIN),
]


def copies(directory: Path, count: int, *, distinct: bool) -> list[Plugin]:
    """So many filters; distinct ones differ by a custom section, which means nothing."""
    directory.mkdir(exist_ok=True)
    plugins = []
    for number in range(count):
        file = FILTER
        if distinct:
            name = f"copy-{number}".encode()
            section = bytes([0, len(name) + 1, len(name)]) + name
            file = directory / f"copy-{number}.wasm"
            file.write_bytes(require(FILTER).read_bytes() + section)
        plugins.append(Plugin(f"copy-{number}", file, TOKENS))
    return plugins


def require(file: Path) -> Path:
    if not file.exists():
        raise MeasureError(f"{file} is not there: run plugins/build")
    return file


class PluginGateway(Target):
    """A gateway that serves some cases."""

    def __init__(
        self, setting: Setting, cases: list[Case], plugins: list[Plugin], workers: int = 1
    ):
        super().__init__(setting)
        self.cases, self.plugins, self.workers = cases, plugins, workers

    def cores(self):
        cores = self.setting.cores
        return {cores.target} if self.workers == 1 else {cores.target, cores.load}

    def url(self, running: Running, case: Case) -> str:
        raise NotImplementedError

    def verify(self, running: Running) -> None:
        """Checks that each case is answered, and that its plugins have a say in it."""
        for case in self.cases:
            url = self.url(running, case)
            body = customers().encode() if case.verb == "post" else None
            status, answer = exchange(url, case.verb, body, REQUEST_HEADERS)
            if status != 200:
                raise MeasureError(f"{case.name} answers {status}: {answer[:200]!r}")
            unknown = REQUEST_HEADERS | {"Authorization": "Bearer x", "X-Api-Key": "x"}
            refused = exchange(url, case.verb, body, unknown)[0] in (401, 403)
            if refused != bool(case.authorizer or set(case.transformers) & names(FILTERS)):
                raise MeasureError(f"{case.name}: an unknown token is refused: {refused}")
            if (b"[redacted]" in answer) != (case.base == DOWN):
                raise MeasureError(f"{case.name} answers {answer[:200]!r}")


def names(plugins: list[Plugin]) -> set[str]:
    return {plugin.name for plugin in plugins}


def exchange(url: str, verb: str, body: bytes | None, headers: dict[str, str]):
    """Status and body of the answer to one request."""
    _, _, authority, path = url.split("/", 3)
    connection = http.client.HTTPConnection(authority, timeout=PROBE_SECONDS)
    if body is not None:
        headers = headers | {"Content-Type": "application/json"}
    try:
        connection.request(verb.upper(), f"/{path}", body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise MeasureError(f"{verb} /{path}: {error!r}") from error
    finally:
        connection.close()


class PluginTollgate(PluginGateway):
    """`tollgate serve` with one API that has a method for each case.

    With `cache`, compiled plugins are kept in that directory.
    """

    name = "tollgate"

    def __init__(self, setting, cases, plugins, workers=1, cache: Path | None = None):
        super().__init__(setting, cases, plugins, workers)
        self.cache = cache

    def url(self, running, case):
        path = f"/{STAGE}{self.path(case)}"
        return f"http://127.0.0.1:{running.place.http}{path}"

    def path(self, case: Case) -> str:
        """Of the same length for each case."""
        return f"/case{self.cases.index(case):02}"

    def ready(self, running):
        return answers(running.place.management, "/readyz")

    def command(self, place):
        write = self.write_json
        write(place.directory / "api.json", self.definition())
        configuration = {
            "listeners": [{"address": f"127.0.0.1:{place.http}"}],
            "management": f"127.0.0.1:{place.management}",
            "workers": self.workers,
            # The default is AWS's quota: it would refuse most of what is measured here.
            "account": {"throttle": {"rate": 10_000_000, "burst": 10_000_000}},
            "apis": [
                {
                    "definition": "api.json",
                    "api_id": API_ID,
                    "stage": STAGE,
                    "methods": {
                        f"{case.verb.upper()} {self.path(case)}": {
                            "transformers": list(case.transformers)
                        }
                        for case in self.cases
                    },
                }
            ],
            "plugins": [
                {
                    "name": plugin.name,
                    "file": str(require(plugin.file)),
                    "configuration": plugin.configuration,
                    "isolation": plugin.isolation,
                }
                for plugin in self.plugins
            ],
            "access_log": {"destination": "access.log"},
        }
        if self.cache:
            configuration["plugin_cache_directory"] = str(self.cache)
        # YAML, of which JSON is a part.
        path = write(place.directory / "tollgate.yaml", configuration)
        return [self.setting.tools["tollgate"], "serve", "--config", path]

    @staticmethod
    def write_json(path: Path, document: dict) -> str:
        path.write_text(json.dumps(document))
        return str(path)

    def definition(self) -> dict:
        paths = {}
        for case in self.cases:
            method = {
                "responses": {"200": {"description": case.name}},
                "x-amazon-apigateway-integration": {
                    "type": "http_proxy",
                    "httpMethod": "GET" if case.origin_path == "/" else "POST",
                    "uri": f"http://127.0.0.1:{self.setting.origin_port}{case.origin_path}",
                },
            }
            if case.authorizer:
                method["security"] = [{case.security: []}]
            paths[self.path(case)] = {case.verb: method}
        return {
            "openapi": "3.0.1",
            "info": {"title": "plugins", "version": "1"},
            "paths": paths,
            "components": {
                "securitySchemes": {
                    case.security: security_scheme(case) for case in self.cases if case.authorizer
                }
            },
        }


def security_scheme(case: Case) -> dict:
    return {
        "type": "apiKey",
        "name": "X-Api-Key",
        "in": "header",
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": {
            "type": "request",
            "authorizerUri": f"plugin:{case.authorizer}",
            "identitySource": "method.request.header.X-Api-Key",
            "authorizerResultTtlInSeconds": case.time_to_live,
        },
    }


class PluginEnvoy(PluginGateway):
    """Envoy with a listener for each case, on an address of its own: 127.0.0.1, 127.0.0.2 and so
    on. Each filter has a VM of its own, as in Tollgate."""

    name = "envoy"

    def url(self, running, case):
        return f"http://{self.address(case)}:{running.place.http}/"

    def address(self, case: Case) -> str:
        return f"127.0.0.{self.cases.index(case) + 1}"

    def ready(self, running):
        # Of the last listener, which a filter would refuse without a token.
        try:
            url = self.url(running, self.cases[-1])
            return exchange(url, "get", None, REQUEST_HEADERS)[0] == 200
        except MeasureError:
            return False

    def command(self, place):
        path = place.directory / "envoy.json"
        path.write_text(json.dumps(self.configuration(place.http)))
        options = ["--concurrency", str(self.workers), "--disable-hot-restart"]
        return [self.setting.tools["envoy"], *options, "--log-level", "warn", "-c", str(path)]

    def configuration(self, port: int) -> dict:
        origin = socket_address("127.0.0.1", self.setting.origin_port)
        endpoint = {"endpoint": {"address": origin}}
        return {
            "static_resources": {
                "listeners": [
                    {
                        "name": case.name,
                        "address": socket_address(self.address(case), port),
                        "filter_chains": [{"filters": [self.connection_manager(case)]}],
                    }
                    for case in self.cases
                ],
                "clusters": [
                    {
                        "name": "origin",
                        "type": "STATIC",
                        "load_assignment": {
                            "cluster_name": "origin",
                            "endpoints": [{"lb_endpoints": [endpoint]}],
                        },
                    }
                ],
            }
        }

    def connection_manager(self, case: Case) -> dict:
        used = [plugin for plugin in self.plugins if plugin.name in case.transformers]
        router = typed("envoy.filters.http.router", "http.router.v3.Router")
        return typed(
            "envoy.filters.network.http_connection_manager",
            "network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="bench",
            route_config={
                "virtual_hosts": [
                    {
                        "name": "bench",
                        "domains": ["*"],
                        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}],
                    }
                ]
            },
            http_filters=[*map(envoy_filter, used), router],
        )


def socket_address(address: str, port: int) -> dict:
    return {"socket_address": {"address": address, "port_value": port}}


def typed(name: str, kind: str, **fields) -> dict:
    kind = f"type.googleapis.com/envoy.extensions.filters.{kind}"
    return {"name": name, "typed_config": {"@type": kind, **fields}}


def envoy_filter(plugin: Plugin) -> dict:
    return typed(
        "envoy.filters.http.wasm",
        "http.wasm.v3.Wasm",
        config={
            "name": plugin.name,
            "vm_config": {
                "vm_id": plugin.name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": str(require(plugin.file))}},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": plugin.configuration,
            },
        },
    )
