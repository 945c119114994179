"""`pilotlight bench compare`: what two runs of `bench load` differ by, and whether that is more than chance."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from pilotlight.cli import output
from pilotlight.cli.numbers import Finite
from pilotlight.errors import UsageError
from pilotlight.measure import compare as runs
from pilotlight.measure import load_plot, plot, run_file
from pilotlight.measure.compare import Row
from pilotlight.measure.run_file import Saved

_SHARES = ("errors", "cold")
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    epilog=output.examples(
        "pilotlight bench compare before.json after.json",
        "pilotlight bench compare before.json after.json --plot both.svg",
        "pilotlight bench compare main.json branch.json --fail-if-slower 5",
    )
)
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE)
@click.option(
    "--fail-if-slower",
    "allowed",
    type=Finite(0),
    metavar="PERCENT",
    help="Exit with 1 where p50, p90, p99 or the mean is slower by more than that, for certain: its interval is above.",
)
@click.option("--plot", "drawn", type=_FILE, help="Plot both percentile curves to this file, .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(before: Path, after: Path, allowed: float | None, drawn: Path | None, as_json: bool) -> int:
    """Compare two runs that `bench load --save` has kept.

    Each difference is in per cent of BEFORE, of errors and cold starts in points of per cent, with the interval that
    has it with 95 % confidence: where that spans 0, chance may be all there is. Nothing is assumed of how latencies are
    distributed, and where there are too few requests for a percentile, no interval is made up. What the machine did
    meanwhile is in no interval: let two runs of the same program say how much that is.
    """
    if drawn:
        plot.check(drawn)
    both = _read(before), _read(after)
    rows, misfits = runs.compare(*both), runs.misfits(*both)
    slower = runs.slower(rows, allowed) if allowed is not None else []
    if drawn:
        load_plot.compare(drawn, both[0].latencies, both[1].latencies, f"{before.stem} and {after.stem}")
    if as_json:
        output.record(rows=[row._asdict() for row in rows], misfits=misfits, slower=[row.name for row in slower])
    else:
        _show(both, rows, misfits)
    for row in slower:
        output.explain(f"{_name(row)} is slower by more than {allowed:g} %: by {row.low:.1f} % at least")
    return 1 if slower else 0


def _read(path: Path) -> Saved:
    run = run_file.read(path)
    if not run.latencies:
        raise UsageError(f"comparing {path}: no request of it was answered well", "measure again")
    return run


def _show(both: Sequence[Saved], rows: Sequence[Row], misfits: Sequence[str]) -> None:
    for name, run in zip(("before", "after"), both, strict=True):
        sent = f"{run.requests:,} requests in {run.seconds:.1f} s, {runs.manner(run)}"
        output.line(f"{name + ':':8} {run.target}, {sent}, {run.began}")
    output.line(f"\n  {'':10} {'before':>10} {'after':>10} {'difference':>12}   95 % interval")
    for row in rows:
        output.line(_line(row))
    for reason in misfits:
        output.note(f"Not comparable: {reason}.")


def _line(row: Row) -> str:
    return f"  {_name(row):10} {_value(row, row.before)} {_value(row, row.after)} {' '.join(_difference(row))}".rstrip()


def _name(row: Row) -> str:
    return row.name.replace("_", " ")


def _value(row: Row, value: float | None) -> str:
    if value is None:
        return f"{'-':>10}"
    return f"{value:>10.2%}" if row.name in _SHARES else f"{value:>10.2f}"


def _difference(row: Row) -> Iterator[str]:
    unit = "pt" if row.name in _SHARES else "%"
    yield f"{row.difference:+10.1f} {unit:2}" if row.difference is not None else f"{'-':>13}"
    if row.low is None or row.high is None:
        yield f" {row.reason}"
        return
    yield f" {row.low:+.1f} to {row.high:+.1f} {unit}: {row.verdict or 'may be none'}"
