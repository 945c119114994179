"""/metrics: counters, gauges and histograms of each function for Prometheus, in its text format 0.0.4.

Source: github.com/prometheus/docs, instrumenting/exposition_formats.md; names by its practices/naming.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pilotlight.events import Request, Response
from pilotlight.local.activity import BOUNDS, Activity, Counts, Histogram
from pilotlight.local.live import Memory
from pilotlight.local.pool import Pool

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTERS: Sequence[tuple[str, str, Callable[[Counts], float]]] = (
    ("invocations", "Invocations that have ended.", lambda counts: counts.invocations),
    ("cold_starts", "Invocations that were the first of their environment.", lambda counts: counts.cold_starts),
    ("errors", "Invocations that ended with an error.", lambda counts: counts.errors),
    ("throttles", "Requests refused for the function's concurrency or rate.", lambda counts: counts.throttles),
    ("billed_seconds", "Time that Lambda would bill, init included.", lambda counts: counts.billed_ms / 1000),
    ("log_bytes", "Bytes written to the log, as CloudWatch counts them.", lambda counts: counts.log_bytes),
)
_HISTOGRAMS: Sequence[tuple[str, str, Callable[[Counts], Histogram]]] = (
    ("duration", "Time that invocations took, without wait and init.", lambda counts: counts.durations),
    ("init", "Time that init phases took, or restore phases.", lambda counts: counts.inits),
)
_STATES = ("init", "idle", "running", "frozen", "dead")

Sample = tuple[str, Mapping[str, str], float]


class Metrics:
    """The page /metrics."""

    def __init__(self, pool: Pool, activity: Activity) -> None:
        self._pool = pool
        self._activity = activity
        self._memory = Memory()

    def page(self, request: Request, parameters: Mapping[str, str]) -> Response:
        return Response(200, (("content-type", _TYPE), ("cache-control", "no-store")), self.text().encode())

    def text(self) -> str:
        return "".join(self._families())

    def _families(self) -> Iterator[str]:
        functions = self._activity.counts
        for name, text, of in _COUNTERS:
            samples = [("_total", {"function": key}, of(counts)) for key, counts in functions.items()]
            yield _family(f"pilotlight_{name}", "counter", text, samples, head="_total")
        for name, text, histogram in _HISTOGRAMS:
            each = [sample for key, counts in functions.items() for sample in _histogram(key, histogram(counts))]
            yield _family(f"pilotlight_{name}_seconds", "histogram", text, each)
        yield from self._gauges()

    def _gauges(self) -> Iterator[str]:
        fleets = self._pool.fleets()
        running = [("", {"function": key}, float(counts.running)) for key, counts in self._activity.counts.items()]
        yield _family("pilotlight_running", "gauge", "Invocations in environments now.", running)
        waiting = dict.fromkeys(self._activity.counts, 0)
        states = {(key, state): 0 for key in self._activity.counts for state in _STATES}
        memory = []
        for fleet in fleets:
            key = fleet.function.key
            waiting[key] += len(fleet.waiting)
            for environment in fleet.environments:
                states[key, environment.state] += 1
                labels = {"function": key, "environment": environment.id}
                memory.append(("", labels, self._memory.of(environment) * 2**20))
        each = [("", {"function": key}, float(count)) for key, count in waiting.items()]
        yield _family("pilotlight_waiting", "gauge", "Invocations that wait for an environment.", each)
        each = [("", {"function": key, "state": state}, float(count)) for (key, state), count in states.items()]
        yield _family("pilotlight_environments", "gauge", "Environments, by what they do.", each)
        yield _family("pilotlight_environment_memory_bytes", "gauge", "Resident memory of an environment.", memory)
        settings: list[Sample] = [("", {}, self._pool.used() * 2.0**20)]
        yield _family("pilotlight_memory_bytes", "gauge", "Memory of all environments by their settings.", settings)
        limit: list[Sample] = [("", {}, self._pool.memory * 2.0**20)]
        yield _family("pilotlight_memory_limit_bytes", "gauge", "What they may have together.", limit)


def _histogram(key: str, histogram: Histogram) -> Iterator[Sample]:
    total = 0
    for bound, count in zip((*map(_number, BOUNDS), "+Inf"), histogram.counts, strict=True):
        total += count
        yield "_bucket", {"function": key, "le": bound}, total
    yield "_sum", {"function": key}, histogram.sum
    yield "_count", {"function": key}, total


def _family(name: str, kind: str, text: str, samples: Iterable[Sample], head: str = "") -> str:
    lines = [f"{name}{ending}{_labels(labels)} {_number(value)}\n" for ending, labels, value in samples]
    return f"# HELP {name}{head} {text}\n# TYPE {name}{head} {kind}\n{''.join(lines)}"


def _labels(labels: Mapping[str, str]) -> str:
    each = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{each}}}" if each else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
