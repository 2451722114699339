"""The whole life of an API, by hand and by import, with clients calling it all the while."""

import collections
import threading
import time

from aws import DEADLINE, document, mock_operation, openapi, patch, replace

OPERATIONS = """
    CreateRestApi CreateResource PutMethod PutIntegration PutMethodResponse
    PutIntegrationResponse CreateDeployment UpdateIntegrationResponse UpdateStage
    DeleteStage DeleteDeployment DeleteRestApi ImportRestApi PutRestApi
""".split()

PROMOTION = [
    patch("replace", "/canarySettings/percentTraffic", "0.0"),
    patch("copy", "/variables", source="/canarySettings/stageVariableOverrides"),
    patch("copy", "/deploymentId", source="/canarySettings/deploymentId"),
]


class Traffic:
    """Clients that call a stage until told to stop, and what they were answered."""

    def __init__(self, aws, api_id, path, clients=2):
        self.answers = collections.Counter()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(aws, api_id, path)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _call(self, aws, api_id, path):
        while not self._stopped.is_set():
            try:
                answer = aws.call(api_id, "prod", path)
                self.answers[answer.status, answer.text] += 1
            except OSError as error:
                self.answers["broken", str(error)] += 1
            time.sleep(0.002)

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        return self.answers


def test_an_api_made_by_hand_lives_from_create_to_delete(aws):
    client = aws.apigateway
    backend = aws.backend()
    api = client.create_rest_api(name=aws.unique("by-hand"))
    api_id = api["id"]
    aws.after(client.delete_rest_api, restApiId=api_id)

    # A backend behind a stage variable, with mapped parameters.
    pet = aws.resource(api, "{id}", parent=aws.resource(api, "pets"))
    http = {"restApiId": api_id, "resourceId": pet, "httpMethod": "GET"}
    client.put_method(**http, authorizationType="NONE", requestParameters={
        "method.request.path.id": True, "method.request.querystring.kind": False})
    client.put_integration(
        **http, type="HTTP", integrationHttpMethod="POST", uri="http://${stageVariables.backend}/all/{id}",
        requestParameters={"integration.request.path.id": "method.request.path.id",
                           "integration.request.querystring.k": "method.request.querystring.kind"},
        requestTemplates={"application/json": '{"pet": "$input.params(\'id\')"}'})
    client.put_method_response(**http, statusCode="200",
                               responseParameters={"method.response.header.X-Api": False})
    client.put_integration_response(
        **http, statusCode="200", responseParameters={"method.response.header.X-Api": "'pets'"},
        responseTemplates={"application/json": "$input.path('$.method') $input.path('$.path') $input.path('$.body')"})
    # And one that says which version it is.
    version = aws.mock(api_id, aws.resource(api, "version"), template="one $stageVariables.color")

    first = client.create_deployment(restApiId=api_id, stageName="prod", variables={
        "backend": backend.removeprefix("http://"), "color": "red"})["id"]
    aws.served(api_id, "prod", "one red", "/version")
    answer = aws.call(api_id, "prod", "/pets/7?kind=cat")
    assert (answer.status, answer.text) == (200, 'POST /all/7?k=cat {"pet": "7"}'), answer
    assert answer.headers["X-Api"] == "pets"
    assert aws.call(api_id, "prod", "/nowhere").status == 403

    # A change is nothing to clients before it is deployed.
    change = dict(**version, statusCode="200", patchOperations=replace(
        "/responseTemplates/application~1json", "two $stageVariables.color"))
    client.update_integration_response(**change)
    assert aws.call(api_id, "prod", "/version").text == "one red"
    traffic = Traffic(aws, api_id, "/version")
    try:
        second = client.create_deployment(restApiId=api_id, stageName="prod")["id"]
        aws.served(api_id, "prod", "two red", "/version")
        # Nor is a variable, which needs no deployment.
        client.update_stage(restApiId=api_id, stageName="prod", patchOperations=replace("/variables/color", "blue"))
        aws.served(api_id, "prod", "two blue", "/version")
        # Back, and forth again.
        client.update_stage(restApiId=api_id, stageName="prod", patchOperations=replace("/deploymentId", first))
        aws.served(api_id, "prod", "one blue", "/version")
        client.update_stage(restApiId=api_id, stageName="prod", patchOperations=replace("/deploymentId", second))
        aws.served(api_id, "prod", "two blue", "/version")
    finally:
        answers = traffic.stop()
    # No request failed for all that.
    expected = {(200, f"{word} {color}") for word in ("one", "two") for color in ("red", "blue")}
    assert set(answers) <= expected, answers

    client.delete_deployment(restApiId=api_id, deploymentId=first)
    client.delete_stage(restApiId=api_id, stageName="prod")
    client.delete_rest_api(restApiId=api_id)
    aws.answers(403, api_id, "prod", "/version")


def share(aws, api_id, wanted, count):
    """How many of so many requests are answered with a text."""
    return sum(aws.call(api_id, "prod").text == wanted for _ in range(count))


