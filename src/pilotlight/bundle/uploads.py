"""One content into a repository: found there, mounted from another, or sent in pieces that go on after a cut.

OCI distribution specification 1.1: "Checking if content exists", "Mounting a blob from another repository", "Pushing a
blob monolithically", "Pushing a blob in chunks".
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from pilotlight.bundle.http import Answer, Request, Slice
from pilotlight.bundle.session import Failed, Patience, Session
from pilotlight.errors import ImageError

CHUNK = 16 << 20
"""Bytes of one request: what is lost at most when a connection breaks."""
_NO_CHUNKS = (400, 404, 405, 411, 413, 415, 501)  # what registries answer that take a content at once only
_OCTETS = "application/octet-stream"

How = Literal["there", "mounted", "sent"]
Told = Callable[[int], None]


class Content(NamedTuple):
    """What is uploaded. `name` is for messages; `path` is asked for only when bytes have to travel."""

    name: str
    digest: str
    size: int
    path: Callable[[], Path]
    mount: str = ""  # the repository of the same registry that has it


def upload(session: Session, content: Content, told: Told) -> How:
    """Have `content` in the session's repository. `told` is how many of its bytes are there now, which may be fewer
    than before. Raises `ImageError` and its kin."""
    doing = f"pushing {content.name}"
    if _exists(session, content, doing):
        told(content.size)
        return "there"
    begun = _begin(session, content, doing, content.mount)
    if begun is None:
        told(content.size)
        return "mounted"
    _Upload(session, content, doing, begun, told).run()
    return "sent"


def _exists(session: Session, content: Content, doing: str) -> bool:
    answer = session.ask(Request("HEAD", session.url(f"blobs/{content.digest}")), doing)
    if answer.status in (401, 403):
        raise session.error(doing, answer)
    return answer.status == 200


class _Begun(NamedTuple):
    """Where an upload goes, and how many bytes each piece but the last has to have there."""

    location: str
    chunk: int = CHUNK


def _begin(session: Session, content: Content, doing: str, mount: str = "") -> _Begun | None:
    """None when the content was mounted, and nothing has to be sent."""
    url = session.url("blobs/uploads/")
    if mount:
        asked = f"{url}?{urlencode({'mount': content.digest, 'from': mount})}"
        answer = session.ask(Request("POST", asked), doing)
        if answer.status == 201:
            return None
        if answer.status == 202:
            return _begun(session, answer, url, doing)
        # one that may not read the other repository has to upload
    return _begun(session, session.need(Request("POST", url), doing, 202), url, doing)


def _begun(session: Session, answer: Answer, asked: str, doing: str) -> _Begun:
    least = answer.headers.get("OCI-Chunk-Min-Length", "")
    chunk = max(CHUNK, int(least)) if least.isascii() and least.isdecimal() else CHUNK
    return _Begun(_location(session, answer, asked, doing), chunk)


def _location(session: Session, answer: Answer, asked: str, doing: str) -> str:
    location = answer.headers.get("Location")
    if not location:
        raise ImageError(f"{doing}: {session.reference.registry} does not say where to", "it is no registry of OCI")
    return session.resolve(location, asked)


class _Upload:
    """One upload on its way: where it goes on, and how far it is."""

    def __init__(self, session: Session, content: Content, doing: str, begun: _Begun, told: Told) -> None:
        self._session, self._content, self._doing, self._told = session, content, doing, told
        self._location, self._chunk = begun
        self._offset = self._furthest = 0
        self._at_once = content.size <= self._chunk
        self._is_resumed = False
        self._path = content.path()
        self._patience = Patience(session, doing)

    def run(self) -> None:
        is_done = False
        while not is_done:
            try:
                is_done = self._step()
            except Failed as failed:
                self._patience.wait(failed.problem)
                is_done = self._recover()

    def _step(self) -> bool:
        """Send the next piece, or all, or what ends the upload; whether that was the end."""
        if self._at_once or self._offset == self._content.size:
            return self._end()
        stop = min(self._offset + self._chunk, self._content.size)
        headers = {"Content-Type": _OCTETS, "Content-Range": f"{self._offset}-{stop - 1}"}
        answer = self._session.attempt(Request("PATCH", self._location, headers, self._slice(stop)))
        if answer.status == 202:
            self._moved(answer, default=stop)
            if self._offset > self._furthest:
                self._furthest = self._offset
                self._patience.gained()
        elif self._offset == 0 and answer.status in _NO_CHUNKS:
            self._at_once = True
            self._anew()
        else:
            self._refused(answer)
        return False

    def _end(self) -> bool:
        stop = self._content.size
        url = f"{self._location}{'&' if '?' in self._location else '?'}{urlencode({'digest': self._content.digest})}"
        answer = self._session.attempt(Request("PUT", url, {"Content-Type": _OCTETS}, self._slice(stop)))
        if answer.status not in (201, 204):
            self._refused(answer)
            return False
        self._told(stop)
        return True

    def _slice(self, stop: int) -> Slice:
        """What comes next, counted while it goes out."""
        done = self._offset

        def sent(length: int) -> None:
            nonlocal done
            done += length
            self._told(done)

        return Slice(self._path, self._offset, stop, sent)

    def _refused(self, answer: Answer) -> None:
        """Raises what the answer means, unless a new upload may help: the registry has lost this one, or what it has
        of it after a cut is not what it said."""
        is_lost = answer.status in (404, 416)
        if not is_lost and not (self._is_resumed and answer.status == 400):
            raise self._session.error(self._doing, answer)
        self._patience.wait(answer)
        self._anew()

    def _recover(self) -> bool:
        """After a cut: ask how far the upload is, else begin it anew. Whether it is through."""
        if _exists(self._session, self._content, self._doing):
            self._told(self._content.size)
            return True
        if self._at_once:
            self._anew()
            return False
        answer = self._session.ask(Request("GET", self._location), self._doing)
        if answer.status == 204:
            self._is_resumed = True
            self._moved(answer, default=0)
        else:
            self._anew()
        return False

    def _anew(self) -> None:
        begun = _begin(self._session, self._content, self._doing)
        assert begun is not None  # nothing is mounted here
        self._location = begun.location
        self._offset, self._is_resumed = 0, False
        self._told(0)

    def _moved(self, answer: Answer, default: int) -> None:
        """Go on where the registry says: its Range names the last byte that it has, and `0-0` is none as well."""
        if answer.headers.get("Location"):
            self._location = _location(self._session, answer, self._location, self._doing)
        found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
        has = int(found[1]) if found else default - 1
        self._offset = min(has + 1 if has > 0 else 0, self._content.size)
        self._told(self._offset)
