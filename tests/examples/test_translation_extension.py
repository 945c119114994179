"""The popup of the translation example's extension in a real browser, asking real services."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from extension_browser import ORIGIN, USUAL, ExtensionBrowser, launched
from extension_service import KEY, serving
from playwright.sync_api import Locator, Page, expect

from http_servers import HttpServer, Request

pytestmark = pytest.mark.system
expect.set_options(timeout=60_000)  # ms, on a machine that does other work too

Ask = Callable[..., Page]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with serving(tmp_path_factory.mktemp("services")) as front:
        yield front


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, front: HttpServer) -> Iterator[ExtensionBrowser]:
    with launched(tmp_path_factory.mktemp("profile") / "chromium", [f"http://127.0.0.1:{front.port}"]) as browser:
        yield browser


@pytest.fixture
def browser(opened: ExtensionBrowser, front: HttpServer) -> Iterator[ExtensionBrowser]:
    opened.said.clear()
    front.requests.clear()
    yield opened
    opened.close_pages()
    assert [text for text in opened.said if not text.startswith(USUAL)] == []


@pytest.fixture
def popup(browser: ExtensionBrowser, front: HttpServer) -> Callable[..., Page]:
    """`popup("open")` -> the popup's page, with that service's address set and its host allowed."""

    def open(stage: str, key: str = "", is_allowed: bool = True, host: str = "") -> Page:
        address = f"{host or f'http://127.0.0.1:{front.port}'}/{stage}"
        page = browser.open("options.html")
        page.get_by_label("Address of the API").fill(address if is_allowed else "")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("#status")).to_have_text(re.compile("^Saved"))
        if not is_allowed:
            page.evaluate("address => chrome.storage.local.set({ address })", address)
        page.goto(f"{ORIGIN}/popup.html")
        expect(page.locator("#hint")).not_to_be_empty()
        return page

    return open


def ask(page: Page, text: str) -> None:
    page.get_by_label("English text").fill(text)
    page.get_by_role("button", name="Translate").click()


def reply(page: Page) -> Locator:
    return page.locator("#reply")


def problem(page: Page) -> Locator:
    return page.get_by_role("alert")


def methods(front: HttpServer) -> list[str]:
    return [request.method for request in front.requests]


TEXTS = [
    "A plain sentence.",
    "50% & 1+1=2; a?b#c",
    "\"quoted\" 'single' \\back\\slash",
    "two\nlines\n\nand a\ttab",
    "Zoë 🔥 👩‍👩‍👧 中文 עברית",
    "<b>bold</b> &amp; </script>",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_a_text_arrives_as_it_is(popup: Ask, front: HttpServer, text: str) -> None:
    page = popup("open")
    ask(page, text)
    expect(reply(page)).to_have_text(f"你好 5 {text}", use_inner_text=False)
    assert page.locator("#reply").text_content() == f"你好 5 {text}"
    assert json.loads(front.requests[-1].body) == {"text": text, "difficulty": 5}


def test_half_an_emoji_is_sent_as_a_sign_for_it(popup: Ask, front: HttpServer) -> None:
    page = popup("open")
    page.get_by_label("English text").evaluate("field => { field.value = 'cut \\ud83d' }")
    page.get_by_role("button", name="Translate").click()
    expect(reply(page)).to_have_text("你好 5 cut \ufffd")


def sent(request: Request) -> dict[str, str]:
    """The headers that are there for a reason of the extension's."""
    names = ("accept", "content-type", "cookie", "origin", "referer", "x-api-key")
    return {name: request.headers[name] for name in names if name in request.headers}


def test_with_the_permission_nothing_is_asked_beforehand(popup: Ask, front: HttpServer) -> None:
    page = popup("closed")  # which lets no page in by CORS
    ask(page, "Hello.")
    expect(reply(page)).to_have_text("你好 5 Hello.")
    [request] = front.requests
    assert (request.method, request.target) == ("POST", "/closed/translate")
    assert sent(request) == {"accept": "text/plain", "content-type": "application/json", "origin": ORIGIN}


def test_without_the_permission_a_service_may_let_it_in(popup: Ask, front: HttpServer) -> None:
    page = popup("open", is_allowed=False)
    ask(page, "Hello.")
    expect(reply(page)).to_have_text("你好 5 Hello.")
    preflight, request = front.requests
    assert (preflight.method, preflight.target) == ("OPTIONS", "/open/translate")
    assert preflight.headers["origin"] == ORIGIN
    assert preflight.headers["access-control-request-method"] == "POST"
    assert preflight.headers["access-control-request-headers"] == "content-type"
    assert (request.method, request.headers["origin"]) == ("POST", ORIGIN)


