"""How well model folders do on pictures, read and run as the function does it.

    python -m train.evaluate DIR/validation --model models/clothing --model models/clothing_tflite

prints the accuracy of each, how far its logits are from the first one's, and the first one's confusions. It imports
neither torch nor TensorFlow.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pilotlight import Image
from pilotlight.function.image import ImageClassifier

Logits = list[dict[str, float]]


def pictures(folder: Path) -> list[tuple[Image, str]]:
    """The pictures in `folder/CLASS/` with their classes. Ends the program where there is none."""
    found = [(Image(file.read_bytes()), file.parent.name) for file in sorted(folder.glob("*/*.jpg"))]
    if not found:
        raise SystemExit(f"reading {folder}: there is no CLASS/*.jpg: name the folder that holds the classes' folders")
    return found


def likeliest(logits: dict[str, float]) -> str:
    return max(logits, key=logits.__getitem__)


def report(name: str, answers: Logits, first: Logits, labels: Sequence[str]) -> str:
    """One row: the accuracy, and the difference of the logits to those of the first model."""
    right = sum(likeliest(logits) == label for logits, label in zip(answers, labels, strict=True))
    far = [abs(a[key] - b[key]) for a, b in zip(answers, first, strict=True) for key in a]
    same = sum(likeliest(a) == likeliest(b) for a, b in zip(answers, first, strict=True))
    return (
        f"{name}: {right} of {len(labels)}, {right / len(labels):.1%}; logits differ by {sum(far) / len(far):.4f},"
        f" at most {max(far):.4f}; the same class for {same}"
    )


def confusions(answers: Logits, labels: Sequence[str]) -> str:
    """A table: a row for each true class, a column for each answer."""
    names = list(answers[0])
    counts = Counter((label, likeliest(logits)) for logits, label in zip(answers, labels, strict=True))
    rows = [[label, *(str(counts[label, answer] or ".") for answer in names)] for label in names]
    return "\n".join("| " + " | ".join(row) + " |" for row in (["", *names], ["---"] * (len(names) + 1), *rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds CLASS/*.jpg")
    parser.add_argument("--model", action="append", required=True, help="a model folder; may be given again")
    options = parser.parse_args()
    images, labels = zip(*pictures(options.folder), strict=True)
    first: Logits = []
    for name in options.model:
        classifier = ImageClassifier(Path(name).absolute())
        answers = [classifier.logits(image) for image in images]
        first = first or answers
        print(report(name, answers, first, labels))
    print(f"\n{options.model[0]}:\n\n{confusions(first, labels)}")


if __name__ == "__main__":
    main()
