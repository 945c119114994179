"""One suite for both runtime loops: whatever happens in an environment, the caller learns it in Lambda's words."""

import asyncio
import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import uvloop

from conftest import MakeService
from pilotlight.local.environment import Environment
from pilotlight.local.host import Host
from pilotlight.local.init_errors import InitError, InitTimeout
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.settings import Inputs
from pilotlight.values import Call, Result

T = TypeVar("T")

FUNCTION = """
    import os, signal, subprocess, sys, time

    calls = 0

    def handler(event, context):
        global calls
        calls += 1
        return globals()[event["do"]](event, context)

    def echo(event, context):
        return event

    def count(event, context):
        return {"pid": os.getpid(), "calls": calls}

    def fail(event, context):
        raise ValueError("no such word")

    def leave(event, context):
        os._exit(event["status"])

    def die(event, context):
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(event, context):
        time.sleep(event["seconds"])

    def answer_a_set(event, context):
        return {1, 2}

    def answer_much(event, context):
        return "x" * event["size"]

    def write(event, context):
        print("out", event["text"])
        print("err", event["text"], file=sys.stderr)

    def write_without_end(event, context):
        while True:
            os.write(1, b"line\\n" * 10_000)

    def leave_with_last_words(event, context):
        os.write(2, b"last words")
        os._exit(1)

    def start_a_child(event, context):
        return subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid

    def tell_context(event, context):
        return {
            "request_id": context.aws_request_id,
            "arn": context.invoked_function_arn,
            "name": context.function_name,
            "version": context.function_version,
            "memory": context.memory_limit_in_mb,
            "custom": context.client_context.custom,
            "has_time": 0 < context.get_remaining_time_in_millis() <= 20_000,
        }

    def tell_environment(event, context):
        return {name: os.environ.get(name) for name in event["names"]}
"""


@pytest.fixture(params=["pilotlight", "awslambdaric"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def function(make_service: MakeService, runtime: str) -> Function:
    toml = f"""
        [functions.probe]
        runtime = "{runtime}"
        timeout = 20
        memory = 512
        environment = {{ GREETING = "hello" }}
    """
    return make_service({"inference/probe.py": FUNCTION}, toml).functions[0]


@pytest.fixture
def brief(function: Function) -> Function:
    """The same with little time."""
    return msgspec.structs.replace(function, timeout=2)


class Harness:
    """An environment whose log lines and whose return to idleness can be waited for."""

    def __init__(self, function: Function) -> None:
        self.lines: list[str] = []
        self.records: list[tuple[str, str]] = []
        self.idle = asyncio.Event()
        self.exited = asyncio.Event()
        host = Host()
        hosts.append(host)
        starter = host.starter(function, self.lines.append)
        self.environment = Environment(
            function,
            starter,
            self.lines.append,
            lambda *record: self.records.append(record),
            lambda _: self.idle.set(),
            lambda _: self.exited.set(),
        )

    async def invoke(self, tail: bool = False, **event: object) -> Result:
        self.idle.clear()
        call = Call(
            "probe", json.dumps(event).encode(), "request-1", client_context='{"custom": {"a": "b"}}', tail=tail
        )
        return await self.environment.invoke(call)

    async def invoke_and_wait(self, **event: object) -> object:
        result = await self.invoke(**event)
        await self.idle.wait()
        return json.loads(result.payload)


hosts: list[Host] = []  # of the harnesses of one test


def run(work: Coroutine[None, None, T]) -> T:
    async def whole() -> T:
        try:
            return await asyncio.wait_for(work, 60)
        finally:
            while hosts:
                await hosts.pop().close()

    return uvloop.run(whole())


@contextlib.asynccontextmanager
async def started(function: Function) -> AsyncIterator[Harness]:
    harness = Harness(function)
    await harness.environment.start(10)
    try:
        yield harness
    finally:
        await harness.environment.stop()


def invoke_once(function: Function, **event: object) -> Result:
    async def main() -> Result:
        async with started(function) as harness:
            return await harness.invoke(**event)

    return run(main())


def test_answers(function: Function) -> None:
    result = invoke_once(function, do="echo", text="é漢字🔥", number=1.5, nothing=None)
    assert json.loads(result.payload) == {"do": "echo", "text": "é漢字🔥", "number": 1.5, "nothing": None}
    assert (result.error, result.request_id) == ("", "request-1")


def test_keeps_its_process_from_one_invocation_to_the_next(function: Function) -> None:
    async def main() -> list[object]:
        async with started(function) as harness:
            pid = harness.environment.pid
            return [await harness.invoke_and_wait(do="count") == {"pid": pid, "calls": n} for n in (1, 2, 3)]

    assert run(main()) == [True, True, True]


def test_reports_an_exception(function: Function) -> None:
    result = invoke_once(function, do="fail")
    error = json.loads(result.payload)
    assert result.error == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no such word")
    assert error["requestId"] == "request-1"
    assert [line.split(", in ")[1].split("\n")[0] for line in error["stackTrace"]] == ["handler", "fail"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"do": "leave", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "leave", "status": 0}, "Runtime exited without providing a reason"),
        ({"do": "die"}, "Runtime exited with error: signal: killed"),
    ],
)
def test_reports_an_exit(function: Function, event: dict[str, object], reason: str) -> None:
    result = invoke_once(function, **event)
    assert result.error == "Unhandled"
    assert json.loads(result.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: request-1 Error: {reason}",
    }