def test_without_the_permission_a_service_may_keep_it_out(popup: Ask, front: HttpServer) -> None:
    page = popup("closed", is_allowed=False)
    ask(page, "Hello.")
    expect(problem(page)).to_contain_text("The service cannot be reached.")
    assert "POST" not in methods(front)


def test_a_key_goes_along(popup: Ask, front: HttpServer) -> None:
    page = popup("keyed", key=KEY)
    ask(page, "Hello.")
    expect(reply(page)).to_have_text("你好 5 Hello.")
    assert sent(front.requests[0])["x-api-key"] == KEY


ERRORS = [
    ("bad", "The service refused the text (400). text: must not be bad."),
    ("y" * 200_001, "The text is too long. text: 200001 characters, and 200000 are allowed."),
    ("empty", "The translation is empty. Try other words."),
    (
        "page",
        "This is not a translation. http://HOST/open/translate answered 200 with text/html. Is it the right address?",
    ),
    ("   ", "There is no text. Select one and open this again, or write it above."),
]


@pytest.mark.parametrize(("text", "told"), ERRORS, ids=lambda value: value[:10])
def test_an_error_can_be_read(popup: Ask, front: HttpServer, text: str, told: str) -> None:
    page = popup("open")
    ask(page, text)
    expect(problem(page)).to_have_text(told.replace("HOST", f"127.0.0.1:{front.port}"))
    expect(reply(page)).to_be_empty()
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    ask(page, "Again.")
    expect(reply(page)).to_have_text("你好 5 Again.")
    expect(problem(page)).to_be_empty()


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_failure_is_told_with_the_id_that_is_in_the_log(popup: Ask, is_allowed: bool) -> None:
    page = popup("open", is_allowed=is_allowed)
    ask(page, "explode")
    expect(problem(page)).to_have_text(
        re.compile(r"The service failed \(500\)\. Internal Server Error\. Request \S{10,}$")
    )


def test_without_its_key_the_service_is_closed(popup: Ask) -> None:
    page = popup("keyed", key="another-key-of-a-good-length")
    ask(page, "Hello.")
    expect(problem(page)).to_have_text(
        "The service does not let you in. Forbidden. Check key and address in the options."
    )


def test_too_many_requests(popup: Ask) -> None:
    page = popup("busy")
    ask(page, "One.")
    expect(reply(page)).to_have_text("你好 5 One.")
    ask(page, "Two.")
    expect(problem(page)).to_have_text("Too many requests. Too Many Requests. Wait a little, then try again.")
    expect(reply(page)).to_be_empty()
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()


def test_nothing_is_at_the_address(popup: Ask, front: HttpServer) -> None:
    page = popup("nowhere")
    ask(page, "Hello.")
    expect(problem(page)).to_have_text(
        f"There is no service here. Nothing is at http://127.0.0.1:{front.port}/nowhere/translate. "
        "Check the address in the options."
    )


def test_a_redirect_is_not_followed(popup: Ask, front: HttpServer) -> None:
    page = popup("open")
    ask(page, f"moved http://127.0.0.1:{front.port}/closed/translate")
    expect(problem(page)).to_contain_text("The address has moved.")
    assert [request.target for request in front.requests] == ["/open/translate"]


def test_a_service_that_is_not_running(popup: Ask) -> None:
    page = popup("open", is_allowed=False, host="http://127.0.0.1:9")  # the port of `discard`
    ask(page, "Hello.")
    expect(problem(page)).to_have_text(
        "The service cannot be reached. 127.0.0.1:9 did not answer. "
        "Is it running, and is its address in the options right?"
    )


def test_a_service_that_takes_too_long(popup: Ask, tmp_path: Path) -> None:
    page = popup("open")
    page.clock.install()
    page.reload()
    expect(page.locator("#hint")).not_to_be_empty()
    ask(page, f"wait {tmp_path / 'gate'}")
    expect(page.locator("#status")).to_have_text("Translating …")
    page.clock.fast_forward(34_000)
    expect(page.locator("#status")).to_have_text("Translating …")
    page.clock.fast_forward(1_000)
    expect(problem(page)).to_contain_text("No answer within 35 seconds.")
    expect(page.locator("#status")).to_be_empty()
    (tmp_path / "gate").touch()


def test_only_the_newest_request_is_heard(popup: Ask, tmp_path: Path) -> None:
    page = popup("open")
    ask(page, f"wait {tmp_path / 'gate'}")
    expect(page.locator("#status")).to_have_text("Translating …")
    with page.expect_event("requestfailed") as given_up:
        ask(page, "Newer.")
    assert given_up.value.post_data_json["text"] == f"wait {tmp_path / 'gate'}"
    expect(reply(page)).to_have_text("你好 5 Newer.")
    expect(page.locator("#status")).to_be_empty()
    (tmp_path / "gate").touch()


