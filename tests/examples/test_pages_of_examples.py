"""The server's page over all examples at once, in a real browser: every function is asked by its form, and its
answer is shown for what it is. Every view is without barriers, by axe's rules, light and dark, and on a phone.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from conftest import RunningServer

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
SERVICES = ["captioning", "clothing", "minimal", "question_answering", "sentences", "translation"]
FUNCTIONS = 12
AXE = ROOT / "tests" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
USUAL = (
    "Failed to load resource: the server responded with a status of "  # Chromium's line about answers that are errors
)
VIEWS = ["try", "live", "records", "cost", "reference"]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    running = RunningServer([str(ROOT / "examples" / name) for name in SERVICES] + ["--no-reload"], {})
    try:
        for _ in range(FUNCTIONS):
            running.wait_for("described", error="")
        yield running
    finally:
        running.stop()


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    opened = browser.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: None if said.text.startswith(USUAL) else errors.append(said.text))
    opened.on("request", lambda request: None if is_own(request.url, server.url) else errors.append(request.url))
    yield opened
    opened.close()
    assert errors == []


def is_own(url: str, server: str) -> bool:
    """Whether it is asked of the server itself, or of nobody."""
    return url.startswith(("data:", f"blob:{server}/")) or urlsplit(url).netloc == urlsplit(server).netloc


def opened(page: Page, server: RunningServer, key: str) -> Locator:
    page.goto(f"{server.url}/#/try?function={key}")
    panel = page.locator("article.panel")
    expect(panel).to_contain_text(key.replace("--", "/"))
    return panel


def sent(panel: Locator) -> Locator:
    """The answer, when it is there whole."""
    panel.get_by_role("button", name="Send", exact=True).click()
    expect(panel.locator(".status")).to_contain_text(re.compile("^200 in [0-9]+ ms"))
    return panel.locator(".answer")


def test_the_part_of_a_passage_that_answers_is_marked_in_it(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "question-answering--qa")
    context = "😀😀 Zoë's boat, built in 1931, lies in the harbour of Bergen & <b>rots</b>."
    panel.locator("[name=context]").fill(context)
    panel.locator("[name=question]").fill("When was the boat built?")
    answer = sent(panel)
    expect(answer.locator(".said")).to_contain_text("1931")
    expect(answer.locator("mark")).to_have_text(answer.locator(".said").text_content() or "")
    expect(answer.locator("blockquote")).to_have_text(context)


def test_the_logits_of_a_sent_picture_are_bars(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "clothing--clothing")
    panel.locator("input[name=image]").set_input_files(ROOT / "examples" / "clothing" / "events" / "pants.jpg")
    panel.locator("[name=url]").fill("")
    answer = sent(panel)
    expect(answer.locator(".said")).to_have_text("pants")
    expect(answer.locator("table.bars tbody tr")).to_have_count(10)
    expect(answer.locator("table.bars tbody th").first).to_have_text("pants")
    expect(answer).to_contain_text("The softmax of the logits that were answered.")


def test_a_probability_is_a_bar_and_what_follows_from_it(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "clothing--churn")
    panel.locator("[name=contract]").select_option("two_year")
    panel.locator("[name=tenure]").fill("70")
    answer = sent(panel)
    expect(answer.locator(".said")).to_have_text("churn: no")
    expect(answer.locator("table.bars")).to_contain_text("churn probability")


def test_a_caption_is_shown_over_its_picture_word_by_word(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "captioning--caption")
    panel.locator("[name=maps]").check()
    answer = sent(panel)
    words = answer.get_by_role("toolbar").get_by_role("button")
    expect(answer.locator(".said")).to_have_text(" ".join(words.all_text_contents()))
    canvas = answer.locator("canvas")
    expect(canvas).to_have_attribute(
        "aria-label", re.compile(f"^Where the network looked for “{words.nth(0).inner_text()}”")
    )
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    words.nth(0).focus()
    page.keyboard.press("ArrowRight")
    expect(words.nth(1)).to_be_focused()
    expect(words.nth(1)).to_have_attribute("aria-pressed", "true")
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(words.last).to_be_focused()


def test_drawn_maps_are_a_picture(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "captioning--caption")
    panel.locator("[name=draw]").check()
    expect(sent(panel).locator("img")).to_have_attribute("alt", re.compile("^image/png, [0-9]+ bytes"))


def test_words_beyond_the_learner_are_marked_in_a_translation(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "translation--translate")
    panel.locator("[name=difficulty]").select_option("0")
    answer = sent(panel)
    expect(answer.locator("ruby").first).to_be_visible()
    assert re.search("[\u4e00-\u9fff]", answer.locator("ruby rt").first.inner_text())


def test_tokens_stream(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "question-answering--textgen")
    panel.locator("[name=prompt]").fill("The sea")
    panel.locator("[name=max_length]").fill("12")
    answer = sent(panel)
    expect(answer).not_to_be_empty()
    expect(panel.locator("pre.body")).to_have_text(answer.inner_text())


def test_the_sentences_of_a_summary_are_marked_in_the_article(page: Page, server: RunningServer) -> None:
    answer = sent(opened(page, server, "translation--summarize"))
    expect(answer.locator("mark")).to_have_count(2)
    assert answer.locator(".said").inner_text() == " ".join(answer.locator("mark").all_text_contents())


@pytest.mark.parametrize(
    ("key", "said", "bars"),
    [
        ("translation--sentiment", "positive", 1),
        ("sentences--kim_cnn", "positive", 2),
        ("sentences--sm_cnn", re.compile("[0-9.]+ %"), 1),
    ],
)
def test_labels_and_scores_are_bars(
    page: Page, server: RunningServer, key: str, said: str | re.Pattern[str], bars: int
) -> None:
    answer = sent(opened(page, server, key))
    expect(answer.locator(".said")).to_have_text(re.compile(said, re.I) if isinstance(said, str) else said)
    expect(answer.locator("table.bars tbody tr")).to_have_count(bars)


def test_one_text_of_an_object_is_read(page: Page, server: RunningServer) -> None:
    panel = opened(page, server, "minimal--hello")
    panel.locator("[name=name]").fill("<i>Ada</i>")
    panel.get_by_label("Route").select_option("GET /hello")
    expect(sent(panel).locator(".said")).to_have_text("Hello, <i>Ada</i>!")


def test_a_page_that_is_answered_is_text_here(page: Page, server: RunningServer) -> None:
    expect(sent(opened(page, server, "question-answering--page"))).to_contain_text("<!doctype html>")


def test_the_reference_leads_to_the_form_and_back(page: Page, server: RunningServer) -> None:
    page.goto(f"{server.url}/#/reference?operation=post__qa")
    operation = page.locator("#operation-post__qa")
    expect(operation).to_be_in_viewport()
    expect(operation.get_by_role("table", name="Fields of the body")).to_contain_text("context")
    expect(operation.get_by_role("table", name="Fields of 200")).to_contain_text("start")
    operation.get_by_role("link", name="Try it").click()
    expect(page.locator("article.panel h2")).to_have_text("POST /qa")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_a_barrier(browser: Browser, server: RunningServer, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True)
    page = context.new_page()
    found = []
    for view in VIEWS:
        page.goto(f"{server.url}/#/{view}")
        expect(page.locator(f"nav a[aria-current=page][href='#/{view}']")).to_be_visible()
        expect(page.get_by_text("Loading …")).to_have_count(0)
        found += barriers(page)
    for key in ("question-answering--qa", "captioning--caption", "clothing--clothing", "translation--translate"):
        panel = opened(page, server, key)
        if key.endswith("caption"):
            panel.locator("[name=maps]").check()
        if key == "clothing--clothing":
            panel.locator("input[name=image]").set_input_files(ROOT / "examples" / "clothing" / "events" / "pants.jpg")
            panel.locator("[name=url]").fill("")
        sent(panel)
        for summary in panel.locator("summary").all():
            if not summary.evaluate("node => node.parentElement.open"):
                summary.click()
        found += barriers(page)
    context.close()
    assert found == []


def barriers(page: Page) -> list[str]:
    page.add_script_tag(path=AXE)
    result = page.evaluate(
        "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })"
    )
    return [
        f"{page.url}: {each['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for each in result["violations"]
        for node in each["nodes"]
    ]


def test_no_view_is_wider_than_a_phone(browser: Browser, server: RunningServer) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    for view in VIEWS:
        page.goto(f"{server.url}/#/{view}")
        expect(page.get_by_text("Loading …")).to_have_count(0)
        assert page.locator("html").evaluate("root => root.scrollWidth") == 360, view
    panel = opened(page, server, "captioning--caption")
    panel.locator("[name=maps]").check()
    sent(panel)
    assert page.locator("html").evaluate("root => root.scrollWidth") == 360
    page.close()


def test_the_page_may_load_and_ask_nothing_but_its_server(page: Page, server: RunningServer) -> None:
    answer = page.goto(server.url)
    assert answer
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
