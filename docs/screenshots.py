"""The pictures in docs/images: the page of `pilotlight serve` with an answer, as Chromium shows it. Run by hand:

    python docs/screenshots.py

needs Chromium and the packages of requirements/dev.txt; the examples' models are in the repository.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
IMAGES = ROOT / "docs" / "images"
LARGEST = 100_000  # bytes of a picture
SHOWN = {"try": "question-answering--qa", "classes": "clothing--clothing"}


def main() -> None:
    from serving import served  # of benchmarks/

    IMAGES.mkdir(exist_ok=True)
    with served() as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1100, "height": 720}, color_scheme="light")
        for name, key in SHOWN.items():
            take(page, url, name, key)


def take(page: Page, url: str, name: str, key: str) -> None:
    """A picture of that function's answer to its saved event; the second one, which is warm."""
    page.goto(f"{url}/#/try?function={key}")
    page.locator("article.panel").get_by_text(key.replace("--", "/")).wait_for()
    for _ in range(2):
        page.get_by_role("button", name="Send", exact=True).click()
        page.locator(".report").wait_for()
    page.evaluate("scrollTo(0, 0)")
    file = IMAGES / f"{name}.png"
    page.screenshot(path=file)
    smaller(file)


def smaller(file: Path) -> None:
    """With 256 colours at most: text and few colours lose nothing that is seen."""
    from PIL import Image

    with Image.open(file) as picture:
        reduced = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    reduced.save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file.relative_to(ROOT)}: {size:,} bytes")
    assert size <= LARGEST, f"{file} has {size:,} bytes"


if __name__ == "__main__":
    main()
