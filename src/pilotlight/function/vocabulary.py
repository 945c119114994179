"""The pieces of a vocabulary and their numbers: from its file alone, or by the index that lies beside it.

Of a vocabulary of BERT's size, splitting the file and putting its lines into a dict was a tenth of a reader's cold
start. The index is looked up as it lies: docs/decisions/0044. `optimize.wordpiece` writes it, as uint32, little-endian:

    MAGIC, VERSION, CRC-32 of what follows
    bytes of the vocabulary's file, their CRC-32, pieces, characters of the longest piece, buckets
    starts [buckets + 1]: where each bucket begins in `numbers`; a piece is in the one that its CRC-32 ends in
    offsets [pieces + 1]: where each piece begins in the vocabulary's file
    numbers: of the pieces, bucket by bucket; of equal pieces that of the last alone

What a text is compared with are the bytes of the vocabulary itself: no index can give a piece another's number.
"""

from __future__ import annotations

import sys
from binascii import crc32

from pilotlight.errors import ModelError
from pilotlight.function.tokenizer import FOLDER_HINT

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    class Vocabulary(Protocol):
        """What `load` gives. `longest` is the number of characters of the longest piece."""

        longest: int

        def __len__(self) -> int: ...

        def get(self, piece: str) -> int | None:
            """Its number; of equal pieces that of the last. None when there is no such piece."""
            ...

        def piece(self, number: int) -> str:
            """The piece of a number from 0 to below the length."""
            ...


INDEX = ".index"
"""What the index is called beyond its vocabulary."""
MAGIC = 0x49564C50  # "PLVI"
VERSION = 1
HEADER = 8  # numbers
COVERED = 12  # bytes, from which on the index's CRC-32 counts


def load(path: str) -> Vocabulary:
    """The vocabulary in a file with a piece on each line, by the index beside it where there is one that fits.

    An index that is damaged or was made of other pieces is told on stderr, and not used. Raises `ModelError` when the
    file cannot be read or is not UTF-8.
    """
    try:
        content = _bytes(path)
        return _indexed(path + INDEX, content) or Listed(split(content))
    except FileNotFoundError:
        raise ModelError(f"loading {path}: there is no such file", FOLDER_HINT) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"loading {path}: {error}", FOLDER_HINT) from None


def split(content: bytes) -> list[str]:
    """The pieces of a vocabulary's file, the first being number 0.

    White space at the end of a line, and a byte order mark, are no part of a piece. An empty line takes a number.
    """
    lines = content.decode().removeprefix("\ufeff").removesuffix("\n").split("\n")
    return [line.rstrip() for line in lines]


def _indexed(path: str, content: bytes) -> Indexed | None:
    try:
        return Indexed(content, _bytes(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        sys.stderr.write(f"loading {path}: {error}: not used, the start takes longer; {FOLDER_HINT}\n")
        sys.stderr.flush()
        return None


def _bytes(path: str) -> bytes:
    with open(path, "rb", 0) as file:
        return file.read()


class Listed:
    """A `Vocabulary` of pieces in a dict."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self._pieces = pieces
        self.get = dict(zip(pieces, range(len(pieces)), strict=True)).get
        self.longest = max(map(len, pieces), default=0)

    def __len__(self) -> int:
        return len(self._pieces)

    def piece(self, number: int) -> str:
        return self._pieces[number]


class Indexed:
    """A `Vocabulary` in the bytes of its file, `content`, by its index. Nothing is made of either.

    Raises `ValueError` when the index is damaged or was made of another file.
    """

    def __init__(self, content: bytes, index: bytes) -> None:
        if len(index) % 4 or len(index) < 4 * HEADER:
            raise ValueError("it is cut")
        words = memoryview(index).cast("I")
        magic, version, check, size, content_check, count, self.longest, buckets = words[:HEADER]
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError(f"it is no index of version {VERSION}")
        if check != crc32(memoryview(index)[COVERED:]):
            raise ValueError("it is damaged")
        if (size, content_check) != (len(content), crc32(content)):
            raise ValueError("it was made of another vocabulary")
        offsets = HEADER + buckets + 1
        numbers = offsets + count + 1
        self._content, self._count, self._mask = content, count, buckets - 1
        self._starts, self._offsets, self._numbers = words[HEADER:offsets], words[offsets:numbers], words[numbers:]

    def __len__(self) -> int:
        return self._count

    def get(self, piece: str) -> int | None:
        line = piece.encode("utf-8", "surrogatepass")  # half of a pair is no text, and in no vocabulary
        bucket = crc32(line) & self._mask
        for number in self._numbers[self._starts[bucket] : self._starts[bucket + 1]]:
            if self._line(number) == line:
                return number
        return None

    def piece(self, number: int) -> str:
        return self._line(number).decode()

    def _line(self, number: int) -> bytes:
        return self._content[self._offsets[number] : self._offsets[number + 1] - 1]
