"""The gateway before functions that run in this process: AWS's statuses and bodies, CORS, events."""

import asyncio
import json
import selectors
from collections.abc import Callable

import pytest

from pilotlight.errors import ModelNotInstalled, NotFound, PayloadTooLarge, Throttled
from pilotlight.events import Request, Response
from pilotlight.local.gateway import Gateway, Target
from pilotlight.local.streams import Streamed
from pilotlight.settings import Cors, Front
from pilotlight.values import Call, Result


def gateway(answer: Callable[[Call], Result], *targets: tuple[str, str, Target]) -> Gateway:
    async def invoke(call: Call) -> Result:
        return answer(call)

    return Gateway(invoke, targets)


def ask(front: Front, answer: Callable[[Call], Result], **fields: object) -> Response:
    target = Target("service--echo", "POST /echo/{id}", front)
    request = Request(**{"method": "POST", "path": "/echo/7", "request_id": "r-1", **fields})  # type: ignore[arg-type]
    return asyncio.run(gateway(answer, ("POST", "/echo/{id}", target))(request))


def fails(error: Exception) -> Callable[[Call], Result]:
    def answer(call: Call) -> Result:
        raise error

    return answer


REST_ERROR = '{"message": "Internal server error"}'
HTTP_ERROR = '{"message":"Internal Server Error"}'


@pytest.mark.parametrize(
    ("answer", "http", "rest", "url"),
    [
        (lambda call: Result(b'{"errorType": "E"}', "Unhandled"), (500, HTTP_ERROR), (502, REST_ERROR),
         (502, "Internal Server Error")),
        (lambda call: Result(b'{"statusCode": "x", "body": 1}'), (500, HTTP_ERROR), (502, REST_ERROR),
         (502, "Internal Server Error")),
        (fails(Throttled("Rate Exceeded.", reason="ReservedFunctionInvocationRateLimitExceeded")),
         (503, '{"message":"Service Unavailable"}'), (500, REST_ERROR),
         (429, '{"Reason":"ReservedFunctionInvocationRateLimitExceeded","Type":"User",'
               '"message":"Rate Exceeded."}')),
        (fails(PayloadTooLarge("too large")), (413, '{"message":"Request Entity Too Large"}'),
         (413, '{"message":"Request Too Long"}'),
         (413, '{"message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}')),
        (fails(NotFound("gone")), (404, '{"message":"Not Found"}'), (403, '{"message":"Missing Authentication Token"}'),
         (404, '{"Message":null}')),
        (fails(ModelNotInstalled("the model of qa is not installed", "install it with: make models")),
         (503, '{"message": "the model of qa is not installed; install it with: make models"}'),
         (503, '{"message": "the model of qa is not installed; install it with: make models"}'),
         (503, '{"message": "the model of qa is not installed; install it with: make models"}')),
        (lambda call: Result(b'{"statusCode": 201, "body": "made"}'), (201, "made"), (201, "made"), (201, "made")),
    ],
    ids=["function error", "malformed", "throttled", "too large", "gone", "no model", "answer"],
)  # fmt: skip
def test_answers_as_the_front_end_does(
    answer: Callable[[Call], Result], http: tuple[int, str], rest: tuple[int, str], url: tuple[int, str]
) -> None:
    expected: list[tuple[Front, tuple[int, str]]] = [("http", http), ("rest", rest), ("url", url)]
    for front, (status, body) in expected:
        response = ask(front, answer)
        assert (response.status, response.body.decode()) == (status, body), front


def test_hands_the_function_the_event_of_its_front_end() -> None:
    seen: list[dict[str, object]] = []

    def answer(call: Call) -> Result:
        assert (call.function, call.request_id) == ("service--echo", "r-1")
        seen.append(json.loads(call.payload))
        return Result(b"{}")

    ask("http", answer)
    ask("rest", answer)
    ask("url", answer)
    assert [event.get("version") for event in seen] == ["2.0", None, "2.0"]
    assert [event.get("routeKey") for event in seen] == ["POST /echo/{id}", None, "$default"]
    assert [event.get("resource") for event in seen] == [None, "/echo/{id}", None]
    assert [event.get("pathParameters") for event in seen] == [{"id": "7"}, {"id": "7"}, None]


def test_unknown_routes_are_not_found() -> None:
    empty = gateway(lambda call: Result(b""))
    assert asyncio.run(empty(Request("GET", "/nowhere", extended_id="JKJaXmPLvHcESHA="))) == Response(
        404,
        (("content-type", "application/json"), ("apigw-requestid", "JKJaXmPLvHcESHA=")),
        b'{"message":"Not Found"}',
    )


