"""Kim's convolutional network for sentences, in its `rand` form: word vectors learned with the rest.

Yoon Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class KimCNNConfig:
    """Sizes and noise of the network; the paper's where it gives them."""

    words: int
    dimensions: int = 128  # the paper has 300; fewer are fewer bytes to load at a cold start
    channels: int = 100
    widths: tuple[int, ...] = (3, 4, 5)
    classes: int = 2
    dropout: float = 0.5
    word_dropout: float = 0.1  # share of training words turned into <unk>, which so learns what a strange word means
    max_norm: float = 3.0


class KimCNN(nn.Module):
    """Tokens `[batch, n]` (int64, word 0 is <unk>) to logits `[batch, classes]`; a batch's rows have one length."""

    def __init__(self, config: KimCNNConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.words, config.dimensions)
        nn.init.uniform_(self.embedding.weight, -0.25, 0.25)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.dimensions, config.channels, width, padding=width - 1) for width in config.widths
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.channels * len(config.widths), config.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        vectors = self.embedding(self._drop_words(tokens)).transpose(1, 2)
        features = [convolution(vectors).relu().amax(dim=2) for convolution in self.convolutions]
        logits: Tensor = self.output(self.dropout(torch.cat(features, dim=1)))
        return logits

    def _drop_words(self, tokens: Tensor) -> Tensor:
        if not self.training:
            return tokens
        return tokens.masked_fill(torch.rand(tokens.shape) < self.config.word_dropout, 0)

    @torch.no_grad()
    def clip(self) -> None:
        """Scale each class's output weights down to `max_norm`, as the paper does after every step."""
        self.output.weight.copy_(torch.renorm(self.output.weight, 2, 0, self.config.max_norm))
