"""The options of the translation example's extension: which addresses it takes, and which hosts it may then reach."""

import json
import re
from collections.abc import Iterator

import pytest
from extension_browser import EXTENSION, USUAL, ExtensionBrowser, launched
from extension_service import KEY, serving
from playwright.sync_api import Page, expect

from http_servers import HttpServer

pytestmark = pytest.mark.system
expect.set_options(timeout=60_000)  # ms, on a machine that does other work too


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with serving(tmp_path_factory.mktemp("services")) as front:
        yield front


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, front: HttpServer) -> Iterator[ExtensionBrowser]:
    hosts = [f"http://127.0.0.1:{front.port}", f"http://localhost:{front.port}", "https://api.example.com"]
    with launched(tmp_path_factory.mktemp("profile") / "chromium", hosts) as browser:
        yield browser


@pytest.fixture
def options(opened: ExtensionBrowser) -> Iterator[Page]:
    opened.said.clear()
    page = opened.open("options.html")
    save(page, "")
    yield page
    opened.close_pages()
    assert [text for text in opened.said if not text.startswith(USUAL)] == []


def save(page: Page, address: str, key: str = "", button: str = "Save") -> None:
    page.get_by_label("Address of the API").fill(address)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name=button, exact=True).click()


def kept(page: Page) -> dict[str, str]:
    return dict(page.evaluate("chrome.storage.local.get()"))


def reachable(page: Page) -> list[str]:
    return list(page.evaluate("chrome.permissions.getAll().then(all => all.origins)"))


def test_it_asks_for_little() -> None:
    manifest = json.loads((EXTENSION / "manifest.json").read_bytes())
    assert manifest["manifest_version"] == 3
    assert manifest["permissions"] == ["activeTab", "scripting", "storage"]
    assert manifest["optional_host_permissions"] == ["https://*/*", "http://localhost/*", "http://127.0.0.1/*"]
    assert not {"host_permissions", "content_scripts", "background", "web_accessible_resources"} & manifest.keys()
    for size, icon in manifest["icons"].items():
        content = (EXTENSION / icon).read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert [int.from_bytes(content[place : place + 4], "big") for place in (16, 20)] == [int(size)] * 2


def test_saving_allows_exactly_that_host(options: Page, front: HttpServer) -> None:
    assert reachable(options) == []
    save(options, f"  http://127.0.0.1:{front.port}/open/translate/ ", "  a-key ")
    expect(options.get_by_role("status")).to_have_text(f"Saved. Texts go to 127.0.0.1:{front.port} alone.")
    address = f"http://127.0.0.1:{front.port}/open"
    assert kept(options) == {"address": address, "key": "a-key"}
    assert options.evaluate("chrome.storage.sync.get()") == {}  # a key stays on its machine
    assert reachable(options) == [f"http://127.0.0.1:{front.port}/*"]
    options.reload()
    expect(options.get_by_label("Address of the API")).to_have_value(address)
    expect(options.get_by_label("API key")).to_have_value("a-key")


def test_the_host_before_is_given_back(options: Page, front: HttpServer) -> None:
    for host in (f"http://127.0.0.1:{front.port}", f"http://localhost:{front.port}", "https://api.example.com"):
        save(options, host)
        expect(options.get_by_role("status")).to_have_text(f"Saved. Texts go to {host.partition('//')[2]} alone.")
        assert reachable(options) == [f"{host}/*"]
    save(options, "")
    expect(options.get_by_role("status")).to_have_text("Saved. No API is set.")
    assert reachable(options) == []
    assert kept(options) == {"address": "", "key": ""}


def test_nothing_is_saved_before_the_user_has_allowed_it(options: Page) -> None:
    save(options, "https://another.example.com")  # Chrome asks, and its question is not answered
    expect(options.get_by_role("status")).to_have_text("Chrome asks whether another.example.com may be reached …")
    assert kept(options) == {"address": "", "key": ""}
    assert reachable(options) == []


def test_nothing_is_saved_when_it_is_not_allowed(options: Page) -> None:
    options.reload()
    session = options.context.new_cdp_session(
        options
    )  # whose clicks, unlike Playwright's, are no user's: Chrome refuses
    click = (
        "document.querySelector('#address').value = 'https://api.example.com'; document.querySelector('#save').click()"
    )
    session.send("Runtime.evaluate", {"expression": click})
    expect(options.get_by_role("alert")).to_have_text(
        "Not saved: without the permission, nothing can be sent to api.example.com."
    )
    expect(options.get_by_role("status")).to_be_empty()
    assert kept(options) == {"address": "", "key": ""}
    assert reachable(options) == []


