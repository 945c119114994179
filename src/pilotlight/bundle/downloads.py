"""One content out of a repository: piece by piece, going on after a cut, and checked against its digest.

OCI distribution specification 1.1: "Pulling blobs", whose ranges are those of RFC 9110, 14.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pilotlight.bundle.blobs import Blobs, Received
from pilotlight.bundle.http import Request
from pilotlight.bundle.session import Failed, Patience, Session
from pilotlight.errors import ImageError


def download(session: Session, digest: str, size: int, blobs: Blobs, told: Callable[[int], None]) -> Path:
    """The file with that content, from the session's repository or from `blobs`. `told` is how many bytes there are.

    Raises `ImageError` and its kin; then nothing of it is kept.
    """
    doing = f"pulling {digest}"
    if not blobs.has(digest, size):
        with blobs.receiving(digest, doing) as received:
            _receive(session, Request("GET", session.url(f"blobs/{digest}")), size, received, doing, told)
    told(size)
    return blobs.path(digest)


def _receive(
    session: Session, whole: Request, size: int, received: Received, doing: str, told: Callable[[int], None]
) -> None:
    def take(status: int, content: Iterator[bytes]) -> None:
        passed = 0 if status == 206 else received.size  # of an answer that begins at the beginning again
        for piece in content:
            rest = piece[passed:]
            passed = max(0, passed - len(piece))
            received.write(rest)
            patience.gained()
            if received.size > size:
                raise ImageError(f"{doing}: it has more than the {size} bytes that its descriptor says")
            told(received.size)

    patience = Patience(session, doing)
    while received.size < size:
        headers = {"Range": f"bytes={received.size}-{size - 1}"} if received.size else {}
        try:
            answer = session.attempt(whole._replace(headers=headers, take=take))
        except Failed as failed:
            patience.wait(failed.problem)
            continue
        if answer.status >= 300:
            raise session.error(doing, answer)
        if received.size < size:
            raise ImageError(f"{doing}: it has {received.size} bytes, and its descriptor says {size}")
