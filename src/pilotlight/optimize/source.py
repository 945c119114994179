"""Where a model comes from: a folder, the Hugging Face hub, a .pt2 archive or an .onnx file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pilotlight.errors import SourceError
from pilotlight.optimize import environment, worker
from pilotlight.optimize.progress import Progress

Kind = Literal["transformers", "pt2", "onnx", "keras", "savedmodel", "tflite"]
"""The last three are of pictures: `pictures.source` finds them."""

HUB = "hf://"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+|[\w.-]+")  # a few old models have no organisation
REVISION = re.compile(r"\w[\w./-]*")
FILES: dict[str, Kind] = {".pt2": "pt2", ".onnx": "onnx"}
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
FORMS = "a source is a folder, hf://org/name, hf://org/name@revision, a .pt2 or an .onnx file"


@dataclass(frozen=True)
class Source:
    """A model on this machine. `path` is a folder for `transformers`, else a file.

    `revision` is the hub's commit, "" for what is not from the hub; `license` is what the model card names, "" when it
    names none.
    """

    kind: Kind
    path: Path
    name: str
    revision: str
    license: str


def resolve(source: str, progress: Progress | None = None) -> Source:
    """The model that `source` names, downloaded when it is on the hub.

    Raises SourceError when there is no such thing, or it is no model, or the hub cannot be reached and has not been
    before.
    """
    if source.startswith(HUB):
        return _fetch(source, progress or Progress())
    if re.match(r"\w+://", source):
        raise SourceError(f"{source}: not a source that can be read", FORMS)
    path = Path(source).expanduser()
    if path.is_dir():
        check_folder(path)
        path = path.resolve()
        return Source("transformers", path, path.name, "", license_of(path))
    return _file(path)


def _file(path: Path) -> Source:
    if not path.is_file():
        looks_remote = re.fullmatch(REPOSITORY, str(path)) and "/" in str(path)
        raise SourceError(
            f"{path}: there is no such file or folder", f"on the hub: {HUB}{path}" if looks_remote else FORMS
        )
    kind = FILES.get(path.suffix.lower())
    if kind is None:
        raise SourceError(f"{path}: neither a .pt2 nor an .onnx file", FORMS)
    path = path.resolve()
    return Source(kind, path, path.stem, "", license_of(path.parent))


def _fetch(source: str, progress: Progress) -> Source:
    name, at, revision = source.removeprefix(HUB).partition("@")
    if not REPOSITORY.fullmatch(name) or ".." in source or (at and not REVISION.fullmatch(revision)):
        raise SourceError(f"{source}: not a name on the hub", "as in hf://org/name or hf://org/name@revision")
    job = {"do": "fetch", "repository": name, "revision": revision}
    found = worker.run(environment.python("torch", progress), job, progress, online=True)
    folder = Path(found["folder"])
    check_folder(folder)
    return Source("transformers", folder, name, found["revision"], license_of(folder))


def check_folder(folder: Path) -> None:
    """SourceError, with what is missing, when the folder holds no model of transformers."""
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / name).is_file() for name in WEIGHTS):
        missing.append("weights (model.safetensors or pytorch_model.bin)")
    if missing:
        others = sorted(path.name for path in folder.iterdir() if path.suffix in FILES)
        hint = f"give the file itself: {folder / others[0]}" if others else FORMS
        raise SourceError(f"{folder} is not a model: it has no {' and no '.join(missing)}", hint)


def license_of(folder: Path) -> str:
    """The licence in the front matter of the model card."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    matter = re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL)
    pattern = r"^license:[ \t]*(?:\n\s*-\s*)?['\"]?(\w[\w.+-]*)"
    named = re.search(pattern, matter[1], re.MULTILINE) if matter else None
    return named[1] if named else ""
