"""What is exported for each task: a module from positional tensors to positional tensors.

A new task is one function here; `pilotlight/optimize/tasks.py` says which entries it needs besides.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

Forward = Callable[..., tuple[Tensor, ...]]


class Wrapped(NamedTuple):
    """A model with the names of what goes in and what comes out, in order."""

    forward: Forward
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Module(torch.nn.Module):
    """`forward` as a module whose weights are the model's, as exporting needs it."""

    def __init__(self, model: torch.nn.Module, forward: Forward) -> None:
        super().__init__()
        self.model = model
        self.run = forward

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return self.run(*tensors)


def question_answering(model: Any, inputs: tuple[str, ...], job: dict[str, Any]) -> Wrapped:
    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        answer = model(**dict(zip(inputs, tensors, strict=True)))
        return answer.start_logits, answer.end_logits

    return Wrapped(forward, inputs, ("start_logits", "end_logits"))


def text_classification(model: Any, inputs: tuple[str, ...], job: dict[str, Any]) -> Wrapped:
    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        return (model(**dict(zip(inputs, tensors, strict=True))).logits,)

    return Wrapped(forward, inputs, ("logits",))


def feature_extraction(model: Any, inputs: tuple[str, ...], job: dict[str, Any]) -> Wrapped:
    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        return (model(**dict(zip(inputs, tensors, strict=True))).last_hidden_state,)

    return Wrapped(forward, inputs, ("last_hidden_state",))


def sentence_embedding(model: Any, inputs: tuple[str, ...], job: dict[str, Any]) -> Wrapped:
    """`job` has `pooling`, "mean" over the tokens that are not padding or "cls", and `normalize` to length 1."""

    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(inputs, tensors, strict=True))
        hidden = model(**given).last_hidden_state
        if job["pooling"] == "cls":
            pooled = hidden[:, 0]
        else:
            mask = given["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return (torch.nn.functional.normalize(pooled, dim=-1) if job["normalize"] else pooled,)

    return Wrapped(forward, inputs, ("embedding",))


def text_generation(model: Any, inputs: tuple[str, ...], job: dict[str, Any]) -> Wrapped:
    """Logits of the last position; keys and values of the past go in, those of past and present come out."""

    def forward(ids: Tensor, mask: Tensor, positions: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
        options = {"position_ids": positions} if takes_positions else {}
        answer = model(ids, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1, **options)
        present = (tensor for layer in answer.past_key_values.layers for tensor in (layer.keys, layer.values))
        return (answer.logits, *present)

    takes_positions = "position_ids" in parameters(model)
    layers = range(model.config.get_text_config().num_hidden_layers)
    names = [f"{layer}.{part}" for layer in layers for part in ("key", "value")]
    past = tuple(f"past_key_values.{name}" for name in names)
    return Wrapped(forward, (*inputs, *past), ("logits", *(f"present.{name}" for name in names)))


WRAPPERS: dict[str, Callable[[Any, tuple[str, ...], dict[str, Any]], Wrapped]] = {
    "question-answering": question_answering,
    "text-classification": text_classification,
    "feature-extraction": feature_extraction,
    "sentence-embedding": sentence_embedding,
    "text-generation": text_generation,
}


def wrap(model: Any, job: dict[str, Any]) -> Wrapped:
    return WRAPPERS[job["task"]](model, tuple(used(model, job["inputs"])), job)


def used(model: Any, names: Iterable[str]) -> Iterable[str]:
    """The inputs that this architecture has: a model with one kind of token is not asked for kinds."""
    kinds = getattr(model.config, "type_vocab_size", 0) or 0
    taken = parameters(model)
    for name in names:
        if name == "position_ids" or (name in taken and (name != "token_type_ids" or kinds > 1)):
            yield name


def parameters(model: Any) -> set[str]:
    return set(inspect.signature(model.forward).parameters)


def past_shape(config: Any, length: int) -> tuple[int, int, int]:
    """[heads, tokens, width] of the keys and values of one text and one layer."""
    config = config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return getattr(config, "num_key_value_heads", None) or heads, length, width
