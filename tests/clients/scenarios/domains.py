"""Custom domain names and base path mappings."""

import re
import subprocess
import tempfile
from pathlib import Path

from aws import patch, replace, without_metadata

OPERATIONS = """
    CreateDomainName GetDomainName GetDomainNames UpdateDomainName DeleteDomainName
    CreateBasePathMapping GetBasePathMapping GetBasePathMappings UpdateBasePathMapping
    DeleteBasePathMapping
""".split()


def certificate(name):
    """A self-signed certificate and its key, PEM."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-keyout", key, "-out", certificate, "-days", "30", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName=DNS:{name}"],
            check=True, capture_output=True)
        return certificate.read_text(), key.read_text()


def domain(aws, **arguments):
    name = arguments.pop("domainName", None) or f"{aws.unique('pets')}.example.com"
    body, key = certificate(name)
    arguments.setdefault("endpointConfiguration", {"types": ["EDGE"]})
    made = aws.apigateway.create_domain_name(
        domainName=name, certificateName="own", certificateBody=body, certificatePrivateKey=key, **arguments)
    aws.after(aws.apigateway.delete_domain_name, domainName=name)
    return made


def test_a_domain_lives_from_create_to_delete(aws):
    client = aws.apigateway
    made = domain(aws, securityPolicy="TLS_1_2", tags={"team": "pets"})
    name = made["domainName"]
    assert made["endpointConfiguration"]["types"] == ["EDGE"]
    assert made["certificateName"] == "own" and made["securityPolicy"] == "TLS_1_2"
    assert made["tags"] == {"team": "pets"}
    assert "certificateUploadDate" in made and made["distributionDomainName"]
    found = client.get_domain_name(domainName=name)
    assert found["domainName"] == name
    listed = [it["domainName"] for page in client.get_paginator("get_domain_names").paginate()
              for it in page["items"]]
    assert name in listed
    changed = client.update_domain_name(domainName=name, patchOperations=[
        patch("replace", "/endpointConfiguration/ipAddressType", "dualstack"),
        patch("replace", "/securityPolicy", "TLS_1_2")])
    assert changed["endpointConfiguration"]["ipAddressType"] == "dualstack"
    client.delete_domain_name(domainName=name)
    for operation in (client.get_domain_name, client.delete_domain_name):
        aws.refused("NotFoundException", "Invalid domain name identifier specified", operation, domainName=name)


def test_the_private_key_is_never_told(aws):
    name = domain(aws)["domainName"]
    answer = aws.send("GET", f"/domainnames/{name}")
    assert answer.status == 200 and "PRIVATE KEY" not in answer.text


def test_wrong_domains_are_refused(aws):
    client = aws.apigateway
    made = domain(aws)
    body, key = certificate(made["domainName"])
    aws.refused("BadRequestException", "The domain name you provided already exists.",
                client.create_domain_name, domainName=made["domainName"], certificateName="own",
                certificateBody=body, certificatePrivateKey=key)
    for name in ("with space.example.com", "no_dot", ""):
        aws.refused("BadRequestException", None, client.create_domain_name, domainName=name,
                    certificateName="own", certificateBody=body, certificatePrivateKey=key)
    aws.refused("BadRequestException", None, client.create_domain_name, domainName="garbage.example.com",
                certificateName="own", certificateBody="no certificate", certificatePrivateKey=key)
    _, other_key = certificate("other.example.com")
    aws.refused("BadRequestException", None, client.create_domain_name, domainName="mismatch.example.com",
                certificateName="own", certificateBody=body, certificatePrivateKey=other_key)
    aws.refused("BadRequestException", None, client.update_domain_name, domainName=made["domainName"],
                patchOperations=replace("/nowhere", "x"))


def test_a_mapping_lives_from_create_to_delete(aws):
    client = aws.apigateway
    first, _ = aws.deployed()
    second, _ = aws.deployed(stage="test")
    name = domain(aws)["domainName"]
    made = client.create_base_path_mapping(domainName=name, basePath="v1", restApiId=first, stage="prod")
    assert without_metadata(made) == {"basePath": "v1", "restApiId": first, "stage": "prod"}
    root = client.create_base_path_mapping(domainName=name, restApiId=second, stage="test")
    assert root["basePath"] == "(none)"
    listed = client.get_base_path_mappings(domainName=name)["items"]
    assert {it["basePath"] for it in listed} == {"v1", "(none)"}
    assert client.get_base_path_mapping(domainName=name, basePath="(none)")["restApiId"] == second
    changed = client.update_base_path_mapping(domainName=name, basePath="v1", patchOperations=[
        patch("replace", "/basePath", "v2"), patch("replace", "/restapiId", second),
        patch("replace", "/stage", "test")])
    assert without_metadata(changed) == {"basePath": "v2", "restApiId": second, "stage": "test"}
    gone = "Invalid base path mapping identifier specified"
    aws.refused("NotFoundException", gone, client.get_base_path_mapping, domainName=name, basePath="v1")
    client.delete_base_path_mapping(domainName=name, basePath="v2")
    aws.refused("NotFoundException", gone, client.delete_base_path_mapping, domainName=name, basePath="v2")
    # A domain goes with its mappings.
    client.delete_domain_name(domainName=name)
    aws.refused("NotFoundException", None, client.get_base_path_mappings, domainName=name)


def test_wrong_mappings_are_refused(aws):
    client = aws.apigateway
    api_id, _ = aws.deployed()
    name = domain(aws)["domainName"]
    create = client.create_base_path_mapping
    create(domainName=name, basePath="v1", restApiId=api_id, stage="prod")
    aws.refused("ConflictException", "Base path already exists for this domain name", create,
                domainName=name, basePath="v1", restApiId=api_id, stage="prod")
    aws.refused("BadRequestException", "Invalid REST API identifier specified", create,
                domainName=name, basePath="v2", restApiId="abcdefghij", stage="prod")
    aws.refused("BadRequestException", "Invalid stage identifier specified", create,
                domainName=name, basePath="v2", restApiId=api_id, stage="none")
    aws.refused("NotFoundException", "Invalid domain name identifier specified", create,
                domainName="none.example.com", restApiId=api_id, stage="prod")


def test_what_is_mapped_stays(aws):
    client = aws.apigateway
    api_id, _ = aws.deployed()
    name = domain(aws)["domainName"]
    client.create_base_path_mapping(domainName=name, restApiId=api_id, stage="prod")
    aws.refused("BadRequestException",
                re.compile(r"Deleting RestApi \w+ failed\. Please remove all base path mappings related to the "
                           r"RestApi in your domains.*"),
                client.delete_rest_api, restApiId=api_id)
    aws.refused("BadRequestException", re.compile(".*Please remove all base path mappings.*"),
                client.delete_stage, restApiId=api_id, stageName="prod")


def test_a_domain_leads_to_its_api(aws):
    api_id, _ = aws.deployed("by domain")
    name = domain(aws)["domainName"]
    aws.apigateway.create_base_path_mapping(domainName=name, basePath="v1", restApiId=api_id, stage="prod")

    def look(path, wanted):
        answer = aws.call_host(name, path)
        return (answer.status == wanted), answer

    assert aws.eventually("the mapping is served", lambda: look("/v1", 200)).text == "by domain"
    assert aws.call_host(name, "/v2").status == 403
    aws.apigateway.delete_base_path_mapping(domainName=name, basePath="v1")
    aws.eventually("the mapping is gone", lambda: look("/v1", 403))
