"""The pool with real environments: warm or cold, scaling out, throttling, reaping, replacing."""

import asyncio
import gc
import json
import os
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from conftest import MakeService, write
from pilotlight.errors import ModelNotInstalled, NotFound, PayloadTooLarge, PilotlightError, Throttled
from pilotlight.events import Request, Response
from pilotlight.local.gateway import Gateway, Target
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call, Result

T = TypeVar("T")

ECHO = """
    import os, time

    def handler(event, context):
        time.sleep(event.get("seconds", 0))
        if event.get("die"):
            os._exit(1)
        return {"pid": os.getpid(), "echo": event}
"""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(
    functions: list[Function], body: Callable[[Pool], Awaitable[T]], memory: int = 100_000, clock: Clock | None = None
) -> T:
    """Run `body` with a pool, which is closed after it."""

    async def main() -> T:
        pool = Pool(lambda key, line: None, memory, clock or Clock())
        pool.deploy(functions)
        try:
            return await body(pool)
        finally:
            await pool.close()
            assert sum(pool.environments().values()) == 0

    return uvloop.run(asyncio.wait_for(main(), 60))


def call(name: str = "echo", **event: object) -> Call:
    return Call(name, json.dumps(event).encode())


def pid(result: Result) -> int:
    return int(json.loads(result.payload)["pid"])


@pytest.fixture
def echo(make_service: MakeService) -> Function:
    return make_service({"inference/echo.py": ECHO}, "[functions.echo]\nmemory = 128").functions[0]


def test_uses_the_warm_environment_again(echo: Function) -> None:
    async def body(pool: Pool) -> set[int]:
        pids = set()
        for _ in range(20):
            pids.add(pid(await pool(call())))
            while not pool._fleets["service--echo"].at_rest():
                await asyncio.sleep(0.001)
        return pids

    assert len(run([echo], body)) == 1


def test_answers_50_requests_at_once_from_nothing_each_exactly_once(make_service: MakeService, tmp_path: Path) -> None:
    source = """
        def handler(event, context):
            with open("ran.log", "a") as log:
                log.write(f"{event['number']}\\n")
            return {"echo": event}
    """
    function = make_service({"inference/echo.py": source}, "[functions.echo]\nmemory = 128").functions[0]

    async def body(pool: Pool) -> list[int]:
        results = await asyncio.gather(*(pool(call(number=number)) for number in range(50)))
        return [json.loads(result.payload)["echo"]["number"] for result in results]

    assert run([function], body) == list(range(50))
    ran = (tmp_path / "service" / "ran.log").read_text().split()
    assert sorted(map(int, ran)) == list(range(50))


MEETING = """
    import os, pathlib, time

    def handler(event, context):
        folder = pathlib.Path(event["folder"])
        (folder / str(os.getpid())).touch()
        while len(list(folder.iterdir())) < event["count"]:  # until all are there at once
            time.sleep(0.05)
        return {"pid": os.getpid()}
"""


def test_scales_out_to_what_requests_need(make_service: MakeService, tmp_path: Path) -> None:
    echo = make_service({"inference/echo.py": MEETING}, "[functions.echo]\nmemory = 128\ntimeout = 60").functions[0]
    (tmp_path / "met").mkdir()

    async def body(pool: Pool) -> tuple[int, dict[str, int]]:
        results = await asyncio.gather(*(pool(call(folder=str(tmp_path / "met"), count=20)) for _ in range(20)))
        return len({pid(result) for result in results}), pool.environments()

    assert run([echo], body) == (20, {"service--echo": 20})


def test_throttles_over_the_reserved_concurrency(make_service: MakeService) -> None:
    toml = "[functions.echo]\nmemory = 128\nconcurrency = 2"
    echo = make_service({"inference/echo.py": ECHO}, toml).functions[0]

    async def body(pool: Pool) -> tuple[list[str], dict[str, int]]:
        results = await asyncio.gather(*(pool(call(seconds=0.3)) for _ in range(5)), return_exceptions=True)
        return [type(result).__name__ for result in results], pool.environments()

    assert run([echo], body) == (["Result", "Result", "Throttled", "Throttled", "Throttled"], {"service--echo": 2})


