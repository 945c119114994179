"""The work folder of a run that can be broken off: finished steps are kept, and the next run goes on after them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilotlight.errors import UsageError

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
            shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"making {folder}: {error.strerror}", "name another --out") from None
        self._done = _saved(folder)

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
        """What this step gave before, and those that came after it."""
        names = list(self._done)
        for stale in names[names.index(name) :] if name in names else ():
            del self._done[stale]

    def _save(self) -> None:
        part = self.folder / f"{STATE}.part"
        part.write_text(json.dumps(self._done, indent=1), encoding="utf-8")
        part.replace(self.folder / STATE)


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
    """Of a file with its neighbours that begin with its name or are JSON, or of all files in a folder."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
    else:
        near = path.parent.iterdir()
        files = sorted(each for each in near if each.is_file() and (each.name.startswith(path.name) or _beside(each)))
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            whole.update(f"{file.name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _beside(file: Path) -> bool:
    return file.suffix == ".json" or file.name == "vocab.txt"


def replace(new: Path, out: Path) -> None:
    """Put the folder `new` in the place of `out`. What was there stays until `new` is in its place."""
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
