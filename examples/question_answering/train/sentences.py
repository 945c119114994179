"""Sentences, a part of them kept apart, and their tokens: needs the tokenizers library, no torch."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"
END_ID = 0


def read(path: Path) -> list[str]:
    """Each sentence once, in the file's order."""
    lines = path.read_text("utf-8").splitlines()
    return list(dict.fromkeys(sentence for line in lines if (sentence := line.partition("\t")[0].strip())))


def keep_apart(sentences: Sequence[str]) -> tuple[list[str], list[str]]:
    """Training and kept-apart sentences, one in twenty; by their text, so that other data moves none across."""
    apart = {sentence for sentence in sentences if int.from_bytes(sha256(sentence.encode()).digest()) % 20 == 0}
    return [one for one in sentences if one not in apart], [one for one in sentences if one in apart]


def train_tokenizer(sentences: Sequence[str], size: int) -> Tokenizer:
    """Byte-level BPE as GPT-2's: every text can be written, and decoding gives it back."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sentences, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, sentences: Sequence[str]) -> list[list[int]]:
    """Each sentence between two ends: the first is what its first word is guessed from."""
    return [[END_ID, *encoding.ids, END_ID] for encoding in tokenizer.encode_batch(sentences)]
