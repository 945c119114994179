"""The documentation site as `make site` has built it, in a real browser: it asks no other host and reports no error."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

SITE = Path(__file__).parents[2] / "site"

pytestmark = pytest.mark.system


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    assert (SITE / "index.html").is_file(), "there is no site: make site"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=SITE)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page of the front page's size; in the end, nothing was wrong and no other host was asked."""
    errors: list[str] = []
    asked: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(url)
    yield opened
    opened.close()
    assert errors == []
    assert [each for each in asked if not each.startswith((url, "data:", "blob:"))] == []


def test_the_front_page_leads_to_the_tutorial(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_contain_text("Pilotlight")
    page.get_by_role("link", name="Tutorial").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Tutorial: from an empty folder")


def test_a_search_finds_a_page(page: Page) -> None:
    page.get_by_role("button", name="Search").first.click()
    field = page.locator("input:focus")
    expect(field).to_be_visible()
    field.fill("snapstart")
    expect(page.get_by_text("A fork server is a local SnapStart").first).to_be_visible()


@pytest.mark.parametrize("path", ["docs/how-to/streaming/", "docs/reference/python/", "docs/cold-start/"])
def test_pages_have_no_error(page: Page, url: str, path: str) -> None:
    page.goto(url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_a_dark_mode_is_dark(page: Page) -> None:
    page.get_by_title("Dark mode").click()
    expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate")
    brightness = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    assert max(brightness) < 64


@pytest.mark.parametrize("path", ["", "docs/how-to/costs/", "docs/reference/settings/", "docs/reference/limits/"])
def test_a_page_fits_a_telephone(page: Page, url: str, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
