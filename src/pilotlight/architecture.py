"""The processor of this machine, in Lambda's word for it. Does not ship to Lambda."""

import platform


def here() -> str:
    """It is "arm64" or "x86_64"; the latter also where it is neither."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
