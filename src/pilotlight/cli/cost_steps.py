"""What `cost` works out: every way to run a function with its traffic, and what stands by instead."""

from collections.abc import Callable, Container, Mapping, Sequence
from math import ceil
from random import Random
from statistics import fmean
from typing import NamedTuple

from pilotlight.cli.sim_inputs import Traffic
from pilotlight.cli.sim_times import Timed
from pilotlight.measure import always_on, break_even, choices, cost, month, queues
from pilotlight.measure.always_on import Cost, Machine, Work
from pilotlight.measure.break_even import Price
from pilotlight.measure.choices import ARCHITECTURES, Choice, Option, Refused, Start, Target
from pilotlight.measure.load import percentile
from pilotlight.measure.month import SECONDS, Deployed
from pilotlight.measure.simulate import Lambda, Outcome, Times
from pilotlight.measure.simulate import simulate as run
from pilotlight.optimize.progress import Progress
from pilotlight.usage import Usage

_USUAL = 2.0  # times the warm p99 is the target where none is given
_LOST = 0.01  # of requests, as the target allows


class Case(NamedTuple):
    """What is compared. `timed` are times by architecture, of one at least; `allowed` has no gateway and nothing that
    stands by."""

    deployed: Deployed
    allowed: Lambda
    traffic: Traffic
    timed: Mapping[str, Timed]
    target: Target
    is_free_tier: bool
    seed: int

    def of(self, architecture: str) -> Timed:
        """The times, of the other architecture where there are no others."""
        return self.timed.get(architecture) or next(iter(self.timed.values()))


class Simulated(NamedTuple):
    outcome: Outcome
    provisioned: int


class Standing(NamedTuple):
    """What is there instead, and what it costs a month at other rates; None where it grows as Lambda does. `even` is
    from how many requests a month on it is the cheaper one; None for never."""

    cost: Cost
    price: Price | None
    even: float | None = None


class Compared(NamedTuple):
    """`options` begin with the one to take; `price` is what it costs for so many requests a month, which are `requests`
    as the traffic is."""

    options: Sequence[Option]
    standing: Sequence[Standing]
    refused: Sequence[Refused]
    price: Price
    requests: float


def within(timed: Timed, given: float | None) -> float:
    """The target of the p99, in seconds."""
    return given if given is not None else _USUAL * (percentile(sorted(timed.times.run), 99) or 0.0)


def compare(case: Case, refusals: Sequence[Refused], told: Progress) -> Compared:
    simulated, more = _simulated(case, refusals, told)
    possible = choices.possible([*refusals, *more])
    options = [_option(case, choice, simulated[choice.architecture, choice.start]) for choice in possible]
    ordered = choices.best(options, case.target)
    best = ordered[0].choice
    trace = case.traffic.trace
    requests = len(trace.arrivals) / trace.seconds * SECONDS
    taken, plain = simulated[best.architecture, best.start], simulated[best.architecture, "plain"].outcome
    used, seconds = _usage(case, best, taken.outcome), fmean(case.of(best.architecture).times.run)

    def price(wanted: float) -> float:
        kept = used.provisioned_seconds * _more(taken.provisioned, _busiest(plain), seconds, wanted / requests)
        scaled = month.times(used, wanted / requests)
        return month.bill(scaled._replace(provisioned_seconds=kept), case.is_free_tier).total

    standing, refused = _standing_by(case, best.architecture, plain, requests)
    even = [
        each._replace(even=break_even.solve(price, each.price) if each.price is not None else None) for each in standing
    ]
    return Compared(ordered, even, [*refusals, *more, *refused], price, requests)


def _busiest(outcome: Outcome) -> float:
    """Requests a second in the busiest minute."""
    return max((minute.requests for minute in outcome.minutes), default=0) / 60


def _more(provisioned: int, rate: float, seconds: float, factor: float) -> float:
    """How many times the environments are kept ready for so many times the requests: as many as M/M/c has servers
    with which 99 of 100 requests do not wait."""
    if not provisioned or factor == 1:
        return 1.0
    servers = queues.fewest(rate * factor, seconds, 0.0) / queues.fewest(rate, seconds, 0.0)
    return ceil(provisioned * servers) / provisioned


# Lambda


def _simulated(
    case: Case, refusals: Sequence[Refused], told: Progress
) -> tuple[dict[tuple[str, Start], Simulated], list[Refused]]:
    """By architecture and start; processors with the same times are simulated once."""
    no = {each.part for each in refusals}
    by_times = {architecture: _by_start(case, architecture, no, told) for architecture in case.timed}
    same = next(iter(by_times.values()))
    by_architecture = {architecture: by_times.get(architecture, same) for architecture in ARCHITECTURES}
    more = {refused.part: refused for _, refused in by_times.values() if refused}
    found = {
        (architecture, start): simulated
        for architecture, (starts, _) in by_architecture.items()
        for start, simulated in starts.items()
    }
    return found, list(more.values())


