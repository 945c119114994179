"""Saved events as clients send them, answered by a server that is not ready at once, and by Lambda's API."""

import http.server
import io
import json
import threading
from collections.abc import Iterator

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from conftest import MakeService
from pilotlight.deploy import live, prune, session
from pilotlight.deploy.live import Request
from pilotlight.deploy.prune import Stale
from pilotlight.deploy.session import Session

PLAIN = "def handler(event, context):\n    return event\n"
API = "https://x.execute-api.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("route", "event", "expected"),
    [
        ("POST /qa", {"a": "é"}, Request("POST", f"{API}/qa", '{"a": "é"}'.encode())),
        ("ANY /qa", {"a": 1}, Request("POST", f"{API}/qa", b'{"a": 1}')),
        ("GET /qa", {"q": "a b&c", "n": 1}, Request("GET", f"{API}/qa?q=a%20b%26c&n=1", b"")),
        ("GET /qa", {}, Request("GET", f"{API}/qa", b"")),
        ("GET /qa/{id}", {"id": "a/b", "n": 1}, Request("GET", f"{API}/qa/a%2Fb?n=1", b"")),
        ("PUT /files/{path+}", {"path": "a/b c", "n": 1}, Request("PUT", f"{API}/files/a/b%20c", b'{"n": 1}')),
        ("GET /qa/{id}", {"n": 1}, None),
        ("POST /qa", {"version": "2.0", "requestContext": {}}, None),
        ("POST /qa", ["a list"], None),
    ],
)
def test_an_event_as_a_request(make_service: MakeService, route: str, event: object, expected: Request | None) -> None:
    service = make_service({"inference/qa.py": PLAIN}, f'[functions.qa]\nroute = "{route}"\n')
    url = API + route.partition(" ")[2]
    assert live.request(service.functions[0], url, json.dumps(event).encode()) == expected


def test_a_function_without_routes_has_no_request(make_service: MakeService) -> None:
    service = make_service({"inference/qa.py": PLAIN}, "[functions.qa]\nroute = []\n")
    assert live.request(service.functions[0], "", b"{}") is None


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (
            Request("POST", "https://x/qa", b'{"a": "it\'s"}'),
            "curl -s 'https://x/qa' -H 'content-type: application/json' -d '{\"a\": \"it'\\''s\"}'",
        ),
        (
            Request("PUT", "https://x/qa", b"{}"),
            "curl -s -X PUT 'https://x/qa' -H 'content-type: application/json' -d '{}'",
        ),
        (Request("GET", "https://x/qa?a=1", b""), "curl -s 'https://x/qa?a=1'"),
        (Request("DELETE", "https://x/qa", b""), "curl -s -X DELETE 'https://x/qa'"),
    ],
)
def test_a_line_for_a_shell(request_: Request, line: str) -> None:
    assert request_.curl() == line


class Front:
    """Answers with these statuses, one after another; `length` is what it wrongly says of their bodies."""

    def __init__(self, *statuses: int, length: int = 0) -> None:
        waiting = list(statuses)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(waiting.pop(0))
                if length:
                    self.send_header("content-length", str(length))
                self.end_headers()
                self.wfile.write(b'{"message": "x"}')

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.waiting = waiting
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def fronts() -> Iterator[list[Front]]:
    started: list[Front] = []
    yield started
    for front in started:
        front.server.shutdown()
        front.server.server_close()


@pytest.mark.parametrize(
    ("statuses", "error", "waits"),
    [
        ([200], "", []),
        ([403, 503, 200], "", [2.0, 4.0]),
        ([500], "HTTP 500", []),
        ([403] * 5, "HTTP 403", [2.0, 4.0, 8.0, 16.0]),
    ],
)
def test_a_front_that_is_not_ready_at_once(
    fronts: list[Front], statuses: list[int], error: str, waits: list[float]
) -> None:
    front = Front(*statuses)
    fronts.append(front)
    threading.Thread(target=front.server.serve_forever).start()
    slept: list[float] = []
    answer = live.send(Request("GET", front.url, b""), 60, slept.append)
    assert (answer.error, answer.text, slept, front.waiting) == (error, '{"message": "x"}', waits, [])


