"""Requests and answers as API Gateway and function URLs put them; what no literal table can show, as properties."""

import json
import re
import subprocess
import sys
from typing import Any
from urllib.parse import quote, unquote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight import events
from pilotlight.errors import InputError
from pilotlight.events import MalformedResult, Request, Response

# --- requests and events, in full -----------------------------------------------------------------------------------

ASK = Request(
    method="POST",
    path="/users/J%C3%BCrgen%20M/ask",
    query="tag=a&tag=b&q=deep+learning%21&flag",
    headers=(
        ("host", "api.example.com"),
        ("content-type", "application/json; charset=utf-8"),
        ("user-agent", "curl/8.5.0"),
        ("x-tag", "one"),
        ("x-tag", "two"),
        ("cookie", "session=1; theme=dark"),
    ),
    body='{"question": "Où?"}'.encode(),
    route="POST /users/{id}/ask",
    path_parameters={"id": "Jürgen M"},
    stage="prod",
    request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
    source_ip="192.0.2.7",
    time=1428582896.25,
    protocol="HTTP/2.0",
    domain="abc123.execute-api.eu-west-1.amazonaws.com",
    account="123456789012",
    api="abc123",
)

ASK_V1 = {
    "resource": "/users/{id}/ask",
    "path": "/users/J%C3%BCrgen%20M/ask",
    "httpMethod": "POST",
    "headers": {
        "host": "api.example.com",
        "content-type": "application/json; charset=utf-8",
        "user-agent": "curl/8.5.0",
        "x-tag": "two",
        "cookie": "session=1; theme=dark",
    },
    "multiValueHeaders": {
        "host": ["api.example.com"],
        "content-type": ["application/json; charset=utf-8"],
        "user-agent": ["curl/8.5.0"],
        "x-tag": ["one", "two"],
        "cookie": ["session=1; theme=dark"],
    },
    "queryStringParameters": {"tag": "b", "q": "deep learning!", "flag": ""},
    "multiValueQueryStringParameters": {"tag": ["a", "b"], "q": ["deep learning!"], "flag": [""]},
    "pathParameters": {"id": "J%C3%BCrgen%20M"},
    "stageVariables": None,
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "abc123",
        "deploymentId": "local",
        "domainName": "abc123.execute-api.eu-west-1.amazonaws.com",
        "domainPrefix": "abc123",
        "extendedRequestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "httpMethod": "POST",
        "identity": {
            "accessKey": None,
            "accountId": None,
            "caller": None,
            "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None,
            "cognitoIdentityId": None,
            "cognitoIdentityPoolId": None,
            "principalOrgId": None,
            "sourceIp": "192.0.2.7",
            "user": None,
            "userAgent": "curl/8.5.0",
            "userArn": None,
        },
        "path": "/prod/users/J%C3%BCrgen%20M/ask",
        "protocol": "HTTP/2.0",
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "requestTime": "09/Apr/2015:12:34:56 +0000",
        "requestTimeEpoch": 1428582896250,
        "resourceId": "local",
        "resourcePath": "/users/{id}/ask",
        "stage": "prod",
    },
    "body": '{"question": "Où?"}',
    "isBase64Encoded": False,
}

ASK_V2 = {
    "version": "2.0",
    "routeKey": "POST /users/{id}/ask",
    "rawPath": "/prod/users/Jürgen M/ask",
    "rawQueryString": "tag=a&tag=b&q=deep+learning%21&flag",
    "cookies": ["session=1", "theme=dark"],
    "headers": {
        "host": "api.example.com",
        "content-type": "application/json; charset=utf-8",
        "user-agent": "curl/8.5.0",
        "x-tag": "one,two",
    },
    "queryStringParameters": {"tag": "a,b", "q": "deep learning!", "flag": ""},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "abc123",
        "domainName": "abc123.execute-api.eu-west-1.amazonaws.com",
        "domainPrefix": "abc123",
        "http": {
            "method": "POST",
            "path": "/prod/users/Jürgen M/ask",
            "protocol": "HTTP/2.0",
            "sourceIp": "192.0.2.7",
            "userAgent": "curl/8.5.0",
        },
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "routeKey": "POST /users/{id}/ask",
        "stage": "prod",
        "time": "09/Apr/2015:12:34:56 +0000",
        "timeEpoch": 1428582896250,
    },
    "body": '{"question": "Où?"}',
    "pathParameters": {"id": "Jürgen M"},
    "isBase64Encoded": False,
}

