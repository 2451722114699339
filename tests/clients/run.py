"""Runs scenarios against a management API.

    run.py --endpoint http://127.0.0.1:PORT --gateway http://127.0.0.1:PORT SCENARIO[:TEST] …

A SCENARIO is the name of a file in `scenarios/`, without its ending. The exit code is 1 when a
test failed, or when an operation that a scenario answers for did not succeed in it.
"""

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path

from aws import Aws
from strict import Strict

SCENARIOS = Path(__file__).parent / "scenarios"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--endpoint", required=True, help="URL of the management API")
    parser.add_argument("--gateway", required=True, help="URL of the gateway's HTTP listener")
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO[:TEST]")
    arguments = parser.parse_args()
    failed = sum(run(name, arguments) for name in arguments.scenarios)
    sys.exit(1 if failed else 0)


def run(name, arguments):
    """Gives the number of failures."""
    name, _, only = name.partition(":")
    scenario = load(name)
    strict = Strict(arguments.endpoint)
    tests = [it for it in vars(scenario) if it.startswith("test_") and only in ("", it)]
    if not tests:
        print(f"{name} has no such test")
        return 1
    failures = 0
    for test in tests:
        aws = Aws(strict, arguments.endpoint, arguments.gateway.rstrip("/"))
        start = time.monotonic()
        problems = []
        try:
            getattr(scenario, test)(aws)
        except Exception:
            problems.append(traceback.format_exc())
        problems += aws.clean_up()
        word = "FAILED" if problems else "ok"
        print(f"{name}:{test} {word} ({time.monotonic() - start:.1f} s)", flush=True)
        for problem in problems:
            print(problem, flush=True)
        failures += bool(problems)
    missing = set(scenario.OPERATIONS) - strict.succeeded
    if missing and not only:
        print(f"{name} answers for operations that did not succeed: {', '.join(sorted(missing))}")
        failures += 1
    return failures


def load(name):
    return importlib.import_module(f"scenarios.{name}")


if __name__ == "__main__":
    main()
