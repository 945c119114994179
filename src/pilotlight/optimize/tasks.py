"""What a model can be optimised for: one entry a task.

A task names the tensors that the graph takes and gives; what the exporter runs for it is the function of the same name
in `exporters/scripts/wrappers.py`, on the model that `HEADS` of `checkpoints.py` there loads. What it is compared on is
its entry in `samples.FIELDS`, a file of bundled samples, and in `fidelity.AGREEMENT`; one that does not give vectors
answers by its entry in `fidelity.ANSWERING`. `tests/optimize/test_source.py` asks for all of these.

Tasks that read pictures are a kind of their own, `PICTURES`: their scripts are `exporters/scripts/picture_*.py`. So are
those of an encoder and a decoder, `SEQUENCES`: their graphs are built from the weights, which
`exporters/scripts/sequences.py` reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from pilotlight.errors import UsageError

IDS = "input_ids"
MASK = "attention_mask"
TYPES = "token_type_ids"
POSITIONS = "position_ids"
PAST = "past_key_values."  # then the layer's number and .key or .value
PRESENT = "present."


@dataclass(frozen=True)
class Task:
    """Tensors by name. `optional` inputs are those that not every architecture has."""

    name: str
    description: str
    inputs: tuple[str, ...]
    outputs: Mapping[str, int]  # and the rank of each
    optional: tuple[str, ...] = ()
    cached: bool = False  # keys and values of the past go in (`PAST`) and come out (`PRESENT`)


def _encoder(name: str, description: str, outputs: Mapping[str, int]) -> Task:
    return Task(name, description, (IDS, MASK, TYPES), outputs, optional=(MASK, TYPES))


_TASKS = (
    _encoder("question-answering", "marks the answer to a question in a passage", {"start_logits": 2, "end_logits": 2}),
    _encoder("text-classification", "scores a text, or a pair of texts, for each label", {"logits": 2}),
    _encoder("sentence-embedding", "turns a text into one vector", {"embedding": 2}),
    _encoder("feature-extraction", "turns each token into a vector", {"last_hidden_state": 3}),
    Task(
        "text-generation",
        "continues a text, token by token",
        (IDS, MASK, POSITIONS),
        {"logits": 3},
        optional=(POSITIONS,),
        cached=True,
    ),
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _TASKS})
"""Those that read texts."""
PICTURES: Mapping[str, Task] = MappingProxyType(
    {
        "image-classification": Task(
            "image-classification", "scores a picture for each label", ("pixels",), {"logits": 2}
        )
    }
)
"""Those that read pictures: `pictures.pipeline` is theirs."""
SEQUENCES: Mapping[str, Task] = MappingProxyType(
    {"translation": Task("translation", "says a text in another language", (IDS, MASK), {"best": 2, "places": 2})}
)
"""Those that turn a text into a text by an encoder and a decoder: `sequences.pipeline` is theirs."""

_OF_ONE_KIND = {"translation": "marian"}  # model_type, as transformers calls architectures


def misfit(task: str, kind: str) -> str:
    """Why a checkpoint whose config.json has that `model_type` is none for the task; "" where it may be one."""
    fitting = _OF_ONE_KIND.get(task, kind)
    return "" if kind == fitting else f"a model of the kind {kind or 'unknown'}, and {task} is for {fitting}"


def find(name: str) -> Task:
    """The task of that name; UsageError, with the nearest name, when there is none."""
    every = {**TASKS, **PICTURES, **SEQUENCES}
    if task := every.get(name):
        return task
    near = get_close_matches(name, every, 1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown task {name!r}", f"{guess}the tasks are {', '.join(every)}")
