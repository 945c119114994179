"""Files of word vectors, read in constant memory: word2vec's text and binary form, GloVe's text, each also in gzip.

Text has one word a line with its numbers; word2vec's begins with a line of two numbers, how many vectors there are and
of how many numbers. Its binary form has that line too, then each word, a space, and its numbers as little-endian single
floats, with a newline after them or without. Sources: code.google.com/archive/p/word2vec, word2vec.c and distance.c;
nlp.stanford.edu/projects/glove.
"""

import gzip
import io
import zlib
from array import array
from collections.abc import Callable, Container, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, cast

from pilotlight import limits
from pilotlight.errors import UsageError, VectorError
from pilotlight.vectors import lines, records
from pilotlight.vectors.problems import Broken, Tell, shown, text_of
from pilotlight.vectors.seen import Seen

Format: TypeAlias = Literal["word2vec-text", "word2vec-binary", "glove"]
FORMATS: tuple[Format, ...] = ("word2vec-text", "word2vec-binary", "glove")

_LARGEST = 1 << 16  # numbers of a vector
_AHEAD = 1 << 16  # bytes that are looked at to tell text from binary
_GZIP = b"\x1f\x8b"
_OF_NUMBERS = b"0123456789+-.eE \t\rnaifNAIF"


class Layout(NamedTuple):
    """How a file is written. `promised` is the number of vectors that its first line says, None without such a line."""

    format: Format
    dim: int
    promised: int | None = None

    @property
    def unit(self) -> str:
        """What the lines of problems count."""
        return "vector" if self.format == "word2vec-binary" else "line"


class Entry(NamedTuple):
    """A word with its vector; `line` is as in `Problem`."""

    line: int
    word: str
    vector: "array[float]"


Read = Callable[[int, int], None]
"""Called now and then with the bytes of the file that are read, and its size."""
_EVERY = 1000  # lines


def survey(path: Path, format: Format | None = None, dim: int | None = None) -> Layout:
    """How the file at `path` is written, as far as it is not given.

    Raises `UsageError` when it cannot be opened, `VectorError` when it is no such file.
    """
    with _opened(path) as (file, _):
        first = file.readline(records.LONGEST)
        header = None if format == "glove" else _header(first)
        if header is not None:
            found: Format = "word2vec-text" if _is_text(file.peek()) else "word2vec-binary"
            layout = Layout(format or found, header[1], header[0])
        elif format in (None, "glove"):
            layout = Layout("glove", dim or len(first.split()) - 1)
        else:
            hint = "where that line is missing, it is --from glove"
            raise VectorError(f"reading {path}: its first line is {shown(first[:60])}, not two numbers", hint)
    if not 1 <= layout.dim <= _LARGEST:
        raise VectorError(f"reading {path}: it begins with {shown(first[:60])}, as no file of word vectors does")
    if dim not in (None, layout.dim):
        raise VectorError(f"reading {path}: its vectors have {layout.dim} numbers, not {dim}", "correct --dim")
    return layout


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 16 for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _is_text(begin: bytes) -> bool:
    _, _, numbers = begin.partition(b"\n")[0].partition(b" ")
    return not numbers.strip(_OF_NUMBERS)


def entries(
    path: Path, layout: Layout, tell: Tell, wanted: Container[str] | None = None, read: Read = lambda done, size: None
) -> Iterator[Entry]:
    """The words of the file, of two that are the same the first; only those that are `wanted`, if that is given.

    What is wrong is told, and left out: words that are empty, not UTF-8 or have spaces, numbers that are none, not
    finite, too few or too many. Raises `VectorError` when the file can be read no further.
    """
    binary = layout.format == "word2vec-binary"
    of, numbers = (records.of_binary, records.unpack) if binary else (records.of_text, lines.numbers)
    with _opened(path) as (file, position), closing(Seen()) as seen:
        for line, word, packed in of(file, layout.dim, layout.promised, tell):
            if line % _EVERY == 0:
                read(*position())
            try:
                text = text_of(_checked(word))
                if wanted is None or text in wanted:
                    vector = numbers(word, packed, layout.dim)
                    _once(seen, text, line, layout.unit)
                    yield Entry(line, text, vector)
            except Broken as broken:
                tell(broken.at(line))


def _checked(word: bytes) -> bytes:
    if not word:
        raise Broken("no word", "the word is empty")
    if word.split() != [word]:
        raise Broken("space in a word", f"{shown(word)} has a space in it")
    if len(word) > limits.ITEM_KEY:
        raise Broken("word too long", f"{shown(word)} has {len(word)} bytes, and a table allows {limits.ITEM_KEY}")
    return word


def _once(seen: Seen, word: str, line: int, unit: str) -> None:
    if first := seen.add(word, line):
        raise Broken("duplicate word", f"{shown(word)} was there before, in {unit} {first}")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[io.BufferedReader, Callable[[], tuple[int, int]]]]:
    """The file, unpacked, and a function that says how much of how many bytes was read."""
    try:
        raw = path.open("rb", buffering=0)
    except OSError as error:
        raise UsageError(f"reading {path}: {error.strerror}", "name a file of word vectors") from None
    with raw:
        try:
            size = raw.seek(0, io.SEEK_END)
            raw.seek(0)
            packed = raw.read(len(_GZIP)) == _GZIP
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            yield cast(io.BufferedReader, io.BufferedReader(stream, _AHEAD)), lambda: (raw.tell(), size)
        except (EOFError, zlib.error, OSError) as error:
            raise VectorError(f"reading {path}: {error}", "is it a whole file, and no pipe?") from None