ASK_URL = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/users/J%C3%BCrgen%20M/ask",
    "rawQueryString": "tag=a&tag=b&q=deep+learning%21&flag",
    "cookies": ["session=1", "theme=dark"],
    "headers": {
        "host": "api.example.com",
        "content-type": "application/json; charset=utf-8",
        "user-agent": "curl/8.5.0",
        "x-tag": "one,two",
    },
    "queryStringParameters": {"tag": "a,b", "q": "deep learning!", "flag": ""},
    "requestContext": {
        "accountId": "anonymous",
        "apiId": "abc123",
        "domainName": "abc123.execute-api.eu-west-1.amazonaws.com",
        "domainPrefix": "abc123",
        "http": {
            "method": "POST",
            "path": "/users/J%C3%BCrgen%20M/ask",
            "protocol": "HTTP/2.0",
            "sourceIp": "192.0.2.7",
            "userAgent": "curl/8.5.0",
        },
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "routeKey": "$default",
        "stage": "$default",
        "time": "09/Apr/2015:12:34:56 +0000",
        "timeEpoch": 1428582896250,
    },
    "body": '{"question": "Où?"}',
    "isBase64Encoded": False,
}

HOME_V1 = {
    "resource": "/{proxy+}",
    "path": "/",
    "httpMethod": "GET",
    "headers": {},
    "multiValueHeaders": {},
    "queryStringParameters": None,
    "multiValueQueryStringParameters": None,
    "pathParameters": None,
    "stageVariables": None,
    "requestContext": {
        "accountId": "000000000000",
        "apiId": "local",
        "deploymentId": "local",
        "domainName": "localhost",
        "domainPrefix": "localhost",
        "extendedRequestId": "",
        "httpMethod": "GET",
        "identity": {
            "accessKey": None,
            "accountId": None,
            "caller": None,
            "cognitoAuthenticationProvider": None,
            "cognitoAuthenticationType": None,
            "cognitoIdentityId": None,
            "cognitoIdentityPoolId": None,
            "principalOrgId": None,
            "sourceIp": "127.0.0.1",
            "user": None,
            "userAgent": None,
            "userArn": None,
        },
        "path": "/",
        "protocol": "HTTP/1.1",
        "requestId": "",
        "requestTime": "01/Jan/1970:00:00:00 +0000",
        "requestTimeEpoch": 0,
        "resourceId": "local",
        "resourcePath": "/{proxy+}",
        "stage": "prod",
    },
    "body": None,
    "isBase64Encoded": False,
}

HOME_V2 = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {
        "accountId": "000000000000",
        "apiId": "local",
        "domainName": "localhost",
        "domainPrefix": "localhost",
        "http": {"method": "GET", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
        "requestId": "",
        "routeKey": "$default",
        "stage": "$default",
        "time": "01/Jan/1970:00:00:00 +0000",
        "timeEpoch": 0,
    },
    "isBase64Encoded": False,
}

HOME = Request("GET", "/")


@pytest.mark.parametrize(
    ("encode", "request_", "event"),
    [
        (events.to_v1, ASK, ASK_V1),
        (events.to_v2, ASK, ASK_V2),
        (events.to_url, ASK, ASK_URL),
        (events.to_v1, HOME, HOME_V1),
        (events.to_v2, HOME, HOME_V2),
    ],
    ids=["ask-v1", "ask-v2", "ask-url", "home-v1", "home-v2"],
)
def test_event(encode: Any, request_: Request, event: dict[str, object]) -> None:
    assert encode(request_) == event


@pytest.mark.parametrize(
    ("event", "request_"),
    [
        # the query comes back in one spelling: v1 has only the decoded parameters
        (ASK_V1, ASK._replace(query="tag=a&tag=b&q=deep%20learning%21&flag=")),
        # repeated headers come back as one, the cookie header as the last
        (ASK_V2, ASK._replace(headers=(*ASK.headers[:3], ("x-tag", "one,two"), ASK.headers[5]))),
        (
            ASK_URL,
            ASK._replace(
                headers=(*ASK.headers[:3], ("x-tag", "one,two"), ASK.headers[5]),
                route="$default",
                path_parameters={},
                stage="$default",
                account="anonymous",
            ),
        ),
        (HOME_V1, HOME._replace(route="GET /{proxy+}", stage="prod")),
        (HOME_V2, HOME),
    ],
    ids=["ask-v1", "ask-v2", "ask-url", "home-v1", "home-v2"],
)
def test_request(event: dict[str, object], request_: Request) -> None:
    assert events.is_http(event)
    assert events.from_event(event) == request_


