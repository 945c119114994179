"""The same network answered with torch, as the demonstrations do it: one sentence, one fresh process.

    python benchmarks/kim_cnn_torch.py CHECKPOINT SENTENCE

prints the answer as JSON. `checkpoint` writes the float32 weights of a served model folder as torch would save them.
"""

import json
import sys
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


def answer(path: str, sentence: str) -> dict[str, object]:
    saved = torch.load(path, weights_only=True)
    numbers = {word: number for number, word in enumerate(saved["words"])}
    rows, dimensions = saved["weights"]["embedding.weight"].shape
    model = KimCNN(KimCNNConfig(rows, dimensions))
    model.load_state_dict(saved["weights"])
    model.eval()
    with torch.no_grad():
        [logits] = model(torch.tensor([[numbers.get(token, 0) for token in tokenize(sentence)]])).tolist()
    return {"prediction": logits.index(max(logits)), "output": logits}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], sys.argv[2])))
