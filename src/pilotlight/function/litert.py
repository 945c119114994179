"""TensorFlow Lite models by LiteRT, without numpy and without `import ai_edge_litert`.

As with ONNX Runtime a cold start pays for imports, so this goes to the library in the wheel by ctypes; what that saves
is measured in docs/decisions/0020-litert-by-its-c-api.md. Where there is none, or one of a version whose functions are
not known here, the Python module does the same.
"""

from __future__ import annotations

import os
import sys

from pilotlight.function import session
from pilotlight.function.session import TensorInfo

TYPE_CHECKING = False

if TYPE_CHECKING:
    from pilotlight.function.litert_library import LibrarySession
    from pilotlight.function.litert_module import ModuleSession

__all__ = ["Session", "TensorInfo"]

KNOWN = "2.3."
"""Versions of ai-edge-litert whose C API `litert_library.py` knows: 2.2 and earlier give functions other arguments."""


class Session(session.Session):
    """A loaded TensorFlow Lite model, its first signature; see `session.Session`.

    Inputs and outputs are called as the signature calls them, or as their tensors are called where there is none. They
    are as the model has them: `TensorInfo.scale` and `zero_point` say what the integers of a quantised one stand for.
    One run goes on at a time; others wait.
    """

    def __init__(self, path: str, *, threads: int | None = None) -> None:
        super().__init__(path, threads)

    def _load(self) -> LibrarySession | ModuleSession:
        from pilotlight.function import litert_file

        litert_file.check(self.path)
        library = find_library()
        if library and library != "module":
            from pilotlight.function.litert_library import LibrarySession

            return LibrarySession(library, self.path, self.threads)

        from pilotlight.function.litert_module import ModuleSession

        return ModuleSession(self.path, self.threads)


def find_library() -> str:
    """The shared library of a wheel of a known version, or the one that PILOTLIGHT_LITERT names; "" for none.

    Looks along `sys.path` and leaves Python's import system alone.
    """
    if chosen := os.environ.get("PILOTLIGHT_LITERT"):
        return chosen
    for folder in sys.path:
        library = os.path.join(folder, "ai_edge_litert", "libLiteRt.so")
        if os.path.isfile(library):
            return library if _version(folder).startswith(KNOWN) else ""
    return ""


def _version(folder: str) -> str:
    """Of the wheel that is installed in `folder`, by the name of its metadata; "" where that was left out."""
    prefix, suffix = "ai_edge_litert-", ".dist-info"
    names = (name for name in os.listdir(folder) if name.startswith(prefix) and name.endswith(suffix))
    return next((name[len(prefix) : -len(suffix)] for name in names), "")
