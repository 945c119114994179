"""Freezing an environment between invocations, as Lambda does: nothing of it runs then, no background thread either.

Lambda freezes once the runtime has asked for the next event. Here it is a moment later, so that a function under load
is not stopped and continued thousands of times a second.
"""

import asyncio
import signal
from collections.abc import Callable

_GRACE = 0.005  # seconds


class Freezer:
    """Stops and continues processes by `send`, which takes a signal's number."""

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._rests_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_frozen = False

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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
