"""ONNX models without numpy and without `import onnxruntime`: buffers in, buffers out.

A cold start pays for imports, so this goes to the runtime's shared library by ctypes; what that saves is measured in
docs/decisions/0003-onnxruntime-by-its-c-api.md. Where there is no such library, the Python module does the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pilotlight.errors import ModelError
from pilotlight.function.ort import LibrarySession, TensorInfo, find_library, shaped
from pilotlight.function.trace import span
from pilotlight.limits import MEMORY_OF_ONE_VCPU

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _typeshed import ReadableBuffer

    from pilotlight.function.ort_module import ModuleSession

__all__ = ["Session", "TensorInfo", "default_threads", "shaped"]

DTYPE_NAMES = {
    "f": "float32", "d": "float64", "e": "float16", "?": "bool",
    "b": "int8", "h": "int16", "i": "int32", "q": "int64",
    "B": "uint8", "H": "uint16", "I": "uint32", "Q": "uint64",
}  # fmt: skip
LONGS = {("l", 8): "q", ("L", 8): "Q", ("l", 4): "i", ("L", 4): "I"}  # numpy and array say "l" for int64


class Session:
    """A loaded model, to be run from any number of threads.

    `threads` work on one run together; by default as many as Lambda gives vCPUs to the function. `options` are session
    configuration entries, whose keys `onnxruntime_session_options_config_keys.h` lists. `optimize=False` takes the
    graph as it is: right and faster for one that was optimised before it was saved.

    A child made by fork may go on with the session. Threads do not survive a fork, so a session of several is loaded
    anew by its first run in the child.

    Raises `ModelError` when the runtime is not installed, or the model is missing, damaged, or has inputs or outputs
    other than tensors of numbers.
    """

    def __init__(
        self, path: str, *, threads: int | None = None, options: Mapping[str, str] = {}, optimize: bool = True
    ) -> None:
        self.path = path
        self.threads = default_threads() if threads is None else threads
        self._options = dict(options)
        self._optimize = optimize
        self._has_run = False
        session = self._load()
        self._session: LibrarySession | ModuleSession | None = session
        self.inputs = session.inputs
        self.outputs = session.outputs
        self._inputs = {info.name: info for info in self.inputs}
        self._outputs = {info.name: info for info in self.outputs}

    def run(self, feeds: Mapping[str, ReadableBuffer], outputs: Sequence[str] | None = None) -> dict[str, memoryview]:
        """Run the model on one C-contiguous buffer for each input; give all outputs, or those named.

        Anything with the buffer protocol will do, read-only or not: array.array, a memoryview cast to a shape, a numpy
        array. It is read where it lies, so leave it as it is until the run is over. float16 may also be given as its
        bits (format "H").

        The views given back have format and shape of the tensors; float16 comes as its bits, "H", since memoryview has
        no cast to "e". They look into the runtime's own memory, which is released after the last view of it: nothing
        is copied, nor by `numpy.asarray(view)`, nor when a view is a feed of the next run, as the keys and values of a
        decoder are. `shaped(b"", "f", (1, 12, 0, 64))` makes the tensor without elements that such a chain begins
        with, which `memoryview.cast` does not. Raises `ModelError` when a feed does not fit the model, an output is
        unknown, or the run fails.
        """
        session = self._live()
        views = self._fitting(feeds)
        wanted = self.outputs if outputs is None else self._named(outputs)
        if self._has_run:
            results = session.run(views, wanted)
        else:
            with span("first run"):  # it allocates what later runs use again
                results = session.run(views, wanted)
            self._has_run = True
        return {info.name: result for info, result in zip(wanted, results, strict=True)}

    def close(self) -> None:
        """Release the model. Runs under way in other threads end well, and views of outputs stay good."""
        self._session = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> LibrarySession | ModuleSession:
        try:
            return _load(self.path, self.threads, self._optimize, self._options)
        except ModelError as error:
            if not any(sign in str(error) for sign in ("xternal", f"{self.path}.data")):
                raise
            hint = f"{_weights(self.path)} is cut or absent: install the model again, with all its files"
            raise ModelError(str(error), hint) from None

    def _live(self) -> LibrarySession | ModuleSession:
        session = self._session
        if session is None:
            raise self._refusal("the session is closed")
        if self.threads != 1 and session.pid != os.getpid():
            session = self._session = self._load()
        return session

    def _fitting(self, feeds: Mapping[str, ReadableBuffer]) -> list[memoryview]:
        """The feeds in the order of the inputs, as views, which hold the buffers where they are during the run."""
        if unknown := feeds.keys() - self._inputs.keys():
            raise self._refusal(f"there is no input {min(unknown)!r}", _list("inputs", self.inputs))
        return [self._view(info, feeds) for info in self.inputs]

    def _view(self, info: TensorInfo, feeds: Mapping[str, ReadableBuffer]) -> memoryview:
        if info.name not in feeds:
            raise self._refusal(f"input {info.name!r} is missing", _list("inputs", self.inputs))
        feed = feeds[info.name]
        try:
            view = memoryview(feed)
        except TypeError:
            raise self._misfit(info, f"an object of type {type(feed).__name__}") from None
        if not _fits(view, info):
            raise self._misfit(info, _tensor(_dtype(view), view.shape or ()))
        if not view.c_contiguous:
            raise self._misfit(info, "one that is not C-contiguous")
        return view

    def _misfit(self, info: TensorInfo, got: str) -> ModelError:
        hint = "give a C-contiguous buffer of that type and shape: an array.array, a memoryview or a numpy array"
        return self._refusal(f"input {info.name!r} takes {_tensor(info.dtype, info.shape)}, got {got}", hint)

    def _named(self, outputs: Sequence[str]) -> list[TensorInfo]:
        for name in outputs:
            if name not in self._outputs:
                raise self._refusal(f"there is no output {name!r}", _list("outputs", self.outputs))
        return [self._outputs[name] for name in outputs]

    def _refusal(self, reason: str, hint: str = "") -> ModelError:
        return ModelError(f"running {self.path}: {reason}", hint)


def default_threads() -> int:
    """The vCPUs that Lambda gives a function of this memory, at most those this process may run on; elsewhere these."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    return min(max(round(int(memory) / MEMORY_OF_ONE_VCPU), 1), usable) if memory else usable


