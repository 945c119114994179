"""Repositories of the Hugging Face hub, by its HTTP API: what files a revision has, and their bytes.

    GET /api/models/ORG/NAME/revision/REVISION?blobs=true     the commit, and each file's size and digest
    GET /ORG/NAME/resolve/COMMIT/FILE                         the file; large ones by a redirect to a CDN

HF_ENDPOINT names another hub, HF_TOKEN (or the file that `hf auth login` writes) who asks; the token goes to the hub's
own host and to no other. HF_HUB_OFFLINE lets nothing be asked. What the hub's own library has fetched (HF_HUB_CACHE,
HF_HOME) is used where it lies. Sources: huggingface.co/docs/hub/api, and huggingface_hub 1.x for the variables and for
X-Error-Code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from pilotlight.errors import FetchError, FetchRefused, FetchUnreachable, InputError, InputTooLarge
from pilotlight.function import http1, url_fetch
from pilotlight.function.download import Deadline, Download
from pilotlight.function.http1 import Endpoint, tls
from pilotlight.function.s3 import address
from pilotlight.function.transfer import CONNECT, MOST_FILES, WAIT, Again, Changed, File, Listing

MODEL = re.compile(r"([^/]+/)?model\.(onnx|tflite)")  # as project.MODEL_FILES, in a folder or in one of its parts
_URI = re.compile(r"hf://((?:[\w.-]+/)?[\w.-]+)(?:@(\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")
# Weights of frameworks, which the model was made from, pickles, what is hidden; but pieces.bin is a tokenizer.
_NEVER = re.compile(
    r"(.*/)?(\..*|(?!pieces\.bin$)[^/]*\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|ot|gguf|pkl|pickle|joblib|mlmodel|tar|zip|npz))",
    re.DOTALL,
)
_REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)
_LONGEST = 64 << 20  # bytes of a listing
_ANSWER = 65_536  # bytes of an answer that says what went wrong
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TRUE = ("1", "ON", "YES", "TRUE")
_FORM = "write hf://org/name or hf://org/name@revision"
_TOKEN = "set HF_TOKEN to a token that may read it"
_NO_WAY = (
    "is the network there? A function in a VPC without NAT reaches neither the hub nor any URL, but S3 by a gateway "
    "endpoint: put the model there and name it s3://bucket/prefix"
)
_HOLDS_NONE = (
    "leave optimize out, so that it is optimised first, or make a model folder of it by `pilotlight optimize {}` and "
    "name that"
)


def parse(uri: str) -> tuple[str, str]:
    """Name of the repository and revision. Raises `FetchError`."""
    found = _URI.fullmatch(uri)
    if found is None or ".." in uri:
        raise FetchError(f"fetching {uri}: this is no name on the hub", _FORM)
    return found[1], found[2] or "main"


class Hub:
    """A `transfer.Source`: the model in a repository, without what it was made from."""

    def __init__(self, uri: str) -> None:
        self.was_reached = False
        self._uri = uri
        self._doing = f"fetching {uri}"
        self._name, self._revision = parse(uri)
        self._endpoint = _endpoint(self._doing)
        self._token = _token()
        self._commit = ""

    def list(self) -> Listing:
        """The files of a model folder, or of a graph and what is beside it. Raises `FetchError` when there is none."""
        about = self.about()
        files = tuple(_file(self._doing, each) for each in about["siblings"])
        if not holds_model({file.name for file in files}):
            what = "holds no model folder, and no model.onnx or model.tflite"
            raise FetchError(f"{self._doing}: the repository {what}", _HOLDS_NONE.format(self._uri))
        wanted = tuple(file for file in files if is_wanted(file.name))
        if len(wanted) > MOST_FILES:
            raise FetchError(f"{self._doing}: the repository has {len(wanted)} files", "name one that holds a model")
        self._commit = str(about["sha"])
        return Listing(self._commit, wanted)

    def about(self) -> dict[str, Any]:
        """What the hub says of the repository at its revision, `sha` and `siblings` in any case."""
        if is_offline():
            raise FetchError(
                f"{self._doing}: HF_HUB_OFFLINE is set, and the model is neither kept here nor in {_hub_cache()}",
                "unset it once, or set HF_HOME to a folder that has the model",
            )
        path = f"/api/models/{self._name}/revision/{_quoted(self._revision, slash=True)}?blobs=true"
        with self._get(path, {}) as download:
            try:
                body = b"".join(_limited(download))
            except OSError as error:
                raise self.failed(error) from None
        try:
            found: dict[str, Any] = json.loads(body)
            if not _COMMIT.fullmatch(found["sha"]) or not isinstance(found["siblings"], list):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise FetchError(
                f"{self._doing}: {self._where} answers what is no repository", "is HF_ENDPOINT a hub?"
            ) from None
        return found

    def open(self, file: File, start: int) -> Download:
        path = f"/{self._name}/resolve/{self._commit}/{_quoted(file.name)}"
        return self._get(path, {"Range": f"bytes={start}-"} if start else {})

    def failed(self, error: OSError) -> Exception:
        return Again(FetchUnreachable(f"{self._doing}: {self._where}: {_reason(error)}", _NO_WAY))

    @property
    def _where(self) -> str:
        return self._endpoint.authority

    def _get(self, path: str, headers: Mapping[str, str]) -> Download:
        """The answer, 200 or 206, behind redirects."""
        target = self._endpoint._replace(path=f"{self._endpoint.path}{path}")
        for _ in range(1 + _REDIRECTS):
            download = self._ask(target, headers)
            if download.status in (200, 206):
                return download
            with download:
                if download.status not in _REDIRECTED or "location" not in download.headers:
                    raise self._refused(download, target)
                target = self._redirected(target, download.headers["location"])
        raise FetchError(f"{self._doing}: {self._where} redirects more than {_REDIRECTS} times")

    def _ask(self, target: Endpoint, headers: Mapping[str, str]) -> Download:
        own = target[:2] == self._endpoint[:2] and target.is_secure == self._endpoint.is_secure
        token = {"Authorization": f"Bearer {self._token}"} if self._token and own else {}
        sent = {"Accept-Encoding": "identity", **headers, **token}
        try:
            context = tls() if target.is_secure else None
            download = Download(target, [address(target)], sent, Deadline(WAIT), context, Deadline(CONNECT))
        except OSError as error:
            raise self.failed(OSError(f"{target.authority}: {_reason(error)}") if not own else error) from None
        self.was_reached = True
        return download

    def _redirected(self, target: Endpoint, location: str) -> Endpoint:
        try:
            return url_fetch.redirected(target, location)
        except InputError as error:
            raise FetchError(f"{self._doing}: {self._where} redirects to what {error}") from None

    def _refused(self, download: Download, target: Endpoint) -> Exception:
        """The error that an answer is."""
        status, code, said = download.status, download.headers.get("x-error-code", ""), _said(download)
        text = f"{self._doing}: {target.authority} answered {status}{': ' if said else ''}{said}"
        if target[:2] != self._endpoint[:2]:  # what a redirect leads to is signed for a time
            return Again(FetchUnreachable(text, _NO_WAY))
        page = f"{'https' if self._endpoint.is_secure else 'http'}://{self._where}{self._endpoint.path}/{self._name}"
        if code == "GatedRepo":
            return FetchRefused(f"{self._doing}: its owner has to admit you first", f"ask at {page}, then {_TOKEN}")
        if status == 416 or (status == 404 and code == "EntryNotFound"):
            return Changed()
        if code == "RevisionNotFound":
            return FetchError(f"{self._doing}: there is no revision {self._revision!r}", f"the revisions are at {page}")
        if code == "RepoNotFound" or status == 404:
            hint = "check the name" if self._token else f"check the name; if it is private, {_TOKEN}"
            return FetchError(f"{self._doing}: the hub has no model of that name that you may read", hint)
        if status in (401, 403):
            hint = "HF_TOKEN is not accepted: it may have expired, or may not read this" if self._token else _TOKEN
            return FetchRefused(text, hint)
        if status in (408, 429) or status >= 500:
            return Again(
                FetchUnreachable(text, "the hub asks for fewer requests, or is in trouble: try later"), _pause(download)
            )
        return FetchError(text)


def _limited(download: Download) -> list[bytes]:
    pieces, size = [], 0
    for piece in download.pieces(WAIT):
        size += len(piece)
        if size > _LONGEST:
            raise ConnectionError("a listing without an end")
        pieces.append(piece)
    return pieces


def _file(doing: str, said: Any) -> File:
    """One of `siblings`: {"rfilename", "size", "blobId", "lfs": {"sha256", "size"}}. Raises `FetchError`."""
    try:
        lfs = said.get("lfs")
        digest = f"sha256:{lfs['sha256']}" if lfs else f"git:{said['blobId']}"
        file = File(said["rfilename"], int(lfs["size"] if lfs else said["size"]), digest)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise FetchError(
            f"{doing}: the hub lists a file without a name, a size or a digest", "is HF_ENDPOINT a hub?"
        ) from None
    return checked(doing, file)


def checked(doing: str, file: File) -> File:
    """Raises `FetchError` for a name that would be written elsewhere."""
    parts = file.name.split("/")
    is_text = file.name.isprintable()  # JSON can hold half of a surrogate pair
    if not is_text or {"", ".", ".."} & set(parts) or file.size < 0 or max(len(p.encode()) for p in parts) > 240:
        raise FetchError(f"{doing}: {file.name!r} is no name for a file in a folder", "name another model")
    return file


def is_wanted(name: str) -> bool:
    """Whether a file of a repository is part of the model, and not what it was made from."""
    return not _NEVER.fullmatch(name)


def holds_model(names: Collection[str]) -> bool:
    """Whether these are the files of a model folder, or of a folder of them; a checkpoint may have its graph beside."""
    return any(
        MODEL.fullmatch(name) and ("/" not in name or f"{name.partition('/')[0]}/model.json" in names) for name in names
    )


def _endpoint(doing: str) -> Endpoint:
    written = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        return http1.parse(written.rstrip("/"))
    except ValueError as error:
        raise FetchError(f"{doing}: HF_ENDPOINT: {error}", "correct it, or unset it") from None


def _token() -> str:
    token = os.environ.get("HF_TOKEN", "") or _read(os.environ.get("HF_TOKEN_PATH") or os.path.join(_home(), "token"))
    return token.strip() if token.strip().isascii() and not set(token.strip()) & set("\r\n") else ""


def is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE


def _home() -> str:
    shared = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.expanduser(os.environ.get("HF_HOME") or os.path.join(shared, "huggingface"))


def _hub_cache() -> str:
    return os.path.expanduser(os.environ.get("HF_HUB_CACHE") or os.path.join(_home(), "hub"))


def snapshot(uri: str) -> str:
    """The folder where the hub's own library keeps that model, "" where it does not.

    One without a model.json cannot be told from one of which some files are missing: it is used where nothing may be
    asked.
    """
    folder = kept_by_the_library(uri)
    names = _files_below(folder) if folder else set()
    settings = [name for name in names if name.rpartition("/")[2] == "model.json"]
    is_whole = all(_has_all(folder, name) for name in settings) if settings else is_offline()
    return folder if holds_model(names) and is_whole else ""


def kept_by_the_library(uri: str) -> str:
    """The folder of whatever it has fetched of that revision, "" for nothing."""
    name, revision = parse(uri)
    repository = os.path.join(_hub_cache(), f"models--{name.replace('/', '--')}")
    commit = revision if _COMMIT.fullmatch(revision) else _read(os.path.join(repository, "refs", revision)).strip()
    folder = os.path.join(repository, "snapshots", commit)
    return folder if _COMMIT.fullmatch(commit) and os.path.isdir(folder) else ""


def _files_below(folder: str) -> set[str]:
    found = (os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return {os.path.relpath(path, folder) for path in found if os.path.isfile(path)}  # whose link leads somewhere


def _has_all(folder: str, settings: str) -> bool:
    """Whether the files are there, in their sizes, that a model.json names."""
    try:
        with open(os.path.join(folder, settings), encoding="utf-8") as opened:
            files = json.load(opened)["files"]
        beside = os.path.dirname(os.path.join(folder, settings))
        return all(os.stat(os.path.join(beside, name)).st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read()
    except (OSError, ValueError):
        return ""


def _quoted(text: str, slash: bool = False) -> str:
    """For a path; with `slash` that is encoded too."""
    plain = _PLAIN if slash else _PLAIN | {ord("/")}
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))


def _said(download: Download) -> str:
    try:
        text = download.headers.get("x-error-message") or _error(download.read(_ANSWER).decode("utf-8", "replace"))
    except (OSError, InputTooLarge):
        return ""
    return " ".join(text.split())[:200] if "<" not in text else ""  # a page of something between


def _error(text: str) -> str:
    """What the hub's own answers say: {"error": "Repository not found"}."""
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text


def _pause(download: Download) -> float:
    """Retry-After, RFC 9110, 10.2.3; one that is a date is passed over."""
    written = download.headers.get("retry-after", "")
    return float(written) if re.fullmatch("[0-9]{1,6}", written) else 0.0


def _reason(error: OSError) -> str:
    return str(error) or "there was no answer in time"
