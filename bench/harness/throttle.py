"""What throttling costs, and what it saves: packets, refusals, floods, levels. See README.md.

All but `throttle-levels` need root: they load XDP programs and make network namespaces.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from . import install, load
from .bpf import DROP, Program
from .flood import syn
from .link import ATTACKER_ADDRESS, CLIENT_ADDRESS, GATEWAY_ADDRESS, Link, link
from .machine import MeasureError
from .scenarios import P50, P99, WARM_UP_SECONDS, Bench, Column, Figures, Goal, Scenario
from .targets import Running, Target
from .throttle_targets import (
    ANY_PORT,
    FLOOD_SECONDS,
    NO_INTERFACE,
    PATH,
    LimitingEnvoy,
    LimitingNginx,
    Nftables,
    ThrottlingTollgate,
    dropping,
    flood,
)

GROUP = "throttle"
# Of the benchmark, with `--output-format bencher`.
LINE = r"^test throttle/(.*) \.\.\. bench: +([\d,]+) ns"
PACKAGES = {"ip": "iproute2", "ethtool": "ethtool", "nft": "nftables", "sysctl": "procps"}


class Rooted(Scenario):
    """One that needs root."""

    group = GROUP
    packages = PACKAGES

    def skipped(self) -> str | None:
        return None if os.geteuid() == 0 else "it needs root: XDP programs, network namespaces"


class Packets(Rooted):
    """Nanoseconds a packet, by BPF_PROG_TEST_RUN, of the program that is in the binary."""

    name, compares = "throttle-packets", ()
    summary = "ns a packet in the kernel's own test run, a million times each"
    # Sources in turn; the program that has many wants a power of two.
    counts = {"one": 1, "some": 16_384, "many": 1_048_576}
    columns = [
        Column("one", "1 source"),
        Column("some", "16,384 sources"),
        Column("many", "1,048,576 sources"),
        Column("above", "above a plain drop"),
    ]
    packets = 1_000_000
    plain = "a program that only drops"
    # Rows, and what the example calls the case with one source and with several.
    rows = {
        "passes: another port": ("pass: another port", None),
        "passes: an allowed network": ("pass: allowed network", None),
        "drops: deny list": ("drop: denied, 10000 networks listed", "drop: denied, {} sources"),
        "drops: penalty box": ("drop: penalty", "drop: penalty, {} sources"),
        "bucket: known source, passes": (
            "bucket: known source, opening, let in",
            "bucket: {} known sources, let in",
        ),
        "bucket: stranger, passes": (
            "bucket: stranger, opening, let in",
            "bucket: {} strangers, let in",
        ),
        "bucket: drops": ("drop: bucket, one source", "drop: bucket, {} known sources"),
    }
    goals = (
        Goal("one", 40, subject="passes: another port"),
        Goal("one", 40, subject="passes: an allowed network"),
        Goal("one", 60, subject="drops: deny list"),
        Goal("one", 60, subject="drops: penalty box"),
        Goal("one", 130, subject="bucket: known source, passes"),
        Goal("one", 130, subject="bucket: stranger, passes"),
        Goal("one", 130, subject="bucket: drops"),
    )

    def subjects(self, bench):
        return [self.plain, *self.rows]

    def measure_round(self, bench, order, failures):
        try:
            found = self.cases(bench)
        except (MeasureError, install.MissingTools) as error:
            failures.setdefault(self.plain, str(error))
            return []
        figures: Figures = {self.plain: {"one": self.plain_drop()}}
        for row, (one, several) in self.rows.items():
            figures[row] = {"one": found[one], "above": found[one] - figures[self.plain]["one"]}
            for key in ("some", "many") if several else ():
                figures[row][key] = found[several.format(self.counts[key])]
        return [figures]

    def cases(self, bench: Bench) -> dict[str, float]:
        """Nanoseconds by case: the middle of seven rounds."""
        example = install.example(bench.setting.tools.may_build, "tollgate-xdp", "nanoseconds")
        command = ["taskset", "-c", str(bench.setting.cores.target), str(example)]
        printed = output_of([*command, str(self.packets)])
        cases = [json.loads(line) for line in printed.splitlines()]
        return {case["case"]: case["nanoseconds"]["middle"] for case in cases}

    def plain_drop(self) -> float:
        program, frame = Program.load(DROP), syn("10.9.0.3", "10.9.0.1", ANY_PORT, bytes(6))
        return float(program.run(frame, self.packets))


def output_of(command: list[str], **environment: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    if result.returncode != 0:
        raise MeasureError(f"`{' '.join(command)}`: {result.stderr.strip()}")
    return result.stdout


@dataclass(frozen=True)
class Refusing:
    """Something that refuses, while it is under load."""

    # How many were refused so far, for those who count that themselves.
    count: Callable[[], int] | None
    # Sends for so many seconds; returns how many were refused, if the load knows.
    send: Callable[[float], int]
    running: Running | None = None


class Refusals(Rooted):
    """CPU time of one refusal, all that the gateway's host spends on it.

    That is the time of the target's processes and of the kernel's thread that receives for it. The
    clients' host, its kernel included, is on the other core.
    """

    name, compares = "throttle-refusals", ("tollgate", "nginx", "envoy")
    summary = "CPU time to refuse one request or SYN, in the kernel and above"
    columns = [
        Column("rate", "refused/s"),
        Column("cpu_us", "CPU µs", 3),
        Column("core_us", "core µs", 3),
        Column("busy_percent", "busy %"),
        Column("of_nftables", "% of nftables", 1),
        Column("of_kept", "% of cheapest 429", 2),
        Column("of_new", "% of cheapest 429, new", 2),
    ]
    plain, nftables = "XDP: plain drop", "nftables: ingress hook"
    denied, limited, closed = "XDP: denied", "XDP: connection rate", "tollgate: closed on accept"
    goals = (
        Goal("of_nftables", 100 / 3, subject=denied),
        Goal("of_kept", 100 / 60, subject=denied),
        Goal("of_new", 100 / 200, subject=denied),
    )
    kept, new = ": 429", ": 429, new connection"

    def subjects(self, bench):
        gateways = [name for name in self.compares if name in bench.targets]
        answers = [name + kind for kind in (self.kept, self.new) for name in gateways]
        own = {self.denied, self.limited, self.closed} if "tollgate" in gateways else set()
        others = [self.plain, self.denied, self.limited, self.nftables, self.closed]
        return [name for name in others if name in own | {self.plain, self.nftables}] + answers

    def measure_round(self, bench, order, failures):
        [figures] = super().measure_round(bench, order, failures)

        def cheapest(kind: str) -> float | None:
            costs = [it["cpu_us"] for name, it in figures.items() if name.endswith(kind)]
            return min(costs, default=None)

        nftables = figures.get(self.nftables, {}).get("cpu_us")
        others = {"of_nftables": nftables, "of_kept": cheapest(self.kept)}
        for key, cost in (others | {"of_new": cheapest(self.new)}).items():
            for it in figures.values() if cost else ():
                it[key] = 100 * it["cpu_us"] / cost
        return [figures]

    def measure(self, bench, subject):
        cores = bench.setting.cores
        joined = link([cores.target], [cores.load])
        with joined as hosts, self.refusing(bench, hosts, subject) as refusing:
            refusing.send(WARM_UP_SECONDS)
            counted = refusing.count() if refusing.count else 0
            cpu, core, begun = cpu_ns(hosts, refusing), core_us(cores.target), time.monotonic()
            refused = refusing.send(bench.options.seconds)
            wall_us = (time.monotonic() - begun) * 1e6
            cpu_us = (cpu_ns(hosts, refusing) - cpu) / 1000
            core = core_us(cores.target) - core
            if refusing.count:
                refused = refusing.count() - counted
        if not refused:
            raise MeasureError("nothing was refused")
        return {
            "rate": refused / wall_us * 1e6,
            "cpu_us": cpu_us / refused,
            "core_us": core / refused,
            "busy_percent": 100 * cpu_us / wall_us,
        }

    def refusing(self, bench: Bench, hosts: Link, name: str) -> AbstractContextManager[Refusing]:
        setting = bench.setting
        if name == self.plain:
            return plain_drop(bench, hosts)
        if name == self.nftables:
            return in_nftables(bench, hosts)
        if name in (self.denied, self.limited):
            options = ["--kernel-throttle", hosts.gateway.interface]
            gateway = ThrottlingTollgate(setting, hosts, *options)
            return in_xdp(bench, hosts, gateway, denied=name == self.denied)
        if name == self.closed:
            options = ["--kernel-throttle", NO_INTERFACE]
            return closing(bench, ThrottlingTollgate(setting, hosts, *options))
        gateway = {
            "tollgate": lambda: ThrottlingTollgate(setting, hosts, "--throttle", "0"),
            "nginx": lambda: LimitingNginx(setting, hosts),
            "envoy": lambda: LimitingEnvoy(setting, hosts),
        }[name.partition(":")[0]]()
        return answering(bench, gateway, is_new=name.endswith(self.new))


def cpu_ns(hosts: Link, refusing: Refusing) -> int:
    running = refusing.running
    return hosts.receive_ns() + (running.process.cpu_ns() if running else 0)


def core_us(core: int) -> float:
    """Time that a core was not idle since the start, whoever used it, in ticks of 10 ms."""
    [line] = re.findall(rf"^cpu{core} (.*)$", Path("/proc/stat").read_text(), re.MULTILINE)
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, line.split())
    return (user + nice + system + irq + softirq) * 1e6 / os.sysconf("SC_CLK_TCK")


def flooding(bench: Bench, hosts: Link, port: int) -> Callable[[float], int]:
    def send(seconds: float) -> int:
        with flood(hosts, bench.setting, port, seconds) as sender:
            sent(sender)
        return 0

    return send


def sent(sender) -> dict[str, float]:
    """What a flood printed when it ended."""
    printed, _ = sender.popen.communicate(timeout=FLOOD_SECONDS)
    if sender.popen.returncode != 0:
        raise MeasureError(f"flood: {sender.log_tail()}")
    return json.loads(printed)


@contextmanager
def plain_drop(bench: Bench, hosts: Link) -> Iterator[Refusing]:
    with dropping(hosts):
        yield Refusing(hosts.dropped, flooding(bench, hosts, ANY_PORT))


@contextmanager
def in_nftables(bench: Bench, hosts: Link) -> Iterator[Refusing]:
    table = Nftables(hosts)
    table.deny(ATTACKER_ADDRESS)
    yield Refusing(table.dropped, flooding(bench, hosts, ANY_PORT))


@contextmanager
def in_xdp(
    bench: Bench, hosts: Link, gateway: ThrottlingTollgate, *, denied: bool
) -> Iterator[Refusing]:
    with gateway.start_on_link() as running:
        gateway.require_kernel()
        if denied:
            gateway.deny(ATTACKER_ADDRESS)
        yield Refusing(hosts.dropped, flooding(bench, hosts, running.place.http), running)


@contextmanager
def closing(bench: Bench, gateway: Target) -> Iterator[Refusing]:
    """Connections that are closed without a byte: to wrk, errors. The thousand a second that the
    limit lets in cost a little, too."""
    with gateway.start_on_link() as running:

        def send(seconds: float) -> int:
            return requests(bench, running, seconds, load.HANDSHAKE_CLIENTS, is_new=True).errors

        yield Refusing(None, send, running)


@contextmanager
def answering(bench: Bench, gateway: Target, *, is_new: bool) -> Iterator[Refusing]:
    with gateway.start_on_link() as running:
        clients = load.HANDSHAKE_CLIENTS if is_new else load.CONNECTIONS

        def send(seconds: float) -> int:
            seen = requests(bench, running, seconds, clients, is_new=is_new)
            if seen.errors or seen.requests - seen.refused > 1:
                raise MeasureError(f"not all requests were refused: {seen}")
            return seen.refused

        yield Refusing(None, send, running)


def requests(
    bench: Bench, running: Running, seconds: float, clients: int, *, is_new: bool
) -> load.Load:
    url = f"http://{GATEWAY_ADDRESS}:{running.place.http}{PATH}"
    headers = {"Connection": "close"} if is_new else None
    return load.wrk_counting(bench.setting, url, int(seconds), clients, headers)


class Flood(Rooted):
    """An innocent client beside a flood, each in a receive queue of its own or both in one."""

    name, compares = "throttle-flood", ("tollgate",)
    summary = "a client's new connections, 400 a second, beside a flood of SYNs from elsewhere"
    columns = [
        Column("answered", "answered/s"),
        Column("failed_percent", "failed %", 2),
        P50,
        P99,
        Column("of_quiet", "p99 / quiet", 2),
        Column("flood", "flood/s"),
        Column("dropped", "dropped/s"),
        Column("overflowed", "queue full/s"),
        Column("receiving_percent", "receiving, % of core"),
        Column("gateway_percent", "gateway, % of core"),
        Column("flood_percent", "flood's core, busy %"),
    ]
    rates = (500_000, 1_000_000, 2_000_000)
    quiet, shared = "no flood", ", one queue"
    # Without Tollgate's throttle, but dropped by as small a program as can be.
    least = "plain drop"
    # With one queue, how much later answers come is the kernel's receiving: `least` shows it.
    goals = tuple(
        goal
        for rate in rates
        for queues in ("", ", one queue")
        for goal in (
            Goal("failed_percent", 0, subject=f"{rate:,}/s, throttle on{queues}"),
            Goal("of_quiet", 1.5, subject=f"{rate:,}/s, throttle on{queues}"),
        )
    )
    clients, every_ms, patience_ms = 4, 10, 1000
    # For the sender of the flood to find its pace.
    settle_seconds = 2

    def subjects(self, bench):
        if "tollgate" not in bench.targets:
            return []
        floods = [
            f"{rate:,}/s, {how}{queues}"
            for queues in ("", self.shared)
            for rate in self.rates
            for how in ("throttle on", "throttle off", *([self.least] if queues else []))
        ]
        return [self.quiet, *floods]

    def measure_round(self, bench, order, failures):
        [figures] = super().measure_round(bench, order, failures)
        if quiet := figures.get(self.quiet, {}).get("p99_ms"):
            for name in figures.keys() - {self.quiet}:
                figures[name]["of_quiet"] = figures[name]["p99_ms"] / quiet
        return [figures]

    def measure(self, bench, subject):
        rate = None if subject == self.quiet else int(subject.partition("/")[0].replace(",", ""))
        with self.joined(bench, is_shared=subject.endswith(self.shared)) as hosts:
            options = ["--kernel-throttle", hosts.gateway.interface]
            is_on = rate is None or "throttle on" in subject
            gateway = ThrottlingTollgate(bench.setting, hosts, *options if is_on else [])
            plain = dropping(hosts, ATTACKER_ADDRESS) if self.least in subject else nullcontext()
            with gateway.start_on_link() as running, plain:
                if is_on:
                    gateway.require_kernel()
                self.innocent(bench, running, WARM_UP_SECONDS)
                if rate is None:
                    return self.figures(bench, hosts, running)
                seconds = self.settle_seconds + bench.options.seconds + 1
                port = running.place.http
                with flood(hosts, bench.setting, port, seconds, rate) as sender:
                    time.sleep(self.settle_seconds)
                    figures = self.figures(bench, hosts, running)
                    flooded = sent(sender)
                figures["flood"] = flooded["sent"] / flooded["seconds"]
                return figures

    @staticmethod
    def joined(bench: Bench, *, is_shared: bool) -> AbstractContextManager[Link]:
        """The clients share the gateway's core, and the other one sends the flood. The gateway
        receives it there too, in the queue of that core, or where it receives all else."""
        cores = [bench.setting.cores.target] if is_shared else range(os.cpu_count() or 1)
        return link(cores, cores)

    def figures(self, bench: Bench, hosts: Link, running: Running) -> dict[str, float]:
        begun, received = time.monotonic_ns(), hosts.receive_ns()
        cpu, dropped = running.process.cpu_ns(), hosts.dropped()
        overflowed, busy = hosts.overflowed(), core_us(bench.setting.cores.load)
        seen = self.innocent(bench, running, bench.options.seconds)
        wall = time.monotonic_ns() - begun
        asked = seen["requests"] + seen["errors"]
        return {
            "answered": seen["requests"] / seen["seconds"],
            "failed_percent": 100 * seen["errors"] / asked,
            "p50_ms": seen["p50_us"] / 1000,
            "p99_ms": seen["p99_us"] / 1000,
            "dropped": (hosts.dropped() - dropped) / wall * 1e9,
            "overflowed": (hosts.overflowed() - overflowed) / wall * 1e9,
            "flood_percent": 1e5 * (core_us(bench.setting.cores.load) - busy) / wall,
            "receiving_percent": 100 * (hosts.receive_ns() - received) / wall,
            "gateway_percent": 100 * (running.process.cpu_ns() - cpu) / wall,
        }

    def innocent(self, bench: Bench, running: Running, seconds: float) -> dict[str, float]:
        command = [
            "taskset", "-c", str(bench.setting.cores.target),
            bench.setting.tools["loader"], "requests",
            "--address", f"{GATEWAY_ADDRESS}:{running.place.http}", "--path", PATH,
            "--from", CLIENT_ADDRESS, "--new-connection",
            "--patience-ms", str(self.patience_ms),
            "--clients", str(self.clients), "--every-ms", str(self.every_ms),
            "--seconds", str(seconds),
        ]  # fmt: skip
        return json.loads(output_of(command))


class Levels(Scenario):
    """What all levels of the gateway's own throttle add to an admitted request."""

    name, group, compares = "throttle-levels", GROUP, ()
    summary = "ns that account, stage, plan, quota and key add to an admitted request"
    columns = [Column("ns", "ns")]
    cases = (
        "admitted, 1 key",
        "admitted, 100,000 keys at random",
        "admitted, 100,000 keys at random, with the method's own throttle",
        "refused by the plan's throttle",
        "an unknown key",
    )
    goals = (
        Goal("ns", 100, subject=cases[0]),
        Goal("ns", 100, subject=cases[1]),
        Goal("ns", 100, subject=cases[2]),
    )

    def subjects(self, bench):
        return list(self.cases)

    def measure_round(self, bench, order, failures):
        try:
            binary = install.benchmark(bench.setting.tools.may_build, "tollgate-gateway", GROUP)
            home = str(bench.setting.directory)
            printed = output_of(self.command(bench, binary), CRITERION_HOME=home)
            lines = re.findall(LINE, printed, re.MULTILINE)
            if not lines:
                raise MeasureError(f"{binary} printed no figures: {printed!r}")
        except (MeasureError, install.MissingTools) as error:
            failures.setdefault(self.cases[0], str(error))
            return []
        return [{name: {"ns": float(ns.replace(",", ""))} for name, ns in lines}]

    @staticmethod
    def command(bench: Bench, binary: Path) -> list[str]:
        core = ["taskset", "-c", str(bench.setting.cores.target)]
        seconds = ["--warm-up-time", "1", "--measurement-time", str(bench.options.seconds)]
        return [*core, str(binary), "--bench", "--noplot", "--output-format", "bencher", *seconds]


SCENARIOS: list[Scenario] = [Packets(), Refusals(), Flood(), Levels()]
