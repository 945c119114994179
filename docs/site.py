"""Builds the documentation as pages in site/: `make site`. A link that leads nowhere fails, and so does another host.

Pages are laid out where they are in the repository, so that a link holds there, here and in an editor.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
STAGE = ROOT / "build" / "pages"
SITE = ROOT / "site"

# What is shown beside docs/: pages, and what they show or link to.
PATTERNS = (
    *("README.md", "CHANGELOG.md", "LICENSE", "docs/**/*", "examples/**/*.md", "examples/**/*.png"),
    *("benchmarks/*.md", "benchmarks/results/*", "benchmarks/peers/**/*"),
)
_LINKS = {"href", "src", "poster", "data"}
_LOADED = {"script", "img", "iframe", "source", "video", "audio", "embed", "object"}


def sources() -> Iterator[Path]:
    """Files of the repository that the site has, or links to."""
    for pattern in PATTERNS:
        for path in ROOT.glob(pattern):
            if path.is_file() and path.suffix != ".pyc" and "node_modules" not in path.parts:
                yield path


def lay_out() -> None:
    shutil.rmtree(STAGE, ignore_errors=True)
    for path in sources():
        target = STAGE / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def build() -> None:
    shutil.rmtree(SITE, ignore_errors=True)
    zensical = Path(sys.executable).parent / "zensical"
    subprocess.run([zensical, "build", "--clean", "--strict"], cwd=ROOT, check=True)


class Page(HTMLParser):
    """What one page links to, what it loads, and the places in it that a link may name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        targets = [given[name] for name in _LINKS if name in given]
        self.links += targets
        if tag in _LOADED or (tag == "link" and "canonical" not in given.get("rel", "")):
            self.loaded += targets


def defects(site: Path) -> list[str]:
    """Each link that leads nowhere, and each thing that would be loaded from another host."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    found = []
    for path, page in sorted(pages.items()):
        name = path.relative_to(site)
        found += [f"{name}: {link} is on another host" for link in page.loaded if urlsplit(link).netloc]
        found += [f"{name}: {link} leads nowhere" for link in page.links if not _leads(link, path, site, pages)]
    return found


def _leads(link: str, path: Path, site: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = path
    if parts.path:
        base = site if parts.path.startswith("/") else path.parent
        target = (base / unquote(parts.path).lstrip("/")).resolve()
    target = target / "index.html" if target.is_dir() else target
    if not parts.fragment or target not in pages:
        return target.is_file()
    return unquote(parts.fragment) in pages[target].places


def main() -> int:
    lay_out()
    build()
    found = defects(SITE.resolve())
    print("\n".join(found) or f"{len(list(SITE.rglob('*.html')))} pages, no broken link", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
