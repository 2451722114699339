"""What is measured. A scenario measures one subject at a time and returns numbers by column.

For most scenarios the subjects are the targets. The runner in `bench/run` starts each subject
anew in every round and changes their order, so that a slow minute of the machine meets them all.
"""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from . import definitions, load
from .machine import MeasureError
from .targets import BIG_BYTES, RECORD_REQUEST, Running, Setting, Target, Tollgate

WARM_UP_SECONDS = 1
# After connections open or close, before memory is read: allocators give back with a delay.
SETTLE_SECONDS = 3
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Options:
    """How long and how much, from the command line."""

    rounds: int
    seconds: int
    connections: int
    memory_requests: int


@dataclass(frozen=True)
class Column:
    """A figure of each row: the median of the rounds, or how sure the median is."""

    key: str
    title: str
    digits: int = 0
    is_spread: bool = False


@dataclass(frozen=True)
class Goal:
    """What Tollgate must reach: `key` at most `limit`, or at most `limit` times a baseline's."""

    key: str
    limit: float
    baseline: str | None = None
    # The row it is about, where it is not about all that are judged.
    subject: str | None = None


# Each subject's figures by column.
Figures = dict[str, dict[str, float]]


@dataclass
class Bench:
    """A run: its options, its setting and the targets it compares."""

    options: Options
    setting: Setting
    targets: dict[str, Target]


class Scenario:
    name: str
    summary: str
    # A name that chooses several scenarios.
    group: str | None = None
    # Commands that only this scenario needs, with their Debian packages.
    packages: dict[str, str] = {}
    # The targets that take part when they were asked for; none means all.
    compares: tuple[str, ...] | None = None
    columns: list[Column]
    # The column that ratios are made of, and the subjects they are relative to.
    cost: str | None = None
    baselines: tuple[str, ...] = ("raw-pingora", "envoy")
    goals: tuple[Goal, ...] = ()
    # Memory hardly differs from round to round; more rounds would only take time.
    max_rounds: int | None = None
    # Set by scenarios that only Tollgate runs, with cases of their own to compare.
    cases: tuple[str, ...] = ()

    def skipped(self) -> str | None:
        """Why it can't be run here."""
        return None

    def subjects(self, bench: Bench) -> list[str]:
        if not self.cases:
            return list(bench.targets)
        return list(self.cases) if Tollgate.name in bench.targets else []

    def judged(self) -> list[str]:
        """The subjects that the goals are about."""
        return list(self.cases) or [Tollgate.name]

    def measure(self, bench: Bench, subject: str) -> dict[str, float]:
        raise NotImplementedError

    def measure_round(
        self, bench: Bench, order: list[str], failures: dict[str, str]
    ) -> list[Figures]:
        """One round, of which a scenario may make several; `failures` gets those of a subject."""
        figures = {}
        for subject in order:
            try:
                figures[subject] = self.measure(bench, subject)
            except MeasureError as error:
                failures.setdefault(subject, str(error))
        return [figures]


RATE = Column("rate", "req/s")
P50 = Column("p50_ms", "p50 ms", 2)
P99 = Column("p99_ms", "p99 ms", 2)
CPU = Column("cpu_us", "CPU µs/req", 1)
RSS = Column("rss_mb", "RSS MB", 1)
# Near 100, the target was the bottleneck; lower, the load's core was, and req/s and latency say
# more about the load than about the target. CPU a request holds either way.
BUSY = Column("busy_percent", "busy %")

PROXY_GOALS = (Goal("cpu_us", 0.9, "raw-pingora"), Goal("cpu_us", 0.6, "envoy"))
LoadFunction = Callable[[Bench, Running, int], load.Load]


