"""What deployments and imports cost the traffic beside them, and how soon they are served.

Each round runs against one `tollgate serve` with a store on disk and a thousand APIs. Its control
plane has no core of its own: the worker shares the target's with management API, store and all
that a change makes. The load has real-time priority on the other core where that is allowed.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

from . import definitions, load
from .control import (
    ANSWER,
    STAGE,
    VARIABLE,
    ManagedTollgate,
    ManagementClient,
    Probe,
    definition,
    deploy,
    import_and_deploy,
    patches,
    requests_of,
)
from .machine import (
    MeasureError,
    free_port,
    is_real_time,
    may_be_real_time,
    real_time,
    set_real_time,
    shield,
    wait_until,
)
from .scenarios import MEGABYTE, WARM_UP_SECONDS, Bench, Column, Goal, Scenario
from .targets import START_SECONDS, Running, Setting, answers

APIS = 1_000
# Of traffic: 12,800 requests a second, about a third of the gateway's core.
CLIENTS, EVERY_MS, PATIENCE_MS = 64, 5, 1_000
# How finely it is told when a change is served; how long it is looked for without one, and how
# long until the next.
POLL_SECONDS, LOOK_SECONDS, PAUSE_SECONDS = 0.0003, 0.015, 0.02
SERVED_WITHIN_SECONDS = 10
# For each of `--seconds`.
CHANGES = 125
# Windows with and without something, in turn.
WINDOWS = 3
# Those that change are so many of all.
CHANGING = 10
METHODS = 10_000
# For what is given back with a delay.
RETURN_SECONDS = 15


@dataclass
class Gateway:
    """One that serves many APIs, and a client of its management API."""

    setting: Setting
    running: Running
    client: ManagementClient
    empty_mb: float
    api_ids: list[str]

    @property
    def requests(self) -> Path:
        """Those of the traffic."""
        return self.running.place.directory / "requests.txt"

    def rss_mb(self) -> float:
        return rss_mb(self.running)


def rss_mb(running: Running) -> float:
    return running.process.rss_kb() * 1024 / MEGABYTE


@contextmanager
def serving(bench: Bench) -> Iterator[Gateway]:
    """A gateway with `APIS` APIs, each imported and deployed through the management API."""
    # An origin of its own, which has the load's priority.
    setting = replace(bench.setting, origin_port=free_port())
    target = ManagedTollgate(setting)
    with (
        setting.origin() as origin,
        target.start() as running,
        ManagementClient(running) as client,
    ):
        set_real_time(origin.popen.pid)
        shield(running.process)
        wait_until(lambda: answers(setting.origin_port, "/"), START_SECONDS, "the origin")
        gateway = Gateway(setting, running, client, rss_mb(running), [])
        for number in range(APIS):
            document = json.dumps(definition(setting, f"api-{number}")).encode()
            gateway.api_ids.append(import_and_deploy(client, document))
        requests_of(gateway.api_ids, gateway.requests)
        with Probe(running) as probe:
            wait_until(lambda: probe.is_served(gateway.api_ids[-1], ANSWER), START_SECONDS, "APIs")
        traffic(gateway, WARM_UP_SECONDS)
        yield gateway


def traffic(gateway: Gateway, seconds: float) -> dict[str, float]:
    """Requests for all APIs on kept connections. Some may fail: that is counted."""
    setting = gateway.setting
    command = [*real_time(), setting.tools["loader"], "requests"]
    command += ["--address", f"127.0.0.1:{gateway.running.place.http}"]
    command += ["--requests", str(gateway.requests), "--patience-ms", str(PATIENCE_MS)]
    command += ["--clients", str(CLIENTS), "--every-ms", str(EVERY_MS), "--seconds", str(seconds)]
    return json.loads(load.run(setting, command, seconds))


def window(
    bench: Bench, gateway: Gateway, meanwhile: Callable[[float], None] | None = None
) -> dict[str, float]:
    """Traffic, and beside it what is done until a deadline: latency, failures, CPU."""
    seconds, found = bench.options.seconds, {}
    thread = threading.Thread(target=lambda: found.update(traffic(gateway, seconds)))
    process = gateway.running.process
    cpu, begun = process.cpu_ns(), time.monotonic()
    thread.start()
    try:
        if meanwhile:
            meanwhile(begun + seconds)
    finally:
        thread.join()
    if not found:
        raise MeasureError("the load generator failed")
    wall = time.monotonic() - begun
    return found | {"cpu_percent": (process.cpu_ns() - cpu) / wall / 1e7}


def compared(quiet: list[dict], busy: list[dict]) -> dict[str, float]:
    """Of windows that took turns."""
    pairs = zip(quiet, busy, strict=True)
    return {
        "quiet_p99_ms": median(each["p99_us"] for each in quiet) / 1000,
        "p99_ms": median(each["p99_us"] for each in busy) / 1000,
        "of_quiet": median(beside["p99_us"] / without["p99_us"] for without, beside in pairs),
        "failed": sum(each["errors"] for each in busy),
        "quiet_cpu_percent": median(each["cpu_percent"] for each in quiet),
        "cpu_percent": median(each["cpu_percent"] for each in busy),
    }


TRAFFIC_COLUMNS = [
    Column("quiet_p99_ms", "traffic: p99 ms", 2),
    Column("p99_ms", "beside", 2),
    Column("of_quiet", "ratio", 2),
    Column("failed", "failed"),
    Column("quiet_cpu_percent", "CPU %"),
    Column("cpu_percent", "beside"),
]


class Managed(Scenario):
    """All cases of a round run on one gateway with many APIs."""

    group, compares = "deployments", ("tollgate",)

    def skipped(self):
        if is_real_time():
            return "it gives the load real-time priority, and the gateway none: run without chrt"
        return None

    def measure_round(self, bench, order, failures):
        figures = {}
        try:
            with serving(bench) as gateway:
                for subject in order:
                    figures[subject] = self.measure_on(bench, gateway, subject)
        except MeasureError as error:
            failures.setdefault(subject if "subject" in locals() else order[0], str(error))
        return [figures]

    def measure_on(self, bench: Bench, gateway: Gateway, subject: str) -> dict[str, float]:
        raise NotImplementedError


@dataclass(frozen=True)
class Change:
    """A call that changes what a path of an API answers."""

    request: bytes
    api_id: str
    path: str
    answer: str

    def timed(self, client: ManagementClient, probe: Probe) -> tuple[float, float]:
        """Seconds until the call is answered, and until what it says is served."""
        answered = served = None
        begun = time.monotonic()
        client.send(self.request)
        while answered is None or served is None:
            if answered is None and client.is_answered():
                client.receive()
                answered = time.monotonic() - begun
            if served is None and probe.ask(self.api_id, self.path) == self.answer:
                served = time.monotonic() - begun
            if time.monotonic() - begun > SERVED_WITHIN_SECONDS:
                raise MeasureError(f"not served after {SERVED_WITHIN_SECONDS} s")
            time.sleep(POLL_SECONDS)
        return answered, served


class Changes:
    """Makes changes of one kind, of some APIs in turn."""

    def __init__(self, gateway: Gateway, api_ids: list[str]):
        self.client, self.api_ids, self.made = gateway.client, api_ids, 0

    def next(self) -> Change:
        api_id = self.api_ids[self.made % len(self.api_ids)]
        self.made += 1
        return self.change(api_id, f"answer-{self.made}")

    def change(self, api_id: str, answer: str) -> Change:
        raise NotImplementedError

    def stage_change(self, api_id: str, path: str, answer: str, *patch: str) -> Change:
        url = f"/restapis/{api_id}/stages/{STAGE}"
        return Change(self.client.request("PATCH", url, patches(patch)), api_id, path, answer)


class Deployments(Changes):
    """The MOCK's answer is changed, and that is deployed to the stage by one call."""

    def __init__(self, gateway, api_ids):
        super().__init__(gateway, api_ids)
        self.responses = {api_id: self.response(api_id) for api_id in api_ids}

    def response(self, api_id: str) -> str:
        resources = self.client.call("GET", f"/restapis/{api_id}/resources", limit="500")["item"]
        [resource] = [each["id"] for each in resources if each["path"] == ANSWER]
        return f"/restapis/{api_id}/resources/{resource}/methods/GET/integration/responses/200"

    def prepare(self, api_id: str, answer: str) -> None:
        template = "/responseTemplates/application~1json"
        patch = patches(("replace", template, answer))
        self.client.call("PATCH", self.responses[api_id], patch)

    def change(self, api_id, answer):
        self.prepare(api_id, answer)
        url = f"/restapis/{api_id}/deployments"
        request = self.client.request("POST", url, {"stageName": STAGE})
        return Change(request, api_id, ANSWER, answer)


