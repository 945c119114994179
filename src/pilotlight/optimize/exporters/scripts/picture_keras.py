"""Keras models, SavedModels and TensorFlow Lite files -> ONNX, and TensorFlow Lite in float and int8."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from refusal import Refused, count, say

OPSET = 18  # the newest that tf2onnx knows
UNSAFE = {  # operators that run Python, or reach files or other machines
    *("PyFunc", "PyFuncStateless", "EagerPyFunc"),
    *("ReadFile", "MatchingFiles", "ImmutableConst", "LoadAndRemapMatrix", "Restore", "RestoreSlice"),
    *("InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "ReaderRead", "ReaderReadV2"),
    *("ReaderReadUpTo", "ReaderReadUpToV2", "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2"),
    *("FixedLengthRecordDataset", "FixedLengthRecordDatasetV2", "MatchingFilesDataset", "LMDBDataset", "SqlDataset"),
    *("ExperimentalLMDBDataset", "ExperimentalMatchingFilesDataset", "ExperimentalSqlDataset", "LoadDataset"),
    *("SnapshotDataset", "SnapshotDatasetV2", "SnapshotDatasetReader", "SnapshotNestedDatasetReader"),
    *("CacheDataset", "CacheDatasetV2", "SaveDataset", "SaveDatasetV2", "DistributedSave", "DatasetToTFRecord"),
    *("ExperimentalDatasetToTFRecord", "WriteFile", "Save", "SaveSlices", "PrintV2", "DumpTensor"),
    *("CreateSummaryFileWriter", "CreateSummaryDbWriter", "DebugIdentity", "DebugIdentityV2", "DebugIdentityV3"),
    *("DebugNanCount", "DebugNumericSummary", "FileSystemSetConfiguration", "RpcClient", "RpcServer"),
    *("DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3", "DataServiceDatasetV4"),
}
CHECKPOINTS = {"SaveV2", "MergeV2Checkpoints", "RestoreV2"}  # every SavedModel has them, to save its own variables
Model = Callable[..., Any]


def load_keras(path: Path) -> Any:
    """The model; Refused when it holds code of its own, which `pictures.source.check_keras` has looked for too."""
    import keras

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what it likes on a damaged file
        text = " ".join(str(error).split())[:300]
        raise Refused(f"loading {path}: {type(error).__name__}: {text}", kind="model") from error


def load_saved_model(path: Path) -> tuple[Any, str]:
    """Its serving signature, and the name of the one input."""
    import tensorflow as tf

    check_operators(path)
    try:
        loaded = tf.saved_model.load(str(path))
        signatures = loaded.signatures
        function = signatures["serving_default"] if "serving_default" in signatures else next(iter(signatures.values()))
    except Exception as error:  # TensorFlow's own errors
        raise Refused(f"loading {path}: {' '.join(str(error).split())[:300]}", kind="model") from error
    names = list(function.structured_input_signature[1])
    if len(names) != 1:
        raise Refused(f"loading {path}: its signature takes {', '.join(names) or 'nothing'}, one picture is expected")
    function.kept = loaded  # its variables go with it
    return function, names[0]


def check_operators(path: Path) -> None:
    """Refused when the program that a SavedModel is reaches files, or runs Python."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    found = SavedModel()
    try:
        found.ParseFromString((path / "saved_model.pb").read_bytes())
    except Exception as error:  # protobuf's own errors
        raise Refused(f"loading {path}: its saved_model.pb is damaged", "copy it again", "model") from error
    for graph in found.meta_graphs:
        if unsafe := _unsafe(graph):
            raise Refused(
                f"loading {path}: its graph has the operator {min(unsafe)}, which reaches outside, and was not run",
                "export the model without it, with TensorFlow 2",
            )


