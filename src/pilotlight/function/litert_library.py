"""The C API of LiteRT over ctypes, as much of it as `litert.py` needs.

The wheel ai-edge-litert carries `libLiteRt.so`, with TensorFlow Lite and its XNNPACK kernels; its functions are in
`litert/c` (github.com/google-ai-edge/LiteRT). They are not fixed yet: `LiteRtCreateModelFromFile` took no environment
before version 2.3. So `litert.KNOWN` says which versions are called by what is written here.
"""

from __future__ import annotations

import ctypes
import os
from _thread import allocate_lock
from ctypes import byref, c_char_p, c_float, c_int, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache

from pilotlight.errors import ModelError
from pilotlight.function.session import NO_NUMBERS, Owned, TensorInfo, address, shaped
from pilotlight.function.trace import span
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence

CPU = 1  # LiteRtHwAccelerators
ACCELERATORS, SEVERITY = 24, 25  # LiteRtEnvOptionTag
INTEGER = 2  # LiteRtAnyType
LOG_ERROR = 3  # LiteRtLogSeverity
PER_TENSOR = 1  # LiteRtQuantizationTypeId
RANK = 0x7F  # of LiteRtLayout's first word the bits that are the rank; the eighth says whether strides are given

# LiteRtElementType -> format character of struct and memoryview
DTYPES = {1: "f", 2: "i", 3: "B", 4: "q", 6: "?", 7: "h", 9: "b", 10: "e", 11: "d", 13: "Q", 16: "I", 17: "H"}

# LiteRtStatus, as far as a CPU gives them -> its meaning, and what to do about it
REASONS = {
    1: ("it took an argument for invalid", ""),
    2: ("there is too little memory", "give the function more memory"),
    3: ("it failed: the line above in the log says where", "an operator that TensorFlow Lite itself lacks, perhaps: "
        "convert the model with its built-in operators alone"),
    5: ("the model needs what it does not do", 'pip install --upgrade "pilotlight[tflite]"'),
    500: ("the file cannot be read", "check the path, and that the function may read it"),
    501: ("it is no TensorFlow Lite model, or damaged", "copy or convert it again"),
    504: ("it cannot compile the model", "convert the model with TensorFlow Lite's built-in operators alone"),
}  # fmt: skip


class _Any(ctypes.Structure):
    _fields_ = (("type", c_int), ("value", c_int64))


class _Option(ctypes.Structure):
    """`LiteRtEnvOption`."""

    _fields_ = (("tag", c_int), ("value", _Any))


class _Layout(ctypes.Structure):
    """`LiteRtLayout`; a dimension of -1 is free."""

    _fields_ = (("rank", c_uint32), ("dimensions", c_int32 * 8), ("strides", c_uint32 * 8))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dimensions[: self.rank & RANK])


class _Type(ctypes.Structure):
    """`LiteRtRankedTensorType`."""

    _fields_ = (("element", c_int), ("layout", _Layout))


class _Scale(ctypes.Structure):
    """`LiteRtQuantizationPerTensor`."""

    _fields_ = (("scale", c_float), ("zero_point", c_int64))


class _Place(NamedTuple):
    """A tensor buffer of the runtime's own, and where its `size` bytes lie."""

    buffer: Owned
    start: int
    size: int


