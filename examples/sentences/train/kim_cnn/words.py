"""Write the word vectors that a model folder holds as a file, for a table or for training another form.

python -m train.kim_cnn.words --model models/kim_cnn --out vectors.txt
pilotlight vectors upload vectors.txt
"""

import argparse
from pathlib import Path

import onnx
from onnx import numpy_helper
from train import data, vectors


def words(folder: Path) -> dict[str, list[float]]:
    """The vector of each word of the vocabulary but the first, which is no word."""
    stored = {tensor.name: tensor for tensor in onnx.load(folder / "model.onnx").graph.initializer}
    rows, scales = (numpy_helper.to_array(stored[f"embedding.{part}"]) for part in ("rows", "scales"))
    vocabulary = data.read_lines(folder / "vocabulary.txt")
    return dict(list(zip(vocabulary, (rows * scales).tolist(), strict=True))[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/kim_cnn"), help="default models/kim_cnn")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, in word2vec's text form")
    options = parser.parse_args()
    vectors.write(words(options.model), options.out)


if __name__ == "__main__":
    main()
