"""`pilotlight bench`: measurements of functions. `cold` takes cold starts apart; the others have their own modules."""

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
import msgspec
import uvloop

from pilotlight import project
from pilotlight.cli import models, output
from pilotlight.cli.compare import compare
from pilotlight.cli.interrupts import broken_off
from pilotlight.cli.invoke import complete, failure, read_event
from pilotlight.cli.load import load
from pilotlight.cli.warm import chosen, warm_command
from pilotlight.errors import FunctionError
from pilotlight.local.pool import Pool
from pilotlight.local.server import machine_memory
from pilotlight.measure import cold, page_cache
from pilotlight.measure.cold import Start
from pilotlight.measure.page_cache import Dropped
from pilotlight.project import Function
from pilotlight.values import Call, Invoke, Result

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar


@click.group(
    epilog=output.examples(
        "pilotlight bench cold",
        "pilotlight bench cold kim_cnn --runs 25 --json",
        "pilotlight bench load kim_cnn --inputs sentences.txt --concurrency 4",
        "pilotlight bench compare before.json after.json",
    )
)
def bench() -> None:
    """Measure functions: their cold starts, their warm requests, and how many they answer."""


bench.add_command(load)
bench.add_command(compare)
bench.add_command(warm_command)


@bench.command(
    name="cold",
    epilog=output.examples(
        "pilotlight bench cold",
        "pilotlight bench cold kim_cnn --dir examples/sentences --runs 25",
        'pilotlight bench cold kim_cnn --data \'{"input": "a gripping film"}\' --json',
        "pilotlight bench cold kim_cnn --drop-cache",
    ),
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--event", type=click.Path(dir_okay=False, allow_dash=True), help="A file with the event; - is stdin.")
@click.option("--data", metavar="JSON", help="The event itself.")
@click.option("--runs", type=click.IntRange(1), default=9, show_default=True, help="How many environments to start.")
@click.option("--drop-cache", is_flag=True, help="Take the files from the page cache first: starts after a long pause.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: all figures, in milliseconds and MB.")
def cold_command(
    name: str | None, folder: Path, event: str | None, data: str | None, runs: int, drop_cache: bool, as_json: bool
) -> int:
    """Measure cold starts of FUNCTION, which may be left out where there is only one.

    Each run starts an execution environment as `serve` does, sends it one event and stops it. One more run goes first
    and is not counted. Without --event and --data the event is events/FUNCTION.json, else {}.

    The phases are `fork`, until there is a process; `isolation`; `python`, until the first of Pilotlight's code runs;
    `imports` of Pilotlight and the function, less what follows; `library`, ONNX Runtime and its environment; `weights`,
    the sessions of models; `tokenizer`; `Pillow`; `runtime api`, from there to the event, and from the answer to who
    asked; `first run`, that of each session; `handler`, its own work. Ctrl-C ends it and shows the runs until then.
    """
    function = models.ready(chosen(project.load(folder), name))
    call = Call(function.key, read_event(function, event, data))
    found, is_whole = _Found(), True
    try:
        uvloop.run(_measure(found, function, call, runs, drop_cache, hidden=as_json))
    except KeyboardInterrupt:
        is_whole = False
    if found.starts and as_json:
        output.record(function=function.name, runs=len(found.starts), is_whole=is_whole, **_figures(found))
    elif found.starts:
        _show(function, found)
    if is_whole:
        return 0
    return broken_off("these are the cold starts before" if found.starts else "nothing was measured yet")


class _Found:
    """What was measured so far."""

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self.dropped: Dropped | None = None


async def _measure(found: _Found, function: Function, call: Call, runs: int, drop_cache: bool, hidden: bool) -> None:
    """Fill `found`, one run after the other; the one before them compiles, and tells which files there are to drop."""

    def environment(variables: Mapping[str, str]) -> contextlib.AbstractAsyncContextManager[Invoke]:
        traced: Function = msgspec.structs.replace(
            function, environment={**function.environment, **variables}, snapstart=False
        )
        return _environment(traced)

    files = (await cold.start(environment, call)).files | set(_model_files(function))
    with _progress(runs, hidden) as bar:
        for _ in bar:
            if drop_cache:
                found.dropped = page_cache.drop(files)
            found.starts.append(await cold.start(environment, call))


def _progress(runs: int, hidden: bool) -> "ProgressBar[int]":
    """On stderr, and only for a person who looks."""
    hidden = hidden or not sys.stderr.isatty()
    return click.progressbar(range(runs), label="Cold starts", file=sys.stderr, hidden=hidden)


def _model_files(function: Function) -> list[Path]:
    """What the environment may read without mapping it."""
    places = [function.root / "models", *function.model_paths]
    found = [path for place in places for path in (place, *place.rglob("*"))]
    return [path for path in found if path.is_file()]


@contextlib.asynccontextmanager
async def _environment(function: Function) -> AsyncIterator[Invoke]:
    """A pool of this one function, with nothing started yet; stopped at the end. A failure raises `FunctionError`."""
    lines: list[str] = []
    pool = Pool(lambda key, line: lines.append(line), machine_memory())
    await pool.host.launcher()  # no part of a function's cold start
    pool.deploy([function])

    async def invoke(call: Call) -> Result:
        result = await pool(call)
        if result.stream is not None:
            async for _ in result.stream:
                pass
            result = await result.stream.ended
        try:
            _check(function, result)
        except FunctionError:
            for line in lines:
                output.note(line)
            raise
        return result

    try:
        yield invoke
    finally:
        await pool.close()


def _check(function: Function, result: Result) -> None:
    """Raise `FunctionError` unless the answer is one: the time of a refusal would say nothing."""
    if result.error:
        raise FunctionError(*failure(function, result))
    try:
        answer = json.loads(result.payload)
    except ValueError:
        return
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    if isinstance(status, int) and status >= 400:
        hint = "give it an event that it can answer, with --event or --data"
        raise FunctionError(f"{function.name}: it answered {status}: {answer.get('body', '')}", hint)


def _figures(found: _Found) -> dict[str, object]:
    starts = found.starts
    return {
        "phases_ms": {name: _spread([each.phases[name] for each in starts]) for name in cold.PHASES},
        "total_ms": _spread([each.total for each in starts]),
        "quickest_ms": min(starts, key=lambda each: each.total).phases,
        "modules": starts[-1].modules,
        "rss_mb": round(median(each.memory.rss for each in starts), 1),
        "pss_mb": round(median(each.memory.pss for each in starts), 1),
        "dropped": found.dropped._asdict() if found.dropped else None,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def _show(function: Function, found: _Found) -> None:
    starts, dropped = found.starts, found.dropped
    cache = "the page cache without its files" if dropped else "the page cache warm"
    output.line(f"Cold starts of {function.name} in ms: {len(starts)} x a fresh environment, {cache}\n")
    output.line(f"  {'':11} {'median':>8} {'min':>8} {'max':>8}")
    for phase in cold.PHASES:
        output.line(_row(phase, [each.phases[phase] for each in starts]))
    output.line(_row("total", [each.total for each in starts]))
    rss, pss = (median(getattr(each.memory, kind) for each in starts) for kind in ("rss", "pss"))
    output.line(f"\n  {starts[-1].modules} modules imported")
    output.line(f"  {rss:.1f} MB of memory (RSS), {pss:.1f} MB with what is shared divided among its users (PSS)")
    if dropped:
        gone, there = (dropped.before - dropped.after) / 1e6, dropped.before / 1e6
        output.line(f"  {gone:.1f} of {there:.1f} MB in {dropped.files} files dropped; what others have mapped stays")


def _row(name: str, values: Sequence[float]) -> str:
    return f"  {name:11} {median(values):8.1f} {min(values):8.1f} {max(values):8.1f}"
