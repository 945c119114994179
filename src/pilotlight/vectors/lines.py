"""One line of a text file of vectors <-> a word and its numbers."""

import struct
from array import array
from math import isfinite

import msgspec

from pilotlight.vectors.problems import Broken, shown

_decode = msgspec.json.Decoder(list[float]).decode  # three times as fast as float() for each
_single = struct.Struct("f")


def split(line: bytes) -> tuple[bytes, bytes]:
    """The word and what follows it. Bytes, since in text a no-break space would separate too. Raises `Broken`."""
    if line[:1].isspace():
        raise Broken("no word", f"no word stands before {shown(line.split(None, 1)[0])}")
    word, *rest = line.split(None, 1)
    return word, rest[0] if rest else b""


def numbers(word: bytes, rest: bytes, dim: int) -> "array[float]":
    """`dim` single floats. Raises `Broken`."""
    try:
        values = _decode(b"[%b]" % rest.rstrip().replace(b" ", b",")) if b"," not in rest else None
    except msgspec.DecodeError:
        values = None
    if values is None:
        values = _read_each(word, rest.split(), dim)
    if len(values) != dim:
        raise Broken("wrong dimension", f"{shown(word.decode())} has {len(values)} numbers instead of {dim}")
    return finite(word, array("f", values))


def _read_each(word: bytes, tokens: list[bytes], dim: int) -> list[float]:
    values = [_number(token) for token in tokens]
    if len(tokens) > dim and None in values[:-dim] and None not in values[-dim:]:
        words = b" ".join([word, *tokens[:-dim]]).decode("utf-8", "replace")
        raise Broken("space in a word", f"{shown(words)} has a space in it")
    if None in values:
        raise Broken(
            "not a number", f"{shown(word.decode())} has {shown(tokens[values.index(None)])} among its numbers"
        )
    return [value for value in values if value is not None]


def _number(token: bytes) -> float | None:
    try:
        return float(token) if b"_" not in token else None
    except ValueError:
        return None


def finite(word: bytes, vector: "array[float]") -> "array[float]":
    """The vector itself. Raises `Broken` for infinity, which a large number becomes, and what is no number."""
    if isfinite(sum(vector)):
        return vector
    raise Broken("not finite", f"{shown(word.decode())} has a number that is infinite, too large or NaN")


def line(word: str, vector: "array[float]") -> bytes:
    """Each number with as many digits as its 32 bits need to be read again."""
    return f"{word} {' '.join(map(_shortest, vector))}\n".encode()


def _shortest(value: float) -> str:
    for digits in (".6g", ".7g", ".8g"):
        text = format(value, digits)
        if _single.unpack(_single.pack(float(text)))[0] == value:
            return text
    return format(value, ".9g")
