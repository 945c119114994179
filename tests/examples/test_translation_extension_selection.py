"""The real popup over real pages: which text it takes, by the icon and by the keyboard."""

import textwrap
from collections.abc import Iterator

import pytest
from extension_browser import ExtensionBrowser, launched
from playwright.sync_api import Page

import http_servers
from http_servers import HttpServer, Request

pytestmark = pytest.mark.system

BODY = """
    <p id="text">A sentence of the page, with <b>bold words</b>.</p>
    <textarea id="area">Words in an area</textarea>
    <input id="line" value="Words in a line">
    <input id="email" type="email" value="ada@example.com">
    <input id="secret" type="password" value="hunter2">
    <div id="edited" contenteditable>Words being edited</div>
    <iframe id="frame" srcdoc="<p id='text'>Words in a frame</p><input id='line' value='a line in it'>"></iframe>
    <iframe id="outer" src="/nested"></iframe>
    <iframe id="foreign" src="http://localhost:PORT/foreign"></iframe>
    <div id="host"></div>
    <script>
        const shadow = document.getElementById("host").attachShadow({ mode: "open" });
        shadow.innerHTML = "<input id='line' value='Words in a component'>";
        const select = element => element.ownerDocument.getSelection().selectAllChildren(element);
        const inside = (id, part) => document.getElementById(id).contentDocument.getElementById(part);
    </script>
"""
NESTED = "<iframe id='inner' srcdoc=\"<p id='text'>Words far inside</p>\"></iframe>"
FOREIGN = "<p id='text'>Words of another site</p><script>getSelection().selectAllChildren(text)</script>"


@pytest.fixture(scope="module")
def site() -> Iterator[HttpServer]:
    def answer(request: Request) -> bytes:
        body = {"/nested": NESTED, "/foreign": FOREIGN}.get(request.target, BODY.replace("PORT", str(server.port)))
        return http_servers.answer(200, textwrap.dedent(body).encode(), "content-type: text/html; charset=utf-8\r\n")

    with http_servers.serving(answer) as server:
        yield server


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtensionBrowser]:
    with launched(tmp_path_factory.mktemp("profile") / "chromium", []) as browser:
        yield browser


@pytest.fixture
def browser(opened: ExtensionBrowser) -> Iterator[ExtensionBrowser]:
    opened.said.clear()
    yield opened
    opened.close_pages()
    assert opened.said == []


@pytest.fixture
def page(browser: ExtensionBrowser, site: HttpServer) -> Page:
    page = browser.context.new_page()
    page.goto(f"http://127.0.0.1:{site.port}/")
    return page


SELECTIONS = {
    "select(document.getElementById('text'))": "A sentence of the page, with bold words.",
    "area.focus(), area.setSelectionRange(0, 5)": "Words",
    "line.focus(), line.setSelectionRange(6, 15)": "in a line",
    "edited.focus(), select(edited)": "Words being edited",
    "shadow.getElementById('line').select()": "Words in a component",
    "inside('frame', 'text').ownerDocument.defaultView.focus(), select(inside('frame', 'text'))": "Words in a frame",
    "inside('frame', 'line').select()": "a line in it",
    "select(document.getElementById('text')), inside('frame', 'line').select()": "a line in it",
    "select(outer.contentDocument.getElementById('inner').contentDocument.getElementById('text'))": "Words far inside",
    "secret.select()": "",
    "secret.select(), select(inside('frame', 'text'))": "Words in a frame",
    "foreign.focus()": "",  # of another origin, which `activeTab` does not open
    "0": "",
}


@pytest.mark.parametrize(("script", "text"), SELECTIONS.items())
def test_what_is_selected_is_taken(browser: ExtensionBrowser, page: Page, script: str, text: str) -> None:
    page.evaluate(script)
    popup = browser.popup(page)
    assert popup.text("#text") == text
    told = "Nothing is selected on the page: select a text, or write one here."
    assert popup.text("#hint") == ("" if text else told)
    assert popup.evaluate("document.activeElement.id") == ("translate" if text else "text")


def test_a_page_of_chrome_itself_lets_no_script_in(browser: ExtensionBrowser) -> None:
    page = browser.context.new_page()
    page.goto("chrome://version")
    popup = browser.popup(page)
    assert popup.text("#text") == ""
    assert popup.text("#hint") == "Chrome lets no extension read this page: paste the text here."
