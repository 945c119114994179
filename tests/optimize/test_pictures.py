"""A picture model in ONNX -> a model folder that takes pixels; and all that needs no framework."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from picture_models import LABELS, network, photographs
from told import Told

from pilotlight.artifacts import Timing
from pilotlight.errors import FidelityError, ModelError, SourceError, UsageError
from pilotlight.function.image import ImageClassifier
from pilotlight.function.inputs import Image
from pilotlight.function.model import Model
from pilotlight.function.pictures import Size, read_header, resized
from pilotlight.measure.model import Feed, time_model
from pilotlight.optimize.pictures import graph, pipeline, preprocess, quantize, samples
from pilotlight.optimize.pictures.options import Options, check
from pilotlight.optimize.pictures.source import resolve
from pilotlight.optimize.progress import Progress

pytestmark = pytest.mark.timeout(600)  # each whole run starts a dozen processes
TASK = "image-classification"


def time(model: Path, feeds: Mapping[str, tuple[str, tuple[int, ...]]], runs: int, progress: Progress) -> Timing:
    return time_model(model, {name: Feed(*feed) for name, feed in feeds.items()}, 1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photographs(tmp_path / "photos")


def options(source: Path, photos: Path | None, out: Path, **more: Any) -> Options:
    given: dict[str, Any] = {"samples": photos, "preprocess": "unit", "labels": None, **more}
    return Options(str(source), TASK, out, **given)


def named(folder: Path) -> Path:
    """The labels in the order of the network's scores."""
    (folder / "labels.txt").write_text("\n".join(LABELS), encoding="utf-8")
    return folder / "labels.txt"


# The whole