class Library:
    """The functions of the library, and its environment, which has no threads and lives as long as the process."""

    def __init__(self, path: str) -> None:
        try:
            self.functions = ctypes.CDLL(path)
            self._create_environment = self.functions.LiteRtCreateEnvironment
        except (OSError, AttributeError) as error:
            raise ModelError(f"loading LiteRT: {error}", 'pip install --upgrade "pilotlight[tflite]"') from None
        options = (_Option * 2)(
            _Option(ACCELERATORS, _Any(INTEGER, CPU)),  # it would look for libraries of graphics cards besides
            _Option(SEVERITY, _Any(INTEGER, LOG_ERROR)),
        )
        self.environment = self.made("starting LiteRT", "CreateEnvironment", 2, options)
        libc = ctypes.CDLL(None)
        self.copied, self.free = libc.strdup, ctypes.cast(libc.free, c_void_p)
        self.copied.restype = c_void_p

    def check(self, doing: str, name: str, *arguments: object) -> None:
        """Call the function LiteRt`name`; `ModelError` when it does not succeed."""
        status = self.functions[f"LiteRt{name}"](*arguments)
        if status:
            reason, hint = REASONS.get(status, (f"{name} gave the status {status}", ""))
            raise ModelError(f"{doing}: LiteRT: {reason}", hint)

    def made(self, doing: str, name: str, *arguments: object) -> c_void_p:
        """The pointer or the number that the function writes through its last argument."""
        out = c_void_p()
        self.check(doing, name, *arguments, byref(out))
        return out

    def owned(self, doing: str, kind: str, pointer: c_void_p) -> Owned:
        release = self.functions[f"LiteRtDestroy{kind}"]
        release.restype = None
        release.argtypes = (c_void_p,)
        return Owned(pointer.value or 0, release)

    def text(self, doing: str, name: str, *arguments: object) -> str:
        out = c_char_p()
        self.check(doing, name, *arguments, byref(out))
        return (out.value or b"").decode(errors="replace")

    def options(self, doing: str, threads: int) -> Owned:
        """How a model is to be compiled. The threads are those of XNNPACK, whose options are a piece of TOML."""
        options = self.owned(doing, "Options", self.made(doing, "CreateOptions"))
        pointer = c_void_p(options.pointer)
        self.check(doing, "SetOptionsHardwareAccelerators", pointer, CPU)
        payload = c_void_p(self.copied(f"num_threads = {threads}\n".encode()))
        self.check(
            doing, "AddOpaqueOptions", pointer, self.made(doing, "CreateOpaqueOptions", b"xnnpack", payload, self.free)
        )
        return options


@cache
def library(path: str) -> Library:
    """The runtime of this process. Raises `ModelError` when the library is none."""
    with span("library"):
        return Library(path)


