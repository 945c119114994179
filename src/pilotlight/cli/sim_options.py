"""The options of `simulate` and `cost`: which requests come, how long they take, and what the function has."""

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import IO, Any, NamedTuple

import click

from pilotlight import limits
from pilotlight.cli.numbers import Finite
from pilotlight.measure.scaling import DAY
from pilotlight.settings import Front

_UNITS = {"ms": 0.001, "s": 1.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_POSITIVE = Finite(0, min_open=True)
_LONGEST = 3600.0  # seconds of a duration: an invocation takes 900 at most


class Spread(NamedTuple):
    """Seconds: the median, and the 99th percentile, which is the median where all are alike."""

    p50: float
    p99: float


class Duration(click.ParamType[Any]):
    """Such as 120ms or 1.5s; with `has_spread` also 120ms/400ms, the median and the 99th percentile."""

    name = "time"

    def __init__(self, has_spread: bool = False) -> None:
        self._has_spread = has_spread

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if isinstance(value, float | Spread):
            return value
        texts = value.split("/")
        parts = [seconds for seconds in map(_seconds, texts) if seconds is not None]
        if len(parts) < len(texts) or len(parts) > 1 + self._has_spread or parts != sorted(parts):
            forms = (
                "120ms, 1.5s or, the median and the 99th percentile, 120ms/400ms" if self._has_spread else "50ms or 1s"
            )
            self.fail(f"{value!r} is no time: write it as {forms}", parameter, context)
        return Spread(parts[0], parts[-1]) if self._has_spread else parts[0]


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else None
    return seconds if seconds is not None and seconds <= _LONGEST else None


class Schedule(click.ParamType[Any]):
    """Such as 08:00=10,20:00=2."""

    name = "schedule"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        steps = [re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)=(\d{1,4})", text.strip()) for text in value.split(",")]
        known = [(int(step[1]) * 3600.0 + int(step[2]) * 60.0, int(step[3])) for step in steps if step]
        if len(known) < len(steps) or len({time for time, _ in known}) < len(known):
            self.fail(f"{value!r} is no schedule: write it as 08:00=10,20:00=2", parameter, context)
        if any(count > limits.CONCURRENCY_ACCOUNT for _, count in known):
            self.fail(f"more than {limits.CONCURRENCY_ACCOUNT} environments are not to be had", parameter, context)
        return tuple(sorted(known))


class TrafficOptions(NamedTuple):
    """`rate` is requests a second on average, or that of `applications` per cent of the published ones."""

    traffic: str
    rate: float | None
    requests_per_month: float | None
    applications: float | None
    cv: float | None
    burst: float | None
    trace: IO[str] | None
    hours: float | None
    seed: int


class TimesOptions(NamedTuple):
    """None and () are not given; all times in seconds."""

    run_files: tuple[Path, ...]
    run: Spread | None
    init: Spread | None
    restore: Spread | None
    platform_init: float | None
    errors: float | None
    event: str | None
    data: str | None


class FunctionOptions(NamedTuple):
    """What goes before the settings; None is what these say."""

    memory: int | None
    timeout: float | None
    tmp: int | None
    concurrency: int | None
    architecture: str | None
    front: Front | None
    recorded: bool | None
    keep_alive: float | None
    request_bytes: int
    answer_bytes: int


def _packed(name: str, kind: type[Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command one value of `kind`, called `name`, in place of its fields, which are `options`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            value = kind(**{field: named.pop(field) for field in kind._fields})
            return command(*arguments, **named, **{name: value})

        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate


traffic_options = _packed(
    "asked",
    TrafficOptions,
    click.option(
        "--traffic",
        type=click.Choice(["constant", "diurnal", "bursts", "published"]),
        default="diurnal",
        show_default=True,
        help="How requests come: at one rate, more at noon than at midnight, in bursts, or as an application of the "
        "published shape (Shahrad et al., USENIX ATC 2020).",
    ),
    click.option("--rate", type=_POSITIVE, help="Requests a second, on average.  [default: 1]"),
    click.option("--requests-per-month", type=_POSITIVE, help="The same by the month of 730 hours."),
    click.option(
        "--applications",
        type=Finite(0, 100),
        help="The rate that so many per cent of the published applications do not exceed; 45 is once an hour, 81 "
        "once a minute.",
    ),
    click.option("--cv", type=Finite(0, 10), help="Of the times between published requests; drawn without."),
    click.option("--burst", type=_POSITIVE, help="Requests a second in a burst, 10 s every 300.  [default: 20 x rate]"),
    click.option(
        "--trace",
        type=click.File("r"),
        help="Requests of this file: a time a line, or under the header minute,count how many in each.",
    ),
    click.option("--hours", type=_POSITIVE, help="What is simulated.  [default: a day; of published traffic a week]"),
    click.option("--seed", type=int, default=1, show_default=True, help="Another one is another draw of all chances."),
)

times_options = _packed(
    "timing",
    TimesOptions,
    click.option(
        "--times",
        "run_files",
        type=click.Path(dir_okay=False, path_type=Path),
        multiple=True,
        help="What `bench load --save` wrote; one for each architecture.  [default: FUNCTION is measured here]",
    ),
    click.option("--run", type=Duration(True), help="What an invocation takes: 120ms, or median/p99, 120ms/400ms."),
    click.option("--init", type=Duration(True), help="What its init phase takes."),
    click.option("--restore", type=Duration(True), help="What a restore takes with SnapStart.  [default: 300ms]"),
    click.option(
        "--platform-init", type=Duration(), help="What AWS takes before the init phase begins.  [default: 50ms]"
    ),
    click.option("--errors", type=Finite(0, 1), help="Share of invocations that fail.  [default: as measured]"),
    click.option("--event", type=click.Path(dir_okay=False, allow_dash=True), help="A file with the event to measure."),
    click.option("--data", metavar="JSON", help="The event itself."),
)

function_options = _packed(
    "changed",
    FunctionOptions,
    click.option(
        "--memory", type=click.IntRange(limits.MEMORY_MIN, limits.MEMORY_MAX), help="MB, instead of the setting."
    ),
    click.option("--timeout", type=Finite(0, limits.TIMEOUT_MAX, min_open=True), help="Seconds."),
    click.option("--tmp", type=click.IntRange(limits.TMP_MIN, limits.TMP_MAX), help="MB of /tmp."),
    click.option("--concurrency", type=click.IntRange(1), help="Reserved, or what the account has.  [default: 1000]"),
    click.option("--architecture", type=click.Choice(["x86_64", "arm64"]), help="Whose prices hold."),
    click.option("--front", type=click.Choice(["http", "rest", "url"]), help="What stands before the function."),
    click.option("--records/--no-records", "recorded", default=None, help="Whether each invocation is recorded."),
    click.option(
        "--keep-alive",
        type=Finite(0, DAY),
        help="Seconds that an idle environment stays.  [default: 360]",
    ),
    click.option("--request-bytes", type=click.IntRange(0), default=1024, show_default=True, help="Of one request."),
    click.option("--answer-bytes", type=click.IntRange(0), default=1024, show_default=True, help="Of one answer."),
)
