"""The queue of asynchronous invocations: its schedule in a table, and real functions in a time that leaps."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop

from conftest import MakeService
from pilotlight.local.asynchronous import Drop, EventQueue, Retry, Timer, after_failure, after_refusal
from pilotlight.local.pool import Pool
from pilotlight.project import Function
from pilotlight.values import Call, Result

T = TypeVar("T")

# What it was called with is in a file of the service's folder, one line a call.
NOTES = """
    import json, os, pathlib, time

    def handler(event, context):
        with open("calls.log", "a") as log:
            log.write(json.dumps([context.aws_request_id, event]) + "\\n")
        while event.get("until") and not pathlib.Path(event["until"]).exists():
            time.sleep(0.01)
        calls = len(open("calls.log").readlines())
        if calls <= event.get("failures", 0):
            match event.get("how"):
                case "exit":
                    os._exit(1)
                case "sleep":
                    time.sleep(60)
                case _:
                    raise RuntimeError("not yet")
"""


class LeapingTime:
    """A clock that goes on when somebody waits, and at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.delays: list[float] = []
        self.waited: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        self.delays.append(seconds)
        return asyncio.get_running_loop().call_later(0.002, self._leap, seconds, action)

    def _leap(self, seconds: float, action: Callable[[], None]) -> None:
        self.now += seconds
        self.waited()
        action()


class Machine:
    """A pool with a queue before it; `lines` is what was said of events."""

    def __init__(self, functions: list[Function], time: LeapingTime) -> None:
        self.time = time
        self.lines: list[str] = []
        self.pool = Pool(lambda key, line: None, 100_000)
        self.pool.deploy(functions)
        self.queue = EventQueue(self.pool.invoke_event, self.pool.function, self._log, time, time.later)

    def _log(self, key: str, line: str) -> None:
        self.lines.append(f"{key} {line}")

    def accept(self, number: int = 1, /, **event: object) -> bool:
        return self.queue.accept(Call("service--notes", json.dumps(event).encode(), f"id-{number}"))

    async def drained(self) -> None:
        while len(self.queue):
            await asyncio.sleep(0.005)


def run(functions: list[Function], body: Callable[[Machine], Awaitable[T]]) -> T:
    async def main() -> T:
        machine = Machine(functions, LeapingTime())
        try:
            return await body(machine)
        finally:
            await machine.queue.close()
            await machine.pool.close()

    return uvloop.run(asyncio.wait_for(main(), 60))


def calls(function: Function) -> list[object]:
    file = function.root / "calls.log"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def notes(make_service: MakeService) -> Callable[..., Function]:
    def make(source: str = NOTES, **settings: object) -> Function:
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in {"memory": 128, **settings}.items()]
        return make_service({"inference/notes.py": source}, "[functions.notes]\n" + "".join(lines)).functions[0]

    return make


# the schedule


@pytest.mark.parametrize(
    ("failures", "age", "retries", "max_age", "expected"),
    [
        (1, 0, 2, 21_600, Retry(60)),
        (2, 61, 2, 21_600, Retry(120)),
        (3, 182, 2, 21_600, Drop("")),
        (1, 0, 1, 21_600, Retry(60)),
        (2, 61, 1, 21_600, Drop("")),
        (1, 0, 0, 21_600, Drop("")),
        (1, 0, 2, 60, Retry(60)),
        (1, 0.5, 2, 60, Drop("; at the next attempt it would be older than 60 seconds")),
        (2, 181, 2, 300, Drop("; at the next attempt it would be older than 300 seconds")),
    ],
)
def test_retries_a_failure_after_one_minute_and_after_two(
    failures: int, age: float, retries: int, max_age: int, expected: Retry | Drop
) -> None:
    assert after_failure(failures, age, retries, max_age) == expected


@pytest.mark.parametrize(
    ("refusals", "age", "max_age", "expected"),
    [
        (1, 0, 21_600, Retry(1)),
        (2, 1, 21_600, Retry(2)),
        (3, 3, 21_600, Retry(4)),
        (9, 255, 21_600, Retry(256)),
        (10, 511, 21_600, Retry(300)),
        (80, 21_300, 21_600, Retry(300)),
        (5_000, 0, 21_600, Retry(300)),
        (80, 21_301, 21_600, Drop("; at the next attempt it would be older than 21600 seconds")),
        (6, 31, 60, Drop("; at the next attempt it would be older than 60 seconds")),
    ],
)
def test_backs_off_from_one_second_to_five_minutes(
    refusals: int, age: float, max_age: int, expected: Retry | Drop
) -> None:
    assert after_refusal(refusals, age, max_age) == expected