@pytest.mark.parametrize(("precision", "parts"), [("auto", 3), ("int8", 3), ("fp32", 0)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_model_becomes_a_folder_that_takes_pixels(
    tmp_path: Path, photos: Path, precision: str, parts: int, layout: str
) -> None:
    source, told = network(tmp_path / "colour.onnx", layout=layout, soft=True), Told()
    asked = options(source, photos, tmp_path / "made", precision=precision, labels=named(tmp_path))
    report = pipeline.optimize(asked, time, told)
    assert len(report["precision"]["int8"]) == parts
    assert report["fidelity"]["fp32"]["relative"] < 1e-3
    assert report["fidelity"]["final"]["agreement"] == 1.0
    assert report["fidelity"]["final"]["after"] == {"accuracy": 100.0}
    assert (report["pixels"], report["preprocess"], report["model"]) == ("16 x 16", "unit", "model.onnx")
    settings = json.loads((tmp_path / "made/model.json").read_text(encoding="utf-8"))
    size = {"width": 16, "height": 16, "resample": "bilinear", "fit": "stretch", "resize": None}
    assert settings["image"] == size
    assert (settings["labels"], settings["scores"]) == ([*LABELS], "probabilities")
    model = Model(tmp_path / "made")
    assert [(info.name, info.dtype, info.shape[1:]) for info in model.inputs] == [("pixels", "B", (16, 16, 3))]
    assert [line for line in told.lines if line.startswith("step")][-1] == "step 6 of 6: measure"
    assert not (tmp_path / "made.partial").exists()


def test_a_classifier_serves_the_folder(tmp_path: Path, photos: Path) -> None:
    source = network(tmp_path / "colour.onnx")
    pipeline.optimize(options(source, photos, tmp_path / "made", labels=named(tmp_path)), time, Progress())
    classifier = ImageClassifier(tmp_path / "made")
    for label in LABELS:
        picture = Image((photos / label / "0.png").read_bytes())
        assert classifier.classify(picture, 1)[0].label == label
    assert (tmp_path / "made/README.md").read_text(encoding="utf-8").startswith("# colour\n")


def test_labels_are_the_folders_of_the_samples_where_nothing_names_them(tmp_path: Path, photos: Path) -> None:
    asked = options(network(tmp_path / "colour.onnx"), photos, tmp_path / "made", agreement=0.0, loss=100.0)
    pipeline.optimize(asked, time, Progress())
    settings = json.loads((tmp_path / "made/model.json").read_text(encoding="utf-8"))
    assert (settings["labels"], settings["scores"]) == (sorted(LABELS), "logits")


def test_int8_that_changes_answers_is_refused_and_nothing_is_written(tmp_path: Path, photos: Path) -> None:
    source = network(tmp_path / "colour.onnx")
    asked = options(source, photos, tmp_path / "made", precision="int8", agreement=1.0, preprocess="none")
    model = onnx.load(str(source))
    for tensor in model.graph.initializer:  # scores that differ by less than int8 can tell
        if tensor.name == "dense":
            array = onnx.numpy_helper.to_array(tensor).copy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(array * 1e-4 + np.float32(1.0), "dense"))
    onnx.save(model, str(source))
    with pytest.raises(
        FidelityError, match=r"quantising to int8: the agreement is .*, at least 1 is asked for"
    ) as caught:
        pipeline.optimize(asked, time, Progress())
    assert caught.value.hint == "--precision auto leaves the worst parts in fp32"
    assert not (tmp_path / "made").exists()
    report = pipeline.optimize(
        options(source, photos, tmp_path / "made", agreement=1.0, preprocess="none"), time, Told()
    )
    assert report["fidelity"]["final"]["agreement"] == 1.0
    assert report["precision"]["fp32"]


def test_a_plan_says_what_would_be_done_and_writes_nothing(tmp_path: Path, photos: Path) -> None:
    source = network(tmp_path / "colour.onnx")
    assert pipeline.plan(options(source, photos, tmp_path / "made")) == {
        "source": f"{source} (onnx)",
        "task": TASK,
        "samples": f"24, {photos}",
        "environment": "",
        "finished": [],
        "out": str(tmp_path / "made"),
        "replaces": False,
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["colour.onnx", "photos"]


# What the graph does with pixels


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", [[0.0, 128.0, 255.0]]),
        ("unit", [[0.0, 0.5019608, 1.0]]),
        ("inception", [[-1.0, 0.003921569, 1.0]]),
        ("torchvision", [[-2.117904, 0.205182, 2.64]]),
    ],
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pixels_are_prepared_as_the_trainers_do(tmp_path: Path, name: str, expected: Any, layout: str) -> None:
    shape = ["n", 3, 1, 1] if layout == "NCHW" else ["n", 1, 1, 3]
    x = onnx.helper.make_tensor_value_info("x", 1, shape)
    y = onnx.helper.make_tensor_value_info("y", 1, ["n", 3])
    node = onnx.helper.make_node("Flatten", ["x"], ["y"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", [x], [y]), opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
    )
    taken = graph.taken(model, "m.onnx")
    assert taken == graph.Taken(layout, 1, 1, "float32")
    made = graph.of_pixels(model, taken, (1, 1), preprocess.find(name))
    onnx.checker.check_model(made)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (given,) = session.run(["logits"], {"pixels": np.array([[[[0, 128, 255]]]], np.uint8)})
    np.testing.assert_allclose(given, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [([1, 16], r"it takes x \[1, 16\], where one picture is expected"), ([1, 4, 9, 9], r"takes x \[1, 4, 9, 9\]")],
)
def test_what_takes_no_picture_is_refused(shape: list[int], reason: str) -> None:
    x, y = (onnx.helper.make_tensor_value_info(name, 1, shape) for name in "xy")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]))
    with pytest.raises(ModelError, match=reason) as caught:
        graph.taken(model, "m.onnx")
    assert caught.value.hint == "a picture model takes [batch, height, width, 3] or [batch, 3, height, width]"


# int8


def test_parts_are_left_from_the_ends_on(tmp_path: Path, photos: Path) -> None:
    given = onnx.load(str(network(tmp_path / "colour.onnx")))
    model = graph.of_pixels(given, graph.taken(given, "m"), (16, 16), preprocess.find("unit"))
    feeds = samples.feeds(samples.read(photos), Size(16, 16))
    tried = []

    def judge(made: onnx.ModelProto) -> str:
        tried.append(sum(node.op_type == "QuantizeLinear" for node in made.graph.node))
        return "" if len(tried) == 2 else "too far"

    choice = quantize.choose(model, feeds, judge, "auto", Progress())
    assert [part.kind for part in choice.fp32] == ["convolution", "dense"]
    assert [(part.kind, part.weights) for part in choice.int8] == [("convolution", 81)]
    assert tried[0] > tried[1] > 0
    assert quantize.choose(model, feeds, lambda made: "never", "auto", Progress()).int8 == ()


# Sources


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".h5", ".pkl"])
def test_a_pickle_is_refused_with_the_remedy(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"m{suffix}").write_bytes(b"\x80\x04")
    with pytest.raises(SourceError, match="and is not loaded") as caught:
        resolve(str(tmp_path / f"m{suffix}"))
    assert "where you trust it" in caught.value.hint


