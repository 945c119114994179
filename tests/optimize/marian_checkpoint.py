"""A tiny Marian model of random weights, and what transformers generates with it.

    python marian_checkpoint.py make FOLDER ROWS GENERATION       weights; the tokenizer's files are there already
    python marian_checkpoint.py answer FOLDER ASKED ANSWERS       ASKED: JSON, [[rows of tokens, settings], ...]

Run by the interpreter of the exporter's environment, the only one that has transformers.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers


def make(folder: str, rows: str, generation: str) -> None:
    torch.manual_seed(7)
    count = int(rows)
    special = {"pad_token_id": count - 1, "decoder_start_token_id": count - 1, "eos_token_id": 0}
    sizes = {f"{part}_{name}": number for part in ("encoder", "decoder") for name, number in SIZES.items()}
    config = transformers.MarianConfig(
        **{"vocab_size": count, "d_model": 64, "decoder_layers": 3, "encoder_layers": 2, "scale_embedding": True},
        **{"activation_function": "swish", "max_position_embeddings": 96},
        **sizes,
        **special,
    )
    model: Any = transformers.MarianMTModel(config)
    for name, weight in model.named_parameters():
        if "norm" not in name and "embed_positions" not in name:
            torch.nn.init.normal_(weight, std=0.12 if "shared" in name else 0.3)
    model.final_logits_bias.normal_(std=0.3)
    model.generation_config = transformers.GenerationConfig(**special, **json.loads(generation))
    model.eval().save_pretrained(folder)


SIZES = {"attention_heads": 4, "ffn_dim": 300}


def answer(folder: str, asked: str, answers: str) -> None:
    model: Any = transformers.MarianMTModel.from_pretrained(folder)
    found = []
    for rows, settings in json.loads(Path(asked).read_text()):
        longest = max(map(len, rows))
        pad = model.config.pad_token_id
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            found.append(model.generate(input_ids=ids, attention_mask=mask, **settings)[:, 1:].tolist())
    Path(answers).write_text(json.dumps(found))


if __name__ == "__main__":
    {"make": make, "answer": answer}[sys.argv[1]](*sys.argv[2:])
