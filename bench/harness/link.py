"""A gateway's host and its clients' host: two network namespaces, joined by a veth pair.

Each end's packets are received by kernel threads (threaded NAPI), one for each of its queues. On
loopback, who sends also does the receiving; here what a packet costs the gateway's host is spent
on the core of its queue, by tasks that can be told apart.
"""

import ctypes
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .machine import CPUCLOCK_SCHED, MeasureError, wait_until

CLONE_NEWNET = 0x40000000
GATEWAY_CARD, CLIENTS_CARD = "02:00:00:00:00:01", "02:00:00:00:00:02"
GATEWAY_ADDRESS, CLIENT_ADDRESS, ATTACKER_ADDRESS = "10.9.0.1", "10.9.0.2", "10.9.0.3"
THREAD_SECONDS = 5

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Host:
    """A namespace and its interface."""

    namespace: str
    interface: str

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within the block, sockets and processes of this thread are this host's."""
        with open("/proc/self/ns/net") as home:
            enter(Path("/var/run/netns", self.namespace))
            try:
                yield
            finally:
                enter(Path(f"/proc/self/fd/{home.fileno()}"))

    def run(self, *command: str) -> str:
        return run("ip", "netns", "exec", self.namespace, *command)


@dataclass(frozen=True)
class Link:
    gateway: Host
    clients: Host
    # The kernel's threads that receive what comes to the gateway, by queue.
    receivers: list[int]

    def receive_ns(self) -> int:
        """CPU time spent receiving for the gateway, in nanoseconds: the whole of the network
        stack's work on what comes in, up to the socket's queue."""
        return sum(time.clock_gettime_ns((~it << 3) | CPUCLOCK_SCHED) for it in self.receivers)

    def dropped(self) -> int:
        """Packets to the gateway that an XDP program has dropped."""
        return sum(self.count(self.gateway, r"rx_queue_\d+_xdp_drops"))

    def overflowed(self) -> int:
        """Bare frames to the gateway for which its queue had no room: no program has seen them."""
        return sum(self.count(self.clients, r"tx_queue_\d+_xdp_xmit_errors"))

    @staticmethod
    def count(host: Host, name: str) -> list[int]:
        counters = host.run("ethtool", "-S", host.interface)
        return [int(it) for it in re.findall(rf"^ +{name}: (\d+)$", counters, re.MULTILINE)]


def enter(namespace: Path) -> None:
    with namespace.open() as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise MeasureError(f"setns: {os.strerror(ctypes.get_errno())}")


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise MeasureError(f"`{' '.join(command)}`: {result.stderr.strip()}")
    return result.stdout


@contextmanager
def link(gateway_cores: Sequence[int], clients_cores: Sequence[int]) -> Iterator[Link]:
    """Two hosts that exist until the block ends, with as many queues each as cores are named, on
    which they are received.

    All cores of the machine, in order, are named where there are several. Then what a core sends
    comes in at the queue of its number: so a card with queues for each core (RSS) keeps the
    packets of a connection together, and those of others may be elsewhere.
    """
    # Names of interfaces have 15 characters.
    number = os.getpid()
    gateway = Host(f"tollgate-bench-{number}-gateway", f"tg{number}")
    clients = Host(f"tollgate-bench-{number}-clients", f"tc{number}")
    try:
        connect(gateway, clients, len(gateway_cores))
        receivers = receive_on(gateway, gateway_cores)
        receive_on(clients, clients_cores)
        yield Link(gateway, clients, receivers)
    finally:
        for host in (gateway, clients):
            with suppress(MeasureError):
                run("ip", "netns", "del", host.namespace)


def connect(gateway: Host, clients: Host, queues: int) -> None:
    for host in (gateway, clients):
        run("ip", "netns", "add", host.namespace)
    number = ["numrxqueues", str(queues), "numtxqueues", str(queues)]
    run(
        "ip", "link", "add", gateway.interface, "netns", gateway.namespace,
        *number, "address", GATEWAY_CARD,
        "type", "veth", "peer", "name", clients.interface, "netns", clients.namespace,
        *number, "address", CLIENTS_CARD,
    )  # fmt: skip
    for host, address in ((gateway, GATEWAY_ADDRESS), (clients, CLIENT_ADDRESS)):
        # Without it a veth has no queue of its own (NAPI) until an XDP program comes.
        host.run("ethtool", "-K", host.interface, "gro", "on")
        host.run("ip", "address", "add", f"{address}/16", "dev", host.interface)
        for interface in ("lo", host.interface):
            host.run("ip", "link", "set", interface, "up")
    # Answers to the attacker leave, and nobody answers those: it is no address of the clients'.
    host, card = gateway, CLIENTS_CARD
    host.run("ip", "neigh", "add", ATTACKER_ADDRESS, "lladdr", card, "dev", host.interface)
    clients.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")


def receive_on(host: Host, cores: Sequence[int]) -> list[int]:
    """Lets a thread receive what comes to each queue of a host, on a core and before all other
    work there, as a network card's interrupts do. What a core sends leaves by the queue of the
    same place."""
    host.run("sh", "-c", f"echo 1 > /sys/class/net/{host.interface}/threaded")
    name = f"napi/{host.interface}-"

    def threads() -> list[int] | None:
        found = threads_named(name)
        return found if len(found) == len(cores) else None

    found = wait_until(threads, THREAD_SECONDS, f"{len(cores)} threads {name}")
    for place, core in enumerate(cores if len(cores) > 1 else ()):
        queue = f"/sys/class/net/{host.interface}/queues/tx-{place}/xps_cpus"
        host.run("sh", "-c", f"echo {1 << core:x} > {queue}")
    for thread, core in zip(found, cores):
        os.sched_setaffinity(thread, {core})
        urgency = os.sched_getparam(0).sched_priority + 1
        os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(urgency))
    return found


def threads_named(name: str) -> list[int]:
    """The kernel's threads with this name and a number, by number."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            thread = (entry / "comm").read_text().strip() if entry.name.isdigit() else ""
            if thread.startswith(name):
                found[int(thread.removeprefix(name))] = int(entry.name)
    return [found[number] for number in sorted(found)]