class LibrarySession:
    """A session of the library; `litert.Session` checks what comes here. Raises `ModelError`.

    Inputs are copied into buffers that the runtime has aligned as its kernels want them, outputs out of such.
    """

    def __init__(self, path_of_library: str, path: str, threads: int) -> None:
        self.path = path
        self.pid = os.getpid()
        self._library = library(path_of_library)
        self._lock = allocate_lock()
        doing = f"loading {path}"
        with span("weights"):
            self._load(doing, threads)
        signature = self._library.made(doing, "GetModelSignature", self._model_pointer, c_size_t(0))
        self._types: dict[str, list[_Type]] = {"Input": [], "Output": []}
        self.inputs = self._infos(doing, signature, "Input")
        self.outputs = self._infos(doing, signature, "Output")
        self._buffers: dict[str, list[_Place]] = {}
        self._shapes: list[tuple[int, ...]] = []
        smallest = [tuple(size if isinstance(size, int) else 1 for size in info.shape) for info in self.inputs]
        self._fit(doing, smallest)  # an operator that it does not know is refused here

    def _load(self, doing: str, threads: int) -> None:
        made, environment = self._library.made, self._library.environment
        model = made(doing, "CreateModelFromFile", environment, os.fsencode(self.path))
        self._model = self._library.owned(doing, "Model", model)
        self._model_pointer = model
        options = self._library.options(doing, threads)
        compiled = made(doing, "CreateCompiledModel", environment, model, c_void_p(options.pointer))
        self._compiled = self._library.owned(doing, "CompiledModel", compiled)
        self._compiled_pointer = compiled

    def _infos(self, doing: str, signature: c_void_p, kind: str) -> tuple[TensorInfo, ...]:
        count = self._library.made(doing, f"GetNumSignature{kind}s", signature).value or 0
        return tuple(self._info(doing, signature, kind, c_size_t(index)) for index in range(count))

    def _info(self, doing: str, signature: c_void_p, kind: str, index: c_size_t) -> TensorInfo:
        name = self._library.text(doing, f"GetSignature{kind}Name", signature, index)
        tensor = self._library.made(doing, f"GetSignature{kind}TensorByIndex", signature, index)
        found = _Type()
        self._library.check(doing, "GetRankedTensorType", tensor, byref(found))
        dtype = DTYPES.get(found.element)
        if dtype is None:
            raise ModelError(f"{doing}: {kind.lower()} {name!r} is not a tensor of numbers", NO_NUMBERS)
        self._types[kind].append(found)
        shape = tuple(size if size >= 0 else None for size in found.layout.shape)
        return TensorInfo(name, dtype, shape, *self._quantization(doing, tensor))

    def _quantization(self, doing: str, tensor: c_void_p) -> tuple[float, int]:
        kind, scale = c_int(), _Scale()
        self._library.check(doing, "GetQuantizationTypeId", tensor, byref(kind))
        if kind.value != PER_TENSOR:
            return 0.0, 0
        self._library.check(doing, "GetPerTensorQuantization", tensor, byref(scale))
        return scale.scale, scale.zero_point

    def run(self, views: list[memoryview], wanted: Sequence[TensorInfo]) -> list[memoryview]:
        """One view for each input, in their order -> one for each output that is wanted."""
        doing = f"running {self.path}"
        with self._lock:
            self._fit(doing, [view.shape or () for view in views])
            for place, view in zip(self._buffers["Input"], views, strict=True):
                if place.size != view.nbytes:
                    raise ModelError(f"{doing}: an input has {view.nbytes} bytes, and {place.size} are its shape's")
                ctypes.memmove(place.start, address(view), place.size)
            self._run(doing)
            return [self._given(self.outputs.index(info)) for info in wanted]

    def _run(self, doing: str) -> None:
        fed, given = (_pointers(self._buffers[kind]) for kind in ("Input", "Output"))
        counts = c_size_t(len(fed)), c_size_t(len(given))
        self._library.check(
            doing, "RunCompiledModel", self._compiled_pointer, c_size_t(0), counts[0], fed, counts[1], given
        )

    def _given(self, index: int) -> memoryview:
        place, found = self._buffers["Output"][index], self._types["Output"][index]
        dtype = self.outputs[index].dtype
        content = bytearray(ctypes.string_at(place.start, place.size))
        return shaped(content, "H" if dtype == "e" else dtype, found.layout.shape)

    def _fit(self, doing: str, shapes: list[tuple[int, ...]]) -> None:
        """Make the buffers that inputs of these shapes take; those of the last run serve again while they can."""
        if shapes == self._shapes and self._buffers:
            return
        self._shapes, self._buffers = [], {}
        for index, (found, shape) in enumerate(zip(self._types["Input"], shapes, strict=True)):
            sizes = (c_int * len(shape))(*shape)
            given = self._compiled_pointer, c_size_t(0), c_size_t(index), sizes, c_size_t(len(shape))
            if found.layout.shape != shape:
                self._library.check(doing, "CompiledModelResizeInputTensor", *given)
                found.layout.dimensions[: len(shape)] = shape
        self._read_outputs(doing)
        buffers = {kind: self._places(doing, kind) for kind in ("Input", "Output")}
        self._shapes, self._buffers = shapes, buffers

    def _read_outputs(self, doing: str) -> None:
        """The shapes of the outputs that follow from those of the inputs."""
        found = self._types["Output"]
        layouts = (_Layout * len(found))()
        given = self._compiled_pointer, c_size_t(0), c_size_t(len(found)), layouts, ctypes.c_bool(True)
        self._library.check(doing, "GetCompiledModelOutputTensorLayouts", *given)
        for each, layout in zip(found, layouts, strict=True):
            each.layout = layout

    def _places(self, doing: str, kind: str) -> list[_Place]:
        return [self._place(doing, kind, index, found) for index, found in enumerate(self._types[kind])]

    def _place(self, doing: str, kind: str, index: int, found: _Type) -> _Place:
        made, size = self._library.made, c_size_t()
        which = self._compiled_pointer, c_size_t(0), c_size_t(index)
        needs = made(doing, f"GetCompiledModel{kind}BufferRequirements", *which)
        environment = self._library.environment
        buffer = made(doing, "CreateManagedTensorBufferFromRequirements", environment, byref(found), needs)
        owned = self._library.owned(doing, "TensorBuffer", buffer)
        self._library.check(doing, "GetTensorBufferPackedSize", buffer, byref(size))
        start = made(doing, "GetTensorBufferHostMemory", buffer)
        return _Place(owned, start.value or 0, size.value)


def _pointers(places: Sequence[_Place]) -> ctypes.Array[c_void_p]:
    return (c_void_p * len(places))(*[place.buffer.pointer for place in places])
