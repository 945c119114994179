"""Which model a function has, in a few characters that records carry.

Does not ship to Lambda: a function is told.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pilotlight.project import is_uri

_WHOLE = 1 << 20  # bytes of a file that is read from beginning to end
_SAMPLES, _SAMPLE = 64, 4_096  # of a larger one, spread evenly


def of(root: Path, model: str, fetched: str = "") -> str:
    """ "models/qa@1f6c0a2b9d3e": the path, or the URI, and a digest of what is there; "" when nothing is, and the URI
    alone of what the function fetches itself. `fetched` is the folder on this machine of what a URI names.

    Of large files the digest sees name, size and samples, which tell one training from another and take milliseconds
    where reading gigabytes takes seconds. It is the same on every machine.
    """
    path = Path(fetched) if fetched else root / model
    if is_uri(model) and not fetched:
        return model
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    if not model or not files:
        return ""
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(path if fetched else root)
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        for piece in _pieces(file):
            digest.update(piece)
    return f"{model}@{digest.hexdigest()[:12]}"


def _pieces(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as content:
        if size <= _WHOLE:
            yield content.read()
            return
        for number in range(_SAMPLES):
            content.seek((size - _SAMPLE) * number // (_SAMPLES - 1))
            yield content.read(_SAMPLE)
