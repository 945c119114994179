"""A registry in memory by the distribution specification 1.1, for what docker-registry does not do.

It keeps what it has got of a request that broke off, and says so; it may take no pieces, want large ones, answer a
mount with 202, or send the readers of contents elsewhere. Nothing here knows who asks.
"""

import json
import re
import threading
from urllib.parse import parse_qs, urlsplit

from http_servers import Cut, Request, answer
from pilotlight.bundle.blobs import digest_of

_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/(\d*)")
_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/([^/]+)")


class MemoryRegistry:
    """`blobs` and `manifests` are its content, by repository and then digest, or tag; `requests` what came.

    `cut_at` breaks an upload off once, when a request would bring it over so many bytes.
    """

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.requests: list[Request] = []
        self.takes_pieces = True
        self.mounts = True
        self.least_piece = 0
        self.elsewhere = ""
        self.ignores_ranges = False
        self.cut_at: int | None = None
        self._uploads: dict[str, bytearray] = {}
        self._lock = threading.Lock()

    def put(self, repository: str, content: bytes, kind: str = "", tag: str = "") -> str:
        """Keep a content, or a manifest where it is of a kind."""
        digest = digest_of(content)
        if kind:
            self.manifests[repository, digest] = self.manifests[repository, tag or digest] = (kind, content)
        else:
            self.blobs[repository, digest] = content
        return digest

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)

    def __call__(self, request: Request) -> bytes:
        with self._lock:
            self.requests.append(request)
            path = urlsplit(request.target).path
            for pattern, handle in ((_UPLOADS, self._upload), (_BLOB, self._blob), (_MANIFEST, self._manifest)):
                if found := pattern.fullmatch(path):
                    return handle(request, found[1], found[2])
            return _error(404, "UNSUPPORTED")

    def _upload(self, request: Request, repository: str, number: str) -> bytes:
        asked = {key: values[0] for key, values in parse_qs(urlsplit(request.target).query).items()}
        if request.method == "POST":
            return self._begin(repository, asked)
        content = self._uploads.get(number)
        if content is None:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "GET":
            return answer(204, b"", self._where(repository, number))
        if request.method == "PATCH" and not self.takes_pieces:
            return _error(405, "UNSUPPORTED")
        if not self._is_next(request, content):
            return answer(416, b"", self._where(repository, number))
        if self._grow(content, request.body):
            return Cut()
        if request.method == "PATCH":
            return answer(202, b"", self._where(repository, number))
        return self._end(repository, number, asked["digest"])

    def _begin(self, repository: str, asked: dict[str, str]) -> bytes:
        source = (asked.get("from", ""), asked.get("mount", ""))
        if self.mounts and source in self.blobs:
            self.blobs[repository, source[1]] = self.blobs[source]
            return answer(201, b"", f"Location: /v2/{repository}/blobs/{source[1]}\r\n")
        number = str(len(self._uploads) + 1)
        self._uploads[number] = bytearray()
        least = f"OCI-Chunk-Min-Length: {self.least_piece}\r\n" if self.least_piece else ""
        return answer(202, b"", self._where(repository, number) + least)

    def _where(self, repository: str, number: str) -> str:
        """Nothing at all has no range that says so: `0-0` it is."""
        last = max(0, len(self._uploads[number]) - 1)
        return f"Location: /v2/{repository}/blobs/uploads/{number}?state=a%20b\r\nRange: 0-{last}\r\n"

    def _is_next(self, request: Request, content: bytearray) -> bool:
        stated = request.headers.get("content-range")
        return not stated or stated == f"{len(content)}-{len(content) + len(request.body) - 1}"

    def _grow(self, content: bytearray, more: bytes) -> bool:
        """Whether it was cut."""
        if self.cut_at is not None and len(content) + len(more) > self.cut_at:
            content += more[: self.cut_at - len(content)]
            self.cut_at = None
            return True
        content += more
        return False

    def _end(self, repository: str, number: str, digest: str) -> bytes:
        content = bytes(self._uploads.pop(number))
        self._uploads[number + "0"] = bytearray()  # numbers are never used again
        if digest_of(content) != digest:
            return _error(400, "DIGEST_INVALID")
        self.blobs[repository, digest] = content
        return answer(201, b"", f"Location: /v2/{repository}/blobs/{digest}\r\n")

    def _blob(self, request: Request, repository: str, digest: str) -> bytes:
        content = self.blobs.get((repository, digest))
        if content is None:
            return _error(404, "BLOB_UNKNOWN")
        if request.method == "HEAD":
            return _head(len(content))
        if self.elsewhere:
            return answer(307, b"", f"Location: {self.elsewhere}{request.target}\r\n")
        start, _, _ = request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        is_part = int(start) > 0 and not self.ignores_ranges
        whole = answer(206, content[int(start) :]) if is_part else answer(200, content)
        if self.cut_at is not None:
            cut, self.cut_at = self.cut_at, None
            return Cut(whole[:-cut])
        return whole

    def _manifest(self, request: Request, repository: str, version: str) -> bytes:
        if request.method == "PUT":
            digest = self.put(repository, request.body, request.headers["content-type"], version)
            return answer(201, b"", f"Docker-Content-Digest: {digest}\r\n")
        if (repository, version) not in self.manifests:
            return _error(404, "MANIFEST_UNKNOWN")
        kind, content = self.manifests[repository, version]
        headers = f"Content-Type: {kind}\r\nDocker-Content-Digest: {digest_of(content)}\r\n"
        return _head(len(content), headers) if request.method == "HEAD" else answer(200, content, headers)


def _head(length: int, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 Told\r\n{headers}Content-Length: {length}\r\n\r\n".encode()


def _error(status: int, code: str) -> bytes:
    return answer(status, json.dumps({"errors": [{"code": code, "message": "as the test says"}]}).encode())
