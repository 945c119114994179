"""The words of a file and their numbers as they stand there, one by one, none read yet."""

import io
import sys
from array import array
from collections.abc import Iterator

from pilotlight import limits
from pilotlight.vectors import lines
from pilotlight.vectors.problems import Broken, Problem, Tell

LONGEST = 1 << 20  # bytes of a line

Record = tuple[int, bytes, bytes]  # line, word, numbers


def of_text(file: io.BufferedReader, dim: int, promised: int | None, tell: Tell) -> Iterator[Record]:
    """Lines of text. `promised` is the count of the file's first line, which is no word then."""
    first = 1
    if promised is not None:
        file.readline(LONGEST)
        first = 2
    count = 0
    for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), first):
        if line.isspace():
            continue
        count += 1
        try:
            yield number, *lines.split(_whole(line, file))
        except Broken as broken:
            tell(broken.at(number))
    if promised not in (None, count):
        tell(Problem(1, "wrong count", f"it promises {promised} vectors, and there are {count}"))


def _whole(line: bytes, file: io.BufferedReader) -> bytes:
    if len(line) < LONGEST or line.endswith(b"\n"):
        return line
    while (part := file.readline(LONGEST)) and not part.endswith(b"\n"):
        pass
    raise Broken("line too long", f"it has more than {LONGEST} bytes")


def of_binary(file: io.BufferedReader, dim: int, promised: int | None, tell: Tell) -> Iterator[Record]:
    """What follows the first line. Where a word begins depends on the one before it, so the first damage is the end."""
    file.readline(LONGEST)
    for number in range(1, (promised or 0) + 1):
        word = _until_space(file)
        if word is None:
            text = f"no space follows within {limits.ITEM_KEY} bytes: from here on the file is damaged"
            return tell(Problem(number, "damaged", text))
        packed = file.read(4 * dim)
        if len(packed) < 4 * dim:
            return tell(
                Problem(number, "cut off", f"the file ends here, and its first line promises {promised} vectors")
            )
        yield number, word.lstrip(b"\n"), packed
    if file.read(2).strip(b"\n"):
        tell(Problem(1, "wrong count", f"it promises {promised} vectors, and more follows"))


def _until_space(file: io.BufferedReader) -> bytes | None:
    """Also what is left at the end of the file; None where no space is near."""
    word = b""
    while len(word) <= limits.ITEM_KEY:
        ahead = file.peek()[: limits.ITEM_KEY + 1]
        place = ahead.find(b" ")
        if place >= 0 or not ahead:
            return word + file.read(place + 1)[:-1]
        word += file.read(len(ahead))
    return None


def unpack(word: bytes, packed: bytes, dim: int) -> "array[float]":
    """Raises `Broken`."""
    vector = array("f", packed)
    if sys.byteorder == "big":
        vector.byteswap()
    return lines.finite(word, vector)
