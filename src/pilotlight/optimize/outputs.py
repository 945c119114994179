"""What models give for the same feeds, and how far that is apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.function.model import Model
from pilotlight.optimize.tools import needed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Feeds = Mapping[str, NDArray[np.generic]]
    """Input name -> array, for one run."""
    Outputs = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Difference:
    """How far two models' outputs are apart, over all samples and outputs."""

    largest: float
    """Absolute."""
    mean: float
    """Absolute."""
    relative: float
    """The largest, as a share of the largest absolute output."""
    cosine: float
    """The smallest cosine of the angle between two outputs of one sample."""
    worst: int
    """The sample that has the largest difference."""


def run(model: Path, feeds: Iterable[Feeds], outputs: Sequence[str] = ()) -> list[Outputs]:
    """The outputs named, or all, for each of the feeds; `model` is a folder or a file, run as serving does."""
    np, loaded = needed("numpy"), Model(model)
    names = list(outputs) or None
    runs = (loaded.run(_contiguous(feed), names) for feed in feeds)
    return [{name: np.array(view) for name, view in run.items()} for run in runs]  # copies: views keep a run's memory


def difference(before: Sequence[Outputs], after: Sequence[Outputs]) -> Difference:
    np = needed("numpy")
    pairs = [
        (number, np.asarray(one[name], np.float64), np.asarray(other[name], np.float64))
        for number, (one, other) in enumerate(zip(before, after, strict=True))
        for name in one
    ]
    gaps = [np.nan_to_num(np.abs(one - other), nan=np.inf) for _, one, other in pairs]
    peaks = [float(gap.max(initial=0)) for gap in gaps]
    largest, worst = max(peaks), pairs[peaks.index(max(peaks))][0]
    scale = max(float(np.abs(one).max(initial=0)) for _, one, _ in pairs)
    mean = sum(float(gap.sum()) for gap in gaps) / sum(gap.size for gap in gaps)
    return Difference(largest, mean, largest / scale if scale else largest, min(_cosines(pairs)), worst)


def cosines(before: Sequence[Outputs], after: Sequence[Outputs]) -> list[float]:
    """Of each sample, the smallest over its outputs."""
    return [difference([one], [other]).cosine for one, other in zip(before, after, strict=True)]


def _cosines(pairs: Sequence[tuple[int, NDArray[np.float64], NDArray[np.float64]]]) -> Iterator[float]:
    """Over the last axis, so of each token or row by itself; 1 where both are nothing."""
    np = needed("numpy")
    for _, one, other in pairs:
        product = (one * other).sum(axis=-1)
        lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
        shares = np.where(lengths == 0, 1.0, product / np.maximum(lengths, 1e-300))
        yield float(np.nan_to_num(shares, nan=-1.0).min(initial=1.0))


def save(path: Path, rows: Sequence[Feeds]) -> None:
    """One .npz: "0.input_ids" is `input_ids` of the first row."""
    np = needed("numpy")
    np.savez(path, **{f"{number}.{name}": array for number, row in enumerate(rows) for name, array in row.items()})


def load(path: Path) -> list[Outputs]:
    """What `save` wrote; no pickle is read."""
    rows: dict[int, dict[str, NDArray[np.generic]]] = {}
    with needed("numpy").load(path, allow_pickle=False) as file:
        for key in file.files:
            number, _, name = key.partition(".")
            rows.setdefault(int(number), {})[name] = file[key]
    return [rows[number] for number in sorted(rows)]


def _contiguous(feed: Feeds) -> dict[str, Any]:
    np = needed("numpy")
    return {name: np.ascontiguousarray(array) for name, array in feed.items()}