class Rollbacks(Changes):
    """The stage is led to one and the other of two deployments."""

    def __init__(self, gateway, api_ids):
        super().__init__(gateway, api_ids)
        deployments = Deployments(gateway, api_ids)
        self.earlier = {api_id: [] for api_id in api_ids}
        for answer in ("one", "other"):
            for api_id in api_ids:
                deployments.prepare(api_id, answer)
                self.earlier[api_id].append((deploy(self.client, api_id), answer))

    def change(self, api_id, answer):
        self.earlier[api_id].reverse()
        deployment, answer = self.earlier[api_id][1]
        return self.stage_change(api_id, ANSWER, answer, "replace", "/deploymentId", deployment)


class Variables(Changes):
    """A stage variable gets another value."""

    def change(self, api_id, answer):
        return self.stage_change(api_id, VARIABLE, answer, "replace", "/variables/answer", answer)


class DeployLatency(Managed):
    name = "deploy-latency"
    summary = (
        f"from a call to its new answer, {APIS:,} APIs of 20 methods, 12,800 requests/s beside"
    )
    kinds = {
        "create-deployment": Deployments,
        "roll back": Rollbacks,
        "stage variable": Variables,
    }
    cases = tuple(kinds)
    columns = [
        Column("call_ms", "call: p50 ms", 1),
        Column("call_p99_ms", "p99", 1),
        Column("served_ms", "call to new answer: p50 ms", 1),
        Column("served_p99_ms", "p99", 1),
        Column("after_ms", "answered to new answer: p50 ms", 1),
        Column("after_p99_ms", "p99 ms", 1),
        *TRAFFIC_COLUMNS,
    ]
    goals = (Goal("after_p99_ms", 50), Goal("failed", 0))

    def measure_on(self, bench, gateway, subject):
        changes = self.kinds[subject](gateway, gateway.api_ids[:: len(gateway.api_ids) // CHANGING])
        count, timed, quiet, busy = CHANGES * bench.options.seconds, [], [], []
        with Probe(gateway.running) as probe, self.own_priority(gateway.setting):
            while len(timed) < count:
                look = self.looking(changes.api_ids[0], probe)
                quiet.append(window(bench, gateway, look))
                busy.append(window(bench, gateway, self.making(changes, probe, timed)))
        calls, served = zip(*timed, strict=True)
        after = [max(0, end - answered) for answered, end in timed]
        figures = compared(quiet, busy) | {"changes": len(timed)}
        for key, seconds in (("call", calls), ("served", served), ("after", after)):
            percentiles = quantiles(seconds, n=100)
            figures[f"{key}_ms"] = percentiles[49] * 1000
            figures[f"{key}_p99_ms"] = percentiles[98] * 1000
        return figures

    @staticmethod
    def making(changes: Changes, probe: Probe, timed: list) -> Callable[[float], None]:
        def make(deadline: float) -> None:
            while time.monotonic() < deadline:
                timed.append(changes.next().timed(changes.client, probe))
                time.sleep(PAUSE_SECONDS)

        return make

    @staticmethod
    def looking(api_id: str, probe: Probe) -> Callable[[float], None]:
        """What the one who makes changes asks, without the changes."""

        def look(deadline: float) -> None:
            while time.monotonic() < deadline:
                until = time.monotonic() + LOOK_SECONDS
                while time.monotonic() < until:
                    probe.ask(api_id, ANSWER)
                    time.sleep(POLL_SECONDS)
                time.sleep(PAUSE_SECONDS)

        return look

    @staticmethod
    @contextmanager
    def own_priority(setting: Setting) -> Iterator[None]:
        """Who looks at the clock is as punctual as the load."""
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {setting.cores.load})
        set_real_time(0)
        try:
            yield
        finally:
            if may_be_real_time():
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            os.sched_setaffinity(0, cores)


class DeployMemory(Managed):
    name = "deploy-memory"
    summary = (
        f"RSS with {APIS:,} APIs, after redeployments whose old ones are deleted, after all are"
    )
    cases = ("tollgate",)
    max_rounds = 1
    columns = [
        Column("empty_mb", "RSS MB, no API", 1),
        Column("loaded_mb", f"{APIS:,} APIs", 1),
        Column("redeployed_mb", "redeployed", 1),
        Column("growth_percent", "growth %", 1),
        Column("deleted_mb", "all deleted", 1),
        Column("returned_percent", "given back %"),
    ]
    goals = (Goal("growth_percent", 5),)

    def measure_on(self, bench, gateway, subject):
        figures = {"empty_mb": gateway.empty_mb, "loaded_mb": self.settled(gateway)}
        changes = Deployments(gateway, gateway.api_ids)
        for _ in range(CHANGES * bench.options.seconds):
            self.redeploy(gateway.client, changes.next())
        figures["redeployed_mb"] = self.settled(gateway)
        for api_id in gateway.api_ids:
            gateway.client.call("DELETE", f"/restapis/{api_id}")
        figures["deleted_mb"] = self.settled(gateway)
        grown = figures["loaded_mb"] - figures["empty_mb"]
        returned = figures["loaded_mb"] - figures["deleted_mb"]
        return figures | {
            "growth_percent": 100 * (figures["redeployed_mb"] / figures["loaded_mb"] - 1),
            "returned_percent": 100 * returned / grown,
        }

    @staticmethod
    def redeploy(client: ManagementClient, change: Change) -> None:
        stage = client.call("GET", f"/restapis/{change.api_id}/stages/{STAGE}")
        client.send(change.request)
        client.receive()
        client.call("DELETE", f"/restapis/{change.api_id}/deployments/{stage['deploymentId']}")

    @staticmethod
    def settled(gateway: Gateway) -> float:
        time.sleep(RETURN_SECONDS)
        return gateway.rss_mb()


class ImportImpact(Managed):
    name = "import-impact"
    summary = f"traffic beside imports and deployments of {METHODS:,} methods, one after the other"
    cases = ("tollgate",)
    columns = [
        Column("import_ms", "import ms"),
        Column("deploy_ms", "deploy ms"),
        Column("served_ms", "then served ms", 1),
        *TRAFFIC_COLUMNS,
    ]
    goals = (Goal("of_quiet", 1.2), Goal("failed", 0))

    def measure_on(self, bench, gateway, subject):
        directory = gateway.running.place.directory
        document = definitions.generate_one(directory, "large", METHODS).path.read_bytes()
        quiet, busy, timed = [], [], []
        with Probe(gateway.running) as probe:

            def importing(deadline: float) -> None:
                while time.monotonic() < deadline:
                    timed.append(self.timed(gateway.client, probe, document))

            for _ in range(WINDOWS):
                quiet.append(window(bench, gateway))
                busy.append(window(bench, gateway, importing))
        keys = ("import_ms", "deploy_ms", "served_ms")
        medians = [1000 * median(values) for values in zip(*timed, strict=True)]
        return compared(quiet, busy) | dict(zip(keys, medians, strict=True))

    @staticmethod
    def timed(client: ManagementClient, probe: Probe, document: bytes) -> tuple[float, ...]:
        """Seconds to import and to deploy it, and from then on until it is served."""
        times = [time.monotonic()]
        api_id = client.call("POST", "/restapis", document, mode="import")["id"]
        times.append(time.monotonic())
        deploy(client, api_id)
        times.append(time.monotonic())
        wait_until(
            lambda: probe.is_served(api_id, "/g0"), SERVED_WITHIN_SECONDS, "it", POLL_SECONDS
        )
        times.append(time.monotonic())
        client.call("DELETE", f"/restapis/{api_id}")
        return tuple(end - begin for begin, end in pairwise(times))


SCENARIOS: list[Scenario] = [DeployLatency(), DeployMemory(), ImportImpact()]
