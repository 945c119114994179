"""The pool of execution environments: warm ones first, new ones on demand, none when idle.

A function's requests scale out to its reserved concurrency, then are throttled as on Lambda. The machine has a limit
of its own, which Lambda has not: environments whose memory settings add up to more than it holds are not started;
their requests wait for one that is free.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable, Collection, Iterable

from pilotlight import limits
from pilotlight.errors import InvokeError, ModelNotInstalled, NotFound, PayloadTooLarge
from pilotlight.local.fleet import Faults, Fleet
from pilotlight.local.host import Host
from pilotlight.local.observer import NOBODY, Observer
from pilotlight.local.records import Records
from pilotlight.local.throttle import requests_of
from pilotlight.project import Function
from pilotlight.values import Call, Result

Log = Callable[[str, str], None]  # the function's key, a line


def _refused(error: Exception) -> asyncio.Future[Result]:
    """In a frame of its own: the error's traceback would lead back to the future, and the request would stay until the
    collector of garbage comes."""
    refused: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    refused.set_exception(error)
    return refused


class Pool:
    """Runs functions (`values.Invoke`). `memory` is what all environments may have together, in MB."""

    def __init__(
        self,
        log: Log,
        memory: int,
        clock: Callable[[], float] = time.monotonic,
        host: Host | None = None,
        observer: Observer = NOBODY,
    ) -> None:
        self.host = host or Host()
        self.rate = requests_of(limits.CONCURRENCY_ACCOUNT, clock())
        self._records = Records(self.host.tables, log)
        self._observer = observer
        self.memory = memory
        self._clock = clock
        self._fleets: dict[str, Fleet] = {}
        self._faults: dict[str, Faults] = {}
        self._retired: set[Fleet] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()
        self._is_short = False  # whether a request waits for room

    def deploy(self, functions: Iterable[Function], renewed: Collection[str] = ()) -> None:
        """Make these the functions of the pool. One whose settings are the same keeps its environments, unless it is
        `renewed`, since its code or model changed; one that is replaced or gone finishes what it runs."""
        wanted = {function.key: function for function in functions}
        for key, fleet in list(self._fleets.items()):
            if wanted.get(key) != fleet.function or key in renewed:
                self._retired.add(self._fleets.pop(key))
                fleet.retire()
        self._records.deploy(wanted.values())
        for key, function in wanted.items():
            if key not in self._fleets:
                watch = self._observer.watch(function)
                self._fleets[key] = Fleet(self, function, watch, self._faults.get(key))
                self._fleets[key].prepare()

    def invoke_event(self, call: Call, /) -> asyncio.Future[Result]:
        """Invoke a function as `__call__` does, but asynchronously: at any rate."""
        return self(call, synchronous=False)

    def __call__(self, call: Call, /, *, synchronous: bool = True) -> asyncio.Future[Result]:
        """Invoke a function. The future has NotFound, Throttled, PayloadTooLarge or ModelNotInstalled where it was not
        invoked. No task is made: most requests find an environment that is free."""
        try:
            fleet = self._fleets[self.resolve(call.function)]
            if len(call.payload) > limits.PAYLOAD:
                text = f"Request must be smaller than {limits.PAYLOAD} bytes for the InvokeFunction operation"
                raise PayloadTooLarge(text)
            if not call.request_id:
                call = call._replace(request_id=str(uuid.uuid4()))
            return fleet.invoke(call, synchronous=synchronous)
        except (InvokeError, ModelNotInstalled) as error:
            return _refused(error)

    def resolve(self, name: str) -> str:
        """The key that `name` means: itself, or the one function of that bare name. Raises NotFound."""
        if name in self._fleets:
            return name
        keys = [key for key, fleet in self._fleets.items() if fleet.function.name == name]
        if len(keys) == 1:
            return keys[0]
        hint = f"it is one of {', '.join(sorted(keys))}" if keys else ""
        raise NotFound(f"Function not found: {name}", hint)

    def function(self, key: str) -> Function:
        """The function of that key, as it is set now. Raises NotFound."""
        if key not in self._fleets:
            raise NotFound(f"Function not found: {key}")
        return self._fleets[key].function

    def functions(self) -> list[Function]:
        return [fleet.function for fleet in self._fleets.values()]

    def environments(self) -> dict[str, int]:
        """How many environments each function has."""
        return {key: len(fleet.environments) for key, fleet in self._fleets.items()}

    def fleets(self) -> list[Fleet]:
        """Of all functions, and of those that finish what they run."""
        return [*self._fleets.values(), *self._retired]

    def faults(self, key: str) -> Faults:
        return self._faults.get(key, Faults())

    def set_faults(self, key: str, faults: Faults) -> None:
        """What is to go wrong with a function from now on, also after it is deployed anew."""
        self._faults[key] = self._fleets[key].faults = faults

    def used(self) -> int:
        """MB that the environments have by their settings."""
        return sum(len(fleet.environments) * fleet.function.memory for fleet in self.fleets())

    # what fleets ask of the pool

    def has_room(self, memory: int) -> bool:
        """Whether an environment of that size fits, after stopping idle ones if that is what it takes.
        One environment may always run, however small the machine."""
        while self.used() and self.used() + memory > self.memory:
            if not self._stop_longest_idle():
                self._is_short = True
                return False
        return True

    def room_changed(self) -> None:
        """An environment is idle or gone: requests that wait for room may go on, the longest waiting first."""
        if self._is_short:
            self._is_short = False
            waiting = [fleet for fleet in self.fleets() if fleet.waiting]
            for fleet in sorted(waiting, key=lambda fleet: fleet.waiting[0].number):
                if fleet.waiting:
                    fleet.grow()

    def is_others_turn(self, number: int) -> bool:
        """Whether a request that came before that one waits for room for its function's only environment."""
        return self._is_short and any(fleet.is_starved and fleet.waiting[0].number < number for fleet in self.fleets())

    def next_number(self) -> int:
        return next(self._numbers)

    def now(self) -> float:
        return self._clock()

    def log(self, key: str, line: str) -> None:
        self._records.log(key, line)

    def record(self, key: str, request_id: str, text: str) -> None:
        self._observer.of(key).recorded(len(text))  # records are written in ASCII
        self._records.record(key, request_id, text)

    def _stop_longest_idle(self) -> bool:
        idle = [(since, fleet, each) for fleet in self.fleets() for each, since in fleet.at_rest().items()]
        if idle:
            _, fleet, environment = min(idle, key=lambda entry: entry[0])
            fleet.dismiss(environment, "made room")
        return bool(idle)

    # idle environments

    def reap(self) -> None:
        """Stop the environments that have been idle for longer than their function's `idle` seconds."""
        self._close_retired()
        now = self._clock()
        for fleet in self.fleets():
            rested = [each for each, since in fleet.at_rest().items() if now - since >= fleet.function.idle]
            for environment in [each for each in rested if each.state != "frozen"]:
                fleet.dismiss(environment, "idle")

    def _close_retired(self) -> None:
        """A function that is gone leaves nothing, nor the process that its environments were forked from."""
        for fleet in [each for each in self._retired if each.is_done]:
            self._retired.discard(fleet)
            task = asyncio.get_running_loop().create_task(fleet.close())
            self._closing.add(task)  # the event loop itself holds tasks weakly
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Kill every environment."""
        await asyncio.gather(*self._closing, *(fleet.close() for fleet in self.fleets()))
        await self._records.close()
        await self.host.close()
