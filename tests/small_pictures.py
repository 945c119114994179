"""Small pictures of six fields, in every format and mode, good and hostile; and what a function sees of one."""

import io
import struct
import zlib
from collections.abc import Sequence

from PIL import Image as Pillow

from pilotlight.function.inputs import Image

FIELD = 16  # pixels: two blocks of JPEG each way, whose colours are at half the size
COLOURS = {
    "R": (255, 0, 0),
    "G": (0, 255, 0),
    "B": (0, 0, 255),
    "W": (255, 255, 255),
    "K": (0, 0, 0),
    "Y": (255, 255, 0),
}
FIELDS = "RGB WKY"


def fields(rows: str = FIELDS, mode: str = "RGB") -> Pillow.Image:
    """A picture of fields, a letter each; `mode` is one that Pillow converts to."""
    lines = rows.split()
    picture = Pillow.new("RGB", (FIELD * len(lines[0]), FIELD * len(lines)))
    for row, line in enumerate(lines):
        for column, letter in enumerate(line):
            box = (FIELD * column, FIELD * row, FIELD * (column + 1), FIELD * (row + 1))
            picture.paste(COLOURS[letter], box)
    return picture.convert(mode)


CLEAR = fields(mode="RGBA")
CLEAR.paste((0, 0, 0, 0), (0, 0, FIELD, FIELD))  # the red field is transparent, and black below that


def written(picture: Pillow.Image, kind: str, **options: object) -> bytes:
    output = io.BytesIO()
    picture.save(output, kind, **options)
    return output.getvalue()


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return written(fields(), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


def seen(image: Image) -> str:
    """The fields that a function sees, each by the letter of the colour nearest to it."""
    width, height = image.width // FIELD, image.height // FIELD
    rows = image.pixels(width, height, "box").tolist()[0]
    return " ".join("".join(map(_letter, row)) for row in rows)


def _letter(pixel: Sequence[int]) -> str:
    def distance(letter: str) -> int:
        return sum((one - other) ** 2 for one, other in zip(COLOURS[letter], pixel, strict=True))

    return min(COLOURS, key=distance)


# what no encoder writes


def png(width: int, height: int, *chunks: bytes, colour: int = 2, depth: int = 8) -> bytes:
    """A PNG of a kilobyte of pixels, whatever its header says; `chunks` come before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1_000)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(megabytes: int) -> bytes:
    """So many, compressed a thousand times."""
    squeezed = zlib.compressobj(9)
    return b"".join([squeezed.compress(bytes(1_000_000)) for _ in range(megabytes)]) + squeezed.flush()


def gif(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def bmp(width: int, height: int) -> bytes:
    head = b"BM" + struct.pack("<IHHI", 1_078, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(1_024)


def webp(width: int, height: int) -> bytes:
    canvas = bytes([0, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    image = written(Pillow.new("RGB", (4, 4)), "WEBP")[12:]
    chunks = b"WEBP" + b"VP8X" + struct.pack("<I", len(canvas)) + canvas + image
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def tiff(width: int, height: int, *more: tuple[int, int, int, int], data: bytes = b"") -> bytes:
    """Of one bit a pixel, compressed; an entry is (tag, type, count, value), `data` begins at byte 8."""
    start = 8 + len(data)
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
               (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(data)), *more]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<I", start) + data + directory + bytes(4)


def strips(count: int) -> bytes:
    """A TIFF of one pixel a row, not compressed, that names so many strips."""
    data = struct.pack("<I", 8) * count
    entries = [(256, 4, 1, 1), (257, 4, 1, count), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, count, 8),
               (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, count, 8)]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


def jpeg(width: int, height: int, segments: bytes = b"") -> bytes:
    """A JPEG that says another size than it has; `segments` follow the first two bytes."""
    content = written(fields(), "JPEG")
    at = content.index(b"\xff\xc0") + 5
    content = content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]
    return content[:2] + segments + content[2:]


def avif(width: int, height: int) -> bytes:
    content = written(fields(), "AVIF")
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", width, height) + content[at + 8 :]


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


BOMBS = {  # a few kilobytes that say they are a picture of gigabytes
    "png": png(60_000, 60_000),
    "png of 16 bits": png(50_000, 50_000, colour=6, depth=16),
    "gif": gif(65_535, 65_535),
    "bmp": bmp(65_000, 65_000),
    "tiff": tiff(60_000, 60_000, data=zeros(4)),
    "webp": webp(16_383, 16_383),
    "jpeg": jpeg(65_500, 65_500),
    "png, 200 MB of text": png(4, 4, chunk(b"zTXt", b"a\0\0" + zeros(200))),
    "png, 200 MB of a profile": png(4, 4, chunk(b"iCCP", b"a\0\0" + zeros(200))),
    "png, 90 texts of 900 KB": png(4, 4, *[chunk(b"zTXt", b"a%d\0\0" % n + zlib.compress(bytes(900_000)))
                                          for n in range(90)]),
}  # fmt: skip