def test_kills_at_the_timeout(brief: Function) -> None:
    async def main() -> tuple[Result, float]:
        async with started(brief) as harness:
            began = time.monotonic()
            result = await harness.invoke(do="sleep", seconds=60)
            await harness.exited.wait()
            return result, time.monotonic() - began

    result, seconds = run(main())
    assert result.error == "Unhandled"
    assert json.loads(result.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: request-1 Error: Task timed out after 2.00 seconds",
    }
    assert seconds >= 2


def test_reports_an_answer_that_is_no_json(function: Function) -> None:
    error = json.loads(invoke_once(function, do="answer_a_set").payload)
    assert (error["errorType"], error["errorMessage"]) == (
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type set is not JSON serializable",
    )


def test_takes_an_answer_up_to_the_limit_and_refuses_one_over_it(function: Function) -> None:
    fits = invoke_once(function, do="answer_much", size=6_291_556 - 2)
    assert (len(fits.payload), fits.error) == (6_291_556, "")
    too_large = invoke_once(function, do="answer_much", size=6_291_556 - 1)
    assert json.loads(too_large.payload) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }


def test_passes_on_what_the_function_writes(function: Function) -> None:
    async def main() -> tuple[list[str], bytes]:
        async with started(function) as harness:
            result = await harness.invoke(tail=True, do="write", text="grün")
            return harness.lines, result.log

    lines, log = run(main())
    assert [line for line in lines if line in ("out grün", "err grün")] == ["out grün", "err grün"]
    first, *middle, end, report = log.decode().rstrip("\n").split("\n")
    assert first == "START RequestId: request-1 Version: $LATEST"
    assert {"out grün", "err grün"} <= set(middle)
    assert end == "END RequestId: request-1"
    assert report.startswith("REPORT RequestId: request-1\tDuration: ")
    assert "\tMemory Size: 512 MB\tMax Memory Used: " in report
    assert "\tInit Duration: " in report


def test_a_function_that_writes_without_end_is_stopped_too(brief: Function) -> None:
    result = invoke_once(brief, do="write_without_end")
    assert json.loads(result.payload)["errorType"] == "Sandbox.Timedout"


def test_passes_on_the_last_words_of_a_process(function: Function) -> None:
    async def main() -> list[str]:
        async with started(function) as harness:
            await harness.invoke(do="leave_with_last_words")
            await harness.exited.wait()
            return harness.lines

    *_, words, reason, report = run(main())
    assert words == "last words"
    assert reason.startswith('[ERROR] {"errorType": "Runtime.ExitError"')
    assert report.endswith("\tStatus: error\tError Type: Runtime.ExitError")


def test_gives_the_context_of_lambda(function: Function) -> None:
    assert json.loads(invoke_once(function, do="tell_context").payload) == {
        "request_id": "request-1",
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:service--probe",
        "name": "service--probe",
        "version": "$LATEST",
        "memory": "512",
        "custom": {"a": "b"},
        "has_time": True,
    }


def test_gives_the_variables_of_lambda_and_of_the_settings_only(function: Function) -> None:
    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": "service--probe",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": "us-east-1",
        "GREETING": "hello",
        "HOME": None,
        "LAMBDA_TASK_ROOT": str(function.root),
        "TZ": ":UTC",
        "USER": None,
        "_HANDLER": "inference/probe.handler",
    }
    assert json.loads(invoke_once(function, do="tell_environment", names=list(expected)).payload) == expected


