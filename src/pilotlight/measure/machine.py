"""The machine in one line, for results that hold on it alone."""

import os
import platform
from pathlib import Path


def describe() -> str:
    """Processor, its number, system and Python."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{next(names, platform.machine())}, {os.cpu_count()} CPUs, {system}"
