"""Train a captioner from nothing but pictures with captions, and export it for serving.

    python -m train.train --data DIR --out models/captioning

DIR holds `captions.json` and `images/` (see `train/data.py`). First the encoder learns which words people said of a
picture, then all parts learn to say them in order. A share of the train split is kept apart: the epoch whose captions
have the highest BLEU-4 on it is kept. The val split takes no part in any choice and is measured once, on the exported
files.

The same arguments give the same weights on the same machine, also when a run was broken off and resumed.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from train import data, evaluate, export, runs, search
from train.bleu import bleu
from train.data import Parts, Picture, WordMap
from train.model import Captioner, CaptionerConfig, State
from train.pictures import Batch, Pictures, floats
from train.runs import Run, Stage, say


def words_loss(model: Captioner, batch: Batch, bfloat16: bool) -> Tensor:
    """How badly the words that people said are guessed."""
    return _words_loss(model, encoded(model, batch.pixels, bfloat16), batch.said)


def caption_loss(model: Captioner, batch: Batch, bfloat16: bool, unknown: int, attention: float) -> Tensor:
    """Cross entropy per word with the right words before it, and the doubly stochastic attention of the paper (eq. 14).

    Words without a number are no targets. The guessing of words goes on beside, so that the encoder keeps what it
    learned.
    """
    features = encoded(model, batch.pixels, bfloat16)
    logits, wanted, looks = forced(model, features, batch)
    spoken = nn.functional.cross_entropy(logits, wanted, ignore_index=unknown)
    everywhere = ((1 - looks) ** 2).mean()
    return spoken + attention * everywhere + _words_loss(model, features, batch.said)


def encoded(model: Captioner, pixels: Tensor, bfloat16: bool) -> Tensor:
    """The features of pictures. The encoder's convolutions are most of the work, and stand bfloat16."""
    if bfloat16:  # in float32 torch 2.13 writes where it may not, going back through few channels in this layout
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        features: Tensor = model.encoder(pixels)
    return features.float()


def forced(model: Captioner, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and targets of all words of the captions, and how much each caption looked at each cell, `[m, cells]`."""
    seen, state = model.decoder.look(features)
    seen, state = seen.of(batch.of), State(state.h[batch.of], state.c[batch.of])
    lengths = (batch.captions != 0).sum(1) - 1
    logits, wanted, looks = [], [], torch.zeros(seen.features.shape[:2])
    for step in range(int(lengths[0])):
        going = int((lengths > step).sum())  # the longest captions come first
        seen, state = seen.of(slice(going)), State(state.h[:going], state.c[:going])
        said, state, alpha = model.decoder(batch.captions[:going, step], state, seen)
        logits.append(said)
        wanted.append(batch.captions[:going, step + 1])
        looks = looks + nn.functional.pad(alpha, (0, 0, 0, len(looks) - going))
    return torch.cat(logits), torch.cat(wanted), looks


def _words_loss(model: Captioner, features: Tensor, said: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(model.words_said(features), said) * 20  # few words are said


def words_score(model: Captioner, apart: Pictures) -> float:
    """Minus the loss of guessed words on the pictures kept apart."""
    return -float(_words_loss(model, features_of(model, apart.pixels), apart.said))


def caption_score(model: Captioner, apart: Pictures, pictures: list[Picture], numbers: WordMap, beam: int) -> float:
    """BLEU-4 in percent on the pictures kept apart."""
    names = list(numbers)
    features = features_of(model, apart.pixels)
    captions = [search.caption(model, row, numbers, beam) for row in features.split(1)]
    said = [[names[number] for number in caption] for caption in captions]
    return bleu(said, [picture.captions for picture in pictures])


def features_of(model: Captioner, pixels: Tensor) -> Tensor:
    return torch.cat([model.encoder(floats(some)) for some in pixels.split(32)])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with captions.json and images/")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--apart", type=float, default=0.1, help="share of the train split kept apart (default 0.1)")
    parser.add_argument("--least", type=int, default=3, help="times a word must occur to be known (default 3)")
    parser.add_argument("--captions", type=int, default=2, help="of each picture in an epoch (default 2)")
    parser.add_argument("--word-epochs", type=int, default=60, help="of the encoder alone, at most (default 60)")
    parser.add_argument("--epochs", type=int, default=45, help="of all parts, at most (default 45)")
    parser.add_argument("--patience", type=int, default=20, help="epochs without gain before stopping (default 20)")
    parser.add_argument("--attention", type=float, default=1.0, help="weight of looking everywhere once (default 1)")
    parser.add_argument("--beam", type=int, default=3, help="of the search that chooses the epoch (default 3)")
    parser.add_argument("--channels", type=int, default=CaptionerConfig.channels, help="of the encoder's first layer")
    parser.add_argument("--batch", type=int, default=32, help="pictures (default 32)")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest step size (default 0.002)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bfloat16", action="store_true", help="run the encoder in bfloat16, twice as fast with AMX")
    parser.add_argument("--checkpoint", type=Path, help="file to save each epoch to, and to resume from if it is there")
    return parser.parse_args()


def settings(options: argparse.Namespace) -> runs.Settings:
    """What the weights after an epoch depend on."""
    free = ("data", "out", "threads", "checkpoint", "patience")
    return {name: number for name, number in vars(options).items() if name not in free}


def stages(parts: Parts, apart: Pictures, numbers: WordMap, options: argparse.Namespace) -> list[Stage]:
    precision = {"bfloat16": options.bfloat16}
    guessed, known = partial(words_loss, **precision), partial(words_score, apart=apart)
    spoken = partial(caption_loss, **precision, unknown=numbers[data.UNKNOWN], attention=options.attention)
    score = partial(caption_score, apart=apart, pictures=parts.apart, numbers=numbers, beam=options.beam)
    return [
        Stage("words", options.word_epochs, options.rate, guessed, known),
        Stage("captions", options.epochs, options.rate / 2, spoken, score),
    ]


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    parts = data.read(options.data, options.apart)
    numbers = data.word_map(parts.training, options.least)
    say(f"{len(parts.training)} pictures, {len(parts.apart)} kept apart, {len(numbers)} words; decoding")
    training, apart = (Pictures(part, numbers, options.batch, options.captions) for part in parts[:2])
    model = Captioner(CaptionerConfig(len(numbers), options.channels))
    if options.bfloat16:
        model.to(memory_format=torch.channels_last)
    runs.fit(Run(model, settings(options)), stages(parts, apart, numbers, options), training, options)
    export.export(model, numbers, options.out)
    evaluate.report(options.out, parts.validation)


if __name__ == "__main__":
    main()