def test_request_helpers() -> None:
    assert ASK.header("X-Tag") == "one"
    assert ASK.header("accept") == ""
    assert ASK.content_type() == "application/json"
    assert HOME.content_type() == ""
    assert ASK.query_pairs() == [("tag", "a"), ("tag", "b"), ("q", "deep learning!"), ("flag", "")]
    assert HOME.query_pairs() == []


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b"my test body", ("my test body", False)),
        ("text/html", b"Hello", ("Hello", False)),
        ("text/binary", b"my test body", ("my test body", False)),
        ("application/xml", b"my test body", ("my test body", False)),
        ("application/javascript", b"my test body", ("my test body", False)),
        ("application/x-www-form-urlencoded", b"my test body", ("bXkgdGVzdCBib2R5", True)),
        ("multipart/form-data; boundary=x", b"my test body", ("bXkgdGVzdCBib2R5", True)),
        ("image/svg+xml", b"my test body", ("bXkgdGVzdCBib2R5", True)),
        ("application/vnd.api+json", b"my test body", ("bXkgdGVzdCBib2R5", True)),
        ("", b"my test body", ("bXkgdGVzdCBib2R5", True)),
        ("text/plain", b"\xff\xd8", ("/9g=", True)),
        ("image/png", b"", (None, False)),
    ],
)
@pytest.mark.parametrize("encode", [events.to_v2, events.to_url])
def test_body_of_an_http_api(encode: Any, content_type: str, body: bytes, expected: tuple[str, bool]) -> None:
    event = encode(Request("POST", "/", headers=(("content-type", content_type),), body=body))
    assert (event.get("body"), event["isBase64Encoded"]) == expected


@pytest.mark.parametrize(
    ("binary", "content_type", "expected"),
    [
        ((), "image/png", ("\ufffdPNG", False)),
        (("image/png",), "image/png", ("iVBORw==", True)),
        (("image/*",), "Image/PNG; q=1", ("iVBORw==", True)),
        (("*/*",), "", ("iVBORw==", True)),
        (("image/jpeg", "audio/*"), "image/png", ("\ufffdPNG", False)),
        (("image/*",), "imagepng", ("\ufffdPNG", False)),
    ],
)
def test_body_of_a_rest_api(binary: tuple[str, ...], content_type: str, expected: tuple[str, bool]) -> None:
    request = Request("POST", "/", headers=(("content-type", content_type),), body=b"\x89PNG")
    event = events.to_v1(request, binary)
    assert (event["body"], event["isBase64Encoded"]) == expected


