"""`Image`: what is read of a picture, and what is refused."""

import base64
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import model_folders
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image as Pillow

import small_pictures
from binary_events import http
from pilotlight import limits
from pilotlight.errors import InputError, InputTooLarge, ModelError, UnsupportedMediaType
from pilotlight.function.endpoint import endpoint
from pilotlight.function.image import ImageClassifier
from pilotlight.function.inputs import Image
from pilotlight.function.labels import Label
from small_pictures import BOMBS, CLEAR, FIELDS, fields, jpeg, png, seen, segment, strips, turned, written

PNG = written(fields(), "PNG")
PALETTE = fields("RGB WKY", "P")
ANIMATION: dict[str, object] = {"save_all": True, "append_images": [fields("KKK KKK")], "loop": 0}


def grey(depth: int) -> Pillow.Image:
    """Black, white; white, black."""
    picture = fields("KW WK", "L")
    return picture if depth == 8 else Pillow.fromarray(np.asarray(picture).astype(np.uint16) * 257)


@pytest.mark.parametrize(
    ("content", "kind", "shown"),
    [
        (written(fields(), "JPEG", quality=95), "JPEG", FIELDS),
        (written(fields(), "JPEG", quality=95, progressive=True), "JPEG", FIELDS),
        (written(grey(8), "JPEG"), "JPEG", "KW WK"),
        (written(fields(mode="CMYK"), "JPEG", quality=95), "JPEG", FIELDS),  # inverted, and says so: Adobe's marker
        (PNG, "PNG", FIELDS),
        (written(fields(mode="P"), "PNG"), "PNG", FIELDS),
        (written(fields("KW WK", "1"), "PNG"), "PNG", "KW WK"),
        (written(grey(8), "PNG"), "PNG", "KW WK"),
        (written(grey(8).convert("LA"), "PNG"), "PNG", "KW WK"),
        (written(grey(16), "PNG"), "PNG", "KW WK"),
        (written(CLEAR, "PNG"), "PNG", "WGB WKY"),
        (written(fields(), "PNG", transparency=(255, 0, 0)), "PNG", "WGB WKY"),
        (written(PALETTE, "PNG", transparency=PALETTE.getpixel((1, 1))), "PNG", "WGB WKY"),
        (written(fields(), "PNG", **ANIMATION), "PNG", FIELDS),
        (written(fields(), "GIF"), "GIF", FIELDS),
        (written(fields(), "GIF", **ANIMATION), "GIF", FIELDS),
        (written(CLEAR, "GIF"), "GIF", "WGB WKY"),
        (written(fields(), "BMP"), "BMP", FIELDS),
        (written(fields(mode="P"), "BMP"), "BMP", FIELDS),
        (written(fields(), "TIFF"), "TIFF", FIELDS),
        *((written(fields(), "TIFF", compression=name), "TIFF", FIELDS) for name in
          ("tiff_lzw", "tiff_adobe_deflate", "packbits")),
        (written(fields(mode="CMYK"), "TIFF"), "TIFF", FIELDS),
        (written(grey(16), "TIFF"), "TIFF", "KW WK"),
        (written(CLEAR, "TIFF"), "TIFF", "WGB WKY"),
        (written(fields(), "TIFF", save_all=True, append_images=[fields("KKK KKK")]), "TIFF", FIELDS),
        (written(fields(), "WEBP", quality=95), "WEBP", FIELDS),
        (written(CLEAR, "WEBP", lossless=True), "WEBP", "WGB WKY"),
        (written(fields(), "WEBP", lossless=True, **ANIMATION), "WEBP", FIELDS),
        (written(fields(), "AVIF", quality=95), "AVIF", FIELDS),
        (written(CLEAR, "AVIF", quality=95), "AVIF", "WGB WKY"),
        (written(fields(), "AVIF", quality=95, save_all=True, append_images=[fields("KKK KKK")]), "AVIF", FIELDS),
    ],
)  # fmt: skip
def test_every_format_and_mode_is_seen_in_rgb(content: bytes, kind: str, shown: str) -> None:
    image = Image(content)
    lines = shown.split()
    assert (image.format, image.width, image.height) == (kind, 16 * len(lines[0]), 16 * len(lines))
    assert seen(image) == shown
    opened = image.open()
    assert (opened.mode, opened.size) == ("RGB", (image.width, image.height))


