"""One endpoint behind every front end: full events in, full answers out."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from functools import wraps
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import FunctionError, InputError, ModelNotInstalled
from pilotlight.events import Request, Response
from pilotlight.function.endpoint import endpoint

CONTEXT = SimpleNamespace(aws_request_id="79104EXAMPLEB723")


class Answer(NamedTuple):
    text: str
    score: float


class Question(msgspec.Struct):
    question: str
    stars: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0


@endpoint
def qa(question: str, context: str, top: int = 1, tags: list[str] | None = None) -> list[Answer]:
    """Answer a question."""
    return [Answer(f"{question} {context} {tags}", top / 2)]


@endpoint
def greet(name: str) -> str:
    return f"Grüße, {name}"


@endpoint
def rate(item: Question) -> Question:
    return item


@endpoint
def count(words: dict[str, int]) -> int:
    return sum(words.values())


@endpoint
def echo(value: Any) -> Any:
    return value


V1 = {
    "resource": "/qa/{question}",
    "path": "/qa/who",
    "httpMethod": "POST",
    "headers": {"Content-Type": "application/json"},
    "multiValueHeaders": {"Content-Type": ["application/json"]},
    "queryStringParameters": {"top": "4", "tags": "b"},
    "multiValueQueryStringParameters": {"top": ["3", "4"], "tags": ["a", "b"]},
    "pathParameters": {"question": "who"},
    "stageVariables": None,
    "requestContext": {"stage": "prod", "requestId": "c6af9ac6-7b61", "identity": {"sourceIp": "203.0.113.1"}},
    "body": '{"context": "Köln", "question": "ignored"}',
    "isBase64Encoded": False,
}
V2 = {
    "version": "2.0",
    "routeKey": "POST /qa",
    "rawPath": "/qa",
    "rawQueryString": "tags=a&tags=b&top=4",
    "headers": {"content-type": "application/x-www-form-urlencoded"},
    "queryStringParameters": {"tags": "a,b", "top": "4"},
    "requestContext": {
        "http": {
            "method": "POST",
            "path": "/qa",
            "protocol": "HTTP/1.1",
            "sourceIp": "203.0.113.1",
            "userAgent": "curl",
        },
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": "POST /qa",
        "stage": "$default",
    },
    "body": base64.b64encode(b"question=who&context=K%C3%B6ln+am+Rhein&tags=c").decode(),
    "isBase64Encoded": True,
}
URL = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/",
    "rawQueryString": "",
    "headers": {"content-type": "application/json; charset=utf-8"},
    "requestContext": {
        "domainName": "abc.lambda-url.eu-central-1.on.aws",
        "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1", "userAgent": "curl"},
        "requestId": "e1506fd5",
        "routeKey": "$default",
        "stage": "$default",
    },
    "body": '{"top": "2"}',
    "isBase64Encoded": False,
}


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (
            V1,
            {
                "statusCode": 200,
                "headers": {"content-type": "application/json"},
                "body": '[{"text":"who Köln [\'a\', \'b\']","score":2.0}]',
                "isBase64Encoded": False,
            },
        ),
        (
            V2,
            {
                "statusCode": 200,
                "headers": {"content-type": "application/json"},
                "body": '[{"text":"who Köln am Rhein [\'c\']","score":2.0}]',
                "isBase64Encoded": False,
            },
        ),
        (
            URL,
            {
                "statusCode": 400,
                "headers": {"content-type": "application/json"},
                "body": '{"message":"question: missing; context: missing; top: expected int, got str","errors":'
                '[{"field":"question","reason":"missing"},{"field":"context","reason":"missing"},'
                '{"field":"top","reason":"expected int, got str"}],"requestId":"79104EXAMPLEB723"}',
                "isBase64Encoded": False,
            },
        ),
        (
            {"question": "who", "context": "Köln", "top": 3, "more": True},
            [{"text": "who Köln None", "score": 1.5}],
        ),
    ],
    ids=["rest", "http", "url", "bare"],
)
def test_each_front_end(event: dict[str, Any], answer: object) -> None:
    assert qa(event, CONTEXT) == answer


def http(
    body: bytes | str = b"", kind: str = "application/json", query: str = "", path: dict[str, str] | None = None
) -> dict[str, Any]:
    """An HTTP API's event."""
    content = body.encode() if isinstance(body, str) else body
    return {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": query,
        "pathParameters": path,
        "headers": {"content-type": kind} if kind else {},
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "body": base64.b64encode(content).decode(),
        "isBase64Encoded": True,
    }


