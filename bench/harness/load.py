"""The load generators, each wrapped so that it returns the same few numbers."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .machine import MeasureError, Process, wait_until
from .targets import Setting

# Requests in flight: enough to keep one worker busy, as 64 connections or 16 with 4 streams each.
CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 16, 4
# New connections and large bodies need fewer clients to fill a core, and queue less with few.
HANDSHAKE_CLIENTS = 16
BODY_CLIENTS = 4
# A load generator past its own time by this much has hung.
GRACE_SECONDS = 60
OPEN_SECONDS = 120


@dataclass(frozen=True)
class Load:
    """What a load generator saw. All requests were answered, and well unless it says otherwise."""

    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    # TLS connections that resumed a session; only the loader counts them.
    resumed: int = 0
    # Answers of 400 and over, and connections that broke or timed out; only wrk counts them.
    refused: int = 0
    errors: int = 0


def wrk(
    setting: Setting,
    url: str,
    seconds: int,
    headers: dict[str, str] | None = None,
    connections: int = CONNECTIONS,
    **files: Path,
) -> Load:
    """HTTP/1.1 on kept connections. Of `files`, `requests` is one for wrk.lua to cycle through,
    and `body` one to post."""
    load = wrk_counting(setting, url, seconds, connections, headers, **files)
    if failed := load.errors + load.refused:
        raise MeasureError(f"{failed} requests failed, {load.requests - load.refused} did not")
    if not load.requests:
        raise MeasureError(f"wrk: not one request answered in {seconds} s")
    return load


def wrk_counting(
    setting: Setting,
    url: str,
    seconds: int,
    connections: int,
    headers: dict[str, str] | None = None,
    **files: Path,
) -> Load:
    """The same, where requests may fail."""
    script = Path(__file__).with_name("wrk.lua")
    command = [setting.tools["wrk"], "-t", "1", "-c", str(connections)]
    command += ["-d", str(seconds), "-s", str(script), *header_options(headers), url]
    environment = {f"BENCH_{name.upper()}": str(path) for name, path in files.items()}
    output = run(setting, command, seconds, **environment)
    return Load(**json.loads(output.splitlines()[-1]))


def h2load(setting: Setting, port: int, seconds: int) -> Load:
    """HTTP/2 over TLS. h2load prints no percentiles; they come from its log of requests."""
    log = setting.directory / "h2load.log"
    log.unlink(missing_ok=True)
    command = [setting.tools["h2load"], "-t", "1", "-c", str(H2_CONNECTIONS)]
    command += ["-m", str(H2_STREAMS), "-D", str(seconds)]
    command += [f"--log-file={log}", f"https://127.0.0.1:{port}/"]
    output = run(setting, command, seconds)
    if "Application protocol: h2\n" not in output:
        raise MeasureError("h2load did not negotiate h2")
    done, failed = h2load_counts(output)
    latencies = sorted(
        int(line.split("\t")[2]) for line in log.read_text().splitlines() if "\t200\t" in line
    )
    if failed or not latencies:
        raise MeasureError(f"h2load: {failed} of {done} requests failed")
    return Load(
        requests=done,
        seconds=seconds,
        p50_us=latencies[len(latencies) // 2],
        p99_us=latencies[len(latencies) * 99 // 100],
    )


def h2load_exactly(
    setting: Setting, url: str, requests: int, headers: dict[str, str] | None = None
) -> None:
    """HTTP/1.1, a given number of requests, which wrk can't."""
    command = [setting.tools["h2load"], "--h1", "-t", "1", "-c", str(CONNECTIONS)]
    # It sends its own `Host` beside one that it is given, but not beside this.
    headers = {":authority" if name == "Host" else name: it for name, it in (headers or {}).items()}
    command += ["-n", str(requests), *header_options(headers), url]
    # No target here is slower than 1,000 a second.
    done, failed = h2load_counts(run(setting, command, requests / 1000))
    if failed or done != requests:
        raise MeasureError(f"h2load: {done} of {requests} requests done, {failed} failed")


def header_options(headers: dict[str, str] | None) -> list[str]:
    """For wrk and h2load, which both take curl's."""
    pairs = (headers or {}).items()
    return [option for name, value in pairs for option in ("-H", f"{name}: {value}")]


def h2load_counts(output: str) -> tuple[int, int]:
    """Requests done, and those without a 2xx."""
    totals = re.search(r"requests: .* (\d+) done, .* (\d+) failed, (\d+) errored", output)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    if not totals or not codes:
        raise MeasureError(f"h2load printed no totals: {output[-300:]!r}")
    failed = int(totals[2]) + int(totals[3]) + sum(int(codes[i]) for i in (2, 3, 4))
    return int(totals[1]), failed


def loader(setting: Setting, port: int, seconds: int, clients: int, *options: str) -> Load:
    """`loader requests`, from this folder."""
    command = [setting.tools["loader"], "requests", "--address", f"127.0.0.1:{port}"]
    command += ["--clients", str(clients), "--seconds", str(seconds), *options]
    return from_json(run(setting, command, seconds))


@contextmanager
def idle_connections(setting: Setting, port: int, count: int, tls: bool) -> Iterator[None]:
    """Holds `count` connections, each of which has made one request, until the block ends."""
    command = [setting.tools["loader"], "idle", "--address", f"127.0.0.1:{port}"]
    command += ["--connections", str(count)] + (["--tls"] if tls else [])
    log = setting.directory / "loader.log"
    printed = setting.directory / "loader.out"

    def lines() -> int:
        process.check_alive()
        return printed.read_text().count("\n")

    with (
        printed.open("wb") as stdout,
        Process(
            command, {setting.cores.load}, log, stdin=subprocess.PIPE, stdout=stdout
        ) as process,
    ):
        wait_until(lines, OPEN_SECONDS, f"{count} connections")
        yield
        # The loader waits for this before it closes them, and ends when it has.
        process.popen.stdin.close()
        process.popen.wait(OPEN_SECONDS)


def run(setting: Setting, command: list[str], seconds: float, **environment: str) -> str:
    """Runs a load generator on the load's core and returns what it printed."""
    try:
        result = subprocess.run(
            ["taskset", "-c", str(setting.cores.load), *command],
            capture_output=True,
            text=True,
            timeout=seconds + GRACE_SECONDS,
            env=os.environ | environment,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureError(f"{Path(command[0]).name} hung") from error
    if result.returncode != 0:
        raise MeasureError(f"{Path(command[0]).name}: {(result.stderr or result.stdout).strip()}")
    return result.stdout


def from_json(text: str) -> Load:
    fields = json.loads(text)
    if errors := fields.pop("errors", 0):
        raise MeasureError(f"{errors} requests failed, {fields['requests']} did not")
    return Load(**fields)