def test_needs_no_second_environment_for_one_request_after_the_other(make_service: MakeService) -> None:
    toml = "[functions.echo]\nconcurrency = 1"
    echo = make_service({"inference/echo.py": ECHO}, toml).functions[0]
    clock = Clock()

    async def body(pool: Pool) -> int:
        pids = set()
        for _ in range(200):
            pids.add(pid(await pool(call())))
            clock.now += 0.1  # more than ten a second would be throttled
        return len(pids)

    assert run([echo], body, clock=clock) == 1


def test_lets_requests_wait_where_the_machine_has_no_room(make_service: MakeService, tmp_path: Path) -> None:
    echo = make_service({"inference/echo.py": MEETING}, "[functions.echo]\nmemory = 128\ntimeout = 60").functions[0]
    (tmp_path / "met").mkdir()

    async def body(pool: Pool) -> tuple[int, dict[str, int]]:
        results = await asyncio.gather(*(pool(call(folder=str(tmp_path / "met"), count=3)) for _ in range(12)))
        return len({pid(result) for result in results}), pool.environments()

    assert run([echo], body, memory=3 * 128) == (3, {"service--echo": 3})


def test_stops_an_idle_environment_to_make_room_for_another_function(make_service: MakeService) -> None:
    files = {"inference/echo.py": ECHO, "inference/other.py": ECHO}
    functions = list(make_service(files, "[defaults]\nmemory = 1024").functions)

    async def body(pool: Pool) -> list[dict[str, int]]:
        await pool(call("echo"))
        before = pool.environments()
        await pool(call("other"))
        return [before, pool.environments()]

    assert run(functions, body, memory=1024) == [
        {"service--echo": 1, "service--other": 0},
        {"service--echo": 0, "service--other": 1},
    ]


def test_a_request_waits_for_room_that_a_busy_function_holds(make_service: MakeService) -> None:
    files = {"inference/echo.py": ECHO, "inference/other.py": ECHO}
    functions = list(make_service(files, "[defaults]\nmemory = 1024").functions)

    async def body(pool: Pool) -> list[str]:
        results = await asyncio.gather(*(pool(call(name, seconds=0.1)) for name in ("echo", "other", "echo", "other")))
        return [result.error for result in results]

    assert run(functions, body, memory=1024) == ["", "", "", ""]


def test_stops_environments_that_are_idle_for_long_by_the_clock(make_service: MakeService, tmp_path: Path) -> None:
    echo = make_service({"inference/echo.py": MEETING}, "[functions.echo]\nidle = 60\ntimeout = 60").functions[0]
    clock = Clock()
    (tmp_path / "met").mkdir()

    async def body(pool: Pool) -> list[int]:
        await asyncio.gather(*(pool(call(folder=str(tmp_path / "met"), count=2)) for _ in range(2)))
        fleet = pool._fleets["service--echo"]
        while len(fleet.at_rest()) < 2:
            await asyncio.sleep(0.005)
        counts = []
        for seconds in (59, 1):
            clock.now += seconds
            pool.reap()
            counts.append(pool.environments()["service--echo"])
        return counts

    assert run([echo], body, clock=clock) == [2, 0]


def test_starts_afresh_after_an_exit(echo: Function) -> None:
    async def body(pool: Pool) -> tuple[str, str, bool]:
        first = await pool(call())
        failed = await pool(call(die=True))
        after = await pool(call())
        return json.loads(failed.payload)["errorType"], after.error, pid(first) != pid(after)

    assert run([echo], body) == ("Runtime.ExitError", "", True)


def test_starts_afresh_after_a_timeout(make_service: MakeService) -> None:
    echo = make_service({"inference/echo.py": ECHO}, "[functions.echo]\ntimeout = 2").functions[0]

    async def body(pool: Pool) -> tuple[str, bool]:
        first = await pool(call())
        failed = await pool(call(seconds=60))
        return json.loads(failed.payload)["errorType"], pid(first) != pid(await pool(call()))

    assert run([echo], body) == ("Sandbox.Timedout", True)