def keras_file(path: Path, *layers: dict[str, Any]) -> Path:
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [*layers]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("layer", "what"),
    [
        ({"module": "keras.layers", "class_name": "Lambda", "config": {}}, "a Lambda layer"),
        ({"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}, "a Lambda layer"),
        ({"module": "os", "class_name": "system", "config": {}}, "os.system"),
        ({"class_name": "Dense", "config": {"a": [{"module": "evil", "class_name": "X"}]}}, "evil.X"),
    ],
)  # fmt: skip
def test_a_keras_file_with_code_is_refused_before_keras_reads_it(tmp_path: Path, layer: Any, what: str) -> None:
    with pytest.raises(SourceError, match=f"it holds code, {what}, which is not run"):
        resolve(str(keras_file(tmp_path / "m.keras", layer)))


def test_a_keras_file_of_its_own_layers_is_taken(tmp_path: Path) -> None:
    dense = {"module": "keras.layers", "class_name": "Dense", "config": {}}
    found = resolve(str(keras_file(tmp_path / "m.keras", dense)))
    assert (found.kind, found.name) == ("keras", "m")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.keras", "there is no such file or folder"),
        ("folder", "is not a model: it has no saved_model.pb"),
        ("m.gguf", "neither .keras, .tflite, .pt2, .onnx nor a SavedModel"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "m.gguf").touch()
    with pytest.raises(SourceError, match=reason):
        resolve(str(tmp_path / name))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip"])
def test_a_cut_keras_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ModelError, match=r"it is no \.keras file, or cut"):
        resolve(str(tmp_path / "m.keras"))


# Samples and options


def test_the_samples_are_read_as_serving_reads_them(tmp_path: Path, photos: Path) -> None:
    found = samples.read(photos)
    assert [picture.right for picture in found] == [("blue",)] * 8 + [("green",)] * 8 + [("red",)] * 8
    (feed,) = samples.feeds(found[:1], Size(16, 12))
    content = found[0].path.read_bytes()
    header = read_header(content, "x")
    pixels = resized(content, header.format, header.orientation, "x", Size(16, 12))
    assert (feed["pixels"].shape, feed["pixels"].tobytes()) == ((1, 12, 16, 3), bytes(pixels))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"preprocess": "incepton"}, "--preprocess incepton: not known"),
        ({"format": "tflite", "prefer": "warm"}, "--prefer warm: TensorFlow Lite packs its weights itself"),
        ({"resize": 256}, "reading the options: resize is for fit='crop'"),
        ({"format": "coreml"}, "--format coreml: not known"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, photos: Path, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check(options(tmp_path / "m.onnx", photos, tmp_path / "made", **more))


def test_samples_that_cannot_be(tmp_path: Path, photos: Path) -> None:
    source = network(tmp_path / "colour.onnx")
    with pytest.raises(UsageError, match="it is compared on pictures"):
        pipeline.optimize(options(source, None, tmp_path / "made"), time, Progress())
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match="no pictures"):
        pipeline.optimize(options(source, tmp_path / "none", tmp_path / "made"), time, Progress())
    (tmp_path / "labels.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    asked = options(source, photos, tmp_path / "made", labels=tmp_path / "labels.txt")
    with pytest.raises(UsageError, match="the folder 'blue' is named as none of the labels"):
        pipeline.optimize(asked, time, Progress())
    (photos / "red" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with pytest.raises(UsageError, match=r"reading the samples: .*0\.png: ") as caught:
        pipeline.optimize(options(source, photos, tmp_path / "made", labels=named(tmp_path)), time, Progress())
    assert caught.value.hint == "leave that picture out"


def test_labels_that_changed_while_a_run_was_broken_off_are_read_again(tmp_path: Path, photos: Path) -> None:
    def breaks(*_: object) -> Timing:
        raise KeyboardInterrupt

    asked = options(network(tmp_path / "colour.onnx"), photos, tmp_path / "made", labels=named(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        pipeline.optimize(asked, breaks, Progress())
    named(tmp_path).write_text("\n".join(reversed(LABELS)), encoding="utf-8")
    pipeline.optimize(asked, time, Progress())
    assert json.loads((tmp_path / "made" / "model.json").read_text())["labels"] == [*reversed(LABELS)]
