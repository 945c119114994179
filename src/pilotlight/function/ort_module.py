"""ONNX Runtime by its Python module, where the wheel carries no plain library, as on macOS and in conda's packages.

Takes what `ort.LibrarySession` takes and gives what it gives, except that outputs are copies: the module makes them.
`import onnxruntime` brings numpy, so this is imported only where there is no library, or PILOTLIGHT_ONNXRUNTIME=module.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

from pilotlight.errors import ModelError
from pilotlight.function.ort import HINTS, LOG_ERROR
from pilotlight.function.session import NO_NUMBERS, TensorInfo, shaped
from pilotlight.function.trace import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DTYPES = {
    "tensor(float)": "f", "tensor(double)": "d", "tensor(float16)": "e", "tensor(bool)": "?",
    "tensor(int8)": "b", "tensor(int16)": "h", "tensor(int32)": "i", "tensor(int64)": "q",
    "tensor(uint8)": "B", "tensor(uint16)": "H", "tensor(uint32)": "I", "tensor(uint64)": "Q",
}  # fmt: skip


class ModuleSession:
    """A session of the module. In a child made by fork it is left alone, as `ort.Owned` says."""

    def __init__(self, path: str, threads: int, optimize: bool, options: Mapping[str, str]) -> None:
        self.path = path
        self.pid = os.getpid()
        with span("library"):
            self._numpy, module = _modules()
        with span("weights"):
            self._session: Any = _session(module, path, threads, optimize, options)
        self.inputs = tuple(_info(f"loading {path}: input", each) for each in self._session.get_inputs())
        self.outputs = tuple(_info(f"loading {path}: output", each) for each in self._session.get_outputs())

    def run(self, views: list[memoryview], wanted: Sequence[TensorInfo]) -> list[memoryview]:
        """One view for each input, in their order -> one for each output that is wanted."""
        feeds = {info.name: self._array(info, view) for info, view in zip(self.inputs, views, strict=True)}
        try:
            arrays = self._session.run([info.name for info in wanted], feeds)
        except Exception as error:  # the boundary to the module, whose errors share no class of their own
            raise _refusal(f"running {self.path}", error) from None
        return [_view(info, array) for info, array in zip(wanted, arrays, strict=True)]

    def _array(self, info: TensorInfo, view: memoryview) -> Any:
        array = self._numpy.asarray(view)
        return array.view(self._numpy.float16) if info.dtype == "e" else array

    def __del__(self, getpid: Any = os.getpid) -> None:  # module globals may be gone at exit
        if self.pid != getpid() and hasattr(self, "_session"):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))


def _modules() -> tuple[Any, Any]:
    """numpy and onnxruntime."""
    try:
        import numpy
        import onnxruntime
    except ImportError as error:
        absent = error.name in ("numpy", "onnxruntime")
        reason = "it is not installed" if absent else str(error)
        raise ModelError(f"loading ONNX Runtime: {reason}", 'pip install "pilotlight[onnx]"') from None
    return numpy, onnxruntime


def _session(module: Any, path: str, threads: int, optimize: bool, options: Mapping[str, str]) -> Any:
    settings = module.SessionOptions()
    settings.log_severity_level = LOG_ERROR
    settings.intra_op_num_threads = threads
    if not optimize:
        settings.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        for key, value in options.items():
            settings.add_session_config_entry(key, value)
        return module.InferenceSession(path, settings, ["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # the boundary to the module, as above
        raise _refusal(f"loading {path}", error) from None


def _refusal(doing: str, error: Exception) -> ModelError:
    """The module writes "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : " before the runtime's message."""
    message = " ".join(str(error).split())
    code = 0
    if message.startswith("[ONNXRuntimeError] : "):
        _, number, _, message = message.split(" : ", 3)
        code = int(number)
    return ModelError(f"{doing}: {message}", HINTS.get(code, ""))


def _info(doing: str, described: Any) -> TensorInfo:
    dtype = DTYPES.get(described.type)
    if dtype is None:
        raise ModelError(f"{doing} {described.name!r} is not a tensor of numbers", NO_NUMBERS)
    return TensorInfo(described.name, dtype, tuple(described.shape))


def _view(info: TensorInfo, array: Any) -> memoryview:
    dtype = "H" if info.dtype == "e" else info.dtype
    return shaped(array.reshape(-1).view("u1"), dtype, array.shape)
