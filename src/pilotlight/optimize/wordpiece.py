"""A tokenizer.json that `function.wordpiece` does exactly as the library `tokenizers`, as settings and a vocabulary."""

from collections.abc import Mapping
from typing import Any

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
