"""A model on disk: named tensors in, named tensors out."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING

from pilotlight.errors import ModelError, ModelNotInstalled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _typeshed import ReadableBuffer

FILE = "model.onnx"


class Model:
    """A model folder, which holds `model.onnx`, or an `.onnx` file; loaded when this is made.

    A relative path begins at the function's code (`LAMBDA_TASK_ROOT`), or at the working directory where that is not
    set. `install` is the command that puts a model there which does not ship with the project. `threads`, `options`
    and `optimize` are those of `onnx.Session`. `load_seconds` is what loading took, the runtime included.

    Raises `ModelNotInstalled` when nothing is at `path`, `ModelError` when it cannot be loaded.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        install: str = "",
        threads: int | None = None,
        options: Mapping[str, str] = {},
        optimize: bool = True,
    ) -> None:
        started = perf_counter()
        self.path = _located(os.fspath(path), install)

        from pilotlight.function.onnx import Session

        self._session = Session(self.path, threads=threads, options=options, optimize=optimize)
        self.inputs = self._session.inputs
        self.outputs = self._session.outputs
        self.load_seconds = perf_counter() - started

    def run(self, feeds: Mapping[str, ReadableBuffer], outputs: Sequence[str] | None = None) -> dict[str, memoryview]:
        """One buffer for each input -> a view for each output, or for those named; see `onnx.Session.run`."""
        return self._session.run(feeds, outputs)


def _located(path: str, install: str) -> str:
    """The absolute path of the model file."""
    path = os.path.abspath(os.path.join(os.environ.get("LAMBDA_TASK_ROOT", ""), path))
    if not os.path.exists(path):
        hint = install or "install it there, or correct the path"
        raise ModelNotInstalled(f"loading {path}: there is no model", hint)
    if not os.path.isdir(path):
        return path
    file = os.path.join(path, FILE)
    if not os.path.isfile(file):
        raise ModelError(f"loading {path}: the folder holds no {FILE}", "name a folder that does, or an .onnx file")
    return file
