"""`pilotlight tune --remote`: temporary functions on AWS, made, measured and removed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import uvloop

from pilotlight.cli import deploy_output as said
from pilotlight.cli import progress
from pilotlight.cli.build import OUT
from pilotlight.cli.invoke import failure
from pilotlight.cli.place import Place
from pilotlight.cli.tune_output import Found
from pilotlight.deploy import log_lines, names, remote, tuning
from pilotlight.deploy.session import Session
from pilotlight.deploy.tuning import Code, Original
from pilotlight.errors import DeployError, UsageError
from pilotlight.measure.sweep import Ask, Plan, Sample, Tried, refusal, sweep
from pilotlight.measure.tune import Pricing
from pilotlight.optimize.progress import Progress
from pilotlight.project import Function, Project
from pilotlight.values import Call, Result

_KILLED = "signal: killed"  # how a runtime ends that had more memory than its setting, and by nothing else


class Outcome(NamedTuple):
    """`found` is None when nothing was to be measured, or the answer was no. `left` could not be removed."""

    found: Found | None = None
    is_whole: bool = True
    left: Sequence[str] = ()


class Options(NamedTuple):
    """What the command line says. `architecture` "" is the deployed one."""

    place: Place
    architecture: str
    dry_run: bool
    yes: bool
    as_json: bool


def run(
    service: Project,
    function: Function,
    payload: bytes,
    memories: Sequence[int],
    plan: Plan,
    options: Options,
    pricing: Pricing,
    weight: float,
) -> Outcome:
    """Make, measure, remove. Raises `UsageError`, `FunctionError` and `DeployError`, and then too nothing is left."""
    session = options.place.session(service)
    said.account(session, options.as_json)
    like = tuning.original(session, names.function(function, options.place.stage))
    tried = [Tried(memory, each) for each in _architectures(like, options.architecture) for memory in memories]
    _check_left(session, like)
    _tell_plan(tried, plan, function, pricing, like, options)
    if options.dry_run or not _agreed(tried, like, options):
        return Outcome()
    built = service.root / OUT / f"{function.name}.zip"
    codes = {each: tuning.code(session, like, service.name, each, built) for each in _of(tried)}
    with progress.shown() as told:
        is_whole, left = _measured(_Remote(session, like, function, payload), tried, codes, plan, told)
    found = Found(function, f"in {session.region}", tried, pricing, weight)
    return Outcome(found, is_whole, left)


def clean(service: Project, function: Function, options: Options) -> int:
    """Remove what an earlier run has left."""
    session = options.place.session(service)
    said.account(session, options.as_json)
    like = names.function(function, options.place.stage)
    found = tuning.left(session, like)
    for name in found:
        tuning.remove(session, name)
        said.said(f"removed {name}", options.as_json)
    if not found:
        said.said(f"nothing is left of `tune` for {like}", options.as_json)
    return 0


def _architectures(like: Original, asked: str) -> list[str]:
    """The deployed one first."""
    if asked == "both":
        return sorted(("x86_64", "arm64"), key=lambda each: each != like.architecture)
    return [asked or like.architecture]


def _of(tried: Sequence[Tried]) -> list[str]:
    return list(dict.fromkeys(each.architecture for each in tried))


def _check_left(session: Session, like: Original) -> None:
    """Raises `UsageError`: another run may be going on, whose functions are not ours to remove."""
    if found := tuning.left(session, like.name):
        reason = f"temporary functions of another run for {like.name} are there: {', '.join(found)}"
        raise UsageError(reason, "where that run is over, the same command with --clean removes them")


def _tell_plan(
    tried: Sequence[Tried], plan: Plan, function: Function, pricing: Pricing, like: Original, options: Options
) -> None:
    """What would be made, and what it costs where each request takes a second, and at most."""
    calls = plan.runs * (plan.requests + 1)
    second = sum(pricing.dollars(each.memory, each.architecture, 1000, 1000) for each in tried) * calls / 1_000_000
    settings = ", ".join(f"{each.memory} MB {each.architecture}" for each in tried)
    said.said(
        f"{len(tried)} temporary functions made like {like.name}, removed at the end: {settings}", options.as_json
    )
    said.said(
        f"each has {plan.runs} cold starts and at most {calls - plan.runs} warm requests: ${second:.3f} where a "
        f"request takes a second, and at most ${second * function.timeout:.2f}, at its timeout",
        options.as_json,
    )
    if function.snapstart:
        said.said("SnapStart is of published versions: cold starts are measured without it", options.as_json)


def _agreed(tried: Sequence[Tried], like: Original, options: Options) -> bool:
    if options.yes or said.ask(f"Make {len(tried)} temporary functions?"):
        return True
    said.said("nothing was made", options.as_json)
    return False


def _measured(
    machine: "_Remote", tried: Sequence[Tried], codes: Mapping[str, Code], plan: Plan, told: Progress
) -> tuple[bool, list[str]]:
    """Whether it came to its end, and what could not be removed: whatever ends it, all that it made goes."""
    left: list[str] = []
    try:
        for number, each in enumerate(tried):
            told.count("functions made", number, len(tried))
            left.append(machine.name(each))  # before it is asked for: an answer that is lost may have been a yes
            machine.make(each, codes[each.architecture])
        told.count("functions made", len(tried), len(tried))
        is_whole = uvloop.run(_sweep(machine, tried, plan, told))
    except KeyboardInterrupt:
        is_whole = False
    finally:
        _remove(machine.session, left, told)
    return is_whole, left


def _remove(session: Session, left: list[str], told: Progress) -> None:
    """All that can be, of which `left` has the rest."""
    try:
        for name in tuple(left):
            with contextlib.suppress(DeployError):
                tuning.remove(session, name)
                left.remove(name)
    finally:
        if left:
            told.say(f"not removed: {', '.join(left)}: the same command with --clean does it")


async def _sweep(machine: "_Remote", tried: Sequence[Tried], plan: Plan, told: Progress) -> bool:
    try:
        await sweep(tried, machine.fresh, plan, told.count)
    except asyncio.CancelledError:
        return False
    finally:
        machine.close()
    return True


class _Remote:
    """Asks temporary functions, each time its configuration was changed in a new environment."""

    def __init__(self, session: Session, like: Original, function: Function, payload: bytes) -> None:
        self.session, self._like, self._function, self._payload = session, like, function, payload
        self._invoke = remote.connect(session, qualifier="")
        self._number = 0

    def name(self, setting: Tried) -> str:
        return tuning.called(self._like.name, setting.memory, setting.architecture)

    def make(self, setting: Tried, package: Code) -> None:
        tuning.create(self.session, self._like, self.name(setting), setting.memory, setting.architecture, package)

    @contextlib.asynccontextmanager
    async def fresh(self, setting: Tried) -> AsyncIterator[Ask]:
        name = self.name(setting)
        self._number += 1
        await asyncio.to_thread(tuning.renew, self.session, self._like, name, self._number)

        async def ask() -> Sample:
            began = time.perf_counter()
            result = await self._invoke(Call(name, self._payload, tail=True))
            return _sample((time.perf_counter() - began) * 1000, self._function, result)

        yield ask

    def close(self) -> None:
        self._invoke.close()


def _sample(latency: float, function: Function, result: Result) -> Sample:
    """By the REPORT line at the end of its log."""
    lines = result.log.decode("utf-8", "replace").splitlines()
    found = next((each for each in map(log_lines.report, reversed(lines)) if each), log_lines.Report(""))
    error, text = "", refusal(result.payload)
    if result.error or text:
        kind, _, sentence = failure(function, result)[0].removeprefix(f"{function.name}: ").partition(": ")
        error, text = _kind(found, kind, sentence), text or sentence
    init = found.init_ms or found.restore_ms
    return Sample(latency, found.duration_ms, found.billed_ms, init, found.peak_mb, error, text)


def _kind(found: log_lines.Report, kind: str, text: str) -> str:
    """The error type of a failure, with the platform's own word where the runtime had no time for one."""
    if found.error == "Runtime.OutOfMemory" or _KILLED in text:
        return "Runtime.OutOfMemory"
    return "Sandbox.Timedout" if found.status == "timeout" or "Task timed out" in text else kind
