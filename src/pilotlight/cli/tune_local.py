"""`pilotlight tune` on this machine: environments that are held to the processor time of their memory."""

import asyncio
import contextlib
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec

from pilotlight.cli import output
from pilotlight.cli.invoke import failure
from pilotlight.errors import FunctionError, UsageError
from pilotlight.local import report, shares
from pilotlight.local.fleet import Fleet
from pilotlight.local.host import Host
from pilotlight.local.observer import Dead, Ended, Nobody
from pilotlight.local.pool import Pool
from pilotlight.local.server import machine_memory
from pilotlight.local.streams import collected
from pilotlight.measure.sweep import Ask, Plan, Sample, Tried, refusal, sweep
from pilotlight.optimize.progress import Progress
from pilotlight.project import Function
from pilotlight.values import Call, Result

_PAUSE = 0.001  # seconds between two looks whether an environment can take the next request
_KEPT = 20  # lines of the log that are shown when the function fails


def possible(memories: Sequence[int]) -> tuple[list[int], list[int]]:
    """Those that this machine has the processors for, and the others. Raises `UsageError` where none is left, or no
    share of a processor can be held."""
    if reason := shares.why_not():
        raise UsageError(f"measuring by memory: {reason}", f"{shares.HINT}; or measure on AWS, with --remote")
    there = shares.processors()
    fit = [memory for memory in memories if shares.share(memory) <= there]
    if not fit:
        reason = f"{min(memories)} MB are {shares.share(min(memories)):.1f} processors, and there are {there:g} here"
        raise UsageError(f"measuring by memory: {reason}", "name less memory by --memory, or measure with --remote")
    return fit, [memory for memory in memories if memory not in fit]


async def run(function: Function, payload: bytes, tried: Sequence[Tried], plan: Plan, told: Progress) -> bool:
    """Fill `tried`; whether it came to its end: Ctrl-C cancels, and SIGTERM, as that of `timeout`. Raises
    `FunctionError`, after the function's log."""
    machine, task = _Machine(function, payload), asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await sweep(tried, machine.fresh, plan, told.count)
    except FunctionError:
        for line in machine.lines:
            output.note(line)
        raise
    except asyncio.CancelledError:
        return False
    finally:
        await machine.close()
    return True


class _Seen(Nobody):
    """Of the invocation that was last and the environment that has ended last; and who asks for functions to watch."""

    def __init__(self) -> None:
        self.last: Ended | None = None
        self.end = ""

    def watch(self, function: Function) -> "_Seen":
        return self

    def of(self, key: str) -> "_Seen":
        return self

    def ended(self, ended: Ended) -> None:
        self.last = ended

    def died(self, dead: Dead) -> None:
        self.end = dead.reason


class _Machine:
    """One pool, in which the function has one environment at a time. `lines` are the last that functions wrote."""

    def __init__(self, function: Function, payload: bytes) -> None:
        # What is only tried is not recorded, and is not refused for its rate.
        self._function = msgspec.structs.replace(function, records=None, concurrency=None)
        self._call = Call(function.key, payload)
        self._seen = _Seen()
        self.lines: deque[str] = deque(maxlen=_KEPT)
        host = Host(None, by_memory=True)
        self._pool = Pool(lambda key, line: self.lines.append(line), machine_memory(), host=host, observer=self._seen)

    @contextlib.asynccontextmanager
    async def fresh(self, setting: Tried) -> AsyncIterator[Ask]:
        await self._pool.host.launcher()  # no part of a cold start
        self._pool.deploy([msgspec.structs.replace(self._function, memory=setting.memory)])
        yield self._ask
        await self._stop()  # after an interrupt `close` does it, however long the invocation would take

    async def _stop(self) -> None:
        """Until nothing of it runs: the next one has the machine for itself."""
        self._pool.deploy([])
        while not all(fleet.is_done for fleet in self._pool.fleets()):
            await asyncio.sleep(_PAUSE)
        self._pool.reap()

    async def _ask(self) -> Sample:
        [fleet] = self._pool.fleets()
        await _at_rest(fleet)
        self._seen.last, self._seen.end = None, ""
        began = time.perf_counter()
        result = await collected(await self._pool(self._call))
        return _sample((time.perf_counter() - began) * 1000, self._seen, self._function, result)

    async def close(self) -> None:
        await self._pool.close()


async def _at_rest(fleet: Fleet) -> None:
    """Until the runtime asks for its next event: a request before that would start another environment."""
    while fleet.environments and not fleet.at_rest():
        await asyncio.sleep(_PAUSE)


def _sample(latency: float, seen: _Seen, function: Function, result: Result) -> Sample:
    told = seen.last.report if seen.last else None
    error, text = "", refusal(result.payload)
    if result.error or text:
        error = _kind(seen, result)
        text = text or failure(function, result)[0].removeprefix(f"{function.name}: {error}: ")
    if told is None:
        return Sample(latency, error=error, text=text)
    init = told.init.restore or told.init.seconds
    return Sample(latency, told.seconds * 1000, told.billed, init * 1000, told.peak, error, text)


def _kind(seen: _Seen, result: Result) -> str:
    """The error type of a failure; that it was for want of memory in the init phase is known by its end alone."""
    if seen.end == "out of memory":
        return "Runtime.OutOfMemory"
    return report.error_type(result.payload) or result.error or "an answer that is none"
