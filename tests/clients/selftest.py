"""Shows that the strict client refuses what the service model doesn't allow, and only that.

Each case is a response that a server made up for it gives, and the words of the violation.
"""

import http.server
import json
import sys
import threading

from botocore.exceptions import ClientError

from strict import Strict, Violation

API = {
    "id": "abcdefghij", "name": "pets", "createdDate": 1700000000, "apiKeySource": "HEADER",
    "endpointConfiguration": {"types": ["EDGE"], "ipAddressType": "ipv4"},
    "disableExecuteApiEndpoint": False, "rootResourceId": "klmnopqrst",
}
ID = "2b9e5a3c-1d4f-4e6a-8b7c-9d0e1f2a3b4c"

# Response to GetRestApi → what is wrong with it.
CASES = [
    (200, {}, API, None),
    (200, {}, {**API, "createdDate": 1700000000.5}, None),
    (200, {"x-amzn-RequestId": "1"}, API, "x-amzn-RequestId is no UUID"),
    (200, {"Content-Type": "text/plain"}, API, "Content-Type is 'text/plain'"),
    (201, {}, API, "status is 201, not 200"),
    (200, {}, "garbage", "is no JSON"),
    (200, {}, '{"id": "a", "id": "b"}', "names a member twice"),
    (200, {}, [], "is [], not a dict"),
    (200, {}, {**API, "colour": "red"}, "colour is no member of RestApi"),
    (200, {}, {**API, "_links": {}}, "_links is no member of RestApi"),
    (200, {}, {**API, "name": 1}, "name is 1, not a str"),
    (200, {}, {**API, "name": True}, "name is True, not a str"),
    (200, {}, {**API, "description": None}, "description is null"),
    (200, {}, {**API, "disableExecuteApiEndpoint": "false"}, "is 'false', not a bool"),
    (200, {}, {**API, "minimumCompressionSize": "10"}, "is '10', not a int"),
    (200, {}, {**API, "minimumCompressionSize": True}, "is True, not a int"),
    (200, {}, {**API, "createdDate": "2026-01-01T00:00:00Z"}, "not a number"),
    (200, {}, {**API, "createdDate": 1700000000000}, "no plausible number of seconds"),
    (200, {}, {**API, "apiKeySource": "COOKIE"}, "is 'COOKIE', not one of"),
    (200, {}, {**API, "endpointConfiguration": {"types": ["LOCAL"]}}, "types[0] is 'LOCAL'"),
    (200, {}, {**API, "tags": {"a": 1}}, "tags['a'] is 1"),
    (200, {}, {**API, "id": "ABC"}, "id is 'ABC', not of the form"),
    (200, {}, {name: value for name, value in API.items() if name != "name"}, "name is missing"),
    (404, {"x-amzn-ErrorType": "NotFoundException"}, {"message": "gone"}, ClientError),
    (404, {"x-amzn-ErrorType": "NotFoundException:http://a/"}, {"message": "gone"}, ClientError),
    (400, {"x-amzn-ErrorType": "ValidationException"}, {"message": "no"}, ClientError),
    (404, {"x-amzn-ErrorType": "ConflictException"}, {"message": "no"}, "'ConflictException' is not declared"),
    (404, {}, {"message": "gone"}, "x-amzn-ErrorType '' is not declared"),
    (400, {"x-amzn-ErrorType": "NotFoundException"}, {"message": "gone"}, "status of NotFoundException is 400"),
    (404, {"x-amzn-ErrorType": "NotFoundException"}, {"Message": "gone"}, "message is not in the error's body"),
    (404, {"x-amzn-ErrorType": "NotFoundException"}, {"message": ""}, "message is empty"),
    (500, {"x-amzn-ErrorType": "InternalFailure"}, {"message": "oh"}, "'InternalFailure' is not declared"),
]


class Canned(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    case = CASES[0]

    def answer(self):
        status, headers, body, _ = Canned.case
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        headers = {"x-amzn-RequestId": ID, "Content-Type": "application/json",
                   "Content-Length": str(len(body)), **headers}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_DELETE = answer

    def log_message(self, *_):
        pass


def outcome(call):
    try:
        call()
    except Violation as violation:
        return str(violation)
    except ClientError:
        return ClientError
    return None


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    strict = Strict(f"http://127.0.0.1:{server.server_port}")
    failures = 0
    for case in CASES:
        Canned.case = case
        found, wanted = outcome(lambda: strict.client.get_rest_api(restApiId="abcdefghij")), case[3]
        right = wanted in found if isinstance(wanted, str) and isinstance(found, str) else found is wanted
        if not right:
            failures += 1
            print(f"{case[:3]}: found {found!r}, not {wanted!r}")
    # What has no body has none.
    Canned.case = (202, {}, "{}", None)
    if "should be empty" not in str(outcome(lambda: strict.client.delete_rest_api(restApiId="abcdefghij"))):
        failures += 1
        print("a body of DeleteRestApi is not refused")
    if strict.succeeded != {"GetRestApi"}:
        failures += 1
        print(f"succeeded: {strict.succeeded}")
    print(f"{len(CASES)} cases, {failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
