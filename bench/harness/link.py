"""A gateway's host and its clients' host: two network namespaces, joined by a veth pair.

Each end's packets are received by a kernel thread (threaded NAPI), the gateway's on the target's
core and the clients' on the load's. On loopback, who sends also does the receiving; here what a
packet costs the gateway's host is spent on its core, by tasks that can be told apart.
"""

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .machine import CPUCLOCK_SCHED, Cores, MeasureError, wait_until

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
    # The kernel's thread that receives what comes to the gateway.
    receiver: int

    def receive_ns(self) -> int:
        """CPU time spent receiving for the gateway, in nanoseconds: the whole of the network
        stack's work on what comes in, up to the socket's queue."""
        return time.clock_gettime_ns((~self.receiver << 3) | CPUCLOCK_SCHED)

    def dropped(self) -> int:
        """Packets to the gateway that an XDP program has dropped."""
        counters = self.gateway.run("ethtool", "-S", self.gateway.interface)
        [line] = [line for line in counters.splitlines() if "rx_queue_0_xdp_drops" in line]
        return int(line.split(":")[1])


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
def link(cores: Cores, clients_core: int | None = None) -> Iterator[Link]:
    """Two hosts that exist until the block ends. The clients' host receives on the load's core, or
    on another."""
    # Names of interfaces have 15 characters, those of kernel threads too.
    number = os.getpid()
    gateway = Host(f"tollgate-bench-{number}-gateway", f"tg{number}")
    clients = Host(f"tollgate-bench-{number}-clients", f"tc{number}")
    try:
        connect(gateway, clients)
        receiver = receive_on(gateway, cores.target)
        receive_on(clients, cores.load if clients_core is None else clients_core)
        yield Link(gateway, clients, receiver)
    finally:
        for host in (gateway, clients):
            with suppress(MeasureError):
                run("ip", "netns", "del", host.namespace)


def connect(gateway: Host, clients: Host) -> None:
    for host in (gateway, clients):
        run("ip", "netns", "add", host.namespace)
    run(
        "ip", "link", "add", gateway.interface, "netns", gateway.namespace,
        "numrxqueues", "1", "numtxqueues", "1", "address", GATEWAY_CARD,
        "type", "veth", "peer", "name", clients.interface, "netns", clients.namespace,
        "numrxqueues", "1", "numtxqueues", "1", "address", CLIENTS_CARD,
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


def receive_on(host: Host, core: int) -> int:
    """Lets a thread receive what comes to a host, on a core and before all other work there, as
    a network card's interrupts do."""
    host.run("sh", "-c", f"echo 1 > /sys/class/net/{host.interface}/threaded")
    name = f"napi/{host.interface}-"[:15]
    thread = wait_until(lambda: thread_named(name), THREAD_SECONDS, f"the thread {name}")
    os.sched_setaffinity(thread, {core})
    urgency = os.sched_getparam(0).sched_priority + 1
    os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(urgency))
    return thread


def thread_named(name: str) -> int | None:
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().startswith(name):
                return int(entry.name)
    return None
