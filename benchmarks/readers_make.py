"""A reader of a given size with random weights, as a folder that transformers and `pilotlight optimize` read.

    python benchmarks/readers_make.py minilm|distilbert|bert-base VOCABULARY FOLDER

runs in the exporters' environment (torch, transformers). Speed does not depend on what the weights are.
"""

import sys
from pathlib import Path

import torch
from transformers import (
    AutoModelForQuestionAnswering,
    BertConfig,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertTokenizerFast,
)

SIZES = {
    "minilm": BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "distilbert": DistilBertConfig(),
    "bert-base": BertConfig(),
}


def make(size: str, vocabulary: Path, folder: Path) -> None:
    torch.manual_seed(1)
    config = SIZES[size]
    tokenizer = DistilBertTokenizerFast if config.model_type == "distilbert" else BertTokenizerFast
    AutoModelForQuestionAnswering.from_config(config).save_pretrained(folder)
    tokenizer(str(vocabulary), model_max_length=512).save_pretrained(folder)


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
