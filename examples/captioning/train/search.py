"""Beam search as the training sees it: plain torch, one picture after the other."""

import torch
from torch import Tensor
from train.data import END, START, WordMap
from train.model import Captioner, State

LIMIT = 30  # words; the longest caption of the data has 23


@torch.no_grad()
def caption(model: Captioner, features: Tensor, numbers: WordMap, beam: int) -> list[int]:
    """The words of the best caption for one picture's features `[1, cells, features]`.

    Of captions that did not end within `LIMIT` words the best is taken where no other ended.
    """
    seen, state = model.decoder.look(features)
    said, scores = torch.tensor([[numbers[START]]]), torch.zeros(1)
    ended: list[tuple[float, list[int]]] = []
    for _ in range(LIMIT):
        looked = seen.of(torch.zeros(len(said), dtype=torch.long))
        logits, state, _ = model.decoder(said[:, -1], state, looked)
        totals = (scores.unsqueeze(1) + logits.log_softmax(1)).flatten()
        scores, best = totals.topk(beam - len(ended))
        parents, words = best // logits.shape[1], best % logits.shape[1]
        said = torch.cat([said[parents], words.unsqueeze(1)], 1)
        state = State(state.h[parents], state.c[parents])
        goes_on = words != numbers[END]
        ended += zip(scores[~goes_on].tolist(), said[~goes_on, 1:-1].tolist(), strict=True)
        said, scores, state = said[goes_on], scores[goes_on], State(state.h[goes_on], state.c[goes_on])
        if not len(said):
            break
    return max(ended, key=lambda it: it[0])[1] if ended else said[scores.argmax()][1:].tolist()
