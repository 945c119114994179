"""The ways to run one function on Lambda, what each costs and how long its requests take, and the one to take. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from math import ceil
from typing import Literal, NamedTuple

from pilotlight import limits
from pilotlight.measure.simulate import Outcome
from pilotlight.project import Function
from pilotlight.settings import Front

Start = Literal["plain", "snapstart", "provisioned"]

PACKAGES = ("zip", "image")
STARTS: tuple[Start, ...] = ("plain", "snapstart", "provisioned")
ARCHITECTURES = ("x86_64", "arm64")
FRONTS: tuple[Front, ...] = ("url", "http", "rest")
GATEWAYS = {"http": limits.HTTP_TIMEOUT, "rest": limits.REST_TIMEOUT}
NAMES = {
    "zip": "a zip",
    "image": "an image",
    "plain": "started on demand",
    "snapstart": "with SnapStart",
    "provisioned": "with provisioned concurrency",
    "url": "a function URL",
    "http": "an HTTP API",
    "rest": "a REST API",
}


class Choice(NamedTuple):
    package: str
    start: Start
    architecture: str
    front: Front

    @property
    def text(self) -> str:
        """Such as "a zip for arm64, started on demand, behind a function URL"."""
        return f"{NAMES[self.package]} for {self.architecture}, {NAMES[self.start]}, behind {NAMES[self.front]}"


class Target(NamedTuple):
    """99 of 100 requests are to be answered in so many seconds, with no more cold starts than this share."""

    within: float
    cold: float = 1.0

    def is_held(self, p99: float | None, cold: float) -> bool:
        return p99 is not None and p99 <= self.within and cold <= self.cold


class Option(NamedTuple):
    """A choice with what came of it: seconds, shares of all requests, dollars a month by item. `provisioned` is how
    many environments."""

    choice: Choice
    provisioned: int
    p50: float | None
    p99: float | None
    cold: float
    lost: float
    items: Sequence[tuple[str, float]]

    @property
    def total(self) -> float:
        return sum(amount for _, amount in self.items)

    def holds(self, target: Target) -> bool:
        return target.is_held(self.p99, self.cold)


class Refused(NamedTuple):
    """A part of choices that the function's settings, or Lambda, do not allow."""

    part: str
    why: str


def behind(outcome: Outcome, front: Front) -> Outcome:
    """What was simulated without a gateway, with that of `front`, which gives up while the function runs on."""
    answered = bisect_right(outcome.latencies, GATEWAYS.get(front, float("inf")))
    given_up = outcome.given_up + len(outcome.latencies) - answered
    return outcome._replace(latencies=outcome.latencies[:answered], given_up=given_up)


def of_all(outcome: Outcome, percent: int) -> float | None:
    """The percentile over all requests, where those that were not answered well take for ever: then None."""
    rank = ceil(outcome.requests * percent / 100) - 1
    return outcome.latencies[rank] if 0 <= rank < len(outcome.latencies) else None


def fewest(holds: Callable[[int], bool], most: int) -> int | None:
    """The least number up to `most` that holds, of a property that all above it have too; None where `most` has not."""
    low, high = -1, 0
    while not holds(high):
        if high >= most:
            return None
        low, high = high, min(most, max(1, 2 * high))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def refused(function: Function | None, tmp: int) -> list[Refused]:
    """What cannot be chosen, with why: by Lambda's rules and the function's settings, but for `tmp`, in MB."""
    both = "Lambda restores environments from snapshots or keeps them ready, not both"
    found = [Refused("snapstart and provisioned", both)]
    if tmp > limits.TMP_MIN:
        found.append(Refused("snapstart", f"tmp is {tmp} MB, and it allows {limits.TMP_MIN}"))
    return found if function is None else [*found, *_starts(function), *_fronts(function), *_packages(function)]


def _starts(function: Function) -> Iterator[Refused]:
    """docs.aws.amazon.com/lambda/latest/dg/snapstart.html."""
    if function.cache.folder.startswith("/mnt/") and function.uris:
        yield Refused("snapstart", f"the models are on EFS, at {function.cache.folder}")
    elif function.environment_concurrency > 1:
        yield Refused("snapstart", f"environment_concurrency is {function.environment_concurrency}")


def _fronts(function: Function) -> Iterator[Refused]:
    if function.auth == "jwt":
        yield from (Refused(front, "only an HTTP API checks tokens, and auth is jwt") for front in ("url", "rest"))
    elif function.throttle:
        yield Refused("url", "it has no throttle, and one is set")
    if function.api_key:
        yield from (Refused(front, "only a REST API has API keys, and api_key is true") for front in ("url", "http"))
    elif function.streams:
        yield Refused("http", "it does not stream, and the handler is a generator")


def _packages(function: Function) -> Iterator[Refused]:
    if function.package == "image":
        yield Refused("zip", "package is image")


def possible(refusals: Iterable[Refused]) -> list[Choice]:
    """Every combination without what is refused, the simplest first."""
    no = {each.part for each in refusals}
    combinations = (Choice(*parts) for parts in product(PACKAGES, STARTS, ARCHITECTURES, FRONTS))
    return [choice for choice in combinations if not no.intersection(choice)]


def best(options: Sequence[Option], target: Target) -> list[Option]:
    """The ones to take first: those that hold, the cheapest first; else by what is lost and their p99. Of those alike
    the simplest, which is the one before."""
    endless = float("inf")

    def rank(option: Option) -> tuple[bool, float, float, float]:
        holds = option.holds(target)
        worse = (0.0, 0.0) if holds else (round(option.lost, 4), option.p99 if option.p99 is not None else endless)
        return (not holds, *worse, round(option.total, 6))

    return sorted(options, key=rank)
