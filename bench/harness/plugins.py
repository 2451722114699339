"""What plugins cost: CPU a request, memory, and time to be ready. See README.md."""

import random
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from . import load
from .machine import Cores, MeasureError, free_port
from .plugin_targets import (
    ENVOY_CASES,
    FILTER,
    FILTERS,
    HEADER_EDITS,
    HEADERS,
    KEYS,
    NOTHING,
    PLUGINS_OF_CASES,
    REDACTION,
    REDACTOR,
    REQUEST_HEADERS,
    TOKENS,
    TOLLGATE_CASES,
    Case,
    Plugin,
    PluginEnvoy,
    PluginGateway,
    PluginTollgate,
    copies,
    customers,
)
from .scenarios import (
    MEGABYTE,
    SETTLE_SECONDS,
    Bench,
    Column,
    Figures,
    Goal,
    Memory,
    Scenario,
)
from .targets import Running, Setting

COMPARED = ("tollgate", "envoy")
# Of one measurement. Short ones, so that what else the machine does meets a request with plugins
# and one without alike.
SLICE_SECONDS = 1


class PluginCost(Scenario):
    """CPU time that plugins add to a request.

    A slice measures every case, in random order, in processes that serve all cases. What a
    plugin adds is its case's cost less that of the case without plugins in the same slice, and the
    median over all slices is shown. Processes are started anew each round, on one core.
    """

    name, group, compares = "plugins-cpu", "plugins", COMPARED
    summary = "what plugins add to a proxied request, beside the same request without"
    columns = [
        Column("cpu_us", "CPU µs/req", 2),
        Column("added_us", "added µs", 2),
        Column("added_us", "±", 2, is_spread=True),
        Column("further_us", "each further µs", 2),
        Column("of_envoy", "/ envoy", 2),
    ]
    goals = (
        Goal("added_us", 4, subject="filter, one at a time"),
        Goal("of_envoy", 0.2, subject="filter, one at a time"),
        Goal("added_us", 4, subject="filter"),
        Goal("of_envoy", 0.2, subject="filter"),
        Goal("further_us", 1, baseline="filter", subject="2 filters"),
        Goal("further_us", 1, baseline="filter", subject="4 filters"),
        Goal("added_us", 5, subject="authorizer"),
        Goal("added_us", 25, subject="authorizer, per-request"),
        Goal("added_us", 0.3, subject="authorizer, cached"),
        Goal("added_us", 5, subject="transformer, headers"),
        Goal("added_us", 20, subject="transformer, 10 KB up"),
        Goal("added_us", 20, subject="transformer, 10 KB down"),
    )

    def subjects(self, bench):
        cases = TOLLGATE_CASES if "tollgate" in bench.targets else []
        cases = cases + (ENVOY_CASES if "envoy" in bench.targets else [])
        return [case.name for case in cases]

    def measure_round(self, bench, order, failures):
        setting = on_one_core(with_customers(bench.setting))
        body = setting.directory / "customers.json"
        gateways = []
        if "tollgate" in bench.targets:
            gateways.append(PluginTollgate(setting, TOLLGATE_CASES, PLUGINS_OF_CASES))
        if "envoy" in bench.targets:
            gateways.append(PluginEnvoy(setting, ENVOY_CASES, FILTERS))
        with ExitStack() as running, setting.origin():
            measured = []
            for gateway in gateways:
                try:
                    started = running.enter_context(gateway.start())
                    gateway.verify(started)
                except MeasureError as error:
                    failures.setdefault(gateway.name, str(error))
                    continue
                measured += [(gateway, started, case) for case in gateway.cases]
            slices = range(0, bench.options.seconds, SLICE_SECONDS)
            self.slice(setting, measured, body, failures)  # Warms up.
            return [self.slice(setting, measured, body, failures) for _ in slices]

    @staticmethod
    def slice(setting: Setting, measured: list, body: Path, failures: dict[str, str]) -> Figures:
        costs: dict[str, list[float]] = {}
        turns = [each for each in measured for _ in range(each[2].times)]
        for gateway, running, case in random.sample(turns, len(turns)):
            try:
                cost = measure_case(setting, gateway, running, case, body)
                costs.setdefault(case.name, []).append(cost)
            except MeasureError as error:
                failures.setdefault(case.name, str(error))
        figures = {name: {"cpu_us": fmean(seen)} for name, seen in costs.items()}
        for _, _, case in measured:
            if case.base in figures and case.name in figures:
                cost, base = figures[case.name]["cpu_us"], figures[case.base]["cpu_us"]
                figures[case.name]["added_us"] = cost - base
        compare_chains(figures)
        return figures


