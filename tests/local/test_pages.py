"""The server's own pages: which handler answers, and who is refused."""

import asyncio
import json

import pytest

from pilotlight.events import Request, Response
from pilotlight.local import pages
from pilotlight.local.pages import Page, Pages
from pilotlight.local.streams import Streamed

HERE = ("host", "127.0.0.1:8080")
PAGES: list[Page] = [
    ("GET", "/_pilotlight/things", lambda request, parameters: pages.json(["a"])),
    ("POST", "/_pilotlight/things/{id}/kill", lambda request, parameters: pages.json(dict(parameters))),
]


def ask(
    method: str, path: str, *headers: tuple[str, str], is_private: bool = True, client: str = "127.0.0.1"
) -> tuple[int, object]:
    async def answered() -> Response | Streamed:
        return await Pages(PAGES, is_private).answer(Request(method, path, headers=headers, source_ip=client))

    answer = asyncio.run(answered())
    assert isinstance(answer, Response)
    return answer.status, json.loads(answer.body)


def test_a_page_is_found_by_method_and_path() -> None:
    assert ask("GET", "/_pilotlight/things", HERE) == (200, ["a"])
    assert ask("HEAD", "/_pilotlight/things", HERE) == (200, ["a"])
    assert ask("POST", "/_pilotlight/things/a%20b/kill", HERE) == (200, {"id": "a b"})
    assert ask("DELETE", "/_pilotlight/things", HERE) == (405, {"message": "this page does not take that method"})
    assert ask("GET", "/_pilotlight/nothing", HERE) == (404, {"message": "there is no such page"})


@pytest.mark.parametrize(
    "headers",
    [
        (HERE,),  # curl
        (HERE, ("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8080")),
        (HERE, ("sec-fetch-site", "none")),  # typed by the user
        (HERE, ("origin", "http://127.0.0.1:8080")),
    ],
)
def test_the_own_page_and_the_user_may_change_things(headers: tuple[tuple[str, str], ...]) -> None:
    assert ask("POST", "/_pilotlight/things/1/kill", *headers) == (200, {"id": "1"})


@pytest.mark.parametrize(
    "headers",
    [
        (HERE, ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")),
        (HERE, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:9090")),
        (HERE, ("sec-fetch-site", "cross-site")),
        (HERE, ("origin", "https://evil.example")),
        (HERE, ("origin", "http://127.0.0.1:9090")),
        (HERE, ("origin", "null")),  # of a sandboxed frame, or a file
    ],
)
def test_another_site_changes_nothing(headers: tuple[tuple[str, str], ...]) -> None:
    assert ask("POST", "/_pilotlight/things/1/kill", *headers) == (
        403,
        {"message": "only the server's own pages may ask for that"},
    )


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost", "localhost:1", "LocalHost.", "[::1]:8080", "a.localhost:80", "10.0.0.5", ""]
)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert ask("GET", "/_pilotlight/things", ("host", host)) == (200, ["a"])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_a_name_that_a_site_made_point_here_is_refused(host: str) -> None:
    status, answer = ask("GET", "/_pilotlight/things", ("host", host))
    assert status == 403
    assert answer == {"message": f"{host!r} is not a name of this machine: open the page by 127.0.0.1 or localhost"}


def test_a_server_for_other_machines_has_other_names() -> None:
    assert ask("GET", "/_pilotlight/things", ("host", "gpu-box:8080"), is_private=False) == (200, ["a"])
    assert (
        ask("POST", "/_pilotlight/things/1/kill", ("host", "gpu-box"), ("origin", "http://x"), is_private=False)[0]
        == 403
    )


def test_another_machine_looks_and_changes_nothing() -> None:
    box = ("host", "gpu-box:8080")
    assert ask("GET", "/_pilotlight/things", box, is_private=False, client="10.0.0.7") == (200, ["a"])
    assert ask("POST", "/_pilotlight/things/1/kill", box, is_private=False, client="10.0.0.7") == (
        403,
        {"message": "only this machine may ask for that"},
    )


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)],
)
def test_loopback(host: str, is_loopback: bool) -> None:
    assert pages.is_loopback(host) is is_loopback
