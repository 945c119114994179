"""Environments killed at random under load; a function whose init hangs; functions that flood the log."""

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator

from faults_findings import Findings, Size
from faults_server import Server
from faults_wire import Load, ask, invoke, percentile

CLIENTS = 32
KILLS_PER_SECOND = 20
WORK = 0.005  # seconds that a request of the load takes in its function


async def kills(server: Server, size: Size) -> Findings:
    """SIGKILL to an environment, 20 times a second, under the load of 32 clients."""
    findings = Findings("environments killed at random")
    await Load(server.host, server.port, CLIENTS, WORK).run(size.after_kills)  # warm
    before = await Load(server.host, server.port, CLIENTS, WORK).run(size.after_kills)
    load = Load(server.host, server.port, CLIENTS, WORK)
    killed = await _kill_for(server, size.kills)
    last = time.monotonic()
    await load.run(size.after_kills)
    findings.rates = _rates(load)
    during = [end for end in load.ends if end[0] <= last]
    findings.show("kills", f"{len(killed)}, {len(killed) / size.kills:.1f} a second")
    findings.show("answers by status", ", ".join(f"{n} of {end}" for end, n in load.counts().most_common()))
    findings.show("requests a second", f"{len(during) / size.kills:.0f}, {_rate(before, size):.0f} before")
    _show_latency(findings, "p50, p99, most", sorted(took for _, took, _ in during))
    recovery = max([0.0, *(end - last for end, _, how in load.ends if end > last and how != "200")])
    findings.show("recovery: from the last kill to the last answer that is not 200", f"{recovery * 1000:.0f} ms")
    findings.promise_none(load.wrong, "every request gets one answer: its own, AWS's 500, or a clean close")
    findings.promise_none(before.wrong, "without kills every request gets its own answer")
    findings.promise(before.counts().keys() <= {"200"}, "without kills every answer is 200", before.counts())
    findings.promise_in_time(recovery < 1, "a second after the last kill every answer is 200", f"{recovery:.2f} s")
    findings.promise(bool(killed), "there was something to kill")
    return findings


async def _kill_for(server: Server, seconds: float) -> list[int]:
    dice = random.Random(20)
    killed = []
    began = time.monotonic()
    for number in range(int(seconds * KILLS_PER_SECOND)):
        await asyncio.sleep(max(0.0, began + number / KILLS_PER_SECOND - time.monotonic()))
        environments = await asyncio.to_thread(server.environments)
        if environments:
            killed.append(dice.choice(environments))
            with contextlib.suppress(ProcessLookupError):
                os.kill(killed[-1], signal.SIGKILL)
    return killed


def _rates(load: Load) -> dict[str, list[tuple[float, float]]]:
    """How many answers there were in each second, by how they ended."""
    first = min((end for end, _, _ in load.ends), default=0.0)
    counts = Counter((how, int(end - first)) for end, _, how in load.ends)
    seconds = max((second for _, second in counts), default=0)  # the last is not whole
    hows = sorted({how for how, _ in counts})
    return {f"answered with {how}": [(at, counts[how, at]) for at in range(seconds)] for how in hows}


def _rate(load: Load, size: Size) -> float:
    return len(load.ends) / size.after_kills


def _show_latency(findings: Findings, name: str, ordered: list[float]) -> None:
    worst = [percentile(ordered, share) * 1000 for share in (0.5, 0.99, 1)]
    findings.show(name, ", ".join(f"{each:.1f}" for each in worst) + " ms")


@contextlib.asynccontextmanager
async def beside(server: Server, findings: Findings, clients: int = 4) -> AsyncIterator[None]:
    """A load on a healthy function, which must not notice what happens beside it."""
    load = Load(server.host, server.port, clients)
    try:
        yield
    finally:
        await load.stop()
    _show_latency(findings, f"{len(load.ends)} requests beside it: p50, p99, most", load.latencies())
    findings.promise(load.counts().keys() == {"200"}, "all requests beside it are answered with 200", load.counts())
    findings.promise_in_time(percentile(load.latencies(), 0.99) < 1, "p99 beside it is below a second")


async def hung_init(server: Server, size: Size) -> Findings:
    """A file that sleeps for ever when it is imported: 10 s, then once more inside the invocation's 3 s."""
    findings = Findings("an init that hangs")
    began = time.monotonic()
    async with beside(server, findings):
        request = invoke("hung", b"{}")
        answers = await asyncio.gather(*(ask(server.host, server.port, request, seconds=30) for _ in range(4)))
    took = time.monotonic() - began
    findings.show("its callers have their answer after", f"{took:.1f} s")
    wanted = (200, "Unhandled", "Sandbox.Timedout")
    got = [
        (a.status, a.headers.get("x-amz-function-error"), json.loads(a.body).get("errorType")) if a else ()
        for a in answers
    ]
    findings.promise(got == [wanted] * 4, "its callers are told of the timeout", got)
    findings.promise_in_time(13 <= took < 18, "10 s of init and 3 s of timeout, then the answer", f"{took:.1f} s")
    return findings


async def floods(server: Server, size: Size) -> Findings:
    """Writes without end to stdout and to stderr, with and without line breaks."""
    findings = Findings("functions that flood the log")
    memory = server.sample().rss
    async with beside(server, findings):
        for kind, descriptor in (("lines", 1), ("no lines", 2), ("lines", 2), ("no lines", 1)):
            event = json.dumps({"kind": kind, "descriptor": descriptor, "seconds": size.flood / 2}).encode()
            answer = await ask(server.host, server.port, invoke("flood", event), seconds=30)
            name = f"{kind} to {('', 'stdout', 'stderr')[descriptor]}"
            findings.promise(
                answer is not None and answer.status == 200 and answer.body.isdigit(), f"{name}: answered", answer
            )
            if answer is not None and answer.body.isdigit():
                findings.show(name, f"{int(answer.body) / 1e9 / (size.flood / 2):.2f} GB a second")
    grown = server.sample().rss - memory
    findings.show("growth of the server's memory", f"{grown:.1f} MB")
    findings.promise(grown < 24, "the server's memory stays", f"{grown:.1f} MB more")
    return findings
