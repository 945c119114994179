"""Kim CNN for the peers: the files and the tokenizer of `examples/sentences`, the model by ONNX Runtime's own module.

One thread, as Pilotlight's sessions have: with more, threads that wait for work take the processors of the others.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sentences"
sys.path.append(str(EXAMPLE))

from tokens import tokenize  # noqa: E402

FOLDER = EXAMPLE / "models" / "kim_cnn"
LABELS = ("negative", "positive")


class Classifier:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(FOLDER / "model.onnx", options, ["CPUExecutionProvider"])
        words = (FOLDER / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
        self._numbers = {word: number for number, word in enumerate(words)}

    def __call__(self, text: str) -> dict[str, object]:
        numbers = [self._numbers.get(token, 0) for token in tokenize(text)]
        [[logits]] = self._session.run(["logits"], {"tokens": np.array([numbers], np.int64)})
        prediction = int(logits.argmax())
        return {"input": text, "prediction": prediction, "label": LABELS[prediction], "output": logits.tolist()}
