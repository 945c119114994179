"""The C API of ONNX Runtime over ctypes, as much of it as `onnx.py` needs.

The onnxruntime wheel carries `capi/libonnxruntime.so.*`, which gives out one structure of function pointers, `OrtApi`.
Its order is that of `onnxruntime_c_api.h` (github.com/microsoft/onnxruntime, include/onnxruntime/core/session). It
only ever grows at its end, which assertions at the foot of `onnxruntime_c_api.cc` hold, so a position once read stays
right. Version 5 of the API (onnxruntime 1.5) is the oldest that has every function used here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from math import prod
from struct import calcsize

from pilotlight.errors import ModelError
from pilotlight.function.session import NO_NUMBERS, Dimensions, Owned, TensorInfo, address, shaped
from pilotlight.function.trace import span

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Status = Callable[..., int | None]
    Release = Callable[[int | None], None]

API_VERSION = 5
FUNCTIONS = 131  # the part of OrtApi in use: AddSessionConfigEntry, at 130, is the last
LOG_ERROR = 3  # OrtLoggingLevel
DISABLE_ALL = 0  # GraphOptimizationLevel
DEVICE_ALLOCATOR = MEMORY_DEFAULT = 0  # OrtAllocatorType, OrtMemType: memory that is not the runtime's own

# ONNXTensorElementDataType -> format character of struct and memoryview
DTYPES = {1: "f", 2: "B", 3: "b", 4: "H", 5: "h", 6: "i", 7: "q", 9: "?", 10: "e", 11: "d", 12: "I", 13: "Q"}
ELEMENT_TYPES = {dtype: element for element, dtype in DTYPES.items()}

# OrtErrorCode -> what to do about it
HINTS = {
    3: "check the path, and that the file is part of what is deployed",  # ORT_NO_SUCHFILE
    7: "the file is damaged or is no ONNX model: copy or export it again",  # ORT_INVALID_PROTOBUF
    9: 'the model needs a newer ONNX Runtime: pip install --upgrade "pilotlight[onnx]"',  # ORT_NOT_IMPLEMENTED
}

Function = ctypes.CFUNCTYPE(c_void_p)  # one class for all: result and arguments are set on each function


class Runtime:
    """The functions of `OrtApi` in use, by their position in it, and what a process needs once.

    The runtime's environment is a singleton of the library. It has no threads and lives as long as the process, so a
    child made by fork goes on with it.
    """

    def __init__(self, library: str) -> None:
        self._table = _function_table(library)
        self.error_code: Callable[[int], int] = self._function(c_int, 1, c_void_p)
        self.error_message: Callable[[int], bytes] = self._function(c_char_p, 2, c_void_p)
        self.release_status = self._release(93)
        self._bind_sessions()
        self._bind_tensors()
        self._bind_descriptions()
        self._start(f"starting ONNX Runtime from {library}")

    def _function(self, returns: type | None, position: int, *arguments: type) -> ctypes._CFunctionType:
        function = Function(self._table[position] or 0)
        function.restype, function.argtypes = returns, arguments
        return function

    def _status(self, position: int, *arguments: type) -> Status:
        return self._function(c_void_p, position, *arguments)

    def _release(self, position: int) -> Release:
        return self._function(None, position, c_void_p)

    def _bind_sessions(self) -> None:
        self.create_session = self._status(7, c_void_p, c_char_p, c_void_p, c_void_p)
        self.run = self._status(9, *[c_void_p] * 4, c_size_t, c_void_p, c_size_t, c_void_p)
        self.create_session_options = self._status(10, c_void_p)
        self.set_optimization = self._status(23, c_void_p, c_int)
        self.set_threads = self._status(24, c_void_p, c_int)
        self.add_config_entry = self._status(130, c_void_p, c_char_p, c_char_p)
        self.release_session = self._release(95)
        self.release_session_options = self._release(100)

    def _bind_tensors(self) -> None:
        self.create_tensor = self._status(49, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_int, c_void_p)
        self.tensor_data = self._status(51, c_void_p, c_void_p)
        self.dimension_count = self._status(61, c_void_p, c_void_p)
        self.dimensions = self._status(62, c_void_p, c_void_p, c_size_t)
        self.type_and_shape = self._status(65, c_void_p, c_void_p)
        self.release_value = self._release(96)
        self.release_type_and_shape = self._release(99)

    def _bind_descriptions(self) -> None:
        self.input_count = self._status(30, c_void_p, c_void_p)
        self.output_count = self._status(31, c_void_p, c_void_p)
        self.input_type = self._status(33, c_void_p, c_size_t, c_void_p)
        self.output_type = self._status(34, c_void_p, c_size_t, c_void_p)
        self.input_name = self._status(36, c_void_p, c_size_t, c_void_p, c_void_p)
        self.output_name = self._status(37, c_void_p, c_size_t, c_void_p, c_void_p)
        self.as_tensor = self._status(55, c_void_p, c_void_p)
        self.element_type = self._status(60, c_void_p, c_void_p)
        self.symbolic_dimensions = self._status(63, c_void_p, c_void_p, c_size_t)
        self.free = self._status(76, c_void_p, c_void_p)
        self.release_type = self._release(98)

    def _start(self, doing: str) -> None:
        create_env, disable_telemetry = self._status(3, c_int, c_char_p, c_void_p), self._status(6, c_void_p)
        create_memory_info, get_allocator = self._status(69, c_int, c_int, c_void_p), self._status(78, c_void_p)
        self.env = self.made(doing, create_env, LOG_ERROR, b"pilotlight")
        self.check(doing, disable_telemetry(self.env))
        self.memory_info = self.made(doing, create_memory_info, DEVICE_ALLOCATOR, MEMORY_DEFAULT)
        self.allocator = self.made(doing, get_allocator)

    def check(self, doing: str, status: int | None) -> None:
        """Raise `ModelError` with the runtime's message unless `status` is None, which is success."""
        if status is None:
            return
        message = " ".join(self.error_message(status).decode(errors="replace").split())
        hint = HINTS.get(self.error_code(status), "")
        self.release_status(status)
        raise ModelError(f"{doing}: {message}", hint)

    def made(self, doing: str, function: Status, *arguments: object) -> int:
        """What `function` writes through its last argument, a pointer or a number; 0 for none."""
        out = c_void_p()
        self.check(doing, function(*arguments, byref(out)))
        return out.value or 0

    def inputs(self, doing: str, session: Owned) -> tuple[TensorInfo, ...]:
        count = self.made(doing, self.input_count, session.pointer)
        read = (f"{doing}: input", session, self.input_name, self.input_type)
        return tuple(self._tensor(*read, index) for index in range(count))

    def outputs(self, doing: str, session: Owned) -> tuple[TensorInfo, ...]:
        count = self.made(doing, self.output_count, session.pointer)
        read = (f"{doing}: output", session, self.output_name, self.output_type)
        return tuple(self._tensor(*read, index) for index in range(count))

    def _tensor(self, doing: str, session: Owned, name_of: Status, type_of: Status, index: int) -> TensorInfo:
        name = self._name(doing, session, name_of, index)
        kind = Owned(self.made(doing, type_of, session.pointer, index), self.release_type)
        tensor = self.made(doing, self.as_tensor, kind.pointer)
        dtype = DTYPES.get(self.made(doing, self.element_type, tensor)) if tensor else None
        if dtype is None:
            raise ModelError(f"{doing} {name!r} is not a tensor of numbers", NO_NUMBERS)
        return TensorInfo(name, dtype, self._symbolic_shape(doing, tensor))

    def _name(self, doing: str, session: Owned, name_of: Status, index: int) -> str:
        text = self.made(doing, name_of, session.pointer, index, self.allocator)
        name = ctypes.string_at(text).decode()
        self.check(doing, self.free(self.allocator, text))
        return name

    def _symbolic_shape(self, doing: str, tensor: int) -> tuple[int | str | None, ...]:
        sizes = self._shape(doing, tensor)
        names = (c_char_p * len(sizes))()
        self.check(doing, self.symbolic_dimensions(tensor, names, len(sizes)))
        return tuple(
            size if size >= 0 else name.decode() if name else None for size, name in zip(sizes, names, strict=True)
        )

    def _shape(self, doing: str, tensor: int) -> list[int]:
        rank = self.made(doing, self.dimension_count, tensor)
        sizes = Dimensions()
        self.check(doing, self.dimensions(tensor, sizes, rank))
        return sizes[:rank]

    def wrap(self, doing: str, view: memoryview, dtype: str) -> int:
        """A tensor over the memory of `view`, which has to outlive it; to be given to `release_value`."""
        data = (address(view), view.nbytes, Dimensions(*(view.shape or ())), view.ndim, ELEMENT_TYPES[dtype])
        return self.made(doing, self.create_tensor, self.memory_info, *data)

    def view(self, doing: str, value: Owned, dtype: str) -> memoryview:
        """A view of the memory of tensor `value`, which is released after the last view of it."""
        info = Owned(self.made(doing, self.type_and_shape, value.pointer), self.release_type_and_shape)
        shape = self._shape(doing, info.pointer)
        memory = (ctypes.c_char * (prod(shape) * calcsize(dtype))).from_address(
            self.made(doing, self.tensor_data, value.pointer)
        )
        vars(memory)["owner"] = value  # every view refers to `memory`
        return shaped(memory, dtype, shape)


