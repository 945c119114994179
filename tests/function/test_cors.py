"""CORS of answers, as an endpoint behind a REST API gives it on AWS."""

import json

import pytest

from pilotlight import endpoint
from pilotlight.events import Response
from pilotlight.function import cors
from pilotlight.function.runtime_client import Stream

PAGE = "https://example.com"
ALLOWED = {"origins": [PAGE, "https://example.org"], "expose": ["x-score"], "credentials": True}
ANY = {"origins": ["*"], "expose": [], "credentials": False}


@endpoint
def handler(text: str) -> Response:
    own = (("content-type", "text/plain"), ("Access-Control-Allow-Origin", "https://own.example"))
    return Response(200, own, text.encode())


@endpoint
def streamed(text: str):  # type: ignore[no-untyped-def]
    yield text


def rest(origin: str, body: str = '{"text": "hello"}') -> dict[str, object]:
    headers = {"content-type": "application/json", **({"Origin": origin} if origin else {})}
    return {"httpMethod": "POST", "resource": "/qa", "path": "/qa", "headers": headers, "body": body}


def http(origin: str) -> dict[str, object]:
    context = {"http": {"method": "POST", "path": "/qa"}}
    headers = {"content-type": "application/json", "origin": origin}
    return {"version": "2.0", "requestContext": context, "headers": headers, "body": '{"text": "hello"}'}


@pytest.mark.parametrize(
    ("settings", "origin", "expected"),
    [
        (
            ALLOWED,
            PAGE,
            {
                "access-control-allow-origin": PAGE,
                "vary": "origin",
                "access-control-allow-credentials": "true",
                "access-control-expose-headers": "x-score",
            },
        ),
        (ALLOWED, "https://other.example", {}),
        (ALLOWED, "", {}),
        (ANY, "https://other.example", {"access-control-allow-origin": "*"}),
        (ANY, "", {}),
    ],
)
def test_the_settings_take_the_place_of_the_functions_own(
    settings: object, origin: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cors.VARIABLE, json.dumps(settings))
    assert handler(rest(origin)) == {
        "statusCode": 200,
        "headers": {"content-type": "text/plain", **expected},
        "body": "hello",
        "isBase64Encoded": False,
    }


def test_an_error_can_be_read_by_the_page_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cors.VARIABLE, json.dumps(ANY))
    answer = handler(rest(PAGE, "{}"))
    assert (answer["statusCode"], answer["headers"]["access-control-allow-origin"]) == (400, "*")


def test_an_answer_that_streams_begins_with_the_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cors.VARIABLE, json.dumps(ANY))

    class Context:
        can_stream = True

    answer = streamed(rest(PAGE), Context())
    assert isinstance(answer, Stream)
    assert answer.head["headers"]["access-control-allow-origin"] == "*"


def test_other_fronts_set_them_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cors.VARIABLE, json.dumps(ANY))
    assert handler(http(PAGE))["headers"]["access-control-allow-origin"] == "https://own.example"


def test_without_the_variable_an_answer_is_the_functions_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cors.VARIABLE, raising=False)
    assert handler(rest(PAGE))["headers"]["access-control-allow-origin"] == "https://own.example"
