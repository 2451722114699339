"""What refuses clients on the link's gateway: XDP programs, nftables, and gateways."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from .bpf import DROP, Program, dropping_from
from .install import BENCH
from .link import ATTACKER_ADDRESS, GATEWAY_ADDRESS, GATEWAY_CARD, Link, run
from .machine import MeasureError, Process
from .targets import (
    PROBE_SECONDS,
    UNTHROTTLED,
    Envoy,
    Nginx,
    Running,
    Setting,
    Target,
    Tollgate,
    answers,
)

PATH = "/mock"
# Where frames go that no gateway is there for.
ANY_PORT = 8080
END_SECONDS = 10
FLOOD_SECONDS = 60
# What Tollgate has pinned here goes on dropping when it is killed.
PINS = Path("/sys/fs/bpf/tollgate")
# No interface has this name: Tollgate refuses connections in user space.
NO_INTERFACE = "tollgate-none"
TABLE = """
table netdev bench {{
  set denied {{ type ipv4_addr; elements = {{ {attacker} }} }}
  chain ingress {{
    type filter hook ingress device {interface} priority -500; policy accept;
    ip saddr @denied counter drop
  }}
}}
"""


class Gateway(Target):
    """A gateway on all addresses of the link's host."""

    def __init__(self, setting: Setting, link: Link, *options: str):
        super().__init__(setting)
        self.link, self.options = link, options

    def ready(self, running):
        """It is a gateway that refuses: an answer is enough."""
        connection = http.client.HTTPConnection(
            GATEWAY_ADDRESS, running.place.http, timeout=PROBE_SECONDS
        )
        try:
            connection.request("GET", PATH)
            return connection.getresponse().status in (200, 429)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @contextmanager
    def start_on_link(self) -> Iterator[Running]:
        """Until the block ends, which is run on the clients' host."""
        with self.link.gateway.entered(), self.start() as running:
            with self.link.clients.entered():
                yield running


class LimitingNginx(Gateway, Nginx):
    def command(self, place):
        config = self.write(BENCH / "peers" / "nginx-limit.conf.in", place)
        prefix = str(place.directory)
        return [self.setting.tools["nginx"], "-p", prefix, "-e", "stderr", "-c", config]


class LimitingEnvoy(Gateway, Envoy):
    def command(self, place):
        config = self.write(BENCH / "peers" / "envoy-limit.yaml.in", place)
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]
        return [self.setting.tools["envoy"], *options, "-c", config]


class ThrottlingTollgate(Gateway, Tollgate):
    """Tollgate in `dev` mode with further options, as for the other scenarios."""

    def command(self, place):
        return [
            self.setting.tools["tollgate"], "dev",
            self.write(BENCH / "definitions" / "bench.yaml.in", place),
            "--http", f"0.0.0.0:{place.http}",
            "--https", f"0.0.0.0:{place.https}",
            "--management", f"127.0.0.1:{place.management}",
            "--management-api", "127.0.0.1:0",
            "--workers", "1",
            "--access-log", str(place.directory / "access.log"),
            "--output", "json",
            "--account-throttle", UNTHROTTLED,
            *self.options,
        ]  # fmt: skip

    def ready(self, running):
        return answers(running.place.management, "/readyz")

    @contextmanager
    def start_on_link(self):
        with super().start_on_link() as running:
            try:
                yield running
            finally:
                self.end(running)

    def end(self, running: Running) -> None:
        """In order, so that it removes what it has in the kernel."""
        running.process.popen.send_signal(signal.SIGINT)
        try:
            running.process.popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            shutil.rmtree(PINS / self.link.gateway.interface, ignore_errors=True)

    def deny(self, network: str) -> None:
        """From now on, in the kernel."""
        interface = ["--interface", self.link.gateway.interface]
        run(self.setting.tools["tollgate"], "throttle", "deny", network, *interface)

    def require_kernel(self) -> None:
        """That its program runs in the driver."""
        shown = self.link.gateway.run("ip", "-d", "link", "show", self.link.gateway.interface)
        if " xdp " not in shown.replace("\n", " "):
            raise MeasureError("tollgate throttles in user space, or with XDP in generic mode")


@contextmanager
def dropping(link: Link, attacker: str | None = None) -> Iterator[None]:
    """A program that drops every frame, or every one from the attacker: the least that XDP can
    cost."""
    instructions = dropping_from(attacker) if attacker else DROP
    with link.gateway.entered():
        attached = Program.load(instructions).attach(socket.if_nametoindex(link.gateway.interface))
    try:
        yield
    finally:
        os.close(attached)


class Nftables:
    """nftables where it is earliest: at the interface's ingress, with a set of addresses."""

    def __init__(self, link: Link):
        self.link = link

    def deny(self, attacker: str) -> None:
        table = TABLE.format(attacker=attacker, interface=self.link.gateway.interface)
        self.link.gateway.run("nft", table)

    def dropped(self) -> int:
        ruleset = json.loads(self.link.gateway.run("nft", "-j", "list", "ruleset"))
        rules = [entry["rule"] for entry in ruleset["nftables"] if "rule" in entry]
        [counter] = [part["counter"] for part in rules[0]["expr"] if "counter" in part]
        return counter["packets"]


def flood(
    link: Link, setting: Setting, port: int, seconds: float, rate: int | None = None
) -> AbstractContextManager[Process]:
    """A flood of SYNs from the attacker's address, on the load's core, while the block runs; its
    standard output is a line of JSON when it ends."""
    command = [
        sys.executable, "-m", "harness.flood",
        "--interface", link.clients.interface, "--card", GATEWAY_CARD,
        "--source", ATTACKER_ADDRESS, "--destination", GATEWAY_ADDRESS,
        "--port", str(port), "--seconds", str(seconds),
    ]  # fmt: skip
    if rate:
        command += ["--rate", str(rate)]
    log = setting.directory / "flood.log"
    # It leaves by the clients' interface, whatever namespace this is.
    with link.clients.entered():
        return Process(
            command, {setting.cores.load}, log, cwd=BENCH, stdout=subprocess.PIPE, text=True
        )
