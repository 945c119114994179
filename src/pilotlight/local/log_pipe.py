"""What the process of an environment writes: its lines for the log, and the end of it for LogType=Tail."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence

from pilotlight import limits

LogLine = Callable[[str], None]

_SIZE = 65_536  # bytes that a pipe holds: pipe(7)


class Lines:
    """The last lines that were added, as far as `_SIZE` characters go."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._size = 0

    def add(self, line: str) -> None:
        self._lines.append(line[:_SIZE])
        self._size += len(self._lines[-1])
        while self._size > _SIZE:
            self._size -= len(self._lines.popleft())

    def take(self) -> Sequence[str]:
        """Those since the last time."""
        if not self._lines:
            return ()
        taken, self._lines, self._size = self._lines, deque(), 0
        return tuple(taken)


class LogPipe:
    """A pipe that is read whenever there is something in it. `tail` is what was written last, 4 KB at most."""

    def __init__(self, log: LogLine) -> None:
        self.tail = bytearray()
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._partial_line = b""
        self._pipe = -1

    def open(self) -> int:
        """The end to write to, which the caller closes. Raises OSError."""
        self._pipe, write_end = os.pipe()
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self.read)
        return write_end

    def read(self) -> None:
        """Take what is in the pipe: no more than it holds, since a function can write faster than this reads."""
        if self._pipe < 0:
            return
        try:
            data = os.read(self._pipe, _SIZE)
        except BlockingIOError:
            return
        if data:
            self._take(data)
        else:
            self._loop.remove_reader(self._pipe)  # end of file: every writer is gone

    def _take(self, data: bytes) -> None:
        self.tail += data
        del self.tail[: -limits.LOG_TAIL]
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        if len(self._partial_line) > _SIZE:
            lines, self._partial_line = [*lines, self._partial_line], b""
        for line in lines:
            self._log(line.decode("utf-8", "replace"))

    def finish(self) -> None:
        """Read the last words of a process that has ended."""
        self.read()
        if self._partial_line:
            self._log(self._partial_line.decode("utf-8", "replace"))

    def close(self) -> None:
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
