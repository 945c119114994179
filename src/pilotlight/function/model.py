"""A model folder -> named tensors in, named tensors out."""

from __future__ import annotations

import os
from time import perf_counter

from pilotlight.errors import ModelError, ModelNotInstalled
from pilotlight.function import plain_json

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from _typeshed import ReadableBuffer

    from pilotlight.function.session import Session

FILES = ("model.onnx", "model.tflite")
"""What a folder may hold; the first that is there is taken."""
SETTINGS = "model.json"
FORMAT = 1
VARIABLE = "PILOTLIGHT_MODEL"
"""The environment variable with the path that the setting `model` says."""
_AGAIN = "the file is damaged: install the model again, or convert it again"


class Model:
    """A model folder, which holds `model.onnx` or else `model.tflite`, or such a file; loaded when this is made.

    A relative path begins at the function's code (`LAMBDA_TASK_ROOT`), or at the working directory where that is not
    set. A URI (hf://org/name@revision, s3://bucket/prefix) is fetched, as `cache.fetch` does. `install` is the command
    that puts a model there which does not ship with the project. `settings` is what the folder's `model.json` says, {}
    where there is none. `threads`, `options` and `optimize` are those of `onnx.Session`; the latter two come from the
    settings unless they are given, and are nothing to a model of TensorFlow Lite. `load_seconds` is what loading took,
    the runtime and a fetch included.

    Raises `ModelNotInstalled` when nothing is at `path`, `FetchError` when it cannot be fetched, `ModelError` when it
    cannot be loaded.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        install: str = "",
        threads: int | None = None,
        options: Mapping[str, str] | None = None,
        optimize: bool | None = None,
    ) -> None:
        started = perf_counter()
        self.path, settings = _located(os.fspath(path), install)
        self.settings = _read(settings) if settings else {}
        _check_sizes(os.path.dirname(self.path), self.settings)
        saved_optimize, saved_options = _session(self.settings, settings)
        self._session = _loaded(
            self.path,
            threads,
            saved_options if options is None else options,
            saved_optimize if optimize is None else optimize,
        )
        self.inputs = self._session.inputs
        self.outputs = self._session.outputs
        self.load_seconds = perf_counter() - started

    def run(self, feeds: Mapping[str, ReadableBuffer], outputs: Sequence[str] | None = None) -> dict[str, memoryview]:
        """One buffer for each input -> a view for each output, or for those named; see `session.Session.run`."""
        return self._session.run(feeds, outputs)


def _loaded(path: str, threads: int | None, options: Mapping[str, str], optimize: bool) -> Session:
    """By the engine that the file's name asks for; one without a known name is taken for ONNX."""
    if path.endswith(".tflite"):
        from pilotlight.function import litert

        return litert.Session(path, threads=threads)

    from pilotlight.function import onnx

    return onnx.Session(path, threads=threads, options=options, optimize=optimize)


def _located(path: str, install: str) -> tuple[str, str]:
    """The absolute paths of the model file and of the settings beside it, "" when there are none."""
    if "://" in path:
        from pilotlight.function.cache import fetch

        path = fetch(path)
    path = os.path.abspath(os.path.join(os.environ.get("LAMBDA_TASK_ROOT", ""), path))
    if not os.path.exists(path):
        hint = install or "install it there, or correct the path"
        raise ModelNotInstalled(f"loading {path}: there is no model", hint)
    if not os.path.isdir(path):
        return path, ""
    settings = os.path.join(path, SETTINGS)
    for file in (os.path.join(path, name) for name in FILES):
        if os.path.isfile(file):
            return file, settings if os.path.isfile(settings) else ""
    hint = "name a folder that does, or an .onnx or .tflite file"
    raise ModelError(f"loading {path}: the folder holds no {' and no '.join(FILES)}", hint)


def _read(file: str) -> dict[str, Any]:
    """What the settings say, of which only the format is checked."""
    try:
        with open(file, encoding="utf-8") as opened:
            settings: object = plain_json.loads(opened.read())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"loading {file}: it is not JSON: {error}", _AGAIN) from None
    except OSError as error:
        raise ModelError(f"loading {file}: {error.strerror}", "let the function read it") from None
    if not isinstance(settings, dict):
        raise ModelError(f"loading {file}: it is not a JSON object", _AGAIN)
    if settings.get("format") != FORMAT:
        found = settings.get("format")
        hint = "convert the model again, or install the version of pilotlight that did"
        raise ModelError(f"loading {file}: its format is {found!r}, this version reads {FORMAT}", hint)
    return settings


def _check_sizes(folder: str, settings: Mapping[str, Any]) -> None:
    """A file that was cut on its way would be read all the same: a vocabulary with other numbers, say."""
    files = settings.get("files", {})
    for name, size in files.items() if isinstance(files, dict) else ():
        file = os.path.join(folder, name)
        if not os.path.isfile(file):
            raise ModelError(f"loading {file}: there is no such file", _AGAIN)
        if (found := os.stat(file).st_size) != size:
            raise ModelError(f"loading {file}: it has {found} bytes, and {SETTINGS} says {size}", _AGAIN)


def _session(settings: Mapping[str, Any], file: str) -> tuple[bool, dict[str, str]]:
    """Whether the graph is to be optimised when it is loaded, and the session's options."""
    session = settings.get("session", {})
    if isinstance(session, dict):
        optimize, options = session.get("optimize", True), session.get("options", {})
        if isinstance(optimize, bool) and isinstance(options, dict) and all(map(_is_text, options.values())):
            return optimize, options
    reason = 'its "session" is not {"optimize": true or false, "options": {"key": "value"}}'
    raise ModelError(f"loading {file}: {reason}", _AGAIN)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
