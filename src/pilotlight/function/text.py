"""Text tasks: a reader that finds the answer to a question in a text; the other tasks load when they are touched.

    from pilotlight.function.text import Answer, Reader

    reader = Reader("models/qa")
    reader.answer("Who wrote it?", "It was written by Ada Lovelace.")   # Answer("Ada Lovelace", 0.97, 18, 30)

Each of them takes a model folder, which `pilotlight optimize` writes.
"""

from __future__ import annotations

from math import inf

from pilotlight.errors import InputError, InputTooLarge, ModelError
from pilotlight.function import spans
from pilotlight.function.spans import Logits
from pilotlight.function.textmodel import MAX_CHARACTERS, TextModel, floats
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from pilotlight.function.classify import Classifier, Embedder
    from pilotlight.function.generate import Generator
    from pilotlight.function.labels import Label

__all__ = ["Answer", "Classifier", "Embedder", "Generator", "Label", "Reader"]

OUTPUTS = ("start_logits", "end_logits")


class Answer(NamedTuple):
    """A part of the context: `context[start:end] == answer`. No answer is `""`, with start and end 0.

    `score` is the probability of the span, or the sum for spans that read the same: with a long context, whose windows
    overlap, it may go beyond 1, as it does in the pipeline of transformers.
    """

    answer: str
    score: float
    start: int
    end: int


