"""Several contents on their way at once: how registries are reached, how far all are, and the end when one fails."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event, Lock
from typing import NamedTuple, TypeVar

from pilotlight.bundle import credentials
from pilotlight.bundle.credentials import Keys
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.session import Session, Sleep

JOBS = 4
"""Contents at once: a registry answers each slowly, and all of them no faster than the line is."""

Progress = Callable[[str, int, int], None]
"""Told what is done ("pushing", "pulling"), and how many bytes of how many. Threads call it, one at a time."""

Told = Callable[[int], None]
Value = TypeVar("Value")


def silent(what: str, done: int, total: int) -> None:
    """A progress that shows nothing."""


class Stopped(Exception):
    """Another content failed, so this one is given up."""


class Tally:
    """How far several contents, of the given sizes, are together. Once stopped it stops whoever tells it something."""

    def __init__(self, what: str, sizes: Mapping[str, int], progress: Progress) -> None:
        self._what, self._total, self._progress = what, sum(sizes.values()), progress
        self._done = dict.fromkeys(sizes, 0)
        self._lock, self._stopped = Lock(), Event()

    def of(self, name: str) -> Told:
        def told(done: int) -> None:
            self.check()
            with self._lock:
                self._done[name] = done
                self._progress(self._what, sum(self._done.values()), self._total)

        return told

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        """Raises `Stopped` when another content has failed."""
        if self._stopped.is_set():
            raise Stopped

    def waiting(self, sleep: Sleep) -> Sleep:
        """The same wait, which is no longer begun, or gone on after, once all has been stopped."""

        def wait(seconds: float) -> None:
            self.check()
            sleep(seconds)
            self.check()

        return wait


class Access(NamedTuple):
    """How registries are reached: who we are there, and which of them, beside those of this machine, have no TLS."""

    keys: Keys = credentials.find
    plain: frozenset[str] = frozenset()
    sleep: Sleep = time.sleep

    def session(self, reference: Reference, scopes: Iterable[str], tally: Tally | None = None) -> Session:
        """Requests to that registry; when the tally is stopped, none waits to be made again."""
        sleep = tally.waiting(self.sleep) if tally else self.sleep
        return Session(reference, scopes, self.keys, reference.registry in self.plain, sleep)


def each(names: Iterable[str], work: Callable[[str], Value], tally: Tally) -> dict[str, Value]:
    """What `work` gives for each name, some at a time. Raises what the first that fails does, and ends the others."""
    with ThreadPoolExecutor(JOBS, "transfer") as pool:
        begun = {name: pool.submit(work, name) for name in names}
        try:
            wait(begun.values(), return_when=FIRST_EXCEPTION)
        finally:  # after an interrupt too: nothing goes on in the background
            if not all(future.done() and future.exception() is None for future in begun.values()):
                tally.stop()
                pool.shutdown(wait=False, cancel_futures=True)
    failed = [error for future in begun.values() if not future.cancelled() and (error := future.exception())]
    for error in sorted(failed, key=lambda error: isinstance(error, Stopped)):
        raise error
    return {name: future.result() for name, future in begun.items()}
