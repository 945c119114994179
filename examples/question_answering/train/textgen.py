"""Train a small GPT-2 that goes on with everyday English sentences: a demonstration of streamed text.

    python -m train.textgen --data cmn.txt --out run

The data is a text file with a sentence a line; of a line with tabs the first column counts, so the sentence pairs of
Tatoeba are taken as they come. OUT becomes a model folder that `pilotlight optimize` reads: config.json,
model.safetensors, tokenizer.json and README.md, the model card. The weights exported are those after the last epoch;
the same arguments give the same ones on the same machine, also when a run was broken off and resumed.
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from train.sentences import END, END_ID, encode, keep_apart, read, train_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

ROW = 256
"""Tokens of a training row, and the most that the model takes: prompt and what is generated together."""
PROMPTS = ("I don't", "Where can I", "She told me", "The weather", "My brother")

CARD = """\
---
license: cc-by-2.0-fr
language: en
---
# Model card: everyday sentences, a small GPT-2

A demonstration of streamed text generation: it writes short sentences, often grammatical ones, and knows nothing.

| | |
|---|---|
| task | go on with the beginning of an English sentence, to its end |
| network | GPT-2 (Radford et al. 2019) of {layers} layers, width {width}, {heads} heads, {positions} positions, {parameters:,} parameters; the embedding is also the output |
| tokens | byte-level BPE, {vocabulary:,} tokens, trained on the training sentences; `<|endoftext|>` stands between sentences |
| data | {training:,} sentences, and {apart:,} kept apart: the English side of the English-Chinese pairs that manythings.org makes from Tatoeba. Each sentence counts once; one in twenty is kept apart, chosen by the hash of its text |
| command | `python -m train.textgen --data FILE --out DIR --seed {seed} --epochs {epochs} --batch {batch}`, torch {torch} on a CPU |
| perplexity | **{perplexity:.2f}** per token on the sentences kept apart, {trained:.2f} on those trained with; float32 |

Tatoeba has many sentences that differ in a word, so one kept apart often has a near twin among the others.
The length of the training was chosen by them, of two runs: 12 epochs in batches of 4 rows had 35.39. The likeliest
continuations:

{samples}

## Limits

For showing how a stream looks, not for text that somebody relies on: what it says is not true, or only by chance. It
carries whatever Tatoeba's contributors wrote, and names, places and groups in their likeliest company. English only.

## Licence

