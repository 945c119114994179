"""Test events that the page saves: which files they are, and what is refused."""

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from conftest import MakeService
from pilotlight.events import Request, Response
from pilotlight.limits import REQUEST_PAYLOAD
from pilotlight.local import saved_events
from pilotlight.local.pages import Pages
from pilotlight.local.saved_events import SavedEvents
from pilotlight.project import Project

FILES = {"inference/qa.py": "def handler(event, context): ...\n", "events/qa.json": '{"question": "why?"}\n'}


@pytest.fixture
def service(make_service: MakeService) -> Project:
    return make_service(FILES)


def ask(service: Project, method: str, name: str, body: bytes = b"", key: str = "service--qa") -> tuple[int, object]:
    async def answered() -> object:
        events = SavedEvents()
        events.show(service.functions)
        path = f"/_pilotlight/functions/{key}/events/{quote(name, safe='')}"
        return await Pages(events.pages()).answer(Request(method, path, headers=(("host", "localhost"),), body=body))

    answer = asyncio.run(answered())
    assert isinstance(answer, Response)
    return answer.status, json.loads(answer.body) if answer.body else None


def files(service: Project) -> list[str]:
    return sorted(path.relative_to(service.root).as_posix() for path in service.root.rglob("*") if path.is_file())


def names(service: Project) -> list[str]:
    return saved_events.names(service.functions[0])


def test_the_event_that_is_called_as_the_function_is_its_own(service: Project) -> None:
    assert ask(service, "GET", "qa") == (200, {"question": "why?"})
    assert ask(service, "PUT", "qa", b'{"question": "how?"}') == (204, None)
    assert (service.root / "events" / "qa.json").read_bytes() == b'{"question": "how?"}\n'
    assert names(service) == ["qa"]


def test_further_events_are_in_the_functions_folder(service: Project) -> None:
    assert ask(service, "PUT", "hard case", b"[1]") == (204, None)
    assert ask(service, "PUT", "Größe.2", b"{}") == (204, None)
    assert files(service)[:3] == ["events/qa.json", "events/qa/Größe.2.json", "events/qa/hard case.json"]
    assert names(service) == ["qa", "Größe.2", "hard case"]
    assert ask(service, "GET", "hard case") == (200, [1])
    assert ask(service, "DELETE", "hard case") == (204, None)
    assert ask(service, "DELETE", "Größe.2") == (204, None)
    assert not (service.root / "events" / "qa").exists()
    assert ask(service, "GET", "hard case") == (404, {"message": "there is no event 'hard case'"})


@pytest.mark.parametrize(
    "name", ["../qa", "..", ".", ".hidden", "a/b", "a\\b", "a\0", "a\n", " a", "a ", "a.", "<b>", "%2e%2e", "é" * 101]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_names_are_refused(service: Project, method: str, name: str) -> None:
    before = files(service)
    assert ask(service, method, name, b"{}")[0] == 400
    assert files(service) == before


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused_and_the_old_event_stays(service: Project, body: bytes) -> None:
    status, answer = ask(service, "PUT", "qa", body)
    assert status == 400
    assert isinstance(answer, dict)
    assert answer["message"].startswith("the event is not JSON: ")
    assert ask(service, "GET", "qa") == (200, {"question": "why?"})
    assert files(service)[0] == "events/qa.json"


def test_an_event_is_as_large_as_lambda_takes(service: Project) -> None:
    largest = b'"' + b"a" * (REQUEST_PAYLOAD - 2) + b'"'
    assert ask(service, "PUT", "large", largest) == (204, None)
    status, answer = ask(service, "PUT", "larger", largest + b" ")
    assert (status, answer) == (413, {"message": "an event has at most the 6,291,456 bytes that Lambda takes"})


def test_a_folder_that_leads_elsewhere_is_not_followed(service: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (service.root / "events" / "qa").symlink_to(elsewhere)
    assert ask(service, "PUT", "other", b"{}")[0] == 400
    assert list(elsewhere.iterdir()) == []


def test_a_function_that_is_not_there_has_no_events(service: Project) -> None:
    assert ask(service, "GET", "qa", key="service--nothing") == (
        404,
        {"message": "there is no function 'service--nothing'"},
    )
