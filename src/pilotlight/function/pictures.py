"""A picture's bytes -> its size, then its pixels. Pillow is imported with the first picture.

A picture is read in two steps. The header tells what it is and how large: that is checked, and nothing of the size of
the picture has been allocated yet. Pixels are decoded when they are asked for. Of Pillow's decoders only those that
read the formats below are loaded; none of them starts another program.
"""

from __future__ import annotations

import os

from pilotlight import limits
from pilotlight.errors import FunctionError, InputError, InputTooLarge, UnsupportedMediaType
from pilotlight.function.trace import span
from pilotlight.tuples import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Literal

    import PIL.Image
    from PIL.ImageFile import ImageFile


READERS = {  # Pillow's name of the format -> the module and the class that read it
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pillow_heif", "HeifImageFile"),
}
_BEGINNINGS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    *((beginning, "GIF") for beginning in (b"GIF87a", b"GIF89a")),
    *((beginning, "TIFF") for beginning in (b"II*\0", b"MM\0*", b"II+\0")),
    (b"BM", "BMP"),
)
# What Pillow gathers with one copy for each of these, so that many of them take minutes: Exif segments, comments. And
# what a decoder goes over the whole picture for: scans of a progressive JPEG.
_REPEATED = {"JPEG": ((b"Exif\0\0", 100), (b"\xff\xda", 100)), "GIF": ((b"\x21\xfe", 1_000),)}
_NUMBERS = 100_000  # of one entry of a TIFF's directory: strips, of each of which Pillow makes 700 bytes in 10 us
_BYTES = (1, 2, 6, 7)  # types of such entries that are no numbers: TIFF 6.0, section 2
_ORIENTATION = 0x0112  # EXIF 2.3, table 4
_TURNS = {  # EXIF's orientation -> PIL.Image.Transpose
    **{2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"},
    **{6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"},
}
_RESAMPLES = ("nearest", "box", "bilinear", "bicubic", "lanczos")
_FITS = ("stretch", "crop")


class Header(NamedTuple):
    """`width` and `height` are those of the picture as it is to be shown; `orientation` is EXIF's, 1 to 8."""

    format: str
    width: int
    height: int
    orientation: int


class Size(NamedTuple):
    """What `inputs.Image.pixels` brings a picture to. Raises `ValueError` for what cannot be, by `checked`."""

    width: int
    height: int
    resample: str = "bilinear"
    fit: str = "stretch"
    resize: int | None = None
    draft: bool = False

    def checked(self) -> Size:
        """This size, when it can be."""
        for name, given, known in (("resample", self.resample, _RESAMPLES), ("fit", self.fit, _FITS)):
            if given not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, not {given!r}")
        if not all(type(number) is int and number > 0 for number in (self.width, self.height, self.resize or 1)):
            raise ValueError(f"width, height and resize are positive integers, not {self[:2]} and {self.resize!r}")
        if self.resize is not None and (self.fit != "crop" or self.resize < max(self.width, self.height)):
            raise ValueError("resize is for fit='crop', and is at least as large as width and height")
        return self


def read_header(content: bytes, field: str) -> Header:
    """What the picture is. No memory of the size of the picture is taken.

    Raises `UnsupportedMediaType`, `InputTooLarge`, `InputError`, or `FunctionError` where Pillow is not installed.
    """
    if len(content) > limits.PICTURE:
        raise InputTooLarge((field, f"{len(content)} bytes, and a picture may have {limits.PICTURE}"))
    kind = _kind(content)
    if not kind:
        raise UnsupportedMediaType((field, _unknown(content)))
    if _has_too_many_parts(content, kind):
        raise InputError((field, f"a {kind} of more parts than a picture has"))
    with _Reading(kind, field):
        picture = _opened(content, kind)
        orientation = _orientation(picture)
        width, height = picture.size
    if width * height > (most := most_pixels()):
        raise InputTooLarge((field, f"{width} x {height} pixels, and a picture may have {most}"))
    if max(width, height) > limits.PICTURE_SIDE:  # Pillow takes memory for each row, too
        raise InputTooLarge((field, f"{width} x {height} pixels, and a side may have {limits.PICTURE_SIDE}"))
    return Header(kind, height if orientation > 4 else width, width if orientation > 4 else height, orientation)


def most_pixels() -> int:
    """How many pixels a picture may have: what the function's memory holds while one is decoded, 40 million at most."""
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if not memory.isdecimal():
        return limits.PICTURE_PIXELS
    return min(limits.PICTURE_PIXELS, int(memory) * 1_048_576 // 2 // limits.PICTURE_BYTES_OF_PIXEL)


def decoded(content: bytes, kind: str, orientation: int, field: str, draft: tuple[int, int] | None = None) -> Any:
    """The picture in RGB, turned: a `PIL.Image.Image`. `draft` is the least size that a JPEG may be decoded at."""
    with _Reading(kind, field), span("picture"):
        picture = _opened(content, kind)
        if draft and kind == "JPEG":
            picture.draft(None, draft)
        size = picture.size
        picture.load()
        if picture.size != size:
            raise ValueError("the picture is of another size than its header says")
        return _turned(_in_rgb(picture), orientation)


def resized(content: bytes, kind: str, orientation: int, field: str, size: Size) -> memoryview:
    """What `inputs.Image.pixels` gives."""
    from PIL.Image import Resampling

    size.checked()
    least = (size.resize or max(size.width, size.height),) * 2
    picture = decoded(content, kind, orientation, field, least if size.draft else None)
    scaled = (size.width, size.height) if size.fit == "stretch" else _covering(picture.size, size)
    if scaled[0] * scaled[1] > max(most_pixels(), size.width * size.height):
        raise InputTooLarge((field, f"{picture.width} x {picture.height} pixels are too narrow a picture"))
    picture = picture.resize(scaled, Resampling[size.resample.upper()])
    if scaled != (size.width, size.height):
        left, top = (round((whole - part) / 2) for whole, part in zip(scaled, size[:2], strict=True))
        picture = picture.crop((left, top, left + size.width, top + size.height))
    return memoryview(picture.tobytes()).cast("B", [1, size.height, size.width, 3])


def _covering(found: tuple[int, int], size: Size) -> tuple[int, int]:
    """The size before its middle is cut out: torchvision's Resize cuts the fraction of the longer side off."""
    width, height = found
    if size.resize is None:
        scale = max(size.width / width, size.height / height)
        return max(size.width, int(width * scale)), max(size.height, int(height * scale))
    if width <= height:
        return size.resize, int(size.resize * height / width)
    return int(size.resize * width / height), size.resize


def _kind(content: bytes) -> str:
    """Pillow's name of the format, by the first bytes; "" for what is no picture that is read here."""
    for beginning, kind in _BEGINNINGS:
        if content.startswith(beginning):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] != b"ftyp":
        return ""
    box = content[8 : min(int.from_bytes(content[:4], "big"), 256)]  # ISO 14496-12: brands of four characters
    brands = {box[start : start + 4] for start in range(0, len(box), 4)}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIF" if brands & {b"heic", b"heix", b"heim", b"heis"} and _has_heif() else ""


def _has_too_many_parts(content: bytes, kind: str) -> bool:
    if kind == "TIFF":
        return any(count > _NUMBERS for count in _counts(content))
    return any(content.count(mark) > most for mark, most in _REPEATED.get(kind, ()))


def _counts(content: bytes) -> Iterator[int]:
    """How many numbers each entry of a TIFF's first directory has; BigTIFF's fields are wider, else it is the same."""
    order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"
    offset, wide, head, entry = (8, 8, 8, 20) if content[2] == 43 else (4, 4, 2, 12)

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], order)

    start = number(offset, wide)
    first = start + head
    last = min(first + number(start, head) * entry, len(content))
    return (number(at + 4, wide) for at in range(first, last, entry) if number(at + 2, 2) not in _BYTES)