_runtimes: dict[str, Runtime] = {}


def runtime(library: str) -> Runtime:
    """The runtime of this process. Raises `ModelError` when the library is none."""
    if library not in _runtimes:
        with span("library"):
            _runtimes[library] = Runtime(library)
    return _runtimes[library]


class LibrarySession:
    """A session of the library; `onnx.Session` checks what comes here. Raises `ModelError`."""

    def __init__(self, library: str, path: str, threads: int, optimize: bool, options: Mapping[str, str]) -> None:
        self.path = path
        self._runtime = runtime(library)
        doing = f"loading {path}"
        with span("weights"):
            self._session = self._load(doing, threads, optimize, options)
        self.pid = self._session.pid
        self.inputs = self._runtime.inputs(doing, self._session)
        self.outputs = self._runtime.outputs(doing, self._session)
        self._fed = {info.name for info in self.inputs}
        self._input_names = _names(self.inputs)

    def _load(self, doing: str, threads: int, optimize: bool, options: Mapping[str, str]) -> Owned:
        runtime = self._runtime
        settings = Owned(runtime.made(doing, runtime.create_session_options), runtime.release_session_options)
        runtime.check(doing, runtime.set_threads(settings.pointer, threads))
        if not optimize:
            runtime.check(doing, runtime.set_optimization(settings.pointer, DISABLE_ALL))
        for key, value in options.items():
            runtime.check(doing, runtime.add_config_entry(settings.pointer, key.encode(), value.encode()))
        path = os.fsencode(self.path)
        session = runtime.made(doing, runtime.create_session, runtime.env, path, settings.pointer)
        return Owned(session, runtime.release_session)

    def run(self, views: list[memoryview], wanted: Sequence[TensorInfo]) -> list[memoryview]:
        """One view for each input, in their order -> one for each output that is wanted."""
        doing, runtime = f"running {self.path}", self._runtime
        names = _names(wanted)
        values, results = (c_void_p * len(views))(), (c_void_p * len(names))()
        try:
            for index, view in enumerate(views):
                values[index] = runtime.wrap(doing, view, self.inputs[index].dtype)
            feeds = (self._input_names, values, len(values))
            runtime.check(doing, runtime.run(self._session.pointer, None, *feeds, names, len(names), results))
        finally:
            for value in values:
                runtime.release_value(value)
        owned = [Owned(result or 0, runtime.release_value) for result in results]
        return [self._given(doing, info, each) for info, each in zip(wanted, owned, strict=True)]

    def _given(self, doing: str, info: TensorInfo, result: Owned) -> memoryview:
        dtype = "H" if info.dtype == "e" else info.dtype
        view = self._runtime.view(doing, result, dtype)
        if info.name in self._fed:  # the graph gives an input back as it is, so this is the caller's memory
            return shaped(bytearray(view), dtype, view.shape or ())
        return view