def measure_case(
    setting: Setting, gateway: PluginGateway, running: Running, case: Case, body: Path
) -> float:
    """CPU time a request, in microseconds."""
    files = {"body": body} if case.verb == "post" else {}
    cpu_before = running.process.cpu_ns()
    url, connections = gateway.url(running, case), case.connections
    seen = load.wrk(setting, url, SLICE_SECONDS, REQUEST_HEADERS, connections, **files)
    return (running.process.cpu_ns() - cpu_before) / 1000 / seen.requests


def compare_chains(figures: Figures) -> None:
    """What each filter after the first adds, and how much all add of what they add in Envoy."""

    def added(name: str) -> float | None:
        return figures.get(name, {}).get("added_us")

    alone = "filter, one at a time"
    if added(alone) is not None and (envoy := added(f"envoy: {alone}")):
        figures[alone]["of_envoy"] = added(alone) / envoy
    for gateway in ("", "envoy: "):
        first = added(f"{gateway}filter")
        for name, further in (("filter", 0), ("2 filters", 1), ("4 filters", 3)):
            chain = added(gateway + name)
            if chain is None or first is None:
                continue
            figures[gateway + name]["further_us"] = (chain - first) / further if further else first
            if envoy := added(f"envoy: {name}"):
                figures[gateway + name]["of_envoy"] = chain / envoy


def on_one_core(setting: Setting) -> Setting:
    """Gateway, origin and load share a core.

    Waking a core that sleeps costs whoever wakes it, in a virtual machine some microseconds. A
    gateway that is slower than its load and origin pays that with each request, a faster one
    hardly ever: between two cores that would be most of the difference that a plugin makes.
    """
    return replace(setting, cores=Cores(setting.cores.target, setting.cores.target))


def with_customers(setting: Setting) -> Setting:
    """The setting with an origin of its own, which answers 10 KB of JSON at /record."""
    body = setting.directory / "customers.json"
    body.write_text(customers())
    return replace(setting, origin_port=free_port(), record=body)


class PluginMillion(Memory):
    """Whether memory grows with the requests that plugins had a say in."""

    name, group, compares = "plugins-million", "plugins", COMPARED
    summary = "RSS after a tenth, half and all of a million requests, authorizer and filter"
    cases = ("tollgate",)
    headers = REQUEST_HEADERS
    case = Case("both", authorizer=KEYS.name, transformers=(FILTERS[0].name,))

    @contextmanager
    def serve(self, bench, subject):
        gateway = PluginTollgate(bench.setting, [self.case], [FILTERS[0], KEYS])
        with gateway.start() as running:
            gateway.verify(running)
            yield running, gateway.url(running, self.case)


class PluginMemory(Scenario):
    """Memory that loaded plugins take, with two workers."""

    name, group, compares = "plugins-memory", "plugins", COMPARED
    count = 64
    workers = 2
    summary = f"RSS with {count} filters in a chain and {workers} workers, beside none"
    columns = [
        Column("base_mb", "RSS MB without", 1),
        Column("idle_mb", "idle", 1),
        Column("used_mb", "used by both", 1),
        Column("idle_kb", "KB/plugin idle", 1),
        Column("used_kb", "KB/plugin used", 1),
        Column("share_percent", "% of its VMs"),
        Column("idle_cpu_ms", "idle CPU ms/s", 1),
    ]
    cost = "used_kb"
    baselines = ("envoy",)
    # What VMs x workers would take, if each took the pages that its module asks for.
    goals = (
        Goal("share_percent", 100, subject="tollgate"),
        Goal("used_kb", 1, "envoy", "tollgate"),
    )
    max_rounds = 1
    # Whether each filter has a file of its own, so that no code is shared.
    rows = {"": True, ", one file": False}

    def subjects(self, bench):
        return [name + row for name in COMPARED if name in bench.targets for row in self.rows]

    def measure(self, bench, subject):
        name, _, _ = subject.partition(",")
        directory = bench.setting.directory / "copies"
        plugins = copies(directory, self.count, distinct=self.rows[subject.removeprefix(name)])
        base = self.memory(bench, name, [])
        loaded = self.memory(bench, name, plugins)
        used_kb = (loaded["used"] - base["used"]) / len(plugins)
        return {
            "base_mb": base["used"] * 1024 / MEGABYTE,
            "idle_mb": loaded["idle"] * 1024 / MEGABYTE,
            "used_mb": loaded["used"] * 1024 / MEGABYTE,
            "idle_kb": (loaded["idle"] - base["idle"]) / len(plugins),
            "used_kb": used_kb,
            "share_percent": 100 * used_kb / (self.workers * declared_kb(FILTER)),
            "idle_cpu_ms": loaded["idle_cpu_ms"] - base["idle_cpu_ms"],
        }

    def memory(self, bench: Bench, name: str, plugins: list[Plugin]) -> dict[str, float]:
        """RSS in KB before any request and after requests to both workers, and the CPU time that
        is used in a second without any."""
        case = Case("chain", transformers=tuple(plugin.name for plugin in plugins))
        if name == "tollgate":
            cache = bench.setting.directory / "plugin-cache"
            gateway = PluginTollgate(bench.setting, [case], plugins, self.workers, cache)
            # A start that compiles has more memory than one that finds everything compiled.
            with gateway.start():
                pass
        else:
            gateway = PluginEnvoy(bench.setting, [case], plugins, self.workers)
        with gateway.start() as running:
            time.sleep(SETTLE_SECONDS)
            idle, cpu_before = running.process.rss_kb(), running.process.cpu_ns()
            time.sleep(SETTLE_SECONDS)
            idle_cpu_ms = (running.process.cpu_ns() - cpu_before) / 1e6 / SETTLE_SECONDS
            for _ in range(3):
                url = gateway.url(running, case)
                load.wrk(bench.setting, url, bench.options.seconds, REQUEST_HEADERS)
            time.sleep(SETTLE_SECONDS)
            used = running.process.rss_kb()
            return {"idle": idle, "used": used, "idle_cpu_ms": idle_cpu_ms}


