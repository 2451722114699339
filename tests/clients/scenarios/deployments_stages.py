"""Deployments, stages, their settings, canaries."""

import re
import time

from aws import patch, replace, without_metadata

OPERATIONS = """
    CreateDeployment GetDeployment GetDeployments UpdateDeployment DeleteDeployment
    CreateStage GetStage GetStages UpdateStage DeleteStage FlushStageCache
    FlushStageAuthorizersCache
""".split()

NO_DEPLOYMENT = "Deployment id does not exist"
NO_PROMOTION = "Promotion not available. Canary does not exist."


def updater(aws, api_id, stage="prod"):
    """Patches the stage, and checks that what was answered is what is kept."""
    def update(*operations):
        answer = aws.apigateway.update_stage(
            restApiId=api_id, stageName=stage, patchOperations=list(operations))
        found = aws.apigateway.get_stage(restApiId=api_id, stageName=stage)
        assert without_metadata(found) == without_metadata(answer)
        return answer
    return update


def test_a_deployment_makes_its_stage(aws):
    api_id, deployment = aws.deployed(description="first", variables={"color": "red"})
    stage = aws.apigateway.get_stage(restApiId=api_id, stageName="prod")
    assert stage["deploymentId"] == deployment
    assert stage["variables"] == {"color": "red"}
    assert stage["cacheClusterEnabled"] is False
    assert stage["cacheClusterStatus"] == "NOT_AVAILABLE"
    assert stage["methodSettings"] == {}
    assert stage["tracingEnabled"] is False
    assert abs(stage["createdDate"].timestamp() - time.time()) < 60
    for absent in ("canarySettings", "accessLogSettings", "clientCertificateId", "tags"):
        assert absent not in stage, stage


def test_a_deployment_says_what_is_in_it(aws):
    api = aws.rest_api()
    aws.mock(api["id"], aws.resource(api, "pets"), "POST", apiKeyRequired=True)
    made = aws.apigateway.create_deployment(restApiId=api["id"], description="first")
    where = {"restApiId": api["id"], "deploymentId": made["id"]}
    assert aws.apigateway.get_deployment(**where)["description"] == "first"
    whole = aws.apigateway.get_deployment(**where, embed=["apisummary"])
    assert whole["apiSummary"] == {"/pets": {"POST": {"authorizationType": "NONE", "apiKeyRequired": True}}}
    changed = aws.apigateway.update_deployment(**where, patchOperations=replace("/description", "second"))
    assert changed["description"] == "second"
    listed = aws.apigateway.get_deployments(restApiId=api["id"])["items"]
    assert [(it["id"], it["description"]) for it in listed] == [(made["id"], "second")]


def test_an_api_without_methods_or_integrations_is_not_deployed(aws):
    api = aws.rest_api()
    create = aws.apigateway.create_deployment
    aws.refused("BadRequestException", "The REST API doesn't contain any methods", create, restApiId=api["id"])
    aws.apigateway.put_method(restApiId=api["id"], resourceId=api["rootResourceId"], httpMethod="GET",
                              authorizationType="NONE")
    aws.refused("BadRequestException", "No integration defined for method", create, restApiId=api["id"])


def test_a_deployment_in_use_stays(aws):
    api_id, first = aws.deployed()
    second = aws.apigateway.create_deployment(restApiId=api_id, stageName="prod")["id"]
    aws.refused("BadRequestException", "Active stages pointing to this deployment must be moved or deleted",
                aws.apigateway.delete_deployment, restApiId=api_id, deploymentId=second)
    aws.apigateway.delete_deployment(restApiId=api_id, deploymentId=first)
    aws.refused("NotFoundException", None, aws.apigateway.get_deployment, restApiId=api_id, deploymentId=first)
    aws.apigateway.delete_stage(restApiId=api_id, stageName="prod")
    aws.apigateway.delete_deployment(restApiId=api_id, deploymentId=second)


def test_a_deployment_that_a_canary_uses_stays(aws):
    api_id, _ = aws.deployed()
    canary = aws.apigateway.create_deployment(
        restApiId=api_id, stageName="prod", canarySettings={"percentTraffic": 10.0})["id"]
    aws.refused("BadRequestException", "Active stages pointing to this deployment must be moved or deleted",
                aws.apigateway.delete_deployment, restApiId=api_id, deploymentId=canary)


