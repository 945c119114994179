"""A loaded model, whichever engine runs it: buffers in, buffers out, each checked before an engine sees its address."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_char_p, c_int, c_int64, c_ssize_t, c_void_p
from struct import calcsize

from pilotlight.errors import ModelError
from pilotlight.function.trace import span
from pilotlight.limits import MEMORY_OF_ONE_VCPU
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol, Self

    from _typeshed import ReadableBuffer

    class Engine(Protocol):
        """A model in the memory of one runtime. `pid` is the process that loaded it."""

        pid: int
        inputs: tuple[TensorInfo, ...]
        outputs: tuple[TensorInfo, ...]

        def run(self, views: list[memoryview], wanted: Sequence[TensorInfo]) -> list[memoryview]:
            """One view for each input, in their order -> one for each output that is wanted."""
            ...


DTYPE_NAMES = {
    "f": "float32", "d": "float64", "e": "float16", "?": "bool",
    "b": "int8", "h": "int16", "i": "int32", "q": "int64",
    "B": "uint8", "H": "uint16", "I": "uint32", "Q": "uint64",
}  # fmt: skip
LONGS = {("l", 8): "q", ("L", 8): "Q", ("l", 4): "i", ("L", 4): "I"}  # numpy and array say "l" for int64
NO_NUMBERS = "export the model with tensors of bool, int8 to uint64, float16, float32 or float64"

Dimensions = c_int64 * 64  # as many as memoryview takes


class TensorInfo(NamedTuple):
    """An input or an output of a model.

    `dtype` is a format character of `struct` and `memoryview` ("f" float32, "q" int64, "?" bool, "e" float16, ...).
    In `shape` a number is fixed, a name or None may be any size; () is a scalar, or a tensor of unknown rank. The
    integers q of a quantised tensor of TensorFlow Lite stand for (q - `zero_point`) * `scale`; a `scale` of 0 is that
    of one which is not quantised. ONNX has an operator for it instead.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    scale: float = 0.0
    zero_point: int = 0


class Owned:
    """A pointer to something a runtime made; released with the last reference to it.

    In a child made by fork it is left alone: releasing a session there would wait for threads that do not exist.
    """

    __slots__ = ("_release", "pid", "pointer")

    def __init__(self, pointer: int, release: Callable[[int | None], None]) -> None:
        self.pointer = pointer
        self.pid = os.getpid()
        self._release = release

    def __del__(self, getpid: Callable[[], int] = os.getpid) -> None:  # module globals may be gone at exit
        if self.pid == getpid():
            self._release(self.pointer)


class Session:
    """A loaded model, to be run from any number of threads; `onnx.Session` and `litert.Session` say how it is loaded.

    `threads` work on one run together; by default as many as Lambda gives vCPUs to the function.

    A child made by fork may go on with the session. Threads do not survive a fork, so a session of several is loaded
    anew by its first run in the child.

    Raises `ModelError` when the runtime is not installed, or the model is missing, damaged, or has inputs or outputs
    other than tensors of numbers.
    """

    def __init__(self, path: str, threads: int | None) -> None:
        self.path = path
        self.threads = default_threads() if threads is None else threads
        self._has_run = False
        engine = self._load()
        self._engine: Engine | None = engine
        self.inputs = engine.inputs
        self.outputs = engine.outputs
        self._inputs = {info.name: info for info in self.inputs}
        self._outputs = {info.name: info for info in self.outputs}

    def _load(self) -> Engine:
        raise NotImplementedError

    def run(self, feeds: Mapping[str, ReadableBuffer], outputs: Sequence[str] | None = None) -> dict[str, memoryview]:
        """Run the model on one C-contiguous buffer for each input; give all outputs, or those named.

        Anything with the buffer protocol will do, read-only or not: array.array, a memoryview cast to a shape, a numpy
        array. It may be read where it lies, so leave it as it is until the run is over. float16 may also be given as
        its bits (format "H").

        The views given back have format and shape of the tensors, and stay good whatever comes later; float16 comes as
        its bits, "H", since memoryview has no cast to "e". `shaped(b"", "f", (1, 12, 0, 64))` makes a tensor without
        elements, which `memoryview.cast` does not. Raises `ModelError` when a feed does not fit the model, an output is
        unknown, or the run fails.
        """
        engine = self._live()
        views = self._fitting(feeds)
        wanted = self.outputs if outputs is None else self._named(outputs)
        with span("run" if self._has_run else "first run"):  # which allocates what later runs use again
            results = engine.run(views, wanted)
        self._has_run = True
        return {info.name: result for info, result in zip(wanted, results, strict=True)}

    def close(self) -> None:
        """Release the model. Runs under way in other threads end well, and views of outputs stay good."""
        self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _live(self) -> Engine:
        engine = self._engine
        if engine is None:
            raise self._refusal("the session is closed")
        if self.threads != 1 and engine.pid != os.getpid():
            engine = self._engine = self._load()
        return engine

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


class _Buffer(ctypes.Structure):
    """`Py_buffer`, in Python's stable ABI since 3.11."""

    _fields_ = (
        ("buf", c_void_p),
        ("obj", c_void_p),
        ("len", c_ssize_t),
        ("itemsize", c_ssize_t),
        ("readonly", c_int),
        ("ndim", c_int),
        ("format", c_char_p),
        ("shape", c_void_p),
        ("strides", c_void_p),
        ("suboffsets", c_void_p),
        ("internal", c_void_p),
    )


# functions of Python itself; prototypes of our own, since attributes of ctypes.pythonapi are shared by all who use it
_get_buffer = ctypes.PYFUNCTYPE(c_int, ctypes.py_object, c_void_p, c_int)(("PyObject_GetBuffer", ctypes.pythonapi))
_release_buffer = ctypes.PYFUNCTYPE(None, c_void_p)(("PyBuffer_Release", ctypes.pythonapi))
_view_of_buffer = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p)(("PyMemoryView_FromBuffer", ctypes.pythonapi))
_nothing = ctypes.create_string_buffer(1)
_formats = {dtype: dtype.encode() for dtype in DTYPE_NAMES}


def address(view: memoryview) -> int:
    """Where the memory of a contiguous view begins, read-only memory too, which ctypes has no call for."""
    buffer = _Buffer()
    _get_buffer(view, byref(buffer), 0)
    start: int | None = buffer.buf
    _release_buffer(byref(buffer))
    return start or 0


def shaped(data: ReadableBuffer, dtype: str, shape: Sequence[int]) -> memoryview:
    """A view of `data` as a tensor."""
    if 0 in shape:
        return _empty(dtype, shape)
    view: memoryview = memoryview(data).cast("B").cast(dtype, shape)  # type: ignore[call-overload]
    return view


def _empty(dtype: str, shape: Sequence[int]) -> memoryview:
    """A view without elements, which `memoryview.cast` does not make."""
    sizes, form = Dimensions(*shape), _formats[dtype]
    buffer = _Buffer(buf=ctypes.addressof(_nothing), itemsize=calcsize(dtype), ndim=len(shape), format=form)
    buffer.shape = ctypes.addressof(sizes)
    view: memoryview = _view_of_buffer(byref(buffer))
    return view
