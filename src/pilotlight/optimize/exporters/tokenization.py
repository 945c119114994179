"""The tokenizer of a source -> the block `tokenizer` of model.json, with the file that it names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.optimize.tools import needed
from pilotlight.optimize.wordpiece import vocabulary_text, wordpiece_settings

PLAIN = {"truncation": None, "padding": None}  # whoever reads the model folder does both
WORD = "a"
UNLIMITED = 1 << 20  # tokens; transformers gives what has no limit as a number far beyond this


def describe(file: Path, settings: Path, positions: int | None, pad: int | None, out: Path) -> dict[str, Any]:
    """Write the tokenizer of `file`, a tokenizer.json, to the folder `out`; its block.

    `settings` is the folder of the source, whose own settings limit the length, and `positions` what the model can
    take; `pad` is the padding token where it is known.
    """
    tokenizer = _load(file)
    written: dict[str, Any] = {**json.loads(file.read_text(encoding="utf-8")), **PLAIN}
    return {
        **_kept(written, out),
        "max_length": limit(settings, positions),
        **templates(tokenizer),
        "pad": _padding(tokenizer, written) if pad is None else pad,
    }


def _load(file: Path) -> Any:
    try:
        tokenizer = needed("tokenizers").Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises Exception itself
        raise ModelError(f"loading {file}: it is no tokenizer, or damaged ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _kept(content: dict[str, Any], out: Path) -> dict[str, Any]:
    """What serving needs: the vocabulary alone, where our own WordPiece does exactly the same."""
    file = out / "tokenizer.json"
    if settings := wordpiece_settings(content):
        file.unlink(missing_ok=True)  # an exporter writes it there
        (out / settings["vocabulary"]).write_text(vocabulary_text(content), encoding="utf-8")
        return settings
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return {"type": "tokenizers", "file": file.name}


def templates(tokenizer: Any) -> dict[str, Any]:
    """What stands around one text and around two, read off what the tokenizer makes of them."""
    single, pair = tokenizer.encode(WORD), tokenizer.encode(WORD, WORD)
    before, after = _around(single.ids, single.sequence_ids, 0)
    first, rest = _around(pair.ids, pair.sequence_ids, 0)
    second = pair.sequence_ids.index(1)
    end = len(pair.ids) - pair.sequence_ids[::-1].index(1)
    return {
        "single": [before, after],
        "pair": [first, rest[: second - (len(pair.ids) - len(rest))], pair.ids[end:]],
        "pair_types": [pair.type_ids[pair.sequence_ids.index(0)], pair.type_ids[second]],
    }


def _around(ids: list[int], sequences: list[int | None], number: int) -> tuple[list[int], list[int]]:
    """The ids before and after the text of that number."""
    if number not in sequences:
        raise ModelError(f"loading the tokenizer: it makes no token of the text {WORD!r}")
    end = len(sequences) - sequences[::-1].index(number)
    return ids[: sequences.index(number)], ids[end:]


def limit(folder: Path, positions: int | None) -> int:
    """The most tokens of one input: the least of what the tokenizer, its use for sentences, and the model say.

    `UNLIMITED` where none of them says a number below it.
    """
    said = [
        _setting(folder / "tokenizer_config.json", "model_max_length"),
        _setting(folder / "sentence_bert_config.json", "max_seq_length"),
        positions,
    ]
    known = [int(value) for value in said if isinstance(value, int | float) and 0 < value < UNLIMITED]
    return min(known, default=UNLIMITED)


def _setting(file: Path, name: str) -> Any:
    return read_settings(file).get(name)


def read_settings(file: Path) -> Mapping[str, Any]:
    """A JSON object; empty when there is no such file. ModelError when it is not JSON."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ModelError(f"loading {file}: not JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def _padding(tokenizer: Any, content: Mapping[str, Any]) -> int:
    """Of the tokens that are usual, the one that is there; 0 when none is: a mask hides padding from the model."""
    ids = (tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>", "<|endoftext|>", "</s>"))
    return next((number for number in ids if number is not None), 0)
