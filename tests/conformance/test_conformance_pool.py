"""Both runtime loops in Pilotlight's pool, where more than one invocation after the other is asked of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import uvloop

from conftest import MakeService
from pilotlight import limits
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call, Result

T = TypeVar("T")
both = pytest.mark.parametrize("loop", ["pilotlight", "awslambdaric"])


def run(function: Function, body: Callable[[Pool], Awaitable[T]]) -> T:
    async def main() -> T:
        pool = Pool(lambda key, line: None, function.memory)  # room for one environment
        pool.deploy([function])
        try:
            return await body(pool)
        finally:
            await pool.close()

    return uvloop.run(asyncio.wait_for(main(), 60))


def call(**event: object) -> Call:
    return Call("probe", json.dumps(event).encode())


def value(result: Result) -> object:
    return json.loads(result.payload)


@both
def test_an_environment_takes_two_invocations_at_once(make_service: MakeService, loop: str) -> None:
    source = """
        import os, pathlib, tempfile, time

        here = pathlib.Path(tempfile.gettempdir())

        def handler(event, context):
            (here / event["name"]).touch()
            while not (here / event["other"]).exists():
                time.sleep(0.001)
            return os.getpid()
    """
    function = make_service({"inference/probe.py": source}, f'[functions.probe]\nruntime = "{loop}"').functions[0]
    function = msgspec.structs.replace(function, environment_concurrency=2, timeout=20)

    async def body(pool: Pool) -> tuple[list[Result], dict[str, int]]:
        results = await asyncio.gather(pool(call(name="a", other="b")), pool(call(name="b", other="a")))
        return list(results), pool.environments()

    results, environments = run(function, body)
    assert [result.error for result in results] == ["", ""]
    assert len({value(result) for result in results}) == 2
    assert environments == {"service--probe": 1}


@both
def test_snapstart_runs_the_hooks(make_service: MakeService, loop: str) -> None:
    source = """
        from snapshot_restore_py import register_after_restore, register_before_snapshot

        steps = ["import"]
        register_before_snapshot(steps.append, "before")
        register_after_restore(steps.append, "after")

        def handler(event, context):
            return steps
    """
    function = make_service({"inference/probe.py": source}, f'[functions.probe]\nruntime = "{loop}"').functions[0]
    function = msgspec.structs.replace(function, snapstart=True)

    async def body(pool: Pool) -> Result:
        return await pool(call())

    result = run(function, body)
    assert (result.error, value(result)) == ("", ["import", "before", "after"])


@both
@pytest.mark.parametrize("hook", ["before_snapshot", "after_restore"])
def test_a_hook_of_snapstart_that_fails_is_what_the_caller_gets(
    make_service: MakeService, loop: str, hook: str
) -> None:
    source = f"""
        from snapshot_restore_py import register_{hook}

        @register_{hook}
        def fail():
            raise ValueError("no luck")

        def handler(event, context): ...
    """
    function = make_service({"inference/probe.py": source}, f'[functions.probe]\nruntime = "{loop}"').functions[0]
    function = msgspec.structs.replace(function, snapstart=True)

    async def body(pool: Pool) -> Result:
        return await pool(call())

    result = run(function, body)
    error = json.loads(result.payload)
    assert (result.error, error["errorType"], error["errorMessage"]) == ("Unhandled", "ValueError", "no luck")


@both
def test_an_init_that_takes_too_long_is_done_again_inside_the_invocation(
    make_service: MakeService, loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda's 10 seconds are two here; the emulator has no such rule."""
    monkeypatch.setattr(limits, "INIT_TIMEOUT", 2.0)
    source = """
        import pathlib, time

        began = pathlib.Path(__file__).with_name("began")
        with began.open("a") as file:
            file.write("x")
        time.sleep(60 if began.read_text() == "x" else 2.5)

        def handler(event, context):
            return began.read_text()
    """
    function = make_service({"inference/probe.py": source}, f'[functions.probe]\nruntime = "{loop}"').functions[0]
    function = msgspec.structs.replace(function, timeout=20)

    async def body(pool: Pool) -> Result:
        return await pool(call())

    assert value(run(function, body)) == "xx"


@both
def test_a_worker_that_ends_takes_its_own_invocation_with_it(make_service: MakeService, loop: str) -> None:
    source = """
        import os, pathlib, tempfile, time

        here = pathlib.Path(tempfile.gettempdir())

        def handler(event, context):
            if event["name"] == "ends":
                while not (here / "waits").exists():
                    time.sleep(0.001)
                (here / "ends").touch()
                os._exit(3)
            (here / "waits").touch()
            while not (here / "ends").exists():
                time.sleep(0.001)
            time.sleep(0.1)
            return "went on"
    """
    function = make_service({"inference/probe.py": source}, f'[functions.probe]\nruntime = "{loop}"').functions[0]
    function = msgspec.structs.replace(function, environment_concurrency=2, timeout=20)

    async def body(pool: Pool) -> list[Result]:
        return list(await asyncio.gather(pool(call(name="ends")), pool(call(name="waits"))))

    ended, went_on = run(function, body)
    assert ended.error == "Unhandled"
    assert json.loads(ended.payload)["errorType"] == "Runtime.ExitError"
    assert (went_on.error, value(went_on)) == ("", "went on")
