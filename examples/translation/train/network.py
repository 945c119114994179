"""A small MarianMT network, and a checkpoint folder of it as transformers writes it."""

import json
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn
from train.batches import Batch
from train.pieces import END, PADDING, UNKNOWN
from transformers import GenerationConfig, MarianConfig, MarianMTModel

_NEVER = -1e4
LONGEST = 128  # places that a sentence can have, pieces and end


class Sizes(NamedTuple):
    """Of the network: width, inner width, heads, layers of the encoder and of the decoder, and noise."""

    width: int = 192
    inner: int = 512
    heads: int = 4
    encoder: int = 3
    decoder: int = 2
    dropout: float = 0.2


def made(numbers: dict[str, int], targets: int, sizes: Sizes) -> MarianMTModel:
    """A network with random weights, which never says what is no piece of the target language, the first `targets`."""
    model = MarianMTModel(_config(numbers, sizes))
    model.final_logits_bias[:, targets:] = _NEVER
    model.final_logits_bias[:, numbers[UNKNOWN]] = _NEVER
    model.generation_config = _generation(numbers)
    return model


def _config(numbers: dict[str, int], sizes: Sizes) -> MarianConfig:
    return MarianConfig(
        vocab_size=len(numbers),
        d_model=sizes.width,
        encoder_layers=sizes.encoder,
        decoder_layers=sizes.decoder,
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        encoder_ffn_dim=sizes.inner,
        decoder_ffn_dim=sizes.inner,
        activation_function="swish",
        dropout=sizes.dropout,
        scale_embedding=True,
        max_position_embeddings=LONGEST,
        pad_token_id=numbers[PADDING],
        eos_token_id=numbers[END],
        decoder_start_token_id=numbers[PADDING],
        forced_eos_token_id=numbers[END],
    )


def _generation(numbers: dict[str, int]) -> GenerationConfig:
    return GenerationConfig(
        num_beams=4,
        max_length=LONGEST,
        bad_words_ids=[[numbers[PADDING]]],
        pad_token_id=numbers[PADDING],
        eos_token_id=numbers[END],
        decoder_start_token_id=numbers[PADDING],
        forced_eos_token_id=numbers[END],
    )


def loss(model: MarianMTModel, batch: Batch, targets: int, smoothing: float) -> Tensor:
    """Cross entropy per piece with the right pieces before it, among the first `targets`; a share is everybody's."""
    padding = model.config.pad_token_id
    mask = (batch.source != padding).long()
    inputs = {"input_ids": batch.source, "attention_mask": mask, "decoder_input_ids": batch.before}
    states = model.model(**inputs, use_cache=False).last_hidden_state
    logits = nn.functional.linear(states, model.lm_head.weight[:targets])
    wanted = batch.target.flatten()
    return nn.functional.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=padding, label_smoothing=smoothing)


def save(model: MarianMTModel, folder: Path, direction: str) -> None:
    """Write the weights and settings beside the tokeniser's files."""
    source, target = direction.split("-")
    model.save_pretrained(folder)
    languages = {
        "source_lang": source,
        "target_lang": target,
        "model_max_length": LONGEST,
        "tokenizer_class": "MarianTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(languages, indent=2) + "\n", encoding="utf-8")