def test_gives_every_waiting_request_an_answer_when_the_function_does_not_load(make_service: MakeService) -> None:
    broken = make_service({"inference/echo.py": "1 / 0\nhandler = print\n"}).functions[0]

    async def body(pool: Pool) -> list[str]:
        results = await asyncio.gather(*(pool(call()) for _ in range(5)))
        return [json.loads(result.payload)["errorType"] for result in results]

    assert run([broken], body) == ["ZeroDivisionError"] * 5


def test_a_caller_that_goes_away_takes_no_environment_with_it(echo: Function) -> None:
    async def body(pool: Pool) -> Result:
        gone = [asyncio.ensure_future(pool(call(number=number))) for number in range(3)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        return await pool(call(number=4))

    assert json.loads(run([echo], body).payload)["echo"] == {"number": 4}


def test_runs_changed_code_in_fresh_environments(make_service: MakeService, tmp_path: Path) -> None:
    source = "def handler(event, context):\n    return 'old'\n"
    function = make_service({"inference/echo.py": source}).functions[0]

    async def body(pool: Pool) -> list[object]:
        old = await pool(call())
        write(tmp_path / "service", {"inference/echo.py": source.replace("old", "fresh")})
        pool.deploy([function], renewed=[function.key])
        return [json.loads(result.payload) for result in (old, await pool(call()))]

    assert run([function], body) == ["old", "fresh"]


def test_a_function_that_is_replaced_finishes_what_it_runs(echo: Function) -> None:
    async def body(pool: Pool) -> Result:
        running = asyncio.ensure_future(pool(call(seconds=0.5, number=1)))
        await asyncio.sleep(0.2)
        pool.deploy([])
        with pytest.raises(NotFound):
            await pool(call())
        return await running

    assert json.loads(run([echo], body).payload)["echo"]["number"] == 1


def test_closes_with_requests_under_way(make_service: MakeService) -> None:
    source = "import time\n\ndef handler(event, context):\n    print('running')\n    time.sleep(30)\n"
    echo = make_service({"inference/echo.py": source}).functions[0]

    async def main() -> list[str]:
        lines: list[str] = []
        pool = Pool(lambda key, line: lines.append(line), 100_000)
        pool.deploy([echo])
        tasks = [asyncio.ensure_future(pool(call())) for _ in range(3)]
        while lines.count("running") < 3:
            await asyncio.sleep(0.01)
        await pool.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [json.loads(r.payload)["errorType"] if isinstance(r, Result) else type(r).__name__ for r in results]

    assert uvloop.run(asyncio.wait_for(main(), 60)) == ["Runtime.ExitError"] * 3


def test_refuses_what_never_reaches_a_function(echo: Function) -> None:
    async def body(pool: Pool) -> None:
        with pytest.raises(NotFound, match="Function not found: ecco"):
            await pool(call("ecco"))
        with pytest.raises(PayloadTooLarge, match="Request must be smaller than 6291556 bytes"):
            await pool(Call("echo", b" " * 6_291_557))

    run([echo], body)


def test_a_missing_model_is_said_with_the_command_that_installs_it(make_service: MakeService, tmp_path: Path) -> None:
    toml = '[functions.echo]\nmodel = "models/echo"\ninstall = "make models"'
    function = make_service({"inference/echo.py": ECHO}, toml).functions[0]

    async def body(pool: Pool) -> Result:
        with pytest.raises(ModelNotInstalled, match="the model of echo is not installed") as caught:
            await pool(call())
        assert caught.value.hint == "install it with: make models"
        write(tmp_path / "service", {"models/echo/model.onnx": "its weights"})
        return await pool(call())

    assert run([function], body).error == ""


def test_takes_a_bare_name_when_only_one_service_has_it(make_service: MakeService) -> None:
    services = [make_service({"inference/echo.py": ECHO}, name=name) for name in ("one", "two")]
    functions = [function for service in services for function in service.functions]

    async def body(pool: Pool) -> tuple[str, str]:
        with pytest.raises(NotFound) as caught:
            await pool(call("echo"))
        return (await pool(call("two--echo"))).error, caught.value.hint

    assert run(functions, body) == ("", "it is one of one--echo, two--echo")


def test_throttled_is_raised_before_anything_starts(make_service: MakeService) -> None:
    echo = make_service({"inference/echo.py": ECHO}, "[functions.echo]\nconcurrency = 1").functions[0]

    async def body(pool: Pool) -> dict[str, int]:
        running = asyncio.ensure_future(pool(call(seconds=0.2)))
        await asyncio.sleep(0)
        with pytest.raises(Throttled, match="Rate Exceeded"):
            await pool(call())
        await running
        return pool.environments()

    assert run([echo], body) == {"service--echo": 1}


def test_survives_environments_that_are_killed_from_outside(echo: Function) -> None:
    async def body(pool: Pool) -> list[str]:
        errors = []
        for _ in range(5):
            result = await pool(call())
            errors.append(result.error)
            os.kill(pid(result), 9)
            while pool.environments()["service--echo"]:
                await asyncio.sleep(0.005)
        return errors

    assert run([echo], body) == [""] * 5


def test_serves_on_after_an_exit_at_full_concurrency(make_service: MakeService) -> None:
    source = "import os\n\ndef handler(event, context):\n    return {'pid': os.getpid()}\n"
    function = make_service({"inference/echo.py": source}, "[functions.echo]\nconcurrency = 1").functions[0]

    async def body(pool: Pool) -> list[str]:
        first = await pool(call())
        os.kill(pid(first), 9)
        while pool.environments()["service--echo"]:
            await asyncio.sleep(0.005)
        return [first.error, (await pool(call())).error]

    assert run([function], body) == ["", ""]


def test_serves_on_after_the_system_had_nothing_left(echo: Function) -> None:
    async def body(pool: Pool) -> list[str]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 2, hard))
        try:
            failed = await asyncio.gather(*(pool(call()) for _ in range(3)))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        messages = [json.loads(result.payload).get("errorMessage", "") for result in failed if result.error]
        assert len(messages) == 3
        return [message.partition("Error: ")[2] for message in messages[:1]] + [(await pool(call())).error]

    assert run([echo], body) == ["starting the environment: Too many open files", ""]


