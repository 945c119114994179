"""Whether a .tflite file is whole, which LiteRT does not look at: it reads a cut file beyond its end, and dies.

The file is one flatbuffer (flatbuffers.dev/internals). A table begins with the distance back to its vtable: two
uint16 sizes, then one uint16 for each field, its distance from the table or 0 where it is absent. The fields of the
tables here are those of `schema.fbs` (github.com/tensorflow/tensorflow, tensorflow/compiler/mlir/lite/schema).
"""

from __future__ import annotations

from struct import error as cut
from struct import unpack_from

from pilotlight.errors import ModelError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

IDENTIFIER = b"TFL3"
CODES, SUBGRAPHS, BUFFERS = 1, 2, 4  # of Model
TENSORS, INPUTS, OUTPUTS, OPERATORS = 0, 1, 2, 3  # of SubGraph
SHAPE, NAME, QUANTIZATION = 0, 3, 4  # of Tensor
OP_INPUTS, OP_OUTPUTS, OPTIONS = 1, 2, 4  # of Operator
SCALE, ZERO_POINT = 2, 3  # of QuantizationParameters
DATA = 0  # of Buffer
AGAIN = "the file is damaged or is no TensorFlow Lite model: copy or convert it again"
ABSENT = "check the path, and that the file is part of what is deployed"


def check(path: str) -> None:
    """Raises `ModelError` when a table or a vector of the model lies outside the file."""
    from mmap import ACCESS_READ, mmap

    doing = f"loading {path}"
    try:
        with open(path, "rb") as file:
            if file.read(8)[4:] != IDENTIFIER:
                raise ModelError(f"{doing}: it is no TensorFlow Lite model, or cut", AGAIN)
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                _File(content).check()
    except OSError as error:
        raise ModelError(f"{doing}: {error.strerror}", ABSENT) from None
    except (cut, ValueError):
        raise ModelError(f"{doing}: it is cut or damaged", AGAIN) from None


class _File:
    """What it reads outside of the content raises `struct.error`, what only ends outside `ValueError`."""

    def __init__(self, content: mmap) -> None:
        self._content = content
        self._size = len(content)

    def check(self) -> None:
        model = self._at(0)
        for subgraph in self._tables(model, SUBGRAPHS):
            self._check(subgraph)
        for _ in self._tables(model, CODES):
            pass
        for buffer in self._tables(model, BUFFERS):
            self._vector(buffer, DATA, 1)

    def _check(self, subgraph: int) -> None:
        self._vector(subgraph, INPUTS, 4)
        self._vector(subgraph, OUTPUTS, 4)
        for tensor in self._tables(subgraph, TENSORS):
            self._vector(tensor, SHAPE, 4)
            self._vector(tensor, NAME, 1)
            if quantization := self._table(tensor, QUANTIZATION):
                self._vector(quantization, SCALE, 4)
                self._vector(quantization, ZERO_POINT, 8)
        for operator in self._tables(subgraph, OPERATORS):
            self._vector(operator, OP_INPUTS, 4)
            self._vector(operator, OP_OUTPUTS, 4)
            self._table(operator, OPTIONS)

    def _at(self, place: int) -> int:
        """Where the table is whose offset is at `place`; it is whole."""
        table: int = place + unpack_from("<I", self._content, place)[0]
        vtable = table - unpack_from("<i", self._content, table)[0]
        if vtable < 0:
            raise ValueError
        size_of_vtable, size = unpack_from("<HH", self._content, vtable)
        if max(vtable + size_of_vtable, table + size) > self._size:
            raise ValueError
        return table

    def _field(self, table: int, number: int) -> int:
        """Where a field of `table` lies, 0 where it is absent."""
        vtable = table - unpack_from("<i", self._content, table)[0]
        entry = 4 + 2 * number
        if entry >= unpack_from("<H", self._content, vtable)[0]:
            return 0
        (distance,) = unpack_from("<H", self._content, vtable + entry)
        return table + distance if distance else 0

    def _table(self, table: int, number: int) -> int:
        field = self._field(table, number)
        return self._at(field) if field else 0

    def _tables(self, table: int, number: int) -> Iterator[int]:
        """Where each table of a vector of tables lies."""
        vector = self._vector(table, number, 4)
        (count,) = unpack_from("<I", self._content, vector) if vector else (0,)
        for index in range(count):
            yield self._at(vector + 4 + 4 * index)

    def _vector(self, table: int, number: int, width: int) -> int:
        """Where a vector begins whose elements are `width` bytes wide, 0 where it is absent; it is whole."""
        field = self._field(table, number)
        if not field:
            return 0
        vector: int = field + unpack_from("<I", self._content, field)[0]
        if vector + 4 + width * unpack_from("<I", self._content, vector)[0] > self._size:
            raise ValueError
        return vector