class Requests(Scenario):
    """Requests as fast as the target answers: rate, latency, CPU a request, memory."""

    columns = [RATE, P50, P99, CPU, RSS, BUSY]
    cost = "cpu_us"

    def __init__(self, name: str, summary: str, send: LoadFunction, *goals: Goal):
        self.name, self.summary, self.send, self.goals = name, summary, send, goals

    def measure(self, bench, subject):
        with bench.targets[subject].start() as running:
            return self.figures(bench, running)

    def figures(self, bench: Bench, running: Running) -> dict[str, float]:
        self.send(bench, running, WARM_UP_SECONDS)
        cpu_before, begun = running.process.cpu_ns(), time.monotonic()
        seen = self.send(bench, running, bench.options.seconds)
        cpu_us = (running.process.cpu_ns() - cpu_before) / 1000
        wall_us = (time.monotonic() - begun) * 1e6
        return {
            "rate": seen.requests / seen.seconds,
            "p50_ms": seen.p50_us / 1000,
            "p99_ms": seen.p99_us / 1000,
            "cpu_us": cpu_us / seen.requests,
            "rss_mb": running.process.rss_kb() * 1024 / MEGABYTE,
            "busy_percent": 100 * cpu_us / wall_us,
            "resumed_percent": 100 * seen.resumed / seen.requests,
        }


class Handshakes(Requests):
    columns = [RATE, P50, P99, CPU, Column("resumed_percent", "resumed %"), RSS, BUSY]


class Bodies(Requests):
    """The same for large bodies, in megabytes in place of requests."""

    columns = [
        Column("mb_per_second", "MB/s"),
        P50,
        P99,
        Column("cpu_us_per_mb", "CPU µs/MB", 1),
        RSS,
        BUSY,
    ]
    cost = "cpu_us_per_mb"

    def figures(self, bench, running):
        figures = super().figures(bench, running)
        megabytes = BIG_BYTES / MEGABYTE
        figures["mb_per_second"] = figures["rate"] * megabytes
        figures["cpu_us_per_mb"] = figures["cpu_us"] / megabytes
        return figures


class Idle(Scenario):
    """Memory for connections that each made one request and stay open."""

    columns = [
        Column("kb_per_connection", "KB/conn", 1),
        Column("base_mb", "RSS before MB", 1),
        Column("open_mb", "open MB", 1),
        Column("closed_mb", "closed MB", 1),
        Column("returned_percent", "given back %"),
    ]
    cost = "kb_per_connection"
    max_rounds = 1

    def __init__(self, name: str, summary: str, tls: bool, *goals: Goal):
        self.name, self.summary, self.tls, self.goals = name, summary, tls, goals

    def measure(self, bench, subject):
        setting, count = bench.setting, bench.options.connections
        with bench.targets[subject].start() as running:
            port = running.place.https if self.tls else running.place.http
            # Pools, caches and the allocator's first blocks are no connection's memory.
            options = ["--tls"] if self.tls else []
            load.loader(setting, port, WARM_UP_SECONDS, load.CONNECTIONS, *options)
            time.sleep(SETTLE_SECONDS)
            before = running.process.rss_kb()
            with load.idle_connections(setting, port, count, self.tls):
                time.sleep(SETTLE_SECONDS)
                opened = running.process.rss_kb()
            time.sleep(SETTLE_SECONDS)
            closed = running.process.rss_kb()
        grown = opened - before
        return {
            "kb_per_connection": grown / count,
            "base_mb": before * 1024 / MEGABYTE,
            "open_mb": opened * 1024 / MEGABYTE,
            "closed_mb": closed * 1024 / MEGABYTE,
            "returned_percent": 100 * max(opened - closed, 0) / grown if grown > 0 else 100.0,
        }


