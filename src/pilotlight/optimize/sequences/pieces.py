"""SentencePiece's model and Marian's vocabulary -> the file of tables that `function/unigram.py` reads."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from struct import unpack, unpack_from
from typing import Any

from pilotlight.errors import ModelError, SourceError
from pilotlight.function.unigram import HEADER, MAGIC
from pilotlight.optimize.sequences import doublearray

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # sentencepiece_model.proto, SentencePiece.Type
UNIGRAM = 1  # TrainerSpec.ModelType
PENALTY = 10.0  # of an unknown character, below the least score (unigram_model.cc)
FILE = "pieces.bin"
REPLACED = "\ufffd"


@dataclass(frozen=True)
class Sentences:
    """What a SentencePiece model says: its pieces with score and type, and how a text is normalised."""

    pieces: Sequence[tuple[str, float, int]]
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True
    flags: Mapping[str, int] = field(default_factory=dict)


def read(file: Path) -> Sentences:
    """The model in `file`. ModelError where it is none, SourceError where it is of another kind than unigram."""
    try:
        model = parse(file.read_bytes())
    except (OSError, ValueError, IndexError) as error:
        raise ModelError(f"loading {file}: it is no SentencePiece model, or damaged ({error})") from error
    if model.flags["type"] != UNIGRAM:
        raise SourceError(f"loading {file}: it is no unigram model", "train it with model_type=unigram")
    if model.flags["suffix"]:
        raise SourceError(f"loading {file}: it was trained with treat_whitespace_as_suffix")
    return model


def parse(content: bytes) -> Sentences:
    """ModelProto of sentencepiece_model.proto. ValueError or IndexError where it is damaged."""
    pieces, trainer, normaliser = [], dict[int, Any](), dict[int, Any]()
    for number, value in _fields(content):
        match number:
            case 1:
                piece = dict(_fields(value))
                [score] = unpack("<f", piece.get(2, b"\0\0\0\0"))
                pieces.append((piece[1].decode(), score, piece.get(3, NORMAL)))
            case 2:
                trainer = dict(_fields(value))
            case 3:
                normaliser = dict(_fields(value))
    if not pieces:
        raise ValueError("it has no pieces")
    prefixed, collapsed, escaped = (bool(normaliser.get(number, 1)) for number in (3, 4, 5))
    flags = {"type": trainer.get(3, UNIGRAM), "suffix": trainer.get(24, 0), "bytes": trainer.get(35, 0)}
    return Sentences(pieces, normaliser.get(2, b""), prefixed, collapsed, escaped, flags)


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message: an int, or bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        match key & 7:
            case 0:
                value, at = _varint(content, at)
                yield key >> 3, value
                continue
            case 2:
                size, at = _varint(content, at)
            case 5:
                size = 4
            case 1:
                size = 8
            case other:
                raise ValueError(f"a field of the unknown kind {other}")
        if at + size > len(content):
            raise ValueError("it is cut")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def write(model: Sentences, vocabulary: Mapping[str, int], targets: Mapping[str, int], out: Path) -> dict[str, Any]:
    """Write `pieces.bin` to the folder `out`; the block `tokenizer` of model.json, without what the model adds.

    `vocabulary` numbers what is read and `targets` what is generated; they are the same for most models.
    """
    unknown = vocabulary.get("<unk>")
    if unknown is None:
        raise ModelError("reading the vocabulary: it has no <unk>")
    known = [(text.encode(), score, kind, text) for text, score, kind in model.pieces if kind in (NORMAL, USER)]
    scores = [score for _, score, kind, _ in known if kind == NORMAL]
    least, most = _single(min(scores)), _single(max(scores))
    known.sort()
    rules, becomes = _charsmap(model.charsmap)
    parts = [
        rules,
        becomes,
        doublearray.build([(text, number) for number, (text, *_) in enumerate(known)]).tobytes(),
        array("f", [score if kind == NORMAL else len(text) * most - 0.1 for text, score, kind, _ in known]).tobytes(),
        array("i", [vocabulary.get(text, unknown) for *_, text in known]).tobytes(),
        *_texts(targets),
    ]
    content = HEADER.pack(MAGIC, 0, *map(len, parts)) + b"".join(part + b"\0" * (-len(part) % 4) for part in parts)
    (out / FILE).write_bytes(content)
    return {
        "type": "unigram",
        "file": FILE,
        "unknown": unknown,
        "unknown_score": _single(least - PENALTY),
        "add_dummy_prefix": model.add_dummy_prefix,
        "remove_extra_whitespaces": model.remove_extra_whitespaces,
        "escape_whitespaces": model.escape_whitespaces,
        "symbols": sorted((text for *_, kind, text in known if kind == USER), key=lambda text: -len(text.encode())),
        **_bytes(model, vocabulary),
        "codes": {text: number for text, number in vocabulary.items() if text.startswith(">>") and text.endswith("<<")},
    }


def _single(value: float) -> float:
    return array("f", [value])[0]


def _charsmap(blob: bytes) -> tuple[bytes, bytes]:
    """The trie and the texts of a precompiled map: uint32 the bytes of the trie, then both."""
    if not blob:
        return b"", b""
    [size] = unpack_from("<I", blob)
    if size % 4 or 4 + size > len(blob):
        raise ModelError("reading the SentencePiece model: its map of characters is damaged")
    return blob[4 : 4 + size], blob[4 + size :]


def _texts(vocabulary: Mapping[str, int]) -> tuple[bytes, bytes]:
    """Where the text of each number ends, and the texts, each with a zero behind it."""
    by_number = {number: text for text, number in vocabulary.items()}
    ends, texts = array("I"), bytearray()
    for number in range(max(by_number) + 1):
        texts += by_number.get(number, "").replace("\0", REPLACED).encode()
        ends.append(len(texts))
        texts += b"\0"
    return ends.tobytes(), bytes(texts)


def _bytes(model: Sentences, vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Where the 256 pieces for bytes begin, of a model that falls back to them."""
    if not model.flags["bytes"]:
        return {}
    numbers = [vocabulary.get(f"<0x{byte:02X}>") for byte in range(256)]
    first = numbers[0]
    if first is None or numbers != list(range(first, first + 256)):
        raise SourceError("reading the vocabulary: the pieces for bytes do not stand one after the other in it")
    return {"bytes": first}


def vocabularies(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Of what is read and of what is generated: vocab.json, and target_vocab.json where the two are apart."""
    read = _vocabulary(folder / "vocab.json")
    apart = folder / "target_vocab.json"
    return read, _vocabulary(apart) if apart.is_file() else read


def _vocabulary(file: Path) -> dict[str, int]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"loading {file}: not a vocabulary in JSON ({error})") from error
    if not isinstance(content, dict) or not all(type(each) is int and each >= 0 for each in content.values()):
        raise ModelError(f"loading {file}: not an object of pieces and their numbers")
    return content
