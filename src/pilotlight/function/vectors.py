"""Word vectors from a table, in SQLite on this machine and in DynamoDB on AWS.

    vectors = Vectors(connect("vectors"), dim=300)   # in the init phase
    vectors.look_up(["a", "dull", "film"])           # array("f") of 3 * 300 numbers

An item is `{"word": "film", "type": "f2", "vector": b"..."}` under the table's key: little-endian half floats, or "f4",
single ones. Lists of numbers, `{"word": "film", "vector": [0.25, ...]}`, are read too. `pilotlight vectors upload`
writes them.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections import OrderedDict

from pilotlight import limits
from pilotlight.errors import VectorError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotlight.function.items import Item, Value
    from pilotlight.function.table import Table

TYPES = {"f2": "e", "f4": "f"}
"""The values of the attribute `type`, and `struct`'s format of each number."""
_ENTRY = 200  # bytes that a word that is kept takes besides its text and its numbers


class Vectors:
    """The vectors of words, of `dim` numbers each, from a table.

    Those asked for last stay in memory, about `memory` bytes of them, so that a word that comes again is not asked for
    again, be it known or not. A word that the table does not have gets the vector that `unknown` makes of it.
    """

    def __init__(self, table: Table, dim: int, *, memory: int = 64 << 20) -> None:
        if dim < 1 or memory < 0:
            raise VectorError("making Vectors: `dim` has to be 1 or more, and `memory` 0 or more", "correct them")
        self.dim = dim
        self._table = table
        self._warm: OrderedDict[str, bytes] = OrderedDict()  # single floats as this machine has them
        self._room = memory

    def look_up(self, words: Iterable[str]) -> array[float]:
        """The vectors of all words one after the other, `len(words) * dim` single floats.

        Raises `VectorError` for an item that holds no vector of `dim` numbers, and what the table raises.
        """
        listed = list(words)
        rows = self._rows(dict.fromkeys(listed))
        return array("f", b"".join([rows[word] for word in listed]))

    def _rows(self, words: Iterable[str]) -> dict[str, bytes]:
        rows, cold = {}, []
        for word in words:
            if word in self._warm:
                self._warm.move_to_end(word)
                rows[word] = self._warm[word]
            else:
                cold.append(word)
        if cold:
            items = self._table.get(filter(_can_be_key, cold))
            rows.update((word, self._row(word, items.get(word))) for word in cold)
            self._keep(cold, rows)
        return rows

    def _row(self, word: str, item: Item | None) -> bytes:
        vector = unknown(word, self.dim) if item is None else from_item(word, item)
        if len(vector) != self.dim:
            hint = "give `Vectors` the dim of what is in the table, or upload the file that belongs to the model"
            raise VectorError(f"the vector of {word!r} has {len(vector)} numbers instead of {self.dim}", hint)
        return vector.tobytes()

    def _keep(self, words: Iterable[str], rows: dict[str, bytes]) -> None:
        for word in words:
            self._warm[word] = rows[word]
            self._room -= _size(word, rows[word])
        while self._room < 0 and self._warm:
            self._room += _size(*self._warm.popitem(last=False))


def _can_be_key(word: str) -> bool:
    """Whether a table can have it; others would make it refuse all of them."""
    return 0 < len(_utf8(word)) <= limits.ITEM_KEY and not any("\ud800" <= letter <= "\udfff" for letter in word)


def _utf8(word: str) -> bytes:
    """Half a surrogate pair, which JSON can carry, has bytes here too."""
    return word.encode("utf-8", "surrogatepass")


def _size(word: str, row: bytes) -> int:
    return sys.getsizeof(word) + sys.getsizeof(row) + _ENTRY


def unknown(word: str, dim: int) -> array[float]:
    """The vector of a word that has none: the same everywhere, so that training and serving agree.

    Each number is uniform in [-0.25, 0.25), as in Kim, "Convolutional Neural Networks for Sentence Classification"
    (2014), section 3.2. Block i of random bits is the SHA-256 of the word in UTF-8 followed by i in 4 bytes; each 4
    bytes of it, u, are the number u / 2**32 * 0.5 - 0.25. All are big-endian.
    """
    from hashlib import sha256  # it loads OpenSSL: 3 ms

    text = _utf8(word)
    blocks = [sha256(text + number.to_bytes(4, "big")).digest() for number in range(-(-dim // 8))]
    bits = struct.unpack(f">{dim}I", b"".join(blocks)[: 4 * dim])
    return array("f", [each / 2**32 * 0.5 - 0.25 for each in bits])


def from_item(word: str, item: Item) -> array[float]:
    """The vector that a table's item holds. Raises `VectorError`, which names `word`, when it holds none."""
    match item.get("type"), item.get("vector"):
        case "f2" | "f4" as kind, bytes(packed) if len(packed) % struct.calcsize(f"<{TYPES[kind]}") == 0:
            return _unpack(kind, packed)
        case _, list(numbers) if all(map(_is_number, numbers)):
            return array("f", numbers)  # type: ignore[arg-type]
    hint = "`pilotlight vectors upload` writes items that can be read"
    raise VectorError(f"the item of {word!r} holds no vector: type {item.get('type')!r}, {_shown(item)}", hint)


def _unpack(kind: str, packed: bytes) -> array[float]:
    if kind == "f4" and sys.byteorder == "little":
        return array("f", packed)
    return array("f", struct.unpack(f"<{len(packed) // struct.calcsize(f'<{TYPES[kind]}')}{TYPES[kind]}", packed))


def _is_number(value: Value) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _shown(item: Item) -> str:
    vector = item.get("vector")
    size = f" of {len(vector)}" if isinstance(vector, bytes | list | str) else ""
    return f"vector: {type(vector).__name__}{size}" if "vector" in item else f"attributes {', '.join(item)}"


def to_item(word: str, vector: Sequence[float], kind: str, key: str) -> Item:
    """The item of a word, its numbers as `kind` in `TYPES` says. Raises `OverflowError` for what no such number is."""
    return {key: word, "type": kind, "vector": struct.pack(f"<{len(vector)}{TYPES[kind]}", *vector)}
