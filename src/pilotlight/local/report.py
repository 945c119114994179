"""What Lambda itself says of an invocation: the END and REPORT lines after it, and why it ended when it failed."""

import json
import math
import signal
from pathlib import Path

from pilotlight.values import Result


def lines(request_id: str, seconds: float, init_seconds: float, memory: int, peak: int) -> str:
    """`memory` and `peak` in MB. Since August 2025 Lambda bills the init phase as well, so it counts as billed."""
    billed = math.ceil((seconds + init_seconds) * 1000)
    init = f"\tInit Duration: {init_seconds * 1000:.2f} ms" if init_seconds else ""
    return (
        f"END RequestId: {request_id}\n"
        f"REPORT RequestId: {request_id}\tDuration: {seconds * 1000:.2f} ms\tBilled Duration: {billed} ms"
        f"\tMemory Size: {memory} MB\tMax Memory Used: {peak} MB{init}\n"
    )


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


def timed_out(timeout: int) -> str:
    return f"Error: Task timed out after {timeout:.2f} seconds"


def exited(status: int) -> str:
    """How a runtime ended; a negative status is the signal that ended it."""
    if status == 0:
        return "Error: Runtime exited without providing a reason"
    if status < 0:
        return f"Error: Runtime exited with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
    return f"Error: Runtime exited with error: exit status {status}"
