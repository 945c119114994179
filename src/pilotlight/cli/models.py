"""What has to be done to models before functions run: a checkpoint on the hub is optimised, once, into the cache."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pilotlight.cli import progress
from pilotlight.errors import FetchError, PilotlightError, UsageError
from pilotlight.function import cache, cache_entries, cache_lock, hub, transfer
from pilotlight.function.cache_entries import Entry, Manifest
from pilotlight.local import process
from pilotlight.optimize import tasks
from pilotlight.project import Function, Project

_KNOWN = (*tasks.TASKS, *tasks.SEQUENCES)  # those that need no samples of one's own
_OF_TAGS = {"sentence-similarity": "sentence-embedding"}  # of what the hub calls otherwise
_OF_CLASSES = {
    "ForQuestionAnswering": "question-answering",
    "ForSequenceClassification": "text-classification",
    "ForCausalLM": "text-generation",
    "MarianMTModel": "translation",
}


Ask = Callable[[hub.Hub], Mapping[str, Any]]
"""How the hub is asked what a repository is."""


class Checkpoint(NamedTuple):
    """What is to be optimised for `task`: `uri`, of which `source` is the commit where the hub says it."""

    uri: str
    source: str
    task: str


def prepare(projects: Sequence[Project]) -> list[Project]:
    """The projects, with models optimised. Where that fails, the function says so, and the others are served."""
    return [msgspec.structs.replace(each, functions=tuple(map(_or_why_not, each.functions))) for each in projects]


def _or_why_not(function: Function) -> Function:
    try:
        return ready(function)
    except PilotlightError as error:
        return msgspec.structs.replace(function, unmade=str(error), hint=error.hint)


def ready(function: Function) -> Function:
    """The function, with the folders of its models that were optimised. Raises `PilotlightError`."""
    root, found = _root(function), _looked_up(function, patiently)
    return _with(function, {uri: each if isinstance(each, str) else _make(root, each) for uri, each in found.items()})


def planned(function: Function, ask: Ask | None = None) -> tuple[Function, Mapping[str, str]]:
    """As `ready`, but what is not optimised yet is only told: the URI, and the task. Raises `PilotlightError`."""
    found = _looked_up(function, ask or patiently)
    todo = {uri: each.task for uri, each in found.items() if isinstance(each, Checkpoint)}
    return _with(function, {uri: each for uri, each in found.items() if isinstance(each, str)}), todo


def _root(function: Function) -> str:
    return os.path.join(process.cache_folder(function), cache.MODELS)


def _with(function: Function, found: Mapping[str, str]) -> Function:
    fetched = {uri: folder for uri, folder in found.items() if folder}
    return msgspec.structs.replace(function, fetched=fetched) if fetched else function


def here(function: Function, uri: str) -> str:
    """The folder on this machine of what a URI of its settings names, optimised or fetched when it is not there: what
    the function sees here. Raises `PilotlightError`."""
    return function.fetched.get(uri) or cache.fetch(uri)


def patiently(source: hub.Hub) -> Mapping[str, Any]:
    """What the hub says, asked again while that may help. Raises `FetchError`."""
    return transfer.retried(source.about, source)


def once(source: hub.Hub) -> Mapping[str, Any]:
    """What the hub says at once. Raises `FetchError`."""
    try:
        return source.about()
    except transfer.Again as again:
        raise again.problem from None


def never(source: hub.Hub) -> Mapping[str, Any]:
    """Raises `FetchError`: what is on this machine has to do."""
    raise FetchError("the hub was not asked")


def _looked_up(function: Function, ask: Ask) -> dict[str, str | Checkpoint]:
    """What there is of its models on the hub, all of them before minutes are spent on one."""
    if not function.optimize or function.defect:
        return {}
    named = [uri for uri in function.uris if uri.startswith(cache.HUB)]
    return {uri: _look_up(_root(function), uri, function.task, ask) for uri in named}


def _look_up(root: str, uri: str, task: str, ask: Ask) -> str | Checkpoint:
    """The model folder in `root`, or what it has to be made of; "" where the repository holds one, which is fetched as
    it is. Raises `PilotlightError`."""
    named = cache.normal(uri)
    if found := _made(root, named, task):
        return found
    if cache_entries.entry(root, named).whole() or hub.snapshot(named):
        return ""
    source, about = _look(named, ask)
    if hub.holds_model([each["rfilename"] for each in about.get("siblings", ())]):
        return ""
    return _checked(Checkpoint(named, source, task or _task(named, about)), about)


def _made(root: str, uri: str, task: str) -> str:
    """What was made of it before, without asking the hub."""
    for each in cache_entries.entries(root):
        kept = each.manifest()
        if kept and kept.uri == uri and kept.task and task in ("", kept.task) and (found := each.use()):
            return found
    return ""


def _look(uri: str, ask: Ask) -> tuple[str, Mapping[str, Any]]:
    """What to optimise, a commit where the hub says which, and what is known of it. Raises `FetchError`."""
    source = hub.Hub(uri)
    try:
        about = ask(source)
    except FetchError:
        folder = hub.kept_by_the_library(uri)
        if not folder:
            raise
        config = Path(folder, "config.json")
        return uri, {"config": msgspec.json.decode(config.read_bytes()) if config.is_file() else {}}
    return f"{uri.partition('@')[0]}@{about['sha']}", about


def _task(uri: str, about: Mapping[str, Any]) -> str:
    """What the hub, or the checkpoint, says that it is for. Raises `UsageError`."""
    tag = str(about.get("pipeline_tag", ""))
    classes = (about.get("config") or {}).get("architectures") or [""]
    of_class = next((task for end, task in _OF_CLASSES.items() if str(classes[0]).endswith(end)), "")
    for task in (_OF_TAGS.get(tag, tag), of_class):
        if task in _KNOWN:
            return task
    said = f", and the hub says {tag}" if tag else ""
    hint = f"set task to one of {', '.join(_KNOWN)}, or optimize = false where the repository holds a model folder"
    raise UsageError(f"optimising {uri}: what it is for is not known{said}", hint)


def _checked(found: Checkpoint, about: Mapping[str, Any]) -> Checkpoint:
    """Raises `UsageError` where it cannot be optimised, before it is fetched."""
    kind = str((about.get("config") or {}).get("model_type", ""))  # hubs may not say it
    if kind and (misfit := tasks.misfit(found.task, kind)):
        hint = "name a model of that kind, or the folder of one that was optimised elsewhere"
        raise UsageError(f"optimising {found.uri}: it is {misfit}", hint)
    if found.task in tasks.PICTURES:
        hint = "run `pilotlight optimize` with your samples, and name the folder that it writes as the model, not "
        reason = f"optimising {found.uri}: models of pictures need pictures to compare answers on"
        raise UsageError(reason, f"{hint}{found.uri}")
    return found


def _make(root: str, found: Checkpoint) -> str:
    """One at a time: another process waits, and finds it there."""
    from pilotlight.cli.optimize import of_texts, time_model

    uri, source, task = found
    pipeline = of_texts(task)
    entry = cache_entries.entry(root, uri, task)
    try:
        os.makedirs(entry.folder, exist_ok=True)
        lock = cache_lock.acquire(entry.lock, entry.whole, lambda: None, transfer.Waiting(entry, uri), float("inf"))
        with transfer.held(lock):
            if lock is not None:
                entry.discard()
                command = shlex.join(["pilotlight", "optimize", source, "--task", task, "--out", "model"])
                options = pipeline.Options(source, task, Path(entry.files), command=command)
                with progress.shown() as shown:
                    shown.say(f"optimising {uri} for {task}, once")
                    pipeline.optimize(options, time_model, shown)
                _write(entry, uri, source.partition("@")[2], task)
    except OSError as error:
        raise transfer.refused(entry, error) from None
    return entry.use()


def _write(entry: Entry, uri: str, revision: str, task: str) -> None:
    top = Path(entry.files)
    files = {str(path.relative_to(top)): path.stat().st_size for path in top.rglob("*") if path.is_file()}
    entry.write(Manifest(uri, revision, files, task=task))
