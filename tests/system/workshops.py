"""A folder with services and all that building them needs, and what `pilotlight build` makes there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLE = Path(__file__).parents[2] / "examples" / "question_answering"


class Registry(NamedTuple):
    """A registry on loopback that knows one user; `settings` is a docker config.json with their password."""

    address: str
    settings: Path


class Workshop(NamedTuple):
    """`base` is the image that packages begin with, in the registry; `python` the target's interpreter, which sees this
    folder alone. Containers are below `folder` too."""

    folder: Path
    registry: Registry
    base: str
    architecture: str
    python: Path

    def question_answering(self, name: str, *lines: str) -> Path:
        """A copy of the example, whose answers are not recorded, as nothing is reached from a container; `lines` are
        settings of its function more."""
        folder = self.folder / name
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".pilotlight", "train", "textgen"))
        settings = (
            (EXAMPLE / "pilotlight.toml").read_text(encoding="utf-8").replace("records = true", "records = false")
        )
        settings = settings.replace("[functions.qa]\n", "".join(f"{line}\n" for line in ("[functions.qa]", *lines)))
        return self.settle(folder, settings)

    def settle(self, service: Path, settings: str = "") -> Path:
        """Write the settings of a service that is built here."""
        own = f'\n[build]\narchitecture = "{self.architecture}"\nbase_image = "{self.base}"\n'
        (service / "pilotlight.toml").write_text(settings + own, encoding="utf-8")
        return service

    def build(self, service: Path, function: str, *arguments: str) -> dict[str, Any]:
        """What `pilotlight build FUNCTION --json` tells. Raises AssertionError with what it complained of."""
        options = ("--dir", str(service), "--json", "--plain-http", self.registry.address)
        python = () if "--python" in arguments else ("--python", str(self.python))
        command = [sys.executable, "-m", "pilotlight", "build", function, *options, *python, *arguments]
        done = subprocess.run(command, env=self._variables(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def _variables(self) -> Mapping[str, str]:
        own = {"TMPDIR": self.folder / "tmp", "PILOTLIGHT_CACHE": self.folder / "cache"}
        return {**os.environ, **{name: str(path) for name, path in own.items()}, "DOCKER_CONFIG": str(self.folder)}


def checks(told: Mapping[str, Any]) -> set[str]:
    """What all checks found; a check that was not made is no "passed"."""
    return {check["status"] for check in told["checks"]}
