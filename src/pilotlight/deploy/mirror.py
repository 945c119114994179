"""Models on the hub, as functions on AWS have them: in the artefact bucket, under a name of their content.

A checkpoint is optimised and packed. What a function fetches all the same, one in a VPC without NAT could not, and
the hub may be slow or away when an environment starts. So the model goes to S3 as this machine has it when the
service is deployed, and the function is told to fetch s3://. What it fetches is held to the SHA-256 in the model.json
beside it (`function/transfer.py`); those that a repository's own does not have are added here.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pilotlight.deploy import names
from pilotlight.deploy.session import Session, asking
from pilotlight.deploy.uploads import Count, put, silent
from pilotlight.errors import ModelError
from pilotlight.function import cache, hub
from pilotlight.function.model import FORMAT, SETTINGS
from pilotlight.project import Function

FolderOf = Callable[[Function, str], str]
"""Where on this machine the model is that a URI of the function's settings names, made or fetched when it is not."""


class File(NamedTuple):
    """`name` has "/" between folders; its bytes are `content`, or in the file `path` where that is None."""

    name: str
    size: int
    sha256: str
    path: Path
    content: bytes | None = None

    def open(self) -> BinaryIO:
        return self.path.open("rb") if self.content is None else BytesIO(self.content)


class Model(NamedTuple):
    """What a URI of the settings names, file by file, in the order of their names."""

    uri: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """ "sha256:..." of names and contents."""
        lines = "".join(f"{file.sha256}  {file.name}\n" for file in self.files)
        return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"

    def prefix(self, service: str) -> str:
        return names.model_prefix(service, self.digest)


def models(function: Function, folder_of: FolderOf) -> dict[str, Model]:
    """What is to be mirrored for a function: what it fetches from the hub, read from the folders on this machine.

    Raises what `folder_of` raises, and `ModelError` when a file is not what its model.json says.
    """
    return {uri: read(uri, Path(folder_of(function, uri))) for uri in function.fetches if uri.startswith(cache.HUB)}


def targets(service: str, found: Mapping[str, Model]) -> dict[str, str]:
    """`Unit.models`: where each of them is, the bucket as text of Fn::Sub."""
    return {uri: f"{cache.S3}{names.bucket()}/{model.prefix(service)}" for uri, model in found.items()}


def read(uri: str, folder: Path) -> Model:
    """The model in a folder, every file of it read. Raises `ModelError`."""
    doing = f"mirroring {uri}"
    try:
        paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        found = {name: _file(name, path) for name, path in paths.items() if hub.is_wanted(name)}
        made = [_settings(uri, top, own, found) for top, own in _by_folder(found).items()]
    except OSError as error:
        raise ModelError(f"{doing}: reading {error.filename or folder}: {error.strerror}", _again(uri)) from None
    if not found:
        raise ModelError(f"{doing}: {folder} holds no files of a model", _again(uri))
    found |= {file.name: file for file in made if file}
    return Model(uri, tuple(found[name] for name in sorted(found)))


def upload(session: Session, bucket: str, service: str, model: Model, count: Count = silent) -> int:
    """Have the model in the bucket; the bytes that had to be sent. `count` is told how many are there of `model.size`.

    A name has one content, and an object of S3 is there whole or not at all: what is there does not travel again, also
    when an upload was broken off. Raises `DeployError`.
    """
    prefix, doing = model.prefix(service), f"mirroring {model.uri}"
    there = _listed(session, bucket, prefix, doing)
    missing = [file for file in model.files if there.get(file.name) != file.size]
    done = model.size - sum(file.size for file in missing)
    for file in missing:
        count(done)
        _send(session, bucket, f"{prefix}/{file.name}", file, doing, _beyond(done, count))
        done += file.size
    count(done)
    return sum(file.size for file in missing)


def _beyond(done: int, count: Count) -> Count:
    return lambda sent: count(done + sent)


def _send(session: Session, bucket: str, key: str, file: File, doing: str, count: Count) -> None:
    try:
        with file.open() as content:
            put(session, bucket, key, content, file.size, f"{doing}: {file.name}", "application/octet-stream", count)
    except OSError as error:
        raise ModelError(f"{doing}: reading {file.path}: {error.strerror}", "deploy again") from None


def _listed(session: Session, bucket: str, prefix: str, doing: str) -> dict[str, int]:
    """What is there of it, with sizes."""
    pages = session.client("s3").get_paginator("list_objects_v2")
    where = {"Bucket": bucket, "Prefix": f"{prefix}/", "ExpectedBucketOwner": session.account}
    with asking(doing):
        found: list[Any] = [each for page in pages.paginate(**where) for each in page.get("Contents", ())]
    return {each["Key"].removeprefix(f"{prefix}/"): each["Size"] for each in found}


# digests


def _again(uri: str) -> str:
    return f"have it made or fetched anew: pilotlight cache remove {uri}"


def _file(name: str, path: Path) -> File:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return File(name, path.stat().st_size, digest, path)


def _by_folder(found: Mapping[str, File]) -> dict[str, list[File]]:
    """Files by the nearest folder above them that has a model.json, or the one above all: "" or with "/" at its end."""
    tops = sorted({"", *(name.removesuffix(SETTINGS) for name in found if f"/{name}".endswith(f"/{SETTINGS}"))})
    nearest = {name: max((top for top in tops if name.startswith(top)), key=len) for name in found}
    return {top: [file for name, file in found.items() if nearest[name] == top] for top in tops}


def _settings(uri: str, top: str, own: list[File], found: Mapping[str, File]) -> File | None:
    """The model.json of a folder with the digests of its own files; None where it has them all, or cannot be read."""
    name = f"{top}{SETTINGS}"
    sums = {file.name.removeprefix(top): file.sha256 for file in own if file.name != name}
    said = _read(found.get(name))
    known = said.get("sha256", {}) if said is not None else None
    if said is None or not isinstance(known, dict):
        return None
    for each in sorted(known.keys() & sums.keys()):
        if known[each] != sums[each]:
            reason = f"the SHA-256 of {top}{each} is {sums[each]}, and {name} says {known[each]}"
            raise ModelError(f"mirroring {uri}: {reason}", _again(uri))
    if known.keys() >= sums.keys():
        return None
    content = json.dumps({**said, "sha256": {**known, **sums}}, indent=2).encode() + b"\n"
    return File(name, len(content), hashlib.sha256(content).hexdigest(), Path(), content)


def _read(file: File | None) -> dict[str, Any] | None:
    """What a model.json says; None for what is no JSON object."""
    if file is None:
        return {"format": FORMAT}
    try:
        said = json.loads(file.path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