def _has_heif() -> bool:
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def _unknown(content: bytes) -> str:
    kinds = ", ".join(kind for kind in READERS if kind != "HEIF")
    reason = f"no picture of a format that is read here: {kinds}"
    if content[:4].startswith((b"\xef\xbf\xbd", b"\xc2\x89PN")):
        return f"{reason}; it came as text: a REST API passes bytes on where binary_media_types names their type"
    return reason


class _Reading:
    """`with _Reading(kind, field): ...`: whatever a decoder raises, the bytes are at fault; what it says stays here.

    Warnings are of damaged metadata, which do no harm to pixels, but for the one of a decompression bomb.
    """

    def __init__(self, kind: str, field: str) -> None:
        self._kind, self._field = kind, field

    def __enter__(self) -> None:
        import warnings

        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        pillow = _pillow()
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", pillow.DecompressionBombWarning)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._warnings.__exit__(None, None, None)
        match error:
            case None | FunctionError():
                return
            case InputError():
                raise error.at(self._field) from None
            case MemoryError():
                reason = "more pixels than the function's memory holds"
                raise InputTooLarge((self._field, reason)) from None
            case Exception() if _is_bomb(error):
                reason = f"more pixels than a picture may have, which is {most_pixels()}, or as much beside them"
                raise InputTooLarge((self._field, reason)) from None
            case Exception():
                raise InputError((self._field, f"a damaged or incomplete {self._kind} picture")) from None


def _is_bomb(error: Exception) -> bool:
    """Of pixels, or of compressed text or a profile beside them, which Pillow bounds by PngImagePlugin.MAX_TEXT_*."""
    text = str(error)
    return type(error).__name__.startswith("DecompressionBomb") or "MAX_TEXT" in text or "text chunks" in text


def _pillow() -> Any:
    try:
        with span("Pillow"):
            from PIL import Image
    except ImportError as error:
        raise FunctionError(f"reading a picture: {error}", "pip install 'pilotlight[image]'") from error
    Image.MAX_IMAGE_PIXELS = most_pixels()
    return Image


def _opened(content: bytes, kind: str) -> ImageFile:
    from io import BytesIO

    module, name = READERS[kind]
    reader: Callable[[BytesIO], ImageFile] = getattr(__import__(module, fromlist=[name]), name)
    return reader(BytesIO(content))


def _orientation(picture: ImageFile) -> int:
    """EXIF's, or 1 where there is none or no usable one, and of a TIFF, which Pillow turns itself."""
    from PIL import Image

    if "exif" not in picture.info or picture.format == "TIFF":
        return 1
    try:
        found = Image.Image.getexif(picture).get(_ORIENTATION)  # PNG's own decodes the pixels to look behind them
    except Exception:  # the boundary to Pillow: broken metadata does no harm to pixels
        return 1
    return found if found in _TURNS else 1


def _turned(picture: PIL.Image.Image, orientation: int) -> PIL.Image.Image:
    from PIL.Image import Transpose

    turn = _TURNS.get(orientation)
    return picture.transpose(Transpose[turn]) if turn else picture


def _in_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I;16"):
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")  # the upper byte, as of 16-bit RGB
    if picture.mode in ("I", "F"):
        raise UnsupportedMediaType(("", "numbers of 32 bits, of which nothing says what is black and what is white"))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    from PIL import Image

    white = Image.new("RGB", picture.size, "white")
    layer = picture.convert("RGBA")
    white.paste(layer, mask=layer)
    return white
