"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pilotlight.errors import UsageError

_HINT = "name a file in a folder that may be written"


def check(path: Path) -> None:
    """To be called before what is written has been measured. Raises `UsageError` where it could not be written then."""
    try:
        reason = _reason(path)
    except OSError as error:  # of a name that is too long, or a folder that may not be entered
        reason = str(error.strerror)
    if reason:
        raise UsageError(f"writing {path}: {reason}", _HINT)


def _reason(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    if path.exists() and not path.is_file():  # a device that root would replace
        return "it is no regular file"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"the folder {folder} may not be written"
    return ""


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, with the same suffix, which takes its place at the end of the block.

    Raises `UsageError` where it cannot be written, and then leaves what was there.
    """
    check(path)
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise UsageError(f"writing {path}: {error.strerror}", _HINT) from None
    finally:
        with suppress(OSError):
            os.unlink(unfinished)
