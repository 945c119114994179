"""What a function may have made before its environments are forked from it, tried by real libraries."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from conftest import MakeService
from pilotlight import limits
from pilotlight.local.cgroup import usable
from pilotlight.local.environment import Environment
from pilotlight.local.host import Host
from pilotlight.local.isolation import Level
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")

SETTINGS = "[functions.snap]\nsnapstart = true\nmemory = 1769\n"
NO_THREADS: list[str] = []


def warning(count: int) -> str:
    return (
        f"[WARN] Threads that the init phase has left running: {count}. Environments are forks of its process here and "
        "do not have them; on Lambda they would. Start them in a hook of snapshot_restore_py.register_after_restore, "
        "or do without --fork-server and snapstart. (A Session of several threads is loaded anew by each fork.)"
    )


def make(make_service: MakeService, source: str, settings: str = SETTINGS, **files: str) -> Function:
    return make_service({"inference/snap.py": source, **files}, settings).functions[0]


def forked(
    function: Function, events: Iterable[object] = ({}, {}), isolation: Level = "none"
) -> tuple[list[Any], list[str]]:
    """What environments answer that are there at the same time, one for each event, and all lines of the log."""
    lines: list[str] = []

    async def main() -> list[Any]:
        host = Host(isolation)
        starter = host.starter(function, lines.append)
        environments = [
            (Environment(function, starter, lines.append, lambda *_: None, lambda _: None, lambda _: None), event)
            for event in events
        ]
        try:
            await asyncio.gather(*(environment.start(60) for environment, _ in environments))
            calls = [(each, Call("snap", json.dumps(event).encode(), "id")) for each, event in environments]
            results = await asyncio.gather(*(environment.invoke(call) for environment, call in calls))
        finally:
            await asyncio.gather(*(environment.stop() for environment, _ in environments))
            await starter.close()
            await host.close()
        assert [result.error for result in results] == [""] * len(results), results
        return [json.loads(result.payload) for result in results]

    return uvloop.run(asyncio.wait_for(main(), 100)), lines


def warnings(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("[WARN]")]


# threads


def test_threads_started_at_import_are_missing_in_forks_and_a_warning_says_so_once(make_service: MakeService) -> None:
    source = """
        import os
        import threading
        import time

        threads = [threading.Thread(target=time.sleep, args=(600,), daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()

        def handler(event, context):
            return [os.getpid(), [thread.is_alive() for thread in threads], len(os.listdir("/proc/self/task"))]
    """
    answers, lines = forked(make(make_service, source))
    assert [answer[1:] for answer in answers] == [[[False, False, False], 1]] * 2
    assert answers[0][0] != answers[1][0]
    assert warnings(lines) == [warning(3)]


def test_a_hook_starts_a_thread_in_each_fork(make_service: MakeService) -> None:
    source = """
        import os
        import queue
        import threading

        from snapshot_restore_py import register_after_restore

        questions, answers = queue.Queue(), queue.Queue()

        def work():
            while True:
                answers.put([questions.get() * 2, os.getpid()])

        @register_after_restore
        def start():
            threading.Thread(target=work, daemon=True).start()

        def handler(event, context):
            questions.put(event)
            return [*answers.get(timeout=30), os.getpid()]
    """
    answers, lines = forked(make(make_service, source), (4, 5))
    assert [doubled for doubled, _, _ in answers] == [8, 10]
    assert all(worker == own for _, worker, own in answers)
    assert warnings(lines) == NO_THREADS


def test_an_executor_that_worked_at_import_works_in_forks_only_when_made_anew(make_service: MakeService) -> None:
    source = """
        from concurrent.futures import ThreadPoolExecutor

        from snapshot_restore_py import register_after_restore

        lost = executor = ThreadPoolExecutor(2)
        assert executor.submit(pow, 2, 10).result() == 1024

        @register_after_restore
        def renew():
            global executor
            executor = ThreadPoolExecutor(2)

        def ask(executor, number, timeout):
            try:
                return executor.submit(pow, number, 2).result(timeout)
            except TimeoutError:
                return "no answer"

        def handler(event, context):
            return [ask(lost, event, 0.3), ask(executor, event, 30)]
    """
    answers, lines = forked(make(make_service, source), (3, 4))
    assert answers == [["no answer", 9], ["no answer", 16]]
    assert warnings(lines) == [warning(1)]


# isolation


def test_an_isolated_init_phase_and_what_it_left_in_tmp(make_service: MakeService) -> None:
    source = """
        import os
        import tempfile

        with open(os.path.join(tempfile.gettempdir(), "made"), "w") as file:
            file.write("by the init phase")

        def attempt(path):
            try:
                with open(path, "x"):
                    return "done"
            except OSError as error:
                return type(error).__name__

        def handler(event, context):
            with open("/tmp/made") as file:
                return [file.read(), attempt("/tmp/own"), attempt("beside.py"), os.getuid()]
    """
    answers, _ = forked(make(make_service, source), isolation="namespace")
    assert answers == [["by the init phase", "done", "OSError", 993]] * 2


@pytest.mark.parametrize("isolation", ["none", "landlock"])
def test_each_fork_has_a_temporary_folder_of_its_own(make_service: MakeService, isolation: Level) -> None:
    source = """
        import os
        import tempfile

        made = tempfile.gettempdir()

        def handler(event, context):
            with tempfile.NamedTemporaryFile() as file:
                return [made, os.path.dirname(file.name), os.environ["TMPDIR"]]
    """
    (first, second), _ = forked(make(make_service, source), isolation=isolation)
    assert first[0] == second[0]
    assert first[1] == first[2]
    assert second[1] == second[2]
    assert len({first[0], first[1], second[1]}) == 3


def test_forks_import_with_the_service_s_own_virtual_environment(make_service: MakeService) -> None:
    source = """
        import os
        import subprocess
        import sys

        def handler(event, context):
            from pilotlight.events import to_v1
            code = "import pilotlight, sys; print(sys.prefix)"
            return [sys.prefix, subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout]
    """
    function = make(make_service, source)
    own = function.root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(own)], check=True)
    levels: tuple[Level, ...] = ("none", "namespace")
    for isolation in levels:
        answers, _ = forked(function, isolation=isolation)
        assert answers == [[str(own), f"{own}\n"]] * 2


# libraries


def test_numpy_whose_threads_have_multiplied_before_the_fork(make_service: MakeService) -> None:
    source = """
        import os

        os.environ["OPENBLAS_NUM_THREADS"] = "4"
        import numpy

        left = numpy.arange(512 * 512, dtype=numpy.float64).reshape(512, 512) % 7
        before = left @ left.T
        threads = len(os.listdir("/proc/self/task"))

        def handler(event, context):
            return [bool((left @ left.T == before).all()), float(before[1, 1]), threads > 1]
    """
    answers, lines = forked(make(make_service, source))
    assert answers == [[True, 6644.0, True]] * 2
    assert warnings(lines) == NO_THREADS  # OpenBLAS ends its threads before a fork, and starts them after it


def test_tokenizers_that_have_worked_in_parallel_before_the_fork(make_service: MakeService) -> None:
    source = """
        import os

        os.environ["RAYON_NUM_THREADS"] = "4"
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "cold": 1, "start": 2}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        texts = ["cold start cold", "start anew"] * 200
        before = [each.ids for each in tokenizer.encode_batch(texts)]
        threads = len(os.listdir("/proc/self/task"))

        def handler(event, context):
            ids = [each.ids for each in tokenizer.encode_batch(texts)]
            return [ids == before, ids[:2], threads]
    """
    answers, lines = forked(make(make_service, source))
    assert answers == [[True, [[1, 2, 1], [2, 0]], 5]] * 2
    assert warnings(lines) == [warning(4)]  # the library knows, and goes on without threads


MODEL = """
    import os
    from array import array

    import onnx
    from onnx import TensorProto, helper

    from pilotlight.function.onnx import Session

    tensor = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [64, 64])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "square", [tensor("x")], [tensor("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = os.path.join(os.environ["TMPDIR"], "square.onnx")
    onnx.save(model, path)
    x = memoryview(array("f", [float(number % 5) for number in range(64 * 64)])).cast("B").cast("f", (64, 64))

    def run(session):
        return session.run({"x": x})["y"].tolist()

    session = Session(path, threads=THREADS)
    before = run(session)

    def handler(event, context):
        return [run(session) == before, before[0][:3], run(Session(path, threads=2)) == before]
"""


@pytest.mark.parametrize(("threads", "expected"), [(1, NO_THREADS), (3, [warning(2)])])
def test_an_onnx_session_made_before_the_fork(make_service: MakeService, threads: int, expected: list[str]) -> None:
    answers, lines = forked(make(make_service, MODEL.replace("THREADS", str(threads))))
    assert [answer[0] for answer in answers] == [True, True]
    assert [answer[1:] for answer in answers] == [[[256.0, 317.0, 313.0], True]] * 2
    assert warnings(lines) == expected


# random state


def test_random_numbers_of_forks(make_service: MakeService) -> None:
    """Python and the kernel seed anew at a fork. What a function or numpy has seeded itself repeats, as everything
    does that SnapStart restores."""
    source = """
        import os
        import random
        import secrets
        import uuid

        import numpy

        own, generator = random.Random(), numpy.random.default_rng()
        numpy.random.seed()

        def handler(event, context):
            return {
                "random": random.random(),
                "secrets": secrets.token_hex(8),
                "urandom": os.urandom(8).hex(),
                "uuid4": str(uuid.uuid4()),
                "own": own.random(),
                "numpy": numpy.random.random(),
                "generator": generator.random(),
            }
    """
    (first, second), _ = forked(make(make_service, source))
    assert {name for name in first if first[name] == second[name]} == {"own", "numpy", "generator"}


def test_a_hook_seeds_anew(make_service: MakeService) -> None:
    source = """
        import random

        from snapshot_restore_py import register_after_restore

        own = random.Random()
        register_after_restore(own.seed)

        def handler(event, context):
            return own.random()
    """
    (first, second), _ = forked(make(make_service, source))
    assert first != second


# how it ends

HAS_GROUPS = bool(usable().folders())
HANGS = """
    import os
    import subprocess
    import time

    print(os.getpid(), subprocess.Popen(["sleep", "600"]).pid, flush=True)
    while True:
        time.sleep(600)
"""
STARTS = """
    import os
    import subprocess

    children = [subprocess.Popen(["sleep", "600"], start_new_session=new) for new in NEW]

    def handler(event, context):
        return [os.getppid(), *(child.pid for child in children)]
"""


def wait_until_gone(pids: Iterable[int]) -> None:
    """Fails by the test's own limit when one stays."""
    for pid in pids:
        while Path(f"/proc/{pid}/stat").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text():
            time.sleep(0.01)


def with_pool(function: Function, main: Callable[[Pool, list[str]], Awaitable[None]]) -> None:
    async def whole() -> None:
        lines: list[str] = []
        pool = Pool(lambda key, line: lines.append(line), 100_000)
        pool.deploy([function])
        try:
            await main(pool, lines)
        finally:
            await pool.close()

    uvloop.run(asyncio.wait_for(whole(), 60))


async def answer(pool: Pool) -> Any:
    return json.loads((await pool(Call("snap", b"{}"))).payload)


async def numbers(lines: list[str]) -> list[int]:
    """The process ids that the function has printed."""
    while not lines:
        await asyncio.sleep(0.01)
    return [int(pid) for pid in lines[0].split()]


def test_a_reload_ends_the_process_that_was_forked_before(make_service: MakeService) -> None:
    function = make(make_service, STARTS.replace("NEW", "[False]"))

    async def main(pool: Pool, lines: list[str]) -> None:
        before = await answer(pool)
        pool.deploy([function], renewed=[function.key])
        assert (await answer(pool))[0] != before[0]
        while Path(f"/proc/{before[0]}").exists():
            pool.reap()
            await asyncio.sleep(0.01)
        wait_until_gone(before)

    with_pool(function, main)


def test_an_init_phase_that_hangs_can_be_stopped(make_service: MakeService) -> None:
    pids: list[int] = []

    async def main(pool: Pool, lines: list[str]) -> None:
        calls = [asyncio.ensure_future(answer(pool)) for _ in range(3)]
        pids.extend(await numbers(lines))
        await pool.close()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*calls, return_exceptions=True)
        )

    with_pool(make(make_service, HANGS), main)
    assert len(pids) == 2
    wait_until_gone(pids)


