"""What the parts of the machine tell of, as it happens: two calls for an invocation, one for what is rarer.

A pool is given an `Observer`, and each function's fleet and environments what that has for the function. Who looks on
may be nobody: `NOBODY` keeps nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pilotlight.local.report import Report
from pilotlight.project import Function
from pilotlight.settings import Front


class Ended(NamedTuple):
    """An invocation that has ended. `waited` is how long it had no environment, in seconds, the init phase included;
    `error` the type of the error that the caller was given, "" for none; `streamed` the bytes of a streamed answer.
    `log` is what its environment has written since the invocation before, which is another's where `is_shared`."""

    report: Report
    environment: str
    waited: float
    error: str
    streamed: int
    log: Sequence[str]
    is_shared: bool


class Dead(NamedTuple):
    """An environment that is gone. `since` is in seconds since 1970."""

    id: str
    reason: str
    pid: int
    invocations: int
    since: float


class Watch(Protocol):
    """What is told of one function."""

    def began(self) -> None:
        """An environment was given an invocation."""

    def ended(self, ended: Ended) -> None:
        """It has answered, or was ended."""

    def failed(self, request_id: str, error: str) -> None:
        """An invocation got an error of that type, since no environment could be started for it."""

    def throttled(self) -> None:
        """A request was refused for the function's concurrency or rate."""

    def changed(self) -> None:
        """An environment was made, is idle, or was frozen or thawed."""

    def died(self, dead: Dead) -> None: ...

    def logged(self, size: int) -> None:
        """A line of the log, of so many bytes."""

    def recorded(self, size: int) -> None:
        """A record was kept, of so many bytes."""

    def called(self, front: Front, sent: int, answered: int, extended_id: str, request_id: str) -> None:
        """A front end has called the function: bytes of the request's body and of the answer's, the front end's own id
        of the request ("" where it has none) and the function's."""


class Observer(Protocol):
    def watch(self, function: Function) -> Watch:
        """Who is told of that function, now and after it has been replaced."""

    def of(self, key: str) -> Watch:
        """The same for a function that was watched before."""


class Nobody:
    """An observer of all functions, and of each, who keeps nothing."""

    def watch(self, function: Function) -> Watch:
        return self

    def of(self, key: str) -> Watch:
        return self

    def began(self) -> None: ...

    def ended(self, ended: Ended) -> None: ...

    def failed(self, request_id: str, error: str) -> None: ...

    def throttled(self) -> None: ...

    def changed(self) -> None: ...

    def died(self, dead: Dead) -> None: ...

    def logged(self, size: int) -> None: ...

    def recorded(self, size: int) -> None: ...

    def called(self, front: Front, sent: int, answered: int, extended_id: str, request_id: str) -> None: ...


NOBODY = Nobody()
