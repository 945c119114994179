"""The HSK's words by level, as lists that `hsk.py` reads: `python -m train.hsk --data complete-hsk-vocabulary`.

DIR is a copy of github.com/drkameleon/complete-hsk-vocabulary, or holds its `complete.min.json`, whose words have the
marks `o1` to `o6` where they are in the six levels of HSK 2.0. What is written has a line a level; a word that
traditional characters write otherwise has those forms behind it, as in `爱好/愛好`.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LEVELS = range(1, 7)


class Refused(Exception):
    """Why no list is written."""


def read(path: Path) -> list[list[str]]:
    """The words of each level, sorted, each once. Raises `Refused`."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [_level(entries, f"o{number}") for number in LEVELS]
    except OSError as error:
        raise Refused(f"reading {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(f"reading {path}: it is no list of words: {error!r}") from None


def _level(entries: Sequence[Mapping[str, Any]], mark: str) -> list[str]:
    return sorted({_forms(entry) for entry in entries if mark in entry["l"]})


def _forms(entry: Mapping[str, Any]) -> str:
    """Simplified, then traditional, each once."""
    return "/".join(dict.fromkeys([entry["s"], *(form["t"] for form in entry["f"])]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with complete.min.json")
    parser.add_argument("--out", type=Path, default=Path("chinese/hsk.txt"), help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        levels = read(arguments.data / "complete.min.json")
    except Refused as refused:
        raise SystemExit(f"error: {refused}") from None
    arguments.out.write_text("".join(" ".join(words) + "\n" for words in levels), encoding="utf-8")
    print(f"{arguments.out}: {', '.join(str(len(words)) for words in levels)} words")


if __name__ == "__main__":
    main()