def test_a_known_path_without_that_method_is_answered_by_its_own_front_end() -> None:
    rest = gateway(lambda call: Result(b""), ("POST", "/echo", Target("service--echo", "POST /echo", "rest")))
    response = asyncio.run(rest(Request("GET", "/echo")))
    assert (response.status, response.body) == (403, b'{"message":"Missing Authentication Token"}')


def test_a_request_over_10_mb_does_not_reach_the_function() -> None:
    response = ask("http", fails(AssertionError("it was invoked")), body=b"x" * 10_485_761)
    assert (response.status, response.body) == (413, b'{"message":"Request Entity Too Large"}')


@pytest.mark.parametrize(
    ("front", "name"), [("http", "apigw-requestid"), ("rest", "x-amzn-requestid"), ("url", "x-amzn-requestid")]
)
def test_every_answer_carries_the_request_id(front: Front, name: str) -> None:
    assert ask(front, lambda call: Result(b"{}")).header(name) == "r-1"


def test_headers_of_the_connection_are_not_the_functions_to_set() -> None:
    headers = {"Content-Length": "999", "Transfer-Encoding": "chunked", "Date": "now", "X-Mine": "1"}
    payload = json.dumps({"statusCode": 200, "headers": headers}).encode()
    names = {name.lower() for name, _ in ask("http", lambda call: Result(payload)).headers}
    assert names == {"content-type", "x-mine", "apigw-requestid"}


@pytest.mark.parametrize(
    ("accept", "body"), [("image/png, text/html", b"hello"), ("text/html, image/png", b"aGVsbG8="), ("", b"aGVsbG8=")]
)
def test_a_rest_api_decodes_what_the_client_accepts_as_binary(accept: str, body: bytes) -> None:
    target = Target("service--echo", "GET /echo", "rest", binary_media_types=("image/png",))
    payload = b'{"statusCode": 200, "body": "aGVsbG8=", "isBase64Encoded": true}'
    served = gateway(lambda call: Result(payload), ("GET", "/echo", target))
    assert asyncio.run(served(Request("GET", "/echo", headers=(("accept", accept),)))).body == body


# time


@pytest.mark.parametrize(
    ("front", "status", "body"),
    [
        ("http", 503, '{"message":"Service Unavailable"}'),
        ("rest", 504, '{"message": "Endpoint request timed out"}'),
        ("url", 504, '{"Message":null}'),
    ],
)
def test_the_function_runs_on_when_the_gateway_has_given_up(front: Front, status: int, body: str) -> None:
    ended: list[str] = []

    async def main() -> Response | Streamed:
        released = asyncio.Event()

        async def invoke(call: Call) -> Result:
            await released.wait()
            ended.append(call.function)
            return Result(b"{}")

        target = Target("service--slow", "GET /slow", front)
        served = Gateway(invoke, [("GET", "/slow", target)], timeouts={front: 0.01})
        answer = await served(Request("GET", "/slow"))
        assert ended == []
        released.set()
        await asyncio.sleep(0.01)
        return answer

    answer = asyncio.run(main())
    assert isinstance(answer, Response)
    assert (answer.status, answer.body.decode(), ended) == (status, body, ["service--slow"])