def _by_start(
    case: Case, architecture: str, no: Container[str], told: Progress
) -> tuple[dict[Start, Simulated], Refused | None]:
    timed = case.of(architecture)
    plain = _run(case, timed.times, case.allowed, f"requests, on demand, {architecture}", told)
    found: dict[Start, Simulated] = {"plain": Simulated(plain, 0)}
    if "snapstart" not in no:
        times = timed.times._replace(init=timed.restores)
        allowed = case.allowed._replace(snapstart=True)
        found["snapstart"] = Simulated(_run(case, times, allowed, f"requests, SnapStart, {architecture}", told), 0)
    kept = _provisioned(case, architecture, plain, told)
    if isinstance(kept, Refused):
        return found, kept
    return {**found, "provisioned": kept}, None


def _provisioned(case: Case, architecture: str, plain: Outcome, told: Progress) -> Simulated | Refused:
    """The fewest environments that hold the target."""
    times = case.of(architecture).times
    tried: dict[int, Outcome] = {0: plain}

    def holds(count: int) -> bool:
        if count not in tried:
            allowed = case.allowed._replace(provisioned=count)
            tried[count] = _run(case, times, allowed, f"requests, {count} provisioned, {architecture}", told)
        return case.target.is_held(choices.of_all(tried[count], 99), tried[count].cold_share)

    most = min(case.allowed.concurrency, plain.peak)
    fewest = choices.fewest(holds, most)
    if fewest is None:
        return Refused("provisioned", f"the target does not hold with {most} of them either")
    if fewest == 0:
        return Refused("provisioned", "none is needed: the target holds without")
    return Simulated(tried[fewest], fewest)


def _run(case: Case, times: Times, allowed: Lambda, what: str, told: Progress) -> Outcome:
    trace = case.traffic.trace
    total = len(trace.arrivals)
    return run(
        trace.arrivals, times, allowed, Random(case.seed), trace.seconds, lambda done: told.count(what, done, total)
    )


def _usage(case: Case, choice: Choice, outcome: Outcome) -> Usage:
    deployed = case.deployed._replace(
        architecture=choice.architecture, front=choice.front, snapstart=choice.start == "snapstart"
    )
    return month.usage(deployed, outcome, case.traffic.trace.seconds)


def _option(case: Case, choice: Choice, simulated: Simulated) -> Option:
    outcome = choices.behind(simulated.outcome, choice.front)
    bill = month.bill(_usage(case, choice, outcome), case.is_free_tier)
    lost = (outcome.requests - len(outcome.latencies)) / (outcome.requests or 1)
    p50, p99 = (choices.of_all(outcome, percent) for percent in (50, 99))
    items = [(item.what, item.amount) for item in bill.items]
    return Option(choice, simulated.provisioned, p50, p99, outcome.cold_share, lost, items)


# what is always on


def _standing_by(
    case: Case, architecture: str, plain: Outcome, requests: float
) -> tuple[list[Standing], list[Refused]]:
    """Tasks on Fargate, the cheapest endpoint, the serverless one."""
    deployed, seconds = case.deployed._replace(architecture=architecture), case.traffic.trace.seconds
    run = case.of(architecture).times.run
    record = month.usage(deployed, plain, seconds).write_units * cost.WRITES.tiers[0][1] / requests
    moved = deployed.request_bytes + deployed.answer_bytes
    work = Work(_busiest(plain), run, case.target.within, requests, moved, deployed.answer_bytes, record=record)
    found: list[Standing] = []
    refused: list[Refused] = []
    errors = case.of(architecture).times.errors
    if work.room < 0:
        refused = [Refused("always on", "one request alone takes longer than the target")]
    elif errors > _LOST:
        refused = [Refused("always on", f"{errors:.0%} of requests end in an error of the function there, too")]
    else:
        found = _machines(deployed, always_on.sized(work, case.traffic.trace.arrivals, Random(case.seed)))
    billed = (plain.run_seconds + plain.init_seconds) * SECONDS / seconds
    serverless = always_on.serverless_endpoint(deployed.memory, billed, work)
    if serverless is None:
        return found, [*refused, Refused("SageMaker serverless", "it has 6 GB at most")]
    return [*found, Standing(serverless, None)], refused


def _machines(deployed: Deployed, work: Work) -> list[Standing]:
    task = always_on.task(deployed.memory, deployed.architecture)
    found = [_standing(always_on.fargate, task, work)] if task else []
    endpoints = [_standing(always_on.endpoint, each, work) for each in always_on.instances(deployed.memory)]
    cheapest = min(endpoints, key=lambda each: each.cost.total, default=None)
    return [*found, cheapest] if cheapest else found


def _standing(of: Callable[[Machine, Work], Cost], machine: Machine, work: Work) -> Standing:
    return Standing(of(machine, work), lambda wanted: of(machine, work.times(wanted / work.month)).total)