def test_a_stage_is_made_of_a_deployment(aws):
    api_id, deployment = aws.deployed()
    given = {
        "stageName": "test_1-a", "deploymentId": deployment, "description": "to try",
        "variables": {"color": "blue"}, "tracingEnabled": True, "tags": {"team": "pets"},
    }
    made = aws.apigateway.create_stage(restApiId=api_id, **given)
    for member, value in given.items():
        assert made[member] == value, (member, made)
    stages = aws.apigateway.get_stages(restApiId=api_id)["item"]
    assert {it["stageName"] for it in stages} == {"prod", "test_1-a"}
    of_deployment = aws.apigateway.get_stages(restApiId=api_id, deploymentId=deployment)["item"]
    assert len(of_deployment) == 2
    aws.served(api_id, "test_1-a", "hello")
    aws.apigateway.delete_stage(restApiId=api_id, stageName="test_1-a")
    aws.refused("NotFoundException", re.compile("Invalid [Ss]tage identifier specified"), aws.apigateway.get_stage,
                restApiId=api_id, stageName="test_1-a")
    aws.answers(403, api_id, "test_1-a")
    assert aws.call(api_id, "prod").status == 200


def test_wrong_stages_are_refused(aws):
    api_id, deployment = aws.deployed()
    create = aws.apigateway.create_stage
    given = {"restApiId": api_id, "deploymentId": deployment}
    aws.refused("ConflictException", "Stage already exists", create, **given, stageName="prod")
    for name in ("with space", "dot.ted", "a" * 129):
        aws.refused("BadRequestException", None, create, **given, stageName=name)
    aws.refused("BadRequestException", NO_DEPLOYMENT, create,
                restApiId=api_id, deploymentId="abcdef", stageName="lost")
    for variables in ({"a-b": "x"}, {"a": "with space"}, {"a": "x" * 513}):
        aws.refused("BadRequestException", None, create, **given, stageName="vars", variables=variables)


def test_a_stage_goes_back_to_an_earlier_deployment(aws):
    api = aws.rest_api()
    where = aws.mock(api["id"], api["rootResourceId"], template="first")
    first = aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")["id"]
    aws.served(api["id"], "prod", "first")
    aws.apigateway.update_integration_response(
        **where, statusCode="200", patchOperations=replace("/responseTemplates/application~1json", "second"))
    assert aws.call(api["id"], "prod").text == "first"
    aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    aws.served(api["id"], "prod", "second")
    update = updater(aws, api["id"])
    assert update(patch("replace", "/deploymentId", first))["deploymentId"] == first
    aws.served(api["id"], "prod", "first")
    aws.refused("BadRequestException", NO_DEPLOYMENT, aws.apigateway.update_stage,
                restApiId=api["id"], stageName="prod", patchOperations=replace("/deploymentId", "abcdef"))


def test_variables_change_at_once(aws):
    api_id, _ = aws.deployed("$stageVariables.color!", variables={"color": "red"})
    aws.served(api_id, "prod", "red!")
    update = updater(aws, api_id)
    stage = update(patch("replace", "/variables/color", "blue"), patch("replace", "/variables/size", "big"))
    assert stage["variables"] == {"color": "blue", "size": "big"}
    aws.served(api_id, "prod", "blue!")
    assert update(patch("remove", "/variables/size"))["variables"] == {"color": "blue"}


def test_single_settings_are_replaced(aws):
    api_id, _ = aws.deployed()
    before = aws.apigateway.get_stage(restApiId=api_id, stageName="prod")
    stage = updater(aws, api_id)(
        patch("replace", "/description", "described"), patch("replace", "/tracingEnabled", "true"))
    assert stage["description"] == "described" and stage["tracingEnabled"] is True
    assert stage["createdDate"] == before["createdDate"]
    assert stage["lastUpdatedDate"] >= before["lastUpdatedDate"]