class Memory(Scenario):
    """Whether memory grows with the number of requests served."""

    name = "memory"
    summary = "RSS after a tenth, half and all of a million requests, HTTP/1.1, proxied"
    columns = [
        Column("tenth_mb", "RSS MB at 10 %", 1),
        Column("half_mb", "at 50 %", 1),
        Column("all_mb", "at 100 %", 1),
        Column("growth_percent", "growth %", 1),
    ]
    # Not zero: the allocator's own reserves move by a few percent.
    goals = (Goal("growth_percent", 5),)
    max_rounds = 1
    headers: dict[str, str] = {}

    @contextmanager
    def serve(self, bench: Bench, subject: str) -> Iterator[tuple[Running, str]]:
        """The target, and the URL to request."""
        with bench.targets[subject].start() as running:
            yield running, f"http://127.0.0.1:{running.place.http}/"

    def measure(self, bench, subject):
        total = bench.options.memory_requests
        figures, sent = {}, 0
        with self.serve(bench, subject) as (running, url):
            # Each `h2load` opens its connections anew. The second such burst still takes memory
            # that no later one does, and that is no growth with requests.
            load.wrk(bench.setting, url, WARM_UP_SECONDS, self.headers)
            for key, share in (("tenth_mb", 0.1), ("half_mb", 0.5), ("all_mb", 1.0)):
                count = int(total * share) - sent
                load.h2load_exactly(bench.setting, url, count, self.headers)
                sent = int(total * share)
                figures[key] = running.process.rss_kb() * 1024 / MEGABYTE
        figures["growth_percent"] = 100 * (figures["all_mb"] / figures["tenth_mb"] - 1)
        return figures


class Routes(Requests):
    """The cost of finding a method among many, answered by MOCK to leave little else."""

    # Methods served, and how many of them are requested: asking for all of 100,000 also measures
    # how much of them the processor's caches hold, asking for as few as in the row above does not.
    counts = {
        "10 methods": (10, 10),
        "1,000 methods": (1_000, 1_000),
        "100,000 methods": (100_000, 100_000),
        "100,000, 1,000 asked": (100_000, 1_000),
    }
    cases = tuple(counts)
    baselines = ("10 methods",)

    def __init__(self):
        super().__init__(
            "routes",
            "Tollgate with 10, 1,000 and 100,000 methods in APIs of up to 1,000",
            self.cycle,
        )

    def measure(self, bench, subject):
        methods, asked = self.counts[subject]
        directory = bench.setting.directory / f"routes-{methods}"
        directory.mkdir(exist_ok=True)
        generated = definitions.generate(directory, methods)
        target = Tollgate(bench.setting, [definition.path for definition in generated])
        with target.start() as running:
            requests = list(self.requests(generated, running))
            # In order, neighbours would find their API's table warm in the cache.
            random.Random(0).shuffle(requests)
            self.request_file(bench).write_text("\n".join(requests[:asked]) + "\n")
            return self.figures(bench, running)

    @staticmethod
    def requests(generated: list[definitions.Definition], running: Running):
        apis = {api["name"]: api for api in running.apis}
        for definition in generated:
            urls = apis[definition.title]["invoke_urls"]
            plain = next((url for url in urls if url.startswith("http://")), None)
            if plain is None:
                raise MeasureError(f"{definition.title} has no http:// invoke URL: {urls}")
            url = urlsplit(plain)
            for verb, path in definition.requests:
                yield f"{verb} {url.netloc} {url.path.rstrip('/')}{path}"

    @staticmethod
    def request_file(bench: Bench) -> Path:
        return bench.setting.directory / "requests.txt"

    def cycle(self, bench: Bench, running: Running, seconds: int) -> load.Load:
        url = f"http://127.0.0.1:{running.place.http}/"
        return load.wrk(bench.setting, url, seconds, requests=self.request_file(bench))


