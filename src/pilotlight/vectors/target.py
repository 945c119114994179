"""Files written whole or not at all, and those of word vectors."""

import shutil
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pilotlight.errors import UsageError
from pilotlight.vectors import lines
from pilotlight.vectors.source import Entry, Format


def write(path: Path, format: Format, dim: int, entries: Iterable[Entry]) -> int:
    """Write the words to `path`; how many there were. Raises what reading the entries does, and as `replaced`."""
    line = _packed if format == "word2vec-binary" else lines.line
    with replaced(path) as file, tempfile.TemporaryFile(dir=path.parent) as body:
        count = 0
        for entry in entries:
            count += 1
            body.write(line(entry.word, entry.vector))
        if format != "glove":
            file.write(b"%d %d\n" % (count, dim))  # known only now
        body.seek(0)
        shutil.copyfileobj(body, file, 1 << 20)
    return count


def _packed(word: str, vector: "array[float]") -> bytes:
    """As word2vec.c writes it."""
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return b"%b %b\n" % (word.encode(), vector.tobytes())


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` at the end; when something is raised, it is as if it had never been.

    Raises `UsageError` when that cannot be done.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            part = Path(folder) / path.name
            with part.open("wb") as file:
                yield file
            part.replace(path)
    except OSError as error:
        raise UsageError(f"writing {path}: {error.strerror or error}", "name another file") from None
