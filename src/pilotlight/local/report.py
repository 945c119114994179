"""What Lambda itself says of an invocation: the END and REPORT lines after it, and why it ended when it failed."""

import json
import math
import signal
from pathlib import Path
from typing import NamedTuple

from pilotlight.values import Result


class Init(NamedTuple):
    """What came before the first invocation, in seconds: the init phase, and with SnapStart the restore phase."""

    seconds: float = 0.0
    restore: float = 0.0

    def ended(self, seconds: float) -> "Init":
        """With a phase that took `seconds`: the first is init, the one after it restores."""
        return self._replace(restore=seconds) if self.seconds else self._replace(seconds=seconds)


class Report(NamedTuple):
    """One invocation, as Lambda's platform log tells of it. `memory` and `peak` in MB; `error` is an error type."""

    request_id: str
    seconds: float
    init: Init
    memory: int
    peak: int
    error: str = ""

    @property
    def is_cold(self) -> bool:
        """Whether it is the first of its environment."""
        return bool(self.init.seconds or self.init.restore)

    @property
    def billed(self) -> int:
        """In ms, without the restore phase. Since August 2025 Lambda bills the init phase as well, so it counts; that
        of SnapStart does not, for the snapshot was made before."""
        return math.ceil((self.seconds + (0 if self.init.restore else self.init.seconds)) * 1000)

    def line(self) -> str:
        """REPORT. Of SnapStart's init it does not tell, see `billed`."""
        return (
            f"REPORT RequestId: {self.request_id}\tDuration: {self.seconds * 1000:.2f} ms"
            f"\tBilled Duration: {self.billed} ms\tMemory Size: {self.memory} MB\tMax Memory Used: {self.peak} MB"
            f"{self._phase()}{_status(self.error)}"
        )

    def _phase(self) -> str:
        if self.init.restore:
            milliseconds = self.init.restore * 1000
            return f"\tRestore Duration: {milliseconds:.2f} ms\tBilled Restore Duration: {math.ceil(milliseconds)} ms"
        return f"\tInit Duration: {self.init.seconds * 1000:.2f} ms" if self.init.seconds else ""


def _status(error: str) -> str:
    if error == "Sandbox.Timedout":
        return "\tStatus: timeout"
    return f"\tStatus: error\tError Type: {error}" if error else ""


def init(seconds: float, status: str, error: str = "") -> str:
    """The line about an init phase that did not succeed."""
    kind = f"\tError Type: {error}" if error else ""
    return f"INIT_REPORT Init Duration: {seconds * 1000:.2f} ms\tPhase: init\tStatus: {status}{kind}"


def kind(result: Result) -> str:
    """The error type that ended an invocation before the function could answer; "" for all that it did itself."""
    error = error_type(result.payload) if result.error else ""
    return error if error.startswith(("Runtime.Ex", "Runtime.Out", "Sandbox.")) else ""


def error_type(payload: bytes) -> str:
    """That of the error object `payload`; "" where it is none."""
    try:
        error = json.loads(payload)["errorType"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return error if isinstance(error, str) else ""


def peak_memory(pid: int) -> int:
    """The largest resident set that the process has had, in MB; 0 where the system does not tell or it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return math.ceil(int(sizes[0]) / 1024) if sizes else 0


def failure(kind: str, text: str, request_id: str = "") -> Result:
    """The result of an invocation that Lambda itself ended."""
    message = f"RequestId: {request_id} {text}" if request_id else text
    return Result(json.dumps({"errorType": kind, "errorMessage": message}).encode(), "Unhandled")


def timed_out(timeout: float) -> str:
    return f"Error: Task timed out after {timeout:.2f} seconds"


def exited(status: int) -> str:
    """How a runtime ended; a negative status is the signal that ended it."""
    if status == 0:
        return "Error: Runtime exited without providing a reason"
    return f"Error: Runtime exited with error: {ending(status)}"


def ending(status: int) -> str:
    """The same in few words."""
    if status < 0:
        return f"signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    return f"exit status {status}"
