"""`pilotlight bench load`: how many requests a function answers, how fast, and what its phases take."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil, inf
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

import click
import uvloop

from pilotlight import project
from pilotlight.cli import load_target, models, output, progress
from pilotlight.cli.interrupts import broken_off
from pilotlight.cli.invoke import complete, find
from pilotlight.cli.load_inputs import Inputs
from pilotlight.cli.load_output import Files, Measured, Plan, show, write
from pilotlight.cli.load_target import Opened
from pilotlight.cli.numbers import Finite
from pilotlight.cli.place import Place, options, refuse_without
from pilotlight.errors import FunctionError, UsageError
from pilotlight.local.latency import Latencies
from pilotlight.measure import latencies, traffic
from pilotlight.measure.load import Run, Sample, Send, Stopwatch, even, run, run_at, summary
from pilotlight.optimize.progress import Progress

_REQUESTS = 1000
_SECONDS = 30.0
_MOST = 10_000_000  # requests of an open loop, whose times are known before

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog=output.examples(
        "pilotlight bench load kim_cnn --inputs sentences.txt",
        "pilotlight bench load kim_cnn --events --rate 200 --seconds 30 --save before.json --plot before.svg",
        "pilotlight bench load kim_cnn --remote --stage beta --rate 50 --seconds 60",
        "pilotlight bench load --url http://127.0.0.1:8080/kim_cnn --inputs sentences.txt --concurrency 8 --seconds 30",
        "pilotlight bench load kim_cnn --trace requests.csv",
        "paste a.toks b.toks | pilotlight bench load sm_cnn --inputs - --field sent1 --field sent2 --json",
    )
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option("--url", help="Ask this URL, by POST, instead of a function of the folder.")
@click.option("--header", "headers", multiple=True, metavar="LINE", help="Send it to the URL: 'x-api-key: ...'.")
@click.option("--remote", is_flag=True, help="Ask the deployed function, by Lambda's Invoke API.")
@options
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option("--inputs", type=click.File("rb"), help="One request a line; - is stdin.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="What a line is the value of; several: by tabs.")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="NAME",
    help="Send this saved event, or file; several in turn.  [default: events/FUNCTION.json]",
)
@click.option("--events", "all_events", is_flag=True, help="Send all saved events of the function in turn.")
@click.option("--requests", type=click.IntRange(1), help=f"How many to send.  [default: {_REQUESTS}]")
@click.option("--seconds", type=Finite(0, min_open=True), help="How long to send them, instead.")
@click.option("--concurrency", type=click.IntRange(1, 1000), help="How many at once.  [default: 1]")
@click.option(
    "--rate",
    type=Finite(0, min_open=True),
    help="Send so many a second, whether those before are answered or not, for --seconds or --requests.",
)
@click.option("--trace", type=click.File("r"), help="Send them at the times of this file: one a line, in seconds.")
@click.option("--warm-up", type=click.IntRange(0), help="Requests before, not counted.  [default: one each at once]")
@click.option("--save", type=_PATH, help="Keep what was found in this file: for `bench compare`.")
@click.option("--csv", "table", type=_PATH, help="Write each request to this file.")
@click.option("--plot", "drawn", type=_PATH, help="Plot to this file, .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def load(
    name: str | None,
    url: str | None,
    headers: tuple[str, ...],
    remote: bool,
    place: Place,
    folder: Path,
    inputs: BinaryIO | None,
    fields: tuple[str, ...],
    events: tuple[str, ...],
    all_events: bool,
    requests: int | None,
    seconds: float | None,
    concurrency: int | None,
    rate: float | None,
    trace: IO[str] | None,
    warm_up: int | None,
    save: Path | None,
    table: Path | None,
    drawn: Path | None,
    as_json: bool,
) -> None:
    """Send requests to FUNCTION in execution environments of its own, to the deployed one, or to a URL, and measure the
    answers.

    A line of --inputs is a JSON object, or a text, the value of `input` or of --field. Each connection waits for an
    answer before it sends its next request; with --rate and --trace none is waited for, and a latency counts from the
    time that a request was due. Latencies are those of good answers; a status from 300 on is an error. What answers say
    in fields t_..., in seconds, is a phase, of which the mean is shown. Cold starts are counted by the REPORT lines of
    a function, which a URL does not give. To a URL a saved event of API Gateway is sent as its body, other JSON as it
    is. Ctrl-C ends it, and what was measured until then is shown and written.
    """
    _check(name, url, remote, place)
    _exclude({"--inputs": inputs, "--event": events or None, "--events": all_events or None})
    _exclude({"--requests": requests, "--seconds": seconds})
    _exclude({"--concurrency": concurrency, "--rate": rate, "--trace": trace})
    if trace:
        _exclude({"--trace": trace, "--requests": requests, "--seconds": seconds})
    latencies.check()
    files = Files(save, table, drawn)
    files.check()
    target, bodies = _target(name, url, headers, remote, place, folder, Inputs(inputs, fields, events, all_events))
    arrivals = _arrivals(rate, trace, requests, seconds)
    limits = requests or (inf if seconds else _REQUESTS), seconds or inf
    plan = Plan(bodies, concurrency or 1, *limits, warm_up, arrivals, rate or _rate(arrivals))
    try:
        with progress.shown() as told:
            measured = uvloop.run(_measure(target, plan, told))
    except KeyboardInterrupt:
        _interrupted("nothing was measured yet", remote)
    found = summary(measured.run)
    show(measured, found, plan, as_json)
    write(measured, found, plan, files)
    if not measured.is_whole:
        _interrupted("these are the requests that were answered before", remote)


def _check(name: str | None, url: str | None, remote: bool, place: Place) -> None:
    if (name is None) == (url is None):
        raise UsageError("either a FUNCTION or --url is what is asked", "name one of them")
    if url is not None and remote:
        raise UsageError("--url and --remote exclude each other", "name the function that is deployed, or its URL")
    refuse_without(remote, place)


def _exclude(options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", "name one of them")


def _target(
    name: str | None, url: str | None, headers: tuple[str, ...], remote: bool, place: Place, folder: Path, given: Inputs
) -> tuple[Opened, Sequence[bytes]]:
    """What is asked, and what it is sent."""
    if name is None:
        return load_target.url(str(url), headers), given.for_url()
    service = project.load(folder)
    function = find(service, name)
    bodies = given.for_function(function)
    if remote:
        return load_target.deployed(service, function, place), bodies
    return load_target.function(models.ready(function)), bodies


def _arrivals(
    rate: float | None, trace: IO[str] | None, requests: int | None, seconds: float | None
) -> Sequence[float]:
    if trace:
        return traffic.read(trace, trace.name)
    if not rate:
        return ()
    lasting = requests / rate if requests else seconds or _SECONDS
    if rate * lasting > _MOST:
        raise UsageError(
            f"{rate:g} a second for {lasting:g} s are {rate * lasting:,.0f} requests", f"{_MOST:,} are the most"
        )
    return even(rate, lasting)


def _rate(arrivals: Sequence[float]) -> float:
    return len(arrivals) / arrivals[-1] if arrivals and arrivals[-1] else 0.0


class _Shown:
    """What the progress line says of the samples so far."""

    def __init__(self, plan: Plan, told: Progress) -> None:
        self.samples: list[Sample] = []
        self.watch = Stopwatch()
        self._latencies, self._errors = Latencies(), 0
        self._total = len(plan.arrivals) or plan.requests
        self._seconds = ceil(plan.seconds) if plan.seconds < inf else 0
        self._told = told

    def __call__(self, sample: Sample) -> None:
        self.samples.append(sample)
        if sample.error:
            self._errors += 1
        else:
            self._latencies.add(sample.seconds)
        if self._total < inf:
            self._told.count("requests", len(self.samples), int(self._total), self._text)
        else:
            self._told.count("seconds", min(int(self.watch.seconds()), self._seconds), self._seconds, self._text)

    def _text(self) -> str:
        (p99,) = self._latencies.percentiles(0.99)
        slow = f", p99 {p99 * 1000:.1f} ms" if p99 is not None else ""
        return f": {len(self.samples) / self.watch.seconds():.0f}/s, {self._errors} errors{slow}"


async def _measure(opened: Opened, plan: Plan, told: Progress) -> Measured:
    """What was measured; Ctrl-C cancels. Raises `FunctionError` when nothing but errors came back."""
    async with opened as target:
        await _warm_up(target.send, plan)
        began = datetime.now(UTC).isoformat(timespec="seconds")
        shown = _Shown(plan, told)
        try:
            whole = await _run(target.send, plan, shown)
        except asyncio.CancelledError:
            if not shown.samples:
                raise
            return Measured(shown.watch.run(shown.samples), target, began, is_whole=False)
        await _check_answers(target.send, plan, whole)
        return Measured(whole, target, began)


def _run(send: Send, plan: Plan, answered: Callable[[Sample], None]) -> Coroutine[None, None, Run]:
    if plan.arrivals:
        return run_at(send, plan.bodies, plan.arrivals, answered)
    return run(send, plan.bodies, plan.concurrency, plan.requests, plan.seconds, answered)


async def _warm_up(send: Send, plan: Plan) -> None:
    count = plan.concurrency if plan.warm_up is None else plan.warm_up
    if count:
        await _check_answers(send, plan, await run(send, plan.bodies, min(plan.concurrency, count), count))


async def _check_answers(send: Send, plan: Plan, measured: Run) -> None:
    """Raises `FunctionError` where none was good, with what is said to one more: the time of a refusal says nothing."""
    if all(sample.error for sample in measured.samples) and (reply := await send(plan.bodies[0])).error:
        text = reply.payload.decode("utf-8", "replace")[:300]
        hint = "correct what is sent, by --event or --inputs, or what is asked"
        raise FunctionError(f"no request was answered well: {reply.error}: {text}", hint)


def _interrupted(text: str, remote: bool) -> NoReturn:
    status = broken_off(text)
    if remote:  # else Python waits for the threads of calls that are under way, a function's timeout at most
        sys.stdout.flush()
        os._exit(status)
    raise SystemExit(status)
