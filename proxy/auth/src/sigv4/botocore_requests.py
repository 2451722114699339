"""Prints requests that botocore signed: `python3 botocore_requests.py > botocore_requests.json` (botocore 1.43).

What is printed is what goes over the wire. The time is the same for all.
"""

import base64
import datetime
import json
from urllib.parse import urlsplit

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 22, 10, 0, 0)
botocore.auth.get_current_datetime = lambda *_: NOW
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "eu-central-1"
requests = []


def note(name, service, prepared, headers):
    url = urlsplit(prepared.url)
    text = lambda value: value.decode("utf-8") if isinstance(value, bytes) else value
    headers = [[key.lower(), text(value)] for key, value in headers]
    if not any(key == "host" for key, _ in headers):
        headers.append(["host", url.netloc])
    body = prepared.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    requests.append(
        {
            "name": name,
            "service": service,
            "method": prepared.method,
            "path": url.path,
            "query": url.query,
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }
    )


def sign(name, url, method="GET", headers=(), data=b"", params=None, token=None, presign=None):
    request = AWSRequest(method, url, data=data, params=params or {})
    for key, value in headers:
        request.headers.add_header(key, value)
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, token)
    arguments = (credentials, "execute-api", REGION)
    if presign:
        botocore.auth.SigV4QueryAuth(*arguments, expires=presign).add_auth(request)
    else:
        botocore.auth.SigV4Auth(*arguments).add_auth(request)
    # What prepare() makes has one header of a name.
    note(name, "execute-api", request.prepare(), request.headers.items())


HOST = "https://a1b2c3.execute-api.eu-central-1.localhost:8443"

for name, path in [
    ("root", ""),
    ("root with slash", "/"),
    ("encoded slash", "/prod/a%2Fb"),
    ("lower case hexadecimal", "/prod/a%2fb"),
    ("encoded space", "/prod/a%20b"),
    ("unicode", "/prod/%C3%A9/%F0%9F%98%80"),
    ("unencoded unicode", "/prod/\u00e9"),
    ("double slashes", "//prod///pets//"),
    ("dot segments", "/prod/./a/../b/../../c/./"),
    ("above the root", "/../../prod"),
    ("only dots", "/a/.."),
    ("encoded dots", "/prod/%2E%2E/a"),
    ("reserved", "/prod/a:b@c!d$e&f'(g)*h,i;j=k+l"),
    ("unreserved", "/prod/-_.~"),
    ("percent", "/prod/100%25"),
]:
    sign(f"path: {name}", HOST + path)

for name, params in [
    ("one", [("a", "1")]),
    ("empty values", [("a", ""), ("b", "")]),
    ("repeats", [("b", "2"), ("a", "2"), ("a", "10"), ("a", "1")]),
    ("plus", [("a", "1+1"), ("a+b", "+")]),
    ("tilde", [("~", "-_.~")]),
    ("spaces", [("a b", " c  d ")]),
    ("reserved", [("a/b", "c?d=e&f"), ("$top", "!'()*,;:@")]),
    ("unicode", [("\u00e9", "\U0001f600"), ("z", "\u1234")]),
    ("prefixes", [("ab", "1"), ("a", "b"), ("a-", "1"), ("a%", "1"), ("A", "1")]),
    ("percent", [("a", "%41")]),
]:
    sign(f"query: {name}", HOST + "/prod/pets", params=params)
sign("query: no equal sign", HOST + "/prod/pets?a&b=1&c")
sign("query: equal signs in the value", HOST + "/prod/pets?a=%3D%3D")

for name, headers in [
    ("inner spaces", [("X-Note", "a   b  c")]),
    ("outer spaces", [("X-Note", "   a b   ")]),
    ("tabs", [("X-Note", "a\tb \t c")]),
    ("quoted spaces", [("X-Note", '"a   b"')]),
    ("duplicates", [("X-Note", "b"), ("X-Other", "1"), ("x-note", "a  a"), ("X-NOTE", "c")]),
    ("empty", [("X-Note", "")]),
    ("own host", [("Host", "pets.example.com")]),
    ("own date", [("Date", "Sun, 22 Nov 2026 10:00:00 GMT")]),
    ("payload hash", [("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")]),
    ("unsigned names", [("User-Agent", "a"), ("Expect", "100-continue"), ("X-Amzn-Trace-Id", "b")]),
]:
    sign(f"headers: {name}", HOST + "/prod/pets", headers=headers, method="POST", data=b'{"a": 1}')

sign("body: bytes", HOST + "/prod/pets", method="PUT", data=bytes(range(256)))
sign("session token", HOST + "/prod/pets", token="IQoJb3JpZ2luX2VjE+/=token//==")

for name, path in [
    ("plain", "/prod/pets"),
    ("with a query", "/prod/pets?b=2&a=1"),
    ("plus in the query", "/prod/pets?a=1+1&b=%2B"),
    ("encoded slash", "/prod/a%2Fb"),
    ("empty value", "/prod/pets?a="),
]:
    sign(f"presigned: {name}", HOST + path, presign=60)
sign("presigned: session token", HOST + "/prod", token="IQoJ+/=token//==", presign=604800)
sign("presigned: post", HOST + "/prod", method="POST", data=b"", headers=[("X-Note", "a  b")], presign=1)

client = botocore.session.get_session().create_client(
    "apigateway",
    region_name=REGION,
    endpoint_url="http://127.0.0.1:4566",
    aws_access_key_id=ACCESS_KEY,
    aws_secret_access_key=SECRET_KEY,
    config=Config(retries={"total_max_attempts": 1}),
)


class Sent(Exception):
    pass


def capture(request, event_name, **_):
    # Others tell of this machine and this run, and aren't signed.
    names = ("accept", "content-type", "x-amz-date", "authorization")
    headers = [header for header in request.headers.items() if header[0].lower() in names]
    note(f"client: {event_name.split('.')[-1]}", "apigateway", request, headers)
    raise Sent


client.meta.events.register("before-send", capture)
ARN = "arn:aws:apigateway:eu-central-1::/restapis/a1b2c3/stages/prod"
for call in [
    lambda: client.get_rest_apis(limit=2, position="a+b/c=="),
    lambda: client.create_rest_api(name="p\u00e9ts \U0001f600"),
    lambda: client.get_integration_response(
        restApiId="a1b2c3", resourceId="r/1", httpMethod="GET", statusCode="200"
    ),
    lambda: client.tag_resource(resourceArn=ARN, tags={"a b": "c"}),
    lambda: client.untag_resource(resourceArn=ARN, tagKeys=["b", "a b", "a"]),
    lambda: client.get_base_path_mapping(domainName="pets.example.com", basePath="(none)"),
    lambda: client.import_rest_api(
        body=b'{"swagger": "2.0"}', failOnWarnings=True, parameters={"ignore": "documentation"}
    ),
    lambda: client.get_export(
        restApiId="a1b2c3",
        stageName="prod",
        exportType="oas30",
        accepts="application/yaml",
        parameters={"extensions": "authorizers"},
    ),
    lambda: client.get_usage(usagePlanId="u", startDate="2026-11-01", endDate="2026-11-22"),
    lambda: client.delete_stage(restApiId="a1b2c3", stageName="a~b_c"),
]:
    try:
        call()
    except Sent:
        pass

print("[\n" + ",\n".join(json.dumps(request, sort_keys=True) for request in requests) + "\n]")
