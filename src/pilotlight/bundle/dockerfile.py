"""The same image as a Dockerfile with its context, for those who build with Docker.

docs.docker.com/reference/dockerfile. What it makes has the files, the environment and the command that `image.append`
gives; its layers have the time of the build, so its digest is another each time.
"""

import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pilotlight.bundle import files
from pilotlight.bundle.files import Part
from pilotlight.bundle.image import Config
from pilotlight.bundle.layers import PREFIX
from pilotlight.errors import BuildError, UsageError

_PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def write(folder: Path, base: str, parts: Iterable[Part], config: Config, prefix: str = PREFIX) -> Path:
    """Write `Dockerfile` and a folder for each part into `folder`, which is empty or not there yet.

    Gives the Dockerfile. Raises `UsageError` when there is something already; then, and after any other failure,
    nothing is there that was not before.
    """
    parts = tuple(parts)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"writing a Dockerfile to {folder}: it is not empty", "name a folder that is not there yet")
    content = text(base, [part.name for part in parts], config, prefix)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as room:
        new = Path(room) / "new"
        for part in parts:
            (new / part.name).mkdir(parents=True)
            files.tree([part], new / part.name)
        new.mkdir(exist_ok=True)
        (new / "Dockerfile").write_text(content, encoding="utf-8")
        new.rename(folder)
    return folder / "Dockerfile"


def text(base: str, names: Iterable[str], config: Config, prefix: str = PREFIX) -> str:
    """What `docker build` reads; `names` are the folders of the parts, the rarest to change first."""
    lines = [
        f"FROM --platform={_PLATFORMS[config.architecture]} {base}" if config.architecture else f"FROM {base}",
        *(f"COPY --chown=0:0 {name}/ /{prefix}/" for name in names),
        *(f"ENV {_variable(name)}={_quoted(value)}" for name, value in config.env.items()),
        f"WORKDIR {config.workdir}" if config.workdir else "",
        f"USER {config.user}" if config.user else "",
        f"ENTRYPOINT {json.dumps(config.entrypoint)}" if config.entrypoint else "",
        f"CMD {json.dumps(config.cmd)}" if config.cmd else "",
    ]
    return "".join(f"{line}\n" for line in lines if line)


def _variable(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BuildError(f"writing a Dockerfile: {name!r} is no name of a variable", "rename it")
    return name


def _quoted(value: str) -> str:
    """In double quotes, where Docker reads backslashes and dollars: "Environment replacement"."""
    if "\n" in value or "\r" in value:
        raise BuildError("writing a Dockerfile: a variable has several lines", "build the image without a Dockerfile")
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'
