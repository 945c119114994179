"""What `simulate` and `cost` begin with: the function that is meant, its configuration, and its traffic."""

from pathlib import Path
from random import Random
from typing import NamedTuple

from pilotlight import limits, project
from pilotlight.cli.invoke import find
from pilotlight.cli.sim_options import FunctionOptions, TrafficOptions
from pilotlight.errors import UsageError
from pilotlight.measure import published, traffic
from pilotlight.measure.choices import GATEWAYS
from pilotlight.measure.month import SECONDS, Deployed
from pilotlight.measure.simulate import KEEP_ALIVE, Lambda
from pilotlight.measure.traffic import DAY, Trace
from pilotlight.project import Function
from pilotlight.settings import FILE

_BURST, _EVERY, _LASTING = 20.0, 300.0, 10.0  # times the rate, seconds
_FEW = 100  # requests that say little of a month
_SHORT = 3600.0  # seconds that do
_LONGEST = 366 * DAY
_ALONE = 1800.0  # seconds without a request that no environment outlives


class Traffic(NamedTuple):
    """`text` says what it is."""

    trace: Trace
    text: str
    notes: tuple[str, ...]

    @property
    def amount(self) -> str:
        return _amount(self.trace)


class Inputs(NamedTuple):
    """`function` is None where the options say all."""

    function: Function | None
    traffic: Traffic
    deployed: Deployed


def read(name: str | None, folder: Path, asked: TrafficOptions, changed: FunctionOptions) -> Inputs:
    """Raises `UsageError` and what a project raises."""
    meant = _function(name, folder)
    return Inputs(meant, _arrivals(asked), _deployed(meant, _architecture(folder, meant, changed), changed))


def _function(name: str | None, folder: Path) -> Function | None:
    """The function of the folder; None where no name is given and the folder is no service."""
    if name is None and not (folder / FILE).exists() and not (folder / project.FOLDER).is_dir():
        return None
    service = project.load(folder)
    if name is None and len(service.functions) > 1:
        known = ", ".join(each.name for each in service.functions)
        raise UsageError(f"{service.root} has several functions", f"name one of {known}")
    return find(service, name if name is not None else service.functions[0].name)


def _architecture(folder: Path, meant: Function | None, changed: FunctionOptions) -> str:
    return changed.architecture or (project.load(folder).build.architecture if meant else "x86_64")


def _deployed(meant: Function | None, architecture: str, changed: FunctionOptions) -> Deployed:
    """What its bill depends on, by its settings and the options before them."""
    usual = Deployed()
    if meant:
        usual = usual._replace(name=meant.name, memory=meant.memory, tmp=meant.tmp, front=meant.front)
        usual = usual._replace(snapstart=meant.snapstart, records=meant.records is not None)
    return usual._replace(
        memory=changed.memory or usual.memory,
        tmp=changed.tmp or usual.tmp,
        architecture=architecture,
        front=changed.front or usual.front,
        records=usual.records if changed.recorded is None else changed.recorded,
        request_bytes=changed.request_bytes,
        answer_bytes=changed.answer_bytes,
    )


def simulated(meant: Function | None, front: str, platform: float, changed: FunctionOptions) -> Lambda:
    """What it may have, without what stands by."""
    timeout = changed.timeout or (float(meant.timeout) if meant else 30.0)
    reserved = meant.concurrency if meant else None
    return Lambda(
        concurrency=changed.concurrency or reserved or limits.CONCURRENCY_ACCOUNT,
        timeout=timeout,
        gateway=GATEWAYS.get(front, float("inf")),
        keep_alive=KEEP_ALIVE if changed.keep_alive is None else changed.keep_alive,
        platform=platform,
    )


def _arrivals(asked: TrafficOptions) -> Traffic:
    """Raises `UsageError` for what excludes each other, or has no end."""
    if asked.trace:
        return _read(asked)
    random = Random(asked.seed)
    rate = _rate(asked)
    seconds = (asked.hours or (7 * 24 if asked.traffic == "published" else 24)) * 3600.0
    _bound(rate * seconds, seconds)
    made, text = _made(asked, rate, seconds, random)
    trace = traffic.traced(made, seconds)
    return Traffic(trace, text, _notes(trace))


