"""Servers that are always there, and requests that queue for them: simulated, and by queueing theory.

M/M/c is `c` servers, arrivals of a Poisson process and times that are exponential: Kleinrock, Queueing Systems I, 1975.
`load` is arrivals a second times the seconds that each takes, in erlangs. Pure.
"""

import math
from collections.abc import Sequence
from heapq import heapreplace
from random import Random
from typing import NamedTuple


class Queued(NamedTuple):
    """What servers that are always there make of arrivals: seconds each waited, and took in all, the shortest first."""

    waits: Sequence[float]
    latencies: Sequence[float]
    busy_seconds: float


def always_on(arrivals: Sequence[float], run: Sequence[float], workers: int, random: Random) -> Queued:
    """Requests that queue for `workers`, the first come first: a container, or an endpoint, that is always on."""
    free = [0.0] * workers
    waits, latencies, busy = [], [], 0.0
    for now in arrivals:
        seconds = random.choice(run)
        begin = max(now, free[0])
        heapreplace(free, begin + seconds)
        waits.append(begin - now)
        latencies.append(begin - now + seconds)
        busy += seconds
    return Queued(sorted(waits), sorted(latencies), busy)


def erlang_b(servers: int, load: float) -> float:
    """The share of requests that find all servers busy and are refused; `load` is arrivals a second times the seconds
    each takes. Erlang's loss formula, by its recursion over the number of servers."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """The share of requests that wait where they queue; 1 where the servers cannot keep up."""
    if load >= servers:
        return 1.0
    blocked = erlang_b(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


def mean_wait(servers: int, load: float, seconds: float) -> float:
    """The mean wait in the queue of M/M/c, for invocations of `seconds` on average; endless where load has no end."""
    return erlang_c(servers, load) * seconds / (servers - load) if load < servers else math.inf


def fewest(rate: float, seconds: float, within: float, share: float = 0.01) -> int:
    """The servers of M/M/c with which no more than `share` of requests wait longer than `within` seconds, for `rate`
    requests a second that take `seconds` each on average."""
    load = rate * seconds
    low, high = math.floor(load), math.floor(load) + 1  # too few, and perhaps enough
    while late(high, load, seconds, within) > share:
        low, high = high, 2 * high - math.floor(load)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if late(middle, load, seconds, within) > share else (low, middle)
    return high


def late(servers: int, load: float, seconds: float, within: float) -> float:
    """The share of requests that wait longer than `within` seconds in the queue of M/M/c."""
    return erlang_c(servers, load) * math.exp(-(servers - load) * within / seconds) if load < servers else 1.0
