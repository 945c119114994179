"""Every fenced block of the documentation is run, compared, held to the code, or listed here with the reason."""

import ast
import importlib
import json
import runpy
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from conftest import RunningServer
from pilotlight import settings_file
from pilotlight.cli import cli
from test_docs import PAGES, ROOT, Block, blocks, run, run_commands, write_files

DOCS = [page for page in PAGES if page.is_relative_to(ROOT / "docs") or page == ROOT / "README.md"]
GENERATED = {ROOT / "docs" / "reference" / name for name in ("cli.md", "settings.md", "python.md", "events.md")}

# Pages whose ```sh is run by a test, with the answers that stand below compared.
RUN = {
    *("README.md", "docs/tutorial.md", "docs/how-to/word-vectors.md", "docs/how-to/pictures.md"),
    *("docs/how-to/image-urls.md", "docs/how-to/deploy.md", "docs/how-to/streaming.md", "docs/how-to/observe.md"),
    *("docs/how-to/pytorch.md", "docs/how-to/hugging-face.md", "docs/how-to/load.md"),
    *("docs/how-to/simulate.md", "docs/how-to/costs.md"),
}

# First words of a line that no test runs, and why.
NOT_RUN = {
    "sudo": "changes the system",
    "pip": "asks a package index",
    "make": "the targets are compared by test_docs",
    "aws": "asks an account of AWS",
    ".": "changes the reader's shell",
    "curl": "asks a deployed function",
    "python": "a server that the test itself is",
    "cd": "a step of a test, with the reader's own Python",
}

# Blocks that are shown, not typed, by their first words, and why nothing runs them.
SHOWN = {
    "my-service/": "a picture of a folder",
    "bytes ->": "a picture of a path",
    "fetching s3://my-models/en-zh: 5 files": "a log, of a fetch from S3",
    "scrape_configs:": "settings of Prometheus",
    "fields RequestId": "a query of Logs Insights",
    "models/clothing/model.onnx, model.onnx.data": "a picture of a folder",
    "image.pixels(299, 299,": "parts of code",
    "film 0.75": "a file of the page, written by its commands",
    "the film": "a file of the page, written by its commands",
    "TIME (UTC)": "a table with the time of day in it",
    "400 requests in": "a table with times in it",
    "                 before": "a table with times in it",
}

# Libraries that no environment of the tests has, or only that of `make test-system`.
ELSEWHERE = {"torch", "sklearn", "skl2onnx", "boto3"}

every_page = pytest.mark.parametrize("page", DOCS, ids=lambda path: str(path.relative_to(ROOT)))


def of(page: Path) -> list[Block]:
    return [] if page in GENERATED else blocks(page.read_text(encoding="utf-8"))


def typed(block: Block) -> Iterator[str]:
    """The lines of a block as a shell sees them."""
    yield from filter(None, block.text.replace("\\\n", " ").splitlines())


def is_shown(block: Block) -> bool:
    return any(block.text.startswith(words) for words in SHOWN)


@every_page
def test_every_block_is_of_a_kind_that_is_held(page: Path) -> None:
    name = str(page.relative_to(ROOT))
    for block in of(page):
        if block.language == "sh":
            assert name in RUN, f"{name}: no test runs {block.text!r}"
        elif block.language == "text" and not is_shown(block):
            for line in typed(block):
                assert line.split()[0] in {"pilotlight", *NOT_RUN}, f"{name}: {line!r} is run by nothing"
        else:
            assert block.language in {"json", "toml", "python", "text"}, f"{name}: {block.language}"


@every_page
def test_commands_that_are_not_run_are_known_to_the_command_line(page: Path) -> None:
    for block in of(page):
        if block.language == "text" and not is_shown(block):
            for line in typed(block):
                if line.startswith("pilotlight "):
                    parse(cli, shlex.split(line.partition(" #")[0])[1:])


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Raises click's own error for a command, an option or a number of arguments that there is not."""
    context = click.Context(command, info_name=command.name, parent=parent, **command.context_settings)
    if isinstance(command, click.Group):
        if words[0].startswith("-"):  # as `records`, which takes options for those of its command `list`
            words = ["list", *words]
        name, below, rest = command.resolve_command(context, words)
        assert below is not None, name
        parse(below, rest, context)
    else:
        command.make_parser(context).parse_args(words)


