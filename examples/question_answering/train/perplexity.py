"""Measure a generator as it is served, on the sentences kept apart: needs onnxruntime and tokenizers, no torch.

    python -m train.perplexity --data cmn.txt [--model models/textgen]

Prints exp of the mean negative log likelihood of a token, the end of the text included, as train.textgen does for the
network in float32; each sentence stands alone.
"""

import argparse
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer
from train.sentences import encode, keep_apart, read


def log_likelihood(session: onnxruntime.InferenceSession, ids: list[int]) -> float:
    """Of all but the first of `ids`, one at a time as they are generated: the graph gives one position's logits."""
    past = {info.name: np.zeros((1, info.shape[1], 0, info.shape[3]), np.float32) for info in _past(session)}
    names = [name.replace("past_key_values", "present") for name in past]
    total = 0.0
    for position, (given, wanted) in enumerate(pairwise(ids)):
        feeds = {
            "input_ids": np.array([[given]]),
            "attention_mask": np.ones((1, position + 1), np.int64),
            "position_ids": np.array([[position]]),
        }
        logits, *present = session.run(["logits", *names], feeds | past)
        past = dict(zip(past, present, strict=True))
        scores = logits[0, -1].astype(np.float64)
        highest = scores.max()
        total += scores[wanted] - highest - math.log(np.exp(scores - highest).sum())
    return total


def _past(session: onnxruntime.InferenceSession) -> list[onnxruntime.NodeArg]:
    return [info for info in session.get_inputs() if info.name.startswith("past_key_values.")]


def perplexity(folder: Path, sentences: list[str]) -> float:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    encoded = encode(tokenizer, sentences)
    return math.exp(-sum(log_likelihood(session, ids) for ids in encoded) / sum(len(ids) - 1 for ids in encoded))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="text file with a sentence a line")
    parser.add_argument("--model", type=Path, default=Path("models/textgen"), help="default models/textgen")
    options = parser.parse_args()
    _, apart = keep_apart(read(options.data))
    print(f"perplexity {perplexity(options.model, apart):.2f} per token on {len(apart)} sentences kept apart")


if __name__ == "__main__":
    main()
