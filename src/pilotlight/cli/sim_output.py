"""What `simulate` shows: the answers, the bill of a month by item, a plot."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from pilotlight.cli import output
from pilotlight.cli.sim_inputs import Traffic
from pilotlight.cli.sim_times import Timed
from pilotlight.measure import cost, month, plot
from pilotlight.measure.choices import NAMES
from pilotlight.measure.cost import Bill, Item
from pilotlight.measure.month import Deployed
from pilotlight.measure.simulate import Lambda, Outcome

_PERCENTS = (50, 90, 99)
_POINTS = 400  # of a curve of latencies
_STEPS = 360  # over time that an eye tells apart


class Found(NamedTuple):
    deployed: Deployed
    allowed: Lambda
    traffic: Traffic
    timed: Timed
    outcome: Outcome
    is_free_tier: bool

    @property
    def bill(self) -> Bill:
        return month.bill(month.usage(self.deployed, self.outcome, self.traffic.trace.seconds), self.is_free_tier)

    @property
    def notes(self) -> list[str]:
        restored = self.timed.restore_notes() if self.deployed.snapstart else []
        return [*self.traffic.notes, *self.timed.notes, *restored]


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.1f}"


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3%}" if whole else "-"


def dollars(amount: float) -> str:
    """As exact as it has to be to tell one amount from another."""
    places = 2 if abs(amount) >= 0.1 or not amount else 4
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{places}f}"


def described(deployed: Deployed, allowed: Lambda) -> str:
    """Such as "qa: 1,769 MB, x86_64, behind an HTTP API, started on demand"."""
    start = NAMES["snapstart" if allowed.snapstart else "plain"]
    most = f", up to {allowed.scaling.most}" if allowed.scaling.most else ""
    if allowed.scaling.schedule:
        start = f"environments kept ready by a schedule{most}"
    elif allowed.provisioned:
        start = f"{allowed.provisioned} environment{'s' if allowed.provisioned != 1 else ''} kept ready{most}"
    front = NAMES[deployed.front]
    return f"{deployed.name}: {deployed.memory:,} MB, {deployed.architecture}, behind {front}, {start}"


def record(found: Found) -> dict[str, object]:
    """Times in milliseconds."""
    outcome, bill = found.outcome, found.bill
    counts = ("requests", "cold", "throttled", "timed_out", "given_up", "failed", "spilled", "peak", "environments")
    latencies = {f"p{percent}_ms": _ms(outcome.latency(percent)) for percent in (*_PERCENTS, 100)}
    latencies["max_ms"] = latencies.pop("p100_ms")
    return {
        "function": found.deployed._asdict(),
        "lambda": {name: value for name, value in found.allowed._asdict().items() if value != float("inf")},
        "traffic": found.traffic.text,
        "seconds": found.traffic.trace.seconds,
        "longest_gap_seconds": found.traffic.trace.gap,
        "times": found.timed.source,
        **{name: getattr(outcome, name) for name in counts},
        "starts": outcome.starts,
        "cold_share": outcome.cold_share,
        **latencies,
        "region": cost.REGION,
        "month": {"items": [item._asdict() for item in bill.items], "total": bill.total},
        "notes": found.notes,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def show(found: Found) -> None:
    outcome = found.outcome
    output.line(described(found.deployed, found.allowed))
    output.line(f"{found.traffic.amount}, {found.traffic.text}")
    output.line(f"{found.timed.source}; {found.timed.platform * 1000:.0f} ms of AWS's own before an init phase\n")
    for what, number, of in _rows(outcome):
        output.line(f"  {what:26} {number:>12}  {of}".rstrip())
    _show_bill(found)
    for note in found.notes:
        output.note(note)


def _rows(outcome: Outcome) -> list[tuple[str, str, str]]:
    """What, how much of it, which share of requests."""
    latencies = [(f"p{percent} ms", milliseconds(outcome.latency(percent)), "") for percent in _PERCENTS]
    counts = {
        "answered well": len(outcome.latencies),
        "cold starts": outcome.cold,
        "throttled": outcome.throttled,
        "ended by the timeout": outcome.timed_out,
        "given up by the front": outcome.given_up,
        "failed": outcome.failed,
    }
    if outcome.allocated_seconds:
        counts["spilled from provisioned"] = outcome.spilled
    return [
        *latencies,
        ("max ms", milliseconds(outcome.latency(100)), ""),
        *((what, f"{count:,}", share(count, outcome.requests)) for what, count in counts.items()),
        ("invocations at once", f"{outcome.peak:,}", "at most"),
        ("environments on demand", f"{outcome.environments:,}", "at most"),
    ]


def _quantity(item: Item) -> str:
    """Requests and writes are whole; of the rest as many digits as tell it from nothing."""
    if item.unit in ("requests", "writes"):
        return f"{item.quantity:,.0f}"
    return f"{item.quantity:,.1f}" if item.quantity >= 1 else f"{item.quantity:.2g}"


def _show_bill(found: Found) -> None:
    bill = found.bill
    output.line(f"\nA month of 730 h that goes on like this, in {cost.REGION}\n")
    for item in bill.items:
        output.line(f"  {item.what:48} {_quantity(item):>16} {item.unit:9} {dollars(item.amount):>12}")
    output.line(f"  {'total':48} {'':16} {'':9} {dollars(bill.total):>12}")


def draw(found: Found, path: Path) -> None:
    """Requests and environments over time, and which share of the answers took how long."""
    minutes = found.outcome.minutes
    with plot.figure(path, rows=3) as (above, middle, below):
        _over_time(above, {"requests": [each.requests for each in minutes]}, plot.COLOURS)
        above.set(ylabel="requests a minute", title=found.deployed.name, xlabel="hours")
        lines = {
            "busy": [each.busy for each in minutes],
            "on demand": [each.environments for each in minutes],
            "provisioned": [each.provisioned for each in minutes],
        }
        _over_time(middle, {name: values for name, values in lines.items() if any(values)}, plot.COLOURS[1:])
        middle.set(ylabel="environments", xlabel="hours")
        if any(map(any, lines.values())):
            middle.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        _latencies(below, found.outcome.latencies)


def _over_time(axes: Any, lines: Mapping[str, Sequence[int]], colours: Sequence[str]) -> None:
    """Minutes, or where they are too many to be told apart the mean of some of them, in a band from least to most."""
    for colour, (name, values) in zip(colours, lines.items(), strict=False):
        together = ceil(len(values) / _STEPS)
        parts = [values[begin : begin + together] for begin in range(0, len(values), together)]
        parts.append(parts[-1])  # a step has an end as well
        hours = [number * together / 60 for number in range(len(parts))]
        axes.step(hours, [fmean(part) for part in parts], where="post", label=name, color=colour, linewidth=1.0)
        if together > 1:
            least, most = map(min, parts), map(max, parts)
            axes.fill_between(hours, list(least), list(most), step="post", color=colour, alpha=0.15, linewidth=0)
    axes.set_ylim(bottom=0)


def _latencies(axes: Any, latencies: Sequence[float]) -> None:
    """The slower, the more of the width: 99 and 99.9 % are as far apart as 90 and 99 %."""
    shares = [1 - 10 ** (-4 * number / _POINTS) for number in range(_POINTS + 1)]
    if latencies:
        values = [latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1000 for share in shares]
        axes.plot([1 / (1 - share) for share in shares], values, color=plot.COLOURS[0])
    axes.set(xscale="log", xlabel="share of answers", ylabel="ms")
    axes.set_xticks([1, 2, 10, 100, 1_000, 10_000], ["0", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"])
    axes.minorticks_off()
    plot.logarithmic(axes)
