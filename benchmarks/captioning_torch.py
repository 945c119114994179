"""Captioning as the tutorial does it, in torch: a ResNet, attention, an LSTM, and beam search over all words.

    python benchmarks/captioning_torch.py CHECKPOINT WORDS PICTURE BEAM LIMIT

prints {"words", "total"} as a line for the first answer, and for each line that then comes in one more, with its
"seconds".

Layers, names of weights and what is computed at each step are those of
github.com/sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning, written down anew; torchvision's ResNet of bottlenecks is a
Sequential there, hence its numbers for names. With smaller sizes it is the reference of the tests.
"""

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

GRID = 14


class Sizes(NamedTuple):
    """The tutorial's by default, with ResNet-101 and the words of MS COCO that occur more than five times."""

    blocks: tuple[int, ...] = (3, 4, 23, 3)
    width: int = 64
    embedding: int = 512
    attention: int = 512
    hidden: int = 512
    words: int = 9490

    @property
    def features(self) -> int:
        return 32 * self.width


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride != 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        found = self.bn1(self.conv1(maps)).relu()
        found = self.bn2(self.conv2(found)).relu()
        found = self.bn3(self.conv3(found))
        return (found + (maps if self.downsample is None else self.downsample(maps))).relu()


class Encoder(nn.Module):
    """Pictures [n, 3, 256, 256], normalised, to features [n, 14, 14, width]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first = [nn.Conv2d(3, sizes.width, 7, 2, 3, bias=False), nn.BatchNorm2d(sizes.width), nn.ReLU()]
        stages, inputs = [], sizes.width
        for number, blocks in enumerate(sizes.blocks):
            width = sizes.width << number
            strides = [2 if number else 1, *[1] * (blocks - 1)]
            inside = [inputs, *[4 * width] * (blocks - 1)]
            layers = (Bottleneck(each, width, stride) for each, stride in zip(inside, strides, strict=True))
            stages.append(nn.Sequential(*layers))
            inputs = 4 * width
        self.resnet = nn.Sequential(*first, nn.MaxPool2d(3, 2, 1), *stages)
        self.adaptive_pool = nn.AdaptiveAvgPool2d(GRID)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.adaptive_pool(self.resnet(pictures)).permute(0, 2, 3, 1)


class Attention(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder_att = nn.Linear(sizes.features, sizes.attention)
        self.decoder_att = nn.Linear(sizes.hidden, sizes.attention)
        self.full_att = nn.Linear(sizes.attention, 1)

    def forward(self, features: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        compared = (self.encoder_att(features) + self.decoder_att(h).unsqueeze(1)).relu()
        alpha = self.full_att(compared).squeeze(2).softmax(1)
        return (features * alpha.unsqueeze(2)).sum(1), alpha


class Decoder(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention = Attention(sizes)
        self.embedding = nn.Embedding(sizes.words, sizes.embedding)
        self.decode_step = nn.LSTMCell(sizes.embedding + sizes.features, sizes.hidden)
        self.init_h = nn.Linear(sizes.features, sizes.hidden)
        self.init_c = nn.Linear(sizes.features, sizes.hidden)
        self.f_beta = nn.Linear(sizes.hidden, sizes.features)
        self.fc = nn.Linear(sizes.hidden, sizes.words)


class Tutorial(NamedTuple):
    encoder: Encoder
    decoder: Decoder


def made(sizes: Sizes, seed: int = 0, sharpness: float = 1.0) -> Tutorial:
    """Random weights, whose statistics of batch normalisation are no default; `sharpness` scales the logits."""
    torch.manual_seed(seed)
    network = Tutorial(Encoder(sizes).eval(), Decoder(sizes).eval())
    with torch.no_grad():
        for module in network.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.1, 0.1)
        network.decoder.fc.weight.mul_(sharpness)
    return network


def save(network: Tutorial, checkpoint: Path, words: Path) -> None:
    """Write state dictionaries and a word map as the tutorial's."""
    torch.save({part: getattr(network, part).state_dict() for part in network._fields}, checkpoint)
    count = len(network.decoder.embedding.weight)
    names = ["<pad>", *(f"w{number}" for number in range(1, count - 3)), "<unk>", "<start>", "<end>"]
    words.write_text(json.dumps({name: number for number, name in enumerate(names)}), encoding="utf-8")


@torch.no_grad()
def caption(network: Tutorial, picture: Tensor, start: int, end: int, beam: int, limit: int) -> tuple[list[int], float]:
    """The tutorial's caption_image_beam_search, the best unfinished caption where none has ended after `limit` words.

    Every beam has its own copy of the features, whose keys are made anew for every word.
    """
    encoder, decoder = network
    features = encoder(picture).reshape(1, GRID * GRID, -1)
    features = features.expand(beam, *features.shape[1:])
    said, totals = torch.full((beam, 1), start), torch.zeros(beam, 1)
    mean = features.mean(1)
    h, c = decoder.init_h(mean), decoder.init_c(mean)
    ended: list[tuple[float, list[int]]] = []
    for step in range(limit):
        context, _ = decoder.attention(features, h)
        context = decoder.f_beta(h).sigmoid() * context
        h, c = decoder.decode_step(torch.cat([decoder.embedding(said[:, -1]), context], 1), (h, c))
        scores = totals + decoder.fc(h).log_softmax(1)
        candidates = scores[0] if step == 0 else scores.flatten()
        best, places = candidates.topk(len(said), 0)
        parents, words = places // scores.shape[1], places % scores.shape[1]
        said = torch.cat([said[parents], words.unsqueeze(1)], 1)
        going = [row for row, word in enumerate(words.tolist()) if word != end]
        ended += [(float(best[row]), said[row, 1:-1].tolist()) for row in range(len(said)) if row not in going]
        if not going:
            break
        said, totals, features = said[going], best[going].unsqueeze(1), features[going]
        h, c = h[parents[going]], c[parents[going]]
    total, words = max(ended, key=lambda it: it[0]) if ended else (float(totals[0]), said[0, 1:].tolist())
    return words, total


def seen(path: Path) -> Tensor:
    """A picture as the tutorial's encoder takes it."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        small = np.asarray(image.convert("RGB").resize((256, 256), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(small.copy()).permute(2, 0, 1).unsqueeze(0) / 255
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (pixels - mean) / std


def main() -> None:
    checkpoint, words, picture, beam, limit = sys.argv[1:]
    numbers = json.loads(Path(words).read_text(encoding="utf-8"))
    names = list(numbers)
    network = Tutorial(Encoder(Sizes()).eval(), Decoder(Sizes()).eval())
    for part, weights in torch.load(checkpoint, weights_only=True).items():
        getattr(network, part).load_state_dict(weights)
    while True:
        started = time.perf_counter()
        said, total = caption(network, seen(Path(picture)), numbers["<start>"], numbers["<end>"], int(beam), int(limit))
        taken = time.perf_counter() - started
        print(json.dumps({"words": [names[word] for word in said], "total": total, "seconds": taken}), flush=True)
        if not sys.stdin.readline():
            break


if __name__ == "__main__":
    main()
