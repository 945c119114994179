"""The page at /, in a real browser: it shows what is served, and its forms call the functions."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from conftest import RunningServer, png, write

pytestmark = pytest.mark.system
expect.set_options(timeout=60_000)  # ms, on a machine that does other work too

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip

FILES = {
    "inference/greet.py": '''
        """Greet somebody."""
        from typing import Literal
        from pilotlight import endpoint

        @endpoint
        def handler(
            name: str, tone: Literal["warm", "cool"] = "warm", times: int = 1, loud: bool = False
        ) -> dict[str, str]:
            text = " ".join([f"{tone} hello, {name}"] * times)
            return {"greeting": text.upper() if loud else text}
    ''',
    "inference/size.py": '''
        """Say how large a file is."""
        from pilotlight import File, endpoint

        @endpoint
        def handler(upload: File) -> dict[str, object]:
            return {"name": upload.filename, "bytes": len(upload.content)}
    ''',
    "inference/look.py": """
        from pilotlight import Image, ImageUrl, endpoint

        @endpoint
        def handler(image: Image | None = None, url: ImageUrl | None = None) -> list[object]:
            return [image.format, image.width, image.height] if image else [url]
    """,
    "inference/paint.py": """
        from pilotlight import Image, Response, endpoint

        @endpoint
        def handler(image: Image) -> Response:
            return Response(200, (("content-type", "image/png"),), image.content)
    """,
    "inference/broken.py": "import nowhere\n\ndef handler(event, context): ...\n",
    "inference/nasty.py": '''
        """<img src=x onerror="document.title='owned'">"""
        from pilotlight import endpoint

        @endpoint
        def handler(text: str) -> str:
            return text
    ''',
    "inference/raw.py": "def handler(event, context):\n    return {'keys': sorted(event)}\n",
    "inference/words.py": '''
        """Write word by word."""
        import pathlib, time
        from pilotlight import endpoint

        @endpoint
        def handler(gate: str):
            yield "grün "
            while not pathlib.Path(gate).exists():
                time.sleep(0.01)
            if pathlib.Path(gate).read_text():
                raise ValueError("no more")
            yield "🔥"
    ''',
    "inference/guarded.py": """
        from pilotlight import endpoint

        @endpoint
        def handler(text: str) -> str:
            return text[::-1]
    """,
    "inference/rows.py": """
        from pilotlight import File, endpoint

        @endpoint
        def handler(table: File) -> int:
            return table.content.count(b"\\n")
    """,
    "events/greet.json": '{"name": "Ada"}',
    "pilotlight.toml": """
        [usage_plans.all]
        keys = ["mobile"]
        [functions.guarded]
        api_key = true
        [functions.rows]
        api_key = true
    """,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


KEY = "0123456789-0123456789"


@pytest.fixture
def page(browser: Browser, tmp_path: Path, start_server: Callable[..., RunningServer]) -> Iterator[Page]:
    folder = write(tmp_path / "service", FILES)
    server = start_server(
        folder, "--isolation", "none", PILOTLIGHT_API_KEY_MOBILE=KEY
    )  # they wait for the test's files
    for _ in range(10):
        server.wait_for("described")
    errors: list[str] = []
    opened = browser.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(server.url)
    expect(opened.locator("article")).to_have_count(10)
    yield opened
    opened.close()
    assert errors == []


def card(page: Page, route: str) -> Locator:
    return page.locator("article").filter(has=page.get_by_role("heading", name=route))


def test_a_form_calls_its_function(page: Page) -> None:
    greet = card(page, "POST /greet")
    expect(greet).to_contain_text("Greet somebody.")
    expect(greet.locator("[name=name]")).to_have_value("Ada")  # from the saved event
    greet.locator("[name=tone]").select_option("cool")
    greet.locator("[name=times]").fill("2")
    greet.locator("[name=loud]").check()
    greet.get_by_role("button", name="Send").click()
    expect(greet.locator("pre")).to_have_text('{\n  "greeting": "COOL HELLO, ADA COOL HELLO, ADA"\n}')
    expect(greet).to_contain_text(re.compile("200 in [0-9]+ ms"))


def test_a_form_shows_what_is_wrong(page: Page) -> None:
    greet = card(page, "POST /greet")
    greet.locator("[name=name]").fill("Zoë 🔥")
    greet.locator("[name=times]").fill("")
    greet.get_by_role("button", name="Send").click()
    expect(greet.locator("pre")).to_have_text('{\n  "greeting": "warm hello, Zoë 🔥"\n}')
    greet.locator("[name=times]").evaluate("input => { input.type = 'text'; input.value = '\"x\"' }")
    greet.get_by_role("button", name="Send").click()
    expect(greet).to_contain_text("400 in")
    expect(greet.locator("pre")).to_contain_text("times: expected int, got str")


def test_a_file_is_uploaded(page: Page, tmp_path: Path) -> None:
    upload = tmp_path / "picture.bin"
    upload.write_bytes(bytes(range(256)) * 5)
    size = card(page, "POST /size")
    size.locator("input[type=file]").set_input_files(upload)
    size.get_by_role("button", name="Send").click()
    expect(size.locator("pre")).to_have_text('{\n  "name": "picture.bin",\n  "bytes": 1280\n}')


def test_a_picture_is_previewed_and_sent(page: Page, tmp_path: Path) -> None:
    picture, text = tmp_path / "picture.png", tmp_path / "text.png"
    picture.write_bytes(png(12, 7))
    text.write_text("no picture")
    look = card(page, "POST /look")
    chooser, preview = look.locator("input[type=file]"), look.locator("label img")
    expect(chooser).to_have_attribute("accept", "image/*")
    expect(preview).to_be_hidden()
    chooser.set_input_files(picture)
    expect(preview).to_be_visible()
    assert preview.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])") == [12, 7]
    look.get_by_role("button", name="Send").click()
    expect(look.locator("pre")).to_have_text(re.compile(r'\[\s*"PNG",\s*12,\s*7\s*\]'))
    chooser.set_input_files(text)
    expect(preview).to_be_hidden()
    look.get_by_role("button", name="Send").click()
    expect(look).to_contain_text("415 in")
    expect(look.locator("pre")).to_contain_text("image: no picture of a format that is read here")


def test_the_url_of_a_picture_is_a_field_for_urls(page: Page) -> None:
    look = card(page, "POST /look")
    expect(look.locator("[name=url]")).to_have_attribute("type", "url")
    look.locator("[name=url]").fill("http://127.0.0.1:1/secret.png")
    look.get_by_role("button", name="Send").click()
    expect(look).to_contain_text("400 in")
    expect(look.locator("pre")).to_contain_text('"field": "url"')


def test_a_picture_that_is_the_answer_is_shown(page: Page, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(9, 5))
    paint = card(page, "POST /paint")
    paint.locator("input[type=file]").set_input_files(picture)
    paint.get_by_role("button", name="Send").click()
    expect(paint.locator("pre")).to_have_text(f"image/png, {len(png(9, 5))} bytes")
    shown = paint.locator("form > div img")
    assert shown.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])") == [9, 5]


def test_a_function_that_does_not_load_says_why(page: Page) -> None:
    broken = card(page, "POST /broken")
    expect(broken).to_contain_text("nowhere")
    expect(broken.get_by_role("button")).to_have_count(0)


def test_text_of_functions_and_answers_is_never_markup(page: Page) -> None:
    nasty = card(page, "POST /nasty")
    expect(nasty).to_contain_text("<img src=x")
    nasty.locator("[name=text]").fill("<script>document.title='owned'</script>")
    nasty.get_by_role("button", name="Send").click()
    expect(nasty.locator("pre")).to_have_text("<script>document.title='owned'</script>")
    expect(page).to_have_title("Pilotlight")


def test_a_raw_handler_takes_any_event(page: Page) -> None:
    raw = card(page, "POST /raw")
    raw.locator("[name=event]").fill('{"a": 1}')
    raw.get_by_role("button", name="Send").click()
    expect(raw.locator("pre")).to_contain_text('"requestContext"')


def test_a_stream_is_shown_as_it_comes(page: Page, tmp_path: Path) -> None:
    words = card(page, "POST /words")
    words.locator("[name=gate]").fill(str(tmp_path / "gate"))
    words.get_by_role("button", name="Send").click()
    expect(words.locator("pre")).to_have_text("grün ")
    (tmp_path / "gate").touch()
    expect(words.locator("pre")).to_have_text("grün 🔥")
    expect(words).to_contain_text(re.compile("200 in [0-9]+ ms"))


def test_a_stream_that_breaks_off_is_shown_as_far_as_it_came(page: Page, tmp_path: Path) -> None:
    words = card(page, "POST /words")
    words.locator("[name=gate]").fill(str(tmp_path / "gate"))
    words.get_by_role("button", name="Send").click()
    expect(words.locator("pre")).to_have_text("grün ")  # a browser may drop what comes together with the end
    (tmp_path / "written").write_text("fail")
    (tmp_path / "written").rename(tmp_path / "gate")
    expect(words.locator("p.bad")).to_contain_text("Error")
    expect(words.locator("pre")).to_have_text("grün ")


def test_a_function_that_needs_a_key_has_a_field_for_it(page: Page, tmp_path: Path) -> None:
    expect(card(page, "POST /greet").locator("[name=x-api-key]")).to_have_count(0)
    guarded, rows = card(page, "POST /guarded"), card(page, "POST /rows")
    guarded.locator("[name=text]").fill("abc")
    guarded.get_by_role("button", name="Send").click()
    expect(guarded).to_contain_text("403 in")
    expect(guarded.locator("pre")).to_have_text('{\n  "message": "Forbidden"\n}')
    expect(guarded.locator("[name=x-api-key]")).to_have_attribute("type", "password")
    guarded.locator("[name=x-api-key]").fill("another key of a good length")
    guarded.get_by_role("button", name="Send").click()
    expect(guarded).to_contain_text("403 in")
    guarded.locator("[name=x-api-key]").fill(KEY)
    guarded.get_by_role("button", name="Send").click()
    expect(guarded.locator("pre")).to_have_text("cba")
    expect(guarded).to_contain_text("200 in")
    # the service's other functions have it too, also with a form of files
    table = tmp_path / "table.csv"
    table.write_text("a\nb\n")
    rows.locator("input[type=file]").set_input_files(table)
    rows.get_by_role("button", name="Send").click()
    expect(rows.locator("pre")).to_have_text("2")
    page.reload()
    expect(guarded.locator("[name=x-api-key]")).to_have_value(KEY)


def test_a_key_that_no_header_can_carry_is_said(page: Page) -> None:
    guarded = card(page, "POST /guarded")
    guarded.locator("[name=text]").fill("abc")
    guarded.locator("[name=x-api-key]").fill("schlüssel 🔥")
    guarded.get_by_role("button", name="Send").click()
    expect(guarded.locator("p.bad")).to_contain_text("TypeError")
