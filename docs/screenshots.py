"""The pictures in docs/images: the page of `pilotlight serve` with an answer, as Chromium shows it. Run by hand:

    python docs/screenshots.py

needs Chromium and the packages of requirements/dev.txt; the examples' models are in the repository.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SERVICES = ("captioning", "clothing", "minimal", "question_answering", "sentences", "translation")
LARGEST = 100_000  # bytes of a picture
SHOWN = {"try": "question-answering--qa", "classes": "clothing--clothing"}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with served() as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1100, "height": 720}, color_scheme="light")
        for name, key in SHOWN.items():
            take(page, url, name, key)


@contextmanager
def served() -> Iterator[str]:
    """The URL of a server of all examples, when each of their functions is known."""
    folders = [str(ROOT / "examples" / name) for name in SERVICES]
    command = [sys.executable, "-m", "pilotlight", "serve", *folders, "--port", "0", "--json", "--no-reload"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            listening = json.loads(process.stdout.readline())
            for _ in listening["functions"]:
                while json.loads(process.stdout.readline())["event"] != "described":
                    pass
            Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop the server
            yield listening["url"]
        finally:
            process.terminate()


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
