"""What happens to `pilotlight serve` when nearly everything around it goes wrong.

    python benchmarks/faults.py [--quick] [--only PART ...]

Environments are killed at random under load, inits hang, functions flood the log, starve, fork and abuse the Runtime
API, clients are slow, rude or gone, and hypothesis makes requests and events, whole and broken. All against one real
server, whose memory, descriptors, threads and processes are sampled each second, and which must then stop and leave
nothing. Ends with exit status 1 when a promise was not kept, and says which.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import faults_events
import faults_kills
import faults_misbehave
import faults_plot
import faults_requests
import faults_slow
import machine
import uvloop
from faults_findings import FULL, QUICK, Findings, Size
from faults_server import Sample, Server
from faults_wire import ask, echo, invoke

Phase = Callable[[Server, Size], Awaitable[Findings]]

PHASES: Mapping[str, Phase] = {
    "kills": faults_kills.kills,
    "hung": faults_kills.hung_init,
    "floods": faults_kills.floods,
    "slow": faults_slow.slow_clients,
    "requests": faults_requests.requests,
    "events": faults_events.events,
    "api": faults_misbehave.runtime_api,
    "selves": faults_misbehave.selves,
    "children": faults_misbehave.children,
    "idle": faults_misbehave.idle_children,
    "memory": faults_misbehave.memory,
}
_STEADY = ("kills", "requests", "events")  # phases over which the memory must not rise
_SLOPE = 0.2  # MB a second that counts as noise
_WARM_UP = 0.25  # of such a phase
_STOP = 12.0  # seconds: five of grace for requests under way, and the rest


async def run(server: Server, size: Size, names: Sequence[str]) -> list[Findings]:
    """The phases one after the other; nobody waits for a phase longer than its requests' deadlines allow."""
    found = []
    for name in names:
        known = len(server.errors())
        with server.phase(name):
            findings = await PHASES[name](server, size)
        tracebacks = server.errors()[known:].partition("Traceback")[2]
        findings.promise(not tracebacks, "no traceback in the server's stderr", tracebacks)
        _tell(f"{server.now:6.0f} s  {name}: {len(findings.broken + findings.late)} broken")
        for each in findings.broken + findings.late:
            _tell(f"          {each}")
        found.append(findings)
    return found


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def end(server: Server) -> Findings:
    """SIGTERM while requests are under way, one of which will not end by itself."""
    findings = Findings("the end")
    sleeping = asyncio.ensure_future(ask(server.host, server.port, invoke("bad", b'{"do": "ignore_sigterm"}')))
    quick = asyncio.ensure_future(ask(server.host, server.port, echo("last", 1.0)))
    await asyncio.sleep(0.5)
    status, took = await asyncio.to_thread(server.stop)
    findings.promise(status == 0, "SIGTERM ends the server with exit status 0", status)
    findings.promise_in_time(took < _STOP, f"within {_STOP:.0f} s", f"{took:.1f} s")
    findings.show("from SIGTERM to the exit, with requests under way", f"{took:.1f} s")
    answers = await asyncio.gather(sleeping, quick, return_exceptions=True)
    kept = all(answer is None or not isinstance(answer, BaseException) for answer in answers)
    findings.promise(kept, "requests under way get an answer or a clean close", answers)
    left = server.leftovers()
    findings.show("left behind: processes, temporary files, mounts, cgroups, the port", len(left))
    findings.promise_none(left, "nothing is left behind")
    return findings


def judge_memory(server: Server) -> Findings:
    """The slope of the server's memory over each phase of load, by least squares."""
    findings = Findings("the server's memory")
    for began, ended, name in server.marks:
        within = [s for s in server.samples if began + (ended - began) * _WARM_UP <= s.seconds <= ended]
        if name in _STEADY and len(within) >= 8:
            slope = _slope(within)
            findings.show(f"slope over {name}", f"{slope:+.3f} MB a second over {len(within)} s")
            findings.promise(slope < _SLOPE, f"the memory does not rise over {name}", f"{slope:.2f} MB a second")
    for name in ("rss", "pss", "descriptors", "threads", "processes"):
        values = [getattr(sample, name) for sample in server.samples]
        if values:
            findings.show(f"{name}: first, most, last", f"{values[0]:.0f}, {max(values):.0f}, {values[-1]:.0f}")
    return findings


def _slope(samples: Sequence[Sample]) -> float:
    count = len(samples)
    middle_x = sum(s.seconds for s in samples) / count
    middle_y = sum(s.rss for s in samples) / count
    above = sum((s.seconds - middle_x) * (s.rss - middle_y) for s in samples)
    return above / sum((s.seconds - middle_x) ** 2 for s in samples)


def plots(server: Server, found: Sequence[Findings]) -> dict[str, str]:
    """Names of files -> SVG."""

    def lines(*names: str) -> list[faults_plot.Line]:
        return [
            faults_plot.Line(name, [(s.seconds, getattr(s, name.lower())) for s in server.samples]) for name in names
        ]

    made = {
        "faults_memory.svg": faults_plot.plot("Memory of the server, MB", lines("RSS", "PSS"), server.marks),
        "faults_descriptors.svg": faults_plot.plot("Its open descriptors", lines("descriptors"), server.marks),
        "faults_processes.svg": faults_plot.plot(
            "Its threads, and processes", lines("processes", "threads"), server.marks
        ),
    }
    rates = [faults_plot.Line(name, points) for each in found for name, points in each.rates.items()]
    return {**made, "faults_kills.svg": faults_plot.plot("Answers a second, 20 kills a second", rates)}


def report(found: Sequence[Findings], seconds: float) -> list[str]:
    broken = [f"- {each.name}: {what}" for each in found for what in each.broken + each.late]
    kept = sum(each.kept for each in found)
    lines = [
        "# A server under faults",
        "",
        f"{kept} promises kept, {len(broken)} broken, in {seconds:.0f} s.",
        *broken,
        "",
    ]
    lines += machine.targets([("under faults: promises broken, none", str(len(broken)), not broken)])[:-1]
    names = {"memory": "Memory", "kills": "Answers under kills", "descriptors": "Descriptors", "processes": "Processes"}
    lines += [line for name, title in names.items() for line in ("", f"![{title}](faults_{name}.svg)")]
    for each in found:
        lines += ["", f"## {each.name[0].upper()}{each.name[1:]}", "", "| | |", "|---|---|"]
        lines += [f"| {what} | {figure} |".replace("\n", " ") for what, figure in each.figures]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about 40 s; writes no results")
    parser.add_argument(
        "--only", nargs="+", choices=PHASES, default=list(PHASES), help="these parts; no results either"
    )
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        server = Server(Path(scratch))
        try:
            found = uvloop.run(run(server, QUICK if options.quick else FULL, options.only))
            found += [judge_memory(server), uvloop.run(end(server))]
        finally:
            server.sweep()
        lines = report(found, time.monotonic() - began)
    if options.quick or options.only != list(PHASES):
        print("\n".join(lines))
    else:
        for name, text in plots(server, found).items():
            (machine.RESULTS / name).write_text(text, encoding="utf-8")
        machine.write("faults", lines, ("uvloop", "httptools"))
    broken = [each.name for each in found if each.broken or each.late]
    if broken:
        sys.exit(f"promises were broken: {'; '.join(broken)}")


if __name__ == "__main__":
    main()