def test_a_front_that_is_not_there() -> None:
    answer = live.send(Request("GET", "http://127.0.0.1:1/", b""), 60, lambda seconds: None)
    assert answer.error == "no answer: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"StatusCode": 200, "payload": b'{"a": 1}'}, ""),
        ({"StatusCode": 200, "payload": b'{"statusCode": 200, "body": "a"}'}, ""),
        ({"StatusCode": 200, "payload": b'{"statusCode": 400, "body": "a"}'}, "HTTP 400"),
        ({"StatusCode": 200, "FunctionError": "Unhandled", "payload": b'{"errorType": "E"}'}, "Unhandled"),
    ],
)
def test_by_the_invoke_api(aws: Session, answer: dict[str, object], error: str) -> None:
    payload = answer.pop("payload")
    assert isinstance(payload, bytes)
    body = StreamingBody(io.BytesIO(payload), len(payload))
    aws.use("lambda", aws.client("lambda"))
    with Stubber(aws.client("lambda")) as stub:
        asked = {"FunctionName": "qa--qa", "Qualifier": "live", "Payload": b"{}"}
        stub.add_response("invoke", {**answer, "Payload": body}, asked)
        found = live.invoke(aws, "qa--qa", b"{}", 60)
    assert (found.how, found.error, found.text) == ("Invoke", error, payload.decode())


def test_a_call_that_is_refused_is_an_answer_too(aws: Session) -> None:
    """The others are asked, and the URLs printed, all the same."""
    aws.use("lambda", aws.client("lambda"))
    with Stubber(aws.client("lambda")) as stub:
        stub.add_client_error("invoke", "TooManyRequestsException", "Rate Exceeded.", 429)
        found = live.invoke(aws, "qa--qa", b"{}", 60)
    assert found.error == "no answer: invoking qa--qa: Rate Exceeded. (TooManyRequestsException)"


def test_a_call_is_made_once(environ: None, monkeypatch: pytest.MonkeyPatch, fronts: list[Front]) -> None:
    """Asked again after an answer of 503, or after none, the function would run again."""
    front = Front(503, 200)
    fronts.append(front)
    threading.Thread(target=front.server.serve_forever).start()
    found = session.open()
    monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
    found.client("lambda")  # as is asked for stale versions
    assert live.invoke(found, "qa--qa", b"{}", 60).error.startswith("no answer: invoking qa--qa: ")
    assert front.waiting == [200]


def test_an_answer_that_breaks_off(fronts: list[Front]) -> None:
    front = Front(*[200] * 5, length=100)
    fronts.append(front)
    threading.Thread(target=front.server.serve_forever).start()
    answer = live.send(Request("GET", front.url, b""), 60, lambda seconds: None)
    assert answer.error.startswith("no answer: IncompleteRead")


def test_versions_that_no_alias_leads_to(aws: Session) -> None:
    with Stubber(aws.client("lambda")) as stub:
        weights = {"RoutingConfig": {"AdditionalVersionWeights": {"4": 0.1}}}
        aliases = [{"Name": "live", "FunctionVersion": "3", **weights}, {"Name": "own", "FunctionVersion": "1"}]
        stub.add_response("list_aliases", {"Aliases": aliases}, {"FunctionName": "qa--qa"})
        versions = [{"Version": version} for version in ("$LATEST", "1", "2", "3", "4")]
        stub.add_response("list_versions_by_function", {"Versions": versions}, {"FunctionName": "qa--qa"})
        stub.add_client_error("list_aliases", "ResourceNotFoundException", "none", 404)
        found = prune.stale(aws, ["qa--qa", "qa--gone"])
        assert found == [Stale("qa--qa", "2")]
        stub.add_response("delete_function", {}, {"FunctionName": "qa--qa", "Qualifier": "2"})
        prune.remove(aws, found)
        stub.assert_no_pending_responses()
