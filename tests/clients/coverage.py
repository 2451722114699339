"""Compares botocore's list of operations with those that scenarios answer for.

Each operation is in the `OPERATIONS` of a scenario, whose run proves that it succeeds, or in
`not-implemented.txt` with the reason, never in both. The list that Tollgate's own table of
operations is compared with, `proxy/management/operations.txt`, is the model's.
"""

import sys
from pathlib import Path

import botocore.session

import run

OPERATIONS = Path(__file__).parents[2] / "proxy/management/operations.txt"
NOT_IMPLEMENTED = Path(__file__).parent / "not-implemented.txt"
# Of botocore 1.43.11. Another number means other operations to decide about.
OPERATION_COUNT = 124


def not_implemented():
    """Operation → reason."""
    reasons = {}
    for line in NOT_IMPLEMENTED.read_text().splitlines():
        if line and not line.startswith("#"):
            operation, separator, reason = line.partition(" — ")
            if not separator or not reason.strip():
                raise SystemExit(f"{NOT_IMPLEMENTED.name}: a line is `Operation — reason`, not {line!r}")
            reasons[operation] = reason
    return reasons


def tested():
    """Operation → the scenarios that answer for it."""
    found = {}
    for file in sorted(run.SCENARIOS.glob("*.py")):
        for operation in run.load(file.stem).OPERATIONS:
            found.setdefault(operation, []).append(file.stem)
    return found


def lines(service):
    """What `operations.txt` has to hold: an operation's name, method, URI and status a line."""
    for name in service.operation_names:
        http = service.operation_model(name).http
        yield f"{name} {http['method']} {http['requestUri']} {http.get('responseCode', 200)}"


def problems():
    service = botocore.session.get_session().get_service_model("apigateway")
    model, listed = set(service.operation_names), set(OPERATIONS.read_text().splitlines())
    for line in sorted(listed ^ set(lines(service))):
        yield f"{OPERATIONS.name} {'has' if line in listed else 'lacks'} the line {line!r}"
    tried, missing = tested(), not_implemented()
    if len(model) != OPERATION_COUNT:
        yield f"the service model has {len(model)} operations, not {OPERATION_COUNT}"
    for operation in sorted(model - tried.keys() - missing.keys()):
        yield f"{operation} is neither tested nor in {NOT_IMPLEMENTED.name}"
    for operation in sorted(tried.keys() & missing.keys()):
        yield f"{operation} is in {NOT_IMPLEMENTED.name}, and {', '.join(tried[operation])} answers for it"
    for operation in sorted((tried.keys() | missing.keys()) - model):
        yield f"{operation} is no operation of the service model"


def main():
    found = list(problems())
    for problem in found:
        print(problem)
    print(f"{len(tested())} operations tested, {len(not_implemented())} not implemented")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