def test_a_stage_takes_a_cache(aws):
    api_id, _ = aws.deployed()
    update = updater(aws, api_id)
    stage = update(patch("replace", "/cacheClusterEnabled", "true"), patch("replace", "/cacheClusterSize", "0.5"))
    assert stage["cacheClusterEnabled"] is True and stage["cacheClusterSize"] == "0.5"
    assert stage["cacheClusterStatus"] in ("CREATE_IN_PROGRESS", "AVAILABLE")
    off = update(patch("replace", "/cacheClusterEnabled", "false"))
    assert off["cacheClusterEnabled"] is False
    assert off["cacheClusterStatus"] in ("DELETE_IN_PROGRESS", "NOT_AVAILABLE")
    made = aws.apigateway.create_stage(restApiId=api_id, stageName="cached",
                                       deploymentId=stage["deploymentId"], cacheClusterEnabled=True)
    assert made["cacheClusterStatus"] in ("CREATE_IN_PROGRESS", "AVAILABLE"), made


# What a method setting is when another of the same method is first touched.
UNTOUCHED = {
    "metricsEnabled": False, "dataTraceEnabled": False, "throttlingBurstLimit": 5000,
    "throttlingRateLimit": 10000.0, "cachingEnabled": False, "cacheTtlInSeconds": 300,
    "cacheDataEncrypted": False, "requireAuthorizationForCacheControl": True,
    "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
}


def test_method_settings_are_patched_path_by_path(aws):
    api_id, _ = aws.deployed()
    update = updater(aws, api_id)
    stage = update(patch("replace", "/*/*/throttling/burstLimit", "7"))
    assert stage["methodSettings"] == {"*/*": {**UNTOUCHED, "throttlingBurstLimit": 7}}
    for path, value, member, expected in [
        ("metrics/enabled", "true", "metricsEnabled", True),
        ("logging/loglevel", "INFO", "loggingLevel", "INFO"),
        ("logging/dataTrace", "true", "dataTraceEnabled", True),
        ("throttling/rateLimit", "0.5", "throttlingRateLimit", 0.5),
        ("caching/enabled", "true", "cachingEnabled", True),
        ("caching/ttlInSeconds", "60", "cacheTtlInSeconds", 60),
        ("caching/dataEncrypted", "true", "cacheDataEncrypted", True),
        ("caching/requireAuthorizationForCacheControl", "false",
         "requireAuthorizationForCacheControl", False),
        ("caching/unauthorizedCacheControlHeaderStrategy", "FAIL_WITH_403",
         "unauthorizedCacheControlHeaderStrategy", "FAIL_WITH_403"),
    ]:
        settings = update(patch("replace", f"/*/*/{path}", value))["methodSettings"]
        assert settings["*/*"][member] == expected, path
    settings = update(patch("replace", "/~1pets~1{id}/GET/throttling/rateLimit", "3"))["methodSettings"]
    # A method's settings are named as they were addressed.
    assert set(settings) == {"*/*", "~1pets~1{id}/GET"}, settings
    assert set(update(patch("remove", "/*/*"))["methodSettings"]) == {"~1pets~1{id}/GET"}
    assert update(patch("remove", "/~1pets~1{id}/GET"))["methodSettings"] == {}
    aws.refused("BadRequestException",
                "Cannot remove method setting */* because there is no method setting for this method ",
                aws.apigateway.update_stage, restApiId=api_id, stageName="prod",
                patchOperations=[patch("remove", "/*/*")])


def test_minus_one_takes_a_throttle_away(aws):
    api_id, _ = aws.deployed()
    update = updater(aws, api_id)
    update(patch("replace", "/*/*/throttling/rateLimit", "0"),
           patch("replace", "/*/*/throttling/burstLimit", "0"))
    aws.answers(429, api_id, "prod")
    # As Terraform writes it.
    settings = update(patch("replace", "/~1/GET/throttling/rateLimit", "-1.000000"),
                      patch("replace", "/~1/GET/throttling/burstLimit", "-1"))["methodSettings"]
    assert settings["~1/GET"]["throttlingRateLimit"] == -1
    assert settings["~1/GET"]["throttlingBurstLimit"] == -1
    aws.answers(200, api_id, "prod")


