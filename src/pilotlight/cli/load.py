"""`pilotlight bench load`: how many requests a function answers, how fast, and what its phases take."""

import asyncio
import contextlib
import csv
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from math import inf
from pathlib import Path
from time import perf_counter
from typing import IO, BinaryIO, NamedTuple

import click
import uvloop

from pilotlight import project
from pilotlight.cli import models, output, progress
from pilotlight.cli.invoke import complete, find, read_event
from pilotlight.errors import FunctionError, InvokeError, UsageError
from pilotlight.local.pool import Pool
from pilotlight.local.server import machine_memory
from pilotlight.local.streams import collected
from pilotlight.measure import traffic
from pilotlight.measure.http import Client
from pilotlight.measure.load import Reply, Run, Sample, Send, Summary, bodies, even, run, run_at, summary
from pilotlight.optimize.progress import Progress
from pilotlight.project import Function
from pilotlight.values import Call, Result

_REQUESTS = 1000
_SECONDS = 30.0
_LATE = 10.0  # ms; a timer of a busy machine is a millisecond or two late
_INTERRUPTED = 130  # as shells have it for SIGINT


@click.command(
    epilog=output.examples(
        "pilotlight bench load kim_cnn --inputs sentences.txt",
        "pilotlight bench load --url http://127.0.0.1:8080/kim_cnn --inputs sentences.txt --concurrency 8 --seconds 30",
        "pilotlight bench load kim_cnn --rate 200 --seconds 30",
        "pilotlight bench load kim_cnn --trace requests.csv",
        "paste a.toks b.toks | pilotlight bench load sm_cnn --inputs - --field sent1 --field sent2 --json",
    )
)
@click.argument("name", metavar="[FUNCTION]", required=False, shell_complete=complete)
@click.option("--url", help="Ask this URL, by POST, instead of a function of the folder.")
@click.option("--header", "headers", multiple=True, metavar="LINE", help="Send it to the URL: 'x-api-key: ...'.")
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("."), help="The service's folder."
)
@click.option(
    "--inputs", type=click.File("rb"), help="One request a line; - is stdin.  [default: events/FUNCTION.json]"
)
@click.option("--field", "fields", multiple=True, metavar="NAME", help="What a line is the value of; several: by tabs.")
@click.option("--requests", type=click.IntRange(1), help=f"How many to send.  [default: {_REQUESTS}]")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="How long to send them, instead.")
@click.option("--concurrency", type=click.IntRange(1, 1000), help="How many at once.  [default: 1]")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Send so many a second, whether those before are answered or not, for --seconds or --requests.",
)
@click.option("--trace", type=click.File("r"), help="Send them at the times of this file: one a line, in seconds.")
@click.option("--warm-up", type=click.IntRange(0), help="Requests before, not counted.  [default: one each at once]")
@click.option("--csv", "table", type=click.File("w", lazy=True), help="Write each request to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def load(
    name: str | None,
    url: str | None,
    headers: tuple[str, ...],
    folder: Path,
    inputs: BinaryIO | None,
    fields: tuple[str, ...],
    requests: int | None,
    seconds: float | None,
    concurrency: int | None,
    rate: float | None,
    trace: IO[str] | None,
    warm_up: int | None,
    table: IO[str] | None,
    as_json: bool,
) -> None:
    """Send requests to FUNCTION in execution environments of its own, or to a URL, and measure the answers.

    A line of --inputs is a JSON object, or a text, the value of `input` or of --field. Each connection waits for an
    answer before it sends its next request; with --rate and --trace none is waited for, and a latency counts from the
    time that a request was due. Latencies are those of good answers; a status from 300 on is an error. What answers say
    in fields t_..., in seconds, is a phase, of which the mean is shown. Ctrl-C ends it, and shows what was measured.
    """
    if (name is None) == (url is None):
        raise UsageError("either a FUNCTION or --url is what is asked", "name one of them")
    _check({"--requests": requests, "--seconds": seconds})
    _check({"--concurrency": concurrency, "--rate": rate, "--trace": trace})
    if trace:
        _check({"--trace": trace, "--requests": requests, "--seconds": seconds})
    function = models.ready(find(project.load(folder), name)) if name is not None else None
    asked = bodies(inputs, fields, inputs.name) if inputs else [_event(function)]
    arrivals = _arrivals(rate, trace, requests, seconds)
    plan = _Plan(
        asked, concurrency or 1, requests or (inf if seconds else _REQUESTS), seconds or inf, warm_up, arrivals
    )
    with progress.shown() as told:
        target = _function(function) if function else _url(str(url), headers)
        measured, is_whole = uvloop.run(_measure(target, plan, told))
    if table:
        _write(measured, table)
    _show(summary(measured), plan, as_json)
    if not is_whole:
        output.note("Interrupted: these are the requests that were answered before.")
        raise SystemExit(_INTERRUPTED)


