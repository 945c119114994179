"""ONNX models without numpy and without `import onnxruntime`.

A cold start pays for imports, so this goes to the runtime's shared library by ctypes; what that saves is measured in
docs/decisions/0003-onnxruntime-by-its-c-api.md. Where there is no such library, the Python module does the same.
"""

from __future__ import annotations

import os

from pilotlight.errors import ModelError
from pilotlight.function import session
from pilotlight.function.ort import LibrarySession, find_library
from pilotlight.function.session import TensorInfo, default_threads, shaped

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotlight.function.ort_module import ModuleSession

__all__ = ["Session", "TensorInfo", "default_threads", "shaped"]

# The threads of a session sleep when a run ends, in place of turning for the next one: the processors are free for a
# model's other graph, and for all that Python does between runs. docs/decisions/0027-threads-sleep-between-runs.md
POOL = {"session.force_spinning_stop": "1"}


class Session(session.Session):
    """A loaded ONNX model; see `session.Session`.

    `options` are session configuration entries, whose keys `onnxruntime_session_options_config_keys.h` lists; they
    come before those of `POOL`.
    `optimize=False` takes the graph as it is: right and faster for one that was optimised before it was saved.

    Outputs look into the runtime's own memory, which is released after the last view of it: nothing is copied, nor by
    `numpy.asarray(view)`, nor when a view is a feed of the next run, as the keys and values of a decoder are.
    """

    def __init__(
        self, path: str, *, threads: int | None = None, options: Mapping[str, str] = {}, optimize: bool = True
    ) -> None:
        self._options = {**POOL, **options}
        self._optimize = optimize
        super().__init__(path, threads)

    def _load(self) -> LibrarySession | ModuleSession:
        try:
            return _load(self.path, self.threads, self._optimize, self._options)
        except ModelError as error:
            if not any(sign in str(error) for sign in ("xternal", f"{self.path}.data")):
                raise
            hint = f"{_weights(self.path)} is cut or absent: install the model again, with all its files"
            raise ModelError(str(error), hint) from None


def _load(path: str, threads: int, optimize: bool, options: Mapping[str, str]) -> LibrarySession | ModuleSession:
    # Since 1.29 ONNX Runtime for Linux reports to Microsoft which models are run, from a thread of its own, unless this
    # says no before it starts (github.com/microsoft/onnxruntime/pull/27379). And that thread would be lost by a fork.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    library = find_library()
    if library and library != "module":
        return LibrarySession(library, path, threads, optimize, options)

    from pilotlight.function.ort_module import ModuleSession

    return ModuleSession(path, threads, optimize, options)


def _weights(path: str) -> str:
    """The file with the external weights, as messages name it; only the runtime knows one of another name."""
    usual = f"{path}.data"
    return usual if os.path.exists(usual) else f"the file with its weights (usually {os.path.basename(usual)})"
