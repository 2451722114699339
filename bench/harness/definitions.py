"""Generated OpenAPI definitions with many methods, for the `routes` and `import` scenarios."""

import json
from dataclasses import dataclass
from pathlib import Path

# One API keeps within API Gateway's quota of 300 resources: 1,000 methods take 144 of them.
METHODS_PER_API = 1_000
VERBS = ["get", "put", "post", "delete", "patch", "options", "head"]
LEAVES_PER_GROUP = 10
MOCK = {
    "type": "mock",
    "requestTemplates": {"application/json": '{"statusCode": 200}'},
    "responses": {
        "default": {"statusCode": "200", "responseTemplates": {"application/json": '{"ok":true}'}}
    },
}


@dataclass(frozen=True)
class Definition:
    title: str
    path: Path
    # Verb and path of a request for each method but HEAD, whose answers wrk can't read.
    requests: list[tuple[str, str]]


def generate(directory: Path, methods: int) -> list[Definition]:
    """Definitions with `methods` methods in all, none with more than `METHODS_PER_API`."""
    definitions = []
    while methods > 0:
        count = min(methods, METHODS_PER_API)
        definitions.append(generate_one(directory, f"routes-{len(definitions)}", count))
        methods -= count
    return definitions


def generate_one(directory: Path, title: str, methods: int) -> Definition:
    """Paths of one to three parts, a parameter among them: /g3, /g3/{id}, /g3/{id}/leaf7."""
    paths: dict[str, dict] = {}
    requests = []
    for template in path_templates():
        if methods <= 0:
            break
        verbs = VERBS[:methods]
        methods -= len(verbs)
        paths[template] = {
            verb: {
                "responses": {"200": {"description": "Answered by the gateway itself"}},
                "x-amazon-apigateway-integration": MOCK,
            }
            for verb in verbs
        }
        if "{id}" in template:
            parameter = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            paths[template]["parameters"] = [parameter]
        path = template.replace("{id}", "4711")
        requests += [(verb.upper(), path) for verb in verbs if verb != "head"]
    definition = {"openapi": "3.0.1", "info": {"title": title, "version": "1"}, "paths": paths}
    path = directory / f"{title}.json"
    path.write_text(json.dumps(definition))
    return Definition(title, path, requests)


def path_templates():
    group = 0
    while True:
        yield f"/g{group}"
        yield f"/g{group}/{{id}}"
        for leaf in range(LEAVES_PER_GROUP):
            yield f"/g{group}/{{id}}/leaf{leaf}"
        group += 1
