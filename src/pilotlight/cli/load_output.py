"""What `bench load` shows, and the files that it writes."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple

from pilotlight.cli import output
from pilotlight.cli.load_target import Target
from pilotlight.errors import UsageError
from pilotlight.measure import drafts, load_plot, machine, plot, run_file
from pilotlight.measure.latencies import Latencies
from pilotlight.measure.load import AT_ONCE, LATE, Run, Summary, client_limit, ended
from pilotlight.measure.run_file import Saved


class Plan(NamedTuple):
    """`arrivals` are the times of an open loop, on average `rate` a second."""

    bodies: Sequence[bytes]
    concurrency: int
    requests: float
    seconds: float
    warm_up: int | None
    arrivals: Sequence[float] = ()
    rate: float = 0.0


class Measured(NamedTuple):
    """`began` is ISO 8601; `is_whole` is False where it was broken off."""

    run: Run
    target: Target
    began: str
    is_whole: bool = True


class Files(NamedTuple):
    """The files to write."""

    save: Path | None
    table: Path | None
    plot: Path | None

    def check(self) -> None:
        """Raises `UsageError` where one could not be written."""
        for path in (self.save, self.table):
            if path:
                drafts.check(path)
        if self.plot:
            plot.check(self.plot)
        given = [path.absolute() for path in self if path]
        if len(set(given)) < len(given):
            raise UsageError(f"writing {given[-1]}: two options name it", "name a file for each")


def write(measured: Measured, found: Summary, plan: Plan, files: Files) -> None:
    """Each file whole, though another cannot be written. Raises `UsageError`."""
    with ExitStack() as rest:  # what was entered last is written first
        if files.plot:
            rest.callback(load_plot.draw, files.plot, measured.run, f"{measured.target.name}, {_manner(plan)}")
        if files.table:
            rest.callback(_write_rows, measured.run, files.table)
        if files.save:
            rest.callback(run_file.write, files.save, _saved(measured, found, plan))


def _write_rows(run: Run, table: Path) -> None:
    """A line for each request."""
    phases = list(dict.fromkeys(name for sample in run.samples for name in sample.phases))
    with drafts.draft(table) as path, path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["began_s", "latency_ms", "error", "duration_ms", "init_ms", *phases])
        for sample in run.samples:
            told = [f"{each:.2f}" for each in sample.told] if sample.told else ["", ""]
            values = [sample.phases.get(name, "") for name in phases]
            rows.writerow([f"{sample.began:.6f}", f"{sample.seconds * 1000:.3f}", sample.error, *told, *values])


def _saved(measured: Measured, found: Summary, plan: Plan) -> Saved:
    run, target = measured.run, measured.target
    good = [sample for sample in run.samples if not sample.error]
    return Saved(
        target=target.name,
        began=measured.began,
        machine=machine.describe(),
        requests=found.requests,
        seconds=run.seconds,
        errors=dict(found.errors),
        latencies=_some([sample.seconds * 1000 for sample in good]),
        histogram=Latencies(sample.seconds for sample in good).encoded(),
        durations=_some([sample.told.duration for sample in good if sample.told]),
        inits=_some([sample.told.init for sample in run.samples if sample.told and sample.is_cold]),
        cold=found.cold or 0,
        told=sum(sample.told is not None for sample in run.samples),
        memory=target.memory,
        architecture=target.architecture,
        concurrency=0 if plan.arrivals else plan.concurrency,
        rate=plan.rate,
        phases=dict(found.phases),
        each=ended(good, run.seconds, run_file.PARTS),
        sent=hashlib.sha256(b"\n".join(plan.bodies)).hexdigest()[:16],
        late=found.late_ms,
        held=found.held_ms,
        busy=found.busy,
    )


def _some(values: Sequence[float]) -> Sequence[float]:
    """As many as are kept, in their order."""
    count = len(values)
    kept = sorted(Random(0).sample(range(count), run_file.SAMPLES)) if count > run_file.SAMPLES else range(count)
    return [round(values[index], 6) for index in kept]


def show(measured: Measured, found: Summary, plan: Plan, as_json: bool) -> None:
    """On stdout; what makes the figures say less goes to stderr."""
    if as_json:
        target = measured.target
        how = {"rate": plan.rate} if plan.arrivals else {"concurrency": plan.concurrency}
        what = {"target": target.name, "memory": target.memory, "architecture": target.architecture}
        output.record(**what, **how, inputs=len(plan.bodies), **found._asdict(), limit=_limit(found))
        return
    output.line(f"{found.requests} requests in {found.seconds:.1f} s, {_manner(plan)}\n")
    for text in _rows(found):
        output.line(text)
    if limit := _limit(found):
        output.note(limit)


def _manner(plan: Plan) -> str:
    return "each at its time" if plan.arrivals else f"{plan.concurrency} at once"


def _rows(found: Summary) -> Iterator[str]:
    yield _row("qps", found.qps, 1)
    for name, value in (
        ("p50 ms", found.p50_ms),
        ("p90 ms", found.p90_ms),
        ("p99 ms", found.p99_ms),
        ("p99.9 ms", found.p999_ms),
        ("max ms", found.max_ms),
        ("mean ms", found.mean_ms),
    ):
        yield _row(name, value)
    yield _row("errors", sum(found.errors.values()), 0)
    yield from (f"    {error}: {count}" for error, count in found.errors.items())
    yield from _told(found)
    if found.phases:
        yield "\n  mean of each phase in ms"
        yield from (f"  {name:22} {seconds * 1000:10.3f}" for name, seconds in found.phases.items())


def _told(found: Summary) -> Iterator[str]:
    """What REPORT lines say."""
    if found.cold is None:
        yield f"  {'cold':12} {'-':>10}  nobody tells of cold starts over a URL"
        return
    yield _row("cold", found.cold, 0) + f"  {found.cold / found.requests:.1%} of the requests"
    if found.init_ms is not None:
        yield _row("init ms", found.init_ms) + "  in the median"
    yield _row("duration ms", found.duration_ms) + "  in the median, by the function's REPORT"


def _row(name: str, value: float | None, digits: int = 2) -> str:
    return f"  {name:12} " + (f"{value:10.{digits}f}" if value is not None else f"{'-':>10}")


def _limit(found: Summary) -> str:
    """What kept requests from being sent in time; "" where nothing did."""
    if reason := client_limit(found.late_ms, found.held_ms, found.busy, found.seconds):
        return f"The client was the limit: {reason}."
    if found.held_ms <= LATE:
        return ""
    waited = f"1 in 100 requests waited {found.held_ms:.0f} ms, or longer, for one of them to end"
    return f"What was asked could not keep up: {AT_ONCE:,} requests were under way, and {waited}."
