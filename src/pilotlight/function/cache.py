"""Models that a URI names: fetched once, kept, found again.

    fetch("hf://org/name@revision")     a repository of the Hugging Face hub; without a revision: main
    fetch("s3://bucket/prefix")         the objects below it, or the one of that name
    fetch("file:///srv/models/qa")      that path; "models/qa" is a path as well

They are kept below PILOTLIGHT_CACHE, which the setting `[cache] folder` says; without it on Lambda in /tmp, elsewhere
in the machine's cache folder. What is there is used without asking the hub or S3, so `main` is what it was when it was
fetched. A model is there whole or not at all, and is fetched once, however many processes ask for it.
"""

from __future__ import annotations

import _thread
import os
from typing import TYPE_CHECKING

from pilotlight.errors import CacheError, FetchError

if TYPE_CHECKING:
    from pilotlight.function.cache_entries import Entry
    from pilotlight.function.transfer import Source

VARIABLE = "PILOTLIGHT_CACHE"
SIZE = "PILOTLIGHT_CACHE_SIZE"  # MB; none or 0 is as much as the disk has
MODELS = "models"  # the folder in it
HUB, S3 = "hf://", "s3://"

_FORMS = "write a path, file:///path, hf://org/name, hf://org/name@revision or s3://bucket/prefix"
_one = _thread.allocate_lock()  # locks of files keep processes apart, not threads


def fetch(uri: str) -> str:
    """The path on this machine of what `uri` names, fetched when it is not there: a folder, or a file.

    Raises `errors.FetchError` and what is below it.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    if scheme == "file":
        return _path(uri, rest)
    if scheme not in ("hf", "s3"):
        raise FetchError(f"fetching {uri}: nothing is fetched from {scheme}://", _FORMS)
    with _one:
        return _kept(uri) or _found_elsewhere(uri) or _fetched(uri)


def _path(uri: str, rest: str) -> str:
    host, slash, path = rest.partition("/")
    if host not in ("", "localhost") or not slash:
        raise FetchError(f"fetching {uri}: this is no path of this machine", "write file:///absolute/path")
    first, *parts = os.fsencode(f"/{path}").split(b"%")
    try:
        return os.fsdecode(first + b"".join(bytes.fromhex(part[:2].decode()) + part[2:] for part in parts))
    except ValueError:
        raise FetchError(f"fetching {uri}: there is a % that begins no byte", "write % itself as %25") from None


def home() -> str:
    """Where Pilotlight keeps what can be made again."""
    if own := os.environ.get(VARIABLE):
        return os.path.abspath(os.path.expanduser(own))
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        return os.path.join(os.environ.get("TMPDIR", "/tmp"), "pilotlight")
    shared = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(os.path.abspath(shared), "pilotlight")


def folder() -> str:
    """Where models are kept."""
    return os.path.join(home(), MODELS)


def budget() -> int:
    """Bytes that they may take, 0 for as many as the disk has. Raises `FetchError`."""
    written = os.environ.get(SIZE, "0")
    if not written.isdecimal():
        raise FetchError(f"{SIZE}: {written!r} is no number of MB", "write whole MB, such as 20480; 0 is no limit")
    return int(written) * 1_000_000


def _entry(uri: str) -> Entry:
    from pilotlight.function.cache_entries import entry

    return entry(folder(), normal(uri))


def normal(uri: str) -> str:
    """The one spelling of what several URIs mean."""
    if uri.startswith(S3):
        return uri.rstrip("/")
    return uri if "@" in uri else f"{uri}@main"


def _kept(uri: str) -> str:
    return _entry(uri).use()


def _found_elsewhere(uri: str) -> str:
    """The hub's own libraries keep models too."""
    if not uri.startswith(HUB):
        return ""
    from pilotlight.function import hub

    return hub.snapshot(uri)


def _fetched(uri: str) -> str:
    """Fetch it, or wait for who does."""
    from pilotlight.function import transfer

    try:
        return transfer.fetch(_entry(uri), normal(uri), _source(uri), budget())
    except CacheError as error:
        raise CacheError(f"fetching {uri}: {error}", error.hint) from None


def _source(uri: str) -> Source:
    if uri.startswith(HUB):
        from pilotlight.function.hub import Hub

        return Hub(uri)
    from pilotlight.function.s3_folder import Folder

    return Folder(uri)