@pytest.mark.parametrize(
    ("handler", "event", "status", "body"),
    [
        (greet, http('{"name": "Ada"}'), 200, "Grüße, Ada"),
        (greet, http('"Ada"'), 200, "Grüße, Ada"),
        (greet, http('{"name": "Ada"}', "application/problem+json"), 200, "Grüße, Ada"),
        (greet, http("Ada", "text/plain; charset=utf-8"), 200, "Grüße, Ada"),
        (greet, http("Ada", ""), 200, "Grüße, Ada"),
        (greet, http('{"name": "Ada"}', ""), 200, "Grüße, Ada"),
        (greet, http('{"name": "Ada"}', "application/x-www-form-urlencoded"), 200, "Grüße, Ada"),
        (greet, http("name=Ada&name=Eve", "application/x-www-form-urlencoded"), 200, "Grüße, Eve"),
        (greet, http(b"", "image/png", query="name=Ada"), 200, "Grüße, Ada"),
        (greet, http('{"name": "body"}', query="name=query"), 200, "Grüße, body"),
        (greet, http('{"name": "body"}', path={"name": "path"}), 200, "Grüße, path"),
        (greet, http('{"name": "a", "name": "b"}'), 200, "Grüße, b"),
        (rate, http('{"question": "Why?", "stars": 4}'), 200, '{"question":"Why?","stars":4}'),
        (rate, http('{"item": {"question": "Why?"}}'), 200, '{"question":"Why?","stars":0}'),
        (rate, http(query="item=%7B%22question%22%3A%22Why%3F%22%7D"), 200, '{"question":"Why?","stars":0}'),
        (count, http('{"a": 1, "words": 2}'), 200, "3"),
        (count, http('{"words": {"a": 1}}'), 200, "1"),
        (echo, http("null"), 200, "null"),
        (echo, http('{"value": {"ü": [1.5, true]}}'), 200, '{"ü":[1.5,true]}'),
    ],
)
def test_what_a_body_may_be(handler: Any, event: dict[str, Any], status: int, body: str) -> None:
    result = handler(event, CONTEXT)
    assert (result["statusCode"], result["body"]) == (status, body)


@pytest.mark.parametrize(
    ("handler", "event", "status", "message"),
    [
        (greet, http(), 400, "name: missing"),
        (greet, http('{"nmae": "Ada"}'), 400, "name: missing ('nmae' was given: did you mean 'name'?)"),
        (greet, http('{"name": 3}'), 400, "name: expected str, got int"),
        (greet, http('{"name": "\\ud800"}'), 400, "name: not valid Unicode"),
        (greet, http("[1]"), 400, "expected str, got array"),
        (qa, http("[1]"), 400, "expected an object of fields, got array"),
        (
            qa,
            http("{'a'"),
            400,
            "body: not valid JSON: Expecting property name enclosed in double quotes at line 1 column 2",
        ),
        (greet, http('{"name":\n x}'), 400, "body: not valid JSON: Expecting value at line 2 column 2"),
        (greet, http('{"name": NaN}'), 400, "body: not valid JSON: NaN is no JSON number"),
        (greet, http("[" * 100_000), 400, "body: not valid JSON: nested too deeply"),
        (greet, http("9" * 5_000), 400, "body: not valid JSON: a number has too many digits"),
        (greet, http(b'"\xff"'), 400, "body: not valid UTF-8 at byte 1"),
        (
            greet,
            http("name=%FF", "application/x-www-form-urlencoded"),
            400,
            "body: not valid UTF-8 behind the percent signs",
        ),
        (greet, {**http(), "body": "*"}, 400, None),
        (greet, http("x", "image/png"), 415, "content-type: image/png is not supported here"),
        (qa, http("x", "text/plain"), 415, "content-type: text/plain is not supported here"),
        (rate, http('{"stars": 4}'), 400, "question: missing"),
        (rate, http('{"item": {"stars": 4}}'), 400, "item.question: missing"),
        (rate, http('{"question": "", "stars": 6}'), 400, "stars: expected int <= 5"),
        (rate, http("3"), 400, "expected object, got int"),
        (count, http('{"a": 1, "b": "x"}'), 400, "b: expected int, got str"),
    ],
)
def test_a_request_that_does_not_fit(handler: Any, event: dict[str, Any], status: int, message: str | None) -> None:
    result = handler(event, CONTEXT)
    body = json.loads(result["body"])
    assert result["statusCode"] == status
    assert body["requestId"] == "79104EXAMPLEB723"
    assert message in (None, body["message"])
    assert {"field", "reason"} == set(body["errors"][0])


