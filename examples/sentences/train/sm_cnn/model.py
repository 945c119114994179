"""SM-CNN: does this sentence answer that question?

Severyn and Moschitti, "Learning to Rank Short Text Pairs with Convolutional Deep Neural Networks", SIGIR 2015, in the
form without a similarity matrix (Rao et al., "Noise-Contrastive Estimation for Answer Selection", CIKM 2016).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

PADDING = -1  # in place of a word, after the end of a shorter sentence
OVERLAP = 4
SPREAD = 3.0  # four features among two hundred have to be heard


@dataclass(frozen=True)
class SMCNNConfig:
    """Sizes and noise of the network; the paper's where it gives them."""

    dimensions: int
    overlap: bool = True  # whether the features of `overlap.py` join what the convolutions found
    channels: int = 100
    width: int = 5
    dropout: float = 0.5
    word_dropout: float = 0.1  # share of training words that get a strange word's vector

    @property
    def joined(self) -> int:
        return 2 * self.channels + (OVERLAP if self.overlap else 0)


class SMCNN(nn.Module):
    """Questions and answers, `[batch, n]` (int64, after their ends `PADDING`), to logits `[batch, 2]`: no, yes.

    `vectors` are the rows of the words, `[words, dimensions]`, and stay as they are. `overlap` is `[batch, 4]`.
    """

    def __init__(self, config: SMCNNConfig, vectors: Tensor) -> None:
        super().__init__()
        self.config = config
        self.vectors = vectors  # no state: a checkpoint lacks it
        self.questions, self.answers = (
            nn.Conv1d(config.dimensions, config.channels, config.width, padding=config.width - 1) for _ in range(2)
        )
        self.register_buffer("mean", torch.zeros(OVERLAP))
        self.register_buffer("scale", torch.ones(OVERLAP))
        self.hidden = nn.Linear(config.joined, config.joined)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.joined, 2)

    def forward(self, question: Tensor, answer: Tensor, overlap: Tensor) -> Tensor:
        found = [self._convolved(self.questions, question), self._convolved(self.answers, answer)]
        if self.config.overlap:
            found.append((overlap - self.mean) * self.scale)
        logits: Tensor = self.output(self.dropout(self.hidden(torch.cat(found, dim=1)).tanh()))
        return logits

    def standardise(self, overlap: Tensor) -> None:
        """Have the features `[pairs, 4]` of the training pairs come in with mean 0 and standard deviation `SPREAD`."""
        self.mean.copy_(overlap.mean(0))
        self.scale.copy_(SPREAD / overlap.std(0).clamp(min=1e-6))

    def _convolved(self, convolution: nn.Conv1d, tokens: Tensor) -> Tensor:
        """The highest response of each channel; places that see nothing but padding do not count."""
        words = tokens != PADDING
        responses = convolution(self._embed(tokens, words).transpose(1, 2))
        seen = nn.functional.pad(words, (self.config.width - 1, 0), value=True).unsqueeze(1)
        highest: Tensor = responses.masked_fill(~seen, -torch.inf).amax(dim=2)
        return highest.tanh()  # after the maximum: the same, n times less work

    def _embed(self, tokens: Tensor, words: Tensor) -> Tensor:
        vectors = self.vectors[tokens.clamp(min=0)]
        if self.training:
            strange = torch.empty(self.config.dimensions).uniform_(-0.25, 0.25)  # as words without a vector have it
            dropped = torch.rand(tokens.shape) < self.config.word_dropout
            vectors = torch.where(dropped.unsqueeze(2), strange, vectors)
        return vectors * words.unsqueeze(2)
