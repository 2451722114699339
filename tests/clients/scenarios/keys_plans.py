"""API keys, usage plans, their keys, usage and quotas."""

import datetime
import re

from aws import patch, replace, without_metadata

OPERATIONS = """
    CreateApiKey GetApiKey GetApiKeys UpdateApiKey DeleteApiKey ImportApiKeys
    CreateUsagePlan GetUsagePlan GetUsagePlans UpdateUsagePlan DeleteUsagePlan
    CreateUsagePlanKey GetUsagePlanKey GetUsagePlanKeys DeleteUsagePlanKey
    GetUsage UpdateUsage
""".split()

VALUE = re.compile("[A-Za-z0-9]{40}")


def api_key(aws, **arguments):
    arguments.setdefault("name", aws.unique("key"))
    arguments.setdefault("enabled", True)
    key = aws.apigateway.create_api_key(**arguments)
    aws.after(aws.apigateway.delete_api_key, apiKey=key["id"])
    return key


def usage_plan(aws, **arguments):
    arguments.setdefault("name", aws.unique("plan"))
    plan = aws.apigateway.create_usage_plan(**arguments)
    aws.after(delete_plan, aws=aws, plan_id=plan["id"])
    return plan


def delete_plan(aws, plan_id):
    """A plan with stages is not deleted."""
    stages = aws.apigateway.get_usage_plan(usagePlanId=plan_id).get("apiStages", [])
    aws.apigateway.update_usage_plan(usagePlanId=plan_id, patchOperations=[
        patch("remove", "/apiStages", f"{it['apiId']}:{it['stage']}") for it in stages])
    aws.apigateway.delete_usage_plan(usagePlanId=plan_id)


def keyed_api(aws):
    """A deployed API with GET / for who has a key. Gives its id."""
    api = aws.rest_api()
    aws.mock(api["id"], api["rootResourceId"], template="$context.identity.apiKeyId", apiKeyRequired=True)
    aws.apigateway.create_deployment(restApiId=api["id"], stageName="prod")
    return api["id"]


def test_a_key_lives_from_create_to_delete(aws):
    client = aws.apigateway
    made = api_key(aws, description="of Anna", customerId="anna", tags={"team": "pets"})
    assert VALUE.fullmatch(made["value"]), made
    assert made["enabled"] is True and made["stageKeys"] == []
    assert (made["description"], made["customerId"], made["tags"]) == ("of Anna", "anna", {"team": "pets"})
    where = {"apiKey": made["id"]}
    plain = client.get_api_key(**where)
    assert "value" not in plain and plain["name"] == made["name"]
    assert client.get_api_key(**where, includeValue=True)["value"] == made["value"]
    changed = client.update_api_key(**where, patchOperations=[
        patch("replace", "/name", "renamed"), patch("replace", "/description", "of Bert"),
        patch("replace", "/enabled", "false"), patch("replace", "/customerId", "bert"),
    ])
    assert (changed["name"], changed["description"]) == ("renamed", "of Bert")
    assert (changed["enabled"], changed["customerId"]) == (False, "bert")
    assert changed["createdDate"] == made["createdDate"]
    client.delete_api_key(**where)
    for operation in (client.get_api_key, client.delete_api_key):
        aws.refused("NotFoundException", re.compile("Invalid API Key identifier specified.*"),
                    operation, **where)


def test_keys_are_listed_with_and_without_values(aws):
    prefix = aws.unique("listed")
    made = {api_key(aws, name=f"{prefix}-{number}")["id"] for number in range(3)}
    found = aws.apigateway.get_api_keys(nameQuery=prefix)["items"]
    assert {it["id"] for it in found} == made
    assert not any("value" in it for it in found)
    found = aws.apigateway.get_api_keys(nameQuery=prefix, includeValues=True)["items"]
    assert all(VALUE.fullmatch(it["value"]) for it in found)


def test_values_of_keys_are_checked(aws):
    create = aws.apigateway.create_api_key
    aws.refused("BadRequestException", "API Key value should be at least 20 characters",
                create, name="short", value="a" * 19)
    aws.refused("BadRequestException", "API Key value exceeds maximum size of 128 characters",
                create, name="long", value="a" * 129)
    aws.refused("BadRequestException", "Invalid API Key name, can be at most 1024 characters.",
                create, name="n" * 1025)
    value = "own-value-" + aws.unique("key").replace("-", "") + "x" * 10
    own = api_key(aws, value=value)
    assert own["value"] == value
    aws.refused("ConflictException", "API Key already exists", create, name="again", value=value)


def test_wrong_patches_of_keys_are_named(aws):
    made = api_key(aws)
    aws.refused("BadRequestException",
                re.compile(r"Invalid patch path  '/nowhere' specified for op 'replace'\. Must be one of: "
                           r"\[(/\w+(, )?)+\]"),
                aws.apigateway.update_api_key, apiKey=made["id"], patchOperations=replace("/nowhere", "x"))


