"""Functions that do what none must: to their environment, to the Runtime API, to the machine."""

import asyncio
import json
import time

from faults_findings import Findings, Size
from faults_kills import beside
from faults_server import Server
from faults_wire import Answer, ask, invoke

_TIMEOUT = 3  # of the function `bad`
_BOUND = _TIMEOUT + 12.0  # seconds for any answer of it, on a busy machine

# What is asked for -> what the caller gets: the answer itself, or how the error begins.
_RUNTIME_API: tuple[tuple[str, dict[str, object], tuple[object, ...]], ...] = (
    ("an answer for a wrong id", {"do": "answer_wrong_id"}, ("HTTP/1.1 400 Bad Request",)),
    ("two answers", {"do": "answer_twice"}, ("first",)),
    ("a second next beside the invocation", {"do": "ask_for_two"}, ("HTTP/1.1 403 Forbidden",)),
    ("a late init error", {"do": "fail_init_late"}, ("HTTP/1.1 403 Forbidden",)),
    ("bytes that are no HTTP", {"do": "say_garbage"}, ("", "none: ConnectionResetError")),
    ("half a request", {"do": "say_half"}, ("whole",)),
    ("half a request, then an exit", {"do": "say_half_and_die"}, ("Runtime.ExitError",)),
    ("an answer of 100 MB", {"do": "answer_too_much", "megabytes": 100}, ("Function.ResponseSizeTooLarge",)),
    ("a length of 100 GB", {"do": "promise_too_much"}, ("whole",)),
    (
        "a header of 50 MB",
        {"do": "say_endless_header", "megabytes": 50},
        ("", "none: ConnectionResetError", "none: BrokenPipeError"),
    ),
)


async def _bad(server: Server, **event: object) -> Answer | None:
    request = invoke("bad", json.dumps(event).encode())
    return await ask(server.host, server.port, request, seconds=_BOUND)


def _told(answer: Answer | None) -> object:
    """The function's answer, or the type of its error."""
    if answer is None or answer.status != 200:
        return answer
    told = json.loads(answer.body)
    return told.get("errorType") if "x-amz-function-error" in answer.headers else told


async def _expect(server: Server, findings: Findings, name: str, event: dict[str, object], *wanted: object) -> None:
    began = time.monotonic()
    try:
        got = _told(await _bad(server, **event))
    except TimeoutError:
        got = f"no answer within {_BOUND:.0f} s"
    took = time.monotonic() - began
    findings.show(name, f"{got}, after {took:.1f} s")
    findings.promise_in_time(took < _TIMEOUT + 2, f"{name}: an answer in time", f"{took:.1f} s")
    findings.promise(got in wanted, f"{name}: the caller gets {' or '.join(map(repr, wanted))}", repr(got))
    after = _told(await _bad(server, do="echo"))
    findings.promise(after == {"do": "echo"}, f"after {name} the function is served", after)


async def runtime_api(server: Server, size: Size) -> Findings:
    """A function that speaks to the Runtime API itself, and wrongly."""
    findings = Findings("functions that abuse their Runtime API")
    memory = server.sample().rss
    async with beside(server, findings):
        for name, event, wanted in _RUNTIME_API:
            await _expect(server, findings, name, event, *wanted)
    grown = server.sample().rss - memory
    findings.show("growth of the server's memory", f"{grown:.1f} MB")
    findings.promise(grown < 40, "the server keeps nothing of it", f"{grown:.1f} MB more")
    return findings


async def selves(server: Server, size: Size) -> Findings:
    """A function that stops, blinds or forgets itself: the timeout ends it."""
    findings = Findings("functions that harm themselves")
    async with beside(server, findings):
        await _expect(
            server,
            findings,
            "closed sockets",
            {"do": "close_everything"},
            *("Runtime.ExitError", "Sandbox.Timedout"),
        )
        await _expect(server, findings, "SIGTERM ignored", {"do": "ignore_sigterm"}, "Sandbox.Timedout")
        await _expect(server, findings, "SIGSTOP to itself", {"do": "stop_itself"}, "Sandbox.Timedout")
    return findings


async def children(server: Server, size: Size) -> Findings:
    """50 children in sessions of their own that ignore SIGTERM, some orphans: gone with the environment."""
    findings = Findings("functions that leave children behind")
    before = len(server.processes())
    async with beside(server, findings):
        event = {"do": "start_children_and_die", "count": 50}
        await _expect(server, findings, "50 children, then the environment is killed", event, "Runtime.ExitError")
        gone = await _gone(server, before + 8, 5)
    findings.show("processes of the server before and after", f"{before}, {len(server.processes())}")
    findings.promise(gone, "the children are gone with their environment", f"{len(server.processes())} processes")
    return findings


async def idle_children(server: Server, size: Size) -> Findings:
    """The same children of an environment that is stopped because it is idle, and forks of the runtime itself."""
    findings = Findings("children of an environment that is stopped when idle")
    before = len(server.processes())
    await _expect(server, findings, "50 children", {"do": "start_children", "count": 50}, 50)
    await _expect(server, findings, "50 forks", {"do": "fork_without_end", "count": 50}, 50)
    gone = await _gone(server, before + 8, 15)
    findings.promise(gone, "they are gone when the environment is", f"{len(server.processes())} processes")
    return findings


async def _gone(server: Server, count: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if len(server.processes()) <= count:
            return True
        await asyncio.sleep(0.2)
    return False


async def memory(server: Server, size: Size) -> Findings:
    """Four times the memory that the function's setting gives it."""
    findings = Findings("a function that takes memory without end")
    async with beside(server, findings):
        request = invoke("hungry", b'{"megabytes": 512}')
        got = _told(await ask(server.host, server.port, request, seconds=_BOUND))
        findings.show("512 MB with a setting of 128 MB", got)
        killed = got in ("Runtime.OutOfMemory", "Runtime.ExitError")
        findings.promise(killed, "who takes more than the setting is killed", got)
        small = _told(await ask(server.host, server.port, invoke("hungry", b'{"megabytes": 16}')))
        findings.promise(small == 16, "after it the function is served", small)
    return findings
