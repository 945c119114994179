"""The page of the question_answering example in a real browser, with models of a few kilobytes behind it."""

import re
from collections.abc import Iterator

import pytest
import small_models
from playwright.sync_api import Browser, Page, expect
from test_question_answering import CONTEXT, ENDLESS, SENTENCE, WORDS, copy

from conftest import RunningServer

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    service = copy(tmp_path_factory.mktemp("example") / "question_answering")
    small_models.reader(service / "models/qa", [*WORDS, "62", "metres"], ["half", "62"], ["seven", "metres"])
    small_models.generator(service / "models/textgen", SENTENCE, ENDLESS)
    server = RunningServer([str(service)], {})
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    said: list[str] = []  # what the policy blocks is said here, too
    opened = browser.new_page()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(f"{server.url}/qa")
    yield opened
    opened.close()
    assert [text for text in said if "400 (Bad Request)" not in text] == []


def test_the_answer_is_marked_in_the_passage(page: Page) -> None:
    page.get_by_label("Passage", exact=True).fill(CONTEXT)
    page.get_by_label("Question", exact=True).fill("When?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#found .answer")).to_have_text("half past seven")
    expect(page.locator("#found .small")).to_have_text(re.compile(r"score [01]\.\d{3}, \d+ ms"))
    expect(page.locator("#passage")).to_have_text(CONTEXT)
    expect(page.locator("#passage mark")).to_have_text("half past seven")  # behind a character beyond U+FFFF


def test_a_sample_and_its_question_are_enough(page: Page) -> None:
    expect(page.get_by_label("Passage", exact=True)).to_have_value(re.compile("harbour library"))
    page.get_by_role("button", name="How long is the reading room?").click()
    expect(page.locator("#passage mark")).to_have_text("62 metres")
    page.get_by_label("Sample passage").select_option("Zoë's bakery")
    expect(page.get_by_label("Passage", exact=True)).to_have_value(re.compile("Zoë lights"))
    expect(page.get_by_label("Question", exact=True)).to_have_value("Where was the café?")


def test_everything_goes_by_the_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_label("Sample passage")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Passage", exact=True)).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(CONTEXT)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#passage mark")).to_have_text("half past seven")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("At?")
    page.keyboard.press("Enter")
    expect(page.locator("#passage mark")).to_have_text("half past seven")
    page.get_by_label("Beginning", exact=True).fill("I don't")
    page.keyboard.press("Enter")
    expect(page.locator("#written")).to_have_text(SENTENCE)


def test_an_error_can_be_read(page: Page) -> None:
    page.get_by_label("Passage", exact=True).fill(" ")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#qa-error")).to_have_text("400: context: must not be empty")
    expect(page.locator("#passage")).to_be_hidden()
    page.get_by_label("Passage", exact=True).fill(CONTEXT)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#passage mark")).to_have_text("half past seven")
    expect(page.locator("#qa-error")).to_be_empty()


def test_markup_in_a_passage_is_text(page: Page) -> None:
    context = "<img src=x onerror=alert(1)> half past <b>seven</b>"
    page.get_by_label("Passage", exact=True).fill(context)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#passage")).to_have_text(context)
    expect(page.locator("#passage img")).to_have_count(0)


def test_a_text_is_shown_as_it_comes(page: Page) -> None:
    page.get_by_label("Beginning", exact=True).fill("I don't")
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#written")).to_have_text("I don't know what to do.")
    expect(page.locator("#pace")).to_have_text(re.compile(r"\d+ pieces?, the first after \d+ ms, all after \d+ ms"))
    expect(page.locator("#written")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()


def test_a_stream_can_be_stopped(page: Page) -> None:
    page.get_by_label("Beginning", exact=True).fill("tick")
    page.get_by_label("Tokens at most").evaluate("input => { input.max = input.value = 1_000_000 }")
    page.get_by_role("button", name="Write").click()
    expect(page.locator("#written")).to_have_text(re.compile("^tick tock tick tock"))
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#pace")).to_have_text(re.compile(r"\d+ pieces?"))
    expect(page.locator("#textgen-error")).to_be_empty()
    page.get_by_label("Beginning", exact=True).fill("I don't")
    page.get_by_label("Beginning", exact=True).press("Enter")
    expect(page.locator("#written")).to_have_text("I don't know what to do.")