def test_keys_are_imported(aws):
    plan = usage_plan(aws)
    prefix = aws.unique("imported")
    values = {f"{prefix}-{it}": f"{prefix}-value-{it}-".ljust(30, "x") for it in "ab"}
    rows = "".join(f"{name},{value},from a file,TRUE,{plan['id']}\n" for name, value in values.items())
    answer = aws.apigateway.import_api_keys(
        format="csv", body=f"Name,Key,Description,Enabled,UsagePlanIds\n{rows}".encode())
    for key_id in answer["ids"]:
        aws.after(aws.apigateway.delete_api_key, apiKey=key_id)
    assert len(answer["ids"]) == 2 and answer.get("warnings", []) == []
    found = aws.apigateway.get_api_keys(nameQuery=prefix, includeValues=True)["items"]
    assert {it["name"]: it["value"] for it in found} == values
    assert all(it["enabled"] for it in found)
    of_plan = aws.apigateway.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    assert {it["id"] for it in of_plan} == set(answer["ids"])
    aws.refused("BadRequestException", None, aws.apigateway.import_api_keys,
                format="csv", body=b"Colour,Size\nred,big\n")


def test_a_plan_lives_from_create_to_delete(aws):
    api = aws.rest_api()
    api_id = api["id"]
    aws.mock(api_id, aws.resource(api, "pets"))
    client = aws.apigateway
    client.create_deployment(restApiId=api_id, stageName="prod")
    given = {
        "name": aws.unique("gold"), "description": "the best",
        "throttle": {"rateLimit": 10.5, "burstLimit": 20},
        "quota": {"limit": 1000, "offset": 3, "period": "WEEK"},
        "apiStages": [{"apiId": api_id, "stage": "prod",
                       "throttle": {"/pets/GET": {"rateLimit": 1.0, "burstLimit": 2}}}],
        "tags": {"team": "pets"},
    }
    made = usage_plan(aws, **given)
    where = {"usagePlanId": made["id"]}
    for answer in (made, client.get_usage_plan(**where)):
        for member, value in given.items():
            assert answer[member] == value, (member, answer)
    listed = [it for page in client.get_paginator("get_usage_plans").paginate() for it in page["items"]]
    assert made["id"] in {it["id"] for it in listed}
    aws.refused("BadRequestException",
                re.compile(f"Cannot delete Usage Plan {made['id']} because there are API Stages associated with it.*"),
                client.delete_usage_plan, **where)
    client.update_usage_plan(**where, patchOperations=[patch("remove", "/apiStages", f"{api_id}:prod")])
    client.delete_usage_plan(**where)
    for operation in (client.get_usage_plan, client.delete_usage_plan):
        aws.refused("NotFoundException", "Invalid Usage Plan ID specified", operation, **where)


def test_a_stage_that_is_deleted_leaves_its_plans(aws):
    api_id = keyed_api(aws)
    plan = usage_plan(aws, apiStages=[{"apiId": api_id, "stage": "prod"}])
    aws.apigateway.delete_stage(restApiId=api_id, stageName="prod")
    assert not aws.apigateway.get_usage_plan(usagePlanId=plan["id"]).get("apiStages")
    aws.apigateway.delete_usage_plan(usagePlanId=plan["id"])


def test_a_plan_is_patched_path_by_path(aws):
    api = aws.rest_api()
    api_id = api["id"]
    aws.mock(api_id, aws.resource(api, "pets"))
    aws.apigateway.create_deployment(restApiId=api_id, stageName="prod")
    plan = usage_plan(aws)
    where = {"usagePlanId": plan["id"]}

    def update(*operations):
        answer = aws.apigateway.update_usage_plan(**where, patchOperations=list(operations))
        found = aws.apigateway.get_usage_plan(**where)
        assert without_metadata(found) == without_metadata(answer)
        return answer

    stage = f"{api_id}:prod"
    assert update(patch("replace", "/name", "renamed"))["name"] == "renamed"
    assert update(patch("replace", "/description", "more"))["description"] == "more"
    answer = update(patch("replace", "/throttle/rateLimit", "2.5"), patch("replace", "/throttle/burstLimit", "5"))
    assert answer["throttle"] == {"rateLimit": 2.5, "burstLimit": 5}
    answer = update(patch("replace", "/quota/limit", "100"), patch("replace", "/quota/period", "DAY"),
                    patch("replace", "/quota/offset", "0"))
    assert (answer["quota"]["limit"], answer["quota"]["period"]) == (100, "DAY")
    answer = update(patch("add", "/apiStages", stage))
    assert [(it["apiId"], it["stage"]) for it in answer["apiStages"]] == [(api_id, "prod")]
    method = f"/apiStages/{stage}/throttle/~1pets/GET"
    answer = update(patch("replace", f"{method}/rateLimit", "1.5"), patch("replace", f"{method}/burstLimit", "3"))
    (throttle,) = answer["apiStages"][0]["throttle"].values()
    assert throttle == {"rateLimit": 1.5, "burstLimit": 3}
    assert not update(patch("remove", f"/apiStages/{stage}/throttle"))["apiStages"][0].get("throttle")
    assert "throttle" not in update(patch("remove", "/throttle"))
    assert "quota" not in update(patch("remove", "/quota"))
    assert update(patch("remove", "/apiStages", stage))["apiStages"] == []