def test_says_which_model_the_settings_name(function: Function) -> None:
    named = msgspec.structs.replace(function, model="models/other")
    assert json.loads(invoke_once(named, do="tell_environment", names=["PILOTLIGHT_MODEL"]).payload) == {
        "PILOTLIGHT_MODEL": "models/other"
    }
    assert json.loads(invoke_once(function, do="tell_environment", names=["PILOTLIGHT_MODEL"]).payload) == {
        "PILOTLIGHT_MODEL": None
    }


def test_says_which_urls_and_buckets_the_settings_open(function: Function) -> None:
    inputs = Inputs(allow_urls=("images.lan:8080", "[::1]:80"), buckets=("uploads", "others"))
    named = msgspec.structs.replace(function, inputs=inputs)
    expected = {"PILOTLIGHT_ALLOW_URLS": "images.lan:8080,[::1]:80", "PILOTLIGHT_BUCKETS": "uploads,others"}
    assert json.loads(invoke_once(named, do="tell_environment", names=list(expected)).payload) == expected


def test_the_shell_that_serves_allows_no_urls(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_ALLOW_URLS", "localhost:80")
    expected = {"PILOTLIGHT_ALLOW_URLS": None, "PILOTLIGHT_BUCKETS": None}
    assert json.loads(invoke_once(function, do="tell_environment", names=list(expected)).payload) == expected


def test_stops_what_the_function_started_too(function: Function) -> None:
    child = json.loads(invoke_once(function, do="start_a_child").payload)
    state = ""
    while state != "Z" and Path(f"/proc/{child}").exists():  # what is killed takes a moment to go
        with contextlib.suppress(FileNotFoundError):
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        time.sleep(0.01)


def test_leaves_nothing_behind(function: Function) -> None:
    async def main() -> tuple[int, Path]:
        async with started(function) as harness:
            answer = await harness.invoke_and_wait(do="tell_environment", names=["TMPDIR"])
            assert isinstance(answer, dict)
            assert Path(answer["TMPDIR"]).is_dir()
            return harness.environment.pid, Path(answer["TMPDIR"])

    pid, folder = run(main())
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (
            "import nowhere",
            "Runtime.ImportModuleError",
            "Unable to import module 'inference/broken': No module named",
        ),
        (
            "def handler(:",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'inference/broken': invalid syntax",
        ),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        (
            "import os; os._exit(7)",
            "Runtime.ExitError",
            "RequestId: request-1 Error: Runtime exited with error: exit status 7",
        ),
    ],
)
def test_reports_a_file_that_does_not_load(
    make_service: MakeService, runtime: str, source: str, kind: str, message: str
) -> None:
    # The handler is assigned below, so that only running the file shows what is wrong with it.
    text = f"{source}\n\nhandler = print\n"
    toml = f'[functions.broken]\nruntime = "{runtime}"'
    function = make_service({"inference/broken.py": text}, toml).functions[0]

    async def main() -> Result:
        with pytest.raises(InitError) as caught:
            async with started(function):
                pass
        return caught.value.result(Call("broken", b"{}", "request-1"))

    result = run(main())
    error = json.loads(result.payload)
    assert result.error == "Unhandled"
    assert error["errorType"] == kind
    assert error["errorMessage"].startswith(message)


def test_gives_up_on_an_init_that_takes_too_long(make_service: MakeService, runtime: str) -> None:
    toml = f'[functions.slow]\nruntime = "{runtime}"'
    source = "import time\ntime.sleep(60)\n\ndef handler(event, context): ...\n"
    function = make_service({"inference/slow.py": source}, toml).functions[0]

    async def main() -> bool:
        harness = Harness(function)
        with pytest.raises(InitTimeout):
            await harness.environment.start(0.3)
        return harness.exited.is_set()

    assert run(main())


def test_an_init_inside_an_invocation_takes_from_its_time(make_service: MakeService, runtime: str) -> None:
    toml = f'[functions.slow]\nruntime = "{runtime}"\ntimeout = 20'
    source = """
        import time
        time.sleep(2)

        def handler(event, context):
            return context.get_remaining_time_in_millis()
    """
    function = make_service({"inference/slow.py": source}, toml).functions[0]

    async def main() -> list[int]:
        harness = Harness(function)
        await harness.environment.start(20, inside_invocation=True)
        first = await harness.invoke_and_wait()
        second = await harness.invoke_and_wait()
        await harness.environment.stop()
        assert isinstance(first, int)
        assert isinstance(second, int)
        return [first, second]

    first, second = run(main())
    assert first <= 18_000 < second <= 20_000