ADDRESSES = [
    ("127.0.0.1:8080", "Write the whole address, such as http://127.0.0.1:8080 or https://api.example.com/prod."),
    ("api", "Write the whole address, such as http://127.0.0.1:8080 or https://api.example.com/prod."),
    ("ftp://example.com", "Write the whole address, such as http://127.0.0.1:8080 or https://api.example.com/prod."),
    ("http://api.example.com:81", "Texts would travel to api.example.com:81 unencrypted: http:// is for this computer "
     "alone, write https://."),
    ("https://ada:secret@example.com", "Leave user name and password out; a key has its own field."),
    ("https://example.com/?stage=prod", "Leave out what begins with ?."),
    ("https://example.com/#top", "Leave out what begins with #."),
]  # fmt: skip


@pytest.mark.parametrize(("address", "told"), ADDRESSES)
def test_an_address_that_cannot_be_one(options: Page, address: str, told: str) -> None:
    save(options, address)
    field = options.get_by_label("Address of the API")
    expect(options.get_by_role("alert")).to_have_text(told)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    assert kept(options) == {"address": "", "key": ""}
    save(options, "https://api.example.com")
    expect(options.get_by_role("alert")).to_be_empty()
    expect(field).not_to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize("key", ["with a space", "schlüssel", "🔥"])
def test_a_key_that_no_header_can_carry(options: Page, key: str) -> None:
    save(options, "https://api.example.com", key)
    expect(options.get_by_role("alert")).to_have_text("A key has letters, digits and signs of ASCII, and no spaces.")
    expect(options.get_by_label("API key")).to_be_focused()
    assert kept(options) == {"address": "", "key": ""}


PARSED = {
    "https://api.example.com": "https://api.example.com",
    "https://API.example.com:443/prod//": "https://api.example.com/prod",
    " http://localhost:8080/translate ": "http://localhost:8080",
    "http://127.0.0.1/translate/": "http://127.0.0.1",
    "https://example.com/translate/v1": "https://example.com/translate/v1",
    "https://bücher.example/": "https://xn--bcher-kva.example",
}


def test_how_an_address_is_kept(options: Page) -> None:
    script = "typed => import('./settings.js').then(settings => typed.map(settings.parseAddress))"
    assert options.evaluate(script, list(PARSED)) == list(PARSED.values())


def test_a_service_is_tried(options: Page, front: HttpServer) -> None:
    save(options, f"http://127.0.0.1:{front.port}/keyed", KEY, "Save and try it")
    expect(options.get_by_role("status")).to_have_text(
        "Saved, and it works: “The library is open on Sunday.” is “你好 5 The library is open on Sunday.”"
    )
    expect(options.get_by_role("alert")).to_be_empty()


TRIED = [
    ("keyed", "The service does not let you in. Forbidden. Check key and address in the options."),
    ("nowhere", "There is no service here. Nothing is at URL/nowhere/translate. Check the address in the options."),
]


@pytest.mark.parametrize(("stage", "told"), TRIED)
def test_a_service_that_does_not_answer_is_kept_all_the_same(
    options: Page, front: HttpServer, stage: str, told: str
) -> None:
    url = f"http://127.0.0.1:{front.port}"
    save(options, f"{url}/{stage}", "", "Save and try it")
    expect(options.get_by_role("alert")).to_have_text(told.replace("URL", url))
    expect(options.get_by_role("status")).to_have_text("Saved, but it does not work yet.")
    assert kept(options)["address"] == f"{url}/{stage}"


def test_a_trial_is_over_when_something_else_is_saved(options: Page, front: HttpServer) -> None:
    url = f"http://127.0.0.1:{front.port}"
    save(options, f"{url}/slow", "", "Save and try it")
    expect(options.get_by_role("status")).to_have_text(re.compile("Asking"))
    save(options, f"{url}/open")
    expect(options.get_by_role("status")).to_have_text(f"Saved. Texts go to 127.0.0.1:{front.port} alone.")
    save(options, f"{url}/open", "", "Save and try it")
    expect(options.get_by_role("status")).to_have_text(re.compile("it works"))
    expect(options.get_by_role("alert")).to_be_empty()


def test_there_has_to_be_something_to_try(options: Page) -> None:
    save(options, "", "", "Save and try it")
    expect(options.get_by_role("alert")).to_have_text("There is no address to try.")


def test_everything_goes_by_the_keyboard(options: Page) -> None:
    options.reload()
    for name in ("address", "key", "save", "try"):
        options.keyboard.press("Tab")
        expect(options.locator(f"#{name}")).to_be_focused()
    options.get_by_label("Address of the API").press("Enter")
    expect(options.get_by_role("status")).to_have_text("Saved. No API is set.")