@pytest.mark.parametrize("memory", [128, 512, 1024])
def test_busy_functions_leave_room_to_one_that_waits(make_service: MakeService, memory: int) -> None:
    toml = f"[functions.echo]\nmemory = 128\n[functions.other]\nmemory = {memory}"
    functions = list(make_service({"inference/echo.py": ECHO, "inference/other.py": ECHO}, toml).functions)

    async def body(pool: Pool) -> str:
        async def keep_busy() -> None:
            while True:
                await pool(call("echo", seconds=0.02))

        busy = [asyncio.create_task(keep_busy()) for _ in range(10)]
        await asyncio.sleep(0.3)
        result = await asyncio.wait_for(pool(call("other")), 15)
        after = await asyncio.wait_for(pool(call("echo")), 15)
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        return result.error + after.error

    assert run(functions, body, memory=1024) == ""


def test_what_was_refused_leaves_nothing_for_the_collector_of_garbage(echo: Function) -> None:
    """A refused request of some MB would stay in memory until it comes, which is seldom: see `server`."""

    async def body(pool: Pool) -> int:
        gateway = Gateway(
            pool, [("POST", "/echo", Target(echo.key, "POST /echo")), ("POST", "/no", Target("no", "/no"))]
        )
        gc.collect()
        gc.disable()
        try:
            for path, size in (("/echo", 6_300_000), ("/no", 1)):
                for _ in range(3):
                    answer = await gateway(Request("POST", path, headers=(("host", "a"),), body=b"x" * size))
                    assert isinstance(answer, Response)
                    assert answer.status in (404, 413)
            with pytest.raises(PayloadTooLarge):
                await pool(Call(echo.key, b" " * 6_291_557))
            await asyncio.sleep(0)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            return sum(isinstance(each, PilotlightError) for each in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    assert run([echo], body) == 0
