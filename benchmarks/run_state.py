"""What the last run has done, in a file of JSON that git ignores: for `run.py --resume`."""

import json
import time
from pathlib import Path
from typing import Self


class State:
    """Written with each change, so that nothing that breaks a run off loses it."""

    def __init__(self, path: Path, began: float) -> None:
        self._path, self._began = path, began
        self.done: list[str] = []
        self.failed: dict[str, str] = {}
        self.not_run: dict[str, str] = {}

    @classmethod
    def read(cls, path: Path, resume: bool) -> Self:
        """What the last run left; without `resume` only why benchmarks have no page of it."""
        state = cls(path, time.time())
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            state.failed, state.not_run = kept["failed"], kept["not_run"]
            if resume:
                state._began, state.done = kept["began"], kept["done"]
        return state

    def is_done(self, name: str, results: Path) -> bool:
        page = results / f"{name}.md"
        return name in self.done and page.exists() and page.stat().st_mtime >= self._began

    def finish(self, name: str) -> None:
        self._forget(name)
        self.done.append(name)
        self._write()

    def fail(self, name: str, why: str) -> None:
        self._forget(name)
        self.failed[name] = why
        self._write()

    def put_off(self, name: str, why: str) -> None:
        self._forget(name)
        self.not_run[name] = why
        self._write()

    def _forget(self, name: str) -> None:
        self.failed.pop(name, None)
        self.not_run.pop(name, None)
        self.done = [each for each in self.done if each != name]

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"began": self._began, "done": self.done, "failed": self.failed, "not_run": self.not_run}
        self._path.write_text(json.dumps(kept, indent=2), encoding="utf-8")
