"""Every benchmark, one after the other, each in a process of its own; then a summary: `make bench`.

    python benchmarks/run.py                     all, a little over an hour on two quiet processors
    python benchmarks/run.py --list              what there is, how long it takes, what it lacks here
    python benchmarks/run.py --only readers      some of them; --skip leaves some out
    python benchmarks/run.py --resume            those that the last run did not finish
    python benchmarks/run.py --quick             a trial with few rounds, which leaves benchmarks/results alone
    python benchmarks/run.py --data DIR          those too that want data from elsewhere

Pages go to `benchmarks/results`, what the scripts print to `build/benchmarks`. A failure stops no other benchmark; all
failures are named at the end, and the exit status is 1. Ctrl-C keeps what is done. What a benchmark leaves behind,
processes and temporary files, is removed, and processes are named.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import machine
import suite
import summary
from run_processes import MARK, finish, leftovers
from run_state import State
from suite import Benchmark

HERE = Path(__file__).parent
SCRATCH = machine.ROOT / "build" / "benchmarks"
BUSY = 0.5  # load average above which figures are not worth much


def main() -> None:
    options = parsed()
    chosen = [each for each in suite.BENCHMARKS if each.name in options.only and each.name not in options.skip]
    if options.list:
        print("\n".join(listed(chosen, options)))
    else:
        for each in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores the first
            signal.signal(each, signal.default_int_handler)
        sys.exit(run(chosen, options))


def run(chosen: Sequence[Benchmark], options: argparse.Namespace) -> int:
    """The exit status."""
    state = State.read(SCRATCH / ("quick.json" if options.quick else "state.json"), resume=options.resume)
    todo = [each for each in chosen if not (options.resume and state.is_done(each.name, results(options)))]
    try:
        with tempfile.TemporaryDirectory(prefix="bench-shared-") as options.shared:
            all_of(todo, options, state)
    except KeyboardInterrupt:
        say("Stopped. What is done is kept, and --resume does the rest.")
        return 130
    finally:
        summarise(results(options), state)
    failed = [each.name for each in todo if each.name in state.failed]
    for name in failed:
        say(f"failed: {name}: {state.failed[name]}")
    if not options.quick:
        say("`make docs` brings the figures into README and docs.")
    return 1 if failed else 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [each.name for each in suite.BENCHMARKS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help="these alone")
    parser.add_argument("--skip", nargs="+", choices=names, default=[], metavar="NAME", help="all but these")
    parser.add_argument("--list", action="store_true", help="show the benchmarks and run none")
    parser.add_argument("--quick", action="store_true", help="few rounds; pages go to build/benchmarks/quick")
    parser.add_argument("--resume", action="store_true", help="leave out what the last run has finished")
    parser.add_argument("--data", type=Path, help="a folder of data sets: `accuracy.py --help` says what of")
    options = parser.parse_args()
    options.data = options.data and options.data.resolve()
    return options


def results(options: argparse.Namespace) -> Path:
    return SCRATCH / "quick" if options.quick else HERE / "results"


def listed(chosen: Sequence[Benchmark], options: argparse.Namespace) -> list[str]:
    rows = [f"{each.name:18}{each.minutes:5.1f} min  {suite.wanting(each, options.data)}".rstrip() for each in chosen]
    return [*rows, f"{'all':18}{sum(each.minutes for each in chosen):5.1f} min"]


# running


def all_of(todo: Sequence[Benchmark], options: argparse.Namespace, state: State) -> None:
    load = os.getloadavg()[0]
    say(f"Load average {load:.1f}{': the machine is busy, figures will be off' if load > BUSY else ''}.")
    pace = 1.0  # of the minutes that were expected, how many it took
    taken = expected = 0.0
    for number, each in enumerate(todo):
        left = 0.0 if options.quick else pace * sum(one.minutes for one in todo[number:])
        say(f"[{number + 1}/{len(todo)}] {each.name}{f', {left:.0f} min left' if left else ''}")
        began = time.monotonic()
        if lacking := suite.wanting(each, options.data):
            state.put_off(each.name, lacking)
            say(f"  not run: {lacking}")
            continue
        told(one(each, options, f"{load:.1f}"), each, time.monotonic() - began, state)
        taken, expected = taken + (time.monotonic() - began) / 60, expected + each.minutes
        pace = max(0.5, taken / expected)


def told(problem: str, benchmark: Benchmark, seconds: float, state: State) -> None:
    if problem:
        state.fail(benchmark.name, problem)
    else:
        state.finish(benchmark.name)
    say(f"  {problem or 'done'}, {seconds:.0f} s")


def one(benchmark: Benchmark, options: argparse.Namespace, load: str) -> str:
    """Run it; what went wrong, "" for nothing."""
    log = SCRATCH / f"{benchmark.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began, mark = time.time(), f"{os.getpid()}-{benchmark.name}"
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as temporary, log.open("w") as output:
        process = started(benchmark, options, output, {"TMPDIR": temporary, machine.LOAD: load, MARK: mark})
        try:
            problem = ended(process, benchmark, 5 * 60 * max(2.0, benchmark.minutes))
        finally:
            finish(process)
            left = leftovers(mark)
    if not problem and not options.quick and not written(results(options), benchmark.name, began):
        problem = "it wrote no page"
    problems = [*filter(None, [problem]), *([f"left behind: {', '.join(left)}"] if left else [])]
    return "; ".join([*problems, f"see {log.relative_to(machine.ROOT)}"]) if problems else ""


def started(
    benchmark: Benchmark, options: argparse.Namespace, output: TextIO, variables: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """In a session of its own: what the terminal says to this process, this process says to it."""
    return subprocess.Popen(
        command(benchmark, options),
        env={**os.environ, **variables, "BENCHMARKS_RESULTS": str(results(options))},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=machine.ROOT,
        start_new_session=True,
    )


def command(benchmark: Benchmark, options: argparse.Namespace) -> list[str]:
    arguments = benchmark.quick if options.quick else benchmark.arguments
    given = arguments.format(data=options.data, shared=options.shared)
    return [sys.executable, str(HERE / f"{benchmark.name}.py"), *shlex.split(given)]


def ended(process: "subprocess.Popen[bytes]", benchmark: Benchmark, limit: float) -> str:
    """Wait, and show that time goes by where somebody looks."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        try:
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            progress(f"  {time.monotonic() - began:4.0f} s of about {60 * benchmark.minutes:.0f}")
        else:
            progress("")
            return f"exit status {code}" if code else ""
    return f"stopped after {limit / 60:.0f} min"


def written(folder: Path, name: str, since: float) -> bool:
    path = folder / f"{name}.md"
    return path.exists() and path.stat().st_mtime >= since


def summarise(folder: Path, state: State) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(summary.text(folder, state.not_run | state.failed), encoding="utf-8")
    say(f"Summary: {(folder / 'README.md').relative_to(machine.ROOT)}")


def say(line: str) -> None:
    print(line, flush=True)


def progress(line: str) -> None:
    if sys.stdout.isatty():
        print(f"\r\x1b[K{line}", end="", flush=True)


if __name__ == "__main__":
    main()