The sentences are by the contributors of Tatoeba (https://tatoeba.org), published under CC BY 2.0 FR.
"""  # noqa: E501


def rows(encoded: Sequence[list[int]], seed: str) -> Tensor:
    """The sentences in a random order as one stream cut into `[rows, ROW + 1]`, from a random place on.

    A row begins anywhere, so that a prompt that lacks the leading end is nothing new.
    """
    draw = random.Random(seed)
    shuffled = draw.sample(list(encoded), len(encoded))
    stream = [END_ID, *(token for ids in shuffled for token in ids[1:])]
    first = draw.randrange(min(ROW, max(1, len(stream) - ROW)))
    stream += stream[: max(0, first + ROW + 1 - len(stream))]  # for data of less than a row
    starts = range(first, len(stream) - ROW, ROW)
    return torch.tensor([stream[start : start + ROW + 1] for start in starts])


class Run:
    """The model, its optimiser and schedule: what a checkpoint holds."""

    def __init__(self, options: argparse.Namespace, vocabulary: int, steps: int) -> None:
        config = GPT2Config(
            vocab_size=vocabulary, n_positions=ROW, n_embd=options.width, n_layer=options.layers, n_head=4,
            bos_token_id=END_ID, eos_token_id=END_ID,
            resid_pdrop=options.dropout, embd_pdrop=options.dropout, attn_pdrop=0.0,
        )  # fmt: skip
        self.model = GPT2LMHeadModel(config)
        decayed = [weights for weights in self.model.parameters() if weights.ndim > 1]
        others = [weights for weights in self.model.parameters() if weights.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.95))
        warm = max(1, steps // 20)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))
        )
        self.epoch = 0

    def step(self, batch: Tensor) -> float:
        loss = _loss(self.model(input_ids=batch[:, :-1], use_cache=False).logits, batch[:, 1:])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def save(self, path: Path, settings: dict) -> None:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        partial = path.with_name(path.name + ".part")
        torch.save({**parts, "epoch": self.epoch, "settings": settings}, partial)
        partial.replace(path)  # a run broken off while it saves keeps the epoch before

    def load(self, path: Path, settings: dict) -> None:
        saved = torch.load(path, weights_only=True)
        if saved["settings"] != settings:
            sys.exit(f"{path} is of a run with {saved['settings']}, this one has {settings}: give another --checkpoint")
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch = saved["epoch"]

    def _parts(self) -> dict:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def train_epoch(run: Run, encoded: Sequence[list[int]], options: argparse.Namespace) -> None:
    epoch = run.epoch + 1
    torch.manual_seed(options.seed * 1000 + epoch)  # by number, so that a resumed run draws what an unbroken one would
    batches = rows(encoded, f"{options.seed} {epoch}").split(options.batch)
    run.model.train()
    mean, started = 0.0, time.monotonic()
    for number, batch in enumerate(batches, start=1):
        loss = run.step(batch)
        mean = loss if number == 1 else 0.98 * mean + 0.02 * loss
        if number % 20 == 0:
            left = (len(batches) - number) * (time.monotonic() - started) / number
            place = f"epoch {epoch}/{options.epochs}  batch {number}/{len(batches)}"
            _say(f"{place}  loss {mean:.3f}  {left:.0f} s left of it")
    run.epoch = epoch


@torch.no_grad()
def perplexity(model: GPT2LMHeadModel, encoded: Sequence[list[int]]) -> float:
    """exp of the mean negative log likelihood of a token, the end included; each sentence stands alone."""
    model.eval()
    total, count = 0.0, 0
    ordered = sorted(encoded, key=len)
    for first in range(0, len(ordered), 32):
        group = ordered[first : first + 32]
        longest = len(group[-1])
        ids = torch.tensor([row + [END_ID] * (longest - len(row)) for row in group])
        targets = torch.tensor([row[1:] + [-100] * (longest - len(row)) for row in group])
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        total += float(nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"))
        count += sum(len(row) - 1 for row in group)
    return math.exp(total / count)


@torch.no_grad()
def samples(model: GPT2LMHeadModel, tokenizer: Tokenizer) -> list[str]:
    """The likeliest continuation of each of `PROMPTS`, token by token."""
    model.eval()
    texts = []
    for prompt in PROMPTS:
        ids = tokenizer.encode(prompt).ids
        while len(ids) < 40:
            following = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            if following == END_ID:
                break
            ids.append(following)
        texts.append(tokenizer.decode(ids))
    return texts


def export(run: Run, tokenizer: Tokenizer, card: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    run.model.save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"))
    kind = {"tokenizer_class": "GPT2TokenizerFast", "bos_token": END, "eos_token": END, "unk_token": END}
    (out / "tokenizer_config.json").write_text(json.dumps(kind | {"model_max_length": ROW}, indent=2) + "\n")
    (out / "README.md").write_text(card, encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="text file with a sentence a line")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=2, help=f"rows of {ROW} tokens in a step (default 2)")
    parser.add_argument("--rate", type=float, default=2e-3, help="AdamW's highest step size (default 0.002)")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--vocabulary", type=int, default=2048, help="tokens (default 2048)")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path, help="file to save each epoch to, and to resume from if it is there")
    return parser


def settings(options: argparse.Namespace) -> dict:
    """What the weights after an epoch depend on."""
    names = ("seed", "epochs", "batch", "rate", "dropout", "vocabulary", "width", "layers")
    return {name: getattr(options, name) for name in names}


def start(options: argparse.Namespace, encoded: Sequence[list[int]], vocabulary: int) -> Run:
    """A fresh run, or the one that the checkpoint holds."""
    steps = sum(
        len(rows(encoded, f"{options.seed} {epoch + 1}").split(options.batch)) for epoch in range(options.epochs)
    )
    torch.manual_seed(options.seed)
    run = Run(options, vocabulary, steps)
    if options.checkpoint and options.checkpoint.exists():
        run.load(options.checkpoint, settings(options))
    return run


def card(run: Run, options: argparse.Namespace, measured: dict, written: Sequence[str]) -> str:
    config = run.model.config
    return CARD.format(
        layers=config.n_layer, width=config.n_embd, heads=config.n_head, positions=config.n_positions,
        parameters=run.model.num_parameters(), vocabulary=config.vocab_size,
        seed=options.seed, epochs=run.epoch, batch=options.batch,
        torch=torch.__version__.partition("+")[0], samples="\n".join(f"- {text}" for text in written), **measured,
    )  # fmt: skip


def main() -> None:
    options = arguments().parse_args()
    torch.set_num_threads(options.threads)
    training, apart = keep_apart(read(options.data))
    tokenizer = train_tokenizer(training, options.vocabulary)
    encoded, held = encode(tokenizer, training), encode(tokenizer, apart)
    _say(f"{len(training)} sentences, {sum(map(len, encoded)) - len(encoded)} tokens; {len(apart)} kept apart")
    run = start(options, encoded, tokenizer.get_vocab_size())
    while run.epoch < options.epochs:
        train_epoch(run, encoded, options)
        if options.checkpoint:
            run.save(options.checkpoint, settings(options))
        _say(f"epoch {run.epoch}: perplexity {perplexity(run.model, held):.2f} on the sentences kept apart")
    measured = {"perplexity": perplexity(run.model, held), "trained": perplexity(run.model, encoded)}
    counts = {"training": len(training), "apart": len(apart)}
    export(run, tokenizer, card(run, options, measured | counts, samples(run.model, tokenizer)), options.out)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
