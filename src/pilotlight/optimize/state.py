"""The work folder of a run that can be broken off: finished steps are kept, and the next run goes on after them."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pilotlight.optimize import place
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    from pilotlight.optimize.progress import Progress

Run = TypeVar("Run")
Step = Callable[[Run, Path], dict[str, Any]]
"""Fills an empty folder and gives what is to be kept beside it."""
Results = dict[str, dict[str, Any]]

STATE = "state.json"


class Work:
    """`folder` holds a folder for each finished step, and `state.json` what each gave, with its key.

    A step's key is made of what the step depends on and of the key before it. A step whose key is not the one that was
    saved is done again, with all that come after it.
    """

    def __init__(self, folder: Path, key: str, fresh: bool) -> None:
        self.folder = folder
        self._key = key
        if fresh:
            _empty(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._done = _saved(folder)

    def steps(self, run: Run, does: Mapping[str, tuple[object, Step[Run]]], progress: Progress) -> Results:
        """Every step, in order, each only when it is not finished yet; what each gave.

        `does` has for each what it depends on besides the steps before it, and what is called with `run`.
        """
        done = {}
        for number, (name, (depends, do)) in enumerate(does.items(), 1):
            progress.step(number, len(does), name)
            done[name] = self.step(name, depends, functools.partial(do, run))
        return done

    def step(self, name: str, depends: object, do: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
        """What `do` gave for the empty folder that it filled, now `folder/name`; done only if it is not there yet."""
        self._key = digest(f"{self._key} {name} {json.dumps(depends, sort_keys=True)}")
        saved = self._done.get(name)
        if saved and saved["key"] == self._key and (self.folder / name).is_dir():
            result: dict[str, Any] = saved["result"]
            return result
        self._forget(name)
        unfinished = self.folder / f"{name}.unfinished"
        for left in (unfinished, self.folder / name):
            shutil.rmtree(left, ignore_errors=True)
        unfinished.mkdir()
        result = do(unfinished)
        unfinished.rename(self.folder / name)
        self._done[name] = {"key": self._key, "result": result}
        self._save()
        return result

    def _forget(self, name: str) -> None:
        """What this step gave before, and those that came after it; saved before any of their files change."""
        names = list(self._done)
        if name not in names:
            return
        for stale in names[names.index(name) :]:
            del self._done[stale]
        self._save()

    def _save(self) -> None:
        part = self.folder / f"{STATE}.part"
        part.write_text(json.dumps(self._done, indent=1), encoding="utf-8")
        part.replace(self.folder / STATE)


def _empty(folder: Path) -> None:
    """All but the lock goes, which this run holds."""
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        elif each.name != place.LOCK:
            each.unlink()


def finished(folder: Path) -> list[str]:
    """The steps that a run which was broken off has finished."""
    return list(_saved(folder))


def _saved(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        saved: dict[str, dict[str, Any]] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return saved


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(path: Path) -> str:
    """Of all files in a folder, by their paths in it; or of a file, with the data files that a graph names, and with
    its neighbours that begin with its name or are JSON."""
    home = path if path.is_dir() else path.parent
    files = {each for each in path.rglob("*") if each.is_file()} if path.is_dir() else _of_file(path)
    whole = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as opened:
            name = file.relative_to(home)
            whole.update(f"{name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _of_file(path: Path) -> set[Path]:
    near = {each for each in path.parent.iterdir() if each.name.startswith(path.name) or _beside(each)}
    named = {path.parent / location for location in _locations(path)} if path.suffix.lower() == ".onnx" else set()
    return {each for each in near | named if each.is_file()}


def _locations(path: Path) -> set[str]:
    """The data files that the graph names inside its folder; none of a damaged graph, which is refused later."""
    onnx = needed("onnx")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # protobuf's own errors, by its implementation
        return set()
    tensors = onnx.external_data_helper._get_all_tensors(model)
    found = {each.value for tensor in tensors for each in tensor.external_data if each.key == "location"}
    return {each for each in found if not Path(each).is_absolute() and ".." not in Path(each).parts}


def _beside(file: Path) -> bool:
    return file.suffix == ".json" or file.name == "vocab.txt"
