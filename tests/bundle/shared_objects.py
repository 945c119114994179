"""Shared objects for tests: one of a library that is installed here, as it is or changed in place."""

from importlib.util import find_spec
from pathlib import Path

MACHINE = 18  # where the ELF header has e_machine
AARCH64 = (183).to_bytes(2, "little")


def real() -> bytes:
    """The one of msgspec, which needs the C library in some versions."""
    folder = Path(str(find_spec("msgspec").origin)).parent  # type: ignore[union-attr]
    return next(folder.glob("_core*.so")).read_bytes()


def for_other_machine() -> bytes:
    data = bytearray(real())
    data[MACHINE : MACHINE + 2] = AARCH64 if data[MACHINE : MACHINE + 2] != AARCH64 else (62).to_bytes(2, "little")
    return bytes(data)


def for_newer_library() -> bytes:
    """The same, as if a symbol that came with glibc 2.14 had come with 2.99."""
    return real().replace(b"GLIBC_2.14\0", b"GLIBC_2.99\0").replace(b"GLIBC_2.17\0", b"GLIBC_2.99\0")
