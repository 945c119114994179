"""What stands by all the time instead of Lambda: tasks on Fargate behind a load balancer, endpoints of SageMaker. Pure.

Each worker takes one request at a time, with as much of a processor as the function has by its memory, and as long as
it was measured to take; who finds none free waits. There are as many as M/M/c asks for at the rate of the busiest
minute. Nothing scales: what must hold at the peak is paid all month.
"""

from collections.abc import Sequence
from math import ceil, floor
from random import Random
from statistics import fmean
from typing import NamedTuple

from pilotlight import limits, prices
from pilotlight.measure import cost
from pilotlight.measure.load import percentile
from pilotlight.measure.month import SECONDS
from pilotlight.measure.queues import Queued, always_on, fewest

# vCPU, the least and the most GB, and its steps:
# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
_SIZES = (
    *((0.25, 0.5, 2, 0.5), (0.5, 1, 4, 1), (1, 2, 8, 1), (2, 4, 16, 1), (4, 8, 30, 1)),
    *((8, 16, 60, 4), (16, 32, 120, 8)),
)
# Of a capacity unit of a load balancer, of which the part that is used is paid, by what needs most of it: connections
# a second, each request being one here, and bytes an hour. aws.amazon.com/elasticloadbalancing/pricing (belief)
_NEW_CONNECTIONS, _HOURLY_BYTES = 25, 2**30
_BALANCER_ADDRESSES = 2  # one in each of the two zones that it has at least


class Machine(NamedTuple):
    """Runs `workers`; `hour` is in dollars."""

    name: str
    workers: int
    hour: float


class Work(NamedTuple):
    """`rate` requests a second in the busiest minute, of which 99 in 100 may take `within` seconds in all; `run` is
    what they take without a queue. `month` are a month's requests, `bytes` of each with its answer, `answer` of that
    alone. `more` times the workers of M/M/c are taken: its arrivals and times are not those of each function. `record`
    is what the record of a request costs in dollars, wherever it is made."""

    rate: float
    run: Sequence[float]
    within: float
    month: float
    bytes: int
    answer: int = 0
    more: float = 1.0
    record: float = 0.0

    def times(self, factor: float) -> "Work":
        return self._replace(rate=self.rate * factor, month=self.month * factor)

    @property
    def anywhere(self) -> tuple[tuple[str, float], ...]:
        """The items that a bill has on Lambda as well: answers that leave AWS (of an endpoint: belief), and records."""
        sent = cost.amount(cost.SENT, self.month * self.answer / 2**30)
        records = (("records", self.month * self.record),) if self.record else ()
        return (("data transfer out", sent), *records) if sent else records

    @property
    def room(self) -> float:
        """Seconds that a request may wait; negative where no number of workers is enough."""
        return self.within - (percentile(sorted(self.run), 99) or 0.0)


class Cost(NamedTuple):
    """`number` of a machine, and dollars a month by item."""

    machine: Machine
    number: int
    items: tuple[tuple[str, float], ...]

    @property
    def total(self) -> float:
        return sum(amount for _, amount in self.items)


def task(memory: int, architecture: str) -> Machine | None:
    """The smallest task of Fargate that has the processors and the memory of a function; None where none has."""
    cpus, gigabytes = _needs(memory)
    for size, least, most, step in _SIZES:
        if size >= cpus and gigabytes <= most:
            taken = max(least, ceil(gigabytes / step) * step)
            cpu, gigabyte = prices.FARGATE[architecture]
            return Machine(f"Fargate, {architecture}, {size:g} vCPU, {taken:g} GB", 1, size * cpu + taken * gigabyte)
    return None


def fargate(machine: Machine, work: Work) -> Cost:
    """Tasks with a public address each, and their balancer with its own."""
    count = _count(machine, work)
    hours, second = prices.HOURS, work.month / SECONDS
    units = max(second / _NEW_CONNECTIONS, second * 3600 * work.bytes / _HOURLY_BYTES)
    items = (
        (f"{count} tasks", count * machine.hour * hours),
        ("public addresses", (count + _BALANCER_ADDRESSES) * prices.ADDRESS_HOUR * hours),
        ("load balancer", (prices.BALANCER_HOUR + units * prices.BALANCER_UNIT_HOUR) * hours),
        *work.anywhere,
    )
    return Cost(machine, count, items)


def instances(memory: int) -> list[Machine]:
    """Those of SageMaker that hold a worker."""
    cpus, gigabytes = _needs(memory)
    found = []
    for each in prices.INSTANCES:
        workers = min(floor(each.cpus / cpus), floor(each.memory / gigabytes))
        if workers:
            found.append(Machine(f"SageMaker, {each.name}", workers, each.hour))
    return found


def endpoint(machine: Machine, work: Work) -> Cost:
    """A real-time endpoint of instances."""
    count = _count(machine, work)
    moved = work.month * work.bytes / 2**30 * prices.ENDPOINT_GB
    running = count * machine.hour * prices.HOURS
    return Cost(machine, count, ((f"{count} instances", running), ("data processed", moved), *work.anywhere))


def serverless_endpoint(memory: int, billed_seconds: float, work: Work) -> Cost | None:
    """SageMaker's own functions, which bill the same time by the next whole GB; None above their 6 GB."""
    gigabytes = ceil(memory / 1024)
    if gigabytes > 6:
        return None
    moved = work.month * work.bytes / 2**30 * prices.ENDPOINT_GB
    duration = billed_seconds * gigabytes * prices.ENDPOINT_GB_SECOND
    machine = Machine(f"SageMaker serverless, {gigabytes} GB", 1, 0.0)
    return Cost(machine, 0, (("duration", duration), ("data processed", moved), *work.anywhere))


def workers(work: Work) -> int:
    """How many hold `work.within` at the peak's rate."""
    return ceil(fewest(work.rate, fmean(work.run), max(0.0, work.room)) * work.more)


def sized(work: Work, arrivals: Sequence[float], random: Random) -> Work:
    """With as many more workers as the trace itself needs."""
    least = number = workers(work)
    while not _holds(always_on(arrivals, work.run, number, random), work.within):
        number += ceil(number / 10)
    return work._replace(more=number / least)


def _holds(queued: Queued, within: float) -> bool:
    """Where nobody waits, more workers would change nothing."""
    return not queued.waits or queued.waits[-1] == 0 or (percentile(queued.latencies, 99) or 0.0) <= within


def _count(machine: Machine, work: Work) -> int:
    return ceil(workers(work) / machine.workers)


def _needs(memory: int) -> tuple[float, float]:
    """vCPUs and GB."""
    return memory / limits.MEMORY_OF_ONE_VCPU, memory / 1024
