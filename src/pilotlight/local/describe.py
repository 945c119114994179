"""What a function takes and gives, asked of the function itself.

Its file is imported in a process of its own, with the variables and the interpreter that its environments have: that
gives its schema to the page and to the OpenAPI document, and tells at once, with the reason, when it cannot be loaded.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pilotlight.local import process
from pilotlight.project import Function

_TIMEOUT = 60.0  # seconds; longer than any init phase that Lambda allows on demand
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
    """Describes functions in the background, a few at a time. `done` is told of each."""

    def __init__(self, done: Callable[[Function, Description], None]) -> None:
        self.descriptions: dict[str, Description] = {}
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
                description = await describe(function)
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
        return Description({}, "its model is not installed", function.how_to_install)
    return None


async def describe(function: Function) -> Description:
    """The description of one function, from a process that is gone when this returns."""
    folder = process.make_folder()
    try:
        return await _ask(function, process.variables(function, "127.0.0.1:0", folder, "none"))
    except OSError as error:
        python = process.interpreter(function.root)
        return Description({}, f"starting {python}: {error.strerror}", "make the service's .venv again")
    finally:
        process.remove_folder(folder)


async def _ask(function: Function, variables: Mapping[str, str]) -> Description:
    child = await asyncio.create_subprocess_exec(
        str(process.interpreter(function.root)),
        "-m",
        "pilotlight.function.describe",
        function.handler,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # the function's environments write it to the log when they start
        cwd=function.root,
        env=variables,
        start_new_session=True,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), _TIMEOUT)
    except TimeoutError:
        return Description({}, f"importing it takes longer than {_TIMEOUT:.0f} s", "load less at import time")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    return _parse(function, output, child.returncode)


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
