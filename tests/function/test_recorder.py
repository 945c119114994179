import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotlight.errors import TableError
from pilotlight.function import items, record_lines, records
from pilotlight.function.records import Recorder, Settings, Store
from pilotlight.function.table import Item

V1 = {"httpMethod": "POST", "resource": "/qa/{id}", "path": "/qa/7", "pathParameters": {"id": "7"}, "headers": None}
V2 = {
    "version": "2.0",
    "routeKey": "POST /qa",
    "rawPath": "/qa",
    "headers": {"content-type": "application/json"},
    "requestContext": {"http": {"method": "POST", "path": "/qa"}},
    "body": '{"question": "how?"}',
    "isBase64Encoded": False,
}


DEFAULTS = Settings()


def record(
    event: dict[str, Any], answer: object = None, settings: Settings = DEFAULTS, error: dict[str, str] | None = None
) -> Item:
    """What is recorded of an invocation, without what differs each time."""
    recorder = Recorder(settings, "service--qa")
    recorder.begin(json.dumps(event).encode())

    def handler(event: dict[str, Any], context: object) -> object:
        event.clear()  # a handler may do so
        return answer

    recorder.watch(handler)(dict(event), None)
    made = recorder.failed("5d2f", error) if error else recorder.answered("5d2f", json.dumps(answer).encode())
    item = items.decode(json.loads(made))
    assert sorted(json.loads(items.encode(item, "primary_key"))) == sorted(json.loads(made))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(item.pop("createdAt")))
    latency = item.pop("latency_ms")
    assert isinstance(latency, float | int)
    assert latency >= 0
    return item


def test_a_bare_invocation() -> None:
    assert record({"question": "how?"}, {"answer": 42}) == {
        "primary_key": "5d2f",
        "function": "service--qa",
        "cold": True,
        "input": '{"question": "how?"}',
        "output": '{"answer": 42}',
    }


def test_an_http_request() -> None:
    answer = {"statusCode": 400, "headers": {"content-type": "application/json"}, "body": '{"message": "no"}'}
    assert record(V2, answer, Settings(model="models/qa@1f6c0a2b9d3e")) == {
        "primary_key": "5d2f",
        "function": "service--qa",
        "model": "models/qa@1f6c0a2b9d3e",
        "route": "POST /qa",
        "status": 400,
        "cold": True,
        "input": '{"question": "how?"}',
        "output": '{"message": "no"}',
    }


def test_a_request_with_parameters_and_an_answer_without_a_status() -> None:
    item = record({**V2, "queryStringParameters": {"top": "2"}}, {"answer": 42})
    assert (item["input"], item["output"], item["status"]) == (
        '{"top": "2", "question": "how?"}',
        '{"answer": 42}',
        200,
    )


def test_parameters_are_recorded_as_they_came() -> None:
    recorder = Recorder(DEFAULTS, "qa")
    event = {**V1, "queryStringParameters": {"top": "2"}}
    recorder.begin(json.dumps(event).encode())
    recorder.watch(lambda event, _: event["queryStringParameters"].clear())(event, None)
    assert items.decode(json.loads(recorder.answered("5d2f", b"1")))["input"] == '{"top": "2", "id": "7"}'


def test_the_route_of_a_rest_api_is_its_pattern() -> None:
    item = record(V1, {"statusCode": 204, "body": ""})
    assert (item["route"], item["input"], item["status"]) == ("POST /qa/{id}", '{"id": "7"}', 204)
    assert "output" not in item


def test_a_function_url_has_no_route() -> None:
    assert record({**V2, "routeKey": "$default"}, {"statusCode": 200})["route"] == "POST /qa"


def test_an_event_that_is_odd_is_recorded_as_it_came() -> None:
    event = {**V2, "queryStringParameters": ["not", "a", "map"]}
    item = record(event, {"statusCode": 204})
    assert (json.loads(str(item["input"])), item["output"]) == (event, '{"statusCode": 204}')


def test_an_error() -> None:
    item = record(V2, error={"errorType": "ValueError", "errorMessage": "it is too long"})
    assert (item["error"], "status" in item, "output" in item) == ("ValueError: it is too long", False, False)


def test_an_answer_that_is_too_large_is_an_error() -> None:
    assert record(V2, "x" * 7_000_000)["error"] == "Function.ResponseSizeTooLarge"


def test_named_fields_are_redacted_in_input_output_and_error() -> None:
    settings = Settings(redact=("context", "answer"))
    secret = "the harbour library"
    item = record(
        {**V2, "body": json.dumps({"deep": [{"Context": secret}]})},
        {"statusCode": 200, "body": json.dumps({"answer": 1, "quoted": f"in {secret}"})},
        settings,
    )
    assert item["input"] == '{"deep": [{"Context": "[redacted]"}]}'
    assert item["output"] == '{"answer": "[redacted]", "quoted": "in [redacted]"}'
    error = record({"context": secret}, settings=settings, error={"errorType": "E", "errorMessage": f"{secret}?"})
    assert error["error"] == "E: [redacted]?"