@pytest.mark.parametrize(
    ("handler", "event", "message"),
    [
        (qa, {"question": 1}, "question: expected str, got int; context: missing"),
        (qa, [1], "expected an object of fields, got array"),
        (greet, None, "expected str, got null"),
        (rate, {"stars": 1}, "question: missing"),
    ],
)
def test_a_bare_event_that_does_not_fit(handler: Any, event: object, message: str) -> None:
    with pytest.raises(InputError) as raised:
        handler(event)
    assert str(raised.value) == message


class Colour(msgspec.Struct):
    name: str
    rgb: tuple[int, int, int]


@pytest.mark.parametrize(
    ("value", "kind", "body", "bare"),
    [
        ("ü", "text/plain; charset=utf-8", "ü", "ü"),
        (b"\xff", "application/octet-stream", "/w==", "/w=="),
        (bytearray(b"a"), "application/octet-stream", "YQ==", "YQ=="),
        (memoryview(b"a"), "application/octet-stream", "YQ==", "YQ=="),
        (None, "application/json", "null", None),
        (True, "application/json", "true", True),
        (2.5, "application/json", "2.5", 2.5),
        ((1, "ü"), "application/json", '[1,"ü"]', [1, "ü"]),
        ({"a": (Answer("x", 1.0),)}, "application/json", '{"a":[{"text":"x","score":1.0}]}',
         {"a": [{"text": "x", "score": 1.0}]}),
        (Colour("red", (255, 0, 0)), "application/json", '{"name":"red","rgb":[255,0,0]}',
         {"name": "red", "rgb": [255, 0, 0]}),
        (numpy.float32(0.5), "application/json", "0.5", 0.5),
        ({"v": numpy.array([[1, 2]])}, "application/json", '{"v":[[1,2]]}', {"v": [[1, 2]]}),
    ],
)  # fmt: skip
def test_what_a_function_may_return(value: object, kind: str, body: str, bare: object) -> None:
    handler = endpoint(lambda: value)
    result = handler(http())
    assert (result["statusCode"], result["headers"], result["body"]) == (200, {"content-type": kind}, body)
    assert json.loads(json.dumps(handler({}))) == bare


def test_a_response_stands_as_it_is() -> None:
    handler = endpoint(lambda: Response(201, (("Location", "/1"), ("Content-Type", "text/plain")), b"made"))
    expected = {
        "statusCode": 201,
        "headers": {"location": "/1", "content-type": "text/plain"},
        "body": "made",
        "isBase64Encoded": False,
    }
    assert handler(http()) == expected
    assert handler({}) == expected


def test_generators_are_joined() -> None:
    @endpoint
    def texts() -> Iterator[str]:
        yield from ("a", "ü")

    @endpoint
    def pieces() -> Iterator[str | bytes]:
        yield from ("a", b"\xff")

    @endpoint
    async def later() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    assert [handler(http())["body"] for handler in (texts, pieces, later)] == ["aü", "Yf8=", "ab"]
    assert texts({}) == "aü"


STREAMING = SimpleNamespace(aws_request_id="79104EXAMPLEB723", can_stream=True)
TEXT = {"statusCode": 200, "headers": {"content-type": "text/plain; charset=utf-8"}}
BYTES = {"statusCode": 200, "headers": {"content-type": "application/octet-stream"}}


def streamed(handler: Any, event: Any = None) -> tuple[object, list[bytes]]:
    stream = handler(event or http(), STREAMING)
    return stream.head, list(stream.chunks)


def test_generators_are_streamed_where_the_url_streams() -> None:
    @endpoint
    def texts() -> Iterator[str]:
        yield from ("a", "", "ü")

    @endpoint
    def pieces() -> Iterator[str | bytes | bytearray | memoryview]:
        yield from (b"\xff", "ü", bytearray(b"a"), memoryview(b"b"))

    @endpoint
    async def later() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    @endpoint
    def nothing() -> Iterator[str]:
        yield from ()

    assert streamed(texts) == (TEXT, [b"a", "ü".encode()])
    assert streamed(pieces) == (BYTES, [b"\xff", "ü".encode(), b"a", b"b"])
    assert streamed(later) == (TEXT, [b"a", b"b"])
    assert streamed(nothing) == (TEXT, [])