def _unsafe(graph: Any) -> set[str]:
    """The operators that a graph may not have. Those of checkpoints its saver may have, if nobody else calls it."""
    library = graph.graph_def.library.function
    saver = {graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name}
    own = {name for node in graph.graph_def.node if node.name in saver for name in _called(node)}
    outside = [node for node in graph.graph_def.node if node.name not in saver]
    inside = [node for function in library for node in function.node_def]
    reached = {name for node in (*outside, *inside) for name in _called(node)}
    own -= reached | set(graph.object_graph_def.concrete_functions)
    others = [node for function in library if function.signature.name not in own for node in function.node_def]
    return {node.op for node in (*outside, *inside)} & UNSAFE | {node.op for node in (*outside, *others)} & CHECKPOINTS


def _called(node: Any) -> set[str]:
    """The functions that a node calls."""
    given = [each for attribute in node.attr.values() for each in (attribute.func, *attribute.list.func)]
    return {each.name for each in given if each.name}


def picture_facts(job: dict[str, Any]) -> dict[str, Any]:
    """What is known of a Keras model or a SavedModel."""
    opened = open_keras(job) if job["kind"] == "keras" else open_saved_model(job)
    return opened.facts


def picture_export(job: dict[str, Any]) -> dict[str, Any]:
    """Write `model.onnx` or, by `format`, `model.tflite` and `int8.tflite` to the folder `out`; what is known of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if job["kind"] == "tflite":
            return from_lite(job)
        opened = open_keras(job) if job["kind"] == "keras" else open_saved_model(job)
        (write_lite if job["format"] == "tflite" else write_onnx)(opened, job)
    return opened.facts


class Opened(NamedTuple):
    """`call` takes float pictures and gives scores; `kept` holds the variables that it reads."""

    call: Model
    facts: dict[str, Any]
    kept: Any


def open_keras(job: dict[str, Any]) -> Opened:
    path = Path(job["path"])
    model = load_keras(path)
    if len(model.inputs) != 1:
        raise Refused(f"loading {path}: it takes {len(model.inputs)} inputs, one picture is expected")
    facts = facts_of(model.inputs[0].shape, str(model.inputs[0].dtype), model.count_params())
    return Opened(lambda values: leaf(model(values, training=False)), facts, model)


def open_saved_model(job: dict[str, Any]) -> Opened:
    function, name = load_saved_model(Path(job["path"]))
    spec = function.structured_input_signature[1][name]
    parameters = sum(int(np.prod(each.shape)) for each in function.variables)
    facts = facts_of(spec.shape, spec.dtype.name, parameters)
    return Opened(lambda values: leaf(function(**{name: values})), facts, function.kept)


def facts_of(shape: Any, dtype: str, parameters: int) -> dict[str, Any]:
    sizes = [None if size is None or size < 0 else int(size) for size in shape]
    return {"shape": sizes, "dtype": dtype, "parameters": int(parameters), "versions": versions()}


def leaf(given: Any) -> Any:
    import tensorflow as tf

    leaves = tf.nest.flatten(given)
    if len(leaves) != 1:
        raise Refused(f"the model gives {len(leaves)} outputs, and a classifier gives one")
    return leaves[0]


def size(facts: dict[str, Any], job: dict[str, Any]) -> tuple[int, int]:
    height, width = (given or asked for given, asked in zip(facts["shape"][1:3], job["size"], strict=True))
    if not height or not width:
        raise Refused("the model takes pictures of any size", "say which one serves, as in --size 224")
    return height, width


def write_onnx(opened: Opened, job: dict[str, Any]) -> None:
    import tensorflow as tf

    height, width = size(opened.facts, job)
    say("converting to ONNX by tf2onnx")
    signature = [tf.TensorSpec((None, height, width, 3), opened.facts["dtype"], name="values")]
    convert(lambda to: to.from_function(tf.function(opened.call), signature, opset=OPSET), job)


def convert(by: Callable[[Any], Any], job: dict[str, Any]) -> None:
    if not hasattr(np, "object"):
        np.object = object  # type: ignore[attr-defined]  # tf2onnx 1.17 asks for it, numpy has it no more
    import onnx
    import tf2onnx.convert

    try:
        model, _ = by(tf2onnx.convert)
    except Exception as error:  # tf2onnx raises what it likes: operators that it does not know
        raise Refused(f"converting the model to ONNX: {' '.join(str(error).split())[:400]}", kind="model") from error
    onnx.save(model, str(Path(job["out"]) / "model.onnx"))


def from_lite(job: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=job["path"])
    taken = interpreter.get_input_details()
    if len(taken) != 1:
        raise Refused(f"loading {job['path']}: it takes {len(taken)} inputs, one picture is expected")
    say("converting to ONNX by tf2onnx")
    convert(lambda to: to.from_tflite(job["path"], opset=OPSET), job)
    scaled = (each for each in interpreter.get_tensor_details() if each["quantization_parameters"]["scales"].size > 1)
    parameters = sum(int(np.prod(each["shape"])) for each in scaled)
    return facts_of(taken[0]["shape_signature"], np.dtype(taken[0]["dtype"]).name, parameters)


def write_lite(opened: Opened, job: dict[str, Any]) -> None:
    """Both take uint8 pixels: the float model casts them, the int8 one takes them for what they are."""
    import tensorflow as tf

    out = Path(job["out"])
    with tempfile.TemporaryDirectory(dir=out) as folder:
        plain = tf.lite.TFLiteConverter.from_saved_model(saved(opened, job, tf.uint8, f"{folder}/plain"))
        say("converting to TensorFlow Lite")
        (out / "model.tflite").write_bytes(lite_bytes(plain))
        if job["pictures"]:
            whole = tf.lite.TFLiteConverter.from_saved_model(saved(opened, job, tf.float32, f"{folder}/whole"))
            say("converting to TensorFlow Lite in int8")
            (out / "int8.tflite").write_bytes(lite_bytes(integers(whole, Path(job["pictures"]))))


def saved(opened: Opened, job: dict[str, Any], dtype: Any, folder: str) -> str:
    """The model that takes pixels of `dtype`, as a SavedModel whose weights are constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    height, width = size(opened.facts, job)
    scale, offset = (np.array(job[name], np.float32) for name in ("scale", "offset"))
    spec = tf.TensorSpec((1, height, width, 3), dtype, name="pixels")

    def scored(pixels: Any) -> Any:
        return opened.call(tf.cast(pixels, tf.float32) * scale + offset)

    constant = convert_variables_to_constants_v2(tf.function(scored, input_signature=[spec]).get_concrete_function())
    module = tf.Module()
    module.serve = tf.function(lambda pixels: {"logits": leaf(constant(pixels))}, input_signature=[spec])
    signatures = {"serving_default": module.serve.get_concrete_function()}
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, folder, signatures, options)
    return folder


def integers(converter: Any, pictures: Path) -> Any:
    """All in integers, by the ranges that the calibration pictures show; a pixel is its own integer."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: shown(pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.float32
    return converter


def shown(pictures: Path) -> Iterator[list[Any]]:
    """Each calibration picture; the first pixels are black and white, so that the range is 0 to 255 whole."""
    from timing import read

    feeds = read(pictures)
    for done, feed in enumerate(feeds):
        values = feed["pixels"].astype(np.float32)
        values[0, 0, 0], values[0, 0, 1] = 0, 255
        count("calibration of TensorFlow Lite", done, len(feeds))
        yield [values]
    count("calibration of TensorFlow Lite", len(feeds), len(feeds))


def lite_bytes(converter: Any) -> bytes:
    try:
        made: bytes = converter.convert()
    except Exception as error:  # the converter's own errors
        text = " ".join(str(error).split())[:400]
        hint = "it may use operators that TensorFlow Lite lacks: --format onnx"
        raise Refused(f"converting the model to TensorFlow Lite: {text}", hint, "model") from error
    return made


def versions() -> dict[str, str]:
    from importlib import metadata

    return {name: metadata.version(name) for name in ("tensorflow", "keras", "tf2onnx", "onnx")}
