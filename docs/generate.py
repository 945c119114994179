"""Writes pages that come from the code, and figures that come from benchmarks. `make docs` runs it; a test compares."""

import json
import runpy
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from textwrap import dedent
from typing import Any

import click

from pilotlight import settings
from pilotlight.cli import cli

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "benchmarks" / "results"

Schema = dict[str, Any]

_HEAD = """\
<!-- Written by docs/generate.py from src/pilotlight/settings.py: change it there, then run `make docs`. -->
# Settings

A service is a folder. Each file `inference/NAME.py` in it is one function, found without being registered; files that
begin with `_` or `.` are not functions. `pilotlight.toml` beside `inference/` holds the settings. Every setting has a
default, and the file may be absent.

What `[defaults]` says holds for every function, and `[functions.NAME]` overrides it for `inference/NAME.py`, one
setting at a time; environment variables are added up.

A key, type or value that is not right stops the command, with the file, the key, the reason and the nearest right
name. So do two functions that have one route, and two services that have one name. A file that is not Python, or has
no handler at its top level, stops only its own function. The others are served; its routes answer as on AWS when a
function cannot start, 500 behind an HTTP API, and `pilotlight serve` prints the reason.

## In an editor

[pilotlight.schema.json](pilotlight.schema.json) describes the file to editors: they complete names, show what is
written here, and mark what is wrong. Taplo, and with it Even Better TOML in VS Code, reads the place of the schema from
the first line of `pilotlight.toml`, a path from that file or a URL:

```toml
#:schema ./pilotlight.schema.json
```

## Everything set

```toml
"""

_CLI_HEAD = """\
<!-- Written by docs/generate.py from src/pilotlight/cli: change it there, then run `make docs`. -->
# Command line

An error is one sentence and a hint, on stderr. The exit code is 0 when it worked, 1 when something failed, 2 when the
command or a setting has to be changed first, and 130 when Ctrl-C broke it off; `serve` takes Ctrl-C as its end, with 0.
With `--json` a command prints JSON on stdout, one object a line.
"""

_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "true or false"}


def pages() -> dict[Path, str]:
    """Every generated file and its text."""
    return {
        DOCS / "reference" / "pilotlight.schema.json": json.dumps(settings.schema(), indent=2) + "\n",
        DOCS / "reference" / "settings.md": settings_page(settings.schema()),
        DOCS / "reference" / "cli.md": cli_page(cli),
        **runpy.run_path(str(DOCS / "references.py"))["pages"](),
        **runpy.run_path(str(DOCS / "figures.py"))["pages"](),
        RESULTS / "README.md": runpy.run_path(str(RESULTS.parent / "summary.py"))["again"](RESULTS),
    }


def cli_page(group: click.Group) -> str:
    top = click.Context(group, info_name="pilotlight", **group.context_settings)
    return _CLI_HEAD + "".join(f"{line}\n" for context in _contexts(top) for line in _command(context))


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """The command and all below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name, each in context.command.commands.items():
            yield from _contexts(click.Context(each, parent=context, info_name=name))


def _command(context: click.Context) -> Iterator[str]:
    """One command: its usage, its help, its options, its examples."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from ("", f"## `{context.command_path}`", "", "```text", usage, "```")
    yield from ("", cleandoc(command.help or ""), "")
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    for declared, text in filter(None, (option.get_help_record(context) for option in options)):
        yield f"- `{declared}`: {text}"
    yield from ("", "```text", dedent((command.epilog or "").partition("Examples:\n")[2]), "```")


def settings_page(schema: Schema) -> str:
    tables = {name: table["properties"] for name, table in schema["$defs"].items()}
    own = {name: each for name, each in tables["FunctionSettings"].items() if name not in tables["Defaults"]}
    top = {name: each for name, each in tables["Settings"].items() if "examples" in each}
    about = {name: table["description"] for name, table in schema["$defs"].items()}
    lines = [
        *_example("", top),
        *_example("cors", tables["Cors"]),
        *_example("usage_plans.partners", tables["UsagePlan"]),
        *_example("tables.vectors", tables["Table"]),
        *_example("inputs", tables["Inputs"]),
        *_example("records", tables["Records"]),
        *_example("cache", tables["Cache"]),
        *_example("build", tables["Build"]),
        *_example("jwt", tables["Jwt"]),
        *_example("deploy", tables["Deploy"]),
        *_example("network", tables["Network"]),
        *_example("defaults", tables["Defaults"]),
        *_example("functions.qa", own),
        "```",
        *("", "## At the top", *_section(top)),
        *("", "## `[cors]`", "", about["Cors"], *_section(tables["Cors"])),
        *("", "## `[usage_plans.NAME]`", "", about["UsagePlan"], *_section(tables["UsagePlan"])),
        *("", "## `[tables.NAME]`", "", about["Table"], *_section(tables["Table"])),
        *("", "## `[inputs]`", "", about["Inputs"], *_section(tables["Inputs"])),
        *("", "## `[records]`", "", about["Records"], *_section(tables["Records"])),
        *("", "## `[cache]`", "", about["Cache"], *_section(tables["Cache"])),
        *("", "## `[build]`", "", about["Build"], *_section(tables["Build"])),
        *("", "## `[jwt]`", "", about["Jwt"], *_section(tables["Jwt"])),
        *("", "## `[deploy]`", "", about["Deploy"], *_section(tables["Deploy"])),
        *("", "## `[network]`", "", about["Network"], *_section(tables["Network"])),
        *("", "## `[defaults]` and `[functions.NAME]`", *_section(tables["Defaults"])),
        *("", "## `[functions.NAME]` only", *_section(own)),
        *("", "## A table `throttle`", "", about["Throttle"], *_section(tables["Throttle"])),
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _example(table: str, fields: dict[str, Schema]) -> Iterator[str]:
    if table:
        yield from ("", f"[{table}]")
    for name, field in fields.items():
        yield f"{name} = {settings.toml(field['examples'][0])}"


def _section(fields: dict[str, Schema]) -> Iterator[str]:
    for name, field in fields.items():
        yield from ("", f"### `{name}`", "", field["description"], "")
        yield f"- {_kind(field)}"
        if "default" in field:
            yield f"- default: `{settings.toml(field['default'])}`"
        yield f"- example: `{name} = {settings.toml(field['examples'][0])}`"


def _kind(field: Schema) -> str:
    """What a value may be, in words."""
    if "anyOf" in field:
        return " or ".join(map(_kind, field["anyOf"]))
    if "$ref" in field:
        return "table, see [below](#a-table-throttle)"
    if "enum" in field:
        return "one of " + ", ".join(f"`{settings.toml(value)}`" for value in field["enum"])
    if field["type"] == "array":
        items = _kind(field["items"])
        return f"list; each {items}" if "enum" in field["items"] else f"list of {items}s"
    if field["type"] == "object":
        return f"table of {_kind(field['additionalProperties'])}s"
    kind = _TYPES[field["type"]]
    if "maximum" not in field:
        return kind if "minimum" not in field else f"{kind}, {field['minimum']} or more"
    low = field["minimum"] if "minimum" in field else f"above {field['exclusiveMinimum']}"
    return f"{kind}, {low} to {field['maximum']}"


def main() -> None:
    for file, text in pages().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
