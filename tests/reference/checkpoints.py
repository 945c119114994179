"""Small checkpoints with random weights, as model folders, and what transformers 4 does with them.

Run in an environment with torch and transformers 4, which alone has the question-answering pipeline:

    python checkpoints.py bert FOLDER       FOLDER/model.onnx, model.json, tokenizer files, expected.json
    python checkpoints.py roberta FOLDER
    python checkpoints.py gpt2 FOLDER
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import texts
import tokenizers
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForQuestionAnswering,
    pipeline,
)

SMALL = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "initializer_range": 0.3,  # so that the answers depend on the words
    "attn_implementation": "eager",
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def corpus() -> Iterator[str]:
    return iter(texts.SENTENCES[:18] + texts.QUESTIONS)  # the last two bring unknown words


# Readers


def bert_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=SPECIAL, limit_alphabet=200, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return with_bert_template(tokenizer)


def with_bert_template(tokenizer: Tokenizer) -> Tokenizer:
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def bert(folder: Path) -> dict[str, object]:
    tokenizer = bert_tokenizer()
    words = sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name[1:-1].lower()}_token": name for name in SPECIAL},
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    model = BertForQuestionAnswering(BertConfig(vocab_size=len(words), **SMALL))
    write_reader(folder, model, wrapped, ["input_ids", "attention_mask", "token_type_ids"])
    return {
        "type": "wordpiece",
        "vocabulary": "vocab.txt",
        "lowercase": True,
        "strip_accents": True,
        "chinese": True,
        "unknown": "[UNK]",
        "special": SPECIAL,
        "max_length": 512,
        "single": [[2], [3]],
        "pair": [[2], [3], [3]],
        "pair_types": [0, 1],
        "pad": 0,
    }


def roberta(folder: Path) -> dict[str, object]:
    tokenizer = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False)
    tokenizer.train_from_iterator(corpus(), vocab_size=700, special_tokens=ROBERTA_SPECIAL, show_progress=False)
    tokenizer._tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer,
        **{f"{kind}_token": name for kind, name in names.items()},
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )
    wrapped.backend_tokenizer.save(str(folder / "tokenizer.json"))
    config = RobertaConfig(vocab_size=700, max_position_embeddings=514, pad_token_id=1, type_vocab_size=1, **SMALL)
    write_reader(folder, RobertaForQuestionAnswering(config), wrapped, ["input_ids", "attention_mask"])
    return {
        "type": "tokenizers",
        "file": "tokenizer.json",
        "max_length": 512,
        "single": [[0], [2]],
        "pair": [[0], [2, 2], [2]],
        "pair_types": [0, 0],
        "pad": 1,
    }


def write_reader(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, inputs: list[str]) -> None:
    model.eval()
    with torch.no_grad():
        model.qa_outputs.weight *= 3  # some spans stand out, as in a trained reader
    expected = pipeline_answers(model, tokenizer)
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    outputs = ["start_logits", "end_logits"]
    feeds = {name: torch.ones(2, 9, dtype=torch.long) for name in inputs}
    model.config.return_dict = False
    axes = {name: {0: "batch", 1: "tokens"} for name in (*inputs, *outputs)}
    export(model, (feeds,), folder, inputs, outputs, axes)


def pipeline_answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> list[list[dict[str, object]]]:
    reader = pipeline("question-answering", model=model, tokenizer=tokenizer, device="cpu")
    answers = [reader(question=case.question, context=case.context, **case.options) for case in texts.cases()]
    return [answer if isinstance(answer, list) else [answer] for answer in answers]


# A generator


class WithCache(torch.nn.Module):
    """GPT-2 with keys and values as plain tensors, as model folders have them."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, *past: torch.Tensor) -> tuple:
        cache = DynamicCache.from_legacy_cache(tuple(zip(past[::2], past[1::2], strict=True)))
        seen = (torch.arange(mask.shape[1]) <= positions[:, :, None]) & mask[:, None, :].bool()
        added = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None]  # transformers' own cannot be traced
        given = self.model(ids, attention_mask=added, position_ids=positions, past_key_values=cache, use_cache=True)
        present = [tensor for layer in given.past_key_values.to_legacy_cache() for tensor in layer]
        return (given.logits[:, -1:], *present)


def gpt2(folder: Path) -> dict[str, object]:
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(corpus(), vocab_size=500, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    sizes = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 128, "initializer_range": 0.3}
    config = GPT2Config(vocab_size=500, bos_token_id=0, eos_token_id=0, attn_implementation="eager", **sizes)
    model = GPT2LMHeadModel(config).eval()
    expected = [greedy(model, tokenizer, prompt) for prompt in ("The lighthouse", "灯塔", "😀 ", *texts.SENTENCES[:6])]
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    names = [f"{layer}.{kind}" for layer in range(2) for kind in ("key", "value")]
    inputs = ["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{name}" for name in names)]
    outputs = ["logits", *(f"present.{name}" for name in names)]
    long = {"dtype": torch.long}
    feeds = (torch.ones(1, 2, **long), torch.ones(1, 5, **long), torch.tensor([[3, 4]]), *[torch.ones(1, 4, 3, 12)] * 4)
    axes = {name: {0: "batch", 2: "past"} for name in inputs[3:]}
    axes |= {name: {0: "batch", 2: "length"} for name in outputs[1:]} | {"attention_mask": {0: "batch", 1: "length"}}
    axes |= {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "position_ids")} | {"logits": {0: "batch"}}
    export(WithCache(model), feeds, folder, inputs, outputs, axes)
    return {"type": "tokenizers", "file": "tokenizer.json", "max_length": 128} | TEMPLATES_OF_GPT2


TEMPLATES_OF_GPT2 = {"single": [[], []], "pair": [[], [], []], "pair_types": [0, 0], "pad": 0}


def greedy(model: GPT2LMHeadModel, tokenizer: tokenizers.ByteLevelBPETokenizer, prompt: str) -> dict[str, str]:
    ids = torch.tensor([tokenizer.encode(prompt).ids])
    [given] = model.generate(ids, attention_mask=torch.ones_like(ids), max_length=100, do_sample=False, pad_token_id=0)
    return {"prompt": prompt, "text": tokenizer.decode(given.tolist(), skip_special_tokens=True)}


# Model folders


def export(
    model: torch.nn.Module,
    feeds: tuple[object, ...],
    folder: Path,
    inputs: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    names = {"input_names": inputs, "output_names": outputs, "dynamic_axes": axes}
    torch.onnx.export(model, feeds, str(folder / "model.onnx"), **names, opset_version=17, dynamo=False)


TASKS = {"bert": "question-answering", "roberta": "question-answering", "gpt2": "text-generation"}


def main(kind: str, folder: Path) -> None:
    torch.set_num_threads(1)  # small matrices: more only wait for one another
    torch.manual_seed(1902)
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {"format": 1, "task": TASKS[kind], "tokenizer": globals()[kind](folder)}
    if kind == "gpt2":
        settings["generation"] = {"eos": [0], "bos": 0, "max_positions": 128, "layers": 2}
    (folder / "model.json").write_text(json.dumps(settings), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
