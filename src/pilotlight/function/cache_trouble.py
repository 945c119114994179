"""That a source is out of reach, as the one that fetches tells it to those that wait: each would else find it out in
its turn, after a time of waiting of its own.

Other errors are not told: they come at once, and may be due to who asks, to a token, say.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pilotlight.errors import FetchUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotlight.function.cache_entries import Entry
    from pilotlight.function.cache_lock import Lock


class Trouble:
    """What is told of a model: the file `failed` beside it."""

    def __init__(self, entry: Entry) -> None:
        self._file = os.path.join(entry.folder, "failed")
        self._before = self._read()

    def check(self) -> None:
        """Raises `errors.FetchUnreachable` when it was told since this was made."""
        found = self._read()
        if found and found != self._before:
            raise FetchUnreachable(found["error"], found["hint"])

    @contextmanager
    def told(self, lock: Lock) -> Iterator[None]:
        """While the holder of `lock` fetches. What was told before is over when it has done so."""
        try:
            yield
            with suppress(OSError):
                os.unlink(self._file)
        except FetchUnreachable as error:
            with suppress(OSError):  # it was not the holder any more, or nothing can be written
                lock.check()
                self._write({"token": lock.token, "error": str(error), "hint": error.hint})
            raise

    def _write(self, told: dict[str, str]) -> None:
        draft = f"{self._file}.{told['token']}"
        with open(draft, "w", encoding="utf-8") as opened:
            json.dump(told, opened)
        os.replace(draft, self._file)

    def _read(self) -> dict[str, str]:
        """Opened anew: NFS then asks the server."""
        try:
            with open(self._file, encoding="utf-8") as opened:
                found = json.load(opened)
            return {name: str(found[name]) for name in ("token", "error", "hint")}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}