# functions that fail


@pytest.mark.parametrize("how", ["raise", "exit", "sleep"])
def test_a_function_that_fails_has_the_same_event_again(notes: Callable[..., Function], how: str) -> None:
    function = notes(timeout=2 if how == "sleep" else 60)

    async def body(machine: Machine) -> tuple[list[float], list[str]]:
        machine.accept(failures=2, how=how)
        await machine.drained()
        return machine.time.delays, machine.lines

    delays, lines = run([function], body)
    assert delays == [60, 120]
    assert calls(function) == [["id-1", {"failures": 2, "how": how}]] * 3
    assert lines == [
        "service--notes [WARN] RequestId: id-1 Asynchronous event: attempt 1: the function failed; "
        "the next one in 60 s",
        "service--notes [WARN] RequestId: id-1 Asynchronous event: attempt 2: the function failed; "
        "the next one in 120 s",
    ]


@pytest.mark.parametrize(("retries", "said"), [(0, "1 attempt"), (1, "2 attempts"), (2, "3 attempts")])
def test_drops_what_has_failed_too_often_and_says_so(notes: Callable[..., Function], retries: int, said: str) -> None:
    function = notes(retries=retries)

    async def body(machine: Machine) -> str:
        machine.accept(failures=99)
        await machine.drained()
        return machine.lines[-1]

    assert run([function], body) == (
        f"service--notes [ERROR] RequestId: id-1 Asynchronous event: dropped after {said}: the function failed"
    )
    assert len(calls(function)) == retries + 1


# functions that are not reached


def test_keeps_trying_for_hours_while_the_model_is_not_installed(notes: Callable[..., Function]) -> None:
    function = notes(model="models/absent.onnx", install="make absent")

    async def body(machine: Machine) -> tuple[list[float], str]:
        machine.accept()
        await machine.drained()
        return machine.time.delays, machine.lines[-1]

    delays, line = run([function], body)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, *[300] * 70]
    assert line == (
        "service--notes [ERROR] RequestId: id-1 Asynchronous event: dropped after 80 attempts: the model of notes is "
        "not installed; install it with: make absent; at the next attempt it would be older than 21600 seconds"
    )


def test_runs_an_event_once_its_model_is_installed(notes: Callable[..., Function]) -> None:
    function = notes(model="models/absent.onnx")

    async def body(machine: Machine) -> list[float]:
        machine.time.waited = lambda: install() if len(machine.time.delays) == 3 else None
        machine.accept(a=1)
        await machine.drained()
        return machine.time.delays

    def install() -> None:
        (function.root / "models").mkdir()
        (function.root / "models" / "absent.onnx").touch()

    assert run([function], body) == [1, 2, 4]
    assert calls(function) == [["id-1", {"a": 1}]]


def test_a_throttled_event_runs_when_there_is_room_again(notes: Callable[..., Function], tmp_path: Path) -> None:
    function = notes(concurrency=1, timeout=30)
    mark = tmp_path / "mark"

    async def body(machine: Machine) -> tuple[list[float], str]:
        first = asyncio.ensure_future(machine.pool(Call("notes", json.dumps({"until": str(mark)}).encode(), "first")))
        while not calls(function):
            await asyncio.sleep(0.005)
        machine.time.waited = lambda: mark.touch() if len(machine.time.delays) == 3 else None
        machine.accept(a=1)
        await machine.drained()
        await first
        return machine.time.delays[:3], machine.lines[0]

    assert run([function], body) == (
        [1, 2, 4],
        "service--notes [WARN] RequestId: id-1 Asynchronous event: attempt 1: Rate Exceeded.; raise the concurrency of "
        "notes; the next one in 1 s",
    )
    assert calls(function) == [["first", {"until": str(mark)}], ["id-1", {"a": 1}]]


def test_what_the_machine_cannot_do_is_tried_again(notes: Callable[..., Function]) -> None:
    function = notes(max_event_age=60)

    async def no_descriptors(call: Call) -> Result:
        raise OSError(24, "Too many open files")

    async def main() -> tuple[list[float], list[str]]:
        time, lines = LeapingTime(), list[str]()
        queue = EventQueue(no_descriptors, lambda key: function, lambda key, line: lines.append(line), time, time.later)
        queue.accept(Call("service--notes", b"{}", "id-1"))
        while len(queue):
            await asyncio.sleep(0.005)
        return time.delays, lines

    delays, lines = uvloop.run(main())
    assert delays == [1, 2, 4, 8, 16]
    assert lines[-1] == (
        "[ERROR] RequestId: id-1 Asynchronous event: dropped after 6 attempts: OSError: [Errno 24] Too many open "
        "files; at the next attempt it would be older than 60 seconds"
    )