def test_an_interpreter_that_ends_at_once_harms_nobody_else(make_service: MakeService, tmp_path: Path) -> None:
    function = make_service({"inference/echo.py": "def handler(event, context): ..."}).functions[0]
    python = tmp_path / "service" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/false")

    async def main() -> list[str]:
        harnesses = [Harness(function) for _ in range(10)]
        starts = [harness.environment.start(10) for harness in harnesses]
        return [str(error) for error in await asyncio.gather(*starts, return_exceptions=True)]

    assert run(main()) == ["Runtime.ExitError: Error: Runtime exited with error: exit status 1"] * 10


def test_a_start_that_is_cancelled_leaves_no_process(make_service: MakeService) -> None:
    function = make_service({"inference/echo.py": "def handler(event, context): ..."}).functions[0]

    async def main() -> list[int]:
        pids = []
        for pause in (0, 0, 0.001, 0.005, 0.02, 0.05):
            harness = Harness(function)
            start = asyncio.create_task(harness.environment.start(10))
            await asyncio.sleep(pause)
            start.cancel()
            outcome = await asyncio.gather(start, return_exceptions=True)
            pids.append(harness.environment.pid)
            if outcome == [None]:  # it was ready before it could be cancelled
                await harness.environment.stop()
        return [pid for pid in pids if pid and Path(f"/proc/{pid}").exists()]

    assert run(main()) == []


def test_an_environment_waits_for_one_event_only(make_service: MakeService) -> None:
    source = "import os\n\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_RUNTIME_API']\n"
    function = make_service({"inference/where.py": source}).functions[0]

    def ask_too(address: object) -> tuple[int, dict[str, str]]:
        try:
            urllib.request.urlopen(f"http://{address}/2018-06-01/runtime/invocation/next")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        raise AssertionError("a second client was given an event")

    async def main() -> tuple[int, dict[str, str]]:
        async with started(function) as harness:
            return await asyncio.to_thread(ask_too, await harness.invoke_and_wait())

    assert run(main()) == (
        403,
        {
            "errorMessage": "The next invocation is being waited for already",
            "errorType": "InvalidStateTransition",
        },
    )


def test_only_an_answer_that_is_accepted_brings_a_record(make_service: MakeService) -> None:
    source = """
        import contextlib, os, urllib.request

        def handler(event, context):
            url = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
            for request_id, record in ("another", "0"), (context.aws_request_id, "1"), (context.aws_request_id, "2"):
                answer = urllib.request.Request(f"{url}/{request_id}/response", b"7", {"pilotlight-record": record})
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(answer)
        """
    function = make_service({"inference/twice.py": source}).functions[0]

    async def main() -> tuple[object, list[tuple[str, str]]]:
        async with started(function) as harness:
            return await harness.invoke_and_wait(), harness.records

    assert run(main()) == (7, [("request-1", "1")])


def test_nothing_runs_between_invocations(make_service: MakeService, runtime: str) -> None:
    source = """
        import threading, time

        beats = []

        def beat():
            while True:
                beats.append(time.monotonic())
                time.sleep(0.01)

        threading.Thread(target=beat, daemon=True).start()

        def handler(event, context):
            time.sleep(event["seconds"])
            return beats
    """
    toml = f'[functions.beats]\nruntime = "{runtime}"'
    function = make_service({"inference/beats.py": source}, toml).functions[0]

    async def main() -> tuple[list[float], float, float]:
        async with started(function) as harness:
            await harness.invoke_and_wait(seconds=0.2)
            await asyncio.sleep(0.1)  # more than the moment after which it is frozen
            frozen = time.monotonic()
            await asyncio.sleep(0.5)
            thawed = time.monotonic()
            beats = await harness.invoke_and_wait(seconds=0.2)
            assert isinstance(beats, list)
            return beats, frozen, thawed

    beats, frozen, thawed = run(main())
    assert [beat for beat in beats if beat < frozen]
    assert [beat for beat in beats if frozen < beat < thawed] == []
    assert [beat for beat in beats if beat > thawed]


def test_takes_several_invocations_at_once(make_service: MakeService, runtime: str) -> None:
    source = """
        import os, time

        def handler(event, context):
            time.sleep(0.5)
            return [os.getpid(), os.environ["AWS_LAMBDA_MAX_CONCURRENCY"]]
    """
    toml = f'[functions.many]\nruntime = "{runtime}"\nenvironment_concurrency = 2\ntimeout = 10'
    function = make_service({"inference/many.py": source}, toml).functions[0]

    async def main() -> list[object]:
        async with started(function) as harness:
            while harness.environment.room < 2:
                await asyncio.sleep(0.01)
            calls = [Call("many", b"{}", f"request-{number}") for number in (1, 2)]
            results = await asyncio.gather(*map(harness.environment.invoke, calls))
            assert [result.request_id for result in results] == ["request-1", "request-2"]
            return [json.loads(result.payload) for result in results]

    (first, limit), (second, same_limit) = run(main())  # type: ignore[misc]
    assert first != second
    assert (limit, same_limit) == ("2", "2")


