"""What the original picture model answers for uint8 pixels, prepared as its trainer did, and how long that takes."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from timing import TIMED, counted, installed_bytes, read, timed

Array = np.ndarray[Any, Any]
Answer = Callable[[dict[str, Array]], dict[str, Array]]


def picture_answers(job: dict[str, Any]) -> dict[str, Any]:
    """Answer every picture of the file `feeds` ("0.pixels", ...) into the file `out` ("0.logits", ...)."""
    model, feeds = load(job), read(Path(job["feeds"]))
    answers = [model(feed) for feed in counted("answers of the original", feeds)]
    named: dict[str, Any] = {f"{number}.logits": each["logits"] for number, each in enumerate(answers)}
    np.savez(job["out"], **named)
    calls = [feeds[number % len(feeds)] for number in range(TIMED)]
    times = [timed(model, feed) for feed in counted("the original timed", calls)]
    return {"warm_ms": statistics.median(times), "framework_bytes": installed_bytes(job["packages"])}


def picture_first(job: dict[str, Any]) -> dict[str, Any]:
    """Answer the first picture, and say when, by the clock that all processes of this machine share."""
    load(job)(read(Path(job["feeds"]))[0])
    return {"at": time.monotonic()}


def load(job: dict[str, Any]) -> Answer:
    """Each kind imports its framework here, so that a cold start has what it needs and nothing else."""
    kinds = {"keras": keras, "savedmodel": saved_model, "tflite": lite, "pt2": program, "onnx": graph}
    run = kinds[job["kind"]](job)
    return lambda feed: {"logits": np.asarray(run(prepared(feed["pixels"], job)), np.float32)}


def prepared(pixels: Array, job: dict[str, Any]) -> Array:
    """Pixels [1, height, width, 3] as the model takes them."""
    if job["dtype"] == "uint8":
        return pixels
    values = pixels.astype(np.float32) * np.float32(job["scale"]) + np.float32(job["offset"])
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if job["layout"] == "NCHW" else values


def keras(job: dict[str, Any]) -> Callable[[Array], Array]:
    from picture_keras import load_keras

    model = load_keras(Path(job["path"]))
    return lambda values: np.asarray(model(values, training=False))


def saved_model(job: dict[str, Any]) -> Callable[[Array], Array]:
    import tensorflow as tf
    from picture_keras import load_saved_model

    model, name = load_saved_model(Path(job["path"]))
    return lambda values: np.asarray(next(iter(model(**{name: tf.constant(values)}).values())))


def lite(job: dict[str, Any]) -> Callable[[Array], Array]:
    """As it comes, with what a quantised output stands for."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=job["path"])
    interpreter.allocate_tensors()
    (taken,), given = interpreter.get_input_details(), interpreter.get_output_details()[0]

    def run(values: Array) -> Array:
        interpreter.set_tensor(taken["index"], values)
        interpreter.invoke()
        found = interpreter.get_tensor(given["index"])
        scale, zero_point = given["quantization"]
        return np.asarray((found.astype(np.float32) - zero_point) * scale if scale else found)

    return run


def program(job: dict[str, Any]) -> Callable[[Array], Array]:
    import torch
    from archives import load_program

    module = load_program(Path(job["path"])).module()

    def run(values: Array) -> Array:
        with torch.inference_mode():
            given: Array = torch.utils._pytree.tree_leaves(module(torch.from_numpy(values)))[0].numpy()
        return given

    return run


def graph(job: dict[str, Any]) -> Callable[[Array], Array]:
    """An ONNX file as it came, in ONNX Runtime as it comes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(job["path"], providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda values: session.run(None, {name: values})[0]
