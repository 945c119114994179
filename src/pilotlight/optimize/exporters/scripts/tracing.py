"""A PyTorch model -> ONNX in fp32, with any number of texts and tokens.

Traced, with plain attention: ONNX Runtime's optimiser recognises attention, layer normalisation, GELU and embeddings in
such a graph. In what `torch.export` or fused attention give, it finds no attention.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
import transformers
from archives import load_program
from checkpoints import load_model, load_tokenizer
from refusal import Refused
from wrappers import Module, Wrapped, past_shape, wrap

OPSET = 20  # the newest that tracing knows
LARGE = 1 << 30  # bytes; protobuf ends at twice that
TEXTS, TOKENS, PAST = 2, 7, 5  # of the example; unequal, so that no two axes are mistaken for one another


def export(job: dict[str, Any]) -> dict[str, Any]:
    """Write `model.onnx`, and `tokenizer.json` of a checkpoint, to the folder `out`; what is known of the model."""
    return export_program(job) if job["kind"] == "pt2" else export_checkpoint(job)


def export_checkpoint(job: dict[str, Any]) -> dict[str, Any]:
    folder, out = Path(job["path"]), Path(job["out"])
    tokenizer = load_tokenizer(folder)
    model: Any = load_model(folder, job["task"], attention="eager")
    wrapped = wrap(model, job)
    with tempfile.TemporaryDirectory(dir=out) as parts:
        trace(Module(model, wrapped.forward), wrapped, example(wrapped, model.config), Path(parts) / "model.onnx")
        save(onnx.load(Path(parts) / "model.onnx"), out)
    tokenizer.backend_tokenizer.save(str(out / "tokenizer.json"))
    return {**facts(model), "inputs": wrapped.inputs, "pad": tokenizer.pad_token_id}


def export_program(job: dict[str, Any]) -> dict[str, Any]:
    program = load_program(Path(job["path"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    assert converted is not None
    model = converted.model_proto
    save(model, Path(job["out"]))
    return {
        "parameters": sum(weight.numel() for weight in program.parameters()),
        "versions": versions(),
        "inputs": [each.name for each in model.graph.input],
        "outputs": [each.name for each in model.graph.output],
    }


def trace(module: Module, wrapped: Wrapped, tensors: tuple[torch.Tensor, ...], path: Path) -> None:
    options: dict[str, Any] = {"dynamic_axes": axes(wrapped), "opset_version": OPSET, "dynamo": False}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of every branch that a trace decides
        try:
            names = {"input_names": list(wrapped.inputs), "output_names": list(wrapped.outputs)}
            torch.onnx.export(module, tensors, str(path), **names, **options)
        except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            text = " ".join(str(error).split())[:400]
            raise Refused(f"exporting the model to ONNX: {type(error).__name__}: {text}", kind="model") from error


def axes(wrapped: Wrapped) -> dict[str, dict[int, str]]:
    """Names of the axes that vary. A mask covers the past, too."""
    cached = any(name.startswith("past_key_values.") for name in wrapped.inputs)
    named = {}
    for name in (*wrapped.inputs, *wrapped.outputs):
        if name.startswith(("past_key_values.", "present.")):
            named[name] = {0: "batch", 2: "past" if name.startswith("past") else "total"}
        elif name in ("logits", "embedding"):
            named[name] = {0: "batch"}
        else:
            named[name] = {0: "batch", 1: "total" if cached and name == "attention_mask" else "tokens"}
    return named


def example(wrapped: Wrapped, config: Any) -> tuple[torch.Tensor, ...]:
    """Tensors to trace with: padding in one text, so that no branch for unpadded texts is taken."""
    cached = any(name.startswith("past_key_values.") for name in wrapped.inputs)
    past = PAST if cached else 0
    mask = torch.ones(TEXTS, past + TOKENS, dtype=torch.long)
    mask[1, slice(None, 2) if cached else slice(-2, None)] = 0
    made = {
        "input_ids": torch.arange(3, 3 + TEXTS * TOKENS).reshape(TEXTS, TOKENS),
        "attention_mask": mask,
        "token_type_ids": torch.arange(TOKENS).ge(4).long().repeat(TEXTS, 1),
        "position_ids": torch.arange(past, past + TOKENS).repeat(TEXTS, 1),
    }
    layer = torch.randn(TEXTS, *past_shape(config, PAST)) if cached else torch.empty(0)
    return tuple(made[name] if name in made else layer.clone() for name in wrapped.inputs)


def save(model: onnx.ModelProto, out: Path) -> None:
    """As one file, or with its weights beside it where they are many."""
    for output in model.graph.output:
        dimensions = output.type.tensor_type.shape.dim
        if output.name == "logits" and len(dimensions) == 3:
            dimensions[1].dim_value = 1  # a trace gives it a name
    if model.ByteSize() < LARGE:
        onnx.save(model, out / "model.onnx")
    else:
        onnx.save(model, out / "model.onnx", save_as_external_data=True, location="model.onnx.data")


def facts(model: Any) -> dict[str, Any]:
    """What optimising and the model's settings need to know."""
    config = model.config.get_text_config()
    names = config.id2label or {}
    return {
        "model_type": model.config.model_type,
        "hidden_size": config.hidden_size,
        "heads": config.num_attention_heads,
        "layers": config.num_hidden_layers,
        "labels": [names[key] for key in sorted(names)],
        "max_positions": positions(config),
        "eos": ends(model),
        "bos": config.bos_token_id,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "versions": versions(),
    }


def positions(config: Any) -> int | None:
    """The most tokens that have a position; the RoBERTa family counts from behind the padding token's id."""
    most = getattr(config, "max_position_embeddings", None)
    if most and config.model_type in ROBERTAS:
        return int(most) - int(config.pad_token_id) - 1
    return int(most) if most and most > 0 else None


ROBERTAS = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet", "roberta-prelayernorm"),
    *("data2vec-text", "xmod", "esm", "ibert", "luke", "mluke"),
}


def ends(model: Any) -> list[int]:
    """The tokens that end a text, as `generate` knows them."""
    given = getattr(model, "generation_config", None)
    end = getattr(given, "eos_token_id", None)
    end = model.config.get_text_config().eos_token_id if end is None else end
    return [] if end is None else list(end) if isinstance(end, list) else [end]


def versions() -> dict[str, str]:
    return {"torch": torch.__version__, "transformers": transformers.__version__, "onnx": onnx.__version__}