def test_a_canary_takes_its_share_and_is_promoted(aws):
    client = aws.apigateway
    template = "old $stageVariables.color $context.isCanaryRequest"
    api_id, first = aws.deployed(template, variables={"color": "red"})
    root = client.get_rest_api(restApiId=api_id)["rootResourceId"]
    # There is no such variable without a canary.
    aws.served(api_id, "prod", "old red ")
    client.update_integration_response(
        restApiId=api_id, resourceId=root, httpMethod="GET", statusCode="200",
        patchOperations=replace("/responseTemplates/application~1json", template.replace("old", "new")))

    canary = client.create_deployment(
        restApiId=api_id, stageName="prod",
        canarySettings={"percentTraffic": 100.0, "stageVariableOverrides": {"color": "blue"}})["id"]
    aws.served(api_id, "prod", "new blue true")
    assert share(aws, api_id, "new blue true", 50) == 50

    def traffic(percent):
        client.update_stage(restApiId=api_id, stageName="prod",
                            patchOperations=replace("/canarySettings/percentTraffic", percent))

    traffic("0.0")
    aws.served(api_id, "prod", "old red false")
    assert share(aws, api_id, "old red false", 50) == 50

    traffic("25.0")
    aws.eventually("the canary is asked", lambda: (aws.call(api_id, "prod").text.startswith("new"), None))
    # Of 800 with 25 %, 200 are expected; seven standard deviations are 86.
    found = share(aws, api_id, "new blue true", 800)
    assert 114 <= found <= 286, found

    stage = client.update_stage(restApiId=api_id, stageName="prod", patchOperations=PROMOTION)
    assert stage["deploymentId"] == canary and stage["variables"] == {"color": "blue"}
    aws.served(api_id, "prod", "new blue false")
    assert share(aws, api_id, "new blue false", 50) == 50

    # Promoted, the old one can come back without a word about the canary.
    client.update_stage(restApiId=api_id, stageName="prod", patchOperations=[
        patch("remove", "/canarySettings"), patch("replace", "/deploymentId", first)])
    aws.served(api_id, "prod", "old blue ")


def test_a_canary_is_abandoned(aws):
    client = aws.apigateway
    api_id, _ = aws.deployed("old", variables={"color": "red"})
    root = client.get_rest_api(restApiId=api_id)["rootResourceId"]
    client.update_integration_response(
        restApiId=api_id, resourceId=root, httpMethod="GET", statusCode="200",
        patchOperations=replace("/responseTemplates/application~1json", "new"))
    canary = client.create_deployment(
        restApiId=api_id, stageName="prod", canarySettings={"percentTraffic": 100.0})["id"]
    aws.served(api_id, "prod", "new")
    client.update_stage(restApiId=api_id, stageName="prod", patchOperations=[patch("remove", "/canarySettings")])
    aws.served(api_id, "prod", "old")
    assert share(aws, api_id, "old", 50) == 50
    client.delete_deployment(restApiId=api_id, deploymentId=canary)


def test_an_imported_api_lives_from_import_to_delete(aws):
    client = aws.apigateway
    api = aws.imported(openapi({
        "/version": {"get": mock_operation("one")},
        "/pets/{id}": {"get": mock_operation("pet $input.params('id')")},
    }))
    api_id = api["id"]
    assert api.get("warnings", []) == [], api
    client.create_deployment(restApiId=api_id, stageName="prod")
    aws.served(api_id, "prod", "one", "/version")
    aws.served(api_id, "prod", "pet 7", "/pets/7")

    traffic = Traffic(aws, api_id, "/version")
    try:
        client.put_rest_api(restApiId=api_id, mode="merge", body=document(openapi({
            "/version": {"get": mock_operation("two")}, "/toys": {"get": mock_operation("toys")}})))
        assert aws.call(api_id, "prod", "/toys").status == 403
        client.create_deployment(restApiId=api_id, stageName="prod")
        aws.served(api_id, "prod", "toys", "/toys")
        aws.served(api_id, "prod", "pet 7", "/pets/7")
        client.put_rest_api(restApiId=api_id, mode="overwrite", body=document(openapi({
            "/version": {"get": mock_operation("three")}})))
        client.create_deployment(restApiId=api_id, stageName="prod")
        aws.served(api_id, "prod", "three", "/version")
    finally:
        answers = traffic.stop()
    assert set(answers) <= {(200, "one"), (200, "two"), (200, "three")}, answers
    assert aws.call(api_id, "prod", "/pets/7").status == 403
    client.delete_rest_api(restApiId=api_id)
    aws.answers(403, api_id, "prod", "/version")


def test_clients_that_change_one_api_at_once_lose_nothing(aws):
    api = aws.rest_api()
    busy = "Unable to complete operation due to concurrent modification. Please try again later."
    failures = []

    def create(prefix):
        for number in range(15):
            try:
                insist(f"{prefix}{number}")
            except Exception as error:
                failures.append(repr(error))

    def insist(path_part):
        """Does as AWS says: again, later."""
        end = time.monotonic() + DEADLINE
        while True:
            try:
                return aws.resource(api, path_part)
            except aws.apigateway.exceptions.ConflictException as conflict:
                assert conflict.response["Error"]["Message"] == busy, conflict
                assert time.monotonic() < end, "busy without end"
                time.sleep(0.01)

    threads = [threading.Thread(target=create, args=(prefix,)) for prefix in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    found = aws.apigateway.get_resources(restApiId=api["id"], limit=500)["items"]
    assert {it["path"] for it in found} == {"/"} | {f"/{prefix}{n}" for prefix in "abcd" for n in range(15)}


def test_of_clients_that_make_the_same_one_wins(aws):
    api = aws.rest_api()
    outcomes = collections.Counter()

    def create():
        try:
            aws.resource(api, "pets")
            outcomes["made"] += 1
        except aws.apigateway.exceptions.ConflictException:
            outcomes["refused"] += 1

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"made": 1, "refused": 7}, outcomes
