"""Exact match and F1 of a model folder on the questions kept apart, as the service answers them.

    python -m train.evaluate --data DIR --model models/qa

needs no torch. DIR holds the SQuAD 1.1 file that the reader was trained on, `squad-v1.1-dev.json`.
"""

import argparse
import json
import sys
from pathlib import Path

from train import squad

from pilotlight.function.text import Reader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with squad-v1.1-dev.json")
    parser.add_argument("--model", type=Path, default=Path("models/qa"), help="model folder (default models/qa)")
    options = parser.parse_args()
    _, apart = squad.keep_apart(squad.read(options.data / "squad-v1.1-dev.json"))
    reader = Reader(options.model.resolve(), longest=30)
    answers = {}
    for number, example in enumerate(apart, start=1):
        answers[example.id] = reader.answer(example.question, example.context).answer
        if number % 100 == 0:
            print(f"{number} of {len(apart)} questions", file=sys.stderr, flush=True)
    print(json.dumps(squad.measure(answers, apart)))


if __name__ == "__main__":
    main()