def _names(infos: Iterable[TensorInfo]) -> ctypes.Array[c_char_p]:
    names = [info.name.encode() for info in infos]
    return (c_char_p * len(names))(*names)


def find_library() -> str:
    """The shared library of the onnxruntime wheel, or the one that PILOTLIGHT_ONNXRUNTIME names; "" for none.

    Looks along `sys.path` and leaves Python's import system alone.
    """
    if chosen := os.environ.get("PILOTLIGHT_ONNXRUNTIME"):
        return chosen
    for folder in sys.path:
        capi = os.path.join(folder, "onnxruntime", "capi")
        for name in os.listdir(capi) if os.path.isdir(capi) else ():
            if name.startswith("libonnxruntime.so"):
                return os.path.join(capi, name)
    return ""


def _function_table(library: str) -> ctypes.Array[c_void_p]:
    try:
        base = ctypes.CDLL(library).OrtGetApiBase
    except (OSError, AttributeError) as error:
        raise ModelError(f"loading ONNX Runtime: {error}", 'pip install --upgrade "pilotlight[onnx]"') from None
    base.restype = c_void_p
    get_api = ctypes.CFUNCTYPE(c_void_p, ctypes.c_uint32)(c_void_p.from_address(base()).value or 0)
    return (c_void_p * FUNCTIONS).from_address(get_api(API_VERSION))
