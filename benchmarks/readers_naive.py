"""The other side of `readers.py`: a reader answered with transformers and torch, as the demonstrations do it.

    python benchmarks/readers_naive.py FOLDER

runs in the exporters' environment. Reads {"question", "context"} from standard input, a line each, and answers each
with a line {"answer", "seconds"}: argmax of start and end, no windows. The first line comes after loading.
"""

import json
import sys
import time

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer


def answer(model: torch.nn.Module, tokenizer: AutoTokenizer, question: str, context: str) -> str:
    inputs = tokenizer(question, context, return_tensors="pt")
    with torch.no_grad():
        out = model(**inputs)
    start, end = int(out.start_logits.argmax()), int(out.end_logits.argmax())
    return tokenizer.decode(inputs["input_ids"][0][start : end + 1])


def main() -> None:
    model = AutoModelForQuestionAnswering.from_pretrained(sys.argv[1]).eval()
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.perf_counter()
        found = answer(model, tokenizer, asked["question"], asked["context"])
        print(json.dumps({"answer": found, "seconds": time.perf_counter() - started}), flush=True)


if __name__ == "__main__":
    main()
