"""What `pilotlight deploy` does, one step after another."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

import pilotlight
from pilotlight.artifacts import Artifact
from pilotlight.bundle import layout, registry
from pilotlight.bundle.blobs import Blobs
from pilotlight.bundle.credentials import Credentials
from pilotlight.bundle.reference import Reference
from pilotlight.bundle.transfers import Access
from pilotlight.cli import build_steps, models, progress
from pilotlight.cli import deploy_output as shown
from pilotlight.cli.build import OUT
from pilotlight.cli.interrupts import Interrupts
from pilotlight.cli.place import Place
from pilotlight.deploy import bootstrap, changes, live, mirror, names, packed, prune, stack, template, uploads
from pilotlight.deploy.session import Session
from pilotlight.deploy.stack import Owner, Prepared, Talk
from pilotlight.deploy.unit import Deployment, Unit
from pilotlight.deploy.watch import State
from pilotlight.errors import FunctionError, StackError, UsageError
from pilotlight.optimize.environment import home
from pilotlight.project import Function, Project

Models = Mapping[str, Mapping[str, mirror.Model]]
"""For each function the models that are mirrored, by their URIs."""


class Options(NamedTuple):
    """What the command line says."""

    place: Place
    yes: bool
    allow_replace: bool
    tests: bool
    prune: bool
    python: str
    as_json: bool


_BUILDING = "nothing was sent, the stack is as it was: the same command begins with the build"
_SENDING = "the stack is as it was: the same command sends what is not there yet"
_PREPARING = "no change was begun: the same command looks at the stack, waits for what goes on there, and asks anew"
_ASKING = "nothing was changed: the same command asks anew"
_CHANGING = "CloudFormation goes on: the same command waits for it and does the rest"
_LOOKING = "the stack is as it should be: the same command finds no change, and sends the test events"


def dry_run(service: Project, options: Options) -> int:
    """Build, and show what the template has; nothing is asked of AWS."""
    _check(service, options.place.stage)
    with Interrupts("nothing was sent: the same command begins with the build", options.as_json):
        deployment, _ = built(service, options.place.stage, options.python, options.as_json)
        shown.template(deployment, template.template(deployment), options.as_json)
    return 0


def deploy(service: Project, options: Options) -> int:
    """All of it; 1 when the answer was no, or a test event failed."""
    _check(service, options.place.stage)
    with Interrupts(_BUILDING, options.as_json) as interrupts:
        session = options.place.session(service)
        shown.account(session, options.as_json)
        deployment, found = built(service, options.place.stage, options.python, options.as_json)
        interrupts.text = _SENDING
        _send(session, deployment, found)
        state = _changed(session, deployment, options, interrupts)
        if state is None:
            shown.said("nothing was changed", options.as_json)
            return 1
        interrupts.text = _LOOKING
        _prune(session, deployment, options)
        return _shown(session, deployment, state, options)


def _changed(session: Session, deployment: Deployment, options: Options, interrupts: Interrupts) -> State | None:
    """The stack as it should be, None when the answer was no."""
    talk, owner = shown.talk(options.yes, options.as_json), Owner(deployment.project.name, deployment.stage)
    interrupts.text = _PREPARING
    prepared = _prepare(session, deployment, owner, talk)
    if not prepared:
        shown.said(f"no change: {names.stack(*owner)} is as it should be", options.as_json)
        return stack.settle(session, names.stack(*owner), owner, talk)
    shown.changes(prepared, options.as_json)
    interrupts.text = _ASKING
    if not _answered(session, prepared, options):
        return None
    interrupts.text = _CHANGING
    return stack.execute(session, prepared, talk)


def _check(service: Project, stage: str) -> None:
    """What would be refused at the end is refused at once."""
    names.stack(service.name, stage)
    for function in service.functions:
        names.function(function, stage)
        if function.defect:
            raise FunctionError(function.defect, function.hint)


def built(service: Project, stage: str, python: str, as_json: bool) -> tuple[Deployment, Models]:
    """The packages, as `pilotlight build` makes them, and the models that go beside them."""
    out = service.root / OUT
    build = build_steps.Options(
        out=out,
        package="",
        form="layout",
        push="",
        plain=frozenset(),
        dockerfile=None,
        python=python,
        only_checks=False,
        as_json=as_json,
    )
    plans = build_steps.prepared(build_steps.plans(service, service.functions, None))
    for plan in plans:
        build_steps.build(plan, service.build, build)
    functions = [plan.function for plan in plans]
    found = {function.name: mirror.models(function, models.here) for function in functions}
    units = tuple(
        Unit(function, _artifact(out, function), mirror.targets(service.name, found[function.name]))
        for function in functions
    )
    return Deployment(service, units, stage, pilotlight.__version__), found


def _artifact(out: Path, function: Function) -> Artifact:
    """What the build has left of this one."""
    path = out / f"{function.name}.json"
    try:
        fields = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        return msgspec.convert([fields[name] for name in Artifact._fields], Artifact)
    except (OSError, KeyError, msgspec.MsgspecError) as error:
        raise UsageError(f"reading {path}: {error}", "deploy again, which builds it anew") from None


def _send(session: Session, deployment: Deployment, found: Models) -> None:
    """Have all that the template names in the account. Raises `StackError`, too, before anything is sent in vain."""
    packed.check(session, deployment)
    service, bucket = deployment.project.name, names.bucket(session.account, session.region)
    with progress.shown() as told:
        if bootstrap.bucket(session, bucket):
            told.say(f"made the bucket {bucket}")
        for unit in deployment.units:
            name = unit.function.name
            if unit.artifact.kind == "zip":
                _send_zip(session, bucket, unit, _counted(told, f"uploading {name} (KB)", unit.artifact.size))
            else:
                _push(session, unit, told)
            for model in found[name].values():
                mirror.upload(
                    session, bucket, service, model, _counted(told, f"mirroring {model.uri} (KB)", model.size)
                )


def _counted(told: progress.Lines, what: str, size: int) -> uploads.Count:
    return lambda done: told.count(what, done // 1000, size // 1000)


def _send_zip(session: Session, bucket: str, unit: Unit, count: uploads.Count) -> None:
    artifact = unit.artifact
    uploads.zip_file(session, bucket, names.zip_key(artifact), Path(artifact.location), artifact.digest, count)


def _push(session: Session, unit: Unit, told: progress.Lines) -> None:
    """By its digest, with a tag for people; what the repository has is not sent again."""
    repository = names.repository(unit.function.service)
    if bootstrap.repository(session, repository, unit.function.service):
        told.say(f"made the repository {repository}")
    login = uploads.login(session)
    blobs = Blobs(home() / "build" / "blobs")
    image = layout.read(Path(unit.artifact.location), "", unit.artifact.architecture, blobs)
    tag = f"{unit.function.name}-{unit.artifact.digest.removeprefix('sha256:')[:12]}"
    registry.push(image, Reference(login.registry, repository, tag), blobs, Access(keys=_keys(login)), told.count)


def _keys(login: uploads.Login) -> Callable[[str], Credentials | None]:
    return lambda asked: Credentials(login.user, login.password) if asked == login.registry else None


def _prepare(session: Session, deployment: Deployment, owner: Owner, talk: Talk) -> Prepared | None:
    made = template.template(deployment)
    text = json.dumps(made, sort_keys=True, separators=(",", ":")).encode()
    name, bucket = names.stack(*owner), names.bucket(session.account, session.region)
    url = uploads.template(session, bucket, f"{owner.service}/templates/{name}-{uploads.digest(text)}.json", text)
    kept = any(str(each.get("DeletionPolicy", "")).startswith("Retain") for each in made["Resources"].values())
    return stack.prepare(session, name, owner, url, deployment.project.deploy.tags, kept, talk)


def _answered(session: Session, prepared: Prepared, options: Options) -> bool:
    """Whether to go on; when not, or when nobody answers, nothing stays of the change set."""
    agreed = False
    try:
        agreed = _agreed(prepared, options)
    finally:
        if not agreed:
            stack.withdraw(session, prepared)
    return agreed


def _agreed(prepared: Prepared, options: Options) -> bool:
    """Harm needs a yes of its own. Raises `StackError` for what CloudFormation would only fail on."""
    for each in changes.impossible(prepared.changes):
        reason, hint = changes.WHY_NOT[each.kind]
        raise StackError(f"changing {each.physical_id or each.logical_id}: {reason}", f"{hint}; nothing was changed")
    harm = changes.harmful(prepared.changes)
    if options.yes:
        if harm and not options.allow_replace:
            reasons = "; ".join(f"{each.logical_id}: {each.note}" for each in harm)
            shown.said(f"refused: {reasons}: --allow-replace allows that", options.as_json)
        return options.allow_replace or not harm
    if not shown.ask(f"Change {prepared.name}?"):
        return False
    return not harm or shown.ask(f"Really, with what is in red ({len(harm)})?")


def _prune(session: Session, deployment: Deployment, options: Options) -> None:
    functions = [names.function(unit.function, deployment.stage) for unit in deployment.units]
    found = prune.stale(session, functions)
    if found and options.prune:
        prune.remove(session, found)
    if found:
        shown.stale(found, options.prune, options.as_json)


def _shown(session: Session, deployment: Deployment, state: State, options: Options) -> int:
    """Outputs, a curl for each function, and what the test events gave."""
    shown.outputs(state.outputs, options.as_json)
    failed = False
    for unit in deployment.units:
        event = _event(unit.function)
        asked = live.request(unit.function, state.outputs.get(f"{unit.id}Url", ""), event) if event else None
        if asked:
            shown.curl(unit.function, asked, options.as_json)
        if event and options.tests:
            answer = _tested(session, deployment, unit, asked, event)
            shown.test(unit.function, answer, options.as_json)
            failed |= bool(answer.error)
    return int(failed)


def _event(function: Function) -> bytes:
    """Its saved event, b"" for none, or for one that is no JSON, which the build has told."""
    try:
        event = function.event_file.read_bytes()
        json.loads(event)
    except (OSError, ValueError):
        return b""
    return event


def _tested(
    session: Session, deployment: Deployment, unit: Unit, asked: live.Request | None, event: bytes
) -> live.Answer:
    """Through its front where that is open to all; who may pass another is not ours to know."""
    function, patience = unit.function, unit.function.timeout + 60  # seconds; the init phase may come before
    if asked and function.auth == "none" and not function.api_key:
        return live.send(asked, patience)
    return live.invoke(session, names.function(function, deployment.stage), event, patience)
