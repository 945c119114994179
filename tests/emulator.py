"""AWS's runtime interface emulator, from the wheel of aws-sam-cli."""

import importlib.util
import platform
from pathlib import Path


def emulator(machine: str = "") -> Path:
    """The program for a machine as `uname -m` has it, or Lambda's name of it; else for this one."""
    spec = importlib.util.find_spec("samcli")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    name = {"aarch64": "arm64", "arm64": "arm64"}.get(machine or platform.machine(), "x86_64")
    return Path(spec.submodule_search_locations[0]) / "local" / "rapid" / f"aws-lambda-rie-{name}"
