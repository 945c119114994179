"""LiteRT by its Python module, where the library is absent or of a version that is not known; or when
PILOTLIGHT_LITERT=module says so. Takes what `litert_library.LibrarySession` takes and gives what it gives.

`import ai_edge_litert.interpreter` brings numpy, so this is imported only then.
"""

from __future__ import annotations

import ctypes
import os
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any

from pilotlight.errors import ModelError
from pilotlight.function.session import NO_NUMBERS, TensorInfo, shaped
from pilotlight.function.trace import span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NUMBERS = set("fdehiqbBHIQ?")
LONGS = {"l": "q", "L": "Q"}  # as numpy calls int64 and uint64
BUILT_IN = "the file may be damaged, or need operators that TensorFlow Lite itself lacks: convert the model again"


class ModuleSession:
    """A session of the module; its interpreter holds one run at a time. In a child made by fork it is left alone, as
    `session.Owned` says.
    """

    def __init__(self, path: str, threads: int) -> None:
        self.path = path
        self.pid = os.getpid()
        self._lock = allocate_lock()
        with span("library"):
            self._numpy, module = _modules()
        doing = f"loading {path}"
        with span("weights"):
            self._interpreter: Any = _calling(doing, lambda: module.Interpreter(model_path=path, num_threads=threads))
        _calling(doing, self._interpreter.allocate_tensors)  # refuses unknown operators
        signatures: Mapping[str, Any] = self._interpreter.get_signature_list()
        self._runner: Any = self._interpreter.get_signature_runner(next(iter(signatures))) if signatures else None
        self._inputs = self._details("input")
        self._outputs = self._details("output")
        self.inputs = tuple(_info(f"{doing}: input", name, each) for name, each in self._inputs.items())
        self.outputs = tuple(_info(f"{doing}: output", name, each) for name, each in self._outputs.items())

    def _details(self, kind: str) -> dict[str, Any]:
        if self._runner is not None:
            return dict(getattr(self._runner, f"get_{kind}_details")())
        return {each["name"]: each for each in getattr(self._interpreter, f"get_{kind}_details")()}

    def run(self, views: list[memoryview], wanted: Sequence[TensorInfo]) -> list[memoryview]:
        """One view for each input, in their order -> one for each output that is wanted."""
        with self._lock:
            found: dict[str, Any] = _calling(f"running {self.path}", lambda: self._run(views))
        return [_view(info, found[info.name]) for info in wanted]

    def _run(self, views: list[memoryview]) -> dict[str, Any]:
        asarray = self._numpy.asarray
        arrays = [asarray(view).view(each["dtype"]) for each, view in zip(self._inputs.values(), views, strict=True)]
        if self._runner is not None:
            return dict(self._runner(**dict(zip(self._inputs, arrays, strict=True))))
        interpreter, places = self._interpreter, [each["index"] for each in self._inputs.values()]
        for place, array in zip(places, arrays, strict=True):
            interpreter.resize_tensor_input(place, array.shape)
        interpreter.allocate_tensors()
        for place, array in zip(places, arrays, strict=True):
            interpreter.set_tensor(place, array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(each["index"]) for name, each in self._outputs.items()}

    def __del__(self, getpid: Callable[[], int] = os.getpid) -> None:  # module globals may be gone at exit
        if self.pid != getpid() and hasattr(self, "_interpreter"):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._interpreter))


def _modules() -> tuple[Any, Any]:
    """numpy and LiteRT's interpreter."""
    try:
        import numpy
        from ai_edge_litert import interpreter
    except ImportError as error:
        absent = error.name in ("numpy", "ai_edge_litert")
        reason = "it is not installed" if absent else str(error)
        raise ModelError(f"loading LiteRT: {reason}", 'pip install "pilotlight[tflite]"') from None
    return numpy, interpreter


def _calling(doing: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # the boundary to the module, whose errors share no class of their own
        raise ModelError(f"{doing}: LiteRT: {' '.join(str(error).split())[:300]}", BUILT_IN) from None


def _info(doing: str, name: str, details: Mapping[str, Any]) -> TensorInfo:
    dtype = "S" if details["dtype"] is bytes else str(details["dtype"]().dtype.char)
    if (dtype := LONGS.get(dtype, dtype)) not in NUMBERS:
        raise ModelError(f"{doing} {name!r} is not a tensor of numbers", NO_NUMBERS)
    sizes = details["shape_signature"] if len(details["shape_signature"]) else details["shape"]
    shape = tuple(int(size) if size >= 0 else None for size in sizes)
    scales, zero_points = (details["quantization_parameters"][each] for each in ("scales", "zero_points"))
    return TensorInfo(name, dtype, shape, *((float(scales[0]), int(zero_points[0])) if len(scales) == 1 else ()))


def _view(info: TensorInfo, array: Any) -> memoryview:
    dtype = "H" if info.dtype == "e" else info.dtype
    return shaped(array.reshape(-1).view("u1"), dtype, array.shape)
