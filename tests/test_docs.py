"""What the pages say is run: commands against real servers, code as real services, answers compared."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import Struct

import http_servers
from conftest import RunningServer, png
from pilotlight import settings

ROOT = Path(__file__).parents[1]
FOLDERS = (".ci", "benchmarks", "docs", "examples", "requirements", "src", "tests")
FILES = [
    path
    for path in (*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")))
    if path.is_file() and not {"__pycache__", "node_modules", ".pilotlight"} & {*path.parts}
]
PAGES = sorted(path for path in FILES if path.suffix == ".md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
SERVED = "http://127.0.0.1:8080"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


class Block(NamedTuple):
    """A fenced block: `file` is the name on the line above it, "" for none. ```sh is run, ```text is only shown."""

    file: str
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    fence = re.compile(r"(?:^`(?P<file>[\w./]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
    return [Block(match["file"] or "", match["language"], match["text"]) for match in fence.finditer(page)]


def shown(page: str) -> Iterator[tuple[str, str]]:
    """The commands of a page, each with the answer that follows it, "" for none."""
    listed = blocks(page)
    for block, after in zip_longest(listed, listed[1:]):
        if block.language == "sh":
            yield block.text, after.text if after and after.language == "json" else ""


def run(command: list[str], folder: Path) -> str:
    """What it prints; the commands are those of this environment, as after an installation."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def stable(answer: str) -> object:
    """An answer without the fields that differ from run to run."""
    fields = json.loads(answer)
    return {name: value for name, value in fields.items() if not name.startswith("t_") and name != "requestId"}


def write_files(page: str, folder: Path) -> None:
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