def test_an_init_phase_that_takes_too_long(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SNAPSTART_TIMEOUT", 3.0)

    async def main(pool: Pool, lines: list[str]) -> None:
        error = {"errorType": "Sandbox.Timedout", "errorMessage": "Error: Task timed out after 3.00 seconds"}
        assert await answer(pool) == error
        wait_until_gone(await numbers(lines))

    with_pool(make(make_service, HANGS), main)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, None])
def test_what_the_init_phase_has_started_ends_with_it(make_service: MakeService, number: int | None) -> None:
    pids: list[int] = []
    source = STARTS.replace("NEW", "[False, True]" if HAS_GROUPS and number is None else "[False]")

    async def main(pool: Pool, lines: list[str]) -> None:
        pids.extend(await answer(pool))
        if number is not None:
            os.kill(pids[0], number)
            while Path(f"/proc/{pids[1]}").exists():
                await asyncio.sleep(0.01)

    with_pool(make(make_service, source), main)
    wait_until_gone(pids)


def test_an_init_phase_that_needs_more_memory_than_the_function_has(make_service: MakeService) -> None:
    source = """
        held = [b"x" * (16 << 20) for _ in range(40)]
        import time
        time.sleep(600)  # where only the watcher sees it

        def handler(event, context):
            pass
    """

    async def main(pool: Pool, lines: list[str]) -> None:
        error = {"errorType": "Runtime.ExitError", "errorMessage": "Error: Runtime exited with error: signal: killed"}
        assert await answer(pool) == error

    with_pool(make(make_service, source, SETTINGS.replace("1769", "256")), main)