class Reader:
    """Extractive question answering by the model folder at `path`, which `pilotlight optimize` wrote.

    Its answers are those of the question-answering pipeline of transformers 4 on the same weights. A context of more
    tokens than fit beside the question into `max_length` is read in windows, of which neighbours share `stride` tokens
    (128, or half of `max_length` where that is less), `batch` windows in one run. An answer has at most `longest`
    tokens, widened to whole words.

    `no_answer` is how many times as probable as the best span its absence has to be for the answer to be `""`: 1 is
    the pipeline's `handle_impossible_answer=True`, more answers more readily, None always answers.

    A text of more than `max_characters` is refused before it is tokenized, a context of more than `max_windows` windows
    before the model runs. 100, some 25,000 tokens, take about 12 s with a DistilBERT in int8 on one vCPU, twice that
    with a BERT-base, so they end before API Gateway's 30 s. `install` is the command that installs a model which does
    not ship.

    Raises `ModelNotInstalled` when nothing is at `path`, `ModelError` when it is no such model.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        max_length: int = 384,
        stride: int | None = None,
        longest: int = 15,
        batch: int = 8,
        no_answer: float | None = None,
        max_characters: int = MAX_CHARACTERS,
        max_windows: int = 100,
        install: str = "",
    ) -> None:
        if min(max_length, longest, batch, max_windows, max_characters) < 1 or (stride is not None and stride < 0):
            raise ModelError(
                "making a Reader: its numbers have to be 1 or more, and `stride` 0 or more", "correct them"
            )
        self._text = TextModel(path, "question-answering", OUTPUTS, threads, install)
        self.model = self._text.model
        self.max_length = min(max_length, self._text.max_length)
        self.stride = min(self.max_length // 2, 128) if stride is None else stride
        self.longest = longest
        self.batch = batch
        self.no_answer = no_answer
        self.max_characters = max_characters
        self.max_windows = max_windows

    def answer(self, question: str, context: str) -> Answer:
        """The best answer. Raises `InputError`, or `InputTooLarge`, which name the field that cannot be read."""
        return self.answers(question, context, top=1)[0]

    def answers(self, question: str, context: str, top: int = 3) -> list[Answer]:
        """The `top` best answers, the best first, no two of which read the same; fewer when there are no more.

        Raises as `answer` does.
        """
        if top < 1:
            raise InputError(("top", f"must be 1 or more, got {top}"))
        asked = self._text.encode("question", question, self.max_characters)
        passage = self._text.encode("context", context, self.max_characters)
        found: dict[str, Answer] = {}
        null = inf
        for begin, stop, logits in self._read(asked.ids, passage.ids):
            reading = self._reading(logits, 2 * top + 10)  # the pipeline's number: some will join
            null = min(null, reading.null_score)
            words, offsets = passage.words[begin:stop], passage.offsets[begin:stop]
            _join(found, [_answer(context, span, words, offsets) for span in reading.spans])
        return self._ranked(found.values(), null)[:top]

    def _reading(self, logits: Logits, count: int) -> spans.Reading:
        try:
            return spans.read(logits, self.longest, count)
        except ValueError as error:
            raise ModelError(f"running {self.model.path}: {error}", "convert the model again") from None

    def _ranked(self, found: Iterable[Answer], null: float) -> list[Answer]:
        ranked = sorted(found, key=lambda answer: answer.score, reverse=True)
        if self.no_answer is not None:
            before = [answer for answer in ranked if answer.score * self.no_answer >= null]
            ranked.insert(len(before), Answer("", null, 0, 0))
        return ranked

    def _read(self, question: list[int], context: list[int]) -> Iterator[tuple[int, int, Logits]]:
        """Which tokens of the context each window holds, from and to, and its logits."""
        windows = self._windows(len(question), len(context))
        for first in range(0, len(windows), self.batch):
            batch = windows[first : first + self.batch]
            rows = [self._text.pair(question, context[begin:stop]) for begin, stop in batch]
            starts, ends = map(floats, self._text.run(rows, OUTPUTS))
            length = len(starts) // len(rows)
            for index, (begin, stop) in enumerate(batch):
                row = slice(index * length, (index + 1) * length)
                yield begin, stop, self._logits(starts[row], ends[row], rows[index].second, stop - begin)

    def _logits(self, starts: memoryview[float], ends: memoryview[float], first: int, size: int) -> Logits:
        """Of one row: those of the context, `size` tokens that begin at `first`, and of the row's first token."""
        context = slice(first, first + size)
        null = (starts[0], ends[0]) if self._text.classified else ()
        return Logits(starts[context].tolist(), ends[context].tolist(), *null)

    def _windows(self, question: int, context: int) -> list[tuple[int, int]]:
        """Where each window of the context begins and stops."""
        room = self.max_length - question - self._text.pair_specials
        if room < 1:
            allowed = self.max_length - self._text.pair_specials - 1
            raise InputError(("question", f"{question} tokens, and at most {allowed} leave room for the context"))
        shared = self.stride if self.stride < room else room // 2  # where the pipeline would fail
        begins = spans.windows(context, room, shared)
        if len(begins) > self.max_windows:
            reason = f"{context} tokens, which are {len(begins)} windows, and {self.max_windows} are allowed"
            raise InputTooLarge(("context", reason))
        return [(begin, min(begin + room, context)) for begin in begins]


def _answer(context: str, span: spans.Span, words: list[int], offsets: list[tuple[int, int]]) -> Answer:
    """What a span says, widened to whole words as far as the window has them."""
    first, last = spans.whole_words(span, words)
    start, end = offsets[first][0], offsets[last][1]
    return Answer(context[start:end], span.score, start, end)


def _join(found: dict[str, Answer], answers: Iterable[Answer]) -> None:
    """Add answers to those found: one that reads as an earlier one, whatever the case, adds its score to that."""
    for answer in answers:
        earlier = found.setdefault(answer.answer.lower(), answer)
        if earlier is not answer:
            found[answer.answer.lower()] = earlier._replace(score=earlier.score + answer.score)


_HOMES = {
    "Generator": "pilotlight.function.generate",
    "Classifier": "pilotlight.function.classify",
    "Embedder": "pilotlight.function.classify",
    "Label": "pilotlight.function.labels",
}


def __getattr__(name: str) -> object:
    """What a reader does not need loads when it is touched (PEP 562): imports are what a cold start pays for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(__import__(home, fromlist=[name]), name)
    return value