def _load(path: str, threads: int, optimize: bool, options: Mapping[str, str]) -> LibrarySession | ModuleSession:
    # Since 1.29 ONNX Runtime for Linux reports to Microsoft which models are run, from a thread of its own, unless this
    # says no before it starts (github.com/microsoft/onnxruntime/pull/27379). And that thread would be lost by a fork.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    library = find_library()
    if library and library != "module":
        return LibrarySession(library, path, threads, optimize, options)

    from pilotlight.function.ort_module import ModuleSession

    return ModuleSession(path, threads, optimize, options)


def _weights(path: str) -> str:
    """The file with the external weights, as messages name it; only the runtime knows one of another name."""
    usual = f"{path}.data"
    return usual if os.path.exists(usual) else f"the file with its weights (usually {os.path.basename(usual)})"


def _fits(view: memoryview, info: TensorInfo) -> bool:
    dtype = _dtype(view)
    if dtype != info.dtype and (dtype, info.dtype) != ("H", "e"):
        return False
    if not info.shape:  # a scalar, or of unknown rank: the runtime knows which, and checks
        return True
    sizes = zip(info.shape, view.shape or (), strict=False)
    return len(info.shape) == view.ndim and all(size == got or not isinstance(size, int) for size, got in sizes)


def _dtype(view: memoryview) -> str:
    """The format without its byte order, when that is this machine's; Lambda's are all little-endian."""
    dtype = view.format.lstrip("@=<")
    return LONGS.get((dtype, view.itemsize), dtype)


def _tensor(dtype: str, shape: Sequence[int | str | None]) -> str:
    return f"{DTYPE_NAMES.get(dtype, dtype)} [{', '.join('?' if size is None else str(size) for size in shape)}]"


def _list(kind: str, infos: Sequence[TensorInfo]) -> str:
    return f"the {kind} are: " + ", ".join(f"{info.name} {_tensor(info.dtype, info.shape)}" for info in infos)