def _check(options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", "name one of them")


class _Plan(NamedTuple):
    """`arrivals` are the times of an open loop."""

    bodies: Sequence[bytes]
    concurrency: int
    requests: float
    seconds: float
    warm_up: int | None
    arrivals: Sequence[float] = ()


def _arrivals(
    rate: float | None, trace: IO[str] | None, requests: int | None, seconds: float | None
) -> Sequence[float]:
    if trace:
        return traffic.read(trace, trace.name)
    return even(rate, requests / rate if requests else seconds or _SECONDS) if rate else ()


def _event(function: Function | None) -> bytes:
    if function is None:
        raise UsageError("--url needs --inputs", "write a file with a JSON object, or a sentence, a line")
    return read_event(function, None, None)


@contextlib.asynccontextmanager
async def _url(url: str, headers: tuple[str, ...]) -> AsyncIterator[Send]:
    client = Client(url, headers)
    try:
        yield client
    finally:
        client.close()


@contextlib.asynccontextmanager
async def _function(function: Function) -> AsyncIterator[Send]:
    """Its environments, without a gateway; where an error is raised, what they wrote last is shown."""
    lines: deque[str] = deque(maxlen=20)
    pool = Pool(lambda key, line: lines.append(line), machine_memory())
    pool.deploy([function])

    async def send(body: bytes) -> Reply:
        try:
            return _reply(await collected(await pool(Call(function.key, body))))
        except InvokeError as error:
            return Reply(str(error).encode(), type(error).__name__)

    try:
        yield send
    except FunctionError:
        for line in lines:
            output.note(line)
        raise
    finally:
        await pool.close()


def _reply(result: Result) -> Reply:
    """A function answers with a value, or with a response as API Gateway takes it."""
    try:
        answer = json.loads(result.payload)
    except (ValueError, RecursionError):
        answer = None
    fields = answer if isinstance(answer, dict) else {}
    if result.error:
        return Reply(result.payload, str(fields.get("errorType", result.error)))
    status = fields.get("statusCode")
    if not isinstance(status, int):
        return Reply(result.payload)
    return Reply(str(fields.get("body", "")).encode(), str(status) if status >= 300 else "")


async def _measure(
    target: contextlib.AbstractAsyncContextManager[Send], plan: _Plan, told: Progress
) -> tuple[Run, bool]:
    """What was measured, and whether that is all: Ctrl-C cancels."""
    total = len(plan.arrivals) or plan.requests
    samples: list[Sample] = []

    def answered(sample: Sample) -> None:
        samples.append(sample)
        if total < inf:
            told.count("requests", len(samples), int(total))

    async with target as send:
        await _warm_up(send, plan)
        began = perf_counter()
        try:
            return await _run(send, plan, answered), True
        except asyncio.CancelledError:
            if not samples:
                raise
            return Run(samples, perf_counter() - began), False


def _run(send: Send, plan: _Plan, answered: Callable[[Sample], None]) -> Coroutine[None, None, Run]:
    if plan.arrivals:
        return run_at(send, plan.bodies, plan.arrivals, answered)
    return run(send, plan.bodies, plan.concurrency, plan.requests, plan.seconds, answered)


async def _warm_up(send: Send, plan: _Plan) -> None:
    """Raises `FunctionError` when nothing but errors came back: the time of a refusal would say nothing."""
    count = plan.concurrency if plan.warm_up is None else plan.warm_up
    if count:
        warm = await run(send, plan.bodies, min(plan.concurrency, count), count)
        if all(sample.error for sample in warm.samples) and (reply := await send(plan.bodies[0])).error:
            text = reply.payload.decode("utf-8", "replace")[:300]
            raise FunctionError(f"no request was answered well: {reply.error}: {text}", "correct --url or --inputs")


def _write(measured: Run, table: IO[str]) -> None:
    """A line for each request."""
    phases = list(dict.fromkeys(name for sample in measured.samples for name in sample.phases))
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["began_s", "latency_ms", "error", *phases])
    for sample in measured.samples:
        values = [sample.phases.get(name, "") for name in phases]
        rows.writerow([f"{sample.began:.6f}", f"{sample.seconds * 1000:.3f}", sample.error, *values])


def _show(found: Summary, plan: _Plan, as_json: bool) -> None:
    if as_json:
        how = {"rate": len(plan.arrivals) / plan.arrivals[-1]} if len(plan.arrivals) > 1 else {}
        output.record(concurrency=plan.concurrency, **how, inputs=len(plan.bodies), **found._asdict())
        return
    manner = "each at its time" if plan.arrivals else f"{plan.concurrency} at once"
    output.line(f"{found.requests} requests in {found.seconds:.1f} s, {manner}\n")
    output.line(f"  {'qps':12} {found.qps:10.1f}")
    for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms", "mean_ms"):
        value = getattr(found, name)
        output.line(
            f"  {name.removesuffix('_ms') + ' ms':12} " + (f"{value:10.2f}" if value is not None else f"{'-':>10}")
        )
    output.line(f"  {'errors':12} {sum(found.errors.values()):10}")
    for error, count in found.errors.items():
        output.line(f"    {error}: {count}")
    if found.late_ms > _LATE:
        output.note(f"The client was the limit: 1 in 100 requests was sent {found.late_ms:.0f} ms late, or later.")
    if found.phases:
        output.line("\n  mean of each phase in ms")
        for name, seconds in found.phases.items():
            output.line(f"  {name:22} {seconds * 1000:10.3f}")