# --- events that people write by hand -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "request_"),
    [
        ({"httpMethod": "POST", "body": '{"a": 1}'}, Request("POST", "/", body=b'{"a": 1}')),
        ({"requestContext": {"http": {"method": "PUT"}}, "body": "hi"}, Request("PUT", "/", body=b"hi")),
        ({"requestContext": {"http": {}}, "rawPath": "/x"}, Request("GET", "/x")),
        (
            {
                "httpMethod": "GET",
                "path": "/qa",
                "headers": None,
                "queryStringParameters": None,
                "multiValueQueryStringParameters": None,
                "pathParameters": None,
                "requestContext": None,
                "body": None,
            },
            Request("GET", "/qa"),
        ),
        (
            {
                "httpMethod": "GET",
                "headers": {"X-A": "1", "X-Null": None, "X-N": 2, "X-B": True},
                "queryStringParameters": {"q": "ü & b"},
                "multiValueHeaders": {"X-A": None},
            },
            Request("GET", "/", query="q=%C3%BC%20%26%20b", headers=(("x-a", "1"), ("x-n", "2"), ("x-b", "true"))),
        ),
        (
            {"requestContext": {"http": {"path": "/a b"}}, "queryStringParameters": {"n": 5}},
            Request("GET", "/a%20b", query="n=5"),
        ),
        ({"httpMethod": "POST", "body": "aGk=", "isBase64Encoded": True}, Request("POST", "/", body=b"hi")),
        ({"httpMethod": "POST", "body": "a\ud800b"}, Request("POST", "/", body=b"a?b")),
        (
            {"httpMethod": "GET", "path": "/a?b#c%2Fd%zz%e", "resource": "/{proxy+}"},
            Request("GET", "/a%3Fb%23c%2Fd%25zz%25e", route="GET /{proxy+}"),
        ),
        # an HTTP API that speaks format 1.0 has decoded its path parameters, a REST API has not
        (
            {"httpMethod": "GET", "body": None, "pathParameters": {"id": "100%25"}},
            Request("GET", "/", path_parameters={"id": "100%"}),
        ),
        (
            {"version": "1.0", "httpMethod": "GET", "body": None, "pathParameters": {"id": "100%25"}},
            Request("GET", "/", path_parameters={"id": "100%25"}),
        ),
        (
            {"requestContext": {"http": {}, "stage": "v1", "timeEpoch": "now"}, "rawPath": "/v1"},
            Request("GET", "/", stage="v1"),
        ),
        (
            {"requestContext": {"http": {}, "stage": "v1", "timeEpoch": 10**400}, "rawPath": "/v12/x"},
            Request("GET", "/v12/x", stage="v1"),
        ),
    ],
)
def test_hand_written_event(event: dict[str, object], request_: Request) -> None:
    assert events.is_http(event)
    assert events.from_event(event) == request_


@pytest.mark.parametrize(
    "event",
    [
        {"question": "Who?"},
        {"body": "hello"},
        {"httpMethod": "POST"},
        {"httpMethod": None, "body": ""},
        {"requestContext": {"http": "GET"}},
        {"requestContext": {"elb": {}}},
        {"version": "2.0", "rawPath": "/"},
        {},
        [],
        "httpMethod",
        None,
    ],
)
def test_bare_event(event: Any) -> None:
    assert not events.is_http(event)


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"question": "Who?"}, ("", "the event is not an HTTP request")),
        ({"httpMethod": "POST", "body": {"a": 1}}, ("body", "must be a string or null, as API Gateway sends it")),
        ({"httpMethod": "POST", "body": "", "headers": ["a"]}, ("headers", "must be an object or null")),
        ({"httpMethod": "POST", "headers": {"a": ["b"]}}, ("headers", "must hold strings")),
        (
            {"httpMethod": "POST", "multiValueHeaders": {"a": "b"}},
            ("multiValueHeaders.a", "must be a list or null"),
        ),
        ({"requestContext": {"http": {}}, "cookies": "a=b"}, ("cookies", "must be a list or null")),
        (
            {"httpMethod": "POST", "body": "YQ", "isBase64Encoded": True},
            ("body", "is not valid base64: Incorrect padding"),
        ),
        (
            {"httpMethod": "POST", "body": "é", "isBase64Encoded": True},
            ("body", "is not valid base64: string argument should contain only ASCII characters"),
        ),
    ],
)
def test_wrong_event(event: dict[str, object], problem: tuple[str, str]) -> None:
    with pytest.raises(InputError) as raised:
        events.from_event(event)
    assert raised.value.problems == (problem,)


@pytest.mark.parametrize(
    ("event", "version"), [(ASK_V1, "1.0"), (ASK_V2, "2.0"), (ASK_URL, "2.0"), ({"httpMethod": "GET"}, "1.0")]
)
def test_version(event: dict[str, object], version: str) -> None:
    assert events.version(event) == version


# --- answers --------------------------------------------------------------------------------------------------------

MANY = Response(
    201,
    (("X-A", "1"), ("x-a", "2"), ("Content-Type", "application/json"), ("set-cookie", "a=1"), ("set-cookie", "b=2")),
    b'{"answer": "\xc3\xbc"}',
)


