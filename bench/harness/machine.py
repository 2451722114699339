"""Processes, their CPU time and memory, and the cores they run on."""

import os
import resource
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# clock_getcpuclockid(3) for "all threads of a process, scheduler's clock".
CPUCLOCK_SCHED = 2
POLL_SECONDS = 0.05


class MeasureError(Exception):
    """A target could not be started or measured; the run goes on with the others."""


@dataclass(frozen=True)
class Cores:
    """One core for the target under test, another for the origin and the load."""

    target: int
    load: int


def raise_file_limit() -> int:
    """Lifts the limit of open files as far as allowed, for children too; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A port nobody listens on now. Peers can't tell which they chose, so it is chosen for them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A child in a session of its own, pinned to some cores.

    The session is what finds its workers again (nginx forks) and what ends them all. Use it in a
    `with` block: nothing outlives the block.
    """

    def __init__(self, command: list[str], cores: set[int], log: Path, **popen):
        self.log = log
        self.popen = subprocess.Popen(
            command,
            stderr=log.open("wb"),
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL} | popen,
        )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_exception) -> None:
        self.kill()

    def kill(self) -> None:
        # Nothing here has state worth an orderly end, and Pingora's takes minutes by default.
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def pids(self) -> list[int]:
        """All processes of the session."""
        found = []
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # It ended meanwhile.
            # The command name is in parentheses and may hold spaces; session is the 4th after it.
            if int(stat.rpartition(")")[2].split()[3]) == self.popen.pid:
                found.append(int(entry.name))
        return found

    def cpu_ns(self) -> int:
        """CPU time of the session's living processes, in nanoseconds.

        The process clock counts threads that have ended, which a sum over /proc/PID/task misses,
        and has no 10 ms ticks as utime and stime have.
        """
        return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in self.pids())

    def rss_kb(self) -> int:
        """Resident memory of the session's processes, in KB.

        From smaps_rollup, which walks the pages; the counters in /proc/PID/status lag behind.
        """
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    total += int(line.split()[1])
        return total

    def check_alive(self) -> None:
        if self.popen.poll() is not None:
            raise MeasureError(f"ended with status {self.popen.returncode}: {self.log_tail()}")

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-5:]) or "nothing on standard error"


def is_real_time() -> bool:
    """Whether this process, and so what it starts, goes before all ordinary work."""
    return os.sched_getscheduler(0) != os.SCHED_OTHER


def may_be_real_time() -> bool:
    return os.geteuid() == 0


def real_time() -> list[str]:
    """What a command begins with to go before all ordinary work, where that is allowed."""
    return ["chrt", "--rr", "1"] if may_be_real_time() else []


def set_real_time(pid: int) -> None:
    """The same for a thread that runs; 0 is this one."""
    if may_be_real_time():
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def shield(process: Process) -> None:
    """Gives a session more weight than the machine's other work, where that is allowed.

    Its own threads keep their order, which real-time priority would take from them.
    """
    group = Path(f"/proc/{process.popen.pid}/autogroup")
    if may_be_real_time() and group.exists():
        group.write_text("-20")


def wait_until(ready, seconds: float, what: str, poll_seconds: float = POLL_SECONDS):
    """Polls `ready` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        if result := ready():
            return result
        if time.monotonic() > deadline:
            raise MeasureError(f"{what} not ready after {seconds:g} s")
        time.sleep(poll_seconds)


def make_certificate(openssl: str, directory: Path) -> None:
    """An ECDSA P-256 certificate for localhost: cert.pem, key.pem, and both.pem for HAProxy."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [
            openssl,
            "req",
            "-x509",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            str(key),
            "-out",
            str(cert),
        ],
        check=True,
        capture_output=True,
    )
    (directory / "both.pem").write_text(cert.read_text() + key.read_text())


def description() -> dict[str, str]:
    """The machine, for the report: figures mean nothing without it."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cores": str(os.cpu_count()), "kernel": os.uname().release}