def test_an_option_that_is_not_there_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(cli, ["deploy", "--no-such-option"])
    with pytest.raises(click.UsageError):
        parse(cli, ["no-such-command"])


@every_page
def test_settings_that_are_shown_are_read(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(of(page)):
        if block.language == "toml":
            file = tmp_path / f"{number}.toml"
            file.write_text(block.text, encoding="utf-8")
            settings_file.read(file)


@every_page
def test_json_is_json(page: Path) -> None:
    for block in of(page):
        if block.language == "json":
            json.loads(block.text)


@every_page
def test_code_compiles_and_imports_what_is_there(page: Path) -> None:
    for block in of(page):
        if block.language == "python":
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] not in ELSEWHERE:
                    if node.module.split(".")[0] == "inference":
                        continue  # of the page's own service
                    module = importlib.import_module(node.module)
                    assert all(hasattr(module, each.name) for each in node.names), f"{page}: {ast.unparse(node)}"


def follow(name: str, service: str, folder: Path, start: Callable[..., RunningServer]) -> None:
    """A page whose first command makes `service` from the template `minimal`."""
    page = (ROOT / "docs" / "how-to" / name).read_text(encoding="utf-8")
    made = f"pilotlight new minimal {service}\n"
    assert page.count(made) == 1
    run(made.split(), folder)
    write_files(page, folder)
    run_commands(page.replace(made, "true\n"), folder, start(folder / service, "--no-reload").url)


def test_the_how_to_on_streaming(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    follow("streaming.md", "writer", tmp_path, start_server)


def test_the_how_to_on_what_happens(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    follow("observe.md", "hello-service", tmp_path, start_server)


def test_the_how_to_on_loads(tmp_path: Path, start_server: Callable[..., RunningServer]) -> None:
    follow("load.md", "hello-service", tmp_path, start_server)
    assert (tmp_path / "both.svg").exists()


@pytest.mark.system
@pytest.mark.parametrize("name", ["simulate.md", "costs.md"])
def test_the_how_to_on_traffic(name: str, tmp_path: Path) -> None:
    run_commands((ROOT / "docs" / "how-to" / name).read_text(encoding="utf-8"), tmp_path, "")


def test_the_how_to_on_hugging_face(tmp_path: Path) -> None:
    """Its files are a service that loads; what it fetches is of another host."""
    page = (ROOT / "docs" / "how-to" / "hugging-face.md").read_text(encoding="utf-8")
    run(["pilotlight", "new", "minimal", "reader"], tmp_path)
    write_files(page, tmp_path)
    settings = settings_file.read(tmp_path / "reader" / "pilotlight.toml")
    assert settings.functions["qa"].model == "hf://distilbert/distilbert-base-cased-distilled-squad"


@pytest.mark.system
def test_the_how_to_on_pytorch(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "pytorch.md").read_text(encoding="utf-8")
    made = "pilotlight new minimal flats\n"
    assert page.count(made) == 1
    run(made.split(), tmp_path)
    write_files(page, tmp_path)
    run(["bash", "-euc", "cd flats && python export.py"], tmp_path)
    run_commands(page.replace(made, "true\n"), tmp_path, "")


def site() -> dict[str, object]:
    return runpy.run_path(str(ROOT / "docs" / "site.py"))


def test_a_broken_link_of_the_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h1 id="top">Other</h1>')
    (tmp_path / "index.html").write_text(
        '<link rel="canonical" href="https://example.com/"><script src="https://cdn.example.com/a.js"></script>'
        '<a href="other/">a</a><a href="other/#top">b</a><a href="other/#gone">c</a><a href="gone.html">d</a>'
        '<a href="https://example.com/">e</a><a href="#here">f</a>'
    )
    find = site()["defects"]
    assert callable(find)
    assert find(tmp_path) == [
        "index.html: https://cdn.example.com/a.js is on another host",
        "index.html: other/#gone leads nowhere",
        "index.html: gone.html leads nowhere",
        "index.html: #here leads nowhere",
    ]