# many events


def test_runs_100_events_of_one_environment_in_their_order(notes: Callable[..., Function]) -> None:
    function = notes(concurrency=1)

    async def body(machine: Machine) -> tuple[list[float], list[str]]:
        assert all(machine.accept(number, number=number) for number in range(100))
        await machine.drained()
        return machine.time.delays, machine.lines

    assert run([function], body) == ([], [])
    assert calls(function) == [[f"id-{number}", {"number": number}] for number in range(100)]


def test_drops_an_event_that_has_waited_for_too_long(notes: Callable[..., Function], tmp_path: Path) -> None:
    function = notes(concurrency=1, max_event_age=60, timeout=30)
    mark = tmp_path / "mark"

    async def body(machine: Machine) -> list[str]:
        machine.accept(1, until=str(mark))
        machine.accept(2)
        while not calls(function):
            await asyncio.sleep(0.005)
        machine.time.now += 61
        mark.touch()
        await machine.drained()
        return machine.lines

    assert run([function], body) == [
        "service--notes [ERROR] RequestId: id-2 Asynchronous event: dropped after 0 attempts: it has waited for more "
        "than 60 seconds"
    ]
    assert calls(function) == [["id-1", {"until": str(mark)}]]


def test_drops_the_events_of_a_function_that_is_gone(notes: Callable[..., Function]) -> None:
    async def body(machine: Machine) -> list[str]:
        machine.time.waited = lambda: machine.pool.deploy([])
        machine.accept(failures=9)
        await machine.drained()
        return machine.lines[1:]

    assert run([notes()], body) == [
        "service--notes [ERROR] RequestId: id-1 Asynchronous event: dropped after 1 attempt: the function is gone"
    ]


def test_reads_a_streamed_answer_to_its_end(notes: Callable[..., Function]) -> None:
    streams = """
        from collections.abc import Iterator
        from pilotlight import endpoint

        @endpoint
        def handler(number: int) -> Iterator[str]:
            for _ in range(20):
                yield "x" * 100_000
            with open("calls.log", "a") as log:
                log.write(f"[{number}]\\n")
    """
    function = notes(streams, concurrency=1, front="url", timeout=30)

    async def body(machine: Machine) -> list[str]:
        assert all(machine.accept(number, number=number) for number in range(5))
        await machine.drained()
        return machine.lines

    assert function.streams
    assert run([function], body) == []
    assert calls(function) == [[0], [1], [2], [3], [4]]


# its bounds and its end


def test_takes_no_more_events_than_it_may_hold(notes: Callable[..., Function], tmp_path: Path) -> None:
    function = notes(concurrency=1, timeout=30)
    mark = tmp_path / "mark"

    async def body(machine: Machine) -> tuple[int, bool, bool]:
        machine.accept(0, until=str(mark))
        while machine.accept():
            pass
        full = len(machine.queue)
        mark.touch()
        while len(machine.queue) == full:
            await asyncio.sleep(0.001)
        return full, machine.accept(), machine.accept()

    full, again, _ = run([function], body)
    assert (full, again) == (10_000, True)


def test_takes_no_more_bytes_than_it_may_hold(notes: Callable[..., Function], tmp_path: Path) -> None:
    function = notes(concurrency=1, timeout=30)
    large = Call("service--notes", b'"' + b"x" * (2**20 - 2) + b'"', "id-2")

    async def body(machine: Machine) -> list[bool]:
        machine.accept(1, until=str(tmp_path / "never"))
        return [machine.queue.accept(large) for _ in range(257)]

    assert run([function], body) == [True] * 255 + [False] * 2


def test_names_what_is_lost_when_it_is_closed(notes: Callable[..., Function], tmp_path: Path) -> None:
    function = notes(concurrency=1, timeout=30)

    async def body(machine: Machine) -> tuple[list[str], bool]:
        machine.accept(1, until=str(tmp_path / "never"))
        machine.accept(2)
        while not calls(function):
            await asyncio.sleep(0.005)
        await machine.queue.close()
        return machine.lines, machine.accept(3)

    assert run([function], body) == (
        [
            "service--notes [ERROR] RequestId: id-1 Asynchronous event: lost after 1 attempt: the server has stopped",
            "service--notes [ERROR] RequestId: id-2 Asynchronous event: lost after 0 attempts: the server has stopped",
        ],
        False,
    )
