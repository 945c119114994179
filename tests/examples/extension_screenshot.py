"""Makes the extension's screenshot.png from what a running service answers: python extension_screenshot.py URL

With `tests` on PYTHONPATH, and a font on the machine that has Chinese characters.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Literal

from extension_browser import EXTENSION, ORIGIN, ExtensionBrowser, launched
from PIL import Image
from playwright.sync_api import expect

TEXT = "My brother works in a hospital. Where is the library? I would like a cup of tea."
LEVEL = 0
WIDTH = 322  # of the popup, pixels
GAP = 16


def shown(browser: ExtensionBrowser, address: str, scheme: Literal["light", "dark"], region: str) -> Image.Image:
    page = browser.open("options.html")
    page.evaluate("address => chrome.storage.local.set({ address })", address)
    page.evaluate("difficulty => chrome.storage.sync.set({ difficulty })", LEVEL)
    page.set_viewport_size({"width": WIDTH, "height": 100})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{ORIGIN}/popup.html")
    expect(page.locator("#hint")).not_to_be_empty()
    page.locator("#hint").evaluate("hint => { hint.textContent = '' }")  # a tab has no page under it
    page.locator("#text").fill(TEXT)
    page.locator("#translate").click()
    expect(page.locator(region)).not_to_be_empty(timeout=60_000)
    page.locator("#translate").blur()
    return Image.open(io.BytesIO(page.screenshot(full_page=True)))


def beside(pictures: list[Image.Image]) -> Image.Image:
    height = max(picture.height for picture in pictures)
    whole = Image.new("RGB", (len(pictures) * (WIDTH + GAP) + GAP, height + 2 * GAP), "silver")
    for number, picture in enumerate(pictures):
        whole.paste(picture, (GAP + number * (WIDTH + GAP), GAP))
    return whole.quantize(64)


def main(url: str) -> None:
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        launched(Path(folder) / "chromium", []) as browser,
    ):
        pictures = [
            shown(browser, url, "light", "#reply"),
            shown(browser, url, "dark", "#reply"),
            shown(browser, "http://127.0.0.1:9", "light", "#problem"),
        ]
    beside(pictures).save(EXTENSION / "screenshot.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