def run_commands(page: str, folder: Path, url: str) -> None:
    """Run every command of the page, against the server at `url`."""
    for command, answer in shown(page):
        output = run(["bash", "-euc", command.replace(SERVED, url)], folder)
        if answer:
            assert stable(output) == stable(answer), command


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The service of the tutorial, as far as its files and its model."""
    run(["pilotlight", "new", "minimal", "flats"], tmp_path)
    folder = tmp_path / "flats"
    write_files(TUTORIAL, folder)
    run(["python", "make_model.py"], folder)
    return folder


def test_the_tutorial(service: Path, start_server: Callable[..., RunningServer]) -> None:
    made = "pilotlight new minimal flats\n"
    assert TUTORIAL.count(made) == 1  # which `service` has done
    server = start_server(service, "--no-reload")
    run_commands(TUTORIAL.replace(made, "true\n"), service, server.url)
    server.stop()  # which stores what is not in the table yet
    kept = run(["pilotlight", "records", "--function", "rent", "--format", "jsonl"], service)
    assert [(record["input"], record.get("status")) for record in map(json.loads, kept.splitlines())] == [
        ({"area": 80, "rooms": 3}, 200),
        ({"area": 45.5, "rooms": "one"}, 400),
        ({"area": 45.5, "rooms": 1}, 200),
        ({"area": 60, "rooms": 2}, None),  # by `pilotlight invoke`, which has no status
    ]


def test_the_how_to_on_word_vectors(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "word-vectors.md").read_text(encoding="utf-8")
    made = "pilotlight new minimal reviews\n"
    assert page.count(made) == 1
    run(made.split(), tmp_path)
    write_files(page, tmp_path / "reviews")
    run_commands(page.replace(made, "true\n"), tmp_path / "reviews", SERVED)


def test_the_how_to_on_pictures(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    page = (ROOT / "docs" / "how-to" / "pictures.md").read_text(encoding="utf-8")
    made = "pilotlight new minimal pictures\n"
    assert page.count(made) == 1
    run(made.split(), tmp_path)
    write_files(page, tmp_path / "pictures")
    server = start_server(tmp_path / "pictures", "--no-reload")
    run_commands(page.replace(made, "true\n"), tmp_path / "pictures", server.url)


def test_the_how_to_on_urls_of_pictures(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    page = (ROOT / "docs" / "how-to" / "image-urls.md").read_text(encoding="utf-8")
    made = "pilotlight new minimal pictures\n"
    assert page.count(made) == 1
    run(made.split(), tmp_path)
    with http_servers.serving(lambda _: http_servers.answer(200, png(3, 2), "Content-Type: image/png\r\n")) as files:
        page = page.replace(made, "true\n").replace("127.0.0.1:9000", f"127.0.0.1:{files.port}")
        write_files(page, tmp_path / "pictures")
        run_commands(page, tmp_path / "pictures", start_server(tmp_path / "pictures", "--no-reload").url)
        assert [request.target for request in files.requests] == ["/picture.png"]


def test_the_how_to_on_deploying(tmp_path: Path) -> None:
    """Its files are written when its service is there, since one of them is a defect that it takes away again."""
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    made = "pilotlight new minimal reviews\n"
    before, after = page.split("This service has a defect:")
    assert before.count(made) == 1
    run_commands(before, tmp_path, SERVED)
    write_files(after, tmp_path)
    run_commands(after, tmp_path, SERVED)
    assert not (tmp_path / "reviews" / "inference" / "count.py").exists()


def test_the_readme(service: Path, start_server: Callable[..., RunningServer]) -> None:
    write_files(README, service)
    (service / "examples").symlink_to(ROOT / "examples")
    examples = sorted(path.parent for path in ROOT.glob("examples/*/pilotlight.toml"))
    server = start_server(*examples, "--no-reload")
    run_commands(README, service, server.url)
    assert json.loads((service / "answer.json").read_bytes())["label"] == "positive"
    [program] = [block.text for block in blocks(README) if block.language == "python" and not block.file]
    assert '"label": "negative"' in run([sys.executable, "-c", program.replace(SERVED, server.url)], service)


MEASURED = re.compile(r"(?<![\w.-])\d[\d.,]*\s?(?:ms|µs|%|requests/s|requests a second|times (?:as|faster))(?![\w-])")
NOT_MEASURED = {  # limits, defaults, levels of confidence, percentiles by name, figures of others with their source
    "README.md": {"10 requests a second"},
    "load.md": {"90 %", "95 %", "99 %", "99.9 %"},
    "memory.md": {"1 %", "1 ms", "2 %", "10 %", "20 ms", "95 %"},
    "picture-models.md": {"95 %"},
    "simulate.md": {"40 %", "45 %", "50 ms", "63 %", "70 %", "300 ms"},
}


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("README.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/how-to/*.md")],
    ids=lambda page: page.name,
)
def test_measured_figures_are_those_of_the_results(page: Path) -> None:
    """Those in links are compared as all that `make docs` writes, in tests/test_settings.py. There are no others."""
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    text = re.sub(r"\[[^\]\n]*\]\([^)\n]*benchmarks/results/[^)]*\)", "", text)
    assert {each[0] for each in MEASURED.finditer(text)} <= NOT_MEASURED.get(page.name, set())


@every_page
def test_local_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@every_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = re.findall(r"(?:`|^)make ([\w-]+)", page.read_text(encoding="utf-8"), re.M)
    assert set(named) <= targets


TABLES = [
    each
    for each in vars(settings).values()
    if isinstance(each, type) and issubclass(each, Struct) and each is not Struct
]


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^### `(\w+)`$", page, re.M))
    fields = {name for table in TABLES for name in table.__struct_fields__}
    of_tables = {"cors", "usage_plans", "inputs", "cache", "build", "jwt", "deploy", "network", "defaults", "functions"}
    assert documented == fields - of_tables


def test_no_file_names_a_machine_or_a_package_index() -> None:
    forbidden = re.compile(rb"(?<![\w.])/(?:work|root)/|pypi\.org|files\.pythonhosted\.org")
    assert [path for path in FILES if forbidden.search(path.read_bytes())] == []
