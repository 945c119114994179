"""The same network answered with torch, as the demonstrations do it: one sentence, one fresh process.

    python benchmarks/kim_cnn_torch.py CHECKPOINT SENTENCE WARM

prints the answer as JSON. `checkpoint` writes the float32 weights of a served model folder as torch would save them.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

SERVICE = Path(__file__).parents[1] / "examples" / "sentences"
sys.path.insert(0, str(SERVICE))

from tokens import tokenize  # noqa: E402 (the service folder has to be on the path first)
from train.kim_cnn.model import KimCNN, KimCNNConfig  # noqa: E402


def checkpoint(folder: Path, path: Path) -> None:
    """Turn `model.onnx` and `vocabulary.txt` into a checkpoint of the same weights, widened to float32."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(folder / "model.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor).astype("float32") for tensor in graph.initializer}
    stored["embedding.weight"] = stored.pop("embedding.rows") * stored.pop("embedding.scales")
    weights = {name: torch.from_numpy(array.copy()) for name, array in stored.items()}
    words = (folder / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    torch.save({"words": words, "weights": weights}, path)


def reader(path: str) -> Callable[[str], dict[str, object]]:
    """What answers a sentence as the function does."""
    saved = torch.load(path, weights_only=True)
    numbers = {word: number for number, word in enumerate(saved["words"])}
    rows, dimensions = saved["weights"]["embedding.weight"].shape
    model = KimCNN(KimCNNConfig(rows, dimensions))
    model.load_state_dict(saved["weights"])
    model.eval()

    def answer(sentence: str) -> dict[str, object]:
        with torch.no_grad():
            [logits] = model(torch.tensor([[numbers.get(token, 0) for token in tokenize(sentence)]])).tolist()
        return {"prediction": logits.index(max(logits)), "output": logits}

    return answer


def main(path: str, sentence: str, warm: int) -> None:
    """The first answer as a line, then the seconds of `warm` more as another."""
    answer, times = reader(path), []
    print(json.dumps(answer(sentence)), flush=True)
    for _ in range(warm):
        began = time.perf_counter()
        answer(sentence)
        times.append(time.perf_counter() - began)
    print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
