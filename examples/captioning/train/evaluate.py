"""BLEU-1 to BLEU-4 of a model folder, as a function answers from it.

    python -m train.evaluate --data DIR --model models/captioning

Prints a row for each width of the beam, of pictures of the val split. Words are compared in lower case, without
punctuation, with the five captions that people wrote (see `train/bleu.py`).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from captioner import Captioner
from train import data
from train.bleu import bleu
from train.data import Picture

from pilotlight import Image

BEAMS = (1, 3, 5)


def captions(captioner: Captioner, pictures: Sequence[Picture], beam: int) -> list[list[str]]:
    return [captioner.caption(Image(picture.path.read_bytes()), beam).words for picture in pictures]


def report(folder: Path, pictures: Sequence[Picture], beams: Sequence[int] = BEAMS) -> None:
    """Print a row for each beam."""
    captioner = Captioner(str(folder.resolve()))
    references = [picture.captions for picture in pictures]
    print(f"{len(pictures)} pictures\n\n| beam | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 |\n|---|---|---|---|---|")
    for beam in beams:
        said = captions(captioner, pictures, beam)
        scores = [f"{bleu(said, references, longest):.1f}" for longest in range(1, 5)]
        print(f"| {beam} | {' | '.join(scores)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with captions.json and images/")
    parser.add_argument("--model", type=Path, default=Path("models/captioning"), help="default models/captioning")
    parser.add_argument("--beams", type=int, nargs="+", default=BEAMS, help="default 1 3 5")
    options = parser.parse_args()
    report(options.model, data.read(options.data).validation, options.beams)


if __name__ == "__main__":
    main()
