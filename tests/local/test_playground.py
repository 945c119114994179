"""The page at /, in a real browser: it shows what is served, and its forms call the functions."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from conftest import RunningServer, png, write

pytestmark = pytest.mark.system

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


KEY = "0123456789-0123456789"
USUAL = "Failed to load resource: "  # how Chromium begins lines about answers that are errors, or break off


def is_own(url: str, server: str) -> bool:
    """Whether it is asked of the server itself, or of nobody."""
    return url.startswith(("data:", f"blob:{server}/")) or urlsplit(url).netloc == urlsplit(server).netloc


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("playground") / "service", FILES)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    arguments = [str(folder), "--isolation", "none"]  # they wait for the test's files
    running = RunningServer(arguments, {"PILOTLIGHT_API_KEY_MOBILE": KEY})
    try:
        for _ in range(10):
            running.wait_for("described")
        yield running
    finally:
        running.stop()


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    errors: list[str] = []
    opened = browser.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: None if said.text.startswith(USUAL) else errors.append(said.text))
    opened.on("request", lambda request: None if is_own(request.url, server.url) else errors.append(request.url))
    opened.goto(server.url)
    expect(opened.locator(".functions-list li")).to_have_count(10)
    yield opened
    opened.close()
    assert errors == []


def card(page: Page, route: str) -> Locator:
    """The function's form, which its link in the list opens."""
    page.locator(".functions-list a").filter(has_text=route).click()
    return page.locator("article").filter(has=page.get_by_role("heading", name=route))


def send(card: Locator) -> None:
    card.get_by_role("button", name="Send", exact=True).click()


def shows(card: Locator, status: int, text: str | re.Pattern[str]) -> None:
    """That the function answered so; `text` is the body as it is under "Raw"."""
    expect(card.locator(".status")).to_contain_text(re.compile(f"^{status} in [0-9]+ ms"))
    expect(card.locator("pre.body")).to_have_text(text)


def test_a_form_calls_its_function(page: Page) -> None:
    greet = card(page, "POST /greet")
    expect(greet).to_contain_text("Greet somebody.")
    expect(greet.locator("[name=name]")).to_have_value("Ada")  # from the saved event
    greet.locator("[name=tone]").select_option("cool")
    greet.locator("[name=times]").fill("2")
    greet.locator("[name=loud]").check()
    send(greet)
    shows(greet, 200, '{\n  "greeting": "COOL HELLO, ADA COOL HELLO, ADA"\n}')
    expect(greet.locator(".said")).to_have_text("COOL HELLO, ADA COOL HELLO, ADA")


def test_a_form_is_sent_by_the_keyboard_alone(page: Page) -> None:
    link = page.locator(".functions-list a").filter(has_text="POST /greet")
    link.focus()
    page.keyboard.press("Enter")
    greet = page.locator("article").filter(has=page.get_by_role("heading", name="POST /greet"))
    for _ in range(30):
        page.keyboard.press("Tab")
        if greet.locator("[name=name]").evaluate("field => field === document.activeElement"):
            break
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Grace")
    page.keyboard.press("Control+Enter")
    shows(greet, 200, '{\n  "greeting": "warm hello, Grace"\n}')


def test_a_form_shows_what_is_wrong(page: Page) -> None:
    greet = card(page, "POST /greet")
    greet.locator("[name=name]").fill("Zoë 🔥")
    greet.locator("[name=times]").fill("")
    send(greet)
    shows(greet, 200, '{\n  "greeting": "warm hello, Zoë 🔥"\n}')
    greet.locator("[name=times]").evaluate("input => { input.type = 'text'; input.value = '\"x\"' }")
    send(greet)
    shows(greet, 400, re.compile("times: expected int, got str"))


def test_a_file_is_uploaded(page: Page, tmp_path: Path) -> None:
    upload = tmp_path / "<img src=x onerror=alert(1)>.bin"
    upload.write_bytes(bytes(range(256)) * 5)
    size = card(page, "POST /size")
    size.locator("input[type=file]").set_input_files(upload)
    send(size)
    shows(size, 200, '{\n  "name": "<img src=x onerror=alert(1)>.bin",\n  "bytes": 1280\n}')


def test_a_picture_is_previewed_and_sent(page: Page, tmp_path: Path) -> None:
    picture, text = tmp_path / "<b>picture.png", tmp_path / "text.png"
    picture.write_bytes(png(12, 7))
    text.write_text("no picture")
    look = card(page, "POST /look")
    chooser, preview = look.locator("input[name=image]"), look.locator(".drop img")
    expect(chooser).to_have_attribute("accept", "image/*")
    expect(look.locator("input[capture]")).to_have_attribute("capture", "environment")
    expect(preview).to_be_hidden()
    chooser.set_input_files(picture)
    expect(preview).to_be_visible()
    expect(look.locator(".drop")).to_contain_text("<b>picture.png, ")
    assert preview.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])") == [12, 7]
    send(look)
    shows(look, 200, re.compile(r'\[\s*"PNG",\s*12,\s*7\s*\]'))
    chooser.set_input_files(text)
    expect(preview).to_be_hidden()
    send(look)
    shows(look, 415, re.compile("image: no picture of a format that is read here"))


