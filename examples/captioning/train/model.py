"""Show, Attend and Tell: an LSTM says what is in a picture, and looks at a part of it for every word.

Xu et al., "Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", ICML 2015, with soft
attention. The paper's encoder was trained on a million pictures; this one is small enough to be trained on the
captions alone.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

GROWTH = (1, 2, 4, 12)  # of the channels, at 1/2, 1/4, 1/8 and 1/16 of the picture's sides


@dataclass(frozen=True)
class CaptionerConfig:
    """Sizes and noise of the network. `words` counts the special ones too."""

    words: int
    channels: int = 16  # of the encoder's first layer; the last has twelve times as many
    embedding: int = 192
    hidden: int = 256
    attention: int = 64
    dropout: float = 0.5

    @property
    def features(self) -> int:
        return self.channels * GROWTH[-1]


class State(NamedTuple):
    """What the LSTM remembers, `[n, hidden]` each."""

    h: Tensor
    c: Tensor


class Seen(NamedTuple):
    """`features` `[n, cells, features]` of a picture, and what attention compares, `keys` `[n, cells, attention]`."""

    features: Tensor
    keys: Tensor

    def of(self, rows: Tensor | slice) -> "Seen":
        return Seen(self.features[rows], self.keys[rows])


class Block(nn.Module):
    """Two convolutions around which the input is led (He et al. 2016); with `stride` 2 the sides halve."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.short = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.short_norm = None if same else nn.BatchNorm2d(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        found = self.first_norm(self.first(maps)).relu()
        found = self.second_norm(self.second(found))
        if self.short is not None and self.short_norm is not None:
            maps = self.short_norm(self.short(maps))
        added: Tensor = found + maps
        return added.relu()


class Encoder(nn.Module):
    """Pixels in [0, 255], `[n, 3, side, side]`, to features `[n, (side / 16) ** 2, features]`."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        widths = [config.channels * growth for growth in GROWTH]
        self.stem = nn.Conv2d(3, widths[0], 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.blocks = nn.ModuleList()
        for inputs, outputs in pairwise(widths):
            self.blocks += [Block(inputs, outputs, 2), Block(outputs, outputs, 1)]

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.stem_norm(self.stem(pixels / 127.5 - 1)).relu()
        for block in self.blocks:
            maps = block(maps)
        return maps.flatten(2).transpose(1, 2)


class Decoder(nn.Module):
    """One word after the other: where to look, what is there, which word comes next."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.words, config.embedding)
        self.attend_features = nn.Linear(config.features, config.attention)
        self.attend_state = nn.Linear(config.hidden, config.attention)
        self.attend = nn.Linear(config.attention, 1, bias=False)  # a bias would drop out of the softmax
        self.gate = nn.Linear(config.hidden, 1)  # beta, how much the picture counts for this word
        self.cell = nn.LSTMCell(config.embedding + config.features, config.hidden)
        self.first_h = nn.Linear(config.features, config.hidden)
        self.first_c = nn.Linear(config.features, config.hidden)
        self.output_h = nn.Linear(config.hidden, config.embedding)
        self.output_z = nn.Linear(config.features, config.embedding, bias=False)
        self.output = nn.Linear(config.embedding, config.words)
        self.dropout = nn.Dropout(config.dropout)

    def look(self, features: Tensor) -> tuple[Seen, State]:
        """What is the same for every word of a picture."""
        mean = features.mean(1)
        state = State(self.first_h(mean).tanh(), self.first_c(mean).tanh())
        return Seen(features, self.attend_features(features)), state

    def forward(self, words: Tensor, state: State, seen: Seen) -> tuple[Tensor, State, Tensor]:
        """The words before `[n]` to logits `[n, words]`, the state after them, and attention `[n, cells]`."""
        scores = self.attend((seen.keys + self.attend_state(state.h).unsqueeze(1)).relu()).squeeze(2)
        alpha = scores.softmax(1)
        context = self.gate(state.h).sigmoid() * torch.einsum("nl,nld->nd", alpha, seen.features)
        embedded = self.embedding(words)
        after = State(*self.cell(torch.cat([self.dropout(embedded), context], 1), state))
        deep = embedded + self.output_h(self.dropout(after.h)) + self.output_z(context)
        return self.output(self.dropout(deep.tanh())), after, alpha


class Captioner(nn.Module):
    """The encoder and the decoder; `said` guesses which words a caption has, which teaches the encoder to see."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.said = nn.Linear(config.features, config.words)
        self.decoder = Decoder(config)

    def words_said(self, features: Tensor) -> Tensor:
        """Logits `[n, words]` of every word being in a caption."""
        logits: Tensor = self.said(self.decoder.dropout(features.mean(1)))
        return logits
