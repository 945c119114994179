"""Whether an optimised model answers as it did before, and how sure that is to be said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pilotlight.errors import FidelityError, InputError, UsageError
from pilotlight.function.text import Classifier, Generator, Reader
from pilotlight.optimize import metrics, outputs
from pilotlight.optimize.outputs import Difference
from pilotlight.optimize.samples import Sample

if TYPE_CHECKING:
    from pilotlight.optimize.outputs import Feeds, Outputs

    Answering = Callable[[Sample], str]

    class Compared(Protocol):
        """A text or a picture that models are compared on."""

        @property
        def right(self) -> tuple[str, ...]: ...
        @property
        def title(self) -> str: ...


SAME = 1e-3
"""The largest difference of two fp32 graphs, as a share of the largest output, that counts as rounding."""
CONTINUED = 24
"""Tokens that prompt and continuation may have, in text generation, beyond the bytes of the prompt."""
ROUNDING = 1e-9
"""By which a share or a measure may miss its threshold."""
VECTORS = ("sentence-embedding", "feature-extraction")
AGREEMENT = {
    "question-answering": 0.9,
    "text-classification": 0.95,
    "text-generation": 0.8,
    "image-classification": 0.95,
    "translation": 0.8,
    **dict.fromkeys(VECTORS, 0.98),
}
"""The least agreement by default; docs/decisions/0008-how-models-are-optimised.md says why."""
METRICS: Mapping[str, Mapping[str, Callable[[Sequence[str], Sequence[Sequence[str]]], float]]] = {
    "question-answering": {"exact_match": metrics.exact_match, "f1": metrics.f1},
    "text-classification": {"accuracy": metrics.accuracy},
    "image-classification": {"accuracy": metrics.accuracy},
    "translation": {"chrf": metrics.chrf},
}


@dataclass(frozen=True)
class Stage:
    """What one model gave for the samples."""

    outputs: Sequence[Outputs]
    answers: tuple[str, ...] = ()
    """The answer, label or continuation of each; empty for a task whose answers are vectors."""


@dataclass(frozen=True)
class Comparison:
    """A model against the one before it."""

    difference: Difference
    agreement: float
    """Share of samples with the same answer; for vectors the smallest cosine; for generated text the share of it that
    is the same, up to where the two part; for translations the chrF of one to the other."""
    differing: int
    """The sample that agrees least."""
    before: Mapping[str, float]
    """The task's measures in percent over samples that say what is right; empty without such."""
    after: Mapping[str, float]
    labelled: int

    def losses(self) -> dict[str, float]:
        return {name: value - self.after[name] for name, value in self.before.items()}


@dataclass(frozen=True)
class Gate:
    """What an optimised model has to hold."""

    agreement: float
    loss: float

    def allowed(self, labelled: int) -> float:
        """Points that may be lost. One sample counts 100 / `labelled` points: a change of one shows nothing."""
        return max(self.loss, 100 / labelled) if labelled else self.loss

    def reason(self, compared: Comparison, samples: Sequence[Compared]) -> str:
        """Why `compared` does not pass, "" when it does."""
        if compared.agreement < self.agreement - ROUNDING:
            sample = samples[compared.differing].title
            return (
                f"the agreement is {compared.agreement:.12g}, at least {self.agreement:g} is asked for; "
                f'it is least for sample {compared.differing + 1}, "{sample}"'
            )
        for name, loss in compared.losses().items():
            allowed = self.allowed(compared.labelled)
            if loss > allowed + ROUNDING:
                return (
                    f"{name} falls from {compared.before[name]:.2f} to {compared.after[name]:.2f} over "
                    f"{compared.labelled} samples, {allowed:.2f} points may be lost"
                )
        return ""


def gate(task: str, agreement: float | None, loss: float) -> Gate:
    return Gate(AGREEMENT[task] if agreement is None else agreement, loss)


def stage(folder: Path, task: str, samples: Iterable[Sample], feeds: Iterable[Feeds]) -> Stage:
    """Outputs and answers of the model folder, as serving would give them."""
    return Stage(outputs.run(folder, feeds), _answers(folder, task, samples))


def compare(before: Stage, after: Stage, task: str, samples: Sequence[Compared]) -> Comparison:
    difference = outputs.difference(before.outputs, after.outputs)
    shares = _shares(before, after, task)
    agreement = min(shares) if task in VECTORS else sum(shares) / len(shares)
    right = [number for number, sample in enumerate(samples) if sample.right]
    return Comparison(
        difference,
        agreement,
        shares.index(min(shares)),
        _measured(before, task, samples, right),
        _measured(after, task, samples, right),
        len(right),
    )


def check_same(
    before: Sequence[Outputs], after: Sequence[Outputs], what: str, samples: Sequence[Compared]
) -> Difference:
    """The difference of two fp32 models. FidelityError when it is more than rounding."""
    difference = outputs.difference(before, after)
    if not difference.relative <= SAME:
        sample = samples[difference.worst].title
        raise FidelityError(
            f"checking {what}: its outputs differ by {difference.largest:.4g} from the original's for sample "
            f'{difference.worst + 1}, "{sample}", {difference.relative:.2g} of the largest output; '
            f"rounding is below {SAME:g}",
            "the export is wrong for this model: nothing was written; please report the model's architecture",
        )
    return difference


def _answers(folder: Path, task: str, samples: Iterable[Sample]) -> tuple[str, ...]:
    """Of each sample; none for a task whose answers are vectors."""
    if task not in ANSWERING:
        return ()
    answer, found = ANSWERING[task](folder), []
    for number, sample in enumerate(samples, 1):
        try:
            found.append(answer(sample))
        except InputError as error:
            raise UsageError(f'answering sample {number}, "{sample.title}": {error}', "leave that sample out") from None
    return tuple(found)


def _shares(before: Stage, after: Stage, task: str) -> list[float]:
    """Of each sample, how much of the answer is the same, 0 to 1."""
    pairs = zip(before.answers, after.answers, strict=True)
    if task in VECTORS:
        return outputs.cosines(before.outputs, after.outputs)
    if task == "translation":
        return [metrics.chrf([after], [[before]]) / 100 for before, after in pairs]
    if task == "text-generation":
        return [_common(one, other) for one, other in pairs]
    return [float(one == other) for one, other in pairs]


def _common(one: str, other: str) -> float:
    """The share of two texts, in characters, until they part."""
    longest = max(len(one), len(other))
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return same / longest if longest else 1.0


def _measured(found: Stage, task: str, samples: Sequence[Compared], right: Sequence[int]) -> dict[str, float]:
    if not right or task not in METRICS:
        return {}
    predictions, answers = [found.answers[at] for at in right], [samples[at].right for at in right]
    return {name: measure(predictions, answers) for name, measure in METRICS[task].items()}


def _reading(folder: Path) -> Answering:
    reader = Reader(folder)
    return lambda sample: reader.answer(*sample.texts).answer


def _classifying(folder: Path) -> Answering:
    classifier = Classifier(folder)
    return lambda sample: classifier.classify(sample.texts[0]).label


def _generating(folder: Path) -> Answering:
    """The most probable continuation. A prompt has no more tokens than bytes, so that each is continued."""
    generator = Generator(folder)

    def continued(sample: Sample) -> str:
        end = min(len(sample.texts[0].encode()) + CONTINUED, generator.max_positions)
        return "".join(generator.stream(sample.texts[0], max_length=end))

    return continued


ANSWERING: Mapping[str, Callable[[Path], Answering]] = {
    "question-answering": _reading,
    "text-classification": _classifying,
    "text-generation": _generating,
}