def test_wrong_plans_are_refused(aws):
    plan = usage_plan(aws)

    def refused(code, message, *operations):
        aws.refused(code, message, aws.apigateway.update_usage_plan, usagePlanId=plan["id"],
                    patchOperations=list(operations))

    refused("BadRequestException", "Invalid API Stage specified", patch("add", "/apiStages", "nonsense"))
    refused("NotFoundException",
            f"Invalid API Stage {{api: abcdefghij, stage: prod}} specified for usageplan {plan['id']}",
            patch("add", "/apiStages", "abcdefghij:prod"))
    refused("BadRequestException", re.compile("Invalid patch path .*/nowhere.*"), patch("replace", "/nowhere", "x"))
    refused("BadRequestException", None, patch("replace", "/throttle/rateLimit", "fast"))
    aws.refused("NotFoundException", "Invalid Usage Plan ID specified", aws.apigateway.get_usage_plan,
                usagePlanId="abcdef")


def test_keys_come_to_a_plan_and_go(aws):
    plan, key = usage_plan(aws), api_key(aws)
    client = aws.apigateway
    where = {"usagePlanId": plan["id"], "keyId": key["id"]}
    made = client.create_usage_plan_key(**where, keyType="API_KEY")
    assert (made["id"], made["type"], made["name"]) == (key["id"], "API_KEY", key["name"])
    aws.refused("ConflictException", None, client.create_usage_plan_key, **where, keyType="API_KEY")
    found = client.get_usage_plan_key(**where)
    assert (found["id"], found["type"], found["name"]) == (key["id"], "API_KEY", key["name"])
    listed = client.get_usage_plan_keys(usagePlanId=plan["id"])["items"]
    assert [it["id"] for it in listed] == [key["id"]]
    assert client.get_usage_plan_keys(usagePlanId=plan["id"], nameQuery="no such")["items"] == []
    of_key = client.get_usage_plans(keyId=key["id"])["items"]
    assert [it["id"] for it in of_key] == [plan["id"]]
    client.delete_usage_plan_key(**where)
    aws.refused("NotFoundException", None, client.get_usage_plan_key, **where)
    aws.refused("BadRequestException", None, client.create_usage_plan_key, **where, keyType="COOKIE")
    aws.refused("NotFoundException", None, client.create_usage_plan_key, usagePlanId=plan["id"],
                keyId="abcdefghij", keyType="API_KEY")


def test_a_key_is_good_for_the_stages_of_its_plan(aws):
    api_id = keyed_api(aws)
    plan = usage_plan(aws, apiStages=[{"apiId": api_id, "stage": "prod"}])
    key = api_key(aws)
    aws.answers(403, api_id, "prod")
    headers = {"x-api-key": key["value"]}
    stranger = aws.call(api_id, "prod", headers=headers)
    assert (stranger.status, stranger.json()) == (403, {"message": "Forbidden"})
    aws.apigateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    aws.served(api_id, "prod", key["id"], headers=headers)
    aws.apigateway.update_api_key(apiKey=key["id"], patchOperations=replace("/enabled", "false"))
    aws.answers(403, api_id, "prod", headers=headers)


def test_a_quota_counts_and_can_be_raised(aws):
    api_id = keyed_api(aws)
    plan = usage_plan(aws, apiStages=[{"apiId": api_id, "stage": "prod"}],
                      quota={"limit": 3, "period": "DAY"})
    key = api_key(aws)
    aws.apigateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    headers = {"x-api-key": key["value"]}
    aws.served(api_id, "prod", key["id"], headers=headers)
    for _ in range(2):
        assert aws.call(api_id, "prod", headers=headers).status == 200
    over = aws.call(api_id, "prod", headers=headers)
    assert (over.status, over.json()) == (429, {"message": "Limit Exceeded"})
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    usage = aws.apigateway.get_usage(usagePlanId=plan["id"], startDate=today, endDate=today)
    assert (usage["usagePlanId"], usage["startDate"], usage["endDate"]) == (plan["id"], today, today)
    assert usage["items"][key["id"]] == [[3, 0]]
    of_key = aws.apigateway.get_usage(usagePlanId=plan["id"], keyId=key["id"], startDate=today, endDate=today)
    assert list(of_key["items"]) == [key["id"]]
    granted = aws.apigateway.update_usage(
        usagePlanId=plan["id"], keyId=key["id"], patchOperations=replace("/remaining", "5"))
    assert granted["items"][key["id"]][-1][1] == 5
    aws.served(api_id, "prod", key["id"], headers=headers)
    usage = aws.apigateway.get_usage(usagePlanId=plan["id"], startDate=today, endDate=today)
    assert usage["items"][key["id"]][-1][1] == 4
    aws.refused("BadRequestException", None, aws.apigateway.get_usage, usagePlanId=plan["id"],
                startDate="yesterday", endDate=today)
    aws.refused("BadRequestException", "Invalid position parameter specified", aws.apigateway.get_usage,
                usagePlanId=plan["id"], startDate=today, endDate=today, position="nowhere")
