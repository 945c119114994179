"""`pilotlight records --ui` as a browser without a screen sees it: its pages over HTTP."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest

from conftest import write
from pilotlight.cli.record_filters import Filter
from pilotlight.cli.records_page import RecordsPages
from pilotlight.cli.records_ui import fragment
from pilotlight.cli.serve import records_tables
from pilotlight.events import Request, Response
from pilotlight.local.pages import Answer, Pages
from pilotlight.project import load
from small_records import DAY, FIRST, SETTINGS, make

FILES = {"pilotlight.toml": SETTINGS, "inference/mood.py": "def handler(event, context): ...\n"}
RECORDS = "/_pilotlight/records"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write(tmp_path_factory.mktemp("records") / "library", FILES)
    make(folder)
    command = [sys.executable, "-m", "pilotlight", "records", str(folder), "--ui"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = re.fullmatch(r"Records of library at (\S+)/ \(Ctrl-C stops\)\n", process.stdout.readline())
        assert said
        while not (state := json.loads(ask(f"{said[1]}{RECORDS}/tables")[1])[0]).get("runs"):
            assert "error" not in state or not state["error"]
        yield said[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, None, headers, method=method), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_what_there_is(url: str) -> None:
    assert json.loads(ask(f"{url}{RECORDS}/tables")[1]) == [
        {
            **{"name": "library", "is_remote": False, "is_started": True},
            **{"done": 801, "total": 801, "skipped": 0, "runs": 1, "is_busy": 0, "error": "", "hint": ""},
            **{"functions": ["library--mood"], "since": FIRST, "until": FIRST + 2 * DAY},
        }
    ]


def test_a_page_of_records(url: str) -> None:
    status, text = ask(f"{url}{RECORDS}/library/page?until={FIRST + 1}")
    assert status == 200
    assert json.loads(text) == {
        "rows": [
            {
                **{"primary_key": "r000", "createdAt": "2026-11-01T00:00:00.000Z", "function": "library--mood"},
                **{"status": 500, "error": "ValueError: no mood", "cold": True, "latency_ms": 10},
                **{"input": '{"text": "room 0!"}', "output": '{"label": "bad", "score": 0.0}'},
                **{"class": "bad", "score": 0.0},
            }
        ],
        "next": None,
    }
    first = json.loads(ask(f"{url}{RECORDS}/library/page?class=good")[1])
    assert len(first["rows"]) == 50
    second = json.loads(ask(f"{url}{RECORDS}/library/page?class=good&after={first['next']}")[1])
    assert second["rows"][0]["createdAt"] < first["rows"][-1]["createdAt"]


def test_distributions_and_drift(url: str) -> None:
    found = json.loads(ask(f"{url}{RECORDS}/library/overview?failed=1")[1])
    assert (found["total"], found["failed"], found["classes"]) == (10, 10, [["bad", 5], ["good", 5]])
    query = f"since={FIRST + DAY}&reference_since={FIRST}&reference_until={FIRST + DAY}"
    drift = json.loads(ask(f"{url}{RECORDS}/library/drift?{query}")[1])
    assert (drift["reference"], drift["now"], drift["classes"]["verdict"]) == (400, 401, "shifted far")


def test_exports(url: str) -> None:
    status, text = ask(f"{url}{RECORDS}/library/export/csv?contains=room%2079!")
    assert (status, text) == (
        200,
        "primary_key,createdAt,function,model,route,status,error,latency_ms,cold,input,output,expires\n"
        'r079,2026-11-01T04:44:24.000Z,library--mood,,POST /mood,200,,12.3,false,"{""text"": ""room 79!""}",'
        '"{""label"": ""good"", ""score"": 0.9}",\n',
    )
    lines = ask(f"{url}{RECORDS}/library/export/jsonl")[1].splitlines()
    assert len({json.loads(line)["primary_key"] for line in lines}) == 801


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/other/page", 404, "there is no table of records 'other'"),
        ("/library/record/nowhere", 404, "that record is gone from the table"),
        ("/library/export/xml", 404, "records are exported as csv or jsonl"),
        ("/library/page?since=yesterday", 400, "since: 'yesterday' is not what it should be"),
        ("/library/page?after=1", 400, "after: '1' is not what it should be"),
        ("/library/page?until=-5", 400, "until: '-5' is not what it should be"),
        ("/library/drift", 400, "reference_since: '' is not what it should be"),
        ("/library/drift?reference_since=5&reference_until=4", 400, "the reference window ends before it begins"),
    ],
)
def test_bad_questions(url: str, path: str, status: int, message: str) -> None:
    assert ask(f"{url}{RECORDS}{path}") == (status, json.dumps({"message": message}, separators=(",", ":")))


def test_other_sites_are_refused(url: str) -> None:
    assert ask(f"{url}{RECORDS}/tables", host="evil.example")[0] == 403
    assert ask(f"{url}{RECORDS}/library/update", "POST", origin="https://evil.example")[0] == 403
    assert ask(f"{url}{RECORDS}/library/update", "POST")[0] == 204


@pytest.mark.parametrize("what", ["page", "overview", "export/csv"])
def test_a_remote_table_is_not_read_before_it_is_asked_for(what: str) -> None:
    records = RecordsPages({"far": "dynamodb://far?key=primary_key"})
    routes = Pages(records.pages())

    def get(path: str) -> tuple[int, object]:
        answer = asyncio.run(of(routes.answer(Request("GET", f"{RECORDS}{path}", headers=(("host", "127.0.0.1"),)))))
        assert isinstance(answer, Response)
        return answer.status, json.loads(answer.body)

    async def of(answer: Awaitable[Answer]) -> Answer:
        return await answer

    with contextlib.closing(records):
        assert get("/tables") == (200, [{"name": "far", "is_remote": True, "is_started": False}])
        assert get(f"/far/{what}") == (400, {"message": "the table has not been read yet"})


def test_filters_are_in_the_address() -> None:
    assert fragment(Filter()) == ""
    wanted = Filter("qa", "2026-11-01T00:00:00.000Z", "", "a & b", errors=True)
    assert fragment(wanted) == f"#/records?function=qa&contains=a+%26+b&since={FIRST}&failed=1"


def test_records_are_shown_on_this_machine_alone(tmp_path: Path) -> None:
    services = [load(write(tmp_path / "library", FILES))]
    place = f"sqlite://{tmp_path}/library/.pilotlight/tables.sqlite"
    assert records_tables(services, "127.0.0.1") == {
        "library": f"{place}?key=primary_key&expires=expires&table=records"
    }
    assert records_tables(services, "0.0.0.0") == {}
