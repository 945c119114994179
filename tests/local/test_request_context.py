"""What the front ends add to requests and answers: stages, ids, the trace, where a request came from."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from conftest import RunningServer, write
from pilotlight.events import Headers, Request
from pilotlight.local import tracing
from pilotlight.local.gateway import Gateway, Target
from pilotlight.values import Call, Result

SHOWS = """
    import json, os

    def handler(event, context):
        shown = {"event": event, "trace": os.environ.get("_X_AMZN_TRACE_ID"), "id": context.aws_request_id}
        return {"statusCode": 200, "body": json.dumps(shown)}
    """
ROUTES = """
    [functions.http]
    route = ["POST /http/{id}", "GET /"]
    [functions.rest]
    front = "rest"
    route = ["POST /rest/{id}", "GET /files/{path+}"]
    binary_media_types = ["image/*"]
    [functions.url]
    front = "url"
    route = "POST /url/{id}"
    """
PREFIXED = """
    [functions.http]
    route = ["POST /http/{id}", "GET /http-only", "GET /"]
    [functions.rest]
    front = "rest"
    route = "POST /rest/{id}"
    [functions.url]
    front = "url"
    route = "POST /url-of-v1"
    """
FILES = {f"inference/{name}.py": SHOWS for name in ("http", "rest", "url")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("context")
    plain = write(folder / "plain", {**FILES, "pilotlight.toml": ROUTES})
    staged = write(folder / "staged", {**FILES, "pilotlight.toml": f'stage = "v1"\n{PREFIXED}'})
    started = RunningServer([str(plain), str(staged), "--no-reload"], {})
    yield started
    assert started.stop() == 0


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made


def post(client: httpx.Client, path: str, **fields: Any) -> tuple[Any, httpx.Headers]:
    answer = client.post(path, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.headers


# stages


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/rest/7", {"path": "/rest/7", "resource": "/rest/{id}", "context": ("/rest/7", "/rest/{id}", "prod")}),
        ("/v1/rest/7", {"path": "/rest/7", "resource": "/rest/{id}", "context": ("/v1/rest/7", "/rest/{id}", "v1")}),
    ],
)
def test_the_stage_of_a_rest_api(client: httpx.Client, path: str, expected: dict[str, object]) -> None:
    event = post(client, path)[0]["event"]
    context = event["requestContext"]
    assert {
        "path": event["path"],
        "resource": event["resource"],
        "context": (context["path"], context["resourcePath"], context["stage"]),
    } == expected
    assert event["pathParameters"] == {"id": "7"}


@pytest.mark.parametrize(
    ("path", "raw", "stage", "route"),
    [
        ("/http/7%208", "/http/7 8", "$default", "POST /http/{id}"),
        ("/v1/http/7%208", "/v1/http/7 8", "v1", "POST /http/{id}"),
        ("/url/7%208", "/url/7%208", "$default", "$default"),
        ("/url-of-v1", "/url-of-v1", "$default", "$default"),
    ],
)
def test_the_stage_of_an_http_api_and_none_of_a_function_url(
    client: httpx.Client, path: str, raw: str, stage: str, route: str
) -> None:
    event = post(client, path)[0]["event"]
    context = event["requestContext"]
    assert (event["rawPath"], context["http"]["path"], context["stage"]) == (raw, raw, stage)
    assert (event["routeKey"], context["routeKey"]) == (route, route)


@pytest.mark.parametrize("path", ["/v1", "/v1/"])
def test_the_root_of_a_stage(client: httpx.Client, path: str) -> None:
    assert client.get(path).json()["event"]["rawPath"] == "/v1/"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/http-only", 404, "Not Found"),
        ("POST", "/v1/http-only", 404, "Not Found"),
        ("GET", "/v1/nowhere", 404, "Not Found"),
        ("GET", "/v1/rest/7", 403, "Missing Authentication Token"),
        ("POST", "/v1/url-of-v1", 404, "Not Found"),
        ("GET", "/V1/http-only", 404, "Not Found"),
    ],
)
def test_requests_that_no_stage_has(client: httpx.Client, method: str, path: str, status: int, message: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"message": message})


def test_a_rest_api_without_its_stage_is_forbidden() -> None:
    async def never(call: Call) -> Result:
        raise AssertionError(call)

    gateway = Gateway(never, [("POST", "/ask", Target("f", "POST /ask", "rest", stage="v1"))])
    answers = [asyncio.run(gateway(Request("POST", path))) for path in ("/ask", "/v1/other", "/v2/ask", "/elsewhere")]
    assert [(each.status, json.loads(each.body), each.header("x-amzn-errortype")) for each in answers] == [  # type: ignore[union-attr]
        (403, {"message": "Forbidden"}, "ForbiddenException"),
        *[(403, {"message": "Missing Authentication Token"}, "MissingAuthenticationTokenException")] * 3,
    ]


def test_what_takes_the_rest_of_a_path_loses_its_last_slash(client: httpx.Client) -> None:
    event = client.get("/files/a/b%20c/").json()["event"]
    assert (event["path"], event["pathParameters"]) == ("/files/a/b%20c/", {"path": "a/b%20c"})


# ids, the trace, where a request came from

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
GATEWAY_ID = "[A-Za-z0-9_-]{15}="
ROOT = "1-[0-9a-f]{8}-[0-9a-f]{24}"
TRACE = f"Root={ROOT};Parent=[0-9a-f]{{16}};Sampled=0"


def test_the_ids_of_a_rest_api(client: httpx.Client) -> None:
    shown, headers = post(client, "/rest/7")
    context = shown["event"]["requestContext"]
    assert re.fullmatch(UUID, context["requestId"])
    assert re.fullmatch(GATEWAY_ID, context["extendedRequestId"])
    assert re.fullmatch(TRACE, shown["trace"])
    assert (headers["x-amzn-requestid"], headers["x-amz-apigw-id"], headers["x-amzn-trace-id"]) == (
        context["requestId"],
        context["extendedRequestId"],
        shown["trace"],
    )
    assert "apigw-requestid" not in headers


def test_the_ids_of_an_http_api(client: httpx.Client) -> None:
    shown, headers = post(client, "/http/7")
    assert re.fullmatch(GATEWAY_ID, shown["event"]["requestContext"]["requestId"])
    assert headers["apigw-requestid"] == shown["event"]["requestContext"]["requestId"]
    assert re.fullmatch(UUID, shown["id"])
    assert re.fullmatch(TRACE, shown["trace"])
    assert not {"x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id"} & headers.keys()


def test_the_ids_of_a_function_url(client: httpx.Client) -> None:
    shown, headers = post(client, "/url/7")
    assert shown["id"] == shown["event"]["requestContext"]["requestId"] == headers["x-amzn-requestid"]
    assert headers["x-amzn-trace-id"] == shown["trace"]
    assert not {"apigw-requestid", "x-amz-apigw-id"} & headers.keys()


@pytest.mark.parametrize("path", ["/rest/7", "/http/7", "/url/7"])
def test_where_a_request_came_from(client: httpx.Client, server: RunningServer, path: str) -> None:
    shown, _ = post(client, path)
    headers = shown["event"]["headers"]
    root = headers.pop("x-amzn-trace-id")
    assert re.fullmatch(f"Root={ROOT}", root)
    assert shown["trace"].startswith(f"{root};")
    added = {name: value for name, value in headers.items() if name.startswith("x-")}
    port = server.url.rpartition(":")[2]
    assert added == {"x-forwarded-for": "127.0.0.1", "x-forwarded-port": port, "x-forwarded-proto": "http"}


@pytest.mark.parametrize("path", ["/rest/7", "/http/7", "/url/7"])
def test_a_client_that_is_a_proxy(client: httpx.Client, path: str) -> None:
    root = "1-67891233-abcdef012345678912345678"
    sent = {"x-forwarded-for": "203.0.113.9, 198.51.100.1", "x-forwarded-proto": "https", "x-forwarded-port": "443"}
    shown, _ = post(client, path, headers={**sent, "x-amzn-trace-id": f"Root={root};Sampled=1;CalledFrom=app"})
    headers = shown["event"]["headers"]
    assert headers["x-forwarded-for"] == "203.0.113.9, 198.51.100.1, 127.0.0.1"
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"] != "443") == ("http", True)
    assert re.fullmatch(f"Self={ROOT};Root={root};Sampled=1;CalledFrom=app", headers["x-amzn-trace-id"])
    assert re.fullmatch(f"Root={root};Parent=[0-9a-f]{{16}};Sampled=1", shown["trace"])


HOST = ("host", "localhost")
OWN = "1-00000400-[0-9a-f]{24}"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ((HOST,), f"Root={OWN}"),
        ((HOST, ("x-amzn-trace-id", "")), f"Root={OWN}"),
        ((HOST, ("x-amzn-trace-id", "Root=1-a-b")), f"Self={OWN};Root=1-a-b"),
        ((HOST, ("x-amzn-trace-id", "Self=1-c-d;Root=1-a-b")), f"Self={OWN};Root=1-a-b"),
        ((HOST, ("x-amzn-trace-id", "Root=1-a-b; Sampled=1 ;")), f"Self={OWN};Root=1-a-b;Sampled=1"),
        ((HOST, ("x-amzn-trace-id", "Sampled=1")), f"Root={OWN};Sampled=1"),
        ((HOST, ("x-amzn-trace-id", ";;=;a")), f"Root={OWN};=;a"),
    ],
)
def test_the_trace_header(sent: Headers, expected: str) -> None:
    *kept, (name, value), address, port, scheme = tracing.forwarded(
        sent, "192.0.2.7", 80, "http", 1024.9, "0123456789ab" * 2
    )
    assert (kept, name) == ([HOST], "x-amzn-trace-id")
    assert re.fullmatch(expected, value)
    assert [address, port, scheme] == [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-port", "80"),
        ("x-forwarded-proto", "http"),
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ""),
        ("Sampled=1", ""),
        ("Root=", ""),
        ("Root=;Sampled=1", ""),
        ("Root=é", ""),
        ("Root=1-a-b", "Root=1-a-b;Parent=[0-9a-f]{16};Sampled=0"),
        ("Self=1-c-d;Root=1-a-b;Parent=f00;Sampled=1;Lineage=x", "Root=1-a-b;Parent=f00;Sampled=1"),
    ],
)
def test_the_trace_of_an_invocation(header: str, expected: str) -> None:
    assert re.fullmatch(expected, tracing.of_invocation(header))


def test_ids_differ() -> None:
    ids = [tracing.new_ids() for _ in range(100)]
    assert all(re.fullmatch(UUID, one) and re.fullmatch(GATEWAY_ID, other) for one, other, _ in ids)
    assert all(re.fullmatch("[0-9a-f]{24}", root) for *_, root in ids)
    assert len({each for group in ids for each in group}) == 300


# bodies, headers and queries as they are sent


@pytest.mark.parametrize(
    ("path", "headers", "content", "expected"),
    [
        ("/http/7", {"content-type": "application/json"}, '{"a":"é"}'.encode(), ('{"a":"é"}', False)),
        ("/http/7", {"content-type": "application/json"}, b"\x1f\x8b\x08\x00\xff", ("H4sIAP8=", True)),  # gzip
        ("/http/7", {"content-type": "text/plain; charset=latin-1"}, b"caf\xe9", ("Y2Fm6Q==", True)),
        ("/url/7", {"content-type": "application/x-www-form-urlencoded"}, b"a=1", ("YT0x", True)),
        ("/url/7", {"content-type": "TEXT/CSV"}, b"a,b", ("a,b", False)),
        ("/rest/7", {"content-type": "image/png"}, b"\x89PNG", ("iVBORw==", True)),
        ("/rest/7", {"content-type": "application/x-www-form-urlencoded"}, b"a=1", ("a=1", False)),
        ("/rest/7", {"content-type": "application/octet-stream"}, b"\x89PNG", ("\ufffdPNG", False)),
        ("/rest/7", {"content-type": "application/json"}, b"\x1f\x8b\x08\x00\xff", ("\x1f\ufffd\x08\x00\ufffd", False)),
    ],
)
def test_a_body_as_text_or_base64(
    client: httpx.Client, path: str, headers: dict[str, str], content: bytes, expected: tuple[str, bool]
) -> None:
    event = post(client, path, headers=headers, content=content)[0]["event"]
    assert (event["body"], event["isBase64Encoded"]) == expected


QUERY = "a=1&a=2&b=x+y&c=%2B%C3%A9&d&e=%zz&f=%FF&=g"


def test_a_query_and_repeated_headers(client: httpx.Client) -> None:
    sent = [("x-tag", "one"), ("x-tag", "two"), ("cookie", "a=1; b=2"), ("x-bytes", b"caf\xe9")]
    rest, http, url = (
        post(client, f"/{front}/7?{QUERY}", headers=sent)[0]["event"] for front in ("rest", "http", "url")
    )
    decoded = {"b": "x y", "c": "+é", "d": "", "e": "%zz", "f": "\ufffd", "": "g"}
    assert rest["queryStringParameters"] == {"a": "2", **decoded}
    assert rest["multiValueQueryStringParameters"] == {
        "a": ["1", "2"],
        **{name: [value] for name, value in decoded.items()},
    }
    assert (rest["headers"]["x-tag"], rest["multiValueHeaders"]["x-tag"]) == ("two", ["one", "two"])
    assert rest["headers"]["cookie"] == "a=1; b=2"
    for event in (http, url):
        assert event["rawQueryString"] == QUERY
        assert event["queryStringParameters"] == {"a": "1,2", **decoded}
        assert (event["headers"]["x-tag"], event["cookies"]) == ("one,two", ["a=1", "b=2"])
        assert "cookie" not in event["headers"]
    assert {event["headers"]["x-bytes"] for event in (rest, http, url)} == {"café"}