def test_ends_an_environment_that_uses_too_much_memory(make_service: MakeService, runtime: str) -> None:
    source = """
        held = []

        def handler(event, context):
            held.append(bytearray(event["mb"] << 20))
            return len(held)
    """
    toml = f'[functions.much]\nruntime = "{runtime}"\nmemory = 256\ntimeout = 20'
    function = make_service({"inference/much.py": source}, toml).functions[0]

    async def main() -> tuple[object, Result]:
        async with started(function) as harness:
            return await harness.invoke_and_wait(mb=64), await harness.invoke(tail=True, mb=1024)

    fits, too_much = run(main())
    assert fits == 1
    assert json.loads(too_much.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: request-1 Error: Runtime exited with error: signal: killed",
    }
    report = too_much.log.decode().splitlines()[-1]
    assert "\tMemory Size: 256 MB\tMax Memory Used: 256 MB\t" in report
    assert report.endswith("\tStatus: error\tError Type: Runtime.OutOfMemory")


def test_a_snapshot_is_taken_once_and_restored_for_each_environment(make_service: MakeService) -> None:
    source = """
        import os, time
        from snapshot_restore_py import register_after_restore, register_before_snapshot

        events = [("init", os.getpid())]

        @register_before_snapshot
        def before():
            events.append(("before", os.getpid()))

        @register_after_restore
        def after():
            events.append(("after", os.getpid()))

        def handler(event, context):
            while not os.path.exists("go"):  # so that the other call finds no environment that is free
                time.sleep(0.01)
            return {"events": events, "pid": os.getpid(), "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]}
    """
    function = make_service(
        {"inference/snap.py": source}, "[functions.snap]\nsnapstart = true\ntimeout = 60"
    ).functions[0]

    async def main() -> list[Result]:
        pool = Pool(lambda key, line: None, 10_000)
        pool.deploy([function])
        try:
            calls = [Call("snap", b"{}", f"request-{number}", tail=True) for number in (1, 2)]
            answers = asyncio.gather(*map(pool, calls))
            while sum(environment.is_busy for environment in pool._fleets["service--snap"].environments) < 2:
                await asyncio.sleep(0.01)
            (function.root / "go").touch()
            return await answers
        finally:
            await pool.close()

    results = run(main())
    first, second = (json.loads(result.payload) for result in results)
    made = first["events"][0][1]
    assert first["pid"] != second["pid"] != made != first["pid"]
    for each in (first, second):
        assert each == {
            "events": [["init", made], ["before", made], ["after", each["pid"]]],
            "pid": each["pid"],
            "type": "snap-start",
        }
    assert ["\tRestore Duration: " in result.log.decode() for result in results] == [True, True]


@pytest.mark.system  # for its time
def test_a_worker_that_dies_after_its_answer_harms_nobody_else(make_service: MakeService) -> None:
    source = """
        import os, signal, time
        from pilotlight.function.runtime_client import RuntimeApi

        respond = RuntimeApi.respond

        def die_after(api, *answer):
            respond(api, *answer)
            api.flush()
            os.kill(os.getpid(), signal.SIGKILL)

        def handler(event, context):
            if event.get("dies"):
                RuntimeApi.respond = die_after
            time.sleep(event.get("seconds", 0))
            return "answer"
    """
    toml = "[functions.many]\nenvironment_concurrency = 2\ntimeout = 5"
    function = make_service({"inference/many.py": source}, toml).functions[0]

    async def main() -> list[bytes]:
        async with started(function) as harness:
            while harness.environment.room < 2:
                await asyncio.sleep(0.01)
            first = await harness.environment.invoke(Call("many", b'{"dies": true}', "request-1"))
            await asyncio.sleep(2.5)
            while harness.environment.is_busy:
                await asyncio.sleep(0.01)
            # past the end of the first one's time, before that of its own
            second = await harness.environment.invoke(Call("many", b'{"seconds": 3}', "request-2"))
            return [first.payload, second.payload]

    assert run(main()) == [b'"answer"', b'"answer"']
