"""What a function takes and gives, asked of the function itself.

Its file is imported in a process of its own, with the interpreter, the variables, the isolation and the memory that its
environments have: that gives its schema to the page and to the OpenAPI document, and tells at once, with the reason,
when it cannot be loaded.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from pilotlight.local import process
from pilotlight.local.host import Host, Started, plan
from pilotlight.local.isolation import Level
from pilotlight.local.launcher import Order
from pilotlight.local.tables import Unusable
from pilotlight.project import Function

_TIMEOUT = 60.0  # seconds; longer than any init phase that Lambda allows on demand
_READ = 65_536  # bytes that a pipe holds: pipe(7)
_MAX_ANSWER = 16 << 20  # bytes; the answer is the last line, so more than that is none
# A launcher gives one descriptor for both streams. The function's environments write to the log when they start.
_CODE = """
import os, sys
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
from pilotlight.function.describe import main
sys.exit(main(sys.argv[1:]))
"""
_AT_ONCE = 2 + (os.cpu_count() or 1)  # some wait for a disk or a network, and must not keep the others waiting


_HINTS = {
    "Runtime.ImportModuleError": "install it (into the service's .venv, where there is one), or correct the name",
    "Runtime.UserCodeSyntaxError": "correct the syntax",
    "Runtime.HandlerNotFound": "define it, or set handler in pilotlight.toml to the name that it has",
    "Runtime.ExitError": "what it wrote before may say why",
    "Sandbox.Timedout": "set a longer timeout for it in pilotlight.toml",
}


def hint_for(kind: str) -> str:
    """What to do about an `errorType` of Lambda's; "" for an exception of the function's own."""
    return _HINTS.get(kind, "")


class Description(NamedTuple):
    """`schema` as `pilotlight.function.describe` prints it; when the function cannot be loaded, `error` says why."""

    schema: Mapping[str, object]
    error: str = ""
    hint: str = ""


class Describer:
    """Describes functions in the background, a few at a time, by processes of `host`. `done` is told of each."""

    def __init__(self, host: Host, done: Callable[[Function, Description], None]) -> None:
        self.descriptions: dict[str, Description] = {}
        self._host = host
        self._done = done
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def describe(self, function: Function) -> None:
        """Describe a function, again when it was described before."""
        self.descriptions.pop(function.key, None)
        running = self._tasks.pop(function.key, None)
        if running is not None:
            running.cancel()
        self._tasks[function.key] = asyncio.get_running_loop().create_task(self._describe(function))

    async def _describe(self, function: Function) -> None:
        description = known_defect(function)
        if description is None:
            async with self._slots:
                description = await describe(function, self._host)
        self.descriptions[function.key] = description
        self._done(function, description)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def known_defect(function: Function) -> Description | None:
    """What is wrong with a function as far as its files tell without being run."""
    if function.defect:
        return Description({}, function.defect, function.hint)
    if not function.is_installed:
        return Description({}, function.unmade or "its model is not installed", function.how_to_install)
    return None


async def describe(function: Function, host: Host) -> Description:
    """The description of one function, from a process that is gone when this returns."""
    folder = process.make_folder()
    try:
        return await _ask(function, host, folder)
    except Unusable as error:
        return Description({}, str(error), error.hint)
    except OSError as error:
        python = process.interpreter(function.root)
        reason = (error.strerror or str(error)).removesuffix(f": {python}")
        return Description({}, f"starting {python}: {reason}", "make the service's .venv again")
    finally:
        process.remove_folder(folder)


async def _ask(function: Function, host: Host, folder: Path) -> Description:
    asked = _Asked(host, function, await host.level())
    start = asyncio.ensure_future(asked.start(folder))
    try:
        await asyncio.shield(start)
        status = await asyncio.wait_for(asyncio.shield(asked.exited), _TIMEOUT)
    except TimeoutError:
        return Description({}, f"importing it takes longer than {_TIMEOUT:.0f} s", "load less at import time")
    finally:
        await asyncio.gather(start, return_exceptions=True)  # half a start could not be undone
        await asked.end()
    if asked.is_out_of_memory:
        return Description(
            {},
            f"importing it takes more than its memory of {function.memory} MB",
            "set more memory for it in pilotlight.toml",
        )
    return _parse(function, bytes(asked.answer), status)


class _Asked:
    """The process that answers: as an environment's, but without a Runtime API."""

    def __init__(self, host: Host, function: Function, level: Level) -> None:
        self.answer = bytearray()
        self.is_out_of_memory = False
        self._host = host
        self._function = function
        self._level = level
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._started = Started(host, function, level)
        self._pipe = -1

    async def start(self, folder: Path) -> None:
        """Start it. Raises OSError."""
        self._pipe, write_end = os.pipe()
        os.set_blocking(self._pipe, False)
        self._loop.add_reader(self._pipe, self._read)
        try:
            launcher = await self._host.launcher()
            order = self._order(folder, await self._host.variables(self._function, "127.0.0.1:0", folder))
            self._started.pid = await launcher.launch(order, write_end, self._process_exited)
        finally:
            os.close(write_end)
        self._started.watch(self._use_up_memory)

    def _order(self, folder: Path, variables: Mapping[str, str]) -> Order:
        function = self._function
        return Order(
            (str(process.interpreter(function.root)), "-c", _CODE, function.handler),
            variables,
            str(function.root),
            plan(function, [folder], self._level),
            self._started.entries,
        )

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, _READ)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._pipe)  # end of file: every writer is gone
        self.answer += data
        del self.answer[:-_MAX_ANSWER]

    def _process_exited(self, status: int) -> None:
        """What it has started may still hold the pipe, so that its end would not come; what it said is there."""
        self._started.kill()
        self._read()  # all that a pipe holds
        self.is_out_of_memory |= self._started.is_out_of_memory()
        self.exited.set_result(status)

    def _use_up_memory(self, used: int) -> None:
        self.is_out_of_memory = True
        self._started.kill()

    async def end(self) -> None:
        """Kill it and whatever it has started; nothing of it is left when this returns."""
        if self._started.pid:
            self._started.kill()
            await asyncio.shield(self.exited)
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
        await self._started.close()


def _parse(function: Function, output: bytes, status: int | None) -> Description:
    try:
        answer = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return Description({}, f"importing it ended the process with exit status {status}", _elsewhere(function))
    if answer["ok"]:
        return Description(answer)
    kind, error = answer["type"], answer["error"]
    if answer["hint"] or kind.startswith("Runtime."):
        return Description({}, error, answer["hint"] or hint_for(kind))
    return Description({}, f"importing it: {kind}: {error}", _elsewhere(function))


def _elsewhere(function: Function) -> str:
    return f"`pilotlight invoke {function.name} --dir {function.root}` shows where"
