"""How long a function takes, for `simulate` and `cost`: given, of a run that was kept, or measured here."""

import contextlib
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import msgspec
import uvloop

from pilotlight import limits
from pilotlight.cli import models, output
from pilotlight.cli.invoke import read_event
from pilotlight.cli.sim_options import Spread, TimesOptions
from pilotlight.deploy import log_lines
from pilotlight.deploy.log_lines import Report
from pilotlight.errors import FunctionError, InvokeError, UsageError
from pilotlight.local.pool import Pool
from pilotlight.local.server import machine_memory
from pilotlight.local.streams import collected
from pilotlight.measure import run_file
from pilotlight.measure.run_file import Saved
from pilotlight.measure.simulate import Times
from pilotlight.optimize.progress import Progress
from pilotlight.project import Function
from pilotlight.values import Call

PLATFORM = 0.05
"""Seconds of a cold start before the init phase. Brooker et al., On-demand Container Loading in AWS Lambda, USENIX ATC
2023: "start-up times as low as 50 ms", of zips and images alike. That it is this on average is a (belief)."""
RESTORE = 0.3
"""Seconds of a restore (belief): AWS says of SnapStart that it starts functions in less than a second."""

_STARTS, _REQUESTS = 5, 20  # environments that are measured, and warm requests in each
_DRAWN = 2_000  # values that stand for a distribution
_NOT_ITS = {"429", "Throttled", "TooManyRequestsException"}  # errors that the function has not made
_ELSEWHERE = "which is not Lambda: take the proportions, and REPORT lines of the deployed function for the figures"
_GIVE = "give --run 120ms --init 400ms, or --times with what `pilotlight bench load --save` wrote"


class Timed(NamedTuple):
    """`restores` are those of SnapStart, which nobody has told where they `are_believed`; `source` says where all of it
    is from, and `notes` what else to know."""

    times: Times
    restores: Sequence[float]
    platform: float
    source: str
    notes: tuple[str, ...] = ()
    are_believed: bool = False

    def restore_notes(self) -> list[str]:
        return (
            [f"A restore is taken for {RESTORE * 1000:.0f} ms (belief): give --restore."] if self.are_believed else []
        )


def timed(
    function: Function | None, architecture: str, memory: int, timing: TimesOptions, told: Progress
) -> dict[str, Timed]:
    """By architecture; of one that nobody has measured the times are not there. Raises `UsageError`."""
    if timing.run_files and timing.run:
        raise UsageError("--times and --run exclude each other", "name one of them")
    if timing.run_files:
        return _kept(function, architecture, memory, timing)
    if timing.run:
        if timing.init is None:
            raise UsageError("--run needs --init", _GIVE)
        times = Times(spread(timing.run), spread(timing.init))
        return {architecture: _completed(times, timing, "Times: as given")}
    if function is None:
        raise UsageError("there is no FUNCTION to measure", _GIVE)
    times, source = _measured(function, timing, told)
    return {architecture: _completed(times, timing, source, tuple(_share_of_a_processor(memory)))}


def spread(given: Spread) -> list[float]:
    """Values of a log-normal distribution with these percentiles, as many in each part of it."""
    if given.p99 == given.p50:
        return [given.p50]
    if given.p50 <= 0:
        raise UsageError("a median of 0 has no 99th percentile above it", "write 1ms/20ms")
    normal = NormalDist(math.log(given.p50), math.log(given.p99 / given.p50) / NormalDist().inv_cdf(0.99))
    return [math.exp(normal.inv_cdf((number + 0.5) / _DRAWN)) for number in range(_DRAWN)]


def _completed(times: Times, timing: TimesOptions, source: str, notes: tuple[str, ...] = ()) -> Timed:
    if timing.errors is not None:
        times = times._replace(errors=timing.errors)
    if timing.init is not None:
        times = times._replace(init=spread(timing.init))
    restores = spread(timing.restore) if timing.restore else [RESTORE]
    return Timed(times, restores, platform_init(timing), source, notes, timing.restore is None)


def platform_init(timing: TimesOptions) -> float:
    """Seconds of AWS's own before an init phase."""
    return PLATFORM if timing.platform_init is None else timing.platform_init