GIVEN = """(place, [how, bytes]) => {
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(bytes)], "given.png", { type: "image/png" }));
    const options = { bubbles: true, cancelable: true };
    if (how === "drop") place.dispatchEvent(new DragEvent(how, { dataTransfer: files, ...options }));
    else document.dispatchEvent(new ClipboardEvent(how, { clipboardData: files, ...options }));
}"""


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page: Page, how: str) -> None:
    look = card(page, "POST /look")
    look.locator(".drop").evaluate(GIVEN, [how, list(png(6, 4))])
    expect(look.locator(".drop")).to_contain_text("given.png, ")
    send(look)
    shows(look, 200, re.compile(r'\[\s*"PNG",\s*6,\s*4\s*\]'))
    look.get_by_role("button", name="Remove").click()
    send(look)
    shows(look, 200, re.compile(r"\[\s*null\s*\]"))


def test_the_url_of_a_picture_is_a_field_for_urls(page: Page) -> None:
    look = card(page, "POST /look")
    expect(look.locator("[name=url]")).to_have_attribute("type", "url")
    look.locator("[name=url]").fill("http://127.0.0.1:1/secret.png")
    send(look)
    shows(look, 400, re.compile('"field": "url"'))


def test_a_picture_that_is_the_answer_is_shown(page: Page, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(9, 5))
    paint = card(page, "POST /paint")
    paint.locator("input[name=image]").set_input_files(picture)
    send(paint)
    shows(paint, 200, f"image/png, {len(png(9, 5))} bytes")
    shown = paint.locator(".answer img")
    assert shown.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])") == [9, 5]


def test_a_function_that_does_not_load_says_why(page: Page) -> None:
    broken = card(page, "POST /broken")
    expect(broken).to_contain_text("nowhere")
    expect(broken.get_by_role("button")).to_have_count(0)


def test_text_of_functions_and_answers_is_never_markup(page: Page) -> None:
    nasty = card(page, "POST /nasty")
    expect(nasty).to_contain_text("<img src=x")
    text = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    nasty.locator("[name=text]").fill(text)
    send(nasty)
    expect(nasty.locator(".answer")).to_have_text(text)
    shows(nasty, 200, text)
    expect(page).to_have_title("Pilotlight")
    expect(nasty.locator(".answer img")).to_have_count(0)
    page.goto(page.url.split("#")[0] + "#/reference")
    expect(page.locator("main")).to_contain_text("<img src=x onerror")
    expect(page.locator("main img")).to_have_count(0)


def test_a_raw_handler_takes_any_event(page: Page) -> None:
    raw = card(page, "POST /raw")
    raw.locator("[name=event]").fill('{"a": 1}')
    send(raw)
    shows(raw, 200, re.compile('"requestContext"'))


def test_an_event_that_was_written_by_hand_is_sent_as_it_stands(page: Page) -> None:
    raw = card(page, "POST /raw")
    raw.get_by_role("button", name="Event", exact=True).click()
    raw.get_by_label("Event as JSON").fill('{"b": 1, "a": [true, null, "ü"]}')
    send(raw)
    shows(raw, 200, re.compile(r'\{\s*"keys": \[\s*"a",\s*"b"\s*\]\s*\}'))
    expect(raw.locator(".report")).to_contain_text("REPORT RequestId:")
    raw.get_by_label("Event as JSON").fill('{"b": ')
    send(raw)
    shows(raw, 400, re.compile("Could not parse request body into json"))


def test_form_and_event_are_two_sides_of_one(page: Page) -> None:
    greet = card(page, "POST /greet")
    greet.locator("[name=times]").fill("3")
    greet.get_by_role("button", name="Event", exact=True).click()
    event = greet.get_by_label("Event as JSON")
    expect(event).to_have_value('{\n  "name": "Ada",\n  "tone": "warm",\n  "times": 3,\n  "loud": false\n}')
    event.fill('{"name": "Bo", "loud": true}')
    greet.get_by_role("button", name="Form", exact=True).click()
    expect(greet.locator("[name=name]")).to_have_value("Bo")
    expect(greet.locator("[name=loud]")).to_be_checked()


def test_test_events_are_saved_loaded_and_deleted(page: Page, folder: Path) -> None:
    greet, events = card(page, "POST /greet"), folder / "events" / "greet"
    expect(greet.get_by_label("Saved event")).to_have_value("greet")
    greet.locator("[name=name]").fill("Zoë <b>")
    greet.get_by_label("Save this one as").fill("../evil")
    greet.get_by_role("button", name="Save", exact=True).click()
    expect(greet.locator(".events")).to_contain_text("the name of an event is letters")
    greet.get_by_label("Save this one as").fill("zoë 2")
    greet.get_by_role("button", name="Save", exact=True).click()
    expect(greet.locator(".events")).to_contain_text("zoë 2 is saved.")
    saved = json.loads((events / "zoë 2.json").read_text(encoding="utf-8"))
    assert saved == {"name": "Zoë <b>", "tone": "warm", "times": 1, "loud": False}
    greet.get_by_label("Saved event").select_option("greet")
    expect(greet.locator("[name=name]")).to_have_value("Ada")
    greet.get_by_label("Saved event").select_option("zoë 2")
    expect(greet.locator("[name=name]")).to_have_value("Zoë <b>")
    greet.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert (events / "zoë 2.json").exists()
    greet.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(greet.locator(".events")).to_contain_text("zoë 2 is deleted.")
    assert not events.exists()


