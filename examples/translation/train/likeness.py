"""Are sentences alike that say the like? `python -m train.likeness --data squad-v1.1-dev.json --model models/en-zh`.

A question of SQuAD should be nearest to the sentence that answers it, among those of its article's next few paragraphs:
how often it is by what `inference/summarize.py` compares, which is words and the embeddings of a model, and by chance.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import centrality
import terms
from embedding import embedder
from likeness import Likeness, likeness
from sentences import sentences

PARAGRAPHS = 4


class Passage(NamedTuple):
    """Sentences, questions, and the number of the sentence that answers each of these."""

    sentences: list[str]
    questions: list[str]
    answers: list[int]


def passages(path: Path) -> Iterator[Passage]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        paragraphs = article["paragraphs"]
        for first in range(0, len(paragraphs) - PARAGRAPHS + 1, PARAGRAPHS):
            yield _passage(paragraphs[first : first + PARAGRAPHS])


def _passage(paragraphs: Sequence[dict[str, object]]) -> Passage:
    passage = Passage([], [], [])
    for paragraph in paragraphs:
        text, asked = str(paragraph["context"]), paragraph["qas"]
        spans = sentences(text)
        assert isinstance(asked, list)
        for each in asked:
            at = each["answers"][0]["answer_start"]
            passage.answers.append(len(passage.sentences) + sum(start <= at for start, _ in spans) - 1)
            passage.questions.append(each["question"])
        passage.sentences.extend(text[start:end] for start, end in spans)
    return passage


def right(alike: Likeness) -> Callable[[Passage], int]:
    """How many questions of a passage find their sentence."""

    def count(passage: Passage) -> int:
        size = len(passage.sentences)
        rows = alike([*passage.sentences, *passage.questions])
        nearest = (max(range(size), key=row.__getitem__) for row in rows[size:])
        return sum(map(int.__eq__, nearest, passage.answers))

    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="squad-v1.1-dev.json")
    parser.add_argument("--model", default="models/en-zh", help="default: %(default)s")
    parser.add_argument("--every", type=int, default=10, help="take one passage of so many, default: %(default)s")
    arguments = parser.parse_args()
    found = [*passages(arguments.data)][:: arguments.every]
    asked = sum(len(passage.questions) for passage in found)
    print(f"{asked} questions, by chance {100 * sum(_chance(passage) for passage in found) / asked:.1f} %")
    embed = embedder(arguments.model)
    ways = {
        "words alone": terms.alike,
        "the encoder alone": lambda texts: centrality.alike(embed(texts)),
        "both": likeness(arguments.model),
    }
    for name, alike in ways.items():
        print(f"{name}: {100 * sum(map(right(alike), found)) / asked:.1f} %", flush=True)


def _chance(passage: Passage) -> float:
    return len(passage.questions) / len(passage.sentences)


if __name__ == "__main__":
    main()