def test_a_response_that_is_yielded_first_gives_status_and_headers() -> None:
    @endpoint
    def events() -> Iterator[Response | str]:
        yield Response(201, (("Content-Type", "text/event-stream"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")), b"0")
        yield "1"

    head = {"statusCode": 201, "headers": {"content-type": "text/event-stream"}, "cookies": ["a=b", "c=d"]}
    assert streamed(events) == (head, [b"0", b"1"])
    assert events(http()) == {**head, "body": "01", "isBase64Encoded": False}
    assert events({}) == {**head, "body": "01", "isBase64Encoded": False}


def test_a_streaming_url_gets_every_answer_as_a_stream() -> None:
    @endpoint
    def fails() -> Iterator[str]:
        raise ValueError("before the first chunk")
        yield

    @endpoint
    def wrong() -> Iterator[Any]:
        yield Response(99)

    json_head = {"headers": {"content-type": "application/json"}}
    head, [body] = streamed(qa)
    assert (head, json.loads(body)["message"]) == (
        {"statusCode": 400, **json_head},
        "question: missing; context: missing",
    )
    error = b'{"message":"Internal Server Error","requestId":"79104EXAMPLEB723"}'
    assert streamed(fails) == ({"statusCode": 500, **json_head}, [error])
    assert streamed(wrong) == ({"statusCode": 500, **json_head}, [error])
    assert streamed(greet, http('{"name": "Ada"}')) == (TEXT, ["Grüße, Ada".encode()])
    assert streamed(endpoint(lambda: Response(204))) == ({"statusCode": 204}, [])


def test_a_generator_runs_on_only_when_its_chunks_are_asked_for() -> None:
    made = []

    @endpoint
    async def count() -> AsyncIterator[str]:
        for number in "123":
            made.append(number)
            yield number

    chunks = count(http(), STREAMING).chunks
    assert [(next(chunks), list(made)) for _ in range(2)] == [(b"1", ["1"]), (b"2", ["1", "2"])]


@pytest.mark.parametrize("chunk", [1, None, ["a"], Response()])
def test_what_is_no_chunk_breaks_the_stream_off(chunk: object) -> None:
    @endpoint
    def mixed() -> Iterator[Any]:
        yield "a"
        yield chunk

    chunks = mixed(http(), STREAMING).chunks
    assert next(chunks) == b"a"
    with pytest.raises(TypeError, match=f"the function yielded {type(chunk).__name__}: a chunk is str or bytes"):
        next(chunks)


def test_async_functions_share_one_event_loop() -> None:
    import asyncio

    @endpoint
    async def loop() -> int:
        await asyncio.sleep(0)
        return id(asyncio.get_running_loop())

    assert loop({}) == loop({})


def fail(error: Exception) -> Any:
    @endpoint
    def failing() -> None:
        raise error

    return failing


@pytest.mark.parametrize(
    "handler",
    [
        fail(KeyError("a secret")),
        endpoint(lambda: float("nan")),
        endpoint(lambda: object()),
        endpoint(lambda: {1, object()}),
        endpoint(lambda: "\ud800"),
        endpoint(lambda: Response(200, {"a": "b"}, b"")),  # type: ignore[arg-type]
        endpoint(lambda: Response(0)),
        endpoint(lambda: Response(200, (), "text")),  # type: ignore[arg-type]
    ],
)
def test_what_goes_wrong_inside_stays_inside(handler: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert handler(http(), CONTEXT) == {
        "statusCode": 500,
        "headers": {"content-type": "application/json"},
        "body": '{"message":"Internal Server Error","requestId":"79104EXAMPLEB723"}',
        "isBase64Encoded": False,
    }
    log = capsys.readouterr().err
    assert log.startswith("79104EXAMPLEB723: answering the request failed\nTraceback (most recent call last):\n")


def test_what_the_function_itself_refuses_is_400() -> None:
    result = fail(InputError(("image", "too dark")))(http(), CONTEXT)
    assert result["statusCode"] == 400
    assert json.loads(result["body"])["message"] == "image: too dark"


def test_a_model_that_is_not_installed_is_503() -> None:
    error = ModelNotInstalled("the model of qa is not installed", "pilotlight optimize qa")
    assert fail(error)(http(), CONTEXT) == {
        "statusCode": 503,
        "headers": {"content-type": "application/json"},
        "body": '{"message":"the model of qa is not installed","hint":"pilotlight optimize qa",'
        '"requestId":"79104EXAMPLEB723"}',
        "isBase64Encoded": False,
    }


def test_a_bare_event_lets_exceptions_through() -> None:
    with pytest.raises(KeyError):
        fail(KeyError("a"))({})


def test_the_function_stays_callable() -> None:
    assert qa.function("who", "Köln", top=2) == [Answer("who Köln None", 1.0)]
    assert (qa.__name__, qa.__doc__, qa.__module__) == ("qa", "Answer a question.", __name__)


def test_every_kind_of_parameter() -> None:
    @endpoint
    def f(a: int, /, b: "int" = 2, *, c: Literal["x", "y"], d: float = 0.5) -> list[object]:
        return [a, b, c, d]

    assert f({"a": 1, "c": "x"}) == [1, 2, "x", 0.5]
    assert f({"a": 1, "b": 3, "c": "y", "d": 1}) == [1, 3, "y", 1.0]


def test_a_decorated_function_is_read_through_its_decorator() -> None:
    def doubled(function: Any) -> Any:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return 2 * function(*args, **kwargs)

        return wrapper

    @endpoint
    @doubled
    def f(a: int) -> int:
        return a + 1

    assert f({"a": 1}) == 4


def test_the_whole_request_and_the_context() -> None:
    from pilotlight.function.inputs import Context

    @endpoint
    def f(request: Request, context: Context, top: int) -> list[object]:
        return [request.method, request.body.decode(), context.aws_request_id, top]

    assert json.loads(f(http('{"top": 1}'), CONTEXT)["body"]) == ["POST", '{"top": 1}', "79104EXAMPLEB723", 1]
    assert f({"top": 1}, CONTEXT) == ["POST", '{"top": 1}', "79104EXAMPLEB723", 1]


def star(*names: str) -> None: ...
def stars(**names: str) -> None: ...
def unknown(name: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def two_structs(value: Question | Colour) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (star, "reading the parameters of test_endpoint.star: *args and **kwargs have no names to bind a request to"),
        (stars, "reading the parameters of test_endpoint.stars: *args and **kwargs have no names to bind a request to"),
        (unknown, "reading the annotations of test_endpoint.unknown: name 'Nowhere' is not defined"),
        (len, "@endpoint takes a function, got builtin_function_or_method"),
        (two_structs, None),
    ],
)
def test_a_function_that_cannot_be_an_endpoint(function: Any, message: str | None) -> None:
    with pytest.raises(FunctionError) as raised:
        endpoint(function)
    assert message in (None, str(raised.value))
    assert raised.value.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("body", "headers", "rawQueryString", "queryStringParameters", "pathParameters", "isBase64Encoded", "cookies")


@given(st.sampled_from([qa, greet, rate, count, echo]), st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_event_behind_http_is_answered(handler: Any, fields: dict[str, Any]) -> None:
    result = handler({**fields, "requestContext": {"http": {"method": "POST"}}}, None)
    assert result["statusCode"] in (200, 400, 415, 500)


@given(st.sampled_from([qa, greet, rate, count, echo]), JSON)
def test_any_json_body_is_answered(handler: Any, value: object) -> None:
    result = handler(http(json.dumps(value)), None)
    assert result["statusCode"] in (200, 400)


KINDS = ["", "application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]


@given(st.sampled_from([qa, greet, rate, count, echo]), st.binary(), st.sampled_from(KINDS))
def test_any_bytes_are_answered(handler: Any, body: bytes, kind: str) -> None:
    assert handler(http(body, kind), None)["statusCode"] in (200, 400, 415)


COLD = """
import sys
bare = set(sys.modules)
from pilotlight import endpoint

@endpoint
def handler(question: str, top: int = 1, tags: list[str] | None = None) -> dict[str, object]:
    return {"question": question, "top": top}

handler({"requestContext": {"http": {"method": "POST"}}, "headers": {"content-type": "application/json"},
         "body": '{"question": "who"}'}, None)
print(*(set(sys.modules) - bare))
"""
HEAVY = {
    "asyncio", "base64", "dataclasses", "datetime", "difflib", "email", "http", "inspect", "logging", "msgspec",
    "multipart", "numpy", "ssl", "traceback", "urllib",
}  # fmt: skip


def test_the_cold_path_loads_nothing_heavy() -> None:
    output = subprocess.run([sys.executable, "-c", COLD], check=True, capture_output=True, text=True).stdout
    loaded = {name.partition(".")[0] for name in output.split()}
    assert "pilotlight" in loaded
    assert loaded & HEAVY == set()
