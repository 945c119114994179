"""A Marian checkpoint: its weights as they are, and what `generate` of transformers makes of texts with them.

The graphs that are served are built from the weights elsewhere (`pilotlight/optimize/sequences/graphs.py`).
"""

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import load_model
from refusal import Refused, count
from timing import installed_bytes
from tracing import ends, versions

TASK = "translation"
TIMED = 5  # calls
PLAIN: dict[str, Any] = {
    **dict.fromkeys(("min_length", "min_new_tokens", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size"), 0),
    **dict.fromkeys(("repetition_penalty", "encoder_repetition_penalty"), 1.0),
    **dict.fromkeys(("forced_bos_token_id", "suppress_tokens", "begin_suppress_tokens", "sequence_bias")),
    **dict.fromkeys(("exponential_decay_length_penalty", "do_sample")),
}
"""Settings of `generate` that what is served does not know, with what they are when they do nothing."""


def sequence_export(job: dict[str, Any]) -> dict[str, Any]:
    """Write `weights.npz` to the folder `out`; what is known of the model."""
    model = load(job)
    np.savez(Path(job["out"]) / "weights.npz", **{name: each.numpy() for name, each in weights(model).items()})
    config = model.config
    return {
        "model_type": config.model_type,
        "network": {
            "width": config.d_model,
            **{f"{part}_layers": getattr(config, f"{part}_layers") for part in ("encoder", "decoder")},
            **{f"{part}_heads": getattr(config, f"{part}_attention_heads") for part in ("encoder", "decoder")},
            "vocabulary": config.decoder_vocab_size,
            "activation": config.activation_function,
            "scale": model.model.encoder.embed_scale,
            "banned": banned(model),
            "renormalize": bool(model.generation_config.renormalize_logits),
        },
        "positions": config.max_position_embeddings,
        "generation": generation(model),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "versions": versions(),
    }


def sequence_answers(job: dict[str, Any]) -> dict[str, Any]:
    """Of every row of token numbers, `rows`, its embedding, and by each number of `beams` what is generated."""
    model, rows = load(job), job["rows"]
    found: dict[str, list[list[int]]] = {}
    for beams in job["beams"]:
        found[str(beams)] = []
        for number, row in enumerate(rows):
            count(f"answers of the original, {beams} beams", number, len(rows))
            found[str(beams)].append(generated(model, row, beams))
    times = [timed(model, rows[0], job["beams"][-1]) for _ in range(TIMED)]
    return {
        "tokens": found,
        "embeddings": [embedding(model, row) for row in rows],
        "warm_ms": statistics.median(times),
        "framework_bytes": installed_bytes(["torch", "transformers"]),
    }


def sequence_first(job: dict[str, Any]) -> dict[str, Any]:
    """Generate for the first row, and say when, by the clock that all processes of this machine share."""
    generated(load(job), job["rows"][0], job["beams"][-1])
    return {"at": time.monotonic()}


def load(job: dict[str, Any]) -> Any:
    return load_model(Path(job["path"]), TASK, None)


def weights(model: Any) -> dict[str, torch.Tensor]:
    """Each once: embeddings that are tied have one name, that of the table they share."""
    found = dict(model.state_dict())
    for name in ("lm_head.weight", "model.decoder.embed_tokens.weight", "model.encoder.embed_tokens.weight"):
        others = [other for other in found if other != name and "embed_positions" not in other]
        if name in found and any(found[other].data_ptr() == found[name].data_ptr() for other in others):
            del found[name]
    return found


def banned(model: Any) -> list[int]:
    """Tokens that are never generated: as in transformers, an end is never banned."""
    words = model.generation_config.bad_words_ids or []
    if any(len(word) > 1 for word in words):
        raise Refused("reading the generation settings: bad_words_ids of several tokens are not known here")
    return [word[0] for word in words if word[0] not in ends(model)]


def generation(model: Any) -> dict[str, Any]:
    """The block `generation` of model.json."""
    given, config = model.generation_config, model.config
    for name, nothing in PLAIN.items():
        value = getattr(given, name, None)
        if value is not None and value is not False and value != nothing:
            raise Refused(
                f"reading the generation settings: {name} is {value!r}, which is not known here",
                "leave it out of generation_config.json",
            )
    length = 1 + given.max_new_tokens if given.max_new_tokens else given.max_length or 20
    forced = given.forced_eos_token_id
    start = given.decoder_start_token_id
    penalty = given.length_penalty
    return {
        "start": config.decoder_start_token_id if start is None else start,
        "pad": config.pad_token_id,
        "ends": ends(model),
        "vocabulary": config.decoder_vocab_size,
        "beams": given.num_beams or 1,
        "max_length": min(length, config.max_position_embeddings + 1),
        "length_penalty": 1.0 if penalty is None else penalty,
        "early_stopping": given.early_stopping or False,
        "forced_end": [] if forced is None else forced if isinstance(forced, list) else [forced],
    }


def generated(model: Any, row: list[int], beams: int) -> list[int]:
    """The tokens after the first, up to the first end."""
    ids = torch.tensor([row])
    with torch.inference_mode():
        given = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), num_beams=beams)
    tokens: list[int] = given[0].tolist()[1:]
    stops = [number for number, token in enumerate(tokens) if token in ends(model)]
    return tokens[: stops[0] + 1] if stops else tokens


def embedding(model: Any, row: list[int]) -> list[float]:
    with torch.inference_mode():
        mean = model.model.encoder(input_ids=torch.tensor([row])).last_hidden_state[0].mean(0)
        found: list[float] = torch.nn.functional.normalize(mean, dim=0).tolist()
    return found


def timed(model: Any, row: list[int], beams: int) -> float:
    start = time.perf_counter()
    generated(model, row, beams)
    return (time.perf_counter() - start) * 1000