@pytest.mark.parametrize(
    ("response", "version", "result"),
    [
        (
            MANY,
            "1.0",
            {
                "statusCode": 201,
                "headers": {"content-type": "application/json"},
                "multiValueHeaders": {"x-a": ["1", "2"], "set-cookie": ["a=1", "b=2"]},
                "body": '{"answer": "ü"}',
                "isBase64Encoded": False,
            },
        ),
        (
            MANY,
            "2.0",
            {
                "statusCode": 201,
                "headers": {"x-a": "1,2", "content-type": "application/json"},
                "cookies": ["a=1", "b=2"],
                "body": '{"answer": "ü"}',
                "isBase64Encoded": False,
            },
        ),
        (Response(204), "2.0", {"statusCode": 204, "body": "", "isBase64Encoded": False}),
        (
            Response(200, (("content-type", "image/png"),), b"\x89PNG"),
            "2.0",
            {
                "statusCode": 200,
                "headers": {"content-type": "image/png"},
                "body": "iVBORw==",
                "isBase64Encoded": True,
            },
        ),
        (
            Response(200, (("content-type", "image/svg+xml"),), b"<svg/>"),
            "1.0",
            {
                "statusCode": 200,
                "headers": {"content-type": "image/svg+xml"},
                "body": "<svg/>",
                "isBase64Encoded": False,
            },
        ),
        (
            Response(200, (), b"\xff"),
            "1.0",
            {"statusCode": 200, "body": "/w==", "isBase64Encoded": True},
        ),
    ],
)
def test_result(response: Response, version: str, result: dict[str, object]) -> None:
    assert events.to_result(response, version) == result


JSON = ("content-type", "application/json")
PLAIN = ("content-type", "text/plain;charset=UTF-8")


@pytest.mark.parametrize(
    ("front", "payload", "response"),
    [
        # recorded: without statusCode an HTTP API and a function URL answer with the JSON itself
        ("url", '{"hello": "world"}', Response(200, (JSON,), b'{"hello":"world"}')),
        ("url", '["hello", 3, true]', Response(200, (JSON,), b'["hello",3,true]')),
        ("url", '"hello"', Response(200, (JSON,), b"hello")),
        ("url", "3", Response(200, (JSON,), b"3")),
        ("url", "3.1", Response(200, (JSON,), b"3.1")),
        ("url", "true", Response(200, (JSON,), b"true")),
        ("http", "null", Response(200, (JSON,), b"null")),
        ("http", '"justAString"', Response(200, (JSON,), b"justAString")),
        ("http", '""', Response(200, (JSON,), b"")),
        ("http", "{}", Response(200, (JSON,), b"{}")),
        ("http", '"errorMessage"', Response(200, (JSON,), b"errorMessage")),
        ("http", '{"headers": {"a": "b"}}', Response(200, (JSON,), b'{"headers":{"a":"b"}}')),
        ("url", '{"errorMessage": "x"}', Response(200, (JSON,), b'{"errorMessage":"x"}')),
        ("http", '"\\u00fc\\ud800"', Response(200, (JSON,), b"\xc3\xbc?")),
        # recorded: with it
        ("url", '{"statusCode": 200, "body": "body123"}', Response(200, (JSON,), b"body123")),
        ("http", '{"statusCode": 200}', Response(200, (PLAIN,), b"")),
        ("http", '{"statusCode": "201"}', Response(201, (PLAIN,), b"")),
        ("http", '{"statusCode": 200, "wrongValue": "value"}', Response(200, (PLAIN,), b"")),
        (
            "http",
            '{"statusCode": 200, "headers": {"Header-Bool": true, "n": 1.5, "gone": null}, "cookies": ["a=1", "b=2"]}',
            Response(
                200,
                (PLAIN, ("header-bool", "true"), ("n", "1.5"), ("set-cookie", "a=1"), ("set-cookie", "b=2")),
            ),
        ),
        (
            "http",
            '{"statusCode": 200, "headers": {"Content-Type": "a/b"}, "body": "iVBORw==", "isBase64Encoded": true}',
            Response(200, (("content-type", "a/b"),), b"\x89PNG"),
        ),
        ("http", '{"statusCode": 204, "headers": {"Content-Type": null}}', Response(204)),
        # recorded: a REST API requires no field, and knows these only
        ("rest", "{}", Response(200, (JSON,), b"")),
        ("rest", '{"statusCode": "201"}', Response(201, (JSON,), b"")),
        ("rest", '{"statusCode": 200, "headers": null}', Response(200, (JSON,), b"")),
        ("rest", '{"headers": {"test-header": "value"}}', Response(200, (JSON, ("test-header", "value")))),
        (
            "rest",
            '{"headers": {"A": "solo", "B": "b"}, "multiValueHeaders": {"a": ["1", "2"]}, "body": null}',
            Response(200, (JSON, ("b", "b"), ("a", "1"), ("a", "2")), b""),
        ),
    ],
)
def test_response(front: str, payload: str, response: Response) -> None:
    assert events.from_result(payload.encode(), front) == response


