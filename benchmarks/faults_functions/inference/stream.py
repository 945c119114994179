"""Answer with much more than buffers hold, piece by piece."""

from collections.abc import Iterator

from pilotlight import endpoint


@endpoint
def handler(pieces: int = 1_000) -> Iterator[bytes]:
    for _ in range(pieces):
        yield b"x" * 65_536