def test_wrong_patches_of_stages_are_named(aws):
    api_id, _ = aws.deployed()

    def refused(message, *operations, code="BadRequestException"):
        aws.refused(code, message, aws.apigateway.update_stage, restApiId=api_id, stageName="prod",
                    patchOperations=list(operations))

    refused(re.compile(r"Invalid method setting path: /nowhere\. Must be one of: \[/deploymentId, /description, .*\]"),
            patch("replace", "/nowhere", "x"))
    refused("Invalid accessLogSettings path. Must be one of : [/accessLogSettings/destinationArn, "
            "/accessLogSettings/format]", patch("replace", "/accessLogSettings/nowhere", "x"))
    refused("Access Log value must not be empty", patch("replace", "/accessLogSettings/format", ""))
    for rate in ("fast", "-2", "1e300"):
        refused(None, patch("replace", "/*/*/throttling/rateLimit", rate))
    refused(None, patch("replace", "/variables/a-b", "x"))
    refused("1 validation error detected: Value 'wrong' at 'updateStageInput.patchOperations.1.member.op' "
            "failed to satisfy constraint: Member must satisfy enum value set: "
            "[add, remove, move, test, replace, copy]",
            patch("wrong", "/description", "x"), code="ValidationException")


def test_access_log_settings_come_and_go(aws):
    api_id, _ = aws.deployed()
    update = updater(aws, api_id)
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:access"
    stage = update(patch("replace", "/accessLogSettings/destinationArn", arn),
                   patch("replace", "/accessLogSettings/format", "$context.requestId $context.status"))
    assert stage["accessLogSettings"] == {"destinationArn": arn, "format": "$context.requestId $context.status"}
    assert "accessLogSettings" not in update(patch("remove", "/accessLogSettings"))


def test_caches_are_flushed(aws):
    api_id, _ = aws.deployed()
    where = {"restApiId": api_id, "stageName": "prod"}
    for flush in (aws.apigateway.flush_stage_cache, aws.apigateway.flush_stage_authorizers_cache):
        assert flush(**where)["ResponseMetadata"]["HTTPStatusCode"] == 202
        aws.refused("NotFoundException", None, flush, restApiId=api_id, stageName="none")


def test_a_canary_needs_its_stage(aws):
    api_id, _ = aws.deployed()
    create = aws.apigateway.create_deployment
    aws.refused("BadRequestException",
                "Invalid deployment content specified.Non null and non empty stageName must be provided "
                "for canary deployment. Provided value is null",
                create, restApiId=api_id, canarySettings={"percentTraffic": 10.0})
    aws.refused("BadRequestException",
                "Invalid deployment content specified.Stage none must already be created before making a "
                "canary release deployment",
                create, restApiId=api_id, stageName="none", canarySettings={"percentTraffic": 10.0})


def test_a_canary_deployment_leaves_the_stage_where_it_is(aws):
    api_id, first = aws.deployed(variables={"color": "red"})
    canary = aws.apigateway.create_deployment(
        restApiId=api_id, stageName="prod",
        canarySettings={"percentTraffic": 25.0, "stageVariableOverrides": {"color": "blue", "new": "1"},
                        "useStageCache": False})["id"]
    stage = aws.apigateway.get_stage(restApiId=api_id, stageName="prod")
    assert stage["deploymentId"] == first
    assert stage["variables"] == {"color": "red"}
    assert stage["canarySettings"] == {
        "percentTraffic": 25.0, "deploymentId": canary, "useStageCache": False,
        "stageVariableOverrides": {"color": "blue", "new": "1"}}
    second = aws.apigateway.create_deployment(
        restApiId=api_id, stageName="prod", canarySettings={"percentTraffic": 5.0})["id"]
    stage = aws.apigateway.get_stage(restApiId=api_id, stageName="prod")
    assert stage["canarySettings"]["deploymentId"] == second