def test_heic_is_read_where_pillow_heif_is_installed() -> None:
    code = """
import sys, pillow_heif
sys.path.insert(0, sys.argv[1])
from small_pictures import fields, written
pillow_heif.register_heif_opener()
sys.stdout.buffer.write(written(fields(), "HEIF", quality=95))
"""  # in a process of its own: registered once, it is so for all tests
    done = subprocess.run([sys.executable, "-c", code, str(Path(small_pictures.__file__).parent)], capture_output=True)
    image = Image(done.stdout)
    assert (image.format, image.width, image.height, seen(image)) == ("HEIF", 48, 32, FIELDS)


TURNED = {  # of EXIF 2.3, table 4: where the first row and the first column of what is stored are shown
    1: "RGB WKY",
    2: "BGR YKW",
    3: "YKW BGR",
    4: "WKY RGB",
    5: "RW GK BY",
    6: "WR KG YB",
    7: "YB KG WR",
    8: "BY GK RW",
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(("orientation", "shown"), [*TURNED.items(), (0, FIELDS), (9, FIELDS)])
def test_a_picture_is_turned_as_exif_says(orientation: int, shown: str, kind: str) -> None:
    image = Image(turned(orientation, kind))
    lines = shown.split()
    assert (image.width, image.height) == (16 * len(lines[0]), 16 * len(lines))
    assert seen(image) == shown


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0XX", b"Exif\0\0MM\0*\0\0\0\x08\0"]
)
def test_broken_metadata_does_no_harm(exif: bytes) -> None:
    assert seen(Image(written(fields(), "JPEG", quality=95, exif=exif))) == FIELDS


def test_pixels_are_what_a_graph_takes() -> None:
    view = Image(PNG).pixels(3, 2, "nearest")
    assert (view.format, view.shape, view.contiguous) == ("B", (1, 2, 3, 3), True)
    assert view.tolist() == [[[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255] * 3, [0] * 3, [255, 255, 0]]]]


