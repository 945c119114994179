"""A checkpoint of transformers, loaded without running anything that lies in its folder."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from refusal import Refused
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

HEADS = {
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "text-classification": transformers.AutoModelForSequenceClassification,
    "sentence-embedding": transformers.AutoModel,
    "feature-extraction": transformers.AutoModel,
    "text-generation": transformers.AutoModelForCausalLM,
    "translation": transformers.AutoModelForSeq2SeqLM,
}
POOLER = "pooler."  # a layer that `AutoModel` has and none of its tasks reads
SHOWN = 6


def load_model(folder: Path, task: str, attention: str | None) -> torch.nn.Module:
    """The model with its task's head, in fp32, for evaluation; `attention` "eager" is what exports well.

    Refused: code in the folder, pickles, weights that are missing. Transformers would fill those at random, so that a
    model without a head for the task would answer, and answer nonsense.
    """
    check_config(folder)
    options: dict[str, Any] = {"attn_implementation": attention} if attention else {}
    try:
        model, report = HEADS[task].from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=any(folder.glob("*.safetensors")),
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # transformers raises what it likes: damaged files, unknown settings, missing packages
        raise cannot_load(folder, task, error) from error
    check_weights(folder, task, report)
    return model.eval()


def check_config(folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        kind = config.get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise Refused(f"loading {folder / 'config.json'}: not a JSON object ({error})", kind="model") from error
    if kind not in CONFIG_MAPPING:
        hint = "it comes with code of its own, which is not run" if "auto_map" in config else ""
        version = transformers.__version__
        raise Refused(f"loading {folder}: transformers {version} has no architecture {kind!r}", hint)


def unsafe(folder: Path) -> Refused:
    return Refused(
        f"loading {folder}: its weights are a pickle that holds more than tensors, and was not loaded",
        "use a revision with model.safetensors, or convert the checkpoint where you trust it",
        kind="model",
    )


def cannot_load(folder: Path, task: str, error: Exception) -> Refused:
    text = " ".join(str(error).split())
    if type(error).__name__ == "UnpicklingError" or "WeightsUnpickler" in text:
        return unsafe(folder)
    if text.startswith("Unrecognized configuration class"):
        return Refused(f"loading {folder}: this architecture has no head for {task}", "choose another task")
    return Refused(f"loading {folder}: {type(error).__name__}: {text[:300]}", kind="model")


def check_weights(folder: Path, task: str, report: dict[str, Any]) -> None:
    headless = HEADS[task] is transformers.AutoModel
    missing = sorted(name for name in report["missing_keys"] if not (headless and POOLER in name))
    wrong = sorted(str(key[0]) for key in report.get("mismatched_keys", ()))
    if not missing and not wrong:
        return
    names = [*missing, *wrong]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise Refused(
        f"loading {folder} for {task}: the checkpoint has no weights for {', '.join(names[:SHOWN])}{more}",
        "the model was not trained for this task: choose the task that it was trained for, or another model",
        kind="model",
    )


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer; Refused when the folder has none that can be loaded."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # as above
        reason = f"loading the tokenizer of {folder}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise Refused(reason, "the folder needs tokenizer.json, or vocab.txt, or vocab.json and merges.txt") from error
    if not getattr(tokenizer, "is_fast", False):
        raise Refused(f"loading the tokenizer of {folder}: it cannot be expressed as tokenizer.json")
    return tokenizer
