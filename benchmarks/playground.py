"""How long the page of `pilotlight serve` takes to appear, and what of it is loaded: over all examples, in Chromium.

    python benchmarks/playground.py [--runs 20]

needs Chromium. Prints a table and writes it to `benchmarks/results/playground.md`. Each run is a browser context of its
own, without a cache, as a first visit has none; the views take turns. Times are the
browser's, from the start of the navigation.
"""

import argparse
import shutil
from collections import defaultdict

import machine
from playwright.sync_api import Browser, sync_playwright
from serving import served

VIEWS = {"Try": "#/try?function=question-answering--qa", "Live": "#/live", "Cost": "#/cost", "API": "#/reference"}
READY = {"Try": "article.panel form", "Live": "h1", "Cost": "h1", "API": "article.operation"}
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
NOW = "performance.now() / 1000"
LOADED = """performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .map(each => each.transferSize).reduce((sum, size) => sum + size, 0)"""


def visit(browser: Browser, url: str, view: str) -> tuple[float, float, int]:
    """Seconds until the first paint and until the view is there, and the bytes that were loaded."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}/{VIEWS[view]}")
    page.locator(READY[view]).first.wait_for()
    there = page.evaluate(NOW)
    found = page.evaluate(PAINT), there, page.evaluate(LOADED)
    context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    paints, there, sizes = defaultdict(list), defaultdict(list), {}
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for number in range(runs + 1):
            for view in VIEWS:
                paint, seconds, size = visit(browser, url, view)
                if number:  # the first starts processes of the browser
                    paints[view].append(paint)
                    there[view].append(seconds)
                sizes[view] = size
        browser.close()
    machine.write("playground", lines(runs, paints, there, sizes))


def lines(runs: int, paints: dict[str, list[float]], there: dict[str, list[float]], sizes: dict[str, int]) -> list[str]:
    head = ["| ms | median | least | most |", "|---|---|---|---|"]
    loaded = ", ".join(f"{view} {size / 1000:.0f} kB" for view, size in sizes.items())
    return [
        "# The page of pilotlight serve",
        "",
        f"{runs} first visits a view, Chromium without a graphics card, the server with all examples on the same",
        "machine.",
        "",
        *("First paint:", "", *head, *(machine.row(view, paints[view]) for view in VIEWS), ""),
        *("Until the view is there, its form or its tables included:", ""),
        *(*head, *(machine.row(view, there[view]) for view in VIEWS), ""),
        f"Loaded by the first visit, uncompressed, with the answers of the server: {loaded}.",
    ]


if __name__ == "__main__":
    main()