@pytest.mark.parametrize("resample", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
def test_resampling_is_pillow_s(resample: str) -> None:
    expected = fields().resize((7, 5), Pillow.Resampling[resample.upper()])
    assert bytes(Image(PNG).pixels(7, 5, resample)) == expected.tobytes()


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, "RGB WKY"),  # 48 x 32 stretched to 3 x 2
        ({"width": 2, "height": 2, "fit": "crop", "resize": 2}, "RG WK"),  # 3 x 2, of which round(0.5) is 0
        ({"width": 1, "height": 2, "fit": "crop", "resize": 2}, "G K"),
        ({"width": 1, "height": 2, "fit": "crop"}, "G K"),
        ({"width": 3, "height": 1, "fit": "crop"}, "RGB"),  # 3 x 2, of which the first row: round(0.5) is 0
    ],
)
def test_what_does_not_fit_is_stretched_or_cut_out(arguments: dict[str, Any], shown: str) -> None:
    image = Image(PNG)
    rows = image.pixels(**{"width": 3, "height": 2, "resample": "box", **arguments}).tolist()[0]
    assert " ".join("".join(map(small_pictures._letter, row)) for row in rows) == shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"resample": "cubic"}, "resample is one of nearest, box, bilinear, bicubic, lanczos, not 'cubic'"),
        ({"fit": "pad"}, "fit is one of stretch, crop, not 'pad'"),
        ({"width": 0}, "positive integers"),
        ({"height": 2.0}, "positive integers"),
        ({"resize": 4}, "resize is for fit='crop'"),
        ({"resize": 2, "fit": "crop"}, "at least as large as width and height"),
    ],
)
def test_a_size_that_cannot_be_is_an_error(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Image(PNG).pixels(**{"width": 3, "height": 2, **arguments})


def test_a_picture_of_a_strip_for_each_row_is_read() -> None:
    assert Image(strips(40_000)).pixels(1, 1).shape == (1, 1, 1, 3)


def test_a_draft_is_smaller_before_it_is_decoded() -> None:
    large = written(fields().resize((1_920, 1_280), Pillow.Resampling.NEAREST), "JPEG", quality=95)
    exact, draft = (Image(large).pixels(96, 64, draft=draft) for draft in (False, True))
    differences = np.abs(np.asarray(exact).astype(int) - np.asarray(draft))
    assert 0 < differences.max() < 64  # along the edges of the fields
    assert differences.mean() < 1


# refused


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"", UnsupportedMediaType, "no picture of a format that is read here: JPEG, PNG, GIF, BMP, TIFF, WEBP, AVIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedMediaType, "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UnsupportedMediaType, "no picture"),
        (b"%PDF-1.7", UnsupportedMediaType, "no picture"),
        (b"P6 1 1 255\n...", UnsupportedMediaType, "no picture"),
        (PNG.decode(errors="replace").encode(), UnsupportedMediaType, "it came as text: a REST API passes bytes on"),
        (written(Pillow.new("F", (4, 4)), "TIFF"), UnsupportedMediaType, "numbers of 32 bits"),
        (written(Pillow.new("I", (4, 4)), "TIFF"), UnsupportedMediaType, "numbers of 32 bits"),
        (b"\x89PNG\r\n\x1a\n", InputError, "a damaged or incomplete PNG picture"),
        (PNG[:60], InputError, "a damaged or incomplete PNG picture"),
        (PNG[:-30], InputError, "a damaged or incomplete PNG picture"),
        (written(fields(), "JPEG")[:-200], InputError, "a damaged or incomplete JPEG picture"),
        (written(fields(), "WEBP")[:-20], InputError, "a damaged or incomplete WEBP picture"),
        (written(fields(), "GIF")[:-20], InputError, "a damaged or incomplete GIF picture"),
        (written(fields(), "BMP")[:-20], InputError, "a damaged or incomplete BMP picture"),
        (written(fields(), "TIFF", compression="tiff_lzw")[:-20], InputError, "a damaged or incomplete TIFF picture"),
        (written(fields(), "AVIF")[:-20], InputError, "a damaged or incomplete AVIF picture"),
        (png(0, 0), InputError, "a damaged or incomplete PNG picture"),
        (jpeg(0, 0), InputError, "a damaged or incomplete JPEG picture"),
        (b"BM" + bytes(60), InputError, "a damaged or incomplete BMP picture"),
        (b"II*\0" + struct.pack("<I", 8) + b"\0\0", InputError, "a damaged or incomplete TIFF picture"),
        (b"\0\0\0\x14ftypavif\0\0\0\0avif", InputError, "a damaged or incomplete AVIF picture"),
        (jpeg(48, 32, segment(0xE1, b"Exif\0\0.") * 200), InputError, "a JPEG of more parts than a picture has"),
        (b"GIF89a" + bytes(7) + b"!\xfe\x01.\0" * 2_000, InputError, "a GIF of more parts than a picture has"),
        (strips(100_001), InputError, "a TIFF of more parts than a picture has"),
        (b"\xff\xd8\xff" + bytes(limits.PICTURE), InputTooLarge, "10000003 bytes, and a picture may have 10000000"),
        (png(6_325, 6_325), InputTooLarge, "6325 x 6325 pixels, and a picture may have 40000000"),
        (png(65_536, 1), InputTooLarge, "65536 x 1 pixels, and a side may have 65535"),
        (written(Pillow.new("1", (1, 65_000)), "PNG"), InputTooLarge, "1 x 65000 pixels are too narrow a picture"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(content: bytes, error: type[InputError], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        Image(content, "photo").pixels(300, 300, fit="crop", resize=700)
    assert type(caught.value) is error
    assert caught.value.problems[0][0] == "photo"
    assert reason in caught.value.problems[0][1]


MEASURE = """
import sys
sys.path[:0] = sys.argv[1:2]
from small_pictures import BOMBS
from pilotlight import Image, InputError

def peak() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

for name, content in BOMBS.items():
    before = peak()
    try:
        Image(content).pixels(8, 8)
        print(name, "was read")
    except InputError as error:
        print(f"{name}: {type(error).__name__}, {'little' if peak() - before < 100 else peak() - before} MB")
"""


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    folder = str(Path(small_pictures.__file__).parent)
    done = subprocess.run([sys.executable, "-c", MEASURE, folder], capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{name}: InputTooLarge, little MB" for name in BOMBS], done.stderr


@pytest.mark.parametrize(("memory", "most"), [("", 40_000_000), ("10240", 40_000_000), ("512", 22_369_621)])
def test_pixels_are_bounded_by_memory_too(memory: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)
    side = int(most**0.5)
    assert Image(png(side, side)).width == side
    with pytest.raises(InputTooLarge, match=f"a picture may have {most}"):
        Image(png(side + 1, side + 1))


def test_what_a_narrow_picture_is_brought_to_is_bounded_by_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")  # 5,592,405 pixels
    image = Image(written(Pillow.new("1", (600, 1)), "PNG"))
    assert image.pixels(90, 90, fit="crop").shape == (1, 90, 90, 3)  # by 54,000 x 90
    with pytest.raises(InputTooLarge, match="600 x 1 pixels are too narrow a picture"):
        image.pixels(100, 100, fit="crop")


BEGINNINGS = [b"", PNG[:8], PNG[:40], b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0\x08\0\0\0", b"RIFF....WEBPVP8 ",
              b"\0\0\0\x1cftypavif", b"MM\0+\0\x08\0\0"]  # fmt: skip
WHOLE = [PNG, *(written(fields(), kind) for kind in ("JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"))]


def is_read_or_refused(content: bytes) -> None:
    try:
        told = f"photo: {len(Image(content, 'photo').pixels(4, 4))}"
    except InputError as error:
        told = str(error)
    assert told.startswith("photo: ")
    assert "PIL" not in told


@given(st.sampled_from(BEGINNINGS), st.binary(max_size=200))
@example(b"BM", b"")
def test_any_bytes_are_read_or_refused(beginning: bytes, tail: bytes) -> None:
    is_read_or_refused(beginning + tail)


@given(st.sampled_from(WHOLE), st.data())
def test_a_damaged_picture_is_read_or_refused(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=8)):
        damaged[position] = data.draw(st.integers(0, 255))
    is_read_or_refused(bytes(damaged))


# behind a request


@endpoint
def look(image: Image, top: int = 1) -> list[object]:
    return [image.format, seen(image), top]


@endpoint
def maybe(image: Image | None = None) -> bool:
    return image is None


@endpoint
def album(images: list[Image]) -> list[str]:
    return [seen(image) for image in images]


def part(head: str, content: bytes) -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


FORM, END = "multipart/form-data; boundary=b", b"--b--\r\n"
FILE = 'name="image"; filename="x"'
BASE64 = base64.b64encode(PNG).decode()
DATA = f"data:image/png;base64,{BASE64}"
RGB = ["PNG", FIELDS, 1]


def as_json(value: object) -> dict[str, Any]:
    return http(json.dumps(value).encode(), "application/json")


@pytest.mark.parametrize(
    ("handler", "event", "answer"),
    [
        (look, http(PNG, "image/png"), RGB),
        (look, http(PNG, "image/jpeg", "top=3"), ["PNG", FIELDS, 3]),  # the bytes say what it is
        (look, http(PNG, "application/octet-stream"), RGB),
        (look, http(PNG), RGB),
        (look, http(PNG, "application/x-www-form-urlencoded"), RGB),  # curl --data-binary
        (look, http(part(FILE, PNG) + part('name="top"', b"2") + END, FORM), ["PNG", FIELDS, 2]),
        (look, http(part('name="image"', BASE64.encode()) + END, FORM), RGB),
        (look, as_json({"image": BASE64}), RGB),
        (look, as_json({"image": "\n".join([BASE64[:76], BASE64[76:]]), "top": 2}), ["PNG", FIELDS, 2]),
        (look, as_json({"image": DATA}), RGB),
        (look, {"image": BASE64}, None),
        (look, {"image": DATA}, None),
        (maybe, http(b""), True),
        (maybe, as_json({"image": None}), True),
        (maybe, as_json({"image": DATA}), False),
        (maybe, http(PNG, "image/png"), False),
        (album, http(part('name="images"; filename="a"', PNG) * 2 + END, FORM), [FIELDS, FIELDS]),
        (album, as_json({"images": [BASE64, DATA]}), [FIELDS, FIELDS]),
    ],
)
def test_a_picture_comes_in_many_ways(handler: Any, event: dict[str, Any], answer: object) -> None:
    result = handler(event)
    if answer is None:
        assert result == RGB
    else:
        assert (result["statusCode"], json.loads(result["body"])) == (200, answer)


@pytest.mark.parametrize(
    ("handler", "event", "status", "message"),
    [
        (look, http(b""), 400, "image: missing"),
        (look, http(PNG[:60], "image/png"), 400, "image: a damaged or incomplete PNG picture"),
        (look, http(b"hello", "image/png"), 415, "image: no picture of a format that is read here"),
        (look, http(part(FILE, b"hello") + END, FORM), 415, "image: no picture"),
        (look, http(png(60_000, 60_000), "image/png"), 413, "image: 60000 x 60000 pixels, and a picture may have"),
        (look, as_json({"image": "?"}), 400, "image: expected a picture as base64, a data: URL or s3://bucket/key"),
        (look, as_json({"image": 3}), 400, "image: expected a picture as base64"),
        (look, as_json({"image": "data:image/svg+xml,<svg/>"}), 400, "image: expected a data: URL of base64"),
        (look, as_json({"image": "https://example.com/a.png"}), 400, "image: expected a picture as base64"),
        (look, as_json({"image": "aGVsbG8="}), 415, "image: no picture"),
        (look, as_json({"image": "aGVsbG8=", "top": "x"}), 400, "image: no picture"),  # two problems of two kinds
        (maybe, http(b"", "", "image=aGVsbG8="), 415, "image: no picture"),
        (maybe, http(b"", "", "image=?"), 400, "image: expected a picture as base64"),
        (album, as_json({"images": [DATA, "aGVsbG8="]}), 415, "images[1]: no picture"),
        (album, as_json({"images": [DATA] * 17}), 400, "images: expected 16 at most, not 17"),
        (album, http(part('name="images"; filename="a"', PNG) * 17 + END, FORM), 400, "images: expected 16 at most"),
        (album, http(PNG, "image/png"), 415, "content-type: image/png is not supported here"),
    ],
)
def test_a_request_is_refused_with_a_reason(handler: Any, event: dict[str, Any], status: int, message: str) -> None:
    result = handler(event)
    assert result["statusCode"] == status
    assert json.loads(result["body"])["message"].startswith(message)


# classifiers


def folder(tmp_path: Path, channels: int | str = 3, **settings: object) -> Path:
    """A model whose numbers are the means of red, green and blue, which stand for their labels."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["sums"], axes=[1, 2], keepdims=0),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 2, 2, channels])
    sums = helper.make_tensor_value_info("sums", TensorProto.FLOAT, [1, channels])
    known = {"labels": ["red", "green", "blue"], "image": {"width": 2, "height": 2, "resample": "nearest"}}
    return model_folders.write(tmp_path, {**known, **settings}, nodes, [pixels], [sums], {})


def test_a_classifier_gives_labels(tmp_path: Path) -> None:
    classifier = ImageClassifier(folder(tmp_path))
    image = Image(written(fields("YR YR"), "PNG"))
    assert classifier.logits(image) == {"red": 255.0, "green": 127.5, "blue": 0.0}
    assert classifier.classify(image, top=1) == [Label("red", 1.0)]
    assert [label for label, _ in classifier.classify(image)] == ["red", "green", "blue"]


def test_probabilities_are_left_as_they_are(tmp_path: Path) -> None:
    classifier = ImageClassifier(folder(tmp_path, scores="probabilities"))
    assert classifier.classify(Image(written(fields("YY YY"), "PNG")), 2) == [
        Label("red", 255.0),
        Label("green", 255.0),
    ]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"labels": None}, "there is no 'labels'"),
        ({"image": None}, "there is no 'image'"),
        ({"image": {"width": 2}}, '"image": .*height'),
        ({"image": {"width": 2, "height": 2, "resample": "best"}}, '"image": resample is one of nearest'),
        ({"image": {"width": 2, "height": 2, "resize_to": 256}}, "\"image\": 'resize_to' is not known"),
        ({"image": {"width": 3, "height": 2}}, '"image": 3 x 2 for a graph of 2 x 2 pixels'),
        ({"labels": ["red", "green"]}, '"labels": 2 for 3 numbers'),
        ({"scores": "votes"}, '"scores" is logits or probabilities'),
    ],
)
def test_settings_that_do_not_fit_are_an_error(tmp_path: Path, settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        ImageClassifier(folder(tmp_path, **settings))


def test_labels_that_are_not_the_model_s_are_an_error(tmp_path: Path) -> None:
    classifier = ImageClassifier(folder(tmp_path, "channels", labels=["red", "green"]))
    with pytest.raises(ModelError, match="3 numbers for 2 labels"):
        classifier.logits(Image(PNG))