def test_loads_that_fail_leave_nothing_open(make_service: MakeService) -> None:
    async def main(pool: Pool, lines: list[str]) -> None:
        counts = []
        for _ in range(20):
            assert (await answer(pool))["errorType"] == "ValueError"
            counts.append(len(os.listdir("/dev/fd")))
        assert counts[-1] < counts[0] + 10  # one may be in the middle of being closed

    with_pool(make(make_service, "raise ValueError"), main)


SERVER = """
import asyncio, sys
from pathlib import Path
from pilotlight import project
from pilotlight.local.pool import Pool
from pilotlight.values import Call

async def main():
    pool = Pool(lambda key, line: None, 100_000)
    pool.deploy(project.load(Path(sys.argv[1])).functions)
    print((await pool(Call("snap", b"{}"))).payload.decode(), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


# only a group knows who has left the session of a fork
@pytest.mark.parametrize(
    "settings", ["", *([SETTINGS] if HAS_GROUPS else [])], ids=["plain", "snapstart"][: 1 + HAS_GROUPS]
)
def test_a_server_that_is_killed_leaves_nothing(make_service: MakeService, settings: str) -> None:
    source = """
        import os
        import subprocess

        early = subprocess.Popen(["sleep", "600"], start_new_session=True)

        def handler(event, context):
            late = subprocess.Popen(["sleep", "600"], start_new_session=True)
            return [os.getppid(), os.getpid(), early.pid, late.pid]
    """
    function = make(make_service, source, settings)
    command = [sys.executable, "-c", SERVER, str(function.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pids = json.loads(server.stdout.readline())
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        server.kill()
    wait_until_gone(pids)
