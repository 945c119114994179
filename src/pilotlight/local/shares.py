"""Processor time by memory: on Lambda a function has as much of a processor as its memory says, on this machine where a
control group can hold it to that.

Lambda gives a processor at 1,769 MB and about six at 10,240 MB (docs.aws.amazon.com/lambda/latest/dg/
configuration-memory.html). What a processor does in that time is this machine's.
"""

import os
from math import inf
from pathlib import Path

from pilotlight import limits
from pilotlight.local.cgroup import read, usable

HINT = (
    "run as root, or in a systemd scope that may share out processors: "
    "`systemd-run --user --scope -p Delegate=yes pilotlight ...`"
)


def share(memory: int) -> float:
    """Of processors, for a function of so many MB."""
    return memory / limits.MEMORY_OF_ONE_VCPU


def processors() -> float:
    """How many this process may use: where a container is held to a part of the machine's, that."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = usable().cpu
    return there if own is None else min(there, allowed(own))


def allowed(group: Path) -> float:
    """To how many the group of that folder is held, infinity where it is not."""
    quota, period = read(group / "cpu.max").split() or (
        read(group / f"cpu.cfs_{name}_us").strip() or "0" for name in ("quota", "period")
    )
    return int(quota) / int(period) if quota.isdecimal() and int(quota) else inf


def why_not() -> str:
    """Why environments cannot be held to their shares here, "" where they can be."""
    return "" if usable().cpu else "no control group for processor time can be made here"
