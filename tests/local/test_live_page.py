"""The views Live and Cost, in a real browser over real environments."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from conftest import RunningServer, write

pytestmark = pytest.mark.system

FILES = {
    "inference/echo.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(text: str) -> str:
            return text
    """,
    "pilotlight.toml": "[functions.echo]\ntimeout = 30\n",
}


@pytest.fixture
def server(tmp_path: Path, start_server: Callable[..., RunningServer]) -> RunningServer:
    return start_server(write(tmp_path / "service", FILES), "--no-reload")


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    wrong: list[str] = []
    opened = browser.new_page()
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda request: None if request.url.startswith(server.url) else wrong.append(request.url))
    opened.goto(f"{server.url}/#/live")
    yield opened
    opened.close()
    assert wrong == []


def ask(server: RunningServer, text: str = "a") -> tuple[int, str]:
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(f"{server.url}/echo", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def card(page: Page) -> Locator:
    return page.get_by_role("article").filter(has=page.get_by_role("heading", name="service/echo"))


def environments(page: Page, state: str) -> Locator:
    return card(page).locator(f".environments li[data-state={state}]")


def test_an_environment_is_seen_from_its_start_to_its_end(page: Page, server: RunningServer) -> None:
    expect(card(page)).to_contain_text("No environment: it costs nothing.")
    assert ask(server) == (200, "a")
    expect(environments(page, "idle")).to_have_count(1)
    expect(environments(page, "idle")).to_contain_text(re.compile(r"pid \d+, [\d.]+ MB, 1 invocation, for \d+ s"))
    expect(card(page)).to_contain_text("invocations 1 · cold starts 1 (100 %) · errors 0 · throttled 0")
    page.get_by_role("button", name=re.compile("^Kill environment")).click()
    expect(environments(page, "dead")).to_contain_text("gone: killed by you")
    expect(environments(page, "idle")).to_have_count(0)
    assert ask(server, "b") == (200, "b")  # by a new one
    expect(environments(page, "idle")).to_have_count(1)
    expect(card(page)).to_contain_text("invocations 2 · cold starts 2 (100 %)")


def test_a_frozen_environment_answers_when_it_is_thawed(page: Page, server: RunningServer) -> None:
    assert ask(server)[0] == 200
    page.get_by_role("button", name=re.compile("^Freeze environment")).click()
    expect(environments(page, "frozen")).to_contain_text("frozen by you")
    page.get_by_role("button", name=re.compile("^Thaw environment")).click()
    expect(environments(page, "idle")).to_have_count(1)
    assert ask(server, "c") == (200, "c")


def test_faults(page: Page, server: RunningServer) -> None:
    card(page).get_by_label("Throttle").check()
    expect(card(page)).to_contain_text("throttled 0")
    page.wait_for_function("() => document.querySelector('.throttle').checked")
    assert ask(server)[0] in (429, 503)
    expect(card(page)).to_contain_text("throttled 1")
    card(page).get_by_label("Throttle").uncheck()
    card(page).get_by_label("Slow init:").select_option("1000")
    expect(environments(page, "idle")).to_have_count(0)
    status, _ = ask(server)
    assert status == 200
    expect(environments(page, "idle")).to_have_count(1)


def test_charts_and_the_bill(page: Page, server: RunningServer) -> None:
    for _ in range(20):
        assert ask(server)[0] == 200
    figure = page.get_by_role("img", name=re.compile("^Requests a second. requests: last"))
    expect(figure).to_be_visible()  # when the step has ended
    expect(page.get_by_role("row", name=re.compile("^service.echo 20 1 0 0 "))).to_be_visible()
    page.get_by_role("link", name="Cost").click()
    expect(page.get_by_role("heading", name="Cost")).to_be_visible()
    expect(page.locator(".total")).to_contain_text(re.compile(r"^\$0\.0000\d+ since \d\d:\d\d:\d\d$"))
    requests = page.get_by_role("row", name=re.compile("^service.echo Requests 20 "))
    expect(requests).to_be_visible()
    expect(page.get_by_role("group", name="Projected")).to_contain_text("A million requests like these")


def test_the_page_goes_on_when_the_server_is_back(page: Page, server: RunningServer) -> None:
    expect(card(page)).to_be_visible()
    page.context.set_offline(True)
    page.context.set_offline(False)
    expect(card(page)).to_be_visible()
