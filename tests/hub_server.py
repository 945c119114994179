"""A hub for tests, as the Hugging Face hub is seen by who downloads: an API, files of git, large files by a redirect to
another host, with ranges, ETags and the hub's own words for errors.

    hub.add("org/name", {"config.json": b"{}", "model.onnx": b"..."})
    hub.url                       for HF_ENDPOINT
    hub.on_file = spoil           Request, File -> what is sent in place of the file's bytes, None to send these
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

from http_servers import Cut, HttpServer, Request, answer
from pilotlight.function import transfer

LARGE = 1_000  # bytes from which a file is not in git but on the CDN


class Stored(NamedTuple):
    """A file of one revision."""

    content: bytes

    @property
    def is_large(self) -> bool:
        return len(self.content) >= LARGE

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob(self) -> str:
        """As `git hash-object` says."""
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.blob


class Repository:
    """`revisions` have commits; `token` is who may read it, "" for anyone; `is_gated` asks for more than a token."""

    def __init__(self, token: str, is_gated: bool, about: dict[str, object]) -> None:
        self.token, self.is_gated, self.about = token, is_gated, about
        self.revisions: dict[str, str] = {}
        self.commits: dict[str, dict[str, Stored]] = {}


Spoil = Callable[[Request, bytes], bytes | None]


class FakeHub:
    def __init__(self, is_secure: bool = False) -> None:
        self.repositories: dict[str, Repository] = {}
        self.on_api: Callable[[Request], bytes | None] = lambda request: None
        self.on_file: Spoil = lambda request, whole: None
        self.expired = ""  # a token that was valid once
        self.hub = HttpServer(self._hub, is_secure)
        self.cdn = HttpServer(self._cdn, is_secure)
        scheme, host = ("https", "localhost") if is_secure else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{self.hub.port}"
        self.cdn_url = f"{scheme}://{host}:{self.cdn.port}"

    def add(
        self,
        name: str,
        files: dict[str, bytes],
        revision: str = "main",
        token: str = "",
        is_gated: bool = False,
        **about: object,
    ) -> str:
        """The commit."""
        repository = self.repositories.setdefault(name, Repository(token, is_gated, about))
        stored = {path: Stored(content) for path, content in files.items()}
        commit = hashlib.sha1(json.dumps({path: each.etag for path, each in stored.items()}).encode()).hexdigest()
        repository.commits[commit] = stored
        repository.revisions[revision] = commit
        return commit

    def close(self) -> None:
        self.hub.close()
        self.cdn.close()

    @property
    def downloads(self) -> list[str]:
        """Paths of files that were asked for, each time they were."""
        asked = [each.target for each in self.hub.requests if "/resolve/" in each.target and each.method == "GET"]
        return [target.partition("/resolve/")[2].partition("/")[2] for target in asked]

    @property
    def sent(self) -> list[Request]:
        """Requests to the CDN."""
        return self.cdn.requests

    def _hub(self, request: Request) -> bytes:
        found = self._answer(request)
        return found if request.method == "GET" else found[: found.index(b"\r\n\r\n") + 4]  # HEAD

    def _answer(self, request: Request) -> bytes:
        if (spoiled := self.on_api(request)) is not None:
            return spoiled
        path = unquote(request.target.partition("?")[0])
        if found := re.fullmatch(r"/api/models/((?:[^/]+/)?[^/]+)/revision/(.+)", path):
            return self._about(request, found[1], found[2])
        if found := re.fullmatch(r"/((?:[^/]+/)?[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(request, found[1], found[2], found[3])
        return answer(404, b"Not Found")

    def _allowed(self, request: Request, name: str, revision: str) -> tuple[Repository, str] | bytes:
        """The repository and the commit, or the refusal."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given and given == self.expired:
            return answer(401, b'{"error": "Invalid credentials in Authorization header"}')
        repository = self.repositories.get(name)
        if repository is None or (repository.token and not repository.is_gated and given != repository.token):
            status = 404 if given else 401
            return answer(status, b'{"error":"Repository not found"}', "X-Error-Code: RepoNotFound\r\n")
        commit = repository.revisions.get(revision, revision)
        if commit not in repository.commits:
            return answer(404, b'{"error":"Invalid rev id"}', "X-Error-Code: RevisionNotFound\r\n")
        return repository, commit

    def _about(self, request: Request, name: str, revision: str) -> bytes:
        found = self._allowed(request, name, revision)
        if isinstance(found, bytes):
            return found
        repository, commit = found
        siblings = []
        for path, file in repository.commits[commit].items():
            said: dict[str, object] = {"rfilename": path, "size": len(file.content), "blobId": file.blob}
            if file.is_large:
                said |= {"lfs": {"sha256": file.sha256, "size": len(file.content), "pointerSize": 135}}
            siblings.append(said)
        text = json.dumps({"id": name, "sha": commit, "siblings": siblings, **repository.about})
        return answer(200, text.encode(), "Content-Type: application/json\r\n")

    def _resolve(self, request: Request, name: str, revision: str, path: str) -> bytes:
        found = self._allowed(request, name, revision)
        if isinstance(found, bytes):
            return found
        repository, commit = found
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if repository.is_gated and given != repository.token:
            return answer(403, b"Access to model is restricted", "X-Error-Code: GatedRepo\r\n")
        file = repository.commits[commit].get(path)
        if file is None:
            return answer(404, b"Entry not found", "X-Error-Code: EntryNotFound\r\n")
        headers = f'X-Repo-Commit: {commit}\r\nX-Linked-Etag: "{file.etag}"\r\nX-Linked-Size: {len(file.content)}\r\n'
        if file.is_large:
            where = f"{self.cdn_url}/blobs/{file.sha256}?X-Amz-Signature=0123&X-Amz-Expires=3600"
            return answer(302, b"Found. Redirecting", f"{headers}Location: {where}\r\n")
        return self._bytes(request, file.content, f'{headers}ETag: "{file.blob}"\r\n')

    def _cdn(self, request: Request) -> bytes:
        digest = request.target.removeprefix("/blobs/").partition("?")[0]
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for file in files.values():
                    if file.sha256 == digest:
                        return self._bytes(request, file.content, f'ETag: "{digest[:32]}"\r\n')
        return answer(403, b"<Error><Code>AccessDenied</Code></Error>")

    def _bytes(self, request: Request, whole: bytes, headers: str) -> bytes:
        if (spoiled := self.on_file(request, whole)) is not None:
            return spoiled
        return part(request, whole, headers)


