"""The view Records in a real browser: in `pilotlight serve`, and alone by `pilotlight records --ui`."""

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from conftest import RunningServer, write
from small_records import DAY, FIRST, HOSTILE, SETTINGS, make

pytestmark = pytest.mark.system

SERVICE = {"pilotlight.toml": SETTINGS, "inference/mood.py": "def handler(event, context): ...\n"}


@pytest.fixture
def service(tmp_path: Path) -> Path:
    folder = write(tmp_path / "library", SERVICE)
    make(folder)
    return folder


def opened(browser: Browser, url: str, fragment: str = "#/records") -> tuple[Page, list[str]]:
    """A page, and what goes wrong in it: errors, requests to others, a title that only a hostile record sets."""
    wrong: list[str] = []
    context = browser.new_context(timezone_id="UTC", accept_downloads=True)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(url) else wrong.append(request.url))
    page.goto(f"{url}/{fragment}")
    return page, wrong


@pytest.fixture
def page(browser: Browser, service: Path, start_server: Callable[..., RunningServer]) -> Iterator[Page]:
    server = start_server(service, "--no-reload")
    page, wrong = opened(browser, server.url)
    yield page
    assert page.title().startswith("Records ")
    page.context.close()
    assert wrong == []


def rows(page: Page) -> Locator:
    return page.get_by_role("region", name="Records", exact=True).locator("tbody > tr")


def test_records_are_listed_filtered_and_opened(page: Page) -> None:
    expect(page.get_by_text("801 records, 10 errors (1.25 %), 4 cold starts (0.499 %).")).to_be_visible()
    expect(rows(page)).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(rows(page)).to_have_count(100)
    page.get_by_role("checkbox", name="Errors").check()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(rows(page)).to_have_count(10)
    expect(page.get_by_text("These are all.")).to_be_visible()
    page.get_by_role("checkbox", name="Errors").uncheck()
    page.get_by_label("Text in the beginning").fill("ROOM 7!")
    page.get_by_label("Text in the beginning").press("Enter")
    expect(rows(page)).to_have_count(1)
    rows(page).get_by_role("button").click()
    expect(page.get_by_label("Input", exact=True)).to_have_text('{\n  "text": "room 7!"\n}')
    expect(page.get_by_label("Output", exact=True)).to_have_text('{\n  "label": "good",\n  "score": 0.7\n}')
    assert page.url.endswith("#/records?contains=ROOM+7%21&record=r007")
    page.reload()  # a look can be shared
    expect(page.get_by_label("Input", exact=True)).to_contain_text("room 7!")
    expect(rows(page).first).to_contain_text("library/mood")


def test_charts_and_drift(page: Page) -> None:
    classes = page.get_by_role("table", name="Classes")
    expect(classes.get_by_role("row", name=re.compile("^good"))).to_contain_text("4")
    expect(page.get_by_role("img", name=re.compile("^Latency over time, ms. p50: last"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Scores. "))).to_be_visible()
    page.get_by_label("Reference from").fill("2026-11-01T00:00:00")
    page.get_by_label("Reference to").fill("2026-11-02T00:00:00")
    page.get_by_role("button", name="Compare").click()
    found = page.get_by_role("table", name="Drift against the reference")
    expect(found.get_by_role("row", name=re.compile("^Classes"))).to_contain_text("shifted far")
    expect(found.get_by_role("row", name=re.compile("^Latency"))).to_contain_text("stable")
    expect(found.get_by_role("row", name=re.compile("^Latency"))).to_contain_text("400 and 401")
    assert f"reference_since={FIRST}&reference_until={FIRST + DAY}" in page.url


def test_what_is_found_is_exported(page: Page, tmp_path: Path) -> None:
    page.get_by_role("checkbox", name="Errors").check()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(rows(page)).to_have_count(10)
    with page.expect_download() as csv_file:
        page.get_by_role("link", name="Export all of these as CSV").click()
    csv_file.value.save_as(tmp_path / "found.csv")
    with (tmp_path / "found.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["primary_key"] for row in found] == [f"r{number:03}" for number in range(720, -1, -80)]
    assert {row["error"] for row in found} == {"ValueError: no mood"}
    with page.expect_download() as lines:
        page.get_by_role("link", name="Export all of these as JSONL").click()
    lines.value.save_as(tmp_path / "found.jsonl")
    first = json.loads((tmp_path / "found.jsonl").read_text().splitlines()[0])
    assert (first["primary_key"], first["input"]) == ("r720", {"text": "room 720!"})


def test_what_a_record_says_is_never_markup(page: Page) -> None:
    expect(rows(page).first).to_contain_text(HOSTILE)
    rows(page).first.get_by_role("button").click()
    expect(page.get_by_label("Output", exact=True)).to_contain_text(HOSTILE)
    assert page.locator("main img, main script, main b").count() == 0


def test_the_view_can_be_used_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    expect(rows(page)).to_have_count(50)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_view_alone(browser: Browser, service: Path) -> None:
    command = [sys.executable, "-m", "pilotlight", "records", str(service), "--ui", "--errors"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        url = re.fullmatch(
            r"Records of library at (http://127\.0\.0\.1:\d+)/#/records\?failed=1 \(Ctrl-C stops\)\n", said
        )
        assert url, said
        page, wrong = opened(browser, url[1], "#/records?failed=1")
        expect(rows(page)).to_have_count(10)
        expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["Records"])
        page.context.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stdout.read() == "Stopped.\n"
    assert wrong == []