@pytest.mark.parametrize(
    ("accept", "binary", "body"),
    [
        ("image/png", ("image/*",), b"\x89PNG"),
        ("image/png, text/html", ("image/png",), b"\x89PNG"),
        ("text/html, image/png", ("image/png",), b"iVBORw=="),
        ("*/*", ("image/png",), b"iVBORw=="),
        ("text/html", ("*/*",), b"\x89PNG"),
        ("image/png", (), b"iVBORw=="),
    ],
)
def test_binary_response_of_a_rest_api(accept: str, binary: tuple[str, ...], body: bytes) -> None:
    payload = b'{"body": "iVBORw==", "isBase64Encoded": true}'
    assert events.from_result(payload, "rest", accept, binary).body == body


@pytest.mark.parametrize(
    ("front", "payload", "reason"),
    [
        ("rest", b'"justAString"', "a REST API needs an object with statusCode, headers and body"),
        ("rest", b"null", "a REST API needs an object with statusCode, headers and body"),
        ("rest", b'{"statusCode": 200, "wrongValue": 1}', "a REST API refuses the field 'wrongValue'"),
        ("rest", b'{"statusCode": 200, "cookies": []}', "a REST API refuses the field 'cookies'"),
        ("rest", b'{"multiValueHeaders": {"a": "b"}}', "a is not a list"),
        ("rest", b'{"statusCode": "test"}', "statusCode is 'test', which is no HTTP status"),
        ("http", b'{"statusCode": 99}', "statusCode is 99, which is no HTTP status"),
        ("http", b'{"statusCode": true}', "statusCode is True, which is no HTTP status"),
        ("http", '{"statusCode": "²00"}'.encode(), "statusCode is '²00', which is no HTTP status"),
        ("http", b'{"statusCode": 200, "cookies": {"a": "b"}}', "cookies is not a list"),
        ("http", b'{"statusCode": 200, "headers": ["a"]}', "headers is not an object"),
        (
            "http",
            b'{"statusCode": 200, "headers": {"a": {}}}',
            "the header a is neither a string nor a number nor a boolean",
        ),
        ("http", b'{"statusCode": 200, "headers": {"a": "b\\r\\nc: d"}}', "the header a holds a line break"),
        ("http", b'{"statusCode": 200, "headers": {"a b": "c"}}', "'a b' is no header name"),
        ("http", b'{"statusCode": 200, "body": {"a": 1}}', "the body is not a string"),
        ("http", b'{"statusCode": 200, "isBase64Encoded": "yes"}', "isBase64Encoded is neither true nor false"),
        (
            "url",
            b'{"statusCode": 200, "body": "YQ", "isBase64Encoded": true}',
            "the body is not valid base64: Incorrect padding",
        ),
        (
            "http",
            b'{"errorMessage": "test"}',
            "an HTTP API takes an answer with errorMessage for a function error",
        ),
        ("url", b"", "the answer is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("url", b"[NaN]", "the answer is not JSON: NaN is no JSON number"),
        ("url", b"[" * 100_000, "the answer is nested too deeply"),
    ],
)  # fmt: skip
def test_malformed_result(front: str, payload: bytes, reason: str) -> None:
    with pytest.raises(MalformedResult) as raised:
        events.from_result(payload, front)
    assert str(raised.value) == reason


# --- properties -----------------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=8)
tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=8)
lines = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
fields = st.lists(st.tuples(tokens, lines), max_size=5).map(tuple)
cookie_jars = st.lists(st.text("abc=01", min_size=1, max_size=6), max_size=3).map("; ".join)
content_types = st.sampled_from(["application/json", "text/plain; charset=utf-8", "image/png", ""])
paths = st.lists(words.map(lambda word: quote(word, safe="")) | tokens, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
queries = st.lists(st.tuples(words, words), max_size=4).map(urlencode) | st.text("ab=&%+;2", max_size=10)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    extra = [("content-type", draw(content_types)), ("cookie", draw(cookie_jars))]
    return Request(
        draw(st.sampled_from(["GET", "POST", "DELETE"])),
        draw(paths),
        draw(queries),
        (*(pair for pair in draw(fields) if pair[0] not in dict(extra)), *(pair for pair in extra if pair[1])),
        draw(st.binary(max_size=20) | st.text(max_size=20).map(str.encode)),
        draw(st.sampled_from(["$default", "ANY /{proxy+}", "POST /qa", "GET /users/{id}"])),
        draw(st.dictionaries(tokens, words, max_size=2)),
        draw(st.sampled_from(["$default", "prod", "v1"])),
        draw(tokens),
        draw(st.ip_addresses().map(str)),
        draw(st.integers(0, 4_102_444_800_000)) / 1000,
        draw(st.sampled_from(["HTTP/1.1", "HTTP/2.0"])),
        draw(tokens),
        draw(tokens),
        draw(tokens),
    )


def through_json(event: object) -> Any:
    return json.loads(json.dumps(event))


def carried_by_v1(request: Request) -> Request:
    """What format 1.0 can carry: repeats side by side, decoded query parameters, the route without its ANY."""
    resource = "/{proxy+}" if request.route == "$default" else request.route.partition(" ")[2]
    parameters = dict(request.path_parameters)
    if parameters and request.route.endswith("+}"):
        last = list(parameters)[-1]
        parameters[last] = parameters[last].removesuffix("/")
    return request._replace(
        path_parameters=parameters,
        stage="prod" if request.stage == "$default" else request.stage,
        query=urlencode(gathered(request.query_pairs()), quote_via=quote, safe=""),
        headers=tuple(gathered(request.headers)),
        route=f"{request.method} {resource}",
    )


def carried_by_url(request: Request) -> Request:
    """What a function URL can carry: repeated headers joined, cookies as one last header, no routes and stages."""
    values = [value for name, value in request.headers if name == "cookie"]
    cookies = "; ".join(part.strip() for value in values for part in value.split(";") if part.strip())
    joined: dict[str, list[str]] = {}
    for name, value in request.headers:
        joined.setdefault(name, []).append(value)
    headers = [(name, ",".join(values)) for name, values in joined.items() if name != "cookie"]
    return request._replace(
        headers=(*headers, *([("cookie", cookies)] if cookies else [])),
        route="$default",
        path_parameters={},
        stage="$default",
        account="anonymous",
    )


def carried_by_v2(request: Request) -> Request:
    """What an HTTP API can carry: as a URL, with routes and stages, but a path that was decoded once."""
    return carried_by_url(request)._replace(
        path=respelled(unquote(request.path)),
        route=request.route,
        path_parameters=request.path_parameters,
        stage=request.stage,
        account=request.account,
    )


def gathered(pairs: Any) -> list[tuple[str, str]]:
    names = list(dict.fromkeys(name for name, _ in pairs))
    return [(name, value) for name in names for other, value in pairs if other == name]


def respelled(path: str) -> str:
    """`path` with all escaped but what may stand in a path, and a percent sign before two hexadecimal digits."""
    return "".join(
        part if re.fullmatch("%[0-9A-Fa-f]{2}", part) else quote(part, safe="/-._~!$&'()*+,;=:@")
        for part in re.split("(%[0-9A-Fa-f]{2})", path)
    )


@given(requests())
def test_v1_carries_the_request(request: Request) -> None:
    assert events.from_event(through_json(events.to_v1(request, ("*/*",)))) == carried_by_v1(request)


@given(requests())
def test_v2_carries_the_request(request: Request) -> None:
    assert events.from_event(through_json(events.to_v2(request))) == carried_by_v2(request)


@given(requests())
def test_url_carries_the_request(request: Request) -> None:
    assert events.from_event(through_json(events.to_url(request))) == carried_by_url(request)


@given(st.integers(200, 599), fields, content_types.filter(bool), st.binary(max_size=20) | words.map(str.encode))
def test_rest_carries_the_response(status: int, headers: Any, content_type: str, body: bytes) -> None:
    rest = [pair for pair in headers if pair[0] != "content-type"]
    response = Response(status, (("content-type", content_type), *rest), body)
    payload = json.dumps(events.to_result(response, "1.0")).encode()
    counts = {name: sum(name == other for other, _ in rest) for name, _ in rest}
    single = [pair for pair in rest if counts[pair[0]] == 1]
    repeated = gathered([pair for pair in rest if counts[pair[0]] > 1])
    assert events.from_result(payload, "rest", "*/*", ("*/*",)) == Response(
        status, (("content-type", content_type), *single, *repeated), body
    )


@pytest.mark.parametrize("front", ["http", "url"])
@given(st.integers(200, 599), fields, content_types.filter(bool), st.lists(lines, max_size=3), st.binary(max_size=20))
def test_http_carries_the_response(
    front: str, status: int, headers: Any, content_type: str, cookies: list[str], body: bytes
) -> None:
    fixed = (("content-type", content_type), *(("set-cookie", cookie) for cookie in cookies))
    rest = {name: value for name, value in headers if name not in dict(fixed)}
    response = Response(status, (fixed[0], *rest.items(), *fixed[1:]), body)
    payload = json.dumps(events.to_result(response, "2.0")).encode()
    assert events.from_result(payload, front) == response


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
text_with_surrogates = st.text(st.characters(codec=None, exclude_categories=()), max_size=6)
some_value = json_values | text_with_surrogates | st.dictionaries(text_with_surrogates, json_values, max_size=2)


def objects_with(*names: str, **fixed: Any) -> Any:
    return st.fixed_dictionaries(fixed, optional=dict.fromkeys(names, some_value))


some_http = objects_with("method", "path", "protocol", "sourceIp", "userAgent")
some_context = objects_with("stage", "requestTimeEpoch", "timeEpoch", "identity", "requestId", "accountId", "protocol")
some_event = objects_with(
    "httpMethod", "resource", "path", "headers", "multiValueHeaders", "queryStringParameters", "pathParameters",
    "multiValueQueryStringParameters", "requestContext", "body", "isBase64Encoded", "cookies", "rawPath",
    "rawQueryString", "routeKey", "version",
)  # fmt: skip


@given(
    some_value
    | some_event
    | st.builds(lambda e, c: {**e, "httpMethod": "POST", "requestContext": c}, some_event, some_context)
    | st.builds(lambda e, c, h: {**e, "requestContext": {**c, "http": h}}, some_event, some_context, some_http)
)
def test_any_event_is_read_or_refused(event: Any) -> None:
    if not events.is_http(event):
        return
    try:
        request = events.from_event(event)
    except InputError:
        return
    assert isinstance(request.query_pairs(), list)
    assert request.path.isascii()


some_result = objects_with("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "cookies")


@pytest.mark.parametrize("front", ["rest", "http", "url"])
@given(
    st.binary(max_size=8)
    | (some_value | some_result | some_result.map(lambda r: {**r, "statusCode": 200})).map(
        lambda answer: json.dumps(answer).encode()
    )
)
def test_any_answer_is_sent_or_refused(front: str, payload: bytes) -> None:
    try:
        response = events.from_result(payload, front)
    except MalformedResult:
        return
    assert 100 <= response.status <= 599
    assert all(isinstance(part, str) for pair in response.headers for part in pair)


# --- cold start -----------------------------------------------------------------------------------------------------

LOADED_BY = """
import sys
import binascii
bare = set(sys.modules)
{code}
print(" ".join(sorted(set(sys.modules) - bare)))
"""


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        (
            "import pilotlight.events",
            "__future__ _collections pilotlight pilotlight.errors pilotlight.events pilotlight.tuples types",
        ),
        (
            "from pilotlight import events\n"
            "event = {'version': '2.0', 'rawPath': '/qa', 'rawQueryString': '', 'headers': {'a': 'b'}, 'body': '{}',"
            " 'requestContext': {'http': {'method': 'POST'}}}\n"
            "request = events.from_event(event)\n"
            "assert request.query_pairs() == []\n"
            "events.to_result(events.Response(200, (), b'{}'), events.version(event))",
            "__future__ _collections pilotlight pilotlight.errors pilotlight.events pilotlight.tuples types",
        ),
    ],
    ids=["import", "decode-and-answer"],
)
def test_cold_start_loads_nothing_else(code: str, loaded: str) -> None:
    program = [sys.executable, "-I", "-c", LOADED_BY.format(code=code)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout.split() == loaded.split()


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match=r"module 'pilotlight\.events' has no attribute 'to_v3'"):
        events.to_v3  # type: ignore[attr-defined]  # noqa: B018