class Leaping(selectors.DefaultSelector):
    """Waits for nothing: what there was to wait for is in `now`, which an event loop takes for its time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


def leaping_loop() -> asyncio.SelectorEventLoop:
    selector = Leaping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    return loop


@pytest.mark.parametrize(
    ("front", "streams", "seconds", "status"),
    [
        ("rest", False, 28.9, 200),
        ("rest", False, 29.1, 504),
        ("http", False, 29.9, 200),
        ("http", False, 30.1, 503),
        ("url", False, 899.9, 200),
        ("url", False, 900.1, 504),
        ("rest", True, 899.9, 200),
        ("rest", True, 900.1, 504),
    ],
)
def test_how_long_each_front_end_waits(front: Front, streams: bool, seconds: float, status: int) -> None:
    """By default, in a time that leaps."""

    async def invoke(call: Call) -> Result:
        await asyncio.sleep(seconds)
        return Result(b'{"body": "late"}')

    async def main() -> Response | Streamed:
        target = Target("f", "GET /slow", front, streams=streams)
        return await Gateway(invoke, [("GET", "/slow", target)])(Request("GET", "/slow"))

    with asyncio.Runner(loop_factory=leaping_loop) as runner:
        answer = runner.run(main())
    assert isinstance(answer, Response)
    assert answer.status == status


def test_a_rest_api_that_streams_waits_longer_than_one_that_does_not() -> None:
    async def invoke(call: Call) -> Result:
        await asyncio.sleep(0.05)
        return Result(b'{"body": "late"}')

    routes = [
        ("GET", path, Target("f", f"GET {path}", "rest", streams=path == "/streams")) for path in ("/streams", "/whole")
    ]
    served = Gateway(invoke, routes, timeouts={"rest": 0.01})
    answers = [asyncio.run(served(Request("GET", path))) for path in ("/streams", "/whole")]
    assert [answer.status for answer in answers if isinstance(answer, Response)] == [200, 504]


def test_the_trace_reaches_the_function_and_comes_back() -> None:
    seen: list[str] = []

    def answer(call: Call) -> Result:
        seen.append(call.trace_id)
        return Result(b"{}")

    header = (("x-amzn-trace-id", "Self=1-c-d;Root=1-a-b;Parent=f00;Sampled=1"),)
    answers = [ask(front, answer, headers=header).header("x-amzn-trace-id") for front in ("http", "rest", "url")]
    trace = "Root=1-a-b;Parent=f00;Sampled=1"
    assert (seen, answers) == ([trace] * 3, ["", trace, trace])


# CORS

ORIGIN = ("origin", "https://a.example")
SETTINGS = Cors(
    origins=("https://a.example",), methods=("GET", "POST"), headers=("content-type",), expose=("x-mine",), max_age=600
)
OWN_HEADERS = json.dumps(
    {
        "statusCode": 200,
        "headers": {"Access-Control-Allow-Origin": "*", "access-control-allow-headers": "x"},
        "body": "",
    }
).encode()


def ask_cors(settings: Cors | None, method: str, *headers: tuple[str, str]) -> Response:
    target = Target("service--echo", "ANY /echo", "http", settings)
    served = gateway(lambda call: Result(OWN_HEADERS), ("ANY", "/echo", target))
    return asyncio.run(served(Request(method, "/echo", headers=headers)))


def cors_headers(response: Response) -> dict[str, str]:
    pairs = [(name.lower(), value) for name, value in response.headers if name.lower().startswith("access-control-")]
    assert len(pairs) == len(dict(pairs)), "a CORS header is there twice"
    return dict(pairs)


def test_a_preflight_is_answered_without_the_function() -> None:
    response = ask_cors(SETTINGS, "OPTIONS", ORIGIN, ("access-control-request-method", "POST"))
    assert response.status == 204
    assert cors_headers(response) == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "content-type",
        "access-control-max-age": "600",
    }


def test_a_preflight_of_another_origin_allows_nothing() -> None:
    headers = (("origin", "https://b.example"), ("access-control-request-method", "POST"))
    response = ask_cors(SETTINGS, "OPTIONS", *headers)
    assert (response.status, cors_headers(response)) == (204, {})


def test_the_settings_replace_the_functions_own_headers() -> None:
    assert cors_headers(ask_cors(SETTINGS, "POST", ORIGIN)) == {
        "access-control-allow-origin": "https://a.example",
        "access-control-expose-headers": "x-mine",
    }


def test_credentials_are_allowed_to_a_named_origin_only() -> None:
    settings = Cors(origins=("https://a.example",), credentials=True)
    assert cors_headers(ask_cors(settings, "POST", ORIGIN)) == {
        "access-control-allow-origin": "https://a.example",
        "access-control-allow-credentials": "true",
    }


def test_any_origin() -> None:
    assert cors_headers(ask_cors(Cors(origins=("*",)), "POST", ORIGIN)) == {"access-control-allow-origin": "*"}


def test_without_an_origin_there_are_no_cors_headers() -> None:
    assert cors_headers(ask_cors(SETTINGS, "POST")) == {}


@pytest.mark.parametrize("settings", [None, Cors()])
def test_without_settings_the_functions_own_headers_pass(settings: Cors | None) -> None:
    assert cors_headers(ask_cors(settings, "POST", ORIGIN)) == {
        "access-control-allow-origin": "*",
        "access-control-allow-headers": "x",
    }


def test_without_settings_options_is_a_method_like_any_other() -> None:
    response = ask_cors(None, "OPTIONS", ORIGIN, ("access-control-request-method", "POST"))
    assert response.status == 200