def _share_of_a_processor(memory: int) -> Iterator[str]:
    if memory < limits.MEMORY_OF_ONE_VCPU:
        share = memory / limits.MEMORY_OF_ONE_VCPU
        yield f"With {memory} MB Lambda gives {share:.0%} of a processor, and here there was a whole one."


# of run files


def _kept(function: Function | None, architecture: str, memory: int, timing: TimesOptions) -> dict[str, Timed]:
    found: dict[str, Timed] = {}
    for path in timing.run_files:
        run = run_file.read(path)
        kind = run.architecture or architecture
        if kind in found:
            raise UsageError(f"reading {path}: another file of --times is of {kind} as well", "name one of each")
        found[kind] = _of_run(run, str(path), function is not None and function.snapstart, memory, timing)
    return found


def _of_run(run: Saved, name: str, is_snapstart: bool, memory: int, timing: TimesOptions) -> Timed:
    run_ms = run.durations or run.latencies
    if not run_ms:
        raise UsageError(f"reading {name}: no request of it was answered", "measure again")
    if not run.inits and not timing.init and not (is_snapstart and timing.restore):
        raise UsageError(f"reading {name}: it has no cold start", "give --init, or measure from a cold start on")
    failed = sum(count for error, count in run.errors.items() if error not in _NOT_ITS) / max(1, run.requests)
    started = [each / 1000 for each in run.inits]
    times = Times([each / 1000 for each in run_ms], started, failed)
    whose = "Duration and Init Duration" if run.durations else "latencies of its client, the network's with them,"
    source = f"Times: {whose} of {len(run_ms)} requests to {run.target}, {name}, measured on {run.machine}"
    notes = list(_differs(run, name, memory))
    if is_snapstart and not timing.init:
        notes.append(f"{name} has restores, for which init phases are taken, too: give --init.")
    completed = _completed(times, timing, source, tuple(notes))
    return (
        completed._replace(restores=started, are_believed=False)
        if is_snapstart and started and not timing.restore
        else completed
    )


def _differs(run: Saved, name: str, memory: int) -> list[str]:
    if run.memory in (0, memory):
        return []
    return [f"{name} was measured with {run.memory} MB, and times are taken for those of {memory} MB."]


# measured here


def _measured(function: Function, timing: TimesOptions, told: Progress) -> tuple[Times, str]:
    """Raises `FunctionError` where no invocation came to its end."""
    ready = models.ready(function)
    call = Call(ready.key, read_event(ready, timing.event, timing.data))
    reports, errors = uvloop.run(_reports(msgspec.structs.replace(ready, snapstart=False), call, told))
    cold, warm = [each for each in reports if each.init_ms], [each for each in reports if not each.init_ms]
    if not cold:
        raise FunctionError(f"measuring {function.name}: its init phase did not end", "`pilotlight invoke` shows why")
    failed = errors / (_STARTS * (1 + _REQUESTS))
    times = Times([each.duration_ms / 1000 for each in warm or cold], [each.init_ms / 1000 for each in cold], failed)
    if failed:
        output.note(
            f"{failed:.0%} of the requests failed: the simulation has as many errors. --data gives another event."
        )
    source = (
        f"Times: of {len(cold)} cold starts and {len(warm)} requests one after the other on this machine, {_ELSEWHERE}"
    )
    return times, source


async def _reports(function: Function, call: Call, told: Progress) -> tuple[list[Report], int]:
    """The REPORT lines of several environments, each started by its first request; how many requests failed."""
    lines: list[str] = []
    errors = 0
    for number in range(_STARTS):
        async with _pool(function, lines) as pool:
            for _ in range(1 + _REQUESTS):
                errors += await _fails(pool, call)
        told.count("cold starts", number + 1, _STARTS)
    return [report for report in map(log_lines.report, lines) if report], errors


async def _fails(pool: Pool, call: Call) -> bool:
    try:
        return bool((await collected(await pool(call))).error)
    except InvokeError:
        return True


@contextlib.asynccontextmanager
async def _pool(function: Function, lines: list[str]) -> AsyncIterator[Pool]:
    pool = Pool(lambda key, line: lines.append(line), machine_memory())
    await pool.host.launcher()  # no part of a function's cold start
    pool.deploy([function])
    try:
        yield pool
    finally:
        await pool.close()