class Import(Scenario):
    """How long `tollgate check` takes for one large definition, process start included."""

    name = "import"
    summary = "`tollgate check` of a definition with 1,000 methods"
    columns = [Column("wall_ms", "wall ms", 1), Column("cpu_ms", "CPU ms", 1)]
    cost = "cpu_ms"
    baselines = ()
    goals = (Goal("wall_ms", 100),)
    cases = ("1,000 methods",)
    repeats = 5

    def measure(self, bench, subject):
        [definition] = definitions.generate(bench.setting.directory, 1_000)
        command = ["taskset", "-c", str(bench.setting.cores.target)]
        command += [bench.setting.tools["tollgate"], "check", str(definition.path)]
        runs = [timed(command) for _ in range(self.repeats)]
        # The fastest: whatever else the machine did only adds.
        return {"wall_ms": min(run[0] for run in runs), "cpu_ms": min(run[1] for run in runs)}


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU milliseconds of a command that must succeed."""
    begun = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    with process.stderr:
        errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise MeasureError(f"`{' '.join(command[3:])}`: {errors.decode(errors='replace').strip()}")
    wall = time.monotonic() - begun
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def wrk_plain(path: str) -> LoadFunction:
    return lambda bench, running, seconds: load.wrk(
        bench.setting, f"http://127.0.0.1:{running.place.http}{path}", seconds
    )


def wrk_record(bench: Bench, running: Running, seconds: int) -> load.Load:
    url = f"http://127.0.0.1:{running.place.http}/record"
    return load.wrk(bench.setting, url, seconds, body=RECORD_REQUEST)


def wrk_tls(bench: Bench, running: Running, seconds: int) -> load.Load:
    return load.wrk(bench.setting, f"https://127.0.0.1:{running.place.https}/", seconds)


def h2(bench: Bench, running: Running, seconds: int) -> load.Load:
    return load.h2load(bench.setting, running.place.https, seconds)


def handshakes(*options: str) -> LoadFunction:
    options = ("--tls", "--new-connection", *options)
    return lambda bench, running, seconds: load.loader(
        bench.setting, running.place.https, seconds, load.HANDSHAKE_CLIENTS, *options
    )


def bodies(*options: str) -> LoadFunction:
    return lambda bench, running, seconds: load.loader(
        bench.setting,
        running.place.https if "--tls" in options else running.place.http,
        seconds,
        load.BODY_CLIENTS,
        *options,
    )


DOWN = ("--path", "/big")
UP = ("--path", "/upload", "--upload-bytes", str(BIG_BYTES))
BODY_GOAL = Goal("cpu_us_per_mb", 1.05, "raw-pingora")

SCENARIOS: list[Scenario] = [
    Requests("h1", "HTTP/1.1 in, HTTP/1.1 out, small response", wrk_plain("/"), *PROXY_GOALS),
    Requests("tls-h1", "TLS 1.3 HTTP/1.1 in, HTTP/1.1 out, small response", wrk_tls, *PROXY_GOALS),
    Requests("h2", "TLS 1.3 HTTP/2 in, HTTP/1.1 out, small response", h2, *PROXY_GOALS),
    Handshakes(
        "handshake",
        "a new TLS 1.3 connection for each proxied request, full handshake",
        handshakes(),
        Goal("cpu_us", 1.05, "raw-pingora"),
    ),
    Handshakes(
        "handshake-resumed",
        "the same, with clients that resume when the target lets them",
        handshakes("--resume"),
    ),
    Bodies("body-down", "responses of 10 MB over HTTP/1.1", bodies(*DOWN), BODY_GOAL),
    Bodies("body-up", "requests of 10 MB over HTTP/1.1", bodies(*UP), BODY_GOAL),
    Bodies("body-down-tls", "responses of 10 MB over TLS", bodies("--tls", *DOWN), BODY_GOAL),
    Bodies("body-up-tls", "requests of 10 MB over TLS", bodies("--tls", *UP), BODY_GOAL),
    Idle("idle", "idle HTTP/1.1 connections", False, Goal("kb_per_connection", 45)),
    Idle("idle-tls", "idle TLS connections", True, Goal("kb_per_connection", 60)),
    Requests("mock", "answered by the target itself, HTTP/1.1", wrk_plain("/mock")),
    Requests(
        "record",
        "1 KB of JSON both ways; Tollgate validates and reshapes it with two templates",
        wrk_record,
        Goal("cpu_us", 2, "raw-pingora"),
    ),
    Memory(),
    Routes(),
    Import(),
]
