"""The extension and the example that it is part of: real functions, with translators of a few kilobytes."""

from collections.abc import Iterator

import pytest
from extension_browser import USUAL, ExtensionBrowser, launched
from extension_service import watched
from playwright.sync_api import Page, expect
from test_translation_service import CHINESE, Served, made, spliced

from conftest import RunningServer
from http_servers import HttpServer

pytestmark = pytest.mark.system
expect.set_options(timeout=60_000)  # ms, on a machine that does other work too


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = made(tmp_path_factory.mktemp("served"))
    server = RunningServer([str(folder), "--no-reload"], {})
    yield Served(server.url, folder)
    server.stop()


@pytest.fixture(scope="module")
def front(served: Served) -> Iterator[HttpServer]:
    with watched(served.url) as front:
        yield front


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, front: HttpServer) -> Iterator[ExtensionBrowser]:
    with launched(tmp_path_factory.mktemp("profile") / "chromium", [f"http://127.0.0.1:{front.port}"]) as browser:
        yield browser


@pytest.fixture
def page(opened: ExtensionBrowser, front: HttpServer) -> Iterator[Page]:
    front.requests.clear()
    page = opened.open("options.html")
    page.get_by_label("Address of the API").fill(f"http://127.0.0.1:{front.port}")
    page.get_by_role("button", name="Save and try it").click()
    expect(page.get_by_role("status")).to_contain_text("Saved, and it works: “The library is open on Sunday.” is “")
    page.goto(page.url.replace("options", "popup"))
    expect(page.locator("#hint")).not_to_be_empty()
    yield page
    opened.close_pages()
    assert [text for text in opened.said if not text.startswith(USUAL)] == []


def translate(page: Page, text: str, key: str) -> None:
    page.get_by_role("slider").press(key)
    page.get_by_label("English text").fill(text)
    page.get_by_role("button", name="Translate").click()


def test_words_above_the_level_stand_in_english(page: Page, served: Served) -> None:
    translate(page, CHINESE, "Home")
    expect(page.locator("#level")).to_have_text("HSK 1, 150 words")
    expect(page.locator("#reply")).to_have_text(spliced(served.folder))


def test_the_example_lets_the_extension_in(page: Page, served: Served, front: HttpServer) -> None:
    page.evaluate("chrome.permissions.getAll().then(({ origins }) => chrome.permissions.remove({ origins }))")
    front.requests.clear()
    translate(page, CHINESE, "Home")
    expect(page.locator("#reply")).to_have_text(spliced(served.folder))
    assert [request.method for request in front.requests] == ["OPTIONS", "POST"]


def test_what_the_example_refuses_can_be_read(page: Page) -> None:
    translate(page, "x" * 100_000, "End")
    expect(page.get_by_role("alert")).to_contain_text("The text is too long. text: 100000 characters")