TEXTS = ['it\'s "quoted"\nand $HOME `id` \\n on {two} [lines]', "Zoë 🔥 \u2028 %s @file", "-- &a=b;\tc"]


@pytest.mark.parametrize("text", TEXTS)
def test_the_request_as_code_runs_and_answers_the_same(page: Page, text: str, tmp_path: Path) -> None:
    nasty = card(page, "POST /nasty")
    nasty.locator("[name=text]").fill(text)
    send(nasty)
    shows(nasty, 200, re.compile("."))
    nasty.get_by_text("As code").click()
    curl, boto3, fetch = nasty.locator("pre.code").all_text_contents()
    assert ran(["bash", "-c", curl], tmp_path) == text
    assert json.loads(ran([sys.executable, "-c", boto3], tmp_path)) == text
    assert ran(["node", "--input-type=module", "-e", fetch], tmp_path) == f"{text}\n"


def test_a_file_as_code_is_a_path(page: Page, tmp_path: Path) -> None:
    picture = tmp_path / 'my picture\'s, "one";.png'
    picture.write_bytes(png(3, 2))
    look = card(page, "POST /look")
    look.locator("input[name=image]").set_input_files(picture)
    look.get_by_text("As code").click()
    curl, boto3, _ = look.locator("pre.code").all_text_contents()
    assert json.loads(ran(["bash", "-c", curl], tmp_path)) == ["PNG", 3, 2]
    assert json.loads(ran([sys.executable, "-c", boto3], tmp_path)) == ["PNG", 3, 2]


def ran(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout if command[0] != sys.executable else done.stdout.removesuffix("\n")


def test_a_stream_is_shown_as_it_comes(page: Page, tmp_path: Path) -> None:
    words = card(page, "POST /words")
    words.locator("[name=gate]").fill(str(tmp_path / "gate"))
    send(words)
    expect(words.locator("pre.stream")).to_have_text("grün ")
    (tmp_path / "gate").touch()
    expect(words.locator("pre.stream")).to_have_text("grün 🔥")
    shows(words, 200, "grün 🔥")


def test_a_request_is_cancelled(page: Page, tmp_path: Path) -> None:
    words = card(page, "POST /words")
    words.locator("[name=gate]").fill(str(tmp_path / "gate"))
    send(words)
    expect(words.locator("pre.stream")).to_have_text("grün ")
    words.get_by_role("button", name="Cancel").click()
    expect(words.locator(".outcome")).to_have_text("Cancelled.")
    (tmp_path / "gate").touch()
    send(words)
    shows(words, 200, "grün 🔥")


def test_a_stream_that_breaks_off_is_shown_as_far_as_it_came(page: Page, tmp_path: Path) -> None:
    words = card(page, "POST /words")
    words.locator("[name=gate]").fill(str(tmp_path / "gate"))
    send(words)
    expect(words.locator("pre.stream")).to_have_text("grün ")  # a browser may drop what comes together with the end
    (tmp_path / "written").write_text("fail")
    (tmp_path / "written").rename(tmp_path / "gate")
    expect(words.locator("p.bad")).to_contain_text("Error")
    expect(words.locator("pre.stream")).to_have_text("grün ")


def test_a_function_that_needs_a_key_has_a_field_for_it(page: Page, tmp_path: Path) -> None:
    expect(card(page, "POST /greet").locator("[name=x-api-key]")).to_have_count(0)
    guarded = card(page, "POST /guarded")
    guarded.locator("[name=text]").fill("abc")
    send(guarded)
    shows(guarded, 403, '{\n  "message": "Forbidden"\n}')
    expect(guarded.locator("[name=x-api-key]")).to_have_attribute("type", "password")
    guarded.locator("[name=x-api-key]").fill("another key of a good length")
    send(guarded)
    shows(guarded, 403, '{\n  "message": "Forbidden"\n}')
    guarded.locator("[name=x-api-key]").fill(KEY)
    send(guarded)
    shows(guarded, 200, "cba")
    # the service's other functions have it too, also with a form of files
    rows = card(page, "POST /rows")
    table = tmp_path / "table.csv"
    table.write_text("a\nb\n")
    rows.locator("input[type=file]").set_input_files(table)
    send(rows)
    shows(rows, 200, "2")
    page.reload()
    expect(card(page, "POST /guarded").locator("[name=x-api-key]")).to_have_value(KEY)


def test_a_key_that_no_header_can_carry_is_said(page: Page) -> None:
    guarded = card(page, "POST /guarded")
    guarded.locator("[name=text]").fill("abc")
    guarded.locator("[name=x-api-key]").fill("schlüssel 🔥")
    send(guarded)
    expect(guarded.locator("p.bad")).to_contain_text("TypeError")
