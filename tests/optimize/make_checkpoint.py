"""`python make_checkpoint.py KIND FOLDER`: a tiny model of random weights with its tokenizer, saved by transformers.

Run by the interpreter of the exporter's environment, the only one that has transformers.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["the", "tower", "stands", "in", "paris", "where", "is", "it", "?", ".", "##s", "##ing"]
SMALL = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 48}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]


def wordpiece() -> Any:
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return transformers.BertTokenizer(
        tokenizer_object=tokenizer, vocab={piece: i for i, piece in enumerate(PIECES)}, model_max_length=512, **special
    )


def bytes_(first: list[str], around: bool) -> Any:
    """Byte-level pieces without merges, as GPT-2 and RoBERTa have them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate([*first, *letters])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if around:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    special = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>"} if around else {"eos_token": first[0]}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **special)


def bert_config() -> Any:
    return transformers.BertConfig(vocab_size=len(PIECES), **SMALL)


def bert_qa() -> tuple[Any, Any]:
    return transformers.BertForQuestionAnswering(bert_config()), wordpiece()


def bert() -> tuple[Any, Any]:
    return transformers.BertModel(bert_config()), wordpiece()


def distilbert_classes() -> tuple[Any, Any]:
    labels = {0: "sad", 1: "glad", 2: "neither"}
    config = transformers.DistilBertConfig(
        vocab_size=len(PIECES), dim=32, n_heads=4, n_layers=2, hidden_dim=48, id2label=labels
    )
    return transformers.DistilBertForSequenceClassification(config), wordpiece()


def roberta() -> tuple[Any, Any]:
    config = transformers.RobertaConfig(vocab_size=260, max_position_embeddings=514, type_vocab_size=1, **SMALL)
    return transformers.RobertaForQuestionAnswering(config), bytes_(["<s>", "<pad>", "</s>", "<unk>"], around=True)


def gpt2() -> tuple[Any, Any]:
    config = transformers.GPT2Config(
        vocab_size=257, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config), bytes_(["<|endoftext|>"], around=False)


def llama() -> tuple[Any, Any]:
    config = transformers.LlamaConfig(
        vocab_size=257, num_key_value_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=0, **SMALL
    )
    return transformers.LlamaForCausalLM(config), bytes_(["<|endoftext|>"], around=False)


KINDS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "bert-qa": bert_qa,
    "bert": bert,
    "distilbert-classes": distilbert_classes,
    "roberta": roberta,
    "gpt2": gpt2,
    "llama": llama,
}


def main(kind: str, folder: Path) -> None:
    torch.manual_seed(7)
    model, tokenizer = KINDS[kind]()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)  # far from the start's near-zero outputs, so that errors show
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
