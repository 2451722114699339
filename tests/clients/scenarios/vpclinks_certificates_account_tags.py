"""VPC links, client certificates, the account, tags."""

import datetime
import ssl

from aws import patch, replace, without_metadata

OPERATIONS = """
    CreateVpcLink GetVpcLink GetVpcLinks UpdateVpcLink DeleteVpcLink
    GenerateClientCertificate GetClientCertificate GetClientCertificates UpdateClientCertificate
    DeleteClientCertificate
    GetAccount UpdateAccount
    TagResource UntagResource GetTags
""".split()

BALANCER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/pets/50dc6c495c0c9188"


def test_a_vpc_link_lives_from_create_to_delete(aws):
    client = aws.apigateway
    name = aws.unique("link")
    made = client.create_vpc_link(name=name, description="to the pets", targetArns=[BALANCER],
                                  tags={"team": "pets"})
    where = {"vpcLinkId": made["id"]}
    aws.after(client.delete_vpc_link, **where)
    assert (made["name"], made["description"], made["targetArns"]) == (name, "to the pets", [BALANCER])
    # Whether it comes to be available is up to the host: it has no load balancers.
    assert made["status"] in ("PENDING", "AVAILABLE", "FAILED") and made["tags"] == {"team": "pets"}

    def look():
        found = client.get_vpc_link(**where)
        return found["status"] != "PENDING", found

    aws.eventually("the link has settled", look)
    listed = [it for page in client.get_paginator("get_vpc_links").paginate() for it in page["items"]]
    assert made["id"] in {it["id"] for it in listed}
    changed = client.update_vpc_link(**where, patchOperations=[
        patch("replace", "/name", f"{name}-2"), patch("replace", "/description", "still")])
    assert (changed["name"], changed["description"]) == (f"{name}-2", "still")
    client.delete_vpc_link(**where)

    def gone():
        try:
            found = client.get_vpc_link(**where)
            return False, found
        except client.exceptions.NotFoundException:
            return True, None

    aws.eventually("the link is gone", gone)


def test_wrong_vpc_links_are_refused(aws):
    client = aws.apigateway
    aws.refused("BadRequestException", "Invalid ARN. ARN is not well formed invalid-arn",
                client.create_vpc_link, name="wrong", targetArns=["invalid-arn"])
    aws.refused("BadRequestException", "Name cannot be empty", client.create_vpc_link,
                name="", targetArns=[BALANCER])
    gone = "Invalid Vpc Link identifier specified"
    aws.refused("NotFoundException", gone, client.get_vpc_link, vpcLinkId="abcdef")
    aws.refused("NotFoundException", gone, client.delete_vpc_link, vpcLinkId="abcdef")
    aws.refused("NotFoundException", gone, client.update_vpc_link, vpcLinkId="abcdef",
                patchOperations=replace("/name", "x"))


def test_a_client_certificate_lives_from_generate_to_delete(aws):
    client = aws.apigateway
    made = client.generate_client_certificate(description="to the backend", tags={"team": "pets"})
    where = {"clientCertificateId": made["clientCertificateId"]}
    aws.after(client.delete_client_certificate, **where)
    assert made["description"] == "to the backend" and made["tags"] == {"team": "pets"}
    der = ssl.PEM_cert_to_DER_cert(made["pemEncodedCertificate"].strip() + "\n")
    assert len(der) > 100
    assert made["expirationDate"] - made["createdDate"] == datetime.timedelta(days=365)
    found = client.get_client_certificate(**where)
    assert found["pemEncodedCertificate"] == made["pemEncodedCertificate"]
    listed = [it for page in client.get_paginator("get_client_certificates").paginate() for it in page["items"]]
    assert made["clientCertificateId"] in {it["clientCertificateId"] for it in listed}
    changed = client.update_client_certificate(**where, patchOperations=replace("/description", "renamed"))
    assert changed["description"] == "renamed"
    assert changed["pemEncodedCertificate"] == made["pemEncodedCertificate"]
    client.delete_client_certificate(**where)
    for operation in (client.get_client_certificate, client.delete_client_certificate):
        aws.refused("NotFoundException", None, operation, **where)


def test_a_stage_takes_a_client_certificate(aws):
    client = aws.apigateway
    certificate = client.generate_client_certificate()["clientCertificateId"]
    aws.after(client.delete_client_certificate, clientCertificateId=certificate)
    api_id, _ = aws.deployed()
    where = {"restApiId": api_id, "stageName": "prod"}
    stage = client.update_stage(**where, patchOperations=replace("/clientCertificateId", certificate))
    assert stage["clientCertificateId"] == certificate


def test_the_account_says_its_limits(aws):
    account = aws.apigateway.get_account()
    throttle = account["throttleSettings"]
    assert throttle["burstLimit"] > 0 and throttle["rateLimit"] > 0
    assert account["apiKeyVersion"] == "4"
    assert account["features"] == ["UsagePlans"]


def test_the_account_takes_a_role_for_logs(aws):
    role = "arn:aws:iam::123456789012:role/logs"
    changed = aws.apigateway.update_account(patchOperations=replace("/cloudwatchRoleArn", role))
    assert changed["cloudwatchRoleArn"] == role
    assert without_metadata(aws.apigateway.get_account()) == without_metadata(changed)
    aws.refused("BadRequestException", None, aws.apigateway.update_account,
                patchOperations=replace("/nowhere", "x"))


def test_what_can_be_tagged_is_tagged_and_untagged(aws):
    client = aws.apigateway
    api_id, _ = aws.deployed()
    key = client.create_api_key(name=aws.unique("tagged"))["id"]
    aws.after(client.delete_api_key, apiKey=key)
    plan = client.create_usage_plan(name=aws.unique("tagged"))["id"]
    aws.after(client.delete_usage_plan, usagePlanId=plan)
    certificate = client.generate_client_certificate()["clientCertificateId"]
    aws.after(client.delete_client_certificate, clientCertificateId=certificate)
    for path, read in [
        (f"restapis/{api_id}", lambda: client.get_rest_api(restApiId=api_id)),
        (f"restapis/{api_id}/stages/prod", lambda: client.get_stage(restApiId=api_id, stageName="prod")),
        (f"apikeys/{key}", lambda: client.get_api_key(apiKey=key)),
        (f"usageplans/{plan}", lambda: client.get_usage_plan(usagePlanId=plan)),
        (f"clientcertificates/{certificate}",
         lambda: client.get_client_certificate(clientCertificateId=certificate)),
    ]:
        arn = f"arn:aws:apigateway:us-east-1::/{path}"
        client.tag_resource(resourceArn=arn, tags={"team": "pets", "env": "test"})
        client.tag_resource(resourceArn=arn, tags={"env": "live"})
        assert client.get_tags(resourceArn=arn)["tags"] == {"team": "pets", "env": "live"}, path
        assert read()["tags"] == {"team": "pets", "env": "live"}, path
        client.untag_resource(resourceArn=arn, tagKeys=["env"])
        assert client.get_tags(resourceArn=arn)["tags"] == {"team": "pets"}, path


def test_tags_of_what_is_not_there_are_refused(aws):
    client = aws.apigateway
    arn = "arn:aws:apigateway:us-east-1::/restapis/abcdefghij"
    aws.refused("NotFoundException", None, client.get_tags, resourceArn=arn)
    aws.refused("NotFoundException", None, client.tag_resource, resourceArn=arn, tags={"a": "b"})
    answer = aws.send("GET", "/tags/nonsense")
    assert answer.status in (400, 404), answer