def part(request: Request, whole: bytes, headers: str = "") -> bytes:
    """The answer to a GET, of all or of a range: RFC 9110, 14."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if found is None:
        return answer(200, whole, f"Accept-Ranges: bytes\r\n{headers}")
    start = int(found[1])
    if start >= len(whole):
        return answer(416, b"", f"Content-Range: bytes */{len(whole)}\r\n")
    end = min(int(found[2] or len(whole) - 1), len(whole) - 1)
    return answer(206, whole[start : end + 1], f"Content-Range: bytes {start}-{end}/{len(whole)}\r\n{headers}")


def cut(whole: bytes, keep: int) -> Cut:
    """An answer of which `keep` bytes of the body are sent before the connection is closed."""
    head, _, body = whole.partition(b"\r\n\r\n")
    return Cut(head + b"\r\n\r\n" + body[:keep])


@contextlib.contextmanager
def open_hub(is_secure: bool = False) -> Iterator[FakeHub]:
    hub = FakeHub(is_secure)
    try:
        yield hub
    finally:
        hub.close()


def fresh(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A cache without models, and no variable of the shell; the folder of models, which is not there yet."""
    for name in [name for name in os.environ if name.startswith(("HF_", "PILOTLIGHT_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(folder / "cache"))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    return folder / "cache" / "models"


def files(folder: str | Path) -> dict[str, bytes]:
    """What is below, by its path there."""
    top = Path(folder)
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