def _rate(asked: TrafficOptions) -> float:
    by = {"--rate": asked.rate, "--requests-per-month": asked.requests_per_month, "--applications": asked.applications}
    given = [name for name, value in by.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", "name one of them")
    if asked.requests_per_month is not None:
        return asked.requests_per_month / SECONDS
    if asked.applications is not None:
        return published.per_day(asked.applications / 100) / DAY
    return asked.rate or 1.0


def _bound(requests: float, seconds: float) -> None:
    if seconds > _LONGEST:
        days = f"{seconds / DAY:,.0f}" if seconds < 1e12 * DAY else f"{seconds / DAY:.3g}"
        raise UsageError(f"{days} days are too many to simulate", "a day, or a week, tells of a month")
    if requests > traffic.MOST:
        hint = "simulate less of it with --hours; the bill is scaled to a month"
        raise UsageError(f"{requests:,.0f} requests are more than {traffic.MOST:,} to simulate", hint)


def _made(asked: TrafficOptions, rate: float, seconds: float, random: Random) -> tuple[list[float], str]:
    if asked.traffic == "constant":
        return traffic.constant(rate, seconds, random), f"at a constant rate of {rate:.4g} a second"
    if asked.traffic == "diurnal":
        return traffic.diurnal(rate, seconds, random), f"{rate:.4g} a second by day and night"
    if asked.traffic == "bursts":
        burst = asked.burst or _BURST * rate
        base = _between_bursts(rate, burst)
        made = traffic.bursts(base, seconds, random, burst, _EVERY, _LASTING)
        return (
            made,
            f"{burst:.4g} a second for {_LASTING:.0f} s of {_EVERY:.0f}, {base:.4g} between, {rate:.4g} on average",
        )
    cv = published.application(random).cv if asked.cv is None else asked.cv
    text = f"{rate:.4g} a second as an application of Shahrad et al. 2020, weeks long, the CV of gaps {cv:.2g}"
    return published.arrivals(rate, cv, seconds, random), text


def _between_bursts(rate: float, burst: float) -> float:
    """The rate that makes `rate` on average of both. Raises `UsageError`."""
    share = _LASTING / _EVERY
    if burst * share > rate:
        reason = f"bursts of {burst:.4g} requests a second alone make more than {rate:.4g} on average"
        raise UsageError(reason, f"give --burst {rate / share:.4g} at most")
    return (rate - burst * share) / (1 - share)


def _read(asked: TrafficOptions) -> Traffic:
    assert asked.trace is not None
    others = {"--rate": asked.rate, "--requests-per-month": asked.requests_per_month, "--hours": asked.hours}
    given = [name for name, value in {**others, "--burst": asked.burst}.items() if value is not None]
    if given:
        raise UsageError(f"--trace and {' and '.join(given)} exclude each other", "the file says when requests come")
    trace = traffic.read_trace(asked.trace, asked.trace.name, Random(asked.seed))
    _bound(len(trace.arrivals), trace.seconds)
    return Traffic(trace, f"of {asked.trace.name}", _notes(trace))


def _notes(trace: Trace) -> tuple[str, ...]:
    notes = []
    if trace.gap > _ALONE:
        when = f"from {trace.gap_from / 3600:.1f} h on"
        notes.append(
            f"The longest gap without a request is {trace.gap / 3600:.1f} h, {when}: no environment outlives it."
        )
    if trace.seconds < _SHORT or len(trace.arrivals) < _FEW:
        notes.append(f"{_amount(trace)}: that says little of a month, to which the bill is scaled.")
    return tuple(notes)


def _amount(trace: Trace) -> str:
    """Such as "3,000 requests in 24.0 h"."""
    count, seconds = len(trace.arrivals), trace.seconds
    lasting = f"{seconds:.0f} s" if seconds < _SHORT else f"{seconds / 3600:,.1f} h"
    return f"{count:,} request{'s' if count != 1 else ''} in {lasting}"
