"""Files that should not be in a package: secrets, and pickles, which run what they say when they are loaded."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from pilotlight.bundle.files import Entry, Part

_SECRET_NAMES = (
    ".env",
    ".env.*",
    "id_rsa*",
    "id_ed25519*",
    "*.p12",
    "*.pfx",
    "*.kdbx",
    "credentials",
    ".netrc",
    ".pypirc",
)
_SECRETS = (
    (re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"), "a private key"),
    (re.compile(rb"\b(AKIA|ASIA)[0-9A-Z]{16}\b"), "the id of an AWS access key"),
    (re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}\b"), "a token of GitHub"),
    (re.compile(rb"\bhf_[A-Za-z0-9]{34}\b"), "a token of Hugging Face"),
)
_PICKLE_NAMES = ("*.pkl", "*.pickle", "*.joblib", "*.pt", "*.pth", "*.ckpt", "*.dill")
_PICKLE = re.compile(rb"\x80[\x02-\x05]")  # the opcode PROTO, with which pickles of today begin
_LOOKED_AT = 1 << 20  # bytes; what is larger is data, and is looked at no further


def find(part: Part) -> Iterator[tuple[str, str]]:
    """The paths of secrets, each with what it is."""
    for entry in part.entries:
        name = entry.path.rpartition("/")[2]
        if any(fnmatchcase(name, pattern) for pattern in _SECRET_NAMES):
            yield entry.path, "a file for secrets by its name"
        elif reason := next((reason for pattern, reason in _SECRETS if pattern.search(_head(entry))), ""):
            yield entry.path, f"it holds {reason}"


def pickles(part: Part) -> Iterator[tuple[str, str]]:
    """The paths of pickles, each with how that was seen."""
    for entry in part.entries:
        name = entry.path.rpartition("/")[2]
        if any(fnmatchcase(name, pattern) for pattern in _PICKLE_NAMES):
            yield entry.path, "a pickle by its name"
        elif _PICKLE.match(_head(entry)) and _ends(entry):
            yield entry.path, "a pickle by its first and last byte"


def _head(entry: Entry) -> bytes:
    if isinstance(entry.source, bytes):
        return entry.source[:_LOOKED_AT]
    with entry.source.open("rb") as file:
        return file.read(_LOOKED_AT)


def _ends(entry: Entry) -> bool:
    """Whether the last byte is the opcode STOP."""
    if isinstance(entry.source, bytes):
        return entry.source.endswith(b".")
    with entry.source.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"."