def declared_kb(file: Path) -> float:
    """The linear memory that a module asks for at its start, in KB."""
    data = file.read_bytes()
    at = 8
    while at < len(data):
        section = data[at]
        size, at = leb128(data, at + 1)
        if section == 5:  # Memories: their count, then flags and pages of the first.
            _, at = leb128(data, at)
            pages, _ = leb128(data, at + 1)
            return pages * 64
        at += size
    raise MeasureError(f"{file} has no memory")


def leb128(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number, and where it ends."""
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


class PluginStart(Scenario):
    """How much later `tollgate serve` is ready with a plugin than without."""

    name, group, compares = "plugins-start", "plugins", COMPARED
    summary = "how much later Tollgate is ready with a plugin: to be compiled, and compiled before"
    columns = [
        Column("compile_ms", "compiling ms", 1),
        Column("compile_cpu_ms", "CPU ms", 1),
        Column("ready_ms", "compiled before ms", 1),
        Column("ready_cpu_ms", "CPU ms", 1),
    ]
    goals = (Goal("ready_ms", 10),)
    plugins = {
        "proxy-wasm filter": Plugin("plugin", FILTER, TOKENS),
        "authorizer": KEYS,
        "transformer, headers": Plugin("plugin", HEADERS, HEADER_EDITS),
        "transformer, bodies": Plugin("plugin", REDACTOR, REDACTION),
    }
    cases = tuple(plugins)
    repeats = 7

    def measure(self, bench, subject):
        plugin = self.plugins[subject]
        with TemporaryDirectory(dir=bench.setting.directory) as name:
            cold, warm, without = [], [], []
            for number in range(self.repeats):
                cache = Path(name, f"cache-{number}")
                cold.append(self.start(bench, [plugin], cache))
                warm.append(self.start(bench, [plugin], cache))
                without.append(self.start(bench, [], cache))
        # The fastest of each: whatever else the machine did only adds.
        cold, warm, without = (
            tuple(map(min, zip(*it, strict=True))) for it in (cold, warm, without)
        )
        return {
            "compile_ms": cold[0] - without[0],
            "compile_cpu_ms": cold[1] - without[1],
            "ready_ms": warm[0] - without[0],
            "ready_cpu_ms": warm[1] - without[1],
        }

    @staticmethod
    def start(bench: Bench, plugins: list[Plugin], cache: Path) -> tuple[float, float]:
        """Wall and CPU milliseconds until the gateway is ready."""
        gateway = PluginTollgate(bench.setting, [Case(NOTHING)], plugins, cache=cache)
        begun = time.monotonic()
        with gateway.start(poll_seconds=0.001) as running:
            wall = time.monotonic() - begun
            return wall * 1000, running.process.cpu_ns() / 1e6


SCENARIOS: list[Scenario] = [PluginCost(), PluginMemory(), PluginStart(), PluginMillion()]