def test_a_request_is_cancelled(popup: Ask, tmp_path: Path) -> None:
    page = popup("open")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    ask(page, f"wait {tmp_path / 'gate'}")
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_be_empty()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.get_by_role("button", name="Translate")).to_be_focused()
    expect(problem(page)).to_be_empty()
    (tmp_path / "gate").touch()


def test_what_is_answered_is_never_markup(popup: Ask) -> None:
    page = popup("open")
    text = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    ask(page, text)
    expect(reply(page)).to_have_text(f"你好 5 {text}")
    expect(page.locator("img, script:not([src])")).to_have_count(0)
    expect(page).to_have_title("Translate")


def test_the_level_is_kept_and_sent(popup: Ask, front: HttpServer) -> None:
    page = popup("open")
    slider = page.get_by_role("slider", name="Words you know")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#level")).to_have_text("HSK 3, 595 words")
    expect(slider).to_have_attribute("aria-valuetext", "HSK 3, 595 words")
    assert page.evaluate("chrome.storage.sync.get()") == {"difficulty": 2}
    again = popup("open")
    expect(again.get_by_role("slider")).to_have_value("2")
    ask(again, "Hello.")
    expect(reply(again)).to_have_text("你好 2 Hello.")
    assert json.loads(front.requests[-1].body)["difficulty"] == 2
    again.evaluate("chrome.storage.sync.clear()")


def test_everything_goes_by_the_keyboard(popup: Ask) -> None:
    page = popup("open")
    expect(page.get_by_label("English text")).to_be_focused()
    page.keyboard.insert_text("Hello.")
    page.keyboard.press("Control+Enter")
    expect(reply(page)).to_have_text("你好 5 Hello.")
    for name in ("difficulty", "translate", "options", "copy"):
        page.keyboard.press("Tab")
        expect(page.locator(f"#{name}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("Copied.")
    page.get_by_label("English text").fill("")
    page.keyboard.press("Control+v")
    expect(page.get_by_label("English text")).to_have_value("你好 5 Hello.")


def test_what_a_screen_reader_is_told(popup: Ask) -> None:
    page = popup("open")
    ask(page, "Hello.")
    expect(reply(page)).to_have_text("你好 5 Hello.")
    expect(page.locator("main")).to_match_aria_snapshot("""
        - main:
          - text: English text
          - textbox "English text": Hello.
          - paragraph
          - text: Words you know
          - slider "Words you know": "5"
          - button "Translate"
          - button "Options"
          - paragraph: 你好 5 Hello.
          - button "Copy"
    """)
    assert page.locator("#reply").get_attribute("aria-live") == "polite"
    assert page.locator("#reply").get_attribute("lang") == "zh-Hans"


def test_without_an_address_the_way_to_the_options_is_shown(browser: ExtensionBrowser) -> None:
    page = browser.open("options.html")
    page.evaluate("chrome.storage.local.clear()")
    page.goto(f"{ORIGIN}/popup.html")
    ask(page, "Hello.")
    expect(problem(page)).to_have_text("No API is set yet. Set the address of your service in the options.")
    with browser.context.expect_page() as opening:
        page.get_by_role("button", name="Options").click()
    expect(opening.value).to_have_title("Options of Pilotlight Translate")


def press_shortcut(page: Page) -> None:
    """Alt+Shift+Y, with the key's own number, so that what the page does not take comes to the browser."""
    session = page.context.new_cdp_session(page)
    key = {"key": "Y", "code": "KeyY", "modifiers": 1 + 8, "windowsVirtualKeyCode": 89, "nativeVirtualKeyCode": 29}
    session.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **key})
    session.send("Input.dispatchKeyEvent", {"type": "keyUp", **key})


def test_from_a_selection_to_its_translation_without_a_mouse(
    browser: ExtensionBrowser, popup: Ask, front: HttpServer
) -> None:
    popup("open").close()
    page = browser.context.new_page()
    page.goto(f"http://127.0.0.1:{front.port}/nowhere")
    page.set_content("<p>The library is open on Sunday.")
    page.evaluate("getSelection().selectAllChildren(document.body)")
    press_shortcut(page)
    shown = browser.opened_popup()
    assert shown.text("#text") == "The library is open on Sunday."
    assert "POST" not in methods(front)  # nothing is sent before somebody asks for it
    shown.press_enter()
    shown.wait_for("document.querySelector('#reply').textContent === '你好 5 The library is open on Sunday.'")
    assert methods(front).count("POST") == 1
