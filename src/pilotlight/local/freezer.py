"""Freezing an environment between invocations, as Lambda does: nothing of it runs then, no background thread either.

Lambda freezes once the runtime has asked for the next event. Here it is a moment later, so that a function under load
is not stopped and continued thousands of times a second. Who tries faults may hold it besides: it runs when nobody
holds it and there is something to do.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Literal

_GRACE = 0.005  # seconds

Holder = Literal["user", "slow init"]


class Freezer:
    """Stops and continues processes by `send`, which takes a signal's number."""

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._rests_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_frozen = False
        self.held: dict[Holder, float] = {}  # since when, by time.perf_counter
        self._timers: list[asyncio.TimerHandle] = []

    def rest(self) -> None:
        """Nothing is to be done from now on."""
        self._rests_since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(_GRACE, self._freeze)

    def thaw(self) -> None:
        """There is something to do."""
        self._rests_since = None
        if self._is_frozen:
            self._is_frozen = False
            self._continue()

    def hold(self, holder: Holder, seconds: float = 0.0) -> None:
        """Stop it in the middle of whatever it does, until it is let go, or for so many seconds."""
        self.held.setdefault(holder, time.perf_counter())
        self._send(signal.SIGSTOP)
        if seconds:
            self._timers.append(self._loop.call_later(seconds, self.let_go, holder))

    def let_go(self, holder: Holder) -> None:
        if self.held.pop(holder, None) is not None:
            self._continue()

    def _continue(self) -> None:
        if not self.held and not self._is_frozen:
            self._send(signal.SIGCONT)

    def _freeze(self) -> None:
        """One timer looks after many rests: it is set anew only when it rings too early."""
        self._timer = None
        if self._rests_since is None:
            return
        left = self._rests_since + _GRACE - self._loop.time()
        if left > 0.001:
            self._timer = self._loop.call_later(left, self._freeze)
        else:
            self._is_frozen = True
            self._send(signal.SIGSTOP)

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
