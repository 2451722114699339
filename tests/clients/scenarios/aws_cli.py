"""The life of an API with `aws apigateway …`, as people type it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from aws import mock_operation, openapi
from strict import ACCESS_KEY, REGION, SECRET_KEY

# The strict client has no part in this: the command parses by itself.
OPERATIONS = []


class Cli:
    """`aws` with an environment of its own, in a folder of its own."""

    def __init__(self, endpoint, folder):
        self.folder = Path(folder)
        self._endpoint = endpoint
        self._environment = {
            "PATH": os.environ["PATH"], "HOME": folder, "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "awscli", "--endpoint-url", self._endpoint, "apigateway", *arguments],
            cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=120)

    def __call__(self, *arguments):
        """Gives what the command printed, parsed; None where it printed nothing."""
        finished = self.run(*arguments)
        assert finished.returncode == 0, (arguments, finished.stdout, finished.stderr)
        return json.loads(finished.stdout) if finished.stdout.strip() else None

    def refused(self, text, *arguments):
        finished = self.run(*arguments)
        assert finished.returncode != 0 and text in finished.stderr, (arguments, finished)

    def write(self, name, content):
        """Gives the file's name, to say `file://` before."""
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content)
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name


def test_an_api_is_made_by_hand(aws):
    with tempfile.TemporaryDirectory() as folder:
        by_hand(aws, Cli(aws.endpoint, folder))


def by_hand(aws, cli):
    api = cli("create-rest-api", "--name", aws.unique("cli"), "--description", "typed")
    api_id, root = api["id"], api["rootResourceId"]
    aws.after(aws.apigateway.delete_rest_api, restApiId=api_id)
    pets = cli("create-resource", "--rest-api-id", api_id, "--parent-id", root, "--path-part", "pets")["id"]
    where = ["--rest-api-id", api_id, "--resource-id", pets, "--http-method", "GET"]
    cli("put-method", *where, "--authorization-type", "NONE")
    cli("put-integration", *where, "--type", "MOCK",
        "--request-templates", '{"application/json": "{\\"statusCode\\": 200}"}')
    cli("put-method-response", *where, "--status-code", "200")

    # A skeleton, filled in, goes back in.
    skeleton = cli("put-integration-response", "--generate-cli-skeleton")
    assert skeleton["restApiId"] == "" and "responseTemplates" in skeleton
    cli.write("response.json", {
        "restApiId": api_id, "resourceId": pets, "httpMethod": "GET", "statusCode": "200",
        "responseTemplates": {"application/json": "one $stageVariables.color"}})
    cli("put-integration-response", "--cli-input-json", "file://response.json")

    first = cli("create-deployment", "--rest-api-id", api_id, "--stage-name", "prod",
                "--variables", "color=red")["id"]
    aws.served(api_id, "prod", "one red", "/pets")
    tested = cli("test-invoke-method", *where, "--stage-variables", "color=green")
    assert (tested["status"], tested["body"]) == (200, "one green")

    cli("update-integration-response", *where, "--status-code", "200", "--patch-operations",
        "op=replace,path=/responseTemplates/application~1json,value=two $stageVariables.color")
    canary = cli("create-deployment", "--rest-api-id", api_id, "--stage-name", "prod",
                 "--canary-settings", "percentTraffic=100,stageVariableOverrides={color=blue}")["id"]
    aws.served(api_id, "prod", "two blue", "/pets")
    stage = cli("get-stage", "--rest-api-id", api_id, "--stage-name", "prod")
    assert (stage["deploymentId"], stage["canarySettings"]["deploymentId"]) == (first, canary)

    promoted = cli("update-stage", "--rest-api-id", api_id, "--stage-name", "prod", "--patch-operations",
                   "op=replace,path=/canarySettings/percentTraffic,value=0.0",
                   "op=copy,from=/canarySettings/stageVariableOverrides,path=/variables",
                   "op=copy,from=/canarySettings/deploymentId,path=/deploymentId")
    assert promoted["deploymentId"] == canary and promoted["variables"] == {"color": "blue"}
    cli("update-stage", "--rest-api-id", api_id, "--stage-name", "prod", "--patch-operations",
        "op=remove,path=/canarySettings", f"op=replace,path=/deploymentId,value={first}")
    aws.served(api_id, "prod", "one blue", "/pets")

    cli.refused("(BadRequestException) when calling the DeleteDeployment operation: Active stages "
                "pointing to this deployment must be moved or deleted",
                "delete-deployment", "--rest-api-id", api_id, "--deployment-id", first)
    cli("delete-stage", "--rest-api-id", api_id, "--stage-name", "prod")
    cli("delete-deployment", "--rest-api-id", api_id, "--deployment-id", first)
    assert cli("delete-rest-api", "--rest-api-id", api_id) is None
    cli.refused("(NotFoundException) when calling the GetRestApi operation: Invalid API identifier specified",
                "get-rest-api", "--rest-api-id", api_id)


