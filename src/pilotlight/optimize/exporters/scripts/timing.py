"""What the original model answers, and how long the framework takes for it."""

import statistics
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import Requirement
from refusal import count

Arrays = dict[str, np.ndarray[Any, Any]]
Answer = Callable[[Arrays], Arrays]
TIMED = 20  # calls


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Answer every feed of the file `feeds` ("0.input_ids", ...) into the file `out` ("0.logits", ...)."""
    model = load(job)
    feeds = read(Path(job["feeds"]))
    answers = [model(feed) for feed in counted("answers of the original", feeds)]
    named: dict[str, Any] = {f"{i}.{name}": value for i, each in enumerate(answers) for name, value in each.items()}
    np.savez(job["out"], **named)
    calls = [feeds[i % len(feeds)] for i in range(max(TIMED, len(feeds)))]
    times = [timed(model, feed) for feed in counted("the original timed", calls)]
    return {"warm_ms": statistics.median(times), "framework_bytes": installed_bytes(job["packages"])}


def first(job: dict[str, Any]) -> dict[str, Any]:
    """Answer the first feed, and say when, by the clock that all processes of this machine share."""
    load(job)(read(Path(job["feeds"]))[0])
    return {"at": time.monotonic()}


def read(path: Path) -> list[Arrays]:
    feeds: dict[int, Arrays] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            number, _, name = key.partition(".")
            feeds.setdefault(int(number), {})[name] = file[key]
    return [feeds[number] for number in sorted(feeds)]


def counted(what: str, feeds: list[Arrays]) -> Iterator[Arrays]:
    for done, feed in enumerate(feeds):
        count(what, done, len(feeds))
        yield feed
    count(what, len(feeds), len(feeds))


def timed(model: Answer, feed: Arrays) -> float:
    start = time.perf_counter()
    model(feed)
    return (time.perf_counter() - start) * 1000


def load(job: dict[str, Any]) -> Answer:
    """Each kind imports its framework here, so that a cold start has what it needs and nothing else."""
    return {"transformers": checkpoint, "pt2": program, "onnx": graph}[job["kind"]](job)


def checkpoint(job: dict[str, Any]) -> Answer:
    """As the public demonstrations do it: the tokenizer, and the model with the framework's own choice of attention."""
    import torch
    from checkpoints import load_model, load_tokenizer
    from wrappers import wrap

    load_tokenizer(Path(job["path"]))
    model: Any = load_model(Path(job["path"]), job["task"], attention=None)
    wrapped = wrap(model, job)

    def run(feed: Arrays) -> Arrays:
        with torch.inference_mode():
            given = complete({name: torch.from_numpy(value) for name, value in feed.items()}, wrapped.inputs, model)
            tensors = wrapped.forward(*(given[name] for name in wrapped.inputs))
        return {name: tensor.numpy() for name, tensor in zip(wrapped.outputs, tensors, strict=True)}

    return run


def complete(given: dict[str, Any], inputs: tuple[str, ...], model: Any) -> dict[str, Any]:
    """The positions and the empty past that a first call has, where the feed does not give them."""
    import torch

    ids = given["input_ids"]
    given.setdefault("attention_mask", torch.ones_like(ids))
    given.setdefault("token_type_ids", torch.zeros_like(ids))
    if "position_ids" not in given:
        given["position_ids"] = (given["attention_mask"].cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    past = [name for name in inputs if name.startswith("past_key_values.") and name not in given]
    if past:
        from wrappers import past_shape

        shape = past_shape(model.config, 0)
        given.update((name, torch.empty(ids.shape[0], *shape)) for name in past)
    return given


def program(job: dict[str, Any]) -> Answer:
    """`job` has the task's names of the program's inputs and outputs in their order; "" for what it does not have."""
    import torch
    from archives import load_program

    module = load_program(Path(job["path"])).module()

    def run(feed: Arrays) -> Arrays:
        with torch.inference_mode():
            given = module(*(torch.from_numpy(feed[name]) for name in job["inputs"]))
        tensors = torch.utils._pytree.tree_leaves(given)
        return {name: tensor.numpy() for name, tensor in zip(job["outputs"], tensors, strict=True) if name}

    return run


def graph(job: dict[str, Any]) -> Answer:
    """An ONNX file as it came, in ONNX Runtime as it comes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(job["path"], providers=["CPUExecutionProvider"])
    inputs = {each.name for each in session.get_inputs()}
    outputs = [each.name for each in session.get_outputs()]

    def run(feed: Arrays) -> Arrays:
        values = session.run(outputs, {name: value for name, value in feed.items() if name in inputs})
        return dict(zip(outputs, values, strict=True))

    return run


def installed_bytes(names: list[str]) -> int:
    """Of the packages and all that they need: what serving with this framework puts on a disk."""
    waiting, counted, total = list(names), set[str](), 0
    while waiting:
        name = waiting.pop()
        if name in counted:
            continue
        counted.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # left out of this environment
            continue
        files = (Path(str(found.locate_file(file))) for file in found.files or ())
        total += sum(path.stat().st_size for path in files if path.is_file())
        waiting += [need.name for need in map(Requirement, found.requires or ()) if wanted(need)]
    return total


def wanted(need: Requirement) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": ""})