def test_days_are_a_time_to_be_gone() -> None:
    recorder = Recorder(Settings(days=3), "qa")
    recorder.begin(b"{}")
    item = items.decode(json.loads(recorder.answered("5d2f", b"{}")))
    seconds = datetime.fromisoformat(str(item["createdAt"])).timestamp()
    assert item["expires"] == int(seconds) + 3 * 86_400


def test_only_the_first_invocation_is_cold() -> None:
    recorder = Recorder(Settings(), "qa")
    found = []
    for _ in range(3):
        recorder.begin(b"{}")
        found.append(items.decode(json.loads(recorder.answered("5d2f", b"1")))["cold"])
    assert found == [True, False, False]


@given(st.text(), st.text(), st.text(), st.integers(2_048, 9_000))
def test_any_record_can_be_stored_and_has_its_size(asked: str, answered: str, error: str, size: int) -> None:
    recorder = Recorder(Settings(max_size=size, days=1, model="m@1"), "service--qa")
    recorder.begin(json.dumps(asked * 500).encode())
    recorder.failure = ValueError(error * 100)
    made = recorder.answered("5d2f", (answered * 500).encode("utf-8", "replace"))
    item = items.decode(json.loads(made))
    assert items.decode(json.loads(items.encode(item, "primary_key"))) == item
    assert items._size_of_map(item) <= size


def test_a_stream_is_recorded_as_far_as_it_is_kept() -> None:
    recorder = Recorder(Settings(), "qa")
    recorder.begin(b'{"prompt": "I"}')
    head = {"statusCode": 200, "headers": {"content-type": "text/plain; charset=utf-8"}}
    made = recorder.streamed("5d2f", head, b"I would", 12, {"errorType": "E", "errorMessage": "broke off"})
    item = items.decode(json.loads(made))
    assert (item["status"], item["output"], item["error"]) == (200, "I would… [cut: 12 bytes]", "E: broke off")


# the store


class Stuck:
    """A table whose `put` waits until it is told to go on. No store can be had that hangs for as long as one wishes."""

    key = "primary_key"

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.stored: list[Item] = []

    def put(self, each: Iterable[Item]) -> None:
        assert self.go_on.wait(30)
        if not self.stored:
            self.stored += each
            return
        raise TableError("the store says no", "ask it nicely")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the log goes to."""
    path = tmp_path / "log"
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    monkeypatch.setattr(records, "_LOG", file)
    yield path
    os.close(file)


def test_a_store_that_hangs_is_waited_for_as_long_as_it_may_take_and_not_asked_again(log: Path) -> None:
    table = Stuck()
    store = Store(table)  # type: ignore[arg-type]
    one, two = ((name, f'{{"primary_key":{{"S":"{name}"}}}}') for name in ("one", "two"))
    assert store.put(*one, 0.05, is_logged=True) == "the store did not answer within 0.05 s"
    assert store.put(*two, 0.05, is_logged=True) == "the store still works on the record before it"
    assert store.put(*two, -1.0, is_logged=True) == "the invocation has no time left"
    table.go_on.set()
    while (reason := store.put(*two, 30, is_logged=True)) == "the store still works on the record before it":
        pass
    assert reason == "the store says no (ask it nicely)"
    assert table.stored == [{"primary_key": "one"}]
    assert log.read_bytes() == record_lines.stored("one")


def test_a_record_that_is_stored_before_its_answer_is_not_in_the_log(log: Path) -> None:
    table = Stuck()
    table.go_on.set()
    store = Store(table)  # type: ignore[arg-type]
    records.keep(store, "one", '{"primary_key":{"S":"one"}}', 10)
    assert log.read_bytes() == b""
    records.keep(store, "two", '{"primary_key":{"S":"two"}}', 10)
    assert log.read_bytes() == b'pilotlight.record two 1/1 |{"primary_key":{"S":"two"}}|\n'


def test_where_records_go_has_to_be_said() -> None:
    with pytest.raises(TableError, match=r"^recording invocations: PILOTLIGHT_TABLE_RECORDS is not set$") as refused:
        records.make({"PILOTLIGHT_RECORDS": "{}"})
    hint = "set it to dynamodb://TABLE?key=primary_key&expires=expires, or unset PILOTLIGHT_RECORDS"
    assert refused.value.hint == hint


def test_what_cannot_be_recorded_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert records.guarded("5d2f", lambda: [][0]) is None
    assert capsys.readouterr().err == "[ERROR] recording 5d2f: IndexError: list index out of range\n"
