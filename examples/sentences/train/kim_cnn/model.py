"""Kim's convolutional network for sentences, in its four forms.

Yoon Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

FORMS = {
    "rand": "word vectors learned with the rest, from random ones",
    "static": "word vectors given, and left as they are",
    "non-static": "word vectors given, and learned on",
    "multichannel": "both: each word has its given vector and one that is learned on",
}


@dataclass(frozen=True)
class KimCNNConfig:
    """Sizes and noise of the network; the paper's where it gives them. `words` are those whose vectors are learned."""

    words: int
    dimensions: int = 128  # the paper has 300; fewer are fewer bytes to load at a cold start
    form: str = "rand"
    channels: int = 100
    widths: tuple[int, ...] = (3, 4, 5)
    classes: int = 2
    dropout: float = 0.5
    word_dropout: float = 0.1  # share of training words turned into <unk>, which so learns what a strange word means
    max_norm: float = 3.0
    sparse: bool = False  # whether gradients of learned vectors have rows for a batch's words only


class KimCNN(nn.Module):
    """Tokens `[batch, n]` (int64, word 0 is <unk>) to logits `[batch, classes]`; a batch's rows have one length.

    `given` holds the vectors that every form but "rand" begins with, `[words, dimensions]`. It may have more words than
    are learned; those keep their vectors.
    """

    def __init__(self, config: KimCNNConfig, given: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        self.given = given  # no state: a checkpoint lacks it
        self.embedding = None if config.form == "static" else _embedding(config, given)
        size = config.dimensions * (2 if config.form == "multichannel" else 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, config.channels, width, padding=width - 1) for width in config.widths
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.channels * len(config.widths), config.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        channels = self._embed(self._drop_words(tokens)).transpose(1, 2)
        features = [convolution(channels).relu().amax(dim=2) for convolution in self.convolutions]
        logits: Tensor = self.output(self.dropout(torch.cat(features, dim=1)))
        return logits

    def tables(self) -> dict[str, Tensor]:
        """The vectors of all words, `[words, dimensions]`, for each channel of words."""
        tables = {} if self._fixed is None else {"fixed": self._fixed}
        if self.embedding is not None:
            learned = self.embedding.weight.detach()
            kept = [] if self.given is None else [self.given[len(learned) :]]
            tables["embedding"] = torch.cat([learned, *kept])
        return tables

    @torch.no_grad()
    def clip(self) -> None:
        """Scale each class's output weights down to `max_norm`, as the paper does after every step."""
        self.output.weight.copy_(torch.renorm(self.output.weight, 2, 0, self.config.max_norm))

    @property
    def _fixed(self) -> Tensor | None:
        return self.given if self.config.form in ("static", "multichannel") else None

    def _drop_words(self, tokens: Tensor) -> Tensor:
        if not self.training:
            return tokens
        return tokens.masked_fill(torch.rand(tokens.shape) < self.config.word_dropout, 0)

    def _embed(self, tokens: Tensor) -> Tensor:
        if not self.training:
            return torch.cat([table[tokens] for table in self.tables().values()], dim=2)
        channels = [] if self._fixed is None else [self._strange(self._fixed[tokens], tokens)]
        return torch.cat(channels if self.embedding is None else [*channels, self.embedding(tokens)], dim=2)

    def _strange(self, vectors: Tensor, tokens: Tensor) -> Tensor:
        """The vectors with, for <unk>, one such as words without a vector get."""
        strange = torch.empty(self.config.dimensions).uniform_(-0.25, 0.25)
        return torch.where(tokens.unsqueeze(2) == 0, strange, vectors)


def _embedding(config: KimCNNConfig, given: Tensor | None) -> nn.Embedding:
    embedding = nn.Embedding(config.words, config.dimensions, sparse=config.sparse)
    if given is None:
        nn.init.uniform_(embedding.weight, -0.25, 0.25)
    else:
        embedding.weight.data.copy_(given[: config.words])
    return embedding
