"""Words as a model takes them: as numbers of the vectors that it holds itself, or as vectors out of a table."""

from array import array
from collections.abc import Callable, Mapping, Sequence

from pilotlight import Model

UNKNOWN = 0  # the first vector that a model holds is that of all words it does not know
Feed = Callable[[Sequence[str]], memoryview]


def feed(model: Model, numbers: Callable[[], Mapping[str, int]]) -> Feed:
    """What turns words into the model's first input, which has one row a word.

    Only a model that holds vectors has `numbers` called, for the number of each word. Those of any other are in the
    table `vectors`, which `pilotlight vectors upload` fills.
    """
    taken = model.inputs[0]
    return _numbered(numbers()) if taken.dtype == "q" else _embedded(taken.shape[-1])


def _numbered(numbers: Mapping[str, int]) -> Feed:
    def numbered(words: Sequence[str]) -> memoryview:
        row = array("q", [numbers.get(word, UNKNOWN) for word in words])
        return memoryview(row).cast("B").cast("q", shape=[1, len(words)])

    return numbered


def _embedded(dimensions: int) -> Feed:
    from pilotlight.function.table import connect
    from pilotlight.function.vectors import Vectors

    vectors = Vectors(connect("vectors"), dimensions)

    def embedded(words: Sequence[str]) -> memoryview:
        rows = vectors.look_up(words)
        return memoryview(rows).cast("B").cast("f", shape=[1, len(words), dimensions])

    return embedded
