"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pilotlight.errors import UsageError


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, with the same suffix, which takes its place at the end of the block.

    Raises `UsageError` where it cannot be written, and then leaves what was there.
    """
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise UsageError(f"writing {path}: {error.strerror}", "name a file in a folder that may be written") from None
    finally:
        with suppress(OSError):
            os.unlink(unfinished)
