"""Lists in pages: `limit` items each, `position` leads to the next, none after the last."""

from aws import without_metadata

# All of these are answered for by the scenarios of their areas.
OPERATIONS = ["GetRestApis", "GetResources", "GetModels", "GetApiKeys", "GetDeployments"]


def walk(aws, operation, limit, **arguments):
    """All items, page by page; asserts that pages are full, the last one's apart."""
    items, position, pages = [], None, 0
    while True:
        more = {"position": position} if position else {}
        page = operation(limit=limit, **arguments, **more)
        items += page["items"]
        pages += 1
        assert pages < 100, "pages without end"
        position = page.get("position")
        if not position:
            assert len(page["items"]) <= limit
            return items
        assert len(page["items"]) == limit


def test_resources_come_in_pages(aws):
    api = aws.rest_api()
    made = {aws.resource(api, f"r{number:02}") for number in range(29)} | {api["rootResourceId"]}
    get = aws.apigateway.get_resources
    for limit in (1, 7, 29, 30, 31, 500):
        found = [it["id"] for it in walk(aws, get, limit, restApiId=api["id"])]
        assert len(found) == 30 and set(found) == made, limit
    # Twenty-five are a page unless told otherwise.
    first = get(restApiId=api["id"])
    assert len(first["items"]) == 25 and first["position"]
    paginator = aws.apigateway.get_paginator("get_resources")
    pages = list(paginator.paginate(restApiId=api["id"]))
    assert [len(page["items"]) for page in pages] == [25, 5]


def test_models_deployments_and_keys_come_in_pages(aws):
    api_id, _ = aws.deployed()
    client = aws.apigateway
    for number in range(5):
        client.create_deployment(restApiId=api_id)
        client.create_model(restApiId=api_id, name=f"Model{number}", contentType="application/json",
                            schema='{"type": "object", "properties": {"a": {"type": "string"}}}')
    prefix = aws.unique("paged")
    for number in range(7):
        key = client.create_api_key(name=f"{prefix}-{number}")
        aws.after(client.delete_api_key, apiKey=key["id"])
    assert len({it["id"] for it in walk(aws, client.get_deployments, 4, restApiId=api_id)}) == 6
    assert len({it["name"] for it in walk(aws, client.get_models, 3, restApiId=api_id)}) == 7
    names = [it["name"] for it in walk(aws, client.get_api_keys, 3, nameQuery=prefix)]
    assert sorted(names) == [f"{prefix}-{number}" for number in range(7)]


def test_a_walk_sees_what_was_there_before_it_once(aws):
    apis = [aws.rest_api() for _ in range(6)]
    first = aws.apigateway.get_rest_apis(limit=3)
    seen = [it["id"] for it in first["items"]]
    position = first["position"]
    # Something comes and something goes while the client reads.
    aws.rest_api()
    gone = next(api["id"] for api in apis if api["id"] not in seen)
    aws.apigateway.delete_rest_api(restApiId=gone)
    while position:
        page = aws.apigateway.get_rest_apis(limit=3, position=position)
        seen += [it["id"] for it in page["items"]]
        position = page.get("position")
    assert len(seen) == len(set(seen)), "an API twice"
    assert {api["id"] for api in apis} - {gone} <= set(seen)


def test_a_position_of_nowhere_is_refused(aws):
    aws.rest_api()
    answer = aws.send("GET", "/restapis?position=nonsense&limit=1")
    assert answer.status in (200, 400), answer
    for limit in ("nothing", "-1", "1.5"):
        answer = aws.send("GET", f"/restapis?limit={limit}")
        assert answer.status == 400, (limit, answer)


def test_stages_come_all_at_once(aws):
    api_id, deployment = aws.deployed()
    for number in range(9):
        aws.apigateway.create_stage(restApiId=api_id, stageName=f"s{number}", deploymentId=deployment)
    stages = without_metadata(aws.apigateway.get_stages(restApiId=api_id))
    assert len(stages["item"]) == 10 and set(stages) == {"item"}
