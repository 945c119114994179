"""Hostile and damaged pictures, the same for the same seed: `python benchmarks/pictures_hostile.py` counts them."""

import random
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from PIL import Image

import small_pictures as small

KINDS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")
MAGIC = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\xff\0\0\0WEBPVP8X",
         b"\0\0\0\x1cftypavif", b"II+\0\x08\0\0\0")  # fmt: skip


class Hostile(NamedTuple):
    kind: str  # what was done to it
    content: bytes


def made(count: int, seed: int) -> Iterator[Hostile]:
    """`count` of them, each kind as often as the others; those of which there are few repeat."""
    chance = random.Random(seed)
    whole = [original(chance, kind) for kind in KINDS for _ in range(3)]
    for number in range(count):
        kind, make = list(WAYS.items())[number % len(WAYS)]
        yield Hostile(kind, make(chance, chance.choice(whole), number // len(WAYS)))


def original(chance: random.Random, kind: str) -> bytes:
    """A picture of noise over a slope, which no format makes very small."""
    size = (chance.randint(40, 300), chance.randint(40, 300))
    noise = Image.frombytes("RGB", size, chance.randbytes(3 * size[0] * size[1]))
    slope = Image.linear_gradient("L").resize(size).convert("RGB")
    return small.written(Image.blend(noise, slope, 0.8), kind)


def cut(chance: random.Random, content: bytes, _: int) -> bytes:
    return content[: chance.randrange(len(content))]


def flipped(chance: random.Random, content: bytes, _: int) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 8, 200))):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def flipped_in_front(chance: random.Random, content: bytes, _: int) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 2, 5))):
        damaged[chance.randrange(min(len(damaged), 120))] = chance.randrange(256)
    return bytes(damaged)


def overwritten(chance: random.Random, content: bytes, _: int) -> bytes:
    start = chance.randrange(len(content))
    run = chance.choice((bytes(64), b"\xff" * 64, chance.randbytes(64)))
    return content[:start] + run + content[start + 64 :]


def wrong_magic(chance: random.Random, content: bytes, _: int) -> bytes:
    magic = chance.choice(MAGIC)
    return magic + content[len(magic) :]


def noise(chance: random.Random, _: bytes, __: int) -> bytes:
    return chance.choice((*MAGIC, b"")) + chance.randbytes(chance.choice((0, 3, 40, 3_000)))


def huge(chance: random.Random, _: bytes, __: int) -> bytes:
    make = chance.choice((small.png, small.gif, small.bmp, small.jpeg, small.webp, small.avif))
    most = 16_384 if make is small.webp else 65_535
    return make(chance.randint(8_000, most), chance.randint(8_000, most))


def flat(chance: random.Random, _: bytes, __: int) -> bytes:
    """Nothing, or a line."""
    make = chance.choice((small.png, small.gif, small.bmp, small.jpeg, small.avif))
    return make(*chance.choice(((0, 0), (0, 9), (9, 0), (1, 60_000), (60_000, 1))))


def bomb(_: random.Random, __: bytes, number: int) -> bytes:
    return list(small.BOMBS.values())[number % len(small.BOMBS)]


def chunk_length(chance: random.Random, _: bytes, __: int) -> bytes:
    """A PNG with one chunk that says it is of another length."""
    content = bytearray(original(chance, "PNG"))
    at = chance.choice([8, 33])
    content[at : at + 4] = struct.pack(">I", chance.choice((0, 1, 12, 2**31 - 1, 2**31, 2**32 - 1)))
    return bytes(content)


def directory_loop(chance: random.Random, _: bytes, __: int) -> bytes:
    """A TIFF whose directories follow one another in a circle, or whose values are all of the file, many times."""
    if chance.random() < 0.5:
        content = bytearray(small.tiff(16, 16, data=zlib.compress(bytes(256))))
        content[-4:] = content[4:8]
        return bytes(content)
    data = zlib.compress(bytes(256)) + bytes(100_000)
    return small.tiff(16, 16, *((tag, 7, 100_000, 8) for tag in range(33_000, 33_400)), data=data)


def odd_tags(chance: random.Random, _: bytes, __: int) -> bytes:
    """A TIFF with entries of any type, count and place."""
    entries = [(chance.randrange(400), chance.randrange(20), chance.randrange(2**32), chance.randrange(2**32))
               for _ in range(chance.randrange(1, 9))]  # fmt: skip
    return small.tiff(16, 16, *entries, data=zlib.compress(bytes(256)))


def exif(chance: random.Random, _: bytes, __: int) -> bytes:
    """A JPEG with metadata of noise, of the whole file many times, or in thousands of pieces."""
    entries = b"".join(struct.pack("<HHII", tag, 7, 60_000, 8) for tag in range(1, 1_000))
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 999) + entries + (8).to_bytes(4, "little")
    pieces = chance.choice(([b"II*\0" + chance.randbytes(400)], [loop], [b"."] * 20_000))
    return small.jpeg(48, 32, b"".join(small.segment(0xE1, b"Exif\0\0" + piece) for piece in pieces))


def repeated(chance: random.Random, _: bytes, __: int) -> bytes:
    """Scans, comments, frames, strips: what a reader may go over again and again."""
    progressive = small.written(small.fields(), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    return chance.choice((
        progressive[:-2] + scan * 5_000 + b"\xff\xd9",
        b"GIF89a" + bytes(7) + b"!\xfe\x02ab\0" * 50_000,
        small.gif(9, 9)[:-1] * 300,
        small.strips(1_000_000),
        small.png(4, 4, *[small.chunk(b"tEXt", b"a%d\0b" % each) for each in range(20_000)]),
    ))  # fmt: skip


def polyglot(chance: random.Random, content: bytes, _: int) -> bytes:
    """A picture that is something else too, or something else that begins or ends as a picture."""
    script = b"<script>alert(1)</script>"
    return chance.choice((
        content + b"PK\x05\x06" + bytes(18),
        b"GIF89a/*" + bytes(9) + b"*/=1;" + script,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run\n" + content,
        b"%PDF-1.7\n" + content,
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>" + content,
        b"push graphic-context\nimage over 0,0 0,0 'msl:/etc/passwd'\n",
        script + content,
    ))  # fmt: skip


def other_formats(chance: random.Random, _: bytes, __: int) -> bytes:
    """Pictures that Pillow could read, and is not to."""
    return small.written(
        small.fields(), chance.choice(("EPS", "PPM", "TGA", "PCX", "ICO", "SGI", "IM", "DDS", "JPEG2000"))
    )


Way = Callable[[random.Random, bytes, int], bytes]
WAYS: dict[str, Way] = {
    way.__name__.replace("_", " "): way
    for way in (cut, flipped, flipped_in_front, overwritten, wrong_magic, noise, huge, flat, bomb, chunk_length,
                directory_loop, odd_tags, exif, repeated, polyglot, other_formats)
}  # fmt: skip

if __name__ == "__main__":
    print(Counter(hostile.kind for hostile in made(1_000, 1)))