def test_an_api_is_imported_and_exported(aws):
    with tempfile.TemporaryDirectory() as folder:
        by_import(aws, Cli(aws.endpoint, folder))


def by_import(aws, cli):
    cli.write("api.json", openapi({"/pets": {"get": mock_operation("one")}}))
    api_id = cli("import-rest-api", "--body", "fileb://api.json", "--parameters",
                 "endpointConfigurationTypes=REGIONAL", "--fail-on-warnings")["id"]
    aws.after(aws.apigateway.delete_rest_api, restApiId=api_id)
    cli("create-deployment", "--rest-api-id", api_id, "--stage-name", "prod")
    aws.served(api_id, "prod", "one", "/pets")

    printed = cli("get-export", "--rest-api-id", api_id, "--stage-name", "prod", "--export-type", "oas30",
                  "--parameters", "extensions=apigateway", "--accepts", "application/json", "exported.json")
    assert printed["contentType"].startswith("application/json")
    exported = json.loads((cli.folder / "exported.json").read_text())
    assert set(exported["paths"]) == {"/pets"}
    cli("get-export", "--rest-api-id", api_id, "--stage-name", "prod", "--export-type", "swagger",
        "--accepts", "application/yaml", "exported.yaml")
    assert "swagger:" in (cli.folder / "exported.yaml").read_text()

    changed = json.dumps(exported).replace('"one"', '"two"')
    assert '"two"' in changed
    cli.write("changed.json", changed)
    cli("put-rest-api", "--rest-api-id", api_id, "--mode", "overwrite", "--body", "fileb://changed.json")
    cli("create-deployment", "--rest-api-id", api_id, "--stage-name", "prod", "--description", "second")
    aws.served(api_id, "prod", "two", "/pets")
    deployments = cli("get-deployments", "--rest-api-id", api_id)["items"]
    assert len(deployments) == 2

    cli.write("garbage.json", b"\x00garbage")
    cli.refused("(BadRequestException) when calling the ImportRestApi operation: Invalid OpenAPI input.",
                "import-rest-api", "--body", "fileb://garbage.json")
    cli("delete-rest-api", "--rest-api-id", api_id)


def test_lists_are_filtered_paged_and_printed_in_many_ways(aws):
    prefix = aws.unique("cli")
    made = {aws.rest_api(name=f"{prefix}-{number}")["id"] for number in range(3)}
    with tempfile.TemporaryDirectory() as folder:
        cli = Cli(aws.endpoint, folder)
        query = f"items[?starts_with(name, '{prefix}')].id"
        assert set(cli("get-rest-apis", "--query", query)) == made
        assert set(cli("get-rest-apis", "--page-size", "1", "--query", query)) == made
        page = cli("get-rest-apis", "--max-items", "1")
        assert len(page["items"]) == 1 and page["NextToken"]
        text = cli.run("get-rest-apis", "--query", query, "--output", "text")
        assert set(text.stdout.split()) == made, text


def test_keys_are_imported_from_a_file(aws):
    prefix = aws.unique("cli-keys")
    with tempfile.TemporaryDirectory() as folder:
        cli = Cli(aws.endpoint, folder)
        cli.write("keys.csv", f"Name,Key,Description,Enabled,UsagePlanIds\n{prefix},{prefix.ljust(30, 'x')},,true,\n")
        (key,) = cli("import-api-keys", "--body", "fileb://keys.csv", "--format", "csv")["ids"]
        aws.after(aws.apigateway.delete_api_key, apiKey=key)
        found = cli("get-api-key", "--api-key", key, "--include-value")
        assert (found["name"], found["value"]) == (prefix, prefix.ljust(30, "x"))
