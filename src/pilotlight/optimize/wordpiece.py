"""A tokenizer.json that `function.wordpiece` does exactly as the library `tokenizers`, as settings and a vocabulary."""

from binascii import crc32
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from struct import pack
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.function.vocabulary import COVERED, INDEX, MAGIC, VERSION, split

VOCABULARY = "vocab.txt"
PLAIN = {"special": True, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False}


def wordpiece_settings(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings that make `function.tokenizer.load` give the same as this tokenizer.json; None if none do.

    They are those of one text alone: what stands around it, and how long it may be, is the caller's to add. The
    vocabulary that they name is `vocabulary_text`.
    """
    match content:
        case {
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": bool(chinese),
                "strip_accents": bool() | None as strip_accents,
                "lowercase": bool(lowercase),
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "model": {
                "type": "WordPiece",
                "unk_token": str(unknown),
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": dict(vocabulary),
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "added_tokens": list(added),
        } if unknown in vocabulary and _fits_lines(vocabulary) and all(_is_plain(each, vocabulary) for each in added):
            return {
                "type": "wordpiece",
                "vocabulary": VOCABULARY,
                "lowercase": lowercase,
                "strip_accents": lowercase if strip_accents is None else strip_accents,
                "chinese": chinese,
                "unknown": unknown,
                "special": [each["content"] for each in added],
            }
        case _:
            return None


def vocabulary_text(content: Mapping[str, Any]) -> str:
    """The vocabulary of a tokenizer.json for which there are settings: a piece on each line, in their order."""
    numbers = content["model"]["vocab"]
    return "".join(f"{piece}\n" for piece in sorted(numbers, key=numbers.__getitem__))


def write_index(vocabulary: Path) -> Path:
    """Write the index of a vocabulary's file beside it; its path. Raises `ModelError` where it can have none."""
    try:
        content = vocabulary.read_bytes()
        made = index(content)
    except (OSError, ValueError) as error:
        raise ModelError(f"indexing {vocabulary}: {error}") from error
    path = vocabulary.with_name(vocabulary.name + INDEX)
    path.write_bytes(made)
    return path


def index(content: bytes) -> bytes:
    """The index of a vocabulary's file, as `function.vocabulary` says.

    Raises `ValueError` where a piece is not all that stands between two line ends.
    """
    pieces = split(content)
    lines = [f"{piece}\n".encode() for piece in pieces]
    if b"".join(lines) != content:
        raise ValueError("each line must be a piece and a line end, and nothing else")
    buckets = _buckets(pieces)
    starts = accumulate(map(len, buckets), initial=0)
    offsets = accumulate(map(len, lines), initial=0)
    numbers = [number for bucket in buckets for number in bucket]
    longest = max(map(len, pieces))
    body = _words(len(content), crc32(content), len(pieces), longest, len(buckets), *starts, *offsets, *numbers)
    head = _words(MAGIC, VERSION, crc32(body))
    assert len(head) == COVERED
    return head + body


def _buckets(pieces: Sequence[str]) -> list[list[int]]:
    """One or two pieces in each: more buckets take longer to read than they save in comparing."""
    buckets: list[list[int]] = [[] for _ in range(1 << max(0, len(pieces).bit_length() - 1))]
    for piece, number in {piece: number for number, piece in enumerate(pieces)}.items():
        buckets[crc32(piece.encode()) % len(buckets)].append(number)
    return buckets


def _words(*numbers: int) -> bytes:
    return pack(f"<{len(numbers)}I", *numbers)


def _fits_lines(vocabulary: Mapping[str, int]) -> bool:
    """Whether a file with a piece on each line says the same: read again, every piece has its number."""
    return sorted(vocabulary.values()) == list(range(len(vocabulary))) and not any(
        "\n" in piece or piece != piece.rstrip() or piece.startswith("\ufeff") for piece in vocabulary
    )


def _is_plain(added: Mapping[str, Any], vocabulary: Mapping[str, int]) -> bool:
    """Whether an added token is found wherever it stands in a text, as it stands, and is a piece of the vocabulary."""
    content = str(added.get("content", ""))
    plain = all(added.get(name) is value for name, value in PLAIN.items())
    return plain and bool(content) and vocabulary.get(content) == added.get("id")