def test_a_stage_is_made_with_a_canary(aws):
    api_id, deployment = aws.deployed()
    create = aws.apigateway.create_stage
    given = {"restApiId": api_id, "deploymentId": deployment}
    made = create(**given, stageName="own", canarySettings={"percentTraffic": 50.0})
    assert made["canarySettings"]["deploymentId"] == deployment
    assert made["canarySettings"]["percentTraffic"] == 50.0
    aws.refused("BadRequestException", NO_DEPLOYMENT, create, **given, stageName="lost",
                canarySettings={"percentTraffic": 50.0, "deploymentId": "abcdef"})
    for percent in (-1.0, 100.5):
        aws.refused("BadRequestException", None, create, **given, stageName="range",
                    canarySettings={"percentTraffic": percent})


def test_a_patch_makes_a_canary(aws):
    api_id, first = aws.deployed()
    second = aws.apigateway.create_deployment(restApiId=api_id)["id"]
    update = updater(aws, api_id)
    made = update(patch("replace", "/canarySettings/percentTraffic", "12.5"))["canarySettings"]
    assert made == {"percentTraffic": 12.5, "deploymentId": first, "useStageCache": False}
    assert "canarySettings" not in update(patch("remove", "/canarySettings"))
    made = update(patch("replace", "/canarySettings/deploymentId", second))["canarySettings"]
    assert (made["percentTraffic"], made["deploymentId"]) == (0.0, second)
    stage = update(patch("replace", "/canarySettings/stageVariableOverrides/color", "blue"),
                   patch("replace", "/canarySettings/useStageCache", "true"))
    assert stage["canarySettings"]["stageVariableOverrides"] == {"color": "blue"}
    assert stage["canarySettings"]["useStageCache"] is True
    update(patch("remove", "/canarySettings"))
    aws.refused("BadRequestException", "Invalid add operation with path: /canarySettings/deploymentId",
                aws.apigateway.update_stage, restApiId=api_id, stageName="prod",
                patchOperations=[patch("add", "/canarySettings/deploymentId", second)])


PROMOTION = [
    patch("replace", "/canarySettings/percentTraffic", "0.0"),
    patch("copy", "/variables", source="/canarySettings/stageVariableOverrides"),
    patch("copy", "/deploymentId", source="/canarySettings/deploymentId"),
]


def test_a_canary_is_promoted_in_one_call(aws):
    api_id, _ = aws.deployed(variables={"color": "red", "kept": "yes"})
    canary = aws.apigateway.create_deployment(
        restApiId=api_id, stageName="prod",
        canarySettings={"percentTraffic": 25.0, "stageVariableOverrides": {"color": "blue", "new": "1"}})["id"]
    stage = updater(aws, api_id)(*PROMOTION)
    assert stage["deploymentId"] == canary
    assert stage["variables"] == {"color": "blue", "kept": "yes", "new": "1"}
    # The canary stays, with nobody sent to it.
    assert stage["canarySettings"]["percentTraffic"] == 0.0
    assert stage["canarySettings"]["deploymentId"] == canary
    assert stage["canarySettings"]["stageVariableOverrides"] == {"color": "blue", "new": "1"}


def test_promotion_without_a_canary_is_refused(aws):
    api_id, first = aws.deployed()
    update = dict(restApiId=api_id, stageName="prod")
    for operation in PROMOTION[1:]:
        aws.refused("BadRequestException", NO_PROMOTION, aws.apigateway.update_stage,
                    **update, patchOperations=[operation])
    # Its first operation makes a canary, so the whole of it passes.
    stage = aws.apigateway.update_stage(**update, patchOperations=PROMOTION)
    assert stage["deploymentId"] == first
    assert stage["canarySettings"]["percentTraffic"] == 0.0


def test_nothing_else_is_copied(aws):
    api_id, _ = aws.deployed()
    aws.apigateway.create_deployment(
        restApiId=api_id, stageName="prod", canarySettings={"percentTraffic": 25.0})
    aws.refused("BadRequestException",
                "Invalid copy operation with path: /canarySettings/stageVariableOverrides and from "
                "/variables. Valid copy:path are [/deploymentId, /variables] and valid copy:from are "
                "[/canarySettings/deploymentId, /canarySettings/stageVariableOverrides]",
                aws.apigateway.update_stage, restApiId=api_id, stageName="prod",
                patchOperations=[patch("copy", "/canarySettings/stageVariableOverrides", source="/variables")])
